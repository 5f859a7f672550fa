import copy

import pytest
import torch
from torch import nn

from dlgrade.small_resnet import SmallResNet
from reference.comparison import compare
from reference.training import evaluate, train_one_epoch
from reference.transfer import build_transfer_model
from reference.vit import ViT
from tests.reference.devices import DEVICES


def loader(seed, size=12):
    """Batches of 4 and less: class 0 is dark images, class 1 bright ones, in a fixed order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(size) % 2
    images = torch.randn(size, 3, 8, 8, generator=generator) + 2 * labels.view(-1, 1, 1, 1) - 1
    return list(zip(images.split(4), labels.split(4), strict=True))


def models():
    torch.manual_seed(0)
    return {
        "cnn": SmallResNet(2, width=4),
        "vit": ViT(2, image_size=8, patch_size=4, embed_size=8, depth=1, heads=2),
        "transfer": build_transfer_model(2, SmallResNet(5, width=4)),
    }


def test_figures_are_those_of_training_each_model_by_hand():
    """Accuracy and final weights are those of Adam over the same epochs, one model after the other."""
    ours, theirs = models(), models()
    torch.manual_seed(1)  # the ViT's dropout
    rows = compare(ours, loader(1), loader(2, size=10), epochs=3, lr=0.003)
    torch.manual_seed(1)
    for row, (name, model) in zip(rows, theirs.items(), strict=True):
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.003)
        for _ in range(3):
            train_one_epoch(model, loader(1), optimizer, "cpu")
        assert row["name"] == name
        assert row["accuracy"] == evaluate(model, loader(2, size=10), "cpu")
        assert row["parameters"] == sum(p.numel() for p in model.parameters())
        for a, b in zip(ours[name].parameters(), model.parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_row_has_the_figures_of_the_contract():
    """Each row has these five keys; the timings are positive floats."""
    for row in compare(models(), loader(1), loader(2), epochs=1, lr=0.003):
        assert list(row) == ["name", "accuracy", "parameters", "seconds_per_epoch", "images_per_second"]
        assert 0 <= row["accuracy"] <= 1
        assert row["seconds_per_epoch"] > 0
        assert row["images_per_second"] > 0


def test_frozen_parameters_do_not_move():
    """A transfer model among the others keeps its backbone."""
    compared = models()
    before = copy.deepcopy(compared["transfer"].state_dict())
    compare(compared, loader(1), loader(2), epochs=1, lr=0.003)
    after = compared["transfer"].state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("device", DEVICES)
def test_models_learn_where_they_are_sent(device):
    """Dark from bright is learned by each model in a few epochs, on the device asked for."""
    compared = models()
    rows = compare(compared, loader(1, size=40), loader(2), epochs=8, lr=0.01, device=device)
    assert all(row["accuracy"] > 0.9 for row in rows)
    assert {next(model.parameters()).device.type for model in compared.values()} == {device}


def test_no_models_no_rows():
    """Nothing to compare gives an empty table."""
    assert compare({}, loader(1), loader(2), epochs=1, lr=0.1) == []


def test_at_least_one_epoch():
    """Without an epoch there is no time per epoch: refused before any model is touched."""
    with pytest.raises(ValueError, match="epochs is 0, expected at least 1"):
        compare({"linear": nn.Linear(2, 2)}, loader(1), loader(2), epochs=0, lr=0.1)
