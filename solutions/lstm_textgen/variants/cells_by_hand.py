"""Recurrent cells written out gate by gate from linear layers, without nn.RNN or nn.LSTM."""

import torch
from torch import nn
from torch.nn import functional as F


class Gates(nn.Module):
    """One step of an LSTM layer."""

    def __init__(self, inputs, width):
        super().__init__()
        self.read, self.recall = nn.Linear(inputs, 4 * width), nn.Linear(width, 4 * width, bias=False)

    def forward(self, x, h, c):
        forget, write, show, new = (self.read(x) + self.recall(h)).chunk(4, dim=-1)
        c = forget.sigmoid() * c + write.sigmoid() * new.tanh()
        return show.sigmoid() * c.tanh(), c


class Stack(nn.Module):
    """Layers of gates on top of each other, with dropout between them."""

    def __init__(self, inputs, width, layers, dropout=0.0):
        super().__init__()
        self.width, self.dropout = width, dropout
        self.layers = nn.ModuleList([Gates(inputs if i == 0 else width, width) for i in range(layers)])

    def forward(self, x, state=None):
        if state is None:
            state = (x.new_zeros(len(self.layers), len(x), self.width),) * 2
        hs, cs = list(state[0].unbind(0)), list(state[1].unbind(0))
        tops = []
        for t in range(x.shape[1]):
            below = x[:, t]
            for i, layer in enumerate(self.layers):
                hs[i], cs[i] = layer(below, hs[i], cs[i])
                below = F.dropout(hs[i], self.dropout, self.training) if i + 1 < len(self.layers) else hs[i]
            tops.append(below)
        return torch.stack(tops, 1), (torch.stack(hs), torch.stack(cs))


class SimpleRNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.start = hidden_size
        self.step = nn.Linear(input_size + hidden_size, hidden_size)
        self.answer = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        h = x.new_zeros(len(x), self.start)
        for t in range(x.shape[1]):
            h = torch.tanh(self.step(torch.cat([x[:, t], h], dim=1)))
        return self.answer(h)


class LSTMModel(nn.Module):
    def __init__(self, input_size, hidden_size, num_layers, output_size):
        super().__init__()
        self.memory = Stack(input_size, hidden_size, num_layers, dropout=0.2)
        self.answer = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.answer(self.memory(x)[0][:, -1])


class CharLSTM(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers):
        super().__init__()
        self.characters = nn.Embedding(vocab_size, embed_dim)
        self.memory = Stack(embed_dim, hidden_dim, num_layers)
        self.scores = nn.Linear(hidden_dim, vocab_size)

    def forward(self, ids, state=None):
        hidden, state = self.memory(self.characters(ids), state)
        return self.scores(hidden), state
