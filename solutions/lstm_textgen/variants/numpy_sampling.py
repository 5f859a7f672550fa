"""sample reads the prime one character at a time and draws with NumPy's generator."""

import numpy as np
import torch


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    if prime == "" or temperature < 0 or (top_k is not None and top_k <= 0):
        raise ValueError("an empty prime, a negative temperature or no character to draw from")
    random = np.random.default_rng(seed)
    mode = model.training
    model.eval()
    state = None
    with torch.no_grad():
        for number in vocab.encode(prime):
            logits, state = model(number.view(1, 1), state)
        chosen = []
        for _ in range(length):
            scores = logits[0, -1].numpy().astype(np.float64)
            order = np.argsort(-scores)[:top_k]
            if temperature == 0:
                number = int(order[0])
            else:
                weights = np.exp((scores[order] - scores[order[0]]) / temperature)
                number = int(random.choice(order, p=weights / weights.sum()))
            chosen.append(number)
            logits, state = model(torch.tensor([[number]]), state)
    model.train(mode)
    return prime + vocab.decode(torch.tensor(chosen, dtype=torch.long))
