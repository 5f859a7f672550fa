"""Text in, label and score out."""

import torch

from reference.tokenization import tokenize_batch


def predict(model, tokenizer, texts, labels):
    """Label each text with its most likely class, as a sentiment pipeline does.

    A text's result does not depend on the texts beside it. It is judged by as many tokens as
    `tokenize_batch` keeps.

    Args:
        model: called as `model(input_ids, attention_mask)`, returns (N, K) logits. It runs where it is,
            in eval mode without gradients, and is left in the mode it was found in.
        tokenizer: the one the model was trained with.
        texts: list of str, of any length; an empty list gives an empty list.
        labels: the K names of the classes, in the order of the logits.

    Returns:
        list of one dict per text, in their order: `label`, a str, and `score`, its probability in 0..1.

    Raises:
        ValueError: labels does not have as many names as the model has classes, or texts is a single str.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    results = []
    with torch.no_grad():
        for start in range(0, len(texts), 32):  # 32 at a time: a long list would not fit into memory at once
            batch = tokenize_batch(tokenizer, texts[start : start + 32])
            logits = model(batch["input_ids"].to(device), batch["attention_mask"].to(device))  # (n, K)
            if logits.shape[1] != len(labels):
                raise ValueError(f"labels has {len(labels)} names, expected {logits.shape[1]}: one per class")
            scores, classes = logits.softmax(dim=1).max(dim=1)  # (n,), (n,)
            for score, k in zip(scores.tolist(), classes.tolist(), strict=True):
                results.append({"label": labels[k], "score": score})
    model.train(was_training)
    return results
