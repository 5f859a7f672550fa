"""Data augmentation for CIFAR-10: random for training, deterministic for testing."""

import torch
from torchvision.transforms import v2

# Per channel (red, green, blue), over the 50,000 training images scaled to 0..1.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


def make_transforms():
    """Build the image transforms of the training split and of the test split.

    Both take one 32x32 RGB image: a PIL image, a uint8 array (32, 32, 3) or a uint8 tensor
    (3, 32, 32). Both scale it to 0..1 and normalise it with CIFAR10_MEAN and CIFAR10_STD.

    Returns:
        A pair (train, test) of callables, each image -> float32 tensor (3, 32, 32). `train` first
        flips the image left to right half of the time, rotates it by at most 10 degrees and jitters
        its colours, with torch's random numbers. `test` is deterministic.
    """
    augment = [
        v2.RandomHorizontalFlip(p=0.5),
        v2.RandomRotation(degrees=10),
        v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
    ]
    normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(CIFAR10_MEAN, CIFAR10_STD)]
    # Colours are jittered before normalisation: brightness and contrast are defined on 0..1, not around 0.
    train = v2.Compose([v2.ToImage(), *augment, *normalise, v2.ToPureTensor()])
    test = v2.Compose([v2.ToImage(), *normalise, v2.ToPureTensor()])
    return train, test
