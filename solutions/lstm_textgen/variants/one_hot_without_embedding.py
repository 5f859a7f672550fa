"""No embedding at all: the LSTM reads one-hot vectors through a linear layer without bias."""

from torch import nn
from torch.nn import functional as F


class CharLSTM(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers):
        super().__init__()
        self.vocab_size = vocab_size
        self.project = nn.Linear(vocab_size, embed_dim, bias=False)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_dim, vocab_size)

    def forward(self, ids, state=None):
        one_hot = F.one_hot(ids, self.vocab_size).to(self.project.weight.dtype)
        hidden, state = self.lstm(self.project(one_hot), state)
        return self.fc(hidden), state
