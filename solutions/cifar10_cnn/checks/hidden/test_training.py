"""What train_one_epoch must do to a model."""

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.specs import Batches, Optim, Toy


@check(
    part="train_one_epoch",
    points=2,
    kind="training",
    help="For each batch: clear the old gradients, compute the loss, backward, step.",
)
def training_moves_the_weights_as_the_reference_does(submission, oracle):
    """after one epoch the weights are those of the reference's epoch"""
    x, y = oracle.normal(10, 6).double(), oracle.integers(10, low=0, high=3)
    toy = Toy(("Linear", 6, 3), seed=oracle.seed())
    batches, optimizer = Batches(x, y, batch_size=4), Optim("SGD", of=toy, lr=0.3)
    loss = submission.train_one_epoch(toy, batches, optimizer, "cpu")
    expected = oracle.train_one_epoch(toy, batches, optimizer, "cpu")
    ours, theirs = oracle.state(toy), submission.state(toy)
    for name in ours:
        compare.close(theirs[name], ours[name], what=f"{name} after one epoch")
    compare.close(loss, expected, what="the returned loss")
