"""The stacked LSTM: gated memory over time, the last step decides."""

from torch import nn


class LSTMModel(nn.Module):
    """A stack of LSTM layers whose last hidden state is mapped to the output.

    Between the layers, not after the last one, dropout of 0.2 acts in train mode. Layers: `lstm`, `fc`.

    Args:
        input_size: features per time step, I.
        hidden_size: width of the hidden and of the cell state, D.
        num_layers: LSTM layers on top of each other, L.
        output_size: width of the output, O.

    Source: Hochreiter and Schmidhuber 1997, "Long short-term memory"; dropout between layers: Zaremba et
    al. 2014, arXiv:1409.2329.
    """

    def __init__(self, input_size, hidden_size, num_layers, output_size):
        super().__init__()  # given
        self.num_layers = num_layers
        self.hidden_size = hidden_size
        # A single layer has nothing between layers to drop, and nn.LSTM warns when it is asked to.
        dropout = 0.2 if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(input_size, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.fc = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        """Read a batch of sequences and answer after the last step.

        Args:
            x: (N, T, I), batch first, on any device and in any floating dtype the layers are in.

        Returns:
            (N, O), no activation; device and dtype of x.
        """
        N, _T, _I = x.shape
        # From x itself: a state made with torch.zeros stays on the CPU in float32 and breaks elsewhere.
        h0 = x.new_zeros(self.num_layers, N, self.hidden_size)
        c0 = x.new_zeros(self.num_layers, N, self.hidden_size)
        hidden, _ = self.lstm(x, (h0, c0))  # (N, T, D)
        return self.fc(hidden[:, -1])
