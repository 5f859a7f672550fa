"""That a parameter shared by two layers counts once."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs import Toy


@check(
    part="count_parameters",
    points=1,
    kind="value",
    help="Two layers may hold the very same tensor. Where does PyTorch name each tensor once?",
)
def a_shared_parameter_counts_once(submission, oracle):
    """a parameter that two layers share counts once, frozen or not"""
    for layers in ([("Linear", 3, 5), ("TiedLinears", 5), ("FrozenLinear", 5, 2)], [("TiedLinears", 5)]):
        for trainable_only in (False, True):
            toy = Toy(*layers, seed=oracle.seed())
            counted = submission.count_parameters(toy, trainable_only)
            observe("count", torch.tensor(compare.number(counted, what="the count")))
            compare.same(counted, oracle.count_parameters(toy, trainable_only), what="the count")
