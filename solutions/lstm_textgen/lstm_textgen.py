"""Generate text with an LSTM: the full answer. Generated: edit the files it is cut from."""

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
        if not text:
            raise ValueError("text is empty, expected at least one character to build a vocabulary from")
        self.characters = sorted(set(text))
        self.index = {character: i for i, character in enumerate(self.characters)}

    def __len__(self):
        """V, the number of different characters."""
        return len(self.characters)

    def encode(self, text):
        """Number each character of a text.

        Args:
            text: str of T characters, all of them in the vocabulary; may be empty.

        Returns:
            LongTensor (T,), each value in 0..V-1.

        Raises:
            ValueError: characters outside the vocabulary; the message names each of them.
        """
        unknown = sorted(set(text) - self.index.keys())
        if unknown:
            names = ", ".join(repr(character) for character in unknown)
            raise ValueError(
                f"not in the vocabulary: {names}; expected only its {len(self)} characters, "
                "so build the vocabulary from all the text you will encode"
            )
        return torch.tensor([self.index[character] for character in text], dtype=torch.long)

    def decode(self, ids):
        """Spell out ids as text; the inverse of `encode`.

        Args:
            ids: LongTensor (T,), or a sequence of T ints, each in 0..V-1.

        Returns:
            str of T characters.

        Raises:
            ValueError: an id outside 0..V-1; the message names it.
        """
        numbers = torch.as_tensor(ids).flatten().tolist()
        for number in numbers:
            # A list would take -1 for its last entry and return a wrong character without a word.
            if not 0 <= number < len(self):
                raise ValueError(f"id {number} is not in the vocabulary, expected 0..{len(self) - 1}")
        return "".join(self.characters[number] for number in numbers)


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
    if ids.dim() != 1:
        raise ValueError(f"ids has shape {tuple(ids.shape)}, expected (T,): one text as one row of ids")
    if batch_size < 1 or seq_len < 1:
        raise ValueError(f"batch_size is {batch_size} and seq_len {seq_len}, expected both to be at least 1")
    # The last character is a target only: nothing follows it.
    count = (len(ids) - 1) // (batch_size * seq_len)
    if count < 1:
        return []
    used = count * batch_size * seq_len
    x = ids[:used].reshape(batch_size, count * seq_len)
    y = ids[1 : used + 1].reshape(batch_size, count * seq_len)
    return list(zip(x.split(seq_len, dim=1), y.split(seq_len, dim=1), strict=True))


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
        super().__init__()
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
        super().__init__()
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
        super().__init__()
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
    if not batches:
        raise ValueError("batches is empty, expected one or more; is the text longer than one batch?")
    model.to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        state, total, characters = None, 0.0, 0
        for x, y in batches:
            x, y = x.to(device), y.to(device)
            logits, (h, c) = model(x, state)  # logits: (N, T, V)
            state = (h.detach(), c.detach())
            loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())  # (N*T, V) against (N*T,)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            total += loss.item() * y.numel()
            characters += y.numel()
        losses.append(total / characters)
    return losses


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
    if not prime:
        raise ValueError("prime is empty, expected at least one character for the model to continue from")
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}, expected 0 (most likely character) or more")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}, expected at least 1, or None for all characters")
    unread, state = vocab.encode(prime).unsqueeze(0), None  # (1, T)
    k = len(vocab) if top_k is None else min(top_k, len(vocab))
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    added = []
    with torch.no_grad():
        for _ in range(length):
            logits, state = model(unread.to(device), state)  # (1, T, V)
            best, ids = logits[0, -1].cpu().double().topk(k)  # (k,), falling
            if temperature == 0:
                choice = torch.tensor([0])
            else:
                # The largest is taken off first, or a tiny temperature overflows to inf and then to NaN.
                probabilities = ((best - best[0]) / temperature).softmax(dim=0)
                choice = torch.multinomial(probabilities, 1, generator=generator)  # (1,)
            unread = ids[choice].unsqueeze(0)  # (1, 1)
            added.append(unread.item())
    model.train(was_training)
    return prime + vocab.decode(added)
