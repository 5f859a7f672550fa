"""A character language model: at every step, logits for the character that comes next."""

from torch import nn


class CharLSTM(nn.Module):
    """Embedding, stacked LSTM, linear layer: predicts the next character at every position.

    Layers: `embedding`, `lstm`, `fc`.

    Args:
        vocab_size: number of characters, V.
        embed_dim: width of a character's embedding, E.
        hidden_dim: width of the hidden and of the cell state, D.
        num_layers: LSTM layers on top of each other, L.

    Source: Graves 2013, "Generating sequences with recurrent neural networks", arXiv:1308.0850.
    """

    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers):
        super().__init__()  # given
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_dim, vocab_size)

    def forward(self, ids, state=None):
        """Predict the next character after each position.

        Position t sees characters 0..t only. Reading a text in two calls, with the state of the first
        passed to the second, gives the same logits as reading it in one.

        Args:
            ids: LongTensor (N, T).
            state: pair (h, c), each (L, N, D), as an earlier call returned it; None starts from zeros.

        Returns:
            logits: (N, T, V), no softmax.
            state: pair (h, c) after the last step, each (L, N, D). The one given stays as it is.

        Device and floating dtype are those of the layers.
        """
        N, _T = ids.shape
        embedded = self.embedding(ids)  # (N, T, E)
        if state is None:
            zeros = embedded.new_zeros(self.num_layers, N, self.hidden_dim)  # device and dtype of the weights
            state = (zeros, zeros)
        hidden, state = self.lstm(embedded, state)  # (N, T, D)
        return self.fc(hidden), state
