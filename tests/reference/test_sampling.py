import pytest
import torch
from torch import nn

from reference.char_lstm import CharLSTM
from reference.sampling import sample
from reference.vocabulary import CharVocab
from tests.reference.devices import DEVICES

VOCAB = CharVocab("abcd")


class Bigrams(nn.Module):
    """A model whose next-character logits are one row of a table: its samples have known probabilities."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))
        self.calls = []

    def forward(self, ids, state=None):
        self.calls.append((ids.tolist(), state, self.training, torch.is_grad_enabled()))
        return self.table[ids], (ids.shape[1], 0)


def flat(*logits):
    """The same next-character logits after every character."""
    return Bigrams([list(map(float, logits))] * 4)


def built():
    torch.manual_seed(0)
    model = CharLSTM(4, 3, 8, 2)
    nn.init.normal_(model.fc.weight)  # far from even, so that texts differ
    return model


def frequencies(text):
    return torch.tensor([text.count(character) / len(text) for character in "abcd"])


def test_prime_comes_first_and_length_is_added():
    """The result is the prime and exactly `length` characters of the vocabulary; 0 adds none."""
    text = sample(built(), VOCAB, "abca", 20, seed=0)
    assert text.startswith("abca")
    assert len(text) == 24
    assert set(text) <= set("abcd")
    assert sample(built(), VOCAB, "ab", 0) == "ab"


def test_temperature_zero_is_argmax_of_the_whole_text_so_far():
    """Each character is the most likely one after all before it, recomputed from the start with no state."""
    model = built()
    text = sample(model, VOCAB, "abd", 15, temperature=0)
    for i in range(3, len(text)):
        logits, _ = model.eval()(VOCAB.encode(text[:i]).unsqueeze(0))
        assert text[i] == VOCAB.decode([logits[0, -1].argmax().item()])


def test_prime_is_read_once_then_one_character_at_a_time():
    """The prime goes in at once, then each character just drawn, with the state; eval mode, no gradient."""
    model = flat(0, 0, 0, 9)
    model.train()
    sample(model, VOCAB, "abc", 3, temperature=0)
    assert [call[0] for call in model.calls] == [[[0, 1, 2]], [[3]], [[3]]]
    assert [call[1] for call in model.calls] == [None, (3, 0), (1, 0)]
    assert [call[2:] for call in model.calls] == [(False, False)] * 3
    assert model.training


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_at_the_temperature(temperature):
    """In 4,000 draws each character comes as often as softmax(logits / temperature), to 4 standard errors."""
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    text = sample(flat(*logits.tolist()), VOCAB, "a", 4000, temperature=temperature, seed=1)[1:]
    expected = (logits / temperature).softmax(dim=0)
    error = (expected * (1 - expected) / 4000).sqrt()
    assert ((frequencies(text) - expected).abs() < 4 * error).all()


def test_top_k_draws_among_the_k_most_likely_only():
    """With top_k 2 the two most likely share all draws in their own proportion."""
    text = sample(flat(0, 2, -1, 1), VOCAB, "a", 4000, top_k=2, seed=1)[1:]
    expected = torch.tensor([0.0, 2.0, 0.0, 1.0])
    expected = torch.where(expected > 0, expected, -torch.inf).softmax(dim=0)
    error = (expected * (1 - expected) / 4000).sqrt()
    assert ((frequencies(text) - expected).abs() <= 4 * error).all()


def test_top_k_of_one_is_argmax_and_of_many_is_all():
    """top_k 1 takes the most likely; a top_k above V is the same as none."""
    model = built()
    assert sample(model, VOCAB, "a", 9, top_k=1, seed=0) == sample(model, VOCAB, "a", 9, temperature=0)
    assert sample(model, VOCAB, "a", 9, top_k=99, seed=0) == sample(model, VOCAB, "a", 9, seed=0)


def test_tiny_temperature_does_not_overflow():
    """At 1e-307 logits / temperature is infinite, and the draw is still the most likely character."""
    assert sample(flat(1, 500, 499, 0), VOCAB, "a", 5, temperature=1e-307, seed=0) == "abbbbb"


def test_seed_repeats_the_text_and_leaves_the_global_generator_alone():
    """The same seed gives the same text, another seed another; PyTorch's own generator does not move."""
    model = built()
    before = torch.get_rng_state()
    first = sample(model, VOCAB, "a", 40, temperature=2.0, seed=3)
    assert first == sample(model, VOCAB, "a", 40, temperature=2.0, seed=3)
    assert first != sample(model, VOCAB, "a", 40, temperature=2.0, seed=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_the_global_generator_decides():
    """seed=None follows torch.manual_seed."""
    model = built()
    torch.manual_seed(5)
    first = sample(model, VOCAB, "a", 40, temperature=2.0)
    second = sample(model, VOCAB, "a", 40, temperature=2.0)
    torch.manual_seed(5)
    assert first == sample(model, VOCAB, "a", 40, temperature=2.0)
    assert first != second


@pytest.mark.parametrize("device", DEVICES)
def test_runs_where_the_model_is(device):
    """The text is drawn on any device, and a model in float64 draws too."""
    assert len(sample(built().to(device).double(), VOCAB, "ab", 5, seed=0)) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prime": ""}, "prime is empty"),
        ({"prime": "a?"}, r"not in the vocabulary: '\?'"),
        ({"temperature": -0.1}, r"temperature is -0\.1, expected 0"),
        ({"top_k": 0}, "top_k is 0, expected at least 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    """Each wrong argument is refused by name and value, before the model's mode is touched."""
    model = built().train()
    with pytest.raises(ValueError, match=message):
        sample(model, VOCAB, **{"prime": "a", "length": 2, **arguments})
    assert model.training
