"""SimpleRNN and LSTMModel: their equations, step by step, and the state that follows the input."""

import warnings

import pytest
import torch
from torch import nn

from reference.lstm_model import LSTMModel
from reference.simple_rnn import SimpleRNN
from tests.reference.devices import DEVICES

MODELS = {
    "SimpleRNN": lambda: SimpleRNN(3, 5, 2),
    "LSTMModel": lambda: LSTMModel(3, 5, 2, 2),
}


def built(name, seed=0):
    torch.manual_seed(seed)
    return MODELS[name]().double().eval()


def test_simple_rnn_is_its_recurrence():
    """The output is fc(h_T) with h_t = tanh(W x_t + b + U h_(t-1) + b'), written as a loop."""
    model = built("SimpleRNN")
    x = torch.randn(4, 6, 3, dtype=torch.double)
    h = torch.zeros(4, 5, dtype=torch.double)
    for t in range(6):
        inner = x[:, t] @ model.rnn.weight_ih_l0.T + h @ model.rnn.weight_hh_l0.T
        h = torch.tanh(inner + model.rnn.bias_ih_l0 + model.rnn.bias_hh_l0)
    torch.testing.assert_close(model(x), h @ model.fc.weight.T + model.fc.bias)


def test_lstm_model_is_its_cells_unrolled():
    """In eval mode the output is fc of the last state of two LSTMCells with copied weights, unrolled."""
    model = built("LSTMModel")
    x = torch.randn(4, 6, 3, dtype=torch.double)
    sequence = list(x.unbind(dim=1))
    for layer in range(2):
        cell = nn.LSTMCell(sequence[0].shape[1], 5).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).data = getattr(model.lstm, f"{name}_l{layer}").data
        state = None
        for t, step in enumerate(sequence):
            state = cell(step, state)
            sequence[t] = state[0]
    torch.testing.assert_close(model(x), model.fc(sequence[-1]))


def test_lstm_model_drops_between_layers_in_train_mode_only():
    """Train mode drops lower-layer outputs at random, a fifth of them; eval mode repeats bit for bit."""
    model = built("LSTMModel")
    x = torch.randn(2, 4, 3, dtype=torch.double)
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    assert model.lstm.dropout == 0.2


def test_one_layer_lstm_warns_of_nothing():
    """With one layer there is nothing between layers to drop, and PyTorch has nothing to warn about."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LSTMModel(3, 5, 1, 2)
    x = torch.randn(2, 4, 3)
    assert torch.equal(model.train()(x), model.eval()(x))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_state_follows_the_input(name, dtype, device):
    """The models run in any floating dtype on any device, and answer in kind."""
    out = built(name).to(device, dtype)(torch.randn(4, 6, 3, device=device, dtype=dtype))
    assert out.shape == (4, 2)
    assert out.dtype == dtype
    assert out.device.type == device


@pytest.mark.parametrize("name", MODELS)
def test_runs_on_the_meta_device(name):
    """Shapes can be worked out without memory: nothing in the model is tied to a real device."""
    out = built(name).to("meta")(torch.empty(4, 6, 3, dtype=torch.double, device="meta"))
    assert out.shape == (4, 2)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_match_finite_differences(name):
    """Backpropagation through time gives the numerical gradient, and each step has a share in it."""
    model = built(name)
    x = torch.randn(2, 4, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(model, (x,))
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    assert (gradient.abs().sum(dim=(0, 2)) > 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_a_batch_do_not_mix(name):
    """A sequence gets the same answer alone and in a batch; batches are first, time second."""
    model = built(name)
    x = torch.randn(4, 6, 3, dtype=torch.double)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]))


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_bits(name):
    """Construction and forward pass repeat bit for bit."""
    x = torch.ones(2, 3, 3, dtype=torch.double)
    assert torch.equal(built(name, 7)(x), built(name, 7)(x))


@pytest.mark.parametrize("name", MODELS)
def test_one_time_step_is_enough(name):
    """A sequence of one step is answered from that step."""
    assert built(name)(torch.randn(2, 1, 3, dtype=torch.double)).shape == (2, 2)
