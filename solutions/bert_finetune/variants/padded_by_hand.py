"""Tokenizes text by text and pads by hand; pools with an einsum; predicts one text at a time."""

import torch


def tokenize_batch(tokenizer, texts, max_length=64):
    if not isinstance(texts, list) or len(texts) == 0:
        raise ValueError("expected a list of texts")
    rows = [tokenizer(text, truncation=True, max_length=max_length)["input_ids"] for text in texts]
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = True
    return {"attention_mask": mask, "input_ids": ids}


def mean_pool(last_hidden_state, attention_mask):
    N, T, _E = last_hidden_state.shape
    if list(attention_mask.shape) != [N, T]:
        raise ValueError("the mask does not fit")
    real = attention_mask.bool()
    clean = torch.where(real[..., None], last_hidden_state, torch.zeros_like(last_hidden_state))
    share = real.to(clean.dtype) / real.sum(-1, keepdim=True).clamp(min=1).to(clean.dtype)
    return torch.einsum("nte,nt->ne", clean, share)


def predict(model, tokenizer, texts, labels):
    if isinstance(texts, str):
        raise ValueError("expected a list of texts")
    was_training, results = model.training, []
    model.eval()
    for text in texts:
        batch = tokenize_batch(tokenizer, [text])
        with torch.inference_mode():
            probabilities = model(**batch).softmax(-1)[0]
        if len(probabilities) != len(labels):
            raise ValueError("one label for each class, please")
        best = int(probabilities.argmax())
        results.append(
            {"score": float(probabilities[best]), "label": labels[best], "all": probabilities.tolist()}
        )
    model.train(was_training)
    return results
