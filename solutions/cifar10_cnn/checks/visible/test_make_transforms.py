"""What the two transforms of make_transforms must do to an image."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Image

MEAN = torch.tensor((0.4914, 0.4822, 0.4465), dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor((0.2470, 0.2435, 0.2616), dtype=torch.float64).view(3, 1, 1)


def pair(submission):
    """The two transforms, which stay with the submission."""
    made = submission.make_transforms()
    two = isinstance(made, tuple | list) and len(made) == 2
    compare.require(two, "make_transforms() does not return a pair (train, test)")
    compare.require(all(map(callable, made)), "make_transforms() returns something that is not a transform")
    return made


def apply(transform, pixels, what):
    """The transformed image of uint8 pixels (32, 32, 3), given as a PIL image."""
    result = compare.tensor(transform(Image(pixels)), what=what, shape=(3, 32, 32))
    observe(f"is {what} floating", torch.tensor(float(result.is_floating_point())))
    compare.require(result.is_floating_point(), f"{what} has dtype {result.dtype}, expected a floating one")
    return result.double()


def pixels_of(oracle):
    return oracle.integers(32, 32, 3, low=0, high=256).to(torch.uint8)


@check(
    part="make_transforms",
    points=1,
    kind="shape",
    help="Both transforms end with a floating tensor, channels first.",
)
def transforms_give_float_tensors(submission, oracle):
    """both transforms turn a PIL image into a floating tensor (3, 32, 32)"""
    train, test = pair(submission)
    pixels = pixels_of(oracle)
    apply(train, pixels, "the train transform of an image")
    apply(test, pixels, "the test transform of an image")


@check(
    part="make_transforms",
    points=1,
    kind="property",
    needs=("test_transform_normalises_with_the_given_statistics",),
    help="Convert to float32: NumPy's division gives float64, which a network's weights refuse to meet.",
)
def transforms_give_float32(submission, oracle):
    """what both transforms give is float32, as a network's weights are"""
    image = Image(pixels_of(oracle))
    names = ("train", "test")
    results = [
        compare.tensor(transform(image), what=f"the {name} transform of an image")
        for name, transform in zip(names, pair(submission), strict=True)
    ]
    observe("is [train, test] float32", torch.tensor([r.dtype == torch.float32 for r in results]).double())
    for name, result in zip(names, results, strict=True):
        compare.tensor(result, what=f"the {name} transform of an image", dtype=torch.float32)


@check(
    part="make_transforms",
    points=1,
    kind="value",
    needs=("transforms_give_float_tensors",),
    help="Scale the pixels to 0..1, then subtract the mean and divide by the deviation of each channel.",
)
def test_transform_normalises_with_the_given_statistics(submission, oracle):
    """the test transform scales to 0..1 and normalises each channel with the given statistics"""
    _, test = pair(submission)
    for _ in range(2):
        pixels = pixels_of(oracle)
        expected = (pixels.permute(2, 0, 1).double() / 255 - MEAN) / STD
        result = apply(test, pixels, "the test transform of an image")
        compare.close(result, expected, what="the test transform of an image", rtol=1e-3, atol=1e-3)


@check(
    part="make_transforms",
    points=1,
    kind="property",
    needs=("transforms_give_float_tensors",),
    help="Augment the training images only: each test image must be scored as it is, every time.",
)
def only_the_train_transform_is_random(submission, oracle):
    """the train transform changes from call to call, the test transform does not"""
    train, test = pair(submission)
    pixels = pixels_of(oracle)
    results = {"train": [], "test": []}
    for _ in range(12):
        results["train"].append(apply(train, pixels, "the train transform of an image"))
        results["test"].append(apply(test, pixels, "the test transform of an image"))
    random = {
        split: any(not torch.equal(images[0], image) for image in images) for split, images in results.items()
    }
    compare.chance(0.5 * 2.0**-11 * 1e-6)  # twelve equal flips, and twelve angles that move no pixel
    observe("is [train, test] random", torch.tensor([float(random["train"]), float(random["test"])]))
    compare.require(random["train"], "the train transform gives the same result for an image every time")
    compare.require(not random["test"], "the test transform gives different results for one image")
