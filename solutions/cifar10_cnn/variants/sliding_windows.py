"""The convolution as one tensor product over all windows, returning integers for integer inputs."""

import numpy as np


def convolve2d(image, kernel):
    image, kernel = np.asarray(image), np.asarray(kernel)
    if kernel.size == 0:
        raise ValueError("an empty kernel")
    wide = np.int64 if image.dtype.kind in "iu" and kernel.dtype.kind in "iu" else np.float64
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(wide), kernel.shape)
    sums = np.einsum("xyij,ij->xy", windows, kernel.astype(wide))
    return sums.astype(np.float32) if image.dtype == kernel.dtype == np.float32 else sums
