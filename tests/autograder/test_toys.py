"""What toys, batches and end-state comparisons let a check see of a function."""

import copy

import pytest
import torch
from torch import nn

from dlgrade import compare, structure
from dlgrade.elsewhere import Elsewhere, watching
from dlgrade.outcome import CheckFailed, StudentRaised
from dlgrade.specs import Batches, BatchList, Toy


def built(*layers):
    spec = Toy(*layers)
    return spec.build(**spec.fields)


def test_a_script_dictates_the_outputs_of_each_epoch_in_eval_mode():
    """After n epochs of train-mode passes the n-th number is added to column 0; the last one stays on."""
    layer = built(("Scripted", [5.0, 7.0], 2))
    x = torch.zeros(1, 3, dtype=torch.float64)
    seen = []
    for _ in range(3):
        for _ in range(2):
            assert torch.equal(layer(x), x)
        layer.eval()
        seen.append(layer(x)[0].tolist())
        layer.train()
    assert seen == [[5.0, 0.0, 0.0], [7.0, 0.0, 0.0], [7.0, 0.0, 0.0]]


def test_the_place_in_a_script_is_restored_with_the_weights():
    """Its counter is a buffer, so loading an earlier state goes back in the script."""
    layer = built(("Scripted", [5.0, 7.0], 1))
    layer(torch.zeros(1, 2))
    early = copy.deepcopy(layer.state_dict())
    layer(torch.zeros(1, 2))
    layer.load_state_dict(early)
    assert layer.eval()(torch.zeros(1, 2))[0, 0] == 5.0


def test_a_diary_counts_passes_graphs_and_loads_and_is_not_rolled_back():
    """Loading an old state adds a load and takes nothing away."""
    toy = built(("Linear", 2, 2), ("Diary",))
    x = torch.zeros(1, 2, dtype=torch.float64)
    old = copy.deepcopy(toy.state_dict())
    toy(x)
    with torch.no_grad():
        toy(x)
    toy.eval()(x)
    toy.load_state_dict(old)
    assert toy.state_dict()["1._extra_state"].tolist() == [2, 2, 1]


def test_a_toys_scalar_buffer_gets_a_value():
    """A buffer of shape () is filled from the formula like any other."""
    assert built(("StepCounter",)).state_dict()["0.ticks"].shape == ()


def test_batches_elsewhere_must_be_moved():
    """They refuse to meet a parameter until `.to(device)`; sizes, dtypes and indexing stay usable."""
    spec = Batches(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64), batch_size=2, elsewhere=True)
    inputs, labels = next(iter(spec.build(**spec.fields)))
    model = nn.Linear(2, 2)
    assert (len(inputs), labels.size(0), inputs.shape) == (2, 2, (2, 2))
    for unmoved in (inputs, inputs.to(torch.float32), inputs[:1], inputs.cpu()):
        with pytest.raises(RuntimeError, match=r"call \.to\(device\)"):
            model(unmoved)
    for moved in (inputs.to("cpu"), inputs.to(device=torch.device("cpu")), inputs.to("cpu", torch.float32)):
        assert type(moved) is torch.Tensor
        model(moved)
    with pytest.raises(RuntimeError, match="same device"):
        nn.functional.cross_entropy(model(inputs.to("cpu")), labels)


def test_every_way_to_name_a_device_brings_a_batch_over():
    """`torch.as_tensor(x, device=...)` and its like do as well as `.to`; without a device nothing moves."""
    [(inputs, labels)] = BatchList.build([(torch.ones(4, 2), torch.zeros(4))], elsewhere=True)
    here = torch.ones(4, 2)
    with watching(True):
        for convert in (torch.as_tensor, torch.asarray):
            moved = convert(inputs, device=torch.device("cpu"))
            assert type(moved) is torch.Tensor
            assert (moved + here).tolist() == [[2.0, 2.0]] * 4
        with pytest.raises(RuntimeError, match="same device"):
            torch.as_tensor(inputs) + here
        with torch.device("cpu"), pytest.raises(RuntimeError, match="same device"):
            inputs + here
    assert type(labels.to("cpu")) is torch.Tensor


def test_a_scalar_may_meet_a_tensor_elsewhere():
    """As on a GPU, a tensor without dimensions is no reason to refuse."""
    away = torch.ones(2).as_subclass(Elsewhere)
    assert (away * torch.tensor(2.0)).tolist() == [2.0, 2.0]


def test_an_end_state_is_compared_by_name():
    """A missing, a changed and a malformed state fail; extra state does not count."""
    right = {"a": torch.zeros(2), "b._extra_state": torch.ones(1)}
    compare.state({"a": torch.zeros(2)}, right, what="at the end")
    for wrong in ({"a": torch.ones(2)}, {}, "gone", None):
        with pytest.raises(CheckFailed, match="at the end"):
            compare.state(wrong, right, what="at the end")


def test_an_expected_exception_must_come_under_its_name():
    """Another exception or none at all fails."""

    def refuse(name):
        raise StudentRaised(name, "")

    compare.raises("ValueError", lambda: refuse("ValueError"), what="f(x)")
    with pytest.raises(CheckFailed, match="raises KeyError, expected ValueError"):
        compare.raises("ValueError", lambda: refuse("KeyError"), what="f(x)")
    with pytest.raises(CheckFailed, match="returns, expected a ValueError"):
        compare.raises("ValueError", lambda: None, what="f(x)")


def test_a_layer_that_starts_at_zero_hides_nothing_after_a_step():
    """A zero head has no gradient behind it at first; a few steps show that the rest can learn."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    nn.init.zeros_(model[2].weight)
    x = torch.ones(2, 3)
    with pytest.raises(CheckFailed, match="no gradient reaches"):
        structure.every_parameter_learns(model, x)
    structure.every_parameter_learns(model, x, steps=1)
    before = model[0].weight.detach().clone()
    structure.descend(model, x, by=0.01)
    assert 0 < float((model[0].weight.detach() - before).abs().max()) <= 0.0101
