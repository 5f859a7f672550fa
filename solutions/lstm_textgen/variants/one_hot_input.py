"""Characters enter as one-hot vectors times a matrix, and the matrix is a bare parameter of another name."""

import torch
from torch import nn
from torch.nn import functional as F


class CharLSTM(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers):
        super().__init__()
        self.vocab_size = vocab_size
        self.vectors = nn.Parameter(torch.randn(vocab_size, embed_dim))
        self.recurrent = nn.LSTM(embed_dim, hidden_dim, num_layers, batch_first=True)
        self.head = nn.Linear(hidden_dim, vocab_size)

    def forward(self, ids, state=None):
        one_hot = F.one_hot(ids, self.vocab_size).to(self.vectors)
        hidden, state = self.recurrent(one_hot @ self.vectors, state)
        return self.head(hidden), state
