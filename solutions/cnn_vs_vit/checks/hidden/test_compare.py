"""That accuracy is measured on the test images, in eval mode, after the training."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Batches, Toy


@check(
    part="compare",
    points=3,
    kind="value",
    help="Accuracy is the share of correct test images after the last epoch, with the model in eval mode.",
)
def compare_measures_accuracy_on_the_test_images(submission, oracle):
    """accuracies are the reference's, on a test split unlike the training split"""
    models = {
        name: Toy(("Linear", 4, 8), ("BatchNorm1d", 8), ("ReLU",), ("Linear", 8, 3), seed=oracle.seed())
        for name in ("b", "a", "c")
    }
    train, test = _split(oracle, 24), _split(oracle, 52)
    rows = submission.compare(models, train, test, epochs=2, lr=0.02, device="cpu")
    expected = oracle.compare(models, train, test, epochs=2, lr=0.02, device="cpu")
    fit = (
        isinstance(rows, list)
        and len(rows) == 3
        and all(isinstance(r, dict) and "accuracy" in r for r in rows)
    )
    compare.require(fit, "compare(...) does not return a list of 3 dicts with an accuracy")
    actual = [compare.number(row["accuracy"], what="an accuracy") for row in rows]
    observe("accuracies", torch.tensor(actual))
    for name, model in models.items():
        for key, value in submission.state(model).items():
            observe(f"{key} of {name}", compare.tensor(value, what=f"{key} of {name}", finite=False).double())
    for got, row in zip(actual, expected, strict=True):
        compare.close(got, row["accuracy"], what=f"accuracy of {row['name']}")
    for name, model in models.items():
        compare.state(submission.state(model), oracle.state(model), what=f"of {name} after compare(...)")


def _split(oracle, count):
    x = oracle.normal(count, 4, dtype=torch.float64) * 2 + oracle.normal(1, 4, dtype=torch.float64)
    return Batches(x, oracle.integers(count, low=0, high=3), batch_size=7)
