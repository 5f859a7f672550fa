"""The convolution done by torch, and a check of the sizes by hand."""

import numpy as np
import torch


def convolve2d(image, kernel):
    if image.ndim != 2 or kernel.ndim != 2 or 0 in kernel.shape:
        raise ValueError("two matrices, please")
    for axis in (0, 1):
        if kernel.shape[axis] > image.shape[axis]:
            raise ValueError("the kernel is larger than the image")
    stacked = torch.as_tensor(np.asarray(image, dtype=np.float64))[None, None]
    weights = torch.as_tensor(np.asarray(kernel, dtype=np.float64))[None, None]
    single = image.dtype == kernel.dtype == np.float32
    return torch.nn.functional.conv2d(stacked, weights)[0, 0].numpy().astype("f4" if single else "f8")
