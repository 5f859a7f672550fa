import pytest
import torch

from reference.parameter_count import count_parameters
from reference.vit import ViT
from tests.reference.devices import DEVICES


def built(**changes):
    torch.manual_seed(0)
    sizes = {"num_classes": 3, "image_size": 8, "patch_size": 4, "embed_size": 12, "depth": 2, "heads": 3}
    return ViT(**{**sizes, **changes}).double().eval()


def images():
    return torch.randn(2, 3, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(1))


def test_default_is_the_lessons_size():
    """By default (N, 3, 32, 32) gives (N, 10), from 4 blocks of width 64 on 64 patches."""
    model = ViT().to("meta")
    assert model(torch.empty(5, 3, 32, 32, device="meta")).shape == (5, 10)
    assert model.positions.shape == (1, 64, 64)
    assert len(model.blocks) == 4


def test_parameters_in_closed_form():
    """The size is the sum over its parts: patches, positions, depth blocks, head."""
    E, depth, K, patches, inputs = 12, 2, 3, 4, 3 * 4 * 4
    block = 4 * (E * E + E) + 2 * 2 * E + (4 * E * E + 4 * E) + (4 * E * E + E)
    assert count_parameters(built()) == (inputs * E + E) + patches * E + depth * block + (E * K + K)


def test_logits_are_the_parts_in_order():
    """In eval mode the logits are head(mean(blocks(patches + positions)))."""
    model, x = built(), images()
    expected = model.patches(x) + model.positions
    for block in model.blocks:
        expected = block(expected)
    torch.testing.assert_close(model(x), model.head(expected.sum(dim=1) / 4))


def test_sees_positions():
    """Swapping two patches changes the logits; without the learned positions it would not."""
    model, x = built(), images()
    swapped = x.clone()
    swapped[:, :, :4, :4], swapped[:, :, 4:, 4:] = x[:, :, 4:, 4:], x[:, :, :4, :4]
    assert (model(swapped) - model(x)).abs().max() > 1e-4
    torch.nn.init.zeros_(model.positions)
    torch.testing.assert_close(model(swapped), model(x))


def test_images_of_a_batch_do_not_mix():
    """An image gets the same logits alone and in a batch."""
    model, x = built(), images()
    torch.testing.assert_close(model(x)[1:], model(x[1:]))


def test_train_mode_is_random_and_eval_mode_is_not():
    """Dropout acts in train mode; in eval mode the same image gives the same bits."""
    model, x = built(), images()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_every_parameter_gets_a_gradient():
    """All parts take part, but for the keys' biases, which cancel in the softmax."""
    model = built()
    model(images()).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert name.endswith("keys.bias") or parameter.grad.abs().max() > 1e-9, name


def test_learns_where_a_patch_is():
    """Bright at the top left or at the bottom right: 40 steps take the loss below 0.1."""
    model = built(num_classes=2).train()
    x = 0.1 * torch.randn(16, 3, 8, 8, dtype=torch.double)
    x[:8, :, :4, :4] += 1
    x[8:, :, 4:, 4:] += 1
    labels = torch.tensor([0] * 8 + [1] * 8)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, "embed_size 12 cannot be split into 5 heads"),
        ({"patch_size": 3}, "image_size 8 cannot"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    """What its parts refuse reaches whoever builds the model."""
    with pytest.raises(ValueError, match=message):
        built(**changes)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_in_kind(dtype, device):
    """Dtype and device of the logits are the images'."""
    out = built().to(device, dtype)(images().to(device, dtype))
    assert (out.dtype, out.device.type) == (dtype, device)
