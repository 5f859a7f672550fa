"""Let a character language model write on."""

import torch


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    """Continue a text, one character at a time.

    The model reads the prime once and then only each new character, with its state carried along. The
    random draw is made on the CPU, so that a seed gives the same text wherever the same logits were
    computed.

    Args:
        model: called as `model(ids, state)`, returns (logits (N, T, V), state). It runs in eval mode without
            gradients and is left in the mode it was found in.
        vocab: CharVocab with the V characters of the model.
        prime: str, the beginning of the text; at least one character.
        length: number of characters to add.
        temperature: divides the logits. Below 1 the likely characters become likelier, above 1 the draw
            becomes more even; 0 takes the most likely character every time.
        top_k: draw among the k most likely characters only; None is all of them.
        seed: int for a text that can be repeated; None draws from PyTorch's global generator.

    Returns:
        str: prime, followed by `length` characters.

    Raises:
        ValueError: prime is empty or has a character the vocabulary lacks, temperature is negative, or
            top_k is below 1.
    """
    if not prime:
        raise ValueError("prime is empty, expected at least one character for the model to continue from")
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}, expected 0 (most likely character) or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}, expected at least 1, or None for all characters")
    unread, state = vocab.encode(prime).unsqueeze(0), None  # (1, T)
    k = len(vocab) if top_k is None else min(top_k, len(vocab))
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    added = []
    with torch.no_grad():
        for _ in range(length):
            logits, state = model(unread.to(device), state)  # (1, T, V)
            best, ids = logits[0, -1].cpu().double().topk(k)  # (k,), falling
            if temperature == 0:
                choice = torch.tensor([0])
            else:
                # The largest is taken off first, or a tiny temperature overflows to inf and then to NaN.
                probabilities = ((best - best[0]) / temperature).softmax(dim=0)
                choice = torch.multinomial(probabilities, 1, generator=generator)  # (1,)
            unread = ids[choice].unsqueeze(0)  # (1, 1)
            added.append(unread.item())
    model.train(was_training)
    return prime + vocab.decode(added)
