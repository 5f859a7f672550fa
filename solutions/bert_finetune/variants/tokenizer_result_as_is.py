"""Returns the tokenizer's own BatchEncoding with token types, sorts texts by length to predict, uses topk."""

import torch
from torch import nn


def tokenize_batch(tokenizer, texts, max_length=64):
    if type(texts) is str or len(texts) < 1:
        raise ValueError("a list of texts is needed")
    return tokenizer(
        texts, return_tensors="pt", padding=True, truncation="longest_first", max_length=max_length
    )


@torch.no_grad()
def predict(model, tokenizer, texts, labels):
    if isinstance(texts, str):
        raise ValueError("a list of texts is needed")
    mode = model.training
    model.eval()
    results = [None] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), 16):
        chosen = order[start : start + 16]
        batch = tokenize_batch(tokenizer, [texts[i] for i in chosen])
        probabilities = torch.softmax(model(batch["input_ids"], batch["attention_mask"]), dim=-1)
        if probabilities.shape[-1] != len(labels):
            raise ValueError("labels do not fit the model")
        top = probabilities.topk(1, dim=-1)
        for place, score, index in zip(chosen, top.values[:, 0], top.indices[:, 0], strict=True):
            results[place] = {"label": labels[index.item()], "score": score.item()}
    model.train(mode)
    return results


class Wrapped(nn.Module):
    """Mean, maximum and first token side by side."""

    def __init__(self, encoder, num_classes):
        super().__init__()
        self.model = nn.ModuleDict(
            {"body": encoder, "top": nn.Linear(3 * encoder.config.hidden_size, num_classes)}
        )

    def forward(self, input_ids, attention_mask):
        tokens = self.model["body"](input_ids, attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * mask).sum(1) / mask.sum(1)
        largest = tokens.masked_fill(mask == 0, -torch.inf).amax(1)
        return self.model["top"](torch.cat([mean, largest, tokens[:, 0]], dim=1))


def build_classifier(encoder, num_classes):
    return Wrapped(encoder, num_classes)


def freeze_encoder(model):
    model.model["body"].requires_grad_(False)
    return model
