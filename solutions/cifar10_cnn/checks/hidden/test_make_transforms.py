"""How the train transform augments, measured on synthetic images over many calls."""

import math

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.proxy import repeated
from dlgrade.specs import Image

MEAN = torch.tensor((0.4914, 0.4822, 0.4465), dtype=torch.float64).view(3, 1, 1)
STD = torch.tensor((0.2470, 0.2435, 0.2616), dtype=torch.float64).view(3, 1, 1)
ANGLE = 10.0  # degrees, at most
UNSURE = 3.0  # degrees that a measured angle may be off; 1 is what pixels leave open
CALLS = 400  # of seven transforms that mirror 0.35 of the images so many tell six from 0.5
# No more calls are made where, of the first so many, half were mirrored give or take so many. Half of the
# correct transforms end after 64 calls and most others after 150; of those that mirror 0.35 one in 27 does.
LOOKS = ((64, 2), (150, 8))


def pair(submission):
    """The two transforms, which stay with the submission."""
    made = submission.make_transforms()
    two = isinstance(made, tuple | list) and len(made) == 2
    compare.require(two, "make_transforms() does not return a pair (train, test)")
    compare.require(all(map(callable, made)), "make_transforms() returns something that is not a transform")
    return made


def apply(transform, image, what):
    """The transformed image as pixels in 0..1, channels first: the normalisation undone."""
    return _pixels(transform(image), what)


def apply_often(transform, image, what, *, times):
    """What so many calls make of one image, each as `apply` gives it."""
    return [_pixels(result, what) for result in repeated(transform, times, image)]


def _pixels(result, what):
    return compare.tensor(result, what=what, shape=(3, 32, 32)).double() * STD + MEAN


def observe_randomness(trained, test, image):
    """Record which split is random at all: what a missing augmentation is told apart by.

    Args:
        trained: what the train transform made of `image` each time.
        test: the test transform.
        image: one that looks different mirrored, turned or in other colours.
    """
    tested = apply_often(test, image, "the test transform of an image", times=10)
    for name, images in (("train", trained), ("test", tested)):
        varies = any(not torch.equal(images[0], other) for other in images)
        observe(f"is the {name} transform random", torch.tensor(float(varies)))


def halves(dim):
    """An image whose first half along `dim` is dark, whose second half is bright and whose corner is red."""
    pixels = torch.full((32, 32, 3), 60, dtype=torch.uint8)
    pixels.narrow(dim, 16, 16).fill_(190)
    pixels[:3, :3] = torch.tensor([200, 125, 40], dtype=torch.uint8)
    return pixels


@check(
    part="make_transforms",
    points=1,
    kind="property",
    needs=("transforms_give_float_tensors",),
    help="Cats look left as often as right, but they do not stand on their heads.",
)
def train_transform_mirrors_half_of_the_images(submission, oracle):
    """about half of the training images are mirrored left to right, none is upside down"""
    train, test = pair(submission)
    sideways, upright = Image(halves(1)), Image(halves(0))
    trained = []
    for calls, near in (*LOOKS, (CALLS, CALLS)):
        trained += apply_often(train, sideways, "the train transform of an image", times=calls - len(trained))
        mirrored = count_brighter_first(torch.stack(trained).transpose(2, 3))
        if abs(mirrored - calls / 2) <= near:
            break
    observe_randomness(trained, test, sideways)
    turned = apply_often(train, upright, "the train transform of an image", times=24)
    inverted = count_brighter_first(torch.stack(turned))
    observe("[never mirrored, always mirrored, ever upside down]", torch.tensor(
        [float(mirrored == 0), float(mirrored == calls), float(inverted > 0)]
    ))  # fmt: skip
    compare.require(inverted == 0, f"{inverted} of 24 training images are upside down")
    compare.frequency(mirrored, calls, 0.5, what="mirroring")


def count_brighter_first(images):
    """How many images (N, 3, 32, 32) are brighter in their upper half, where the original is dark."""
    rows = images.mean((1, 3))
    return int((rows[:, 6:12].mean(1) > rows[:, 20:26].mean(1)).sum())


@check(
    part="make_transforms",
    points=1,
    kind="property",
    needs=("transforms_give_float_tensors",),
    help="Turn each training image by a random angle of at most 10 degrees, either way.",
)
def train_transform_rotates_by_a_few_degrees(submission, oracle):
    """training images are rotated, by at most 10 degrees"""
    train, test = pair(submission)
    edge = Image(halves(0))
    columns = torch.arange(3, 29).double() - 15.5
    slopes = []
    turned = apply_often(train, edge, "the train transform of an image", times=60)
    observe_randomness(turned, test, edge)
    for image in turned:
        grey = image.mean(0)
        dark, light = grey[4:8, 10:22].mean(), grey[24:28, 10:22].mean()
        bright = ((grey - dark) / (light - dark + 1e-9))[8:24, 3:29].clamp(0, 1).sum(0)  # rows, by column
        slopes.append(float((columns * bright).sum() / columns.square().sum()))
    angles = torch.tensor([math.degrees(math.atan(slope)) for slope in slopes])
    moved, far = int((angles.abs() > 1.5).sum()), int((angles.abs() > ANGLE + UNSURE).sum())
    compare.chance(0.5**60)  # 60 angles below 5 degrees; an angle of 5 is always seen
    observe("[any rotation, too far]", torch.tensor([float(moved > 0), float(far > 0)]))
    compare.require(moved > 0, "the train transform rotates no image")
    compare.require(far == 0, f"{far} of 60 training images are rotated by more than 10 degrees")


@check(
    part="make_transforms",
    points=1,
    kind="property",
    needs=("transforms_give_float_tensors",),
    help="Vary brightness, contrast or saturation a little; colours are jittered before they are normalised.",
)
def train_transform_jitters_colours(submission, oracle):
    """the colours of training images vary"""
    train, test = pair(submission)
    shade = torch.tensor([180, 120, 70], dtype=torch.uint8).repeat(32, 32, 1)
    shade[:3, :3] = 0  # never turned as far as the pixels that are looked at
    shade = Image(shade)
    images = apply_often(train, shade, "the train transform of an image", times=16)
    observe_randomness(images, test, shade)
    colours = torch.stack(images)[:, :, 14:18, 14:18]
    spread = float((colours - colours[0]).abs().max())
    compare.chance(1e-12)  # a continuous factor drawn 16 times, each within half a grey level
    observe("do colours vary", torch.tensor(float(spread > 1e-3)))
    compare.require(spread > 1e-3, "the colours of an image are the same every time")


@check(
    part="make_transforms",
    points=1,
    kind="value",
    needs=("transforms_give_float_tensors",),
    help="Both splits need the same normalisation, applied once, after the colours were jittered.",
)
def train_transform_normalises_as_the_test_transform_does(submission, oracle):
    """augmented images are normalised with the same statistics and stay within the range of pixels"""
    train, test = pair(submission)
    dark = Image(torch.full((32, 32, 3), 8, dtype=torch.uint8))
    noise = Image(oracle.integers(32, 32, 3, low=0, high=256).to(torch.uint8))
    centre = torch.stack(apply_often(train, dark, "the train transform of a dark image", times=8))
    grey = float(centre[:, :, 8:24, 8:24].mean())
    images = torch.stack(apply_often(train, noise, "the train transform of an image", times=8))
    low, high = float(images.min()), float(images.max())
    observe("grey level of a dark image", torch.tensor(grey), tolerance=0.004)
    tested = apply(test, dark, "the test transform of a dark image").mean()
    observe("grey level of a dark test image", tested, tolerance=0.004)
    facts = [grey > 0.1, low < -0.01, high > 1.01]
    observe("[dark is not dark, below black, above white]", torch.tensor([float(fact) for fact in facts]))
    compare.require(not facts[0], f"an almost black training image comes out with a grey level of {grey:.2f}")
    compare.require(not facts[1] and not facts[2], f"training images range from {low:.2f} to {high:.2f}")


@check(
    part="make_transforms",
    points=1,
    kind="property",
    needs=("test_transform_normalises_with_the_given_statistics",),
    help="A uint8 array is (32, 32, 3), a uint8 tensor (3, 32, 32); bring all to one form first.",
)
def transforms_accept_arrays_and_tensors(submission, oracle):
    """a uint8 array or tensor is transformed as the PIL image of the same pixels is"""
    train, test = pair(submission)
    pixels = oracle.integers(32, 32, 3, low=0, high=256).to(torch.uint8)
    expected = pixels.permute(2, 0, 1).double() / 255
    forms = {"array": pixels.numpy(), "tensor": pixels.permute(2, 0, 1).contiguous()}
    for name, form in forms.items():
        apply(train, form, f"the train transform of a uint8 {name}")
        result = apply(test, form, f"the test transform of a uint8 {name}")
        compare.close(result, expected, what=f"the test transform of a uint8 {name}", rtol=1e-3, atol=1e-3)
