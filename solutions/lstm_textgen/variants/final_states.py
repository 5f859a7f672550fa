"""SimpleRNN and LSTMModel read the final state h_n of the top layer instead of the last output."""

from torch import nn


class SimpleRNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        _, ht = self.rnn(x)
        return self.fc(ht[-1])


class LSTMModel(nn.Module):
    def __init__(self, input_size, hidden_size, num_layers, output_size):
        super().__init__()
        self.lstm = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=0.2 * (num_layers > 1)
        )
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        _, (ht, _) = self.lstm(x)
        return self.fc(ht.permute(1, 0, 2)[:, -1])
