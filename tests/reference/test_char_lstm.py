import pytest
import torch
from torch import nn

from reference.char_lstm import CharLSTM
from tests.reference.devices import DEVICES


def built(num_layers=2):
    torch.manual_seed(0)
    return CharLSTM(vocab_size=7, embed_dim=3, hidden_dim=5, num_layers=num_layers).double()


def test_logits_and_state_are_the_cells_unrolled():
    """Logits at each step and the final (h, c) equal LSTMCells with copied weights, walked by hand."""
    model = built()
    ids = torch.randint(7, (4, 6))
    sequence = list(model.embedding.weight[ids].unbind(dim=1))
    finals = []
    for layer in range(2):
        cell = nn.LSTMCell(sequence[0].shape[1], 5).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data = getattr(model.lstm, f"{name}_l{layer}").data
        state = None
        for t, step in enumerate(sequence):
            state = cell(step, state)
            sequence[t] = state[0]
        finals.append(state)
    logits, (h, c) = model(ids)
    torch.testing.assert_close(logits, model.fc(torch.stack(sequence, dim=1)))
    torch.testing.assert_close(h, torch.stack([final[0] for final in finals]))
    torch.testing.assert_close(c, torch.stack([final[1] for final in finals]))


def test_reading_in_pieces_is_reading_at_once():
    """With the state handed on, two calls give the logits and the state of one; without it they do not."""
    model = built()
    ids = torch.randint(7, (4, 9))
    whole, whole_state = model(ids)
    first, state = model(ids[:, :4])
    second, state = model(ids[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(state, whole_state)
    assert not torch.allclose(model(ids[:, 4:])[0], second)


def test_no_step_sees_the_future():
    """Another character at step t changes the logits at t and none of those before it, bit for bit."""
    model = built()
    ids = torch.randint(7, (2, 6))
    for t in range(6):
        other = ids.clone()
        other[:, t] = (ids[:, t] + 1) % 7
        before, after = model(ids)[0], model(other)[0]
        assert torch.equal(before[:, :t], after[:, :t])
        assert not torch.allclose(before[:, t], after[:, t])


def test_no_state_is_a_state_of_zeros():
    """state=None starts from zeros in both h and c."""
    model = built()
    ids = torch.randint(7, (3, 4))
    zeros = torch.zeros(2, 3, 5, dtype=torch.double)
    assert torch.equal(model(ids)[0], model(ids, (zeros, zeros))[0])


@pytest.mark.parametrize("device", [*DEVICES, "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_state_follows_the_weights(dtype, device):
    """Logits (N, T, V) and state (L, N, D) come in the weights' dtype, on their device."""
    logits, (h, c) = built().to(device, dtype)(torch.zeros(4, 6, dtype=torch.long, device=device))
    assert logits.shape == (4, 6, 7)
    assert h.shape == c.shape == (2, 4, 5)
    assert {t.dtype for t in (logits, h, c)} == {dtype}
    assert {t.device.type for t in (logits, h, c)} == {device}


def test_every_parameter_gets_a_gradient():
    """All parts take part: each parameter's gradient is finite and not zero."""
    model = built(num_layers=1)
    model(torch.arange(7).unsqueeze(0))[0].square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
