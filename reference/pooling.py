"""One vector per text from one vector per token."""


def mean_pool(last_hidden_state, attention_mask):
    """Average each text's token vectors, padding left out.

    Args:
        last_hidden_state: (N, T, E) token vectors; what stands at padding may be anything, NaN too.
        attention_mask: (N, T), 1 or True for a token, 0 or False for padding.

    Returns:
        (N, E), dtype and device of last_hidden_state; zeros for a text without any token.

    Raises:
        ValueError: attention_mask is not (N, T).
    """
    N, T, _E = last_hidden_state.shape
    if attention_mask.shape != (N, T):
        raise ValueError(f"attention_mask has shape {tuple(attention_mask.shape)}, expected ({N}, {T})")
    padding = (attention_mask == 0).unsqueeze(-1)  # (N, T, 1)
    # Filled, not multiplied by 0: 0 * NaN is NaN.
    total = last_hidden_state.masked_fill(padding, 0).sum(dim=1)  # (N, E)
    tokens = (T - padding.sum(dim=1)).clamp(min=1)  # (N, 1)
    return total / tokens
