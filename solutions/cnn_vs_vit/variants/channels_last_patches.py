"""Inside a patch the values are ordered row, column, channel, under the lesson's own name for the layer."""

from torch import nn


class PatchEmbedding(nn.Module):
    def __init__(self, image_size, patch_size, in_channels, embed_size):
        super().__init__()
        if image_size % patch_size:
            raise ValueError("patch_size must divide image_size")
        self.p, self.size = patch_size, image_size
        self.count = (image_size // patch_size) ** 2
        self.projection = nn.Linear(patch_size * patch_size * in_channels, embed_size)

    def forward(self, x):
        if x.shape[2:] != (self.size, self.size):
            raise ValueError(f"images are {x.shape[2]} x {x.shape[3]}, expected {self.size} x {self.size}")
        p = self.p
        rows = x.unfold(2, p, p).unfold(3, p, p)  # (N, C, rows, columns, p, p)
        return self.projection(rows.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2))
