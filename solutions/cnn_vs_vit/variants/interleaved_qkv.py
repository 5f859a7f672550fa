"""A fused projection whose outputs are ordered by head, then query, key, value; heads mixed with einsum."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        if embed_size % heads:
            raise ValueError("embed_size must be a multiple of heads")
        self.heads, self.width = heads, embed_size // heads
        self.qkv = nn.Linear(embed_size, 3 * embed_size)
        self.out = nn.Linear(embed_size, embed_size)

    def forward(self, x):
        n, t, e = x.shape
        q, k, v = self.qkv(x).view(n, t, self.heads, 3, self.width).unbind(3)
        scores = torch.einsum("nqhd,nkhd->nhqk", [q, k]) / self.width**0.5
        mixed = torch.einsum("nhqk,nkhd->nqhd", [scores.softmax(3), v])
        return self.out(mixed.reshape(n, t, e))


class TransformerBlock(nn.Module):
    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()
        self.attention = SelfAttention(embed_size, heads)
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(embed_size, forward_expansion * embed_size),
            nn.ReLU(),
            nn.Linear(forward_expansion * embed_size, embed_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.dropout(self.norm1(self.attention(x) + x))
        return self.dropout(self.norm2(self.feed_forward(x) + x))
