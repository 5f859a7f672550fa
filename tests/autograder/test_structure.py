"""The structural checks: each passes what has the property and refuses what has not, here and by proxy."""

import pytest
import torch
from torch import nn

from dlgrade import structure
from dlgrade.outcome import CheckFailed
from dlgrade.peer import LocalPeer
from dlgrade.process import Deadline
from dlgrade.proxy import Channel, Subject


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class CausalMean(nn.Module):
    """The mean of all steps so far, through a layer; `leak` adds the last step to every one."""

    def __init__(self, width=4, leak=0.0):
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.leak = leak

    def forward(self, x):
        steps = torch.arange(1, x.shape[1] + 1).view(1, -1, 1)
        return self.layer(x.cumsum(1) / steps + self.leak * x[:, -1:])


class TokenModel(nn.Module):
    """Embeds ids and runs a GRU over them, forwards or in both directions."""

    def __init__(self, both):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.rnn = nn.GRU(4, 4, batch_first=True, bidirectional=both)

    def forward(self, ids):
        return self.rnn(self.embedding(ids))


class BatchMixer(nn.Module):
    def forward(self, x):
        return x - x.mean(0, keepdim=True)


class PooledMean(nn.Module):
    """Mean over the tokens, with or without the padding."""

    def __init__(self, width, masked):
        super().__init__()
        self.layer = nn.Linear(width, 3)
        self.masked = masked

    def forward(self, x, mask):
        weights = mask.unsqueeze(-1).to(x.dtype) if self.masked else torch.ones_like(x[..., :1])
        return self.layer((x * weights).sum(1) / weights.sum(1))


def attention():
    """PyTorch's own attention of a sequence to itself, as a module of one argument."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x, need_weights=False)[0]

    return Attention()


def test_batch_independence_tells_mixing_from_none():
    """A layer norm keeps examples apart, a mean over the batch and batch norm in train mode mix them."""
    x = normal(3, 4, 5)
    structure.batch_independence(nn.LayerNorm(5), x)
    with pytest.raises(CheckFailed, match="example 0 of a batch depends on example 1"):
        structure.batch_independence(BatchMixer(), x)
    with pytest.raises(CheckFailed, match="must not mix"):
        structure.batch_independence(nn.BatchNorm1d(5), normal(4, 5))
    structure.batch_independence(nn.BatchNorm1d(5).eval(), normal(4, 5))


def test_batch_independence_of_token_ids_replaces_them():
    """Integer inputs cannot be differentiated; replacing an example shows the same."""
    ids = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 5, 4]])
    model = TokenModel(both=True)
    structure.batch_independence(model, ids, read=lambda out: out[0])

    class Mixed(nn.Module):
        def forward(self, ids):
            return model(ids)[0].flip(0)

    with pytest.raises(CheckFailed, match="does not depend on that example"):
        structure.batch_independence(Mixed(), ids)


def test_an_output_that_ignores_its_example_is_refused():
    """A constant output depends on nothing, so no example passes."""

    class Constant(nn.Module):
        def forward(self, x):
            return x * 0

    with pytest.raises(CheckFailed, match="does not depend on that example"):
        structure.batch_independence(Constant(), normal(2, 3))


@pytest.mark.parametrize("leak", [1e-3, 1.0])
def test_causality_sees_a_small_leak(leak):
    """A model of the past passes, one with a thousandth of the last step in it does not."""
    x = normal(2, 5, 4)
    structure.causality(CausalMean(), x)
    with pytest.raises(CheckFailed, match="at step 0 depends on step 4"):
        structure.causality(CausalMean(leak=leak), x)


def test_causality_of_token_models():
    """A forward GRU is causal on token ids, a bidirectional one is not."""
    ids = torch.tensor([[0, 1, 2, 3, 4, 5], [6, 0, 1, 0, 1, 0]])
    structure.causality(TokenModel(both=False), ids, read=lambda out: out[0])
    with pytest.raises(CheckFailed, match="which comes later"):
        structure.causality(TokenModel(both=True), ids, read=lambda out: out[0])


def test_dependence_on_all_needs_every_token():
    """Attention sees every token of its sequence; a causal model does not, nor does a layer per token."""
    x = normal(2, 5, 8)
    structure.dependence_on_all(attention(), x)
    with pytest.raises(CheckFailed, match="token 0 does not depend on token 1"):
        structure.dependence_on_all(nn.Linear(8, 8), x)


@pytest.mark.parametrize("integers", [False, True])
def test_padding_invariance(integers):
    """A masked mean ignores the padding, a plain one does not; for features and for token ids."""
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    x = torch.tensor([[1, 2, 3, 0], [4, 0, 0, 0]]) if integers else normal(2, 4, 6)
    embed = nn.Embedding(7, 6)

    def module(masked):
        inner = PooledMean(6, masked)
        return lambda x, mask: inner(embed(x) if integers else x, mask)

    structure.padding_invariance(module(True), x, mask, pooled=True)
    with pytest.raises(CheckFailed, match="depends on what stands in the padding"):
        structure.padding_invariance(module(False), x, mask, pooled=True)


def test_padding_invariance_looks_at_real_tokens_only():
    """What comes out at padded tokens is free, what comes out at real ones is not."""
    mask = torch.tensor([[1, 1, 0]])
    structure.padding_invariance(lambda x, _mask: x * 2, normal(1, 3, 4), mask)
    with pytest.raises(CheckFailed, match="padding"):
        structure.padding_invariance(lambda x, _mask: x + x.sum(1, keepdim=True), normal(1, 3, 4), mask)


def test_receptive_field_is_where_the_gradient_is():
    """Two 3 x 3 convolutions see 5 x 5 pixels, cut off at the border."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 1, 3, padding=1))
    field = structure.receptive_field(model, normal(1, 2, 9, 9), (4, 0))
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[2:7, 0:3] = True
    assert torch.equal(field, expected)


def test_receptive_field_of_an_output_too_small_is_a_failed_check():
    """A student's output of another shape ends in a sentence, not in an IndexError."""
    with pytest.raises(CheckFailed, match="nothing at"):
        structure.receptive_field(nn.Conv2d(1, 1, 3), normal(1, 1, 4, 4), (3, 3))


def test_permutation_equivariance_and_its_opposite():
    """Attention follows the order of its tokens; with positions added it does not."""
    x, positions = normal(2, 5, 8), normal(1, 5, 8, seed=1)
    plain = attention().eval()
    structure.permutation_equivariance(plain, x)
    with pytest.raises(CheckFailed, match="does not change with the order"):
        structure.order_matters(plain, x)
    structure.order_matters(lambda x: plain(x + positions), x)
    with pytest.raises(CheckFailed, match="in another order"):
        structure.permutation_equivariance(lambda x: plain(x + positions), x)


def test_order_matters_is_not_fooled_by_a_pooled_output():
    """A mean over tokens that know no position is blind to their order."""
    with pytest.raises(CheckFailed, match="order"):
        structure.order_matters(lambda x: x.tanh().mean(1), normal(2, 5, 5))


def test_every_parameter_learns_names_the_one_that_does_not():
    """An unused layer, and one behind detach(), are found by name."""

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.used(x)

    structure.every_parameter_learns(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), normal(5, 3))
    with pytest.raises(CheckFailed, match=r"no gradient reaches spare\.bias"):
        structure.every_parameter_learns(Unused(), normal(5, 3))


def test_a_deep_parameter_with_a_tiny_gradient_learns():
    """In eval mode with fresh statistics a signal may shrink a hundred million times on its way."""

    class Shrunk(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep, self.head = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.head(1e-8 * self.deep(x)) + self.head.bias

    structure.every_parameter_learns(Shrunk(), normal(5, 3))


def test_the_bias_of_attentions_keys_may_have_no_gradient():
    """It shifts all scores of a query alike, so that its gradient is zero up to float error."""

    class OwnBias(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.zeros(4))

        def forward(self, x):
            return (x @ self.weight) + 0 * self.bias

    with pytest.raises(CheckFailed, match="bias"):
        structure.every_parameter_learns(OwnBias(), normal(2, 4))
    structure.every_parameter_learns(OwnBias(), normal(2, 4), dimensions=2)


def test_a_gradient_that_is_not_finite_is_refused():
    """The root at zero has an infinite slope."""

    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return (self.gain * x).abs().sqrt()

    with pytest.raises(CheckFailed, match="not finite"):
        structure.every_parameter_learns(Root(), normal(2, 3))


def transferred():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[:2].requires_grad_(False)
    return model


def test_frozen_wants_exactly_the_named_parameters_free():
    """Too few and too many frozen parameters are both refused."""
    structure.frozen(transferred(), but=lambda name: name.startswith("2."))
    with pytest.raises(CheckFailed, match="not frozen"):
        structure.frozen(nn.Linear(2, 2), but=lambda name: name == "bias")
    with pytest.raises(CheckFailed, match="should not be"):
        structure.frozen(transferred(), but=lambda name: True)


def test_one_step_moves_parameters_and_buffers_alike():
    """In train mode the statistics of a frozen batch norm move too, in eval mode they do not."""
    x = normal(6, 3)
    structure.one_step_moves(transferred().eval(), x, only=lambda name: name.startswith("2."))
    with pytest.raises(CheckFailed, match=r"running|num_batches"):
        structure.one_step_moves(transferred().train(), x, only=lambda name: name.startswith("2."))
    with pytest.raises(CheckFailed, match="does not change"):
        structure.one_step_moves(transferred().eval(), x, only=lambda name: name.startswith(("0.", "2.")))


def test_modes():
    """Dropout differs between modes and is off in eval; a linear layer has no modes."""
    x = normal(4, 64)
    structure.train_and_eval_differ(nn.Dropout(0.5), x)
    structure.train_and_eval_agree(nn.Linear(64, 3), x)
    structure.eval_is_deterministic(nn.Dropout(0.5), x)
    with pytest.raises(CheckFailed, match="same output"):
        structure.train_and_eval_differ(nn.Linear(64, 3), x)
    with pytest.raises(CheckFailed, match="different outputs"):
        structure.train_and_eval_agree(nn.Dropout(0.5), x)

    class AlwaysOn(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, 0.5)

    with pytest.raises(CheckFailed, match="something random"):
        structure.eval_is_deterministic(AlwaysOn(), x)


@pytest.mark.parametrize(
    "garbage", [None, "text", torch.tensor(float("nan")), torch.zeros(0), torch.ones(2, dtype=torch.int64)]
)
@pytest.mark.parametrize(
    "check",
    [
        structure.batch_independence,
        structure.causality,
        structure.dependence_on_all,
        structure.permutation_equivariance,
        structure.order_matters,
        lambda module, x: structure.receptive_field(module, x, (0,)),
        lambda module, x: structure.padding_invariance(lambda x, _mask: module(x), x, torch.eye(2, 3)),
    ],
)
def test_garbage_is_a_failed_check(check, garbage):
    """Whatever a module returns, the check ends in a sentence for the student."""
    with pytest.raises(CheckFailed):
        check(lambda x: garbage, normal(2, 3, 4))


def test_a_detached_output_is_a_failed_check():
    """Without a gradient there is nothing to differentiate, and the sentence says so."""
    with pytest.raises(CheckFailed, match="no gradient flows"):
        structure.batch_independence(lambda x: x.detach() * 2, normal(2, 3))


SOURCE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, mix):
        super().__init__()
        self.layer, self.norm, self.mix = nn.Linear(4, 4), nn.BatchNorm1d(4), mix
        self.layer.bias.requires_grad_(False)

    def forward(self, x):
        x = self.layer(x)
        return x + self.mix * x.mean(0, keepdim=True)
"""


def test_modules_behind_the_proxy():
    """The same checks hold for a module that lives on the other side of the boundary."""
    remote = Subject(Channel(LocalPeer("structure_test", SOURCE), stream=1, deadline=Deadline(60)))
    x = normal(3, 4)
    apart, mixed = remote.build("Block", 0.0), remote.build("Block", 1.0)
    structure.batch_independence(apart, x)
    with pytest.raises(CheckFailed, match="must not mix"):
        structure.batch_independence(mixed, x)
    structure.one_step_moves(apart, x, only=lambda name: name == "layer.weight")
    with pytest.raises(CheckFailed, match="are not frozen"):
        structure.frozen(apart, but=lambda name: name == "layer.weight")
    with pytest.raises(CheckFailed, match="no gradient reaches norm"):
        structure.every_parameter_learns(apart, x)


def test_a_state_is_given_to_what_has_the_same_names_and_shapes():
    """Then both compute the same; else nothing changes, and it says so."""
    source, twin = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval() for _ in range(2))
    source[1].running_mean += 1
    assert structure.give_state(source, twin)
    x = torch.ones(2, 3)
    assert torch.equal(source(x), twin(x))
    for other in (nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)), nn.Linear(3, 4)):
        before = {name: value.clone() for name, value in other.state_dict().items()}
        assert not structure.give_state(source, other)
        assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_redraw_and_disturb():
    """Matrices get the spread asked for and vectors zeros; noise moves every parameter, by the seed."""
    model = nn.Sequential(nn.Linear(40, 50), nn.LayerNorm(50))
    structure.redraw(model, seed=1, spread=0.5)
    assert abs(float(model[0].weight.detach().std()) - 0.5) < 0.05
    assert not model[0].bias.detach().any()
    assert not model[1].weight.detach().any()
    before = [p.detach().clone() for p in model.parameters()]
    structure.disturb(model, seed=2, by=0.1)
    for old, new in zip(before, model.parameters(), strict=True):
        assert 0.05 < float((new.detach() - old).std()) < 0.2


def test_mixes_examples_is_told_of_parts_that_do_not_work_too():
    """A part that mixes is told from one that does not; one that fails is not the culprit asked about."""
    assert structure.mixes_examples(BatchMixer, normal(3, 4))
    assert not structure.mixes_examples(lambda: nn.LayerNorm(4), normal(3, 4))

    def broken():
        raise CheckFailed("there is no such part")

    assert not structure.mixes_examples(broken, normal(3, 4))
