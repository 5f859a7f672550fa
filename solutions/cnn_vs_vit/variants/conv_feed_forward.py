"""The feed-forward part as two convolutions of width 1, a patch-sized Conv2d for the patches."""

from torch import nn


class TransformerBlock(nn.Module):
    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()
        self.attention = SelfAttention(embed_size, heads)
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        self.conv1 = nn.Conv1d(embed_size, forward_expansion * embed_size, kernel_size=1)
        self.conv2 = nn.Conv1d(forward_expansion * embed_size, embed_size, kernel_size=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.dropout(self.norm1(self.attention(x) + x))
        wide = nn.functional.relu(self.conv1(x.transpose(1, 2)))
        return self.dropout(self.norm2(self.conv2(wide).transpose(1, 2) + x))


class PatchEmbedding(nn.Module):
    def __init__(self, image_size, patch_size, in_channels, embed_size):
        super().__init__()
        if image_size % patch_size:
            raise ValueError("patch_size must divide image_size")
        self.size = image_size
        self.count = (image_size // patch_size) ** 2
        self.cut = nn.Conv2d(in_channels, embed_size, kernel_size=patch_size, stride=patch_size)

    def forward(self, x):
        if any(side != self.size for side in x.shape[-2:]):
            raise ValueError(f"expected images of {self.size} x {self.size} pixels")
        return self.cut(x).flatten(2).transpose(1, 2)
