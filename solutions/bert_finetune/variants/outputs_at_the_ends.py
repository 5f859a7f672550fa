"""Text by text without any padding, outputs at each direction's own end, dropout as a function."""

import torch
from torch import nn
from torch.nn import functional as F


class TextClassifier(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, output_dim):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=0)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * hidden_dim, output_dim)

    def forward(self, ids):
        rows = []
        for row in ids:
            length = max(int((row != 0).sum()), 1)
            output = self.lstm(self.embedding(row[:length].unsqueeze(0)))[0][0]
            there, back = output.chunk(2, dim=-1)
            rows.append(torch.cat([there[-1], back[0]]))
        both = F.dropout(torch.stack(rows), 0.5, training=self.training)
        return self.fc(both)


def mean_pool(last_hidden_state, attention_mask):
    if tuple(attention_mask.shape) != tuple(last_hidden_state.shape[:2]):
        raise ValueError("the mask does not fit")
    rows = []
    for tokens, mask in zip(last_hidden_state, attention_mask.bool(), strict=True):
        kept = tokens[mask]
        rows.append(kept.mean(0) if len(kept) else tokens.new_zeros(tokens.shape[-1]))
    return torch.stack(rows)
