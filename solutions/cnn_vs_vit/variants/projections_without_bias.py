"""Queries, keys and values without a bias: the reference's weights have no place, so properties decide."""

from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        if embed_size % heads:
            raise ValueError("heads must divide embed_size")
        self.heads = heads
        self.values = nn.Linear(embed_size, embed_size, bias=False)
        self.keys = nn.Linear(embed_size, embed_size, bias=False)
        self.queries = nn.Linear(embed_size, embed_size, bias=False)
        self.fc_out = nn.Linear(embed_size, embed_size)

    def forward(self, x, mask=None):
        n, t, e = x.shape
        q, k, v = (
            layer(x).reshape(n, t, self.heads, -1).transpose(1, 2)
            for layer in (self.queries, self.keys, self.values)
        )
        weights = (q @ k.transpose(2, 3) / (e // self.heads) ** 0.5).softmax(-1)
        return self.fc_out((weights @ v).transpose(1, 2).reshape(n, t, e))
