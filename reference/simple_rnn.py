"""The plain recurrent network: one tanh layer over time, the last step decides."""

from torch import nn


class SimpleRNN(nn.Module):
    """A one-layer tanh RNN whose last hidden state is mapped to the output.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), starting from h_0 = 0. Layers: `rnn`, `fc`.

    Args:
        input_size: features per time step, I.
        hidden_size: width of the hidden state, D.
        output_size: width of the output, O.

    Source: Elman 1990, "Finding structure in time".
    """

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()  # given
        self.hidden_size = hidden_size
        self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
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
        h0 = x.new_zeros(1, N, self.hidden_size)
        hidden, _ = self.rnn(x, h0)  # (N, T, D)
        return self.fc(hidden[:, -1])
