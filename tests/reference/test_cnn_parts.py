"""The parts of a CNN against torch's own, and the effect each of them is known for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from reference.cnn_parts import BatchNorm2d, conv2d, dropout, max_pool2d, output_side, relu
from tests.reference.devices import DEVICES


def normal(*shape, seed=0):
    return torch.randn(shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def assert_same_with_gradients(ours, theirs, *inputs):
    """Both functions give the same values and, for a random output gradient, the same input gradients."""
    results = []
    for function in (ours, theirs):
        leaves = [x.clone().requires_grad_() for x in inputs]
        output = function(*leaves)
        results.append((output, *torch.autograd.grad(output, leaves, normal(*output.shape, seed=1))))
    torch.testing.assert_close(*results)


@given(
    st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.tuples(st.integers(4, 9), st.integers(4, 9))
)
@settings(max_examples=30, deadline=None)
def test_convolution_agrees_with_torch(kernel, stride, padding, sides):
    """Values, all three gradients and the sides of output_side are torch's for every stride and padding."""
    x, weight, bias = (
        normal(2, 3, *sides),
        normal(4, 3, kernel, min(kernel + 1, 4), seed=2),
        normal(4, seed=3),
    )
    options = {"stride": stride, "padding": padding}
    assert_same_with_gradients(
        lambda *args: conv2d(*args, **options), lambda *args: F.conv2d(*args, **options), x, weight, bias
    )
    expected = [
        output_side(side, taps, **options) for side, taps in zip(sides, weight.shape[2:], strict=True)
    ]
    assert list(conv2d(x, weight, bias, **options).shape[2:]) == expected


def test_padding_one_keeps_the_size_and_stride_two_halves_it():
    """A 3x3 filter takes 32 to 30, with padding 1 to 32, and with stride 2 to 16."""
    sides = [output_side(32, 3), output_side(32, 3, padding=1), output_side(32, 3, padding=1, stride=2)]
    assert sides == [30, 32, 16]


def test_convolution_without_a_bias_maps_zeros_to_zeros():
    """No bias is the default."""
    assert not conv2d(torch.zeros(1, 2, 5, 5), torch.ones(3, 2, 3, 3)).any()


@pytest.mark.parametrize(
    ("weight_shape", "padding"), [((4, 2, 3, 3), 1), ((4, 3, 6, 3), 0), ((4, 3, 3, 8), 1)]
)
def test_a_filter_that_does_not_fit_is_an_error(weight_shape, padding):
    """Other channels than the image's, or a filter beyond the padded image: a ValueError with both shapes."""
    with pytest.raises(ValueError, match=r"weight of shape .* does not fit padded images \(2, 3, "):
        conv2d(torch.zeros(2, 3, 5, 5), torch.zeros(weight_shape), padding=padding)


def test_convolution_of_meta_tensors_has_a_shape():
    """On the meta device the shapes come out without any computation."""
    with torch.device("meta"):
        maps = conv2d(torch.empty(512, 3, 224, 224), torch.empty(64, 3, 7, 7), stride=2, padding=3)
    assert maps.shape == (512, 64, 112, 112)


@pytest.mark.parametrize(("side", "size"), [(6, 2), (7, 2), (9, 3), (3, 3), (2, 2)])
def test_pooling_agrees_with_torch(side, size):
    """Values and gradients are torch's max_pool2d; an odd side loses its last row and column."""
    x = normal(2, 3, side, side + 1)
    assert_same_with_gradients(lambda x: max_pool2d(x, size), lambda x: F.max_pool2d(x, size), x)
    assert max_pool2d(x, size).shape == (2, 3, side // size, (side + 1) // size)


def test_pooling_ignores_where_in_a_tile_the_maximum_is():
    """Shuffling the pixels inside every 2x2 tile changes nothing: the small shifts a CNN should not see."""
    x = normal(1, 1, 8, 8)
    shuffled = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)[..., [2, 0, 3, 1]]  # (1, 1, 4, 4, 4)
    again = shuffled.unflatten(-1, (2, 2)).permute(0, 1, 2, 4, 3, 5).reshape(1, 1, 8, 8)
    assert not torch.equal(again, x)
    assert torch.equal(max_pool2d(again), max_pool2d(x))


def test_relu_agrees_with_torch_at_zero_and_nan_too():
    """Values and gradients are torch's for negative, zero, positive, infinite and NaN inputs."""
    x = torch.tensor([-torch.inf, -1.0, -0.0, 0.0, 1e-300, 1.0, torch.inf, torch.nan], dtype=torch.double)
    results = []
    for function in (relu, F.relu):
        leaf = x.clone().requires_grad_()
        output = function(leaf)
        results.append(
            (output, torch.autograd.grad(output.sum(), leaf)[0][:-1])
        )  # NaN's gradient: torch's choice
    torch.testing.assert_close(*results, equal_nan=True)


def test_relu_zeroes_half_of_a_symmetric_input():
    """Of 10,000 standard normal values about half become zero; the others stay bit for bit."""
    x = normal(10_000)
    y = relu(x)
    assert 0.47 < (y == 0).double().mean() < 0.53  # 6 standard deviations of a fair coin's mean
    assert torch.equal(y[y != 0], x[x > 0])


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
def test_dropout_zeroes_a_fraction_p_and_keeps_the_mean(p):
    """In training a fraction p of ones is zero and the rest 1/(1-p), within 6 standard deviations."""
    n = 40_000
    y = dropout(
        torch.ones(n, dtype=torch.double), p, training=True, generator=torch.Generator().manual_seed(0)
    )
    dropped = (y == 0).double().mean().item()
    spread = 6 * (p * (1 - p) / n) ** 0.5
    assert abs(dropped - p) <= spread
    assert abs(y.mean().item() - 1) <= spread / (1 - p) + 1e-12
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)))


def test_dropout_passes_everything_in_evaluation():
    """In evaluation the output is the input bit for bit and no random number is drawn."""
    generator = torch.Generator().manual_seed(0)
    before, x = generator.get_state(), normal(100)
    assert torch.equal(dropout(x, 0.5, training=False, generator=generator), x)
    assert torch.equal(generator.get_state(), before)


def test_dropout_follows_its_generator():
    """One seed drops the same values twice; another seed drops others."""
    kept = [
        dropout(torch.ones(100), training=True, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[0], kept[2])


def test_dropout_stops_the_gradient_of_what_it_dropped():
    """The gradient is the mask itself: 0 for the dropped values and 1/(1-p) for the others."""
    x = torch.ones(100, dtype=torch.double, requires_grad=True)
    y = dropout(x, 0.2, training=True, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], y.detach())


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_an_impossible_dropout_probability_is_an_error(p):
    """A p outside 0 <= p < 1 is a ValueError that names it, in evaluation too."""
    with pytest.raises(ValueError, match=r"dropout probability is .*, expected 0 <= p < 1"):
        dropout(torch.ones(3), p, training=False)


def norm_pair():
    """Ours and torch's batch normalisation with the same scale and shift, none of them one or zero."""
    ours, theirs = BatchNorm2d(3).double(), nn.BatchNorm2d(3).double()
    for norm in (ours, theirs):
        norm.weight.data, norm.bias.data = normal(3, seed=4), normal(3, seed=5)
    return ours, theirs


def test_batch_norm_agrees_with_torch_in_training_and_evaluation():
    """Values, gradients and running statistics are torch's over three training batches and an evaluation."""
    ours, theirs = norm_pair()
    for step in range(3):
        x = 3 * normal(4, 3, 5, 6, seed=step) + 7
        assert_same_with_gradients(
            lambda x, w, b: torch.func.functional_call(ours, {"weight": w, "bias": b}, x),
            lambda x, w, b: torch.func.functional_call(theirs, {"weight": w, "bias": b}, x),
            *(x, ours.weight.data, ours.bias.data),
        )
        torch.testing.assert_close(ours.running_mean, theirs.running_mean)
        torch.testing.assert_close(ours.running_var, theirs.running_var)
    assert_same_with_gradients(ours.eval(), theirs.eval(), normal(2, 3, 4, 4, seed=9))


def test_batch_norm_gives_each_channel_mean_zero_and_variance_one():
    """In training every channel comes out with mean 0 and variance 1, whatever it was."""
    scales = torch.tensor([1e-1, 1.0, 1e3], dtype=torch.double).view(3, 1, 1)
    y = BatchNorm2d(3, eps=0.0).double()(normal(8, 3, 6, 6) * scales + 50 * scales)
    torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.double))
    torch.testing.assert_close(y.var(dim=(0, 2, 3), correction=0), torch.ones(3, dtype=torch.double))


def test_batch_norm_depends_on_the_batch_in_training_only():
    """An image's output changes with its companions in training and does not in evaluation."""
    norm = BatchNorm2d(3).double()
    image, others = normal(1, 3, 4, 4), normal(3, 3, 4, 4, seed=1)
    batch = torch.cat([image, others])
    assert not torch.allclose(norm(batch)[:1], norm(image))
    norm.eval()
    assert torch.equal(norm(batch)[:1], norm(image))


def test_batch_norm_in_evaluation_keeps_its_statistics():
    """Evaluation changes no buffer, bit for bit, and repeats itself."""
    norm = BatchNorm2d(3).double()
    norm(normal(4, 3, 5, 5))
    before = {name: buffer.clone() for name, buffer in norm.eval().named_buffers()}
    x = normal(4, 3, 5, 5, seed=1)
    assert torch.equal(norm(x), norm(x))
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


def test_batch_norm_keeps_its_precision_far_from_zero():
    """A float32 batch around 10,000 comes out as its float64 copy does, within what float32 inputs allow."""
    x = (normal(8, 1, 8, 8) + 10_000).float()
    torch.testing.assert_close(
        BatchNorm2d(1)(x).double(), BatchNorm2d(1).double()(x.double()), rtol=0, atol=2e-3
    )


def test_batch_norm_refuses_to_train_on_one_value():
    """A batch with one value per channel is a ValueError in train mode; in eval mode it is fine."""
    norm = BatchNorm2d(3)
    with pytest.raises(
        ValueError, match=r"x has shape \(1, 3, 1, 1\), expected two values or more per channel"
    ):
        norm(torch.ones(1, 3, 1, 1))
    assert norm.eval()(torch.ones(1, 3, 1, 1)).shape == (1, 3, 1, 1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_block_of_the_parts_runs_on_its_inputs_device(device):
    """Convolution, batch norm, ReLU, pooling and dropout in a row stay on the device of their input."""
    x = normal(2, 3, 8, 8).to(device)
    norm = BatchNorm2d(4).double().to(device)
    y = dropout(max_pool2d(relu(norm(conv2d(x, normal(4, 3, 3, 3).to(device), padding=1)))), training=True)
    assert y.shape == (2, 4, 4, 4)
    assert y.device.type == device
