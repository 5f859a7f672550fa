"""Structural checks by differentiation: what may influence what, whatever the numbers are.

Each works on any module, in this process or behind the proxy, needs no reference and no weights, and
raises `CheckFailed` with a sentence for the student. They need first derivatives only. The caller
chooses the mode: dropout must be off (`eval()`) wherever two calls are compared.

Letters: N batch, T time steps or tokens, S the length of the dimension asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from dlgrade import compare, formula
from dlgrade.observation import observe
from dlgrade.outcome import CheckFailed, Outcome

Module = Callable[..., Any]
Read = Callable[[Any], Any]  # takes the tensor in question out of what a module returns

UNSEEN: Final = 1e-7  # share of the largest influence below which one is float noise, not a dependence
NO_GRADIENT: Final = 1e-12  # share of the largest; deep networks with fresh statistics have some of 1e-8
SAME_MODE: Final = 1e-4  # share of the largest output; a module's eval mode may use a faster kernel


def whole(output: Any) -> Any:
    """The output itself: what `read` is for a module that returns one tensor."""
    return output


# --- who influences whom --------------------------------------------------------------------------


def influence(
    module: Module, x: torch.Tensor, *args: Any, dim: int, read: Read = whole, what: str = "the output"
) -> torch.Tensor:
    """(S, S) matrix: how strongly slice s of `x` along `dim` moves slice t of the output, at [t, s].

    Floating inputs are differentiated; of integer ones (token ids) each slice is replaced in turn.

    Raises:
        CheckFailed: the output is no tensor with `x`'s first sides up to `dim`, or has no gradient.
    """
    if x.is_floating_point():
        return _by_gradient(module, x, args, dim, read, what)
    return _by_replacing(module, x, args, dim, read, what)


def batch_independence(
    module: Module, x: torch.Tensor, *args: Any, read: Read = whole, what: str = "the output"
) -> None:
    """Require each example's output to depend on that example, and on no other of the batch."""
    seen = _dependence(influence(module, x, *args, dim=0, read=read, what=what))
    observe(f"examples of the batch that {what} depends on", seen.double())
    for row in range(len(seen)):
        compare.require(
            bool(seen[row, row]), f"{what} for example {row} does not depend on that example's input"
        )
    mixed = (seen & ~torch.eye(len(seen), dtype=torch.bool)).nonzero()
    if len(mixed):
        row, other = mixed[0].tolist()
        raise CheckFailed(
            f"{what} for example {row} of a batch depends on example {other}; examples must not mix"
        )


def mixes_examples(build: Callable[[], Any], x: torch.Tensor) -> bool:
    """Whether what `build` gives lets examples of a batch influence each other; False if it does not work.

    Tells whose fault it is that a module built from other parts mixes them.
    """
    try:
        strength = influence(build().eval(), x, dim=0)
    except Outcome:
        return False
    return bool((_dependence(strength) & ~torch.eye(len(x), dtype=torch.bool)).any())


def causality(
    module: Module, x: torch.Tensor, *args: Any, read: Read = whole, what: str = "the output"
) -> None:
    """Require the output at each time step (N, T, ...) to depend on inputs up to that step only."""
    seen = _dependence(influence(module, x, *args, dim=1, read=read, what=what))
    observe(f"time steps that {what} depends on", seen.double())
    early = seen.triu(1).nonzero()
    if len(early):
        step, later = early[0].tolist()
        raise CheckFailed(f"{what} at step {step} depends on step {later}, which comes later")
    for step in range(len(seen)):
        compare.require(bool(seen[step].any()), f"{what} at step {step} does not depend on the input")


def dependence_on_all(
    module: Module, x: torch.Tensor, *args: Any, read: Read = whole, what: str = "the output"
) -> None:
    """Require the output at each token (N, T, ...) to depend on every token of its sequence."""
    seen = _dependence(influence(module, x, *args, dim=1, read=read, what=what))
    observe(f"tokens that {what} depends on", seen.double())
    unseen = (~seen).nonzero()
    if len(unseen):
        token, other = unseen[0].tolist()
        raise CheckFailed(f"{what} at token {token} does not depend on token {other}")


def padding_invariance(
    module: Module,
    x: torch.Tensor,
    mask: torch.Tensor,
    *args: Any,
    pooled: bool = False,
    read: Read = whole,
    what: str = "the output",
) -> None:
    """Require `module(x, mask, *args)` not to depend on inputs where the (N, T) mask is 0.

    Args:
        module: called with x (N, T) token ids or (N, T, E) features, and the mask.
        x: its input.
        mask: (N, T), nonzero where a token is real; some must be padding.
        args: further arguments.
        pooled: the output is (N, ...); otherwise (N, T, ...), and only real tokens count.
        read: takes the tensor in question out of the result.
        what: name of the output in messages.
    """
    real = mask.bool()
    if x.is_floating_point():
        leaf = x.clone().requires_grad_()
        output = _output(read(module(leaf, mask, *args)), x, 1 if pooled else 2, what)
        kept = output if pooled else output[real]
        strength = _gradient(kept, leaf, what).abs()
        seen = strength[~real] > UNSEEN * float(strength.max())
    else:
        before = _output(_silent(module, read, x, mask, *args), x, 1 if pooled else 2, what)
        after = _output(
            _silent(module, read, torch.where(real, x, _others(x)), mask, *args), x, 1 if pooled else 2, what
        )
        moved = (after - before).abs() if pooled else (after - before).abs()[real]
        seen = moved > UNSEEN * float(before.abs().max())
    observe(f"does {what} depend on padding", seen.any().double())
    compare.require(not bool(seen.any()), f"{what} depends on what stands in the padding")


def receptive_field(
    module: Module,
    x: torch.Tensor,
    at: tuple[int, ...],
    *args: Any,
    read: Read = whole,
    what: str = "the output",
) -> torch.Tensor:
    """Which positions of the first example of `x` (N, C, ...) the output's value at `at` depends on.

    Args:
        module: its output is (N, channels, ...), or (N, channels) with `at` empty.
        x: floating input.
        at: position in the output, without batch and channel.
        args: further arguments of the module.
        read: takes the tensor in question out of the result.
        what: name of the output in messages.

    Returns:
        bool, x.shape[2:].
    """
    leaf = x.clone().requires_grad_()
    output = _output(read(module(leaf, *args)), x, 1, what)
    compare.require(output.dim() == 2 + len(at), f"{what} has shape {tuple(output.shape)}")
    sides = output.shape[2:]
    inside = all(0 <= place < side for place, side in zip(at, sides, strict=True))
    compare.require(inside, f"{what} has shape {tuple(output.shape)}, so there is nothing at {at}")
    values = output[0]
    for place in at:
        values = values.select(1, place)
    strength = _gradient(values, leaf, what)[0].abs().amax(0)
    return strength > UNSEEN * float(strength.max())


# --- order ----------------------------------------------------------------------------------------


def permutation_equivariance(
    module: Module, x: torch.Tensor, *args: Any, read: Read = whole, what: str = "the output"
) -> None:
    """Require tokens (N, T, ...) in another order to give the same outputs in that order."""
    before, after = _reordered(module, x, args, read, what)
    compare.require(before.shape[:2] == x.shape[:2], f"{what} has not one row for each token")
    expected = before[:, _shuffle(x)]
    tolerance = 1e-4 * max(1.0, float(expected.abs().max()))
    observe(f"change of {what} with the order", ((after - expected).abs().max() > tolerance).double())
    compare.require(
        float((after - expected).abs().max()) <= tolerance,
        f"{what} for the same tokens in another order is not the same result in that order",
    )


def order_matters(
    module: Module, x: torch.Tensor, *args: Any, read: Read = whole, what: str = "the output"
) -> None:
    """Require tokens (N, T, ...) in another order to give another result than the same, reordered or not."""
    before, after = _reordered(module, x, args, read, what)
    scale = UNSEEN**0.5 * max(float(before.abs().max()), 1e-6)
    by_token = before.dim() > 2 and before.shape[1] == x.shape[1]
    options = [before] + ([before[:, _shuffle(x)]] if by_token else [])
    blind = any(float((after - option).abs().max()) <= scale for option in options)
    observe(f"does {what} ignore the order", torch.tensor(float(blind)))
    compare.require(not blind, f"{what} does not change with the order of its input")


# --- parameters -----------------------------------------------------------------------------------


def gradients(module: Any, x: torch.Tensor, *args: Any, read: Read = whole) -> dict[str, torch.Tensor]:
    """Gradient of a weighted sum of the output for each trainable parameter; zeros where there is none."""
    trainable = {name: p for name, p in module.named_parameters() if p.requires_grad}
    output = compare.tensor(read(module(x, *args)), what="the output")
    if not trainable:
        return {}
    compare.require(output.requires_grad, "no gradient flows from the output to the parameters")
    loss = (output * _weights(output)).sum()
    found = torch.autograd.grad(loss, list(trainable.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(trainable.items(), found, strict=True)
    }


def descend(module: Any, x: torch.Tensor, *args: Any, by: float = 0.01, read: Read = whole) -> None:
    """Take one step of gradient descent that changes no number by more than `by`.

    A correct module may start with a layer of zeros, which hides everything before it until it has moved.
    """
    _step(module, _finite(gradients(module, x, *args, read=read)), by)


def _step(module: Any, found: Mapping[str, torch.Tensor], by: float) -> None:
    largest = max((float(gradient.abs().max()) for gradient in found.values()), default=0.0)
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, gradient in found.items():
            parameters[name].sub_(gradient * (by / max(largest, 1e-30)))


def _finite(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for name, gradient in found.items():
        compare.tensor(gradient, what=f"the gradient of {name}")
    return found


def give_state(module: Any, other: Any) -> bool:
    """Give `other` the parameters and buffers of a module, if it has them all; whether it does."""
    state = module.state_dict()
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    fits = shapes == {name: value.shape for name, value in state.items()}
    if fits:
        other.load_state_dict(state)
    return fits


def redraw(module: Any, *, seed: int, spread: float) -> None:
    """Give every matrix of a module values of this standard deviation and every vector zeros.

    Two modules that compute the same from differently arranged parameters are then alike in law.
    """
    with torch.no_grad():
        for index, (_, parameter) in enumerate(module.named_parameters()):
            drawn = torch.from_numpy(formula.normal(formula.mix(seed, index), tuple(parameter.shape)))
            is_matrix = sum(side > 1 for side in parameter.shape) > 1
            parameter.copy_(spread * drawn if is_matrix else torch.zeros_like(parameter))


def disturb(module: Any, *, seed: int, by: float = 0.1) -> None:
    """Add noise to every parameter, since a correct module may start some at zero and others alike."""
    with torch.no_grad():
        for index, (_, parameter) in enumerate(module.named_parameters()):
            drawn = torch.from_numpy(formula.normal(formula.mix(seed, index), tuple(parameter.shape)))
            parameter.add_(by * drawn)


def every_parameter_learns(
    module: Any, x: torch.Tensor, *args: Any, dimensions: int = 1, steps: int = 0, read: Read = whole
) -> None:
    """Require a finite, non-zero gradient for each trainable parameter.

    Args:
        module: in train mode, or in eval mode where dropout could silence a unit.
        x: its input.
        args: further arguments.
        dimensions: parameters of fewer need a finite gradient only. 2 leaves out biases that cancel, such
            as that of attention's keys, whose gradient is zero in exact arithmetic.
        steps: a gradient may also come after up to this many steps, see `descend`.
        read: takes the tensor in question out of the result.
    """
    still: set[str] | None = None
    for step in range(steps + 1):
        found = _finite(gradients(module, x, *args, read=read))
        compare.require(bool(found), "no parameter is trainable")
        silent = _without_gradient(found, dimensions)
        still = silent if still is None else still & silent
        if not still or step == steps:
            break
        _step(module, found, 0.01)
    observe("parameters without a gradient", torch.tensor(float(len(still or ()))))
    if still:
        raise CheckFailed(f"no gradient reaches {sorted(still)[0]}: the output does not depend on it")


def _without_gradient(found: Mapping[str, torch.Tensor], dimensions: int) -> set[str]:
    largest = max(float(gradient.abs().max()) for gradient in found.values())
    return {
        name
        for name, gradient in found.items()
        if gradient.dim() >= dimensions and not float(gradient.abs().max()) > NO_GRADIENT * largest
    }


def trainable_names(module: Any) -> frozenset[str]:
    """Names of the parameters that are not frozen."""
    return frozenset(name for name, parameter in module.named_parameters() if parameter.requires_grad)


def frozen(module: Any, *, but: Callable[[str], bool]) -> None:
    """Require exactly the parameters whose name `but` accepts to be trainable."""
    free = trainable_names(module)
    names = {name for name, _ in module.named_parameters()}
    expected = {name for name in names if but(name)}
    loose, stuck = sorted(free - expected), sorted(expected - free)
    observe("parameters that should be frozen and are not", torch.tensor(float(len(loose))))
    observe("parameters that should be trainable and are frozen", torch.tensor(float(len(stuck))))
    compare.require(not loose, f"{len(loose)} parameters are not frozen, first {loose[:1]}")
    compare.require(not stuck, f"{len(stuck)} parameters are frozen and should not be, first {stuck[:1]}")


def moved_by_one_step(
    module: Any, x: torch.Tensor, *args: Any, lr: float = 0.1, read: Read = whole
) -> frozenset[str]:
    """Names of the parameters and buffers that one step of gradient descent changes, in the mode it is in."""
    before = _state(module)
    found = gradients(module, x, *args, read=read)
    for name, gradient in found.items():
        compare.tensor(gradient, what=f"the gradient of {name}")
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        for name, gradient in found.items():
            parameters[name].sub_(lr * gradient)
    after = _state(module)
    return frozenset(
        name for name in after if name not in before or not torch.equal(after[name], before[name])
    )


def one_step_moves(
    module: Any, x: torch.Tensor, *args: Any, only: Callable[[str], bool], read: Read = whole
) -> None:
    """Require one step of gradient descent to change what `only` accepts, all of it and nothing else."""
    moved = moved_by_one_step(module, x, *args, read=read)
    expected = {name for name in _state(module) if only(name)}
    strays, still = sorted(moved - expected), sorted(expected - moved)
    observe("moved by a step and should stay", torch.tensor(float(len(strays))))
    observe("stayed and should be moved by a step", torch.tensor(float(len(still))))
    compare.require(not strays, f"one step changes {strays[:1]}, which should stay as it is")
    compare.require(not still, f"one step does not change {still[:1]}")


# --- modes ----------------------------------------------------------------------------------------


def eval_is_deterministic(module: Any, x: torch.Tensor, *args: Any, read: Read = whole) -> None:
    """Require two calls in eval mode to agree; leaves the module in eval mode."""
    module.eval()
    first, second = (compare.tensor(_silent(module, read, x, *args), what="the output") for _ in range(2))
    same = first.shape == second.shape and bool(torch.equal(first, second))
    observe("does eval mode repeat itself", torch.tensor(float(same)))
    compare.require(same, "two calls in eval mode with the same input differ: something random is still on")


def train_and_eval_differ(module: Any, x: torch.Tensor, *args: Any, read: Read = whole) -> None:
    """Require train mode to compute something else than eval mode; leaves the module in eval mode."""
    difference = _mode_difference(module, x, args, read)
    observe("does train mode differ from eval mode", torch.tensor(float(difference > SAME_MODE)))
    compare.require(difference > SAME_MODE, "train mode and eval mode give the same output")


def train_and_eval_agree(module: Any, x: torch.Tensor, *args: Any, read: Read = whole) -> None:
    """Require train mode to compute what eval mode does; leaves the module in eval mode."""
    difference = _mode_difference(module, x, args, read)
    observe("does train mode differ from eval mode", torch.tensor(float(difference > SAME_MODE)))
    compare.require(difference <= SAME_MODE, "train mode and eval mode give different outputs")


def _mode_difference(module: Any, x: torch.Tensor, args: tuple[Any, ...], read: Read) -> float:
    module.train()
    training = compare.tensor(_silent(module, read, x, *args), what="the output in train mode")
    module.eval()
    evaluating = compare.tensor(_silent(module, read, x, *args), what="the output in eval mode")
    compare.require(training.shape == evaluating.shape, "train mode gives another shape than eval mode")
    return float((training - evaluating).abs().max() / evaluating.abs().max().clamp(min=1e-6))


# --- how it is measured ---------------------------------------------------------------------------


def _by_gradient(
    module: Module, x: torch.Tensor, args: tuple[Any, ...], dim: int, read: Read, what: str
) -> torch.Tensor:
    leaf = x.clone().requires_grad_()
    output = _output(read(module(leaf, *args)), x, dim + 1, what)
    rows = []
    for index in range(x.shape[dim]):
        strength = _gradient(output.select(dim, index), leaf, what).abs()
        rows.append(strength.movedim(dim, 0).reshape(x.shape[dim], -1).amax(1))
    return torch.stack(rows)


def _by_replacing(
    module: Module, x: torch.Tensor, args: tuple[Any, ...], dim: int, read: Read, what: str
) -> torch.Tensor:
    before = _output(_silent(module, read, x, *args), x, dim + 1, what)
    columns = []
    for index in range(x.shape[dim]):
        changed = x.clone()
        changed.select(dim, index).copy_(_others(x).select(dim, index))
        after = _output(_silent(module, read, changed, *args), x, dim + 1, what)
        moved = (after - before).abs().movedim(dim, 0).reshape(x.shape[dim], -1)
        columns.append(moved.amax(1))
    return torch.stack(columns, dim=1)


def _dependence(strength: torch.Tensor) -> torch.Tensor:
    """Which influences are more than float noise; none where all are zero."""
    return strength > UNSEEN * float(strength.max())


def _gradient(values: torch.Tensor, leaf: torch.Tensor, what: str) -> torch.Tensor:
    """Gradient of a weighted sum of `values`: an even sum would cancel after a LayerNorm or a softmax."""
    if not values.requires_grad:
        raise CheckFailed(f"no gradient flows from {what} to the input; is it detached or made anew?")
    (found,) = torch.autograd.grad(
        (values * _weights(values)).sum(), leaf, retain_graph=True, allow_unused=True
    )
    if found is None:
        return torch.zeros_like(leaf)
    return compare.tensor(found, what=f"the gradient of {what}")


def _weights(values: torch.Tensor) -> torch.Tensor:
    """Fixed weights of both signs, of values' shape, none of them near zero."""
    drawn = formula.uniform(formula.mix("structure"), tuple(values.shape), -1.0, 1.0)
    weights = torch.from_numpy(drawn)
    return (weights + torch.where(weights < 0, -0.5, 0.5)).to(values.dtype)


def _output(value: Any, x: torch.Tensor, leading: int, what: str) -> torch.Tensor:
    """`value` as a tensor that has x's first `leading` sides."""
    output: torch.Tensor = compare.tensor(value, what=what)
    if not output.is_floating_point() or output.shape[:leading] != x.shape[:leading]:
        expected = ", ".join(str(side) for side in x.shape[:leading])
        raise CheckFailed(
            f"{what} is {str(output.dtype).removeprefix('torch.')} of shape {tuple(output.shape)}, "
            f"expected floating values of shape ({expected}, ...)"
        )
    return output


def _silent(module: Module, read: Read, *args: Any) -> Any:
    with torch.no_grad():
        return read(module(*args))


def _others(x: torch.Tensor) -> torch.Tensor:
    """Ids that all differ from those of `x` and occur in it, so that every embedding knows them."""
    low, high = x.min(), x.max()
    if bool(low == high):
        raise ValueError("a structural check needs token ids of at least two kinds")
    return torch.where(x == high, low, high)


def _shuffle(x: torch.Tensor) -> list[int]:
    """A fixed order of x's tokens that is neither a rotation nor, beyond two tokens, a reversal."""
    tokens = list(range(x.shape[1]))
    return [*tokens[1::2], *tokens[0::2]]


def _reordered(
    module: Module, x: torch.Tensor, args: tuple[Any, ...], read: Read, what: str
) -> tuple[torch.Tensor, torch.Tensor]:
    before = _output(_silent(module, read, x, *args), x, 1, what)
    after = _output(_silent(module, read, x[:, _shuffle(x)], *args), x, 1, what)
    compare.require(before.shape == after.shape, f"{what} has another shape for tokens in another order")
    return before, after


def _state(module: Any) -> Mapping[str, torch.Tensor]:
    pairs = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().clone() for name, value in pairs}
