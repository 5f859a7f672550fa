"""Build a CNN for CIFAR-10 classification: the full answer. Generated: edit the files it is cut from."""

import numpy as np
import torch.nn.functional as F
from torch import nn


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
