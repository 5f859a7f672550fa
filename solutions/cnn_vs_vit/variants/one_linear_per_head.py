"""Each head is a module with three narrow projections of its own; heads run one after another."""

import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, embed_size, width):
        super().__init__()
        self.key = nn.Linear(embed_size, width)
        self.query = nn.Linear(embed_size, width)
        self.value = nn.Linear(embed_size, width)

    def forward(self, x):
        k, q, v = self.key(x), self.query(x), self.value(x)
        return nn.functional.softmax(q @ k.transpose(1, 2) / k.size(-1) ** 0.5, dim=2) @ v


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        width, rest = divmod(embed_size, heads)
        if rest:
            raise ValueError(f"embed_size={embed_size} is not divisible by heads={heads}")
        self.heads = nn.ModuleList([Head(embed_size, width) for _ in range(heads)])
        self.fc_out = nn.Linear(embed_size, embed_size)

    def forward(self, x):
        return self.fc_out(torch.cat([head(x) for head in self.heads], dim=-1))


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
