"""SimpleCNN and Cifar10CNN: shapes, sizes, and that they use every pixel and every parameter."""

import pytest
import torch
from torch import nn

from reference.cifar10_cnn import PARAMETER_BUDGET, Cifar10CNN
from reference.simple_cnn import SimpleCNN
from tests.reference.devices import DEVICES

MODELS = {"SimpleCNN": (SimpleCNN, (1, 28, 28)), "Cifar10CNN": (Cifar10CNN, (3, 32, 32))}
each_model = pytest.mark.parametrize(("model_class", "image_shape"), MODELS.values(), ids=MODELS)


def built(model_class, *arguments):
    torch.manual_seed(0)
    return model_class(*arguments).double()


@each_model
def test_maps_images_to_logits_on_the_meta_device(model_class, image_shape):
    """(4096, C, H, W) images give (4096, K) logits, for K of 10 by default, 1 and 1000."""
    for arguments, classes in [((), 10), ((1,), 1), ((1000,), 1000)]:
        with torch.device("meta"):
            logits = model_class(*arguments)(torch.empty(4096, *image_shape))
        assert logits.shape == (4096, classes)


def test_simple_cnn_is_the_lessons_chain_of_operations():
    """In eval mode the logits are the chain of functional calls with its parameters in order."""
    model = built(SimpleCNN).eval()
    images = torch.randn(3, 1, 28, 28, dtype=torch.double)
    parameters = iter(model.parameters())
    x, sides = images, []
    for _ in range(3):
        x = nn.functional.conv2d(x, next(parameters), next(parameters), padding=1)
        x = nn.functional.max_pool2d(nn.functional.relu(x), 2)
        sides.append(x.shape[1:])
    x = nn.functional.relu(nn.functional.linear(x.flatten(1), next(parameters), next(parameters)))
    x = nn.functional.linear(x, next(parameters), next(parameters))
    torch.testing.assert_close(model(images), x)
    assert sides == [(32, 14, 14), (64, 7, 7), (128, 3, 3)]
    assert next(parameters, None) is None


def test_simple_cnn_has_the_lessons_parameters():
    """The weights have the lesson's shapes: channels 1, 32, 64, 128, then 1152 to 256 to K."""
    shapes = [tuple(p.shape) for p in SimpleCNN(7).parameters() if p.dim() > 1]
    assert shapes == [(32, 1, 3, 3), (64, 32, 3, 3), (128, 64, 3, 3), (256, 1152), (7, 256)]


def test_simple_cnn_drops_half_of_the_hidden_layer_in_train_mode_only():
    """The sum of 256 hidden ones is 256 in eval mode and 2 * Binomial(256, 1/2) in train mode."""
    model = built(SimpleCNN)
    hidden, last = (module for module in model.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        for layer, weight, bias in ((hidden, 0.0, 1.0), (last, 1.0, 0.0)):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
    images = torch.zeros(200, 1, 28, 28, dtype=torch.double)
    assert (model.eval()(images) == 256).all()
    totals = model.train()(images)[:, 0]  # mean 256, standard deviation 16; of the mean of 200: 1.1
    assert abs(totals.mean() - 256) < 6
    assert 12 < totals.std() < 20


@each_model
def test_gives_logits_not_probabilities(model_class, image_shape):
    """Outputs have both signs and no row's exponentials sum to one: no softmax, no log-softmax."""
    logits = built(model_class).eval()(torch.randn(16, *image_shape, dtype=torch.double))
    assert (logits < 0).any()
    assert (logits > 0).any()
    assert (logits.exp().sum(dim=1) - 1).abs().min() > 1e-3


@each_model
def test_every_parameter_gets_a_gradient(model_class, image_shape):
    """Cross-entropy over a batch reaches every parameter with a finite gradient that is not all zero."""
    model = built(model_class)
    labels = torch.arange(16) % 10
    nn.functional.cross_entropy(model(torch.randn(16, *image_shape, dtype=torch.double)), labels).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@each_model
def test_an_image_does_not_depend_on_its_batch_in_eval_mode(model_class, image_shape):
    """Each row of a batch's logits is what the image alone gives."""
    model = built(model_class).eval()
    images = torch.randn(5, *image_shape, dtype=torch.double)
    torch.testing.assert_close(model(images), torch.cat([model(image[None]) for image in images]))


def test_cifar10_cnn_looks_at_every_pixel_and_channel():
    """Over 64 images each of the 3*32*32 inputs has some gradient."""
    model = built(Cifar10CNN).eval()
    images = torch.randn(64, 3, 32, 32, dtype=torch.double, requires_grad=True)
    model(images).square().sum().backward()
    assert (images.grad.abs().amax(dim=0) > 0).all()


def test_cifar10_cnn_stays_far_below_its_budget():
    """113,962 parameters, of the 2,000,000 allowed."""
    parameters = sum(p.numel() for p in Cifar10CNN().parameters())
    assert parameters == 113_962
    assert parameters < PARAMETER_BUDGET == 2_000_000


def test_cifar10_cnn_gives_the_same_in_channels_last():
    """The channels_last memory format, which is faster on a CPU, changes no logit beyond rounding."""
    model, images = built(Cifar10CNN).eval(), torch.randn(4, 3, 32, 32, dtype=torch.double)
    expected = model(images)
    fast = model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(fast(images.to(memory_format=torch.channels_last)), expected)


@each_model
def test_the_seed_decides_weights_and_logits(model_class, image_shape):
    """Two models built from one seed give bitwise equal logits."""
    images = torch.randn(2, *image_shape, dtype=torch.double)
    first, second = built(model_class).eval()(images), built(model_class).eval()(images)
    assert torch.equal(first, second)


@pytest.mark.parametrize("device", DEVICES)
@each_model
def test_the_logits_stay_on_the_models_device(model_class, image_shape, device):
    """Inputs and model on one device give logits there, close to the CPU's."""
    model, images = built(model_class).eval(), torch.randn(2, *image_shape, dtype=torch.double)
    expected = model(images)
    logits = model.to(device)(images.to(device))
    assert logits.device.type == device
    torch.testing.assert_close(logits.cpu(), expected)
