"""Generate text with an LSTM.

From a vocabulary of characters to a network that writes on, one character at a time.

Replace each `raise NotImplementedError` with your code; lines marked `# given` can stay. `dlgrade
check` says how far you are.
"""

import torch
from torch import nn
from torch.nn import functional as F


class CharVocab:
    """The characters of a text, numbered from 0 in sorted order.

    Sorted, so that the same text gives the same numbers on every machine and in every run.

    Args:
        text: str, at least one character; repeats count once.

    `len(vocab)` is V, the number of different characters.

    Raises:
        ValueError: text is empty.
    """

    def __init__(self, text):
        raise NotImplementedError("CharVocab.__init__")

    def __len__(self):
        """V, the number of different characters."""
        raise NotImplementedError("CharVocab.__len__")

    def encode(self, text):
        """Number each character of a text.

        Args:
            text: str of T characters, all of them in the vocabulary; may be empty.

        Returns:
            LongTensor (T,), each value in 0..V-1.

        Raises:
            ValueError: characters outside the vocabulary; the message names each of them.
        """
        raise NotImplementedError("CharVocab.encode")

    def decode(self, ids):
        """Spell out ids as text; the inverse of `encode`.

        Args:
            ids: LongTensor (T,), or a sequence of T ints, each in 0..V-1.

        Returns:
            str of T characters.

        Raises:
            ValueError: an id outside 0..V-1; the message names it.
        """
        raise NotImplementedError("CharVocab.decode")


def make_batches(ids, batch_size, seq_len):
    """Cut a text into batches of inputs and next-character targets.

    The text is laid out as batch_size rows of equal length, one after the other, and the batches walk
    along the rows: row i of a batch starts where row i of the batch before it ended, so a recurrent state
    can be carried.

    Args:
        ids: LongTensor (T,), the encoded text.
        batch_size: rows per batch, N; at least 1.
        seq_len: time steps per batch; at least 1.

    Returns:
        list of (x, y), both LongTensor (batch_size, seq_len); y is the text one character after x. The
        tail that does not fill a batch is dropped, so a text of at most batch_size * seq_len characters
        gives no batch.

    Raises:
        ValueError: ids is not one-dimensional, or batch_size or seq_len is below 1.
    """
    raise NotImplementedError("make_batches")


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
        raise NotImplementedError("SimpleRNN.__init__")

    def forward(self, x):
        """Read a batch of sequences and answer after the last step.

        Args:
            x: (N, T, I), batch first, on any device and in any floating dtype the layers are in.

        Returns:
            (N, O), no activation; device and dtype of x.
        """
        raise NotImplementedError("SimpleRNN.forward")


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
        raise NotImplementedError("LSTMModel.__init__")

    def forward(self, x):
        """Read a batch of sequences and answer after the last step.

        Args:
            x: (N, T, I), batch first, on any device and in any floating dtype the layers are in.

        Returns:
            (N, O), no activation; device and dtype of x.
        """
        raise NotImplementedError("LSTMModel.forward")


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
        raise NotImplementedError("CharLSTM.__init__")

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
        raise NotImplementedError("CharLSTM.forward")


def train_char_lm(model, batches, *, epochs, lr, clip=1.0, device="cpu"):
    """Train with Adam on consecutive batches, carrying the state but not its gradient.

    The state at the end of a batch is the start of the next one, detached, so that the gradient reaches
    back to the start of a batch and no further. Each epoch starts from no state. Each step's gradient,
    over all parameters together, is scaled down to norm `clip` where it is longer.

    Args:
        model: called as `model(ids, state)`, returns (logits (N, T, V), state); trained in place, in
            train mode.
        batches: list of (x, y), LongTensors (N, T), consecutive as `make_batches` returns them.
        epochs: passes over the batches.
        lr: Adam's learning rate.
        clip: largest gradient norm.
        device: where the model is moved to and trained.

    Returns:
        list of one float per epoch: the mean loss per character, in nats, as measured during the epoch.

    Raises:
        ValueError: batches is empty.

    Source: Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063.
    """
    raise NotImplementedError("train_char_lm")


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    """Continue a text, one character at a time.

    The model reads the prime once and then only each new character, with its state carried along. The
    random draw is made on the CPU, so that a seed gives the same text wherever the same logits were
    computed.

    Args:
        model: called as `model(ids, state)`, returns (logits (N, T, V), state). It runs in eval mode without
            gradients and is left in the mode it was found in.
        vocab: CharVocab with the V characters of the model.
        prime: str, the beginning of the text; at least one character.
        length: number of characters to add.
        temperature: divides the logits. Below 1 the likely characters become likelier, above 1 the draw
            becomes more even; 0 takes the most likely character every time.
        top_k: draw among the k most likely characters only; None is all of them.
        seed: int for a text that can be repeated; None draws from PyTorch's global generator.

    Returns:
        str: prime, followed by `length` characters.

    Raises:
        ValueError: prime is empty or has a character the vocabulary lacks, temperature is negative, or
            top_k is below 1.
    """
    raise NotImplementedError("sample")
