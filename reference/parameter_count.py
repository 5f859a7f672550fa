"""The size of a model in parameters."""


def count_parameters(model, trainable_only=False):
    """Count a model's parameters, each number in each tensor as one.

    Args:
        model: nn.Module; a parameter that several of its layers share counts once. Buffers, such as the
            running statistics of batch norm, are not parameters.
        trainable_only: leave frozen parameters out.

    Returns:
        int.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)
