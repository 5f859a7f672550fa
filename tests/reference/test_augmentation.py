"""make_transforms: what it accepts, what it normalises by, and how far the random transform goes."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from reference.augmentation import CIFAR10_MEAN, CIFAR10_STD, make_transforms

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (CIFAR10_MEAN, CIFAR10_STD))


def picture(seed=0):
    """(32, 32, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)


def seeded_views(image, n):
    """n results of the train transform, back in 0..1."""
    train, _ = make_transforms()
    torch.manual_seed(0)
    return torch.stack([train(image) for _ in range(n)]) * STD + MEAN


def test_the_test_transform_normalises_and_nothing_else():
    """The result is (value / 255 - mean) / std per channel, channels first, in float32."""
    image = picture()
    actual = make_transforms()[1](image)
    expected = (torch.tensor(image).permute(2, 0, 1).double() / 255 - MEAN) / STD
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected.float())


@pytest.mark.parametrize("which", [0, 1], ids=["train", "test"])
def test_every_kind_of_image_gives_the_same_tensor(which):
    """A PIL image, a (32, 32, 3) array and a (3, 32, 32) tensor give one plain tensor, bit for bit."""
    transform, array = make_transforms()[which], picture()
    kinds = [array, Image.fromarray(array), torch.tensor(array).permute(2, 0, 1)]
    results = []
    for image in kinds:
        torch.manual_seed(0)
        results.append(transform(image))
    for result in results:
        assert type(result) is torch.Tensor
        assert (result.shape, result.dtype) == ((3, 32, 32), torch.float32)
        assert torch.equal(result, results[0])


def test_the_test_transform_is_deterministic():
    """It repeats itself bit for bit and draws no random number."""
    _, test = make_transforms()
    before = torch.get_rng_state()
    assert torch.equal(test(picture()), test(picture()))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_train_transform_follows_torchs_seed():
    """One seed gives the same views bit for bit; within a run the views differ."""
    views = seeded_views(picture(), 5)
    assert torch.equal(views, seeded_views(picture(), 5))
    assert all(not torch.equal(view, views[0]) for view in views[1:])


def test_the_train_transform_leaves_its_image_alone():
    """The array given is unchanged afterwards."""
    image = picture()
    seeded_views(image, 3)
    np.testing.assert_array_equal(image, picture())


def test_both_transforms_normalise_alike():
    """A black image stays black under every augmentation, so both transforms give -mean / std everywhere."""
    black = np.zeros((32, 32, 3), np.uint8)
    train, test = make_transforms()
    torch.testing.assert_close(train(black), test(black))
    torch.testing.assert_close(test(black), (-MEAN / STD).expand(3, 32, 32))


def test_half_of_the_views_are_flipped_left_to_right_and_none_upside_down():
    """A bright top left quarter is at the top right in about 200 of 400 views, and never below."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16, :16] = 200
    views = seeded_views(image, 400).mean(dim=1)
    left, right = views[:, :16, :16].mean(dim=(1, 2)), views[:, :16, 16:].mean(dim=(1, 2))
    assert 140 <= (right > left).sum() <= 260  # 6 standard deviations of 10 around 200
    assert (views[:, 16:].mean(dim=(1, 2)) < torch.maximum(left, right)).all()


def test_views_are_rotated_by_at_most_ten_degrees():
    """A bright horizontal bar tilts either way, by up to 10 degrees (and 1.5 for the pixel grid)."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[14:18] = 200
    rows = torch.arange(32.0).view(32, 1)
    views = seeded_views(image, 200).mean(dim=1)
    heights = (views * rows).sum(dim=1) / views.sum(dim=1)  # (200, 32): the bar's centre in every column
    tilts = ((heights[:, 26] - heights[:, 5]) / 21).atan() * 180 / math.pi
    assert tilts.abs().max() < 11.5
    assert tilts.min() < -7
    assert tilts.max() > 7


def test_brightness_is_jittered_and_grey_stays_grey():
    """A grey image's level spreads by at least 0.02; its three channels stay equal."""
    grey = np.full((32, 32, 3), 128, np.uint8)
    centres = seeded_views(grey, 100)[:, :, 16, 16]
    assert centres.std(dim=0).min() > 0.02
    assert (centres.amax(dim=1) - centres.amin(dim=1)).max() < 1e-2


def test_contrast_is_jittered():
    """The difference of two greys, relative to their mean, varies: brightness alone would keep it."""
    image = np.full((32, 32, 3), 60, np.uint8)
    image[8:24, 8:24] = 150
    views = seeded_views(image, 100).mean(dim=1)
    inner, outer = views[:, 16, 16], views[:, 16, 4]
    contrast = (inner - outer) / (inner + outer)
    assert contrast.max() / contrast.min() > 1.2


def test_saturation_is_jittered():
    """Red over green of a small patch on black varies, where brightness and contrast scale both alike."""
    image = np.zeros((32, 32, 3), np.uint8)
    image[13:19, 13:19] = (160, 60, 60)
    centres = seeded_views(image, 100)[:, :, 16, 16]
    ratios = centres[:, 0] / centres[:, 1]
    assert ratios.max() / ratios.min() > 1.2


def test_jittered_colours_stay_in_range():
    """Before normalisation every value of every view of a noise image is in 0..1."""
    views = seeded_views(picture(), 50)
    assert views.min() >= -1e-6
    assert views.max() <= 1 + 1e-6


def test_results_collate_into_a_plain_batch():
    """The default collate function of a DataLoader stacks the results to (N, 3, 32, 32)."""
    train, _ = make_transforms()
    batch = default_collate([(train(picture(seed)), seed) for seed in range(4)])
    assert type(batch[0]) is torch.Tensor
    assert batch[0].shape == (4, 3, 32, 32)
