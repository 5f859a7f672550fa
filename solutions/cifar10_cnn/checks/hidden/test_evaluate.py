"""What evaluate must leave alone, and where it computes."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Batches, Toy


@check(
    part="evaluate",
    points=2,
    kind="property",
    needs=("evaluation_returns_the_share_of_correct_predictions",),
    help="Measuring must not change what is measured, and needs no graph: torch.no_grad().",
)
def evaluation_leaves_the_model_alone(submission, oracle):
    """weights and buffers stay as they were and can still learn, and no graph for gradients is built"""
    x, y = oracle.normal(14, 5).double(), oracle.integers(14, low=0, high=3)
    toy = Toy(
        ("Linear", 5, 6),
        ("BatchNorm1d", 6),
        ("StepCounter",),
        ("Linear", 6, 3),
        ("Diary",),
        seed=oracle.seed(),
    )
    batches = Batches(x, y, batch_size=4)
    before = oracle.state(toy)
    submission.method(toy, "train", False)  # forgetting to switch is another check's business
    accuracy = submission.evaluate(toy, batches, "cpu")
    after = submission.state(toy)
    submission.method(toy, "__call__", x)
    later = compare.tensor(submission.state(toy).get("4._extra_state"), what="the diary", shape=(3,))
    diary = compare.tensor(after.get("4._extra_state"), what="the diary", shape=(3,))
    graphs = int(diary[1])
    learning = int(later[1]) > graphs  # outside of evaluate a pass must have a graph
    observe("passes in train mode, passes with a graph", diary[:2].double())
    observe("do weights take gradients afterwards", torch.tensor(float(learning)))
    compare.state(after, before, what="after an evaluation")
    compare.close(accuracy, oracle.evaluate(toy, batches, "cpu"), what="the accuracy", atol=1e-5)
    compare.require(graphs == 0, f"{graphs} passes built a graph for gradients that nobody needs")
    compare.require(
        learning, "after an evaluation the weights take no gradients, so they could not learn again"
    )


@check(
    part="evaluate",
    points=1,
    kind="property",
    needs=("evaluation_returns_the_share_of_correct_predictions",),
    help="Move inputs and labels of each batch with .to(device), whatever the device is.",
)
def evaluation_moves_batches_to_the_device(submission, oracle):
    """each batch is moved to the device before it is used"""
    x, y = oracle.normal(11, 4).double(), oracle.integers(11, low=0, high=3)
    toy = Toy(("Linear", 4, 3), seed=oracle.seed())
    batches = Batches(x, y, batch_size=4, elsewhere=True)
    accuracy = submission.evaluate(toy, batches, "cpu")
    compare.close(
        accuracy, oracle.evaluate(toy, batches, "cpu"), what="the accuracy over moved batches", atol=1e-5
    )
