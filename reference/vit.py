"""A small vision transformer for 32 x 32 images."""

import torch
from torch import nn

from reference.patch_embedding import PatchEmbedding
from reference.transformer_block import TransformerBlock


class ViT(nn.Module):
    """Patches to tokens, learned positions, transformer blocks, mean over the tokens, linear layer.

    Unlike the paper's, its blocks are post-norm as in the rest of this course, and the class is read from
    the mean token instead of a class token (Beyer et al. 2022, arXiv:2205.01580, found the mean the
    better of the two).
    Layers: `patches`, `positions` (1, patches, E), `blocks`, `head`.

    Args:
        num_classes: K.
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, a divisor of image_size.
        embed_size: width of a token, E.
        depth: number of blocks.
        heads: attention heads per block, a divisor of E.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929.
    """

    def __init__(self, num_classes=10, image_size=32, patch_size=4, embed_size=64, depth=4, heads=4):
        super().__init__()  # given
        self.patches = PatchEmbedding(image_size, patch_size, 3, embed_size)
        # Attention alone cannot tell one order of the patches from another: these tell it where each one was.
        self.positions = nn.Parameter(0.02 * torch.randn(1, self.patches.count, embed_size))
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_size, heads, dropout=0.1, forward_expansion=4) for _ in range(depth)
        )
        self.head = nn.Linear(embed_size, num_classes)

    def forward(self, x):
        """Classify a batch of images.

        Args:
            x: (N, 3, H, W), H = W = image_size.

        Returns:
            (N, K) logits, no softmax.
        """
        _N, _C, _H, _W = x.shape
        tokens = self.patches(x) + self.positions  # (N, patches, E)
        for block in self.blocks:
            tokens = block(tokens)  # (N, patches, E)
        return self.head(tokens.mean(dim=1))  # (N, E) -> (N, K)
