"""scaled_dot_product_attention instead of a softmax, and square layers called v, k, q and o in that order."""

from torch import nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        if embed_size % heads:
            raise ValueError("heads must divide embed_size")
        self.heads = heads
        self.v, self.k, self.q, self.o = (nn.Linear(embed_size, embed_size) for _ in range(4))

    def forward(self, x):
        q, k, v = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v)
        )
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()
        self.attn = SelfAttention(embed_size, heads)
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        self.up = nn.Linear(embed_size, forward_expansion * embed_size)
        self.down = nn.Linear(forward_expansion * embed_size, embed_size)
        self.drop1, self.drop2 = nn.Dropout(dropout), nn.Dropout(dropout)

    def forward(self, x):
        x = self.drop1(self.norm1(x + self.attn(x)))
        return self.drop2(self.norm2(x + self.down(self.up(x).clamp(min=0))))
