"""What convolve2d must compute."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe

SIZES = (((5, 4), (3, 2)), ((3, 7), (2, 5)), ((4, 6), (1, 1)), ((3, 5), (3, 5)))  # image, kernel


def floating(value, what):
    """The result as floating numbers: exact integers are as good."""
    value = compare.tensor(value, what=what)
    return value if value.is_floating_point() else value.double()


@check(
    part="convolve2d",
    points=1,
    kind="shape",
    help="A kernel of h rows fits into an image of H rows at H - h + 1 places; columns likewise.",
)
def convolve2d_output_has_one_value_for_each_window(submission, oracle):
    """the output has one value for each place where the kernel fits"""
    for (rows, columns), (high, wide) in SIZES:
        image, kernel = oracle.normal(rows, columns).numpy(), oracle.normal(high, wide).numpy()
        compare.tensor(
            submission.convolve2d(image, kernel),
            what=f"convolve2d(image {rows}x{columns}, kernel {high}x{wide})",
            shape=(rows - high + 1, columns - wide + 1),
        )


@check(
    part="convolve2d",
    points=2,
    kind="value",
    needs=("convolve2d_output_has_one_value_for_each_window",),
    help="Multiply the kernel with each window entry by entry and add up; the kernel is not flipped.",
)
def convolve2d_sums_kernel_times_window(submission, oracle):
    """each value is the sum of the kernel times one window, without flipping the kernel"""
    for image_size, kernel_size in (((7, 5), (3, 2)), ((4, 9), (2, 3))):
        for dtype in (torch.float64, torch.float32):
            image = oracle.normal(*image_size, dtype=dtype).numpy()
            kernel = oracle.normal(*kernel_size, dtype=dtype).numpy()
            result = floating(submission.convolve2d(image, kernel), "convolve2d(image, kernel)")
            compare.close(
                result, oracle.convolve2d(image, kernel), what="convolve2d(image, kernel)", any_float=True
            )


@check(
    part="convolve2d",
    points=1,
    kind="property",
    needs=("convolve2d_output_has_one_value_for_each_window",),
    help="Compute in float64, and turn the result to float32 only if image and kernel both came as float32.",
)
def convolve2d_gives_float32_for_float32_and_float64_otherwise(submission, oracle):
    """the result is float32 if image and kernel both are float32, and float64 if one of them is float64"""
    single, double = torch.float32, torch.float64
    types = ((single, single), (double, double), (double, single), (torch.uint8, double))
    results = [
        submission.convolve2d(
            oracle.integers(4, 5, low=0, high=9).to(image).numpy(),
            oracle.integers(2, 3, low=-4, high=5).to(kernel).numpy(),
        )
        for image, kernel in types
    ]
    results = [compare.tensor(result, what="convolve2d(image, kernel)").dtype for result in results]
    observe(
        "results in [float32, float64]", torch.tensor([[r == single, r == double] for r in results]).double()
    )
    for (image, kernel), result in zip(types, results, strict=True):
        expected = single if image == kernel == single else double
        what = f"convolve2d of {image} and {kernel} is {result}, expected {expected}".replace("torch.", "")
        compare.require(result == expected, what)


@check(
    part="convolve2d",
    points=2,
    kind="value",
    needs=("convolve2d_output_has_one_value_for_each_window",),
    help="A uint8 holds 0 to 255 only. In which type are the products and their sum computed, and returned?",
)
def convolve2d_of_bytes_does_not_overflow(submission, oracle):
    """sums over a uint8 image are right beyond 255 and below 0"""
    image = oracle.integers(6, 5, low=0, high=256).to(torch.uint8).numpy()
    edges = oracle.integers(3, 2, low=-8, high=9).numpy()
    blur = oracle.integers(2, 3, low=1, high=9).to(torch.uint8).numpy()
    for kernel, what in ((blur, "a uint8 kernel"), (edges, "an integer kernel with negative entries")):
        what = f"convolve2d of a uint8 image and {what}"
        result = floating(submission.convolve2d(image, kernel), what)
        compare.close(result, oracle.convolve2d(image, kernel), what=what, any_float=True)
