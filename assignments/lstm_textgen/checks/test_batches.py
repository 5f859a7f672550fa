"""What make_batches must return: any layout in which rows read on and targets are the next characters."""

from itertools import pairwise

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe

SIZES = ((62, 2, 3), (49, 3, 5), (31, 4, 2), (23, 1, 4))  # characters, batch_size, seq_len


def batches_of(submission, ids, batch_size, seq_len):
    """The batches, once they are a list of pairs of LongTensors (batch_size, seq_len)."""
    what = f"make_batches({len(ids)} ids, {batch_size}, {seq_len})"
    found = submission.make_batches(ids, batch_size, seq_len)
    compare.require(isinstance(found, list), f"{what} is no list of (x, y)")
    for pair in found:
        compare.require(
            isinstance(pair, list | tuple) and len(pair) == 2, f"{what} holds something else than (x, y)"
        )
        for name, value in zip("xy", pair, strict=True):
            compare.tensor(value, what=f"{name} of {what}", shape=(batch_size, seq_len), dtype=torch.int64)
    return found


@check(
    part="make_batches",
    points=1,
    kind="shape",
    help="How many batches of batch_size * seq_len fit, with one more character for the last target?",
)
def batches_have_the_asked_shape_and_number(submission, oracle):
    """there are as many batches as the text fills, each (batch_size, seq_len)"""
    for length, rows, steps in SIZES:
        found = batches_of(submission, oracle.integers(length, low=0, high=50), rows, steps)
        observe("number of batches", torch.tensor(float(len(found))))
        count = (length - 1) // (rows * steps)
        compare.require(
            len(found) == count,
            f"{length} ids make {len(found)} batches of {rows} x {steps}, not as many as fit",
        )


@check(
    part="make_batches",
    points=1,
    kind="value",
    needs=("batches_have_the_asked_shape_and_number",),
    help="At each place y holds the character that follows x's in the text: the same cut, moved by one.",
)
def batches_have_the_next_character_as_target(submission, oracle):
    """y is the text one character after x, read along the rows"""
    for length, rows, steps in SIZES:
        ids = different_ids(oracle, length)
        place = {number: i for i, number in enumerate(ids.tolist())}
        found = batches_of(submission, ids, rows, steps)
        x, y = (torch.cat([pair[side].reshape(-1) for pair in found]) for side in (0, 1))
        strangers = [n for n in (*x.tolist(), *y.tolist()) if n not in place]
        compare.require(not strangers, "a batch holds an id that the text does not have")
        ahead = torch.tensor([place[b] - place[a] for a, b in zip(x.tolist(), y.tolist(), strict=True)])
        observe("how far y is ahead of x", torch.tensor([float(ahead.min()), float(ahead.max())]))
        wrong = ahead[ahead != 1].tolist()
        compare.require(not wrong, f"a target is {wrong[:1]} characters after its input, not 1")
        for inputs, targets in found:
            along = bool((inputs[:, 1:] == targets[:, :-1]).all())
            observe("rows read along the text", torch.tensor(float(along)))
            compare.require(along, "a row of x does not read on in the text from one step to the next")


@check(
    part="make_batches",
    points=2,
    kind="property",
    needs=("batches_have_the_next_character_as_target",),
    help="Row i of a batch starts where row i of the batch before ended, so that a state can be carried.",
)
def batches_continue_each_row(submission, oracle):
    """each row continues in the next batch"""
    for length, rows, steps in SIZES:
        ids = different_ids(oracle, length)
        place = {number: i for i, number in enumerate(ids.tolist())}
        found = batches_of(submission, ids, rows, steps)
        ends = [[place.get(int(value)) for value in (a[1][0, -1], b[0][0, 0])] for a, b in pairwise(found)]
        jumps = [start - end if None not in (end, start) else length for end, start in ends]
        observe("how far the first row jumps", torch.tensor(jumps).double())
        gaps = [bool((b[0][:, 0] == a[1][:, -1]).all()) for a, b in pairwise(found)]
        observe("does each row continue", torch.tensor(gaps).double())
        compare.require(
            all(gaps), "the rows of a batch do not start where the rows of the batch before ended"
        )


def different_ids(oracle, length):
    """Ids of which no two are equal, so that each tells its place."""
    return 100 + torch.argsort(oracle.uniform(length)) * 3
