"""convolve2d: valid cross-correlation of any sizes and number types, and what the edge kernel shows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.convolution import EDGE_KERNEL, convolve2d, show_edges


def by_loops(image, kernel):
    """The definition, one output pixel at a time, in Python's own numbers."""
    (H, W), (h, w) = image.shape, kernel.shape
    pixels, taps = image.tolist(), kernel.tolist()
    return [
        [sum(pixels[r + i][c + j] * taps[i][j] for i in range(h) for j in range(w)) for c in range(W - w + 1)]
        for r in range(H - h + 1)
    ]


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 8), st.integers(0, 8)),
    st.integers(0, 99),
)
@settings(max_examples=50, deadline=None)
def test_agrees_with_torch_and_with_the_loops_on_any_sizes(kernel_shape, extra, seed):
    """Any kernel that fits, square or not, gives what torch's conv2d and the definition's loops give."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=kernel_shape)
    image = rng.normal(size=np.add(kernel_shape, extra))
    actual = convolve2d(image, kernel)
    assert actual.shape == tuple(np.add(extra, 1))
    expected = torch.nn.functional.conv2d(torch.tensor(image)[None, None], torch.tensor(kernel)[None, None])
    np.testing.assert_allclose(actual, expected[0, 0].numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(actual, by_loops(image, kernel), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool"])
def test_integer_images_neither_overflow_nor_truncate(dtype):
    """Integers of every width give the exact float64 result: extreme values, negative and fractional taps."""
    top = 1 if dtype == "bool" else min(np.iinfo(dtype).max, 2**40)  # beyond, float64 itself would round
    image = np.full((5, 4), top).astype(dtype)
    for kernel in (np.full((3, 2), 127, np.int8), np.full((3, 2), -0.5)):
        actual = convolve2d(image, kernel)
        assert actual.dtype == np.float64
        np.testing.assert_array_equal(actual, by_loops(image, kernel))


def test_does_not_flip_the_kernel():
    """A kernel with its one at the top left copies the image's top left: this is cross-correlation."""
    image = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(convolve2d(image, np.array([[1, 0], [0, 0]])), image[:-1, :-1])


@pytest.mark.parametrize(
    ("image", "kernel", "result"),
    [
        ("float32", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("float64", "float32", "float64"),
        ("float32", "int64", "float64"),
        ("uint8", "float32", "float64"),
        ("float16", "float16", "float64"),
    ],
)
def test_result_is_float32_only_if_both_are(image, kernel, result):
    """float32 twice stays float32; every other pair gives float64."""
    assert convolve2d(np.ones((3, 3), image), np.ones((2, 2), kernel)).dtype == result


def test_float32_is_summed_in_double_precision():
    """1e8 + 1 - 1e8 gives 1 for float32 images, where a float32 sum gives 0."""
    image = np.array([[1e8, 1, -1e8]], np.float32)
    assert convolve2d(image, np.ones((1, 3), np.float32)) == [[1.0]]


def test_repeats_itself_and_leaves_its_inputs_alone():
    """Two calls agree bit for bit, on a non-contiguous image too, and neither array is changed."""
    image, kernel = np.random.default_rng(0).normal(size=(20, 30))[::2, ::-3], EDGE_KERNEL.copy()
    before = image.copy()
    first = convolve2d(image, kernel)
    assert first.tobytes() == convolve2d(image, kernel).tobytes() == convolve2d(before, kernel).tobytes()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(kernel, EDGE_KERNEL)


def test_kernel_as_large_as_the_image_gives_one_number():
    """The largest kernel that fits has one position: the sum of all products."""
    image = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(convolve2d(image, image), [[55.0]])


@pytest.mark.parametrize("kernel_shape", [(4, 1), (1, 6), (4, 6), (0, 2), (2, 0)])
def test_kernel_that_does_not_fit_is_an_error(kernel_shape):
    """A kernel that is larger in one direction, or empty, is a ValueError that names both shapes."""
    with pytest.raises(ValueError, match=r"kernel of shape \(\d, \d\) does not fit .* shape \(3, 5\)$"):
        convolve2d(np.ones((3, 5)), np.ones(kernel_shape))


@pytest.mark.parametrize(("image_shape", "kernel_shape"), [((3, 3, 3), (2, 2)), ((3, 3), (2,)), ((), ())])
def test_anything_but_two_dimensions_is_an_error(image_shape, kernel_shape):
    """A colour image, a flat kernel and a scalar are ValueErrors that say 2-D."""
    with pytest.raises(ValueError, match="must be 2-D, got shapes"):
        convolve2d(np.ones(image_shape), np.ones(kernel_shape))


def test_edge_kernel_is_eight_against_its_neighbours():
    """EDGE_KERNEL is 3x3 with 8 inside -1, so its entries sum to zero."""
    assert EDGE_KERNEL.tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    assert EDGE_KERNEL.sum() == 0


def test_show_edges_is_dark_but_along_the_step():
    """Of an image with one vertical step of 10 only the two columns beside it respond, with 3 * 10."""
    image = np.full((6, 8), 100, np.uint8)
    image[:, 4:] = 110
    shown = show_edges(image)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown[:, :6], image[1:-1, 1:-1])
    np.testing.assert_array_equal(shown[:, 6:], np.tile(np.array([0, 0, 30, 30, 0, 0], np.uint8), (4, 1)))


def test_show_edges_clips_instead_of_wrapping():
    """A lone white pixel responds with 8 * 255 and is shown as 255; its neighbours respond with -255."""
    image = np.zeros((5, 5), np.uint8)
    image[2, 2] = 255
    assert show_edges(image)[:, 3:].tolist() == [[255] * 3] * 3
