"""The baseline text classifier: a bidirectional LSTM that reads each text to its end and no further."""

import torch
from torch import nn


class TextClassifier(nn.Module):
    """Embedding, bidirectional LSTM, both final states (forward first), dropout of 0.5, linear layer.

    Id 0 at the end of a row is padding: the forward direction stops before it and the backward direction
    starts before it, so a text gets the same logits whatever it is padded to. Elsewhere there is no
    0: BERT's vocabulary has [PAD] as 0, and only at the end. A row of nothing but 0 is read as a single 0.
    Layers: `embedding`, `lstm`, `dropout`, `fc`.

    Args:
        vocab_size: number of token ids, V; 0 is the padding.
        embed_dim: width of a token's embedding, E.
        hidden_dim: width of each direction's hidden state, D.
        output_dim: number of outputs, O.

    Source: Schuster and Paliwal 1997, "Bidirectional recurrent neural networks".
    """

    def __init__(self, vocab_size, embed_dim, hidden_dim, output_dim):
        super().__init__()  # given
        self.embedding = nn.Embedding(vocab_size, embed_dim, padding_idx=0)
        self.lstm = nn.LSTM(embed_dim, hidden_dim, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2 * hidden_dim, output_dim)

    def forward(self, ids):
        """Classify a batch of texts.

        Args:
            ids: LongTensor (N, T), each row padded with 0 at its end.

        Returns:
            (N, O), no activation.
        """
        _N, T = ids.shape
        steps = torch.arange(1, T + 1, device=ids.device)
        lengths = (steps * (ids != 0)).amax(dim=1).clamp(min=1)  # (N,), up to the last id that is not 0
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(ids),  # (N, T, E)
            lengths.cpu(),  # pack_padded_sequence takes lengths on the CPU only
            batch_first=True,
            enforce_sorted=False,
        )
        _, (h, _c) = self.lstm(packed)  # (2, N, D)
        # Not output[:, -1]: there the backward direction has seen the last token only.
        both = torch.cat([h[0], h[1]], dim=1)  # (N, 2D)
        return self.fc(self.dropout(both))
