"""nn.MultiheadAttention with batch_first; its AssertionError is turned into a ValueError."""

from torch import nn


class SelfAttention(nn.Module):
    def __init__(self, embed_size, heads):
        super().__init__()
        try:
            self.inner = nn.MultiheadAttention(embed_size, heads, batch_first=True)
        except AssertionError as error:
            raise ValueError(str(error)) from None

    def forward(self, x):
        return self.inner(x, x, x, need_weights=False)[0]


class TransformerBlock(nn.Module):
    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()
        self.attention = SelfAttention(embed_size, heads)
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        self.linear1 = nn.Linear(embed_size, forward_expansion * embed_size)
        self.linear2 = nn.Linear(forward_expansion * embed_size, embed_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.dropout(self.norm1(self.attention(x) + x))
        return self.dropout(self.norm2(self.linear2(self.linear1(x).relu()) + x))
