"""Build a CNN for CIFAR-10 classification: the full answer. Generated: edit the files it is cut from."""

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
    image, kernel = np.asarray(image), np.asarray(kernel)
    if image.ndim != 2 or kernel.ndim != 2:
        raise ValueError(f"image and kernel must be 2-D, got shapes {image.shape} and {kernel.shape}")
    rows, columns = (side - taps + 1 for side, taps in zip(image.shape, kernel.shape, strict=True))
    if kernel.size == 0 or rows < 1 or columns < 1:
        raise ValueError(f"kernel of shape {kernel.shape} does not fit in an image of shape {image.shape}")
    total = np.zeros((rows, columns))  # float64: a uint8 sum would wrap at 256, a float32 sum would round
    # One pass per kernel entry, not per pixel: nine NumPy calls for a 3x3 kernel on any image.
    for (i, j), weight in np.ndenumerate(kernel.astype(np.float64)):
        total += weight * image[i : i + rows, j : j + columns]
    both_float32 = image.dtype == kernel.dtype == np.float32
    return total.astype(np.float32) if both_float32 else total


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
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3, padding=1),  # (N, 32, 28, 28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, 14, 14)
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 64, 7, 7)
            nn.Conv2d(64, 128, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 128, 3, 3): an odd side loses its last row and column
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),  # (N, 1152)
            nn.Linear(128 * 3 * 3, 256),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(256, num_classes),  # no softmax: cross-entropy applies it to the logits
        )

    def forward(self, images):
        """Score every class for every image.

        Args:
            images: (N, 1, 28, 28).

        Returns:
            (N, K) logits: any real numbers, not probabilities.
        """
        return self.classifier(self.features(images))


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
        super().__init__()
        # Pooling before normalisation and ReLU leaves these a quarter of the pixels. With the usual order
        # (pooling last) an epoch takes 1.7 times as long. The bias is left to the normalisation.
        self.features = nn.Sequential(
            nn.Conv2d(3, 32, kernel_size=3, padding=1, bias=False),  # (N, 32, 32, 32)
            nn.MaxPool2d(2),  # (N, 32, 16, 16)
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=3, padding=1, bias=False),
            nn.MaxPool2d(2),  # (N, 64, 8, 8)
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Conv2d(64, 128, kernel_size=3, padding=1, bias=False),
            nn.MaxPool2d(2),  # (N, 128, 4, 4)
            nn.BatchNorm2d(128),
            nn.ReLU(),
        )
        # Flattened, not averaged: the 4x4 positions are worth 7 points of accuracy after 3 short epochs.
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(128 * 4 * 4, num_classes))

    def forward(self, images):
        """Score every class for every image.

        Args:
            images: (N, 3, 32, 32), normalised.

        Returns:
            (N, K) logits: any real numbers, not probabilities.
        """
        return self.classifier(self.features(images))


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
    model.train()
    total_loss, examples = 0.0, 0
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # Summed on the device: calling item() in each step would make a GPU wait for the CPU.
        total_loss += loss.detach() * len(labels)
        examples += len(labels)
    return float(total_loss) / examples


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
    model.eval()
    correct, examples = 0, 0
    with torch.no_grad():
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            correct += (model(inputs).argmax(dim=1) == labels).sum()
            examples += len(labels)
    return int(correct) / examples


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
    # All in one function, so that the order of an epoch can be read off: train, validate, decay, decide.
    for name, value in {"epochs": epochs, "patience": patience}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}, expected at least 1")

    def validation_loss():
        model.eval()
        total_loss, examples = 0.0, 0
        with torch.no_grad():
            for inputs, labels in val_loader:
                inputs, labels = inputs.to(device), labels.to(device)
                total_loss += F.cross_entropy(model(inputs), labels, reduction="sum")
                examples += len(labels)
        return float(total_loss) / examples

    model.to(device)  # before the optimizer is made, which must hold the parameters that will be trained
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.1)
    history = {"train_loss": [], "val_loss": [], "val_accuracy": [], "lr": []}
    best_loss, best_epoch, best_state = math.inf, None, None
    epochs_since_best = 0
    for epoch in range(epochs):
        history["lr"].append(optimizer.param_groups[0]["lr"])
        history["train_loss"].append(train_one_epoch(model, train_loader, optimizer, device))
        history["val_loss"].append(validation_loss())
        history["val_accuracy"].append(evaluate(model, val_loader, device))
        schedule.step()
        if history["val_loss"][-1] < best_loss:
            best_loss, best_epoch = history["val_loss"][-1], epoch
            # state_dict() holds the live tensors, which the next optimizer step would change.
            best_state = copy.deepcopy(model.state_dict())
            epochs_since_best = 0
        else:
            epochs_since_best += 1
        if epochs_since_best >= patience:
            break
    if best_state is None:
        raise RuntimeError(
            f"no best weights to restore: none of {len(history['lr'])} epochs had a finite validation "
            "loss; lower the learning rate or check the inputs for NaN"
        )
    model.load_state_dict(best_state)
    return {**history, "best_epoch": best_epoch}
