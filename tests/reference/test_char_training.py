import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reference.char_lstm import CharLSTM
from reference.char_training import train_char_lm
from reference.text_batches import make_batches
from tests.reference.devices import DEVICES


class Spy(nn.Module):
    """A CharLSTM that keeps what it was called with: the only way to see the state that was passed in."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.states = []
        self.modes = []

    def forward(self, ids, state=None):
        self.states.append(state)
        self.modes.append(self.training)
        return self.model(ids, state)


def built(seed=0):
    torch.manual_seed(seed)
    return CharLSTM(5, 4, 6, 1).double()


def text(length=61):
    return torch.randint(5, (length,), generator=torch.Generator().manual_seed(1))


def unrolled(model, batches, epochs, lr, clip):
    """The same training written with Adam's update and the clipping as plain formulas."""
    parameters = list(model.parameters())
    mean = [torch.zeros_like(p) for p in parameters]
    square = [torch.zeros_like(p) for p in parameters]
    losses, step = [], 0
    for _ in range(epochs):
        state, epoch = None, []
        for x, y in batches:
            logits, state = model(x, state)
            state = (state[0].detach(), state[1].detach())
            loss = -F.log_softmax(logits, dim=-1).gather(2, y.unsqueeze(-1)).mean()
            gradients = torch.autograd.grad(loss, parameters)
            norm = torch.sqrt(sum(g.square().sum() for g in gradients))
            step += 1
            for p, g, m, v in zip(parameters, gradients, mean, square, strict=True):
                g = g * min(1.0, clip / (norm.item() + 1e-6))
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                p.data -= lr * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
            epoch.append(loss.item())
        losses.append(sum(epoch) / len(epoch))
    return losses


@pytest.mark.parametrize("clip", [0.05, 1.0])
def test_training_equals_its_formulas(clip):
    """Losses and final weights equal the training written out, whether the clipping bites or not."""
    batches = make_batches(text(), 3, 5)
    ours, theirs = built(), built()
    losses = train_char_lm(ours, batches, epochs=2, lr=0.01, clip=clip)
    assert losses == pytest.approx(unrolled(theirs, batches, 2, 0.01, clip), rel=1e-9)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_state_is_carried_detached_and_reset():
    """An epoch starts without a state; a later batch gets the final state of the one before, no history."""
    batches = make_batches(text(), 3, 5)
    spy = Spy(built())
    frozen = copy.deepcopy(spy.model)
    train_char_lm(spy, batches, epochs=2, lr=0.0)  # lr 0, so that the states can be recomputed
    assert len(batches) == 4
    assert [state is None for state in spy.states] == [True, False, False, False] * 2
    expected = frozen(batches[0][0])[1]
    torch.testing.assert_close(spy.states[1], expected)
    assert not any(tensor.requires_grad for state in spy.states if state for tensor in state)


def test_runs_in_train_mode():
    """A model left in eval mode is trained in train mode."""
    spy = Spy(built()).eval()
    train_char_lm(spy, make_batches(text(), 3, 5), epochs=1, lr=0.01)
    assert all(spy.modes)


@pytest.mark.parametrize("device", DEVICES)
def test_a_repeating_text_is_learned(device):
    """On 'abcabc...' the loss falls from about log 5 to almost nothing; one float per epoch is returned."""
    batches = make_batches(torch.arange(91) % 3, 3, 5)
    model = built()
    losses = train_char_lm(model, batches, epochs=30, lr=0.03, device=device)
    assert len(losses) == 30
    assert all(isinstance(loss, float) for loss in losses)
    assert losses[0] == pytest.approx(math.log(5), rel=0.25)
    assert losses[-1] < 0.05
    assert next(model.parameters()).device.type == device


def test_uneven_batches_weigh_by_their_characters():
    """The epoch's loss is the mean over characters, not over batches, when batches differ in length."""
    ids = text(16)
    batches = [(ids[None, :10], ids[None, 1:11]), (ids[None, 10:12], ids[None, 11:13])]
    model = built()
    state, expected = None, 0.0
    for x, y in batches:
        logits, state = model(x, state)
        expected += F.cross_entropy(logits[0], y[0], reduction="sum").item() / 12
    assert train_char_lm(model, batches, epochs=1, lr=0.0) == [pytest.approx(expected)]


def test_same_seed_same_bits():
    """Training repeats bit for bit."""
    batches = make_batches(text(), 3, 5)
    first, second = built(), built()
    assert train_char_lm(first, batches, epochs=2, lr=0.01) == train_char_lm(
        second, batches, epochs=2, lr=0.01
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_no_batches_is_an_error():
    """A text too short for a batch is named as the likely reason."""
    with pytest.raises(ValueError, match=r"batches is empty.*is the text longer than one batch"):
        train_char_lm(built(), [], epochs=1, lr=0.1)
