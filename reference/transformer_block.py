"""The post-norm transformer block: attention and feed-forward, each with a residual, a norm and dropout."""

from torch import nn

from reference.attention import SelfAttention


class TransformerBlock(nn.Module):
    """y = dropout(norm1(attention(x) + x)), then dropout(norm2(feed_forward(y) + y)).

    Layers: `attention`, `norm1`, `norm2`, `feed_forward`, `dropout`. The feed-forward part is
    E -> forward_expansion * E, ReLU, -> E, the same for each token.

    Args:
        embed_size: width of a token, E.
        heads: number of attention heads, a divisor of E.
        dropout: probability of dropping a feature, 0..1.
        forward_expansion: how many times wider than E the feed-forward part is inside.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.1; there the dropout stands before the
    residual sum.
    """

    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()  # given
        self.attention = SelfAttention(embed_size, heads)
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(embed_size, forward_expansion * embed_size),
            nn.ReLU(),
            nn.Linear(forward_expansion * embed_size, embed_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        """Transform each token by what it sees of the others.

        Args:
            x: (N, T, E).
            mask: as for SelfAttention.forward.

        Returns:
            (N, T, E).
        """
        _N, _T, _E = x.shape
        x = self.dropout(self.norm1(self.attention(x, mask) + x))
        return self.dropout(self.norm2(self.feed_forward(x) + x))
