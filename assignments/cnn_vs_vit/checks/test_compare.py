"""What compare must report and do to the models."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import Outcome
from dlgrade.specs import Batches, Optim, Toy

KEYS = {"name", "accuracy", "parameters", "seconds_per_epoch", "images_per_second"}


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
    models, loaders = _models(oracle), _loaders(oracle)
    submission.compare(models, *loaders, epochs=3, lr=0.05)
    for model in models.values():
        adam = Optim("Adam", of=model, lr=0.05)
        for _ in range(3):
            oracle.train_one_epoch(model, loaders[0], adam, "cpu")
    for name, model in models.items():
        ours, theirs = oracle.state(model), submission.state(model)
        for key in ours:
            actual = compare.tensor(theirs.get(key), what=f"{key} of {name}", finite=False)
            observe(f"{key} of {name}", actual.double(), 1e-6)
        compare.state(theirs, ours, what=f"of {name} after compare(..., epochs=3, lr=0.05)")


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
