"""Multi-head self-attention, written out, and the same through PyTorch's fused kernel."""

import math

from torch import nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    """Every token looks at every token of its sequence and takes a weighted mean of their values.

    Head i works on features i * head_dim to (i + 1) * head_dim - 1 of queries, keys and values; its
    weights are softmax(Q K^T / sqrt(head_dim)) over the keys. The heads' results stand side by side in
    that order and are projected by `fc_out`. Layers: `queries`, `keys`, `values`, `fc_out`, each Linear
    E -> E.

    Args:
        embed_size: width of a token, E.
        heads: number of heads, a divisor of E; head_dim is E / heads.

    Raises:
        ValueError: heads does not divide embed_size.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """

    def __init__(self, embed_size, heads):
        super().__init__()  # given
        if heads < 1 or embed_size % heads:
            raise ValueError(
                f"embed_size {embed_size} cannot be split into {heads} heads of equal width, "
                "expected a number of heads that divides it"
            )
        self.heads = heads
        self.head_dim = embed_size // heads
        self.queries = nn.Linear(embed_size, embed_size)
        self.keys = nn.Linear(embed_size, embed_size)
        self.values = nn.Linear(embed_size, embed_size)
        self.fc_out = nn.Linear(embed_size, embed_size)

    def forward(self, x, mask=None):
        """Attend within each sequence.

        Args:
            x: (N, T, E).
            mask: bool, (T, T), (N, T, T) or, for padding, (N, 1, T): True where the query (second to last
                dimension) may look at the key (last). None lets every token look at every token. A query
                that may look at nothing takes zeros to `fc_out`.

        Returns:
            (N, T, E).
        """
        N, T, E = x.shape
        split = (N, T, self.heads, self.head_dim)
        q = self.queries(x).reshape(split).transpose(1, 2)  # (N, heads, T, head_dim)
        k = self.keys(x).reshape(split).transpose(1, 2)  # (N, heads, T, head_dim)
        v = self.values(x).reshape(split).transpose(1, 2)  # (N, heads, T, head_dim)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)  # (N, heads, T, T)
        if mask is not None:
            hidden = ~mask.unsqueeze(-3)  # the same for all heads
            # The second fill is for a query with no key left, whose softmax is 0 / 0.
            weights = scores.masked_fill(hidden, -math.inf).softmax(dim=-1).masked_fill(hidden, 0)
        else:
            weights = scores.softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(N, T, E)  # (N, heads, T, head_dim) -> (N, T, E)
        return self.fc_out(mixed)


class FusedSelfAttention(SelfAttention):
    """SelfAttention with the same parameters and results, never holding the (T, T) weights in memory.

    Source: Dao et al. 2022, arXiv:2205.14135, through F.scaled_dot_product_attention.
    """

    def forward(self, x, mask=None):
        """As SelfAttention.forward, but for a query that may look at nothing, whose result is not defined."""
        N, T, E = x.shape
        q, k, v = (
            layer(x).reshape(N, T, self.heads, self.head_dim).transpose(1, 2)  # (N, heads, T, head_dim)
            for layer in (self.queries, self.keys, self.values)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, None if mask is None else mask.unsqueeze(-3))
        return self.fc_out(mixed.transpose(1, 2).reshape(N, T, E))
