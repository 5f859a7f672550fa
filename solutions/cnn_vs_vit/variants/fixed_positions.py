"""Fixed sinusoidal positions in a buffer, mean pooling after a last norm; patches cut by unfold."""

import math

import torch
from torch import nn


class PatchEmbedding(nn.Module):
    def __init__(self, image_size, patch_size, in_channels, embed_size):
        super().__init__()
        if image_size % patch_size != 0:
            raise ValueError(f"{patch_size} does not divide {image_size}")
        self.image_size = image_size
        self.unfold = nn.Unfold(patch_size, stride=patch_size)
        self.to_tokens = nn.Linear(in_channels * patch_size * patch_size, embed_size)

    def forward(self, x):
        if tuple(x.shape[-2:]) != (self.image_size, self.image_size):
            raise ValueError(f"images of {tuple(x.shape[-2:])} pixels, expected a side of {self.image_size}")
        return self.to_tokens(self.unfold(x).permute(0, 2, 1))


class ViT(nn.Module):
    def __init__(self, num_classes=10, image_size=32, patch_size=4, embed_size=64, depth=4, heads=4):
        super().__init__()
        patches = (image_size // patch_size) ** 2
        place = torch.arange(patches).unsqueeze(1)
        rate = torch.exp(-math.log(10000) / embed_size * torch.arange(0, embed_size, 2))
        table = torch.stack([(place * rate).sin(), (place * rate).cos()], dim=-1).flatten(1)
        self.register_buffer("table", table)
        self.embed = PatchEmbedding(image_size, patch_size, 3, embed_size)
        self.encoder = nn.Sequential(*[TransformerBlock(embed_size, heads, 0.0, 4) for _ in range(depth)])
        self.norm = nn.LayerNorm(embed_size)
        self.classify = nn.Linear(embed_size, num_classes)

    def forward(self, images):
        return self.classify(self.norm(self.encoder(self.embed(images) + self.table)).mean(1))
