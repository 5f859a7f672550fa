"""sample takes the argmax of logits with Gumbel noise, which draws from their softmax."""

import torch


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    if prime == "" or temperature < 0 or (top_k is not None and top_k <= 0):
        raise ValueError("an empty prime, a negative temperature or no character to draw from")
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)
    before = model.training
    model.train(False)
    text, ids, state = prime, vocab.encode(prime)[None], None
    for _ in range(length):
        with torch.no_grad():
            logits, state = model(ids, state)
        scores = logits[0, -1].clone()
        if top_k is not None:
            scores[scores.argsort(descending=True)[top_k:]] = -torch.inf
        uniform = torch.rand(scores.shape, generator=generator, dtype=scores.dtype)
        noise = -(-(uniform.clamp(min=1e-300)).log()).log()
        ids = (scores + temperature * noise).argmax().reshape(1, 1)
        text += vocab.decode(ids[0])
    return text if not before else (model.train(), text)[1]
