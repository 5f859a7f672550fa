"""Build a CNN for CIFAR-10 classification.

From a convolution by hand to a network that tells ten kinds of pictures apart.

Replace each `raise NotImplementedError` with your code; lines marked `# given` can stay. `dlgrade
check` says how far you are.
"""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

# Per channel (red, green, blue), over the 50,000 training images scaled to 0..1.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)
PARAMETER_BUDGET = 2_000_000  # the most trainable numbers a Cifar10CNN may have


def convolve2d(image, kernel):
    """Slide a kernel over an image, only where it fits entirely ("valid" cross-correlation).

    As in every deep learning library, the kernel is not flipped.

    Args:
        image: (H, W) array, integer or floating.
        kernel: (h, w) array, 1 <= h <= H and 1 <= w <= W; neither needs to be square.

    Returns:
        (H-h+1, W-w+1) array. float32 if image and kernel both are float32, else float64: a uint8
        image neither overflows nor loses the kernel's fractions.

    Raises:
        ValueError: image or kernel is not 2-D; kernel is empty, or larger than the image.

    Source: Goodfellow, Bengio and Courville 2016, Deep Learning, equation 9.6.
    """
    raise NotImplementedError("convolve2d")


class SimpleCNN(nn.Module):
    """Three blocks of convolution, ReLU and pooling, then two linear layers.

    Each block is a 3x3 convolution with padding 1, a ReLU and a 2x2 max pooling. The blocks have
    32, 64 and 128 channels and take the side from 28 to 14, 7 and 3. Then: flatten, linear to 256,
    ReLU, dropout 0.5, linear to K.

    Args:
        num_classes: K, the number of classes.

    Source: LeCun, Bottou, Bengio and Haffner 1998, "Gradient-based learning applied to document
    recognition", for the architecture's pattern.
    """

    def __init__(self, num_classes=10):
        super().__init__()  # given
        raise NotImplementedError("SimpleCNN.__init__")

    def forward(self, images):
        """Score every class for every image.

        Args:
            images: (N, 1, 28, 28).

        Returns:
            (N, K) logits: any real numbers, not probabilities.
        """
        raise NotImplementedError("SimpleCNN.forward")


class Cifar10CNN(nn.Module):
    """A convolutional network of your own design for 32x32 colour images.

    Any architecture is right that fulfils `forward`, has at most PARAMETER_BUDGET parameters and
    learns. It may use batch normalisation and dropout: it is trained in train mode and judged in
    eval mode. All parameters exist once it is built: lazy layers need a first pass in `__init__`.

    Args:
        num_classes: K, the number of classes.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, for batch normalisation.
    """

    def __init__(self, num_classes=10):
        super().__init__()  # given
        raise NotImplementedError("Cifar10CNN.__init__")

    def forward(self, images):
        """Score every class for every image.

        Args:
            images: (N, 3, 32, 32), normalised.

        Returns:
            (N, K) logits: any real numbers, not probabilities.
        """
        raise NotImplementedError("Cifar10CNN.forward")


def make_transforms():
    """Build the image transforms of the training split and of the test split.

    Both take one 32x32 RGB image: a PIL image, a uint8 array (32, 32, 3) or a uint8 tensor
    (3, 32, 32). Both scale it to 0..1 and normalise it with CIFAR10_MEAN and CIFAR10_STD.

    Returns:
        A pair (train, test) of callables, each image -> float32 tensor (3, 32, 32). `train` first
        flips the image left to right half of the time, rotates it by at most 10 degrees and jitters
        its colours, with torch's random numbers. `test` is deterministic.
    """
    raise NotImplementedError("make_transforms")


def train_one_epoch(model, loader, optimizer, device) -> float:
    """Train a classifier on every batch of a loader once, in the loader's order.

    The loss is the cross-entropy of the model's logits. The model is in train mode.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits, on `device`.
        loader: iterable of (inputs (N, ...), labels (N,)) on any device; N may differ per batch.
        optimizer: optimizer over the model's parameters; one step per batch.
        device: where the computation runs, such as "cpu" or "cuda".

    Returns:
        Mean loss per example in nats: every example counts the same, whatever its batch's size.
        Each example's loss is the one from before its batch's step.
    """
    raise NotImplementedError("train_one_epoch")


def evaluate(model, loader, device) -> float:
    """Measure a classifier's accuracy, in eval mode and without gradients.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits, on `device`.
        loader: iterable of (inputs (N, ...), labels (N,)) on any device; N may differ per batch.
        device: where the computation runs.

    Returns:
        Correct predictions / examples seen, 0..1. The examples are counted from the batches, since
        a loader may drop, repeat or sample some of its dataset's.
    """
    raise NotImplementedError("evaluate")


def fit(model, train_loader, val_loader, *, epochs, lr, patience, device="cpu") -> dict:
    """Train with Adam until the validation loss stops falling, then restore the best weights.

    The learning rate follows StepLR(step_size=10, gamma=0.1), stepped once per epoch after the
    optimizer. Training ends after `epochs` epochs, or sooner after `patience` epochs in a row
    without a new lowest validation loss.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits. It is moved to `device` and ends with the
            parameters and buffers of its best epoch.
        train_loader: iterable of (inputs, labels), trained on in its order.
        val_loader: iterable of (inputs, labels), evaluated in eval mode without gradients.
        epochs: the most epochs to run; at least 1.
        lr: learning rate of the first epoch.
        patience: see above; at least 1.
        device: where the computation runs.

    Returns:
        A dict. Lists with one entry per epoch run: `train_loss` and `val_loss` (mean per example, in
        nats), `val_accuracy` (0..1), `lr` (the rate this epoch was trained with). And `best_epoch`:
        the 0-based epoch with the lowest validation loss, the first of equals.

    Raises:
        ValueError: epochs or patience is below 1.
        RuntimeError: no epoch had a finite validation loss.
    """
    raise NotImplementedError("fit")
