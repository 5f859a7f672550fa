"""The key parts of a CNN from scratch: convolution, pooling, ReLU, dropout and batch normalisation.

Each one changes something different: convolution and pooling the size, ReLU and dropout which values
are zero, dropout and batch normalisation their behaviour between training and evaluation.
"""

import torch
from torch import nn


def output_side(side, kernel, *, stride=1, padding=0) -> int:
    """Count the positions at which a window fits along one side of an image.

    Args:
        side: H or W of the image, in pixels.
        kernel: side of the window.
        stride: pixels between two positions.
        padding: zeros added at either end.

    Returns:
        floor((side + 2*padding - kernel) / stride) + 1: with stride 1, a 3x3 kernel takes 2 pixels off
        a side and padding 1 gives them back.

    Source: Dumoulin and Visin 2016, arXiv:1603.07285, relationship 6.
    """
    return (side + 2 * padding - kernel) // stride + 1


def conv2d(x, weight, bias=None, *, stride=1, padding=0):
    """Correlate every image with every filter, summing over the channels.

    Args:
        x: (N, C, H, W).
        weight: (F, C, h, w), F filters.
        bias: (F,) added to each filter's map, or None.
        stride: pixels between two positions.
        padding: zeros added on all four sides.

    Returns:
        (N, F, H', W') with the sides of `output_side`.

    Raises:
        ValueError: weight's channels are not x's, or a filter is larger than the padded image.
    """
    filters, channels, h, w = weight.shape
    x = nn.functional.pad(x, (padding, padding, padding, padding))
    if x.shape[1] != channels or x.shape[2] < h or x.shape[3] < w:
        raise ValueError(f"weight of shape {tuple(weight.shape)} does not fit padded images {tuple(x.shape)}")
    windows = x.unfold(2, h, stride).unfold(3, w, stride)  # (N, C, H', W', h, w), a view
    maps = torch.einsum("nchwij,fcij->nfhw", windows, weight)
    return maps if bias is None else maps + bias.view(filters, 1, 1)


def max_pool2d(x, size=2):
    """Keep the largest value of every size x size tile.

    Args:
        x: (N, C, H, W), H and W at least `size`.
        size: side of a tile, and the stride.

    Returns:
        (N, C, H // size, W // size): rows and columns that fill no tile are dropped.
    """
    return x.unfold(2, size, size).unfold(3, size, size).amax(dim=(-2, -1))


def relu(x):
    """Zero the negative values and pass the others; the gradient is 1 where x > 0, else 0.

    Args:
        x: any shape.

    Returns:
        The shape of x.

    Source: Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """
    return torch.where(x <= 0, torch.zeros_like(x), x)  # asked this way round, NaN stays NaN


def dropout(x, p=0.5, *, training, generator=None):
    """Zero each value with probability p in training; pass everything in evaluation.

    Args:
        x: any shape.
        p: probability of zeroing, 0 <= p < 1.
        training: whether to drop at all.
        generator: torch.Generator on x's device, or None for torch's global one.

    Returns:
        The shape of x. In training the survivors are divided by 1 - p, which keeps the expected value
        at x, so that evaluation needs no correction.

    Raises:
        ValueError: p is not in 0 <= p < 1.

    Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout probability is {p}, expected 0 <= p < 1")
    if not training:
        return x
    survives = torch.rand(x.shape, device=x.device, generator=generator) >= p
    return x * survives / (1 - p)


class BatchNorm2d(nn.Module):
    """Normalise each channel, then scale and shift it by learned numbers.

    In train mode a channel is normalised by its own mean and variance over the batch and all positions,
    and the running statistics move towards these. In eval mode the running statistics are used and kept,
    so that an image's result does not depend on the batch it is in.

    Args:
        channels: C.
        eps: added to the variance, inside the root.
        momentum: how far the running statistics move towards the batch's, 0..1.

    Attributes:
        weight, bias: (C,) learned scale and shift; one and zero at the start.
        running_mean, running_var: (C,) buffers; zero and one at the start.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.
    """

    def __init__(self, channels, *, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        """Normalise a batch.

        Args:
            x: (N, C, H, W).

        Returns:
            (N, C, H, W).

        Raises:
            ValueError: in train mode, a channel has a single value: its variance is undefined.
        """
        mean, var = self._batch_statistics(x) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(var + self.eps)  # (C,)
        # The mean goes first: folded into the shift, a large one would cancel only after rounding.
        return (x - mean.view(-1, 1, 1)) * scale.view(-1, 1, 1) + self.bias.view(-1, 1, 1)

    def _batch_statistics(self, x):
        n = x.numel() // x.shape[1]
        if n < 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)}, expected two values or more per channel to train"
            )
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            # The batch divides by n, the running estimate by n - 1: a sample's variance is biased low.
            self.running_var.lerp_(var * n / (n - 1), self.momentum)
        return mean, var
