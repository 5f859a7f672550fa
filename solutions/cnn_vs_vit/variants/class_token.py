"""A class token and positions that start at zero; the class is read from that token, in log-probabilities."""

import torch
from torch import nn


class ViT(nn.Module):
    def __init__(self, num_classes=10, image_size=32, patch_size=4, embed_size=64, depth=4, heads=4):
        super().__init__()
        self.patches = PatchEmbedding(image_size, patch_size, 3, embed_size)
        self.cls = nn.Parameter(torch.zeros(1, 1, embed_size))
        self.pos = nn.Parameter(torch.zeros(1, (image_size // patch_size) ** 2 + 1, embed_size))
        layers = (TransformerBlock(embed_size, heads, 0.1, 2) for _ in range(depth))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Sequential(nn.LayerNorm(embed_size), nn.Linear(embed_size, num_classes))

    def forward(self, x):
        tokens = torch.cat([self.cls.repeat(x.shape[0], 1, 1), self.patches(x)], dim=1) + self.pos
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(tokens[:, 0]).log_softmax(-1)
