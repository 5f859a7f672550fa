"""sample carries no state: it feeds the whole text again for every character."""

import torch


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    if seed is not None:
        torch.manual_seed(seed)
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
    return text
