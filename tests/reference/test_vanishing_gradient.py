import re

import pytest
import torch
from torch import nn

from reference import vanishing_gradient
from reference.vanishing_gradient import gradient_over_time, open_forget_gates, survival_per_step


def survivals(kind, forget_bias=None):
    """survival_per_step of five freshly built networks, as the module's table says it is measured."""
    values = []
    for seed in range(5):
        torch.manual_seed(seed)
        recurrent = kind(8, 64, batch_first=True).double()
        if forget_bias is not None:
            open_forget_gates(recurrent, forget_bias)
        norms = gradient_over_time(recurrent, torch.randn(16, 50, 8, dtype=torch.double))
        values.append(survival_per_step(norms))
    return values


@pytest.mark.parametrize(
    ("row", "kind", "forget_bias"),
    [
        ("plain RNN", nn.RNN, None),
        ("LSTM as PyTorch starts it (gate 0.50)", nn.LSTM, None),
        ("LSTM, forget bias 1 (gate 0.73)", nn.LSTM, 1),
        ("LSTM, forget bias 3 (gate 0.95)", nn.LSTM, 3),
    ],
)
def test_measured_table(row, kind, forget_bias):
    """A figure in the module's table is the measured mean to 0.02, and each of five seeds is within 0.05."""
    (figure,) = re.findall(re.escape(row) + r" +(\d\.\d\d)\n", vanishing_gradient.__doc__)
    values = survivals(kind, forget_bias)
    assert sum(values) / 5 == pytest.approx(float(figure), abs=0.02)
    assert values == pytest.approx([float(figure)] * 5, abs=0.05)


def test_only_an_open_gate_keeps_the_gradient():
    """Over 49 steps under a millionth survives in RNN and half-open LSTM, over a tenth at forget bias 3."""
    assert max(survivals(nn.RNN)) ** 49 < 1e-6
    assert max(survivals(nn.LSTM)) ** 49 < 1e-6
    assert min(survivals(nn.LSTM, 3)) ** 49 > 0.1


def test_gradient_matches_finite_differences():
    """Each step's norm is that of the numerical gradient of the last hidden state's sum."""
    torch.manual_seed(0)
    rnn = nn.RNN(2, 3, batch_first=True).double()
    x = torch.randn(1, 4, 2, dtype=torch.double)
    numerical = torch.zeros(4, 2, dtype=torch.double)
    for t in range(4):
        for i in range(2):
            step = torch.zeros_like(x)
            step[0, t, i] = 1e-6
            higher, lower = (rnn(moved)[0][:, -1].sum() for moved in (x + step, x - step))
            numerical[t, i] = (higher - lower).detach() / 2e-6
    torch.testing.assert_close(gradient_over_time(rnn, x), numerical.norm(dim=-1), rtol=1e-7, atol=1e-9)


def test_gradient_of_a_linear_recurrence_in_closed_form():
    """h_t = 0.5 h_(t-1) + x_t, near zero where tanh is the identity, passes back exactly half per step."""
    rnn = nn.RNN(1, 1, batch_first=True, bias=False).double()
    with torch.no_grad():
        rnn.weight_ih_l0.fill_(1.0)
        rnn.weight_hh_l0.fill_(0.5)
    norms = gradient_over_time(rnn, torch.zeros(3, 6, 1, dtype=torch.double))
    torch.testing.assert_close(norms, torch.tensor([0.5 ** (5 - t) for t in range(6)], dtype=torch.double))
    assert survival_per_step(norms) == pytest.approx(0.5)


def test_open_forget_gates_sets_the_forget_gate_of_each_layer_alone():
    """In each layer the forget gate's two biases add up to the value asked for; nothing else changes."""
    torch.manual_seed(0)
    lstm = nn.LSTM(2, 3, num_layers=2)
    before = {name: p.detach().clone() for name, p in lstm.named_parameters()}
    open_forget_gates(lstm, 2.0)
    for layer in range(2):
        total = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        assert torch.equal(total[3:6], torch.full((3,), 2.0))
    for name, parameter in lstm.named_parameters():
        changed = (parameter != before[name]).nonzero()
        assert set(changed.flatten().tolist()) <= ({3, 4, 5} if "bias" in name else set())
