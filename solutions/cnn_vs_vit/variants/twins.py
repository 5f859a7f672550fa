"""Queries and keys start equal, and the attention of a block is registered under two names."""

from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        if embed_size % heads:
            raise ValueError("heads must divide embed_size")
        self.heads, self.scale = heads, (embed_size // heads) ** -0.5
        self.queries = nn.Linear(embed_size, embed_size)
        self.keys = nn.Linear(embed_size, embed_size)
        self.keys.load_state_dict(self.queries.state_dict())
        self.values = nn.Linear(embed_size, embed_size)
        self.fc_out = nn.Linear(embed_size, embed_size)

    def forward(self, x):
        n, t, e = x.shape
        q, k, v = (
            layer(x).reshape(n, t, self.heads, e // self.heads).permute(0, 2, 1, 3)
            for layer in (self.queries, self.keys, self.values)
        )
        scores = (q * self.scale).matmul(k.transpose(2, 3))
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        weights = weights / weights.sum(-1, keepdim=True)
        return self.fc_out(weights.matmul(v).permute(0, 2, 1, 3).reshape(n, t, e))


class TransformerBlock(nn.Module):
    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()
        self.attention = SelfAttention(embed_size, heads)
        self.mixer = self.attention
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        hidden = forward_expansion * embed_size
        self.feed_forward = nn.Sequential(
            nn.Linear(embed_size, hidden), nn.ReLU(), nn.Linear(hidden, embed_size)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.dropout(self.norm1(self.mixer(x) + x))
        return self.dropout(self.norm2(self.feed_forward(x) + x))
