"""One pass of fine-tuning over tokenized, labelled batches."""

from torch.nn import functional as F


def finetune(model, batches, optimizer, scheduler, device="cpu"):
    """Train on each batch once, in order, in train mode.

    Args:
        model: called as `model(input_ids, attention_mask)`, returns (N, K) logits; trained in place.
        batches: iterable of (input_ids (N, T), attention_mask (N, T), labels (N,)), labels in 0..K-1.
        optimizer: over the model's parameters.
        scheduler: learning-rate schedule of the optimizer, stepped after each optimizer step.
        device: where the model is moved to and trained.

    Returns:
        list of one float per step: the batch's mean cross-entropy, in nats, before that step's update.
    """
    model.to(device).train()
    losses = []
    for batch in batches:
        input_ids, attention_mask, labels = (tensor.to(device) for tensor in batch)
        loss = F.cross_entropy(model(input_ids, attention_mask), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses
