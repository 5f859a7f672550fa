"""convolve2d at its edges: fractional kernels on integer images, and kernels that do not fit."""

import torch

from dlgrade import compare
from dlgrade.checks import check


def floating(value, what):
    """The result as floating numbers: exact integers are as good."""
    value = compare.tensor(value, what=what)
    return value if value.is_floating_point() else value.double()


@check(
    part="convolve2d",
    points=1,
    kind="value",
    needs=("convolve2d_sums_kernel_times_window",),
    help="The image may be of any integer type and the kernel still have fractions; neither may be rounded.",
)
def convolve2d_keeps_the_kernels_fractions(submission, oracle):
    """a fractional kernel keeps its fractions on integer images of every width"""
    for dtype, high in ((torch.uint8, 256), (torch.int16, 2**15), (torch.int64, 2**20)):
        for image_size, kernel_size in (((6, 4), (2, 3)), ((3, 4), (3, 4)), ((2, 5), (1, 1))):
            image = oracle.integers(*image_size, low=0, high=high).to(dtype).numpy()
            kernel = 5 * oracle.normal(*kernel_size, dtype=torch.float64).numpy()  # seldom 0 when cut
            what = f"convolve2d of a {dtype} image and a fractional kernel".replace("torch.", "")
            result = floating(submission.convolve2d(image, kernel), what)
            compare.close(result, oracle.convolve2d(image, kernel), what=what, any_float=True)


@check(
    part="convolve2d",
    points=1,
    kind="property",
    needs=("convolve2d_output_has_one_value_for_each_window",),
    help="Look at both shapes before you start: the numbers of dimensions, and each side of the kernel. The "
    "docstring lists what is a ValueError.",
)
def convolve2d_refuses_a_kernel_larger_than_the_image(submission, oracle):
    """a kernel that is too large or empty, or what is not 2-D, is a ValueError; one that just fits is not"""
    image = oracle.normal(3, 4).numpy()
    for size in ((4, 4), (3, 5), (1, 5), (4, 1), (6, 7)):
        kernel = oracle.normal(*size).numpy()
        compare.raises(
            "ValueError",
            lambda kernel=kernel: submission.convolve2d(image, kernel),
            what=f"convolve2d(image 3x4, kernel {size[0]}x{size[1]})",
        )
    for what, image_size, size in (
        ("a colour image", (5, 4, 3), (2, 2)),
        ("a kernel of one dimension", (5, 4), (3,)),
        ("an empty kernel", (5, 4), (0, 2)),
    ):
        compare.raises(
            "ValueError",
            lambda sizes=(image_size, size): submission.convolve2d(
                *(oracle.normal(*s).numpy() for s in sizes)
            ),
            what=f"convolve2d with {what}",
        )
    result = submission.convolve2d(image, oracle.normal(3, 4).numpy())  # its value is other checks' business
    compare.tensor(result, what="convolve2d with a kernel that just fits", shape=(1, 1))
