"""lstm_textgen through the real engine: garbage earns nothing, and nothing breaks."""

import pytest

from dlgrade.units import overlay
from tests.exercises.grading import earned, faults, grade

NAME = "lstm_textgen"

HEAD = """
import numpy as np
import torch
from torch import nn
"""

# Every function and method returns `thing()`.
BODY = """
class CharVocab:
    def __init__(self, text):
        pass

    def __len__(self):
        return thing()

    def encode(self, text):
        return thing()

    def decode(self, ids):
        return thing()


def make_batches(ids, batch_size, seq_len):
    return thing()


class SimpleRNN(nn.Module):
    def __init__(self, *sizes):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, *inputs):
        return thing()


class LSTMModel(SimpleRNN):
    pass


class CharLSTM(SimpleRNN):
    pass


def train_char_lm(model, batches, *, epochs, lr, clip=1.0, device="cpu"):
    return thing()


def sample(model, vocab, prime, length, *, temperature=1.0, top_k=None, seed=None):
    return thing()
"""

THINGS = {
    "nothing": "None",
    "text": "'text'",
    "true": "True",
    "a number": "1.5",
    "an object": "object()",
    "a function": "thing",
    "a module": "nn.Linear(2, 2)",
    "an empty tensor": "torch.zeros(0)",
    "a wrong shape": "torch.zeros(2, 3, 4)",
    "an array of text": "np.array(['a', 'b'])",
    "NaN": "float('nan')",
    "NaN outputs": "torch.full((4, 2), float('nan'))",
    "a list of text": "['a', 'b']",
    "a list of NaN": "[float('nan')] * 2",
    "an empty list": "[]",
    "batches of nothing": "[(None, None)] * 3",
    "batches of floats": "[(torch.zeros(3, 5), torch.zeros(3, 5))] * 3",
    "a pair of nothing": "(None, None)",
    "logits and no state": "(torch.zeros(4, 5, 11), None)",
    "logits and half a state": "(torch.zeros(4, 5, 11), (torch.zeros(1, 4, 6), None))",
    "an exception": "[][0]",
    "an exit": "exit()",
}

OTHERS = {
    "parts that are no classes": """
def CharVocab(text):
    return 7


def SimpleRNN(*sizes):
    return lambda x: x


def LSTMModel(*sizes):
    return None


CharLSTM = SimpleRNN
""",
    "models without parameters": """
class SimpleRNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.outputs = output_size

    def forward(self, x):
        return x.mean((1, 2), keepdim=True)[:, 0].expand(-1, self.outputs) * 1


class LSTMModel(SimpleRNN):
    def __init__(self, input_size, hidden_size, num_layers, output_size):
        super().__init__(input_size, hidden_size, output_size)


class CharLSTM(nn.Module):
    def __init__(self, vocab_size, embed_dim, hidden_dim, num_layers):
        super().__init__()
        self.sizes = vocab_size, hidden_dim, num_layers

    def forward(self, ids, state=None):
        V, D, L = self.sizes
        state = (torch.zeros(L, len(ids), D),) * 2
        return nn.functional.one_hot(ids, V).float(), state
""",
    "what is given destroyed": """
def train_char_lm(model, batches, *, epochs, **options):
    model._parameters.clear()
    batches.clear()
    return [1.0] * epochs


def sample(model, vocab, prime, length, **options):
    model.forward = None
    vocab.decode = None
    return prime + prime[:1] * length
""",
}


@pytest.mark.parametrize("thing", THINGS)
def test_garbage_earns_nothing_and_breaks_nothing(run, thing):
    """Whatever every part returns instead of a result, no check passes and none fails by our fault."""
    text = f"{HEAD}\n\ndef thing():\n    return {THINGS[thing]}\n\n{BODY}"
    report = grade(run, text)
    assert faults(report) == []
    assert earned(report) == []


@pytest.mark.parametrize("kind", OTHERS)
def test_objects_that_are_not_what_they_should_be_break_nothing(run, kind):
    """A part of the wrong kind, or one that ruins what it was given, is never our fault."""
    report = grade(run, f"{HEAD}\n\n{OTHERS[kind]}")
    assert faults(report) == []
    assert [c.id for c in report.checks if c.points and c.kind in ("value", "training", "structure")] == []


def test_state_of_a_fixed_dtype_costs_the_check_of_dtypes_alone(run, answer):
    """h0 from plain torch.zeros is right on the CPU in float32, and breaks in float64."""
    fixed = """
        class SimpleRNN(nn.Module):
            def __init__(self, input_size, hidden_size, output_size):
                super().__init__()
                self.rnn = nn.RNN(input_size, hidden_size, batch_first=True)
                self.fc = nn.Linear(hidden_size, output_size)

            def forward(self, x):
                h0 = torch.zeros(1, x.size(0), self.rnn.hidden_size)
                return self.fc(self.rnn(x, h0)[0][:, -1, :])
    """
    lines = [line[8:] for line in fixed.splitlines()]
    report = grade(run, overlay(answer, "import torch\nfrom torch import nn\n" + "\n".join(lines)))
    wrong = {c.id for c in report.counted if c.part == "SimpleRNN" and c.verdict != "passed"}
    assert wrong == {"simple_rnn_works_in_float64"}
