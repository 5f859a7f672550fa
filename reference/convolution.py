"""2-D convolution in NumPy, and what the lesson's edge kernel does to an image."""

import numpy as np

# Each pixel against the sum of its eight neighbours: zero wherever the image is flat.
EDGE_KERNEL = np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])


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


def show_edges(image):
    """Put an image beside its edges, as found by EDGE_KERNEL.

    Args:
        image: (H, W) uint8 grey values, H and W at least 3.

    Returns:
        (H-2, 2*(W-2)) uint8: the image without its one-pixel border, then the magnitude of the
        kernel's response, clipped at 255 (it can reach 8*255).
    """
    edges = np.abs(convolve2d(image, EDGE_KERNEL)).clip(max=255).astype(np.uint8)
    return np.hstack([image[1:-1, 1:-1], edges])
