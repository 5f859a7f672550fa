import pytest
import torch
from torch import nn

from reference.text_classifier import TextClassifier
from tests.reference.devices import DEVICES


def built(seed=0):
    torch.manual_seed(seed)
    return TextClassifier(vocab_size=11, embed_dim=3, hidden_dim=5, output_dim=2).double().eval()


def unrolled(model, ids):
    """The logits of one text without padding: an LSTMCell walked forwards and one backwards, by hand."""
    embedded = model.embedding.weight[ids]  # (T, E)
    finals = []
    for suffix, steps in (("", embedded), ("_reverse", embedded.flip(0))):
        cell = nn.LSTMCell(3, 5).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data = getattr(model.lstm, f"{name}_l0{suffix}").data
        state = None
        for step in steps:
            state = cell(step, state)
        finals.append(state[0])
    return model.fc(torch.cat(finals))


def test_logits_are_both_directions_unrolled():
    """Logits are fc of the forward state after the last token and the backward one after the first."""
    model = built()
    rows = [[3, 1, 4], [1, 5, 9, 2, 6], [7]]
    batch = torch.tensor([row + [0] * (5 - len(row)) for row in rows])
    for logits, row in zip(model(batch), rows, strict=True):
        torch.testing.assert_close(logits, unrolled(model, row))


def test_padding_has_no_influence():
    """More zeros at the end leave the logits as they were, bit for bit: neither direction reads them."""
    model = built()
    ids = torch.randint(1, 11, (4, 6))
    padded = torch.cat([ids, torch.zeros(4, 3, dtype=torch.long)], dim=1)
    assert torch.equal(model(padded), model(ids))


def test_a_zero_inside_a_text_does_not_end_it():
    """Only zeros at the end are padding: what follows a zero still counts, and the zero takes up a step."""
    model = built()
    inside = model(torch.tensor([[3, 0, 4]]))
    torch.testing.assert_close(inside[0], unrolled(model, [3, 0, 4]))
    assert not torch.allclose(inside, model(torch.tensor([[3, 4]])))


def test_a_row_of_padding_is_read_as_one_zero():
    """An empty text is answered, the same at any width."""
    model = built()
    empty = model(torch.zeros(1, 4, dtype=torch.long))
    assert empty.isfinite().all()
    torch.testing.assert_close(empty[0], unrolled(model, [0]))


def test_dropout_in_train_mode_only():
    """Train mode drops half of the final states at random; eval mode repeats itself bit for bit."""
    model = built()
    ids = torch.randint(1, 11, (4, 6))
    assert torch.equal(model(ids), model(ids))
    model.train()
    assert not torch.equal(model(ids), model(ids))
    assert model.dropout.p == 0.5


def test_every_parameter_gets_a_gradient_and_padding_none():
    """All parts take part; the embedding of the padding stays out of training."""
    model = built()
    model(torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]])).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert torch.equal(model.embedding.weight.grad[0], torch.zeros(3, dtype=torch.double))


def test_same_seed_same_bits():
    """Construction and forward pass repeat bit for bit."""
    ids = torch.randint(0, 11, (3, 4))
    assert torch.equal(built(7)(ids), built(7)(ids))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_runs_in_any_dtype_on_any_device(dtype, device):
    """Logits come in the weights' dtype, on their device."""
    out = built().to(device, dtype)(torch.tensor([[1, 2, 0], [3, 0, 0]], device=device))
    assert out.shape == (2, 2)
    assert (out.dtype, out.device.type) == (dtype, device)
