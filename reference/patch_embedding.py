"""An image as a sequence: square patches, flattened and projected."""

from torch import nn


class PatchEmbedding(nn.Module):
    """Cut an image into square patches that do not overlap and project each to a token.

    Patches are numbered row by row, left to right. Inside a patch the values are ordered channel, row,
    column.
    Layer: `projection`, Linear C * patch_size^2 -> E. Attribute: `count`, the number of patches.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, in pixels; a divisor of image_size.
        in_channels: C.
        embed_size: width of a token, E.

    Raises:
        ValueError: patch_size does not divide image_size.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.
    """

    def __init__(self, image_size, patch_size, in_channels, embed_size):
        super().__init__()  # given
        if patch_size < 1 or image_size % patch_size:
            raise ValueError(
                f"image_size {image_size} cannot be cut into patches of {patch_size} pixels, "
                "expected a patch_size that divides it"
            )
        self.image_size = image_size
        self.patch_size = patch_size
        self.count = (image_size // patch_size) ** 2
        self.projection = nn.Linear(in_channels * patch_size**2, embed_size)

    def forward(self, x):
        """Turn images into tokens.

        Args:
            x: (N, C, H, W), H = W = image_size.

        Returns:
            (N, patches, E), patches in row-major order.

        Raises:
            ValueError: the images are not image_size high and wide.
        """
        N, C, H, W = x.shape
        if (self.image_size, self.image_size) != (H, W):
            raise ValueError(f"images are {H} x {W}, expected {self.image_size} x {self.image_size}")
        side, p = self.image_size // self.patch_size, self.patch_size
        x = x.reshape(N, C, side, p, side, p)  # H and W each as (which patch, where in it)
        x = x.permute(0, 2, 4, 1, 3, 5)  # (N, side, side, C, p, p)
        return self.projection(x.reshape(N, side * side, C * p * p))  # (N, patches, E)
