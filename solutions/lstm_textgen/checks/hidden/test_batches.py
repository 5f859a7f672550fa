"""make_batches at its edges: texts that just fill a batch, and characters that must not come twice."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe


@check(
    part="make_batches",
    points=1,
    kind="property",
    needs=("batches_have_the_asked_shape_and_number",),
    help="The last character of a text is only a target. What does a text of batch_size * seq_len lack?",
)
def batches_need_a_target_for_every_input(submission, oracle):
    """a text that lacks the last target makes no batch, and one that has it makes one"""
    for rows, steps in ((3, 4), (1, 6), (5, 1)):
        for length, count in ((rows * steps, 0), (rows * steps - 1, 0), (rows * steps + rows, 1)):
            ids = oracle.integers(length, low=0, high=9)
            found = submission.make_batches(ids, rows, steps)
            compare.require(isinstance(found, list), "the result is no list")
            observe("number of batches", torch.tensor(float(len(found))))
            compare.require(
                len(found) == count, "a text that just fills a batch, or just does not, is cut wrongly"
            )


@check(
    part="make_batches",
    points=1,
    kind="property",
    needs=("batches_have_the_next_character_as_target",),
    help="Each character of the text is an input once at most: rows and batches do not overlap.",
)
def batches_use_no_character_twice(submission, oracle):
    """no character of the text is an input twice"""
    for length, rows, steps in ((97, 4, 5), (58, 3, 9)):
        ids = torch.argsort(oracle.uniform(length))
        found = submission.make_batches(ids, rows, steps)
        compare.require(
            isinstance(found, list) and len(found) == (length - 1) // (rows * steps), "wrong number"
        )
        inputs = []
        for pair in found:
            compare.require(isinstance(pair, list | tuple) and len(pair) == 2, "a batch is no pair (x, y)")
            inputs += (
                compare.tensor(pair[0], what="x", shape=(rows, steps), dtype=torch.int64).flatten().tolist()
            )
        repeats = len(inputs) - len(set(inputs))
        observe("characters used twice", torch.tensor(float(repeats)))
        compare.require(repeats == 0, f"{repeats} characters are inputs more than once")


@check(
    part="make_batches",
    points=1,
    kind="property",
    needs=("batches_have_the_next_character_as_target",),
    help="Raise ValueError for ids that are not (T,), and for a batch_size or seq_len below 1.",
)
def batches_refuse_what_cannot_be_cut(submission, oracle):
    """ids of two dimensions, and sizes below 1, are ValueErrors"""
    ids = oracle.integers(6, 8, low=0, high=9)
    for given, rows, steps, what in (
        (ids.flatten(), 0, 4, "batch_size=0"),
        (ids.flatten(), 2, 0, "seq_len=0"),
        (ids.flatten(), -2, 4, "batch_size=-2"),
        (ids, 2, 3, "ids of two dimensions"),
    ):
        compare.raises(
            "ValueError", lambda g=given, r=rows, s=steps: submission.make_batches(g, r, s), what=what
        )
