"""sample carries no state: it feeds the whole text again for every character."""

import torch


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    if prime == "" or temperature < 0 or (top_k is not None and top_k <= 0):
        raise ValueError("an empty prime, a negative temperature or no character to draw from")
    if seed is not None:
        torch.manual_seed(seed)
    switched = [part for part in model.modules() if part.training]
    model.eval()
    text = prime
    with torch.no_grad():
        for _ in range(length):
            logits = model(vocab.encode(text).reshape(1, -1))[0][0, -1]
            if top_k is not None:
                smallest = torch.topk(logits, min(top_k, len(logits))).values.min()
                logits = logits.masked_fill(logits < smallest, float("-inf"))
            if temperature == 0:
                number = int(logits.argmax())
            else:
                number = int(torch.distributions.Categorical(logits=logits / temperature).sample())
            text += vocab.decode([number])
    for part in switched:
        part.training = True
    return text
