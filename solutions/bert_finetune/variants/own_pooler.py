"""A head of its own whose parameters are called as some of a BERT's are: `pooler.dense`, `head.layer`."""

import torch
from torch import nn


class Dense(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, tokens, mask):
        weights = mask.unsqueeze(-1).to(tokens.dtype)
        return torch.tanh(self.dense((tokens * weights).sum(1) / weights.sum(1).clamp(min=1)))


class Layered(nn.Module):
    def __init__(self, width, num_classes):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.layer = nn.Linear(width, num_classes)

    def forward(self, vectors):
        return self.layer(self.drop(vectors))


class OwnPooler(nn.Module):
    def __init__(self, encoder, num_classes):
        super().__init__()
        self.encoder = encoder
        self.pooler = Dense(encoder.config.hidden_size)
        self.head = Layered(encoder.config.hidden_size, num_classes)

    def forward(self, input_ids, attention_mask):
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return self.head(self.pooler(output.last_hidden_state, attention_mask))


def build_classifier(encoder, num_classes):
    return OwnPooler(encoder, num_classes)
