"""What compare must report and do to the models."""

from dataclasses import dataclass

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import advise, observe
from dlgrade.outcome import Outcome
from dlgrade.specs import Batches, Optim, Toy

KEYS = {"name", "accuracy", "parameters", "seconds_per_epoch", "images_per_second"}
EPOCHS, LR = 3, 0.05
CHOSEN_BY_TEST = (
    "compare: you keep the epoch that was best on the test images, and report it as a result on new ones."
    " What was chosen by them is no longer new to them. Choose by a validation split, or keep the last epoch."
)


@check(
    part="compare",
    points=2,
    kind="value",
    help="One dict for each model, in the order of the models, with the five keys of the statement.",
)
def compare_reports_a_row_for_each_model(submission, oracle):
    """there is a row for each model in order, with its name, its size and positive timings"""
    models, loaders = _models(oracle), _loaders(oracle)
    rows = submission.compare(models, *loaders, epochs=1, lr=0.05)
    _require_rows(rows, len(models))
    expected = [oracle.count_parameters(model) for model in models.values()]
    sizes = [compare.number(row["parameters"], what="parameters") for row in rows]
    keys = ("seconds_per_epoch", "images_per_second")
    times = [compare.number(row[key], what=key) for row in rows for key in keys]
    observe("parameters by your own count", torch.tensor(_own_counts(submission, models)))
    observe("parameters", torch.tensor(sizes))
    compare.same([row["name"] for row in rows], list(models), what="the list of names")
    compare.same([row["parameters"] for row in rows], expected, what="the parameters")
    compare.require(min(times) > 0, "a timing is not positive")
    again = submission.compare(models, *loaders, epochs=1, lr=0.05)
    count = len(again) if isinstance(again, list) else 0
    observe("rows of a second call", torch.tensor(float(count)))
    compare.require(count == len(models), "a second call returns another number of rows than the first")


@check(
    part="compare",
    points=1,
    kind="property",
    help="Without an epoch there is nothing to compare, and no time to divide: ask for epochs first.",
)
def compare_refuses_less_than_one_epoch(submission, oracle):
    """epochs below 1 is a ValueError"""
    models, loaders = _models(oracle), _loaders(oracle)
    rows = submission.compare(models, *loaders, epochs=1, lr=0.05)
    compare.require(isinstance(rows, list) and bool(rows), "compare(..., epochs=1) returns no rows")
    what = "compare(..., epochs=0)"
    compare.raises("ValueError", lambda: submission.compare(models, *loaders, epochs=0, lr=0.05), what=what)


def _own_counts(submission, models):
    """What count_parameters of the submission says, so that its mistakes are not blamed on compare."""
    try:
        return [
            compare.number(submission.count_parameters(model), what="a count") for model in models.values()
        ]
    except Outcome:
        return [0.0 for _ in models]


@check(
    part="compare",
    points=3,
    kind="training",
    help="Which loader is for training, how often is it walked, and whose is each optimizer?",
)
def compare_trains_every_model_alike(submission, oracle):
    """after the call each model's weights and statistics are those of the reference's training"""
    models, loaders, histories = _telling_setting(oracle)
    submission.compare(models, *loaders, epochs=EPOCHS, lr=LR)
    states = {name: submission.state(model) for name, model in models.items()}
    for name, state in states.items():
        for key in histories[name][-1].state:
            actual = compare.tensor(state.get(key), what=f"{key} of {name}", finite=False)
            observe(f"{key} of {name}", actual.double(), 1e-6)
    if not _all_are_last(states, histories) and _all_are_best(states, histories):
        advise(CHOSEN_BY_TEST)
        return
    for name, state in states.items():
        compare.state(state, histories[name][-1].state, what=f"of {name} after compare(..., epochs={EPOCHS})")


@dataclass
class Epoch:
    """What a model is after an epoch: its weights and statistics, and its accuracy on the test examples."""

    state: dict[str, torch.Tensor]
    accuracy: float


def _telling_setting(oracle):
    """Models, loaders, and the reference's epochs of each model.

    Drawn until some model is best on the test examples after an epoch between the first and the last: then
    choosing the best epoch ends nowhere else.
    """
    for _ in range(20):
        models, loaders = _models(oracle), _loaders(oracle)
        histories = {name: _history(oracle, model, *loaders) for name, model in models.items()}
        if any({1 + i for i in range(EPOCHS - 2)} >= set(_best(history)) for history in histories.values()):
            break
    return models, loaders, histories


def _history(oracle, model, train, test):
    adam = Optim("Adam", of=model, lr=LR)
    epochs = []
    for _ in range(EPOCHS):
        oracle.train_one_epoch(model, train, adam, "cpu")
        state = {key: value.clone() for key, value in oracle.state(model).items()}
        epochs.append(Epoch(state, oracle.evaluate(model, test, "cpu")))
    return epochs


def _best(history):
    """Indices of the epochs with the highest accuracy."""
    highest = max(epoch.accuracy for epoch in history)
    return [i for i, epoch in enumerate(history) if epoch.accuracy == highest]


def _all_are_last(states, histories):
    return all(_is(state, histories[name][-1]) for name, state in states.items())


def _all_are_best(states, histories):
    return all(
        any(_is(state, histories[name][i]) for i in _best(histories[name])) for name, state in states.items()
    )


def _is(state, epoch):
    """Whether a state is that of an epoch, by the measure that checks compare with."""
    try:
        compare.state(state, epoch.state, what="")
    except Outcome:
        return False
    return True


def _require_rows(rows, count):
    kinds = isinstance(rows, list) and len(rows) == count and all(isinstance(row, dict) for row in rows)
    compare.require(kinds, f"compare(...) does not return a list of {count} dicts, one for each model")
    for row in rows:
        missing = sorted(KEYS - row.keys())
        compare.require(not missing, f"a row of compare(...) has no {missing[:1]}")
        compare.require(isinstance(row["name"], str), "the name in a row of compare(...) is not text")


def _models(oracle):
    """Two toys that share nothing: one with statistics, one with a frozen layer."""
    first = Toy(("Linear", 4, 5), ("BatchNorm1d", 5), ("Tanh",), ("Linear", 5, 3), seed=oracle.seed())
    second = Toy(("FrozenLinear", 4, 6), ("Tanh",), ("Linear", 6, 3), seed=oracle.seed())
    return {"small net": first, "a frozen one": second}


def _loaders(oracle):
    """A training and a test loader of different sizes, the last batches smaller than the others."""
    train = Batches(
        oracle.normal(11, 4, dtype=torch.float64), oracle.integers(11, low=0, high=3), batch_size=4
    )
    test = Batches(
        oracle.normal(10, 4, dtype=torch.float64), oracle.integers(10, low=0, high=3), batch_size=4
    )
    return train, test
