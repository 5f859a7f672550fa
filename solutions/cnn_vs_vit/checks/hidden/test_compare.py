"""That accuracy is measured on the test images, in eval mode, after the training."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Batches, Toy


@check(
    part="compare",
    points=2,
    kind="value",
    help="Accuracy is the share of correct test images after the last epoch, with the model in eval mode.",
)
def compare_measures_accuracy_on_the_test_images(submission, oracle):
    """accuracies are the reference's, on a test split unlike the training split"""
    seeds = {name: oracle.seed() for name in ("b", "a", "c")}
    models = _models(seeds)
    train, test = _split(oracle, 24), _split(oracle, 52)
    _, early = _reference(oracle, seeds, train, test, epochs=1)
    ours, expected = _reference(oracle, seeds, train, test, epochs=2)
    rows = submission.compare(models, train, test, epochs=2, lr=0.02, device="cpu")
    fit = (
        isinstance(rows, list)
        and len(rows) == 3
        and all(isinstance(r, dict) and "accuracy" in r for r in rows)
    )
    compare.require(fit, "compare(...) does not return a list of 3 dicts with an accuracy")
    found = dict(
        zip(models, (compare.number(row["accuracy"], what="an accuracy") for row in rows), strict=True)
    )
    observe("accuracies", torch.tensor(list(found.values())))
    for name, model in models.items():
        for key, value in submission.state(model).items():
            observe(f"{key} of {name}", compare.tensor(value, what=f"{key} of {name}", finite=False).double())
    best = {name: max(early[name], expected[name]) for name in models}
    if best != expected and all(abs(found[name] - best[name]) < 1e-9 for name in models):
        return  # of the epoch that was best on these images: about that the visible check has advice
    for name, accuracy in expected.items():
        compare.close(found[name], accuracy, what=f"accuracy of {name}")
    for name, model in models.items():
        state = oracle.state(ours[name])
        compare.state(submission.state(model), state, what=f"of {name} after compare(...)")


def _reference(oracle, seeds, train, test, epochs):
    """The models after so many epochs of the reference, and their accuracies on the test split."""
    models = _models(seeds)
    rows = oracle.compare(models, train, test, epochs=epochs, lr=0.02, device="cpu")
    return models, {row["name"]: row["accuracy"] for row in rows}


def _models(seeds):
    return {
        name: Toy(("Linear", 4, 8), ("BatchNorm1d", 8), ("ReLU",), ("Linear", 8, 3), seed=seed)
        for name, seed in seeds.items()
    }


def _split(oracle, count):
    x = oracle.normal(count, 4, dtype=torch.float64) * 2 + oracle.normal(1, 4, dtype=torch.float64)
    return Batches(x, oracle.integers(count, low=0, high=3), batch_size=7)
