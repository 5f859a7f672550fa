"""The kit's own training of image classifiers: its fast form against the plain one, and its version."""

import numpy as np
import pytest
import torch
from torch import nn

from dlgrade.calibration_source import TRAINERS
from dlgrade.plain_training import PlainImageTrainer
from dlgrade.training import ImageTrainer, normalise

RECIPE = {"limit": 90, "epochs": 3, "batch_size": 16, "max_lr": 3e-3, "seed": 8}


@pytest.fixture
def images(tmp_path):
    """Files of a hundred images of noise in two kinds: one is a little brighter at the top."""
    draws = np.random.default_rng(3)
    labels = draws.integers(0, 2, 100)
    pixels = draws.integers(0, 120, (100, 8, 8, 3))
    pixels[labels == 1, :4] += 15
    np.save(tmp_path / "inputs.npy", pixels.astype(np.uint8))
    np.save(tmp_path / "labels.npy", labels)
    return {"inputs": str(tmp_path / "inputs.npy"), "labels": str(tmp_path / "labels.npy")}


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 2),
    )


def trained(kind, images, **changed) -> tuple[list[float], torch.Tensor]:
    """Mean losses of the epochs, and all parameters at the end."""
    model = network()
    training = kind(of=model, **images, **{**RECIPE, **changed})
    losses = [training.epoch() for _ in range(RECIPE["epochs"])]
    return losses, torch.cat([value.detach().flatten() for value in model.parameters()])


def test_the_fast_form_computes_what_the_plain_one_does(images):
    """Same losses and same weights but for float error: order, mirroring, scaling and schedule agree."""
    fast, plain = trained(ImageTrainer, images), trained(PlainImageTrainer, images)
    assert fast[0] == pytest.approx(plain[0], rel=1e-4)
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-3, atol=1e-4)
    assert fast[0][-1] < 0.8 * fast[0][0]


def test_training_on_some_classes_leaves_the_others_out(images):
    """Both forms count from the first of those classes, and `limit` counts their examples alone."""
    labels = np.load(images["labels"])
    np.save(images["labels"], np.where(np.arange(100) % 3 == 0, labels + 5, labels + 2))  # 2, 3 and 5, 6
    chosen = {"classes": (5, 7), "limit": 30}
    fast, plain = trained(ImageTrainer, images, **chosen), trained(PlainImageTrainer, images, **chosen)
    assert fast[0] == pytest.approx(plain[0], rel=1e-4)
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-3, atol=1e-4)
    every = np.load(images["inputs"])
    np.save(images["inputs"], every[::3])
    np.save(images["labels"], labels[::3])
    alone = trained(ImageTrainer, images, limit=30)
    assert fast[0] == alone[0]


def test_mixed_precision_learns_the_same(images):
    """In bfloat16 the losses are those of float32 to two digits, and the weights stay float32."""
    exact, mixed = trained(ImageTrainer, images), trained(ImageTrainer, images, mixed=True)
    assert mixed[0] == pytest.approx(exact[0], rel=0.03)
    assert mixed[0] != exact[0]
    assert mixed[1].dtype == torch.float32


def test_the_seed_decides_order_and_mirroring(images):
    """The same seed gives the same weights bit by bit, another one others."""
    first, again, other = (trained(ImageTrainer, images, seed=seed)[1] for seed in (8, 8, 9))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_schedule_ends_with_the_last_epoch(images):
    """One cycle over all steps: another epoch would be one too many."""
    training = ImageTrainer(of=network(), **images, **RECIPE)
    for _ in range(RECIPE["epochs"]):
        training.epoch()
    with pytest.raises(ValueError, match="total steps"):
        training.epoch()


def test_images_are_scaled_as_when_they_are_predicted(images):
    """Bytes become float32 of about zero mean and unit variance, channels first."""
    pixels = np.load(images["inputs"])
    scaled = normalise(pixels)
    assert scaled.shape == (100, 3, 8, 8)
    expected = (pixels[5, 2, 3, 1] / 255 - 0.4822) / 0.2435
    assert scaled[5, 1, 2, 3].item() == pytest.approx(expected, abs=1e-5)


def test_a_version_goes_with_what_is_computed(images):
    """These losses are those of version 1: when they change, raise TRAINERS["images"], and then these."""
    losses, _ = trained(ImageTrainer, images)
    assert TRAINERS["images"] == 1
    assert losses == pytest.approx([0.70788, 0.61820, 0.51313], rel=1e-3)


def test_a_recipe_may_say_how_many_threads(images):
    """As the check of a small transformer does, which loses by a second one; else they stay as they are."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        ImageTrainer(of=network(), **images, **RECIPE)
        assert torch.get_num_threads() == 2
        ImageTrainer(of=network(), **images, **RECIPE, threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
