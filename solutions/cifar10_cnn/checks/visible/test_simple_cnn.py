"""What SimpleCNN must compute."""

from dlgrade import compare
from dlgrade.checks import check


@check(part="SimpleCNN", points=1, kind="shape", help="Is num_classes used in the last layer?")
def simple_cnn_gives_one_logit_for_each_class(submission, oracle):
    """the output has one logit for each class"""
    for classes in (10, 4):
        logits = submission.build("SimpleCNN", classes)(oracle.normal(3, 1, 28, 28))
        compare.tensor(logits, what=f"SimpleCNN({classes})(images)", shape=(3, classes))


@check(
    part="SimpleCNN",
    points=2,
    kind="value",
    needs=("simple_cnn_gives_one_logit_for_each_class",),
    help="Compare the order of your layers with the statement: convolution, ReLU, pooling, three times.",
)
def simple_cnn_computes_the_lessons_network(submission, oracle):
    """with the reference's weights, the logits are the reference's"""
    ours = oracle.build("SimpleCNN", 5).eval()
    theirs = submission.build("SimpleCNN", 5, weights=ours).eval()
    images = oracle.normal(2, 1, 28, 28)
    compare.close(theirs(images), ours(images), what="SimpleCNN(5)(images)")
