"""Values across the boundary: they come back equal, or the sentence says why not."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgrade.outcome import Violation
from dlgrade.tree import DTYPES, MAX_DEPTH, Decoder, Encoder, Record, Unsendable


def crossed(value):
    encoder = Encoder()
    node = encoder.encode(value)
    return Decoder([bytearray(buffer) for buffer in encoder.buffers]).decode(node)


def refused(value) -> str:
    with pytest.raises(Unsendable) as caught:
        Encoder().encode(value)
    return str(caught.value)


def depth(value) -> int:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return max((1 + depth(item) for item in items), default=0)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=2000),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs"]), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(plain)
def test_plain_values_come_back_equal(value):
    """Numbers, text, lists, tuples and dicts keep their value and their type, down to the sign of zero."""
    if depth(value) > MAX_DEPTH:
        assert "nested deeper" in refused(value)
    else:
        assert repr(crossed(value)) == repr(value)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 4), (2, 0, 3)])
def test_tensors_keep_dtype_shape_and_bits(dtype, shape):
    """Every allowed dtype crosses at any shape, scalars and empty tensors included."""
    value = (torch.arange(math.prod(shape)).reshape(shape) % 2).to(dtype)
    result = crossed(value)
    assert type(result) is torch.Tensor
    assert (result.dtype, result.shape) == (dtype, value.shape)
    assert torch.equal(result, value)


def test_views_and_conjugates_arrive_as_what_they_show():
    """Strides, expansion and negation bits are resolved before the bytes are taken."""
    base = torch.arange(12.0).reshape(3, 4)
    for view in (base.T, base[:, ::2], base[:1].expand(3, 4), torch._neg_view(base)):
        assert torch.equal(crossed(view), view.clone())


def test_arrays_come_back_as_arrays_in_native_byte_order():
    """NumPy arrays stay NumPy arrays; big-endian ones are converted; NumPy scalars become numbers."""
    result = crossed(np.arange(6, dtype=">f4").reshape(2, 3))
    assert isinstance(result, np.ndarray)
    assert result.dtype == np.dtype("float32")
    np.testing.assert_array_equal(result, np.arange(6).reshape(2, 3))
    assert crossed(np.float64(0.5)) == 0.5
    assert crossed(np.int8(-3)) == -3


def test_mappings_that_are_no_dicts_come_back_with_attributes():
    """A transformers output is a mapping; its entries are attributes on the other side too."""
    from collections import OrderedDict

    result = crossed(OrderedDict(last_hidden_state=torch.ones(2)))
    assert isinstance(result, Record)
    assert torch.equal(result.last_hidden_state, torch.ones(2))
    with pytest.raises(AttributeError):
        _ = result.absent


class LyingTensor(torch.Tensor):
    """Claims another shape and answers every function with nonsense."""

    @property
    def shape(self):
        return torch.Size([99, 99])

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return torch.zeros(99, 99)


def test_a_tensor_subclass_cannot_lie_about_its_content():
    """Only the storage counts: neither __torch_function__ nor a false shape gets through."""
    value = torch.arange(6.0).reshape(2, 3).as_subclass(LyingTensor)
    result = crossed(value)
    assert type(result) is torch.Tensor
    assert torch.equal(result, torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (object(), "type object"),
        ({1: 2}, "keys that are not strings"),
        (2**63, "beyond 64 bits"),
        (torch.ones(2, dtype=torch.complex64), "dtype complex64"),
        (torch.ones(2, 2).to_sparse(), "to_dense"),
        (torch.empty(3, device="meta"), "meta device"),
        (torch.zeros(1).expand(2**40), "bytes cannot be sent"),
        (torch.zeros([1] * 9), "9 dimensions"),
        (np.array([object()]), "dtype object"),
        ("x" * (5 << 20), "text of 5242880 bytes"),
        ([[[[[[[[1]]]]]]]], "nested deeper"),
    ],
)
def test_what_may_not_cross_is_refused_with_the_reason(value, sentence):
    """Objects, odd dtypes and layouts, huge expanded views and deep nesting are named in the refusal."""
    assert sentence in refused(value)


@pytest.mark.parametrize(
    ("node", "buffers", "sentence"),
    [
        ([1], [], "no value"),
        ({}, [], "no value"),
        ({"x": 1}, [], "unexpected node 'x'"),
        ({"h": 1}, [], "unexpected node 'h'"),
        ({"f": "nan("}, [], "hexadecimal"),
        ({"f": 1}, [], "hexadecimal"),
        (2**63, [], "beyond 64 bits"),
        ({"l": 3}, [], "no list"),
        ({"d": [["a", 1], ["a", 2]]}, [], "one key twice"),
        ({"d": [[1, 1]]}, [], "keys are not strings"),
        ({"b": 0, "dtype": "float32", "shape": [2]}, [b"1234"], "came with 4 bytes"),
        ({"b": 1, "dtype": "float32", "shape": [1]}, [b"1234"], "names a buffer"),
        ({"b": True, "dtype": "float32", "shape": [1]}, [b"1234", b"1234"], "names a buffer"),
        ({"b": 0, "dtype": "object", "shape": [1]}, [b"1234"], "may not cross"),
        ({"b": 0, "dtype": "float32", "shape": [-1]}, [b""], "not sizes"),
        ({"b": 0, "dtype": "float32", "shape": [0, 2**63]}, [b""], "not sizes"),
        ({"b": 0, "dtype": "float32", "shape": [1] * 9}, [b"1234"], "proper shape"),
        ({"b": 0, "dtype": "float32", "shape": [2**32, 2**32]}, [b""], "sides overflow"),
        ({"a": 0, "dtype": "bfloat16", "shape": [1]}, [b"12"], "may not cross"),
        ({"s": 0}, [b"\xff"], "not UTF-8"),
        ({"l": [{"b": 0, "dtype": "uint8", "shape": [1]}] * 2}, [b"1"], "names one twice"),
    ],
)
def test_forged_nodes_are_violations(node, buffers, sentence):
    """No claim about a buffer is believed: index, dtype, shape and size are checked first."""
    with pytest.raises(Violation) as caught:
        Decoder([bytearray(buffer) for buffer in buffers]).decode(node)
    assert sentence in caught.value.message


def test_bool_bytes_are_normalised():
    """A bool byte of 7 arrives as True, equal to every other True."""
    result = Decoder([bytearray([0, 1, 7])]).decode({"b": 0, "dtype": "bool", "shape": [3]})
    assert torch.equal(result, torch.tensor([False, True, True]))
    assert bytes(result.view(torch.uint8).numpy()) == b"\x00\x01\x01"


def test_deep_nodes_are_violations_not_recursion_errors():
    """Nesting beyond the limit is refused while decoding."""
    node = 1
    for _ in range(500):
        node = {"l": [node]}
    with pytest.raises(Violation, match="nested deeper"):
        Decoder([]).decode(node)
