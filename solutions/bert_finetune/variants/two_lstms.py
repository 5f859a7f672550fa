"""Two LSTMs of one direction each, lengths by counting, reversed by hand, the backward state first."""

import torch
from torch import nn


class TextClassifier(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, output_dim):
        super().__init__()
        self.words = nn.Embedding(vocab_size, embed_dim)
        self.there = nn.LSTM(embed_dim, hidden_dim, batch_first=True)
        self.back = nn.LSTM(embed_dim, hidden_dim, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(2 * hidden_dim, output_dim)

    def forward(self, ids):
        lengths = (ids != 0).sum(1).clamp(min=1)
        steps = torch.arange(ids.shape[1], device=ids.device)
        turned = (lengths.unsqueeze(1) - 1 - steps).clamp(min=0)
        last = (lengths - 1).view(-1, 1, 1)
        states = []
        for lstm, order in ((self.back, ids.gather(1, turned)), (self.there, ids)):
            output, _ = lstm(self.words(order))
            states.append(output.gather(1, last.expand(-1, 1, output.shape[2])).squeeze(1))
        return self.out(self.drop(torch.cat(states, dim=-1)))
