"""What convolve2d must compute."""

from dlgrade import compare
from dlgrade.checks import check


@check(
    part="convolve2d",
    points=1,
    kind="shape",
    help="A kernel of h rows fits into an image of H rows at H - h + 1 places.",
)
def convolve2d_output_has_one_value_for_each_window(submission, oracle):
    """the output has one value for each place where the kernel fits"""
    for side in ((5, 4), (3, 7)):
        image, kernel = oracle.normal(*side).numpy(), oracle.normal(3, 2).numpy()
        compare.tensor(
            submission.convolve2d(image, kernel), what="convolve2d(image, kernel)", shape=(side[0] - 2, side[1] - 1)
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
    image, kernel = oracle.normal(7, 5).numpy(), oracle.normal(3, 2).numpy()
    compare.close(
        submission.convolve2d(image, kernel), oracle.convolve2d(image, kernel), what="convolve2d(image, kernel)",
        any_float=True,
    )
