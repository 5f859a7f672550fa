"""One Linear of 3 E outputs gives queries, keys and values, cut with chunk; other names throughout."""

import torch
from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        if embed_size % heads != 0:
            raise ValueError(f"{heads} heads do not divide {embed_size} features")
        self.n_head = heads
        self.to_qkv = nn.Linear(embed_size, 3 * embed_size)
        self.proj = nn.Linear(embed_size, embed_size)

    def forward(self, x):
        q, k, v = (
            part.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        attention = torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, dim=-1)
        return self.proj((attention @ v).transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()
        self.ff = nn.Sequential(
            nn.Linear(embed_size, forward_expansion * embed_size),
            nn.ReLU(inplace=True),
            nn.Linear(forward_expansion * embed_size, embed_size),
        )
        self.ln_a, self.ln_b = nn.LayerNorm(embed_size), nn.LayerNorm(embed_size)
        self.attention = SelfAttention(embed_size, heads)
        self.rate = dropout

    def forward(self, x):
        x = nn.functional.dropout(self.ln_a(x + self.attention(x)), self.rate, self.training)
        return nn.functional.dropout(self.ln_b(x + self.ff(x)), self.rate, self.training)
