"""A course whose accuracy check trains in well under a second: which character follows which."""

from pathlib import Path

from dlgrade import formula
from dlgrade.build import build
from dlgrade.course import Course

CHECK = "follower_learns_text"

REFERENCE = '''\
"""Reference of the course."""

import torch
from torch import nn


class Follower(nn.Module):
    """Logits of the next character by the last one, with a state that it does not need."""

    def __init__(self, V):
        super().__init__()  # given
        self.follows = nn.Embedding(V, V)

    def forward(self, ids, state=None):
        """ids (N, T) -> logits (N, T, V) and two states (1, N, 1)."""
        nothing = torch.zeros(1, len(ids), 1, device=ids.device)
        return self.follows(ids), (nothing, nothing)


def shout(text):
    """The text in capitals."""
    return text.upper()
'''

DECLARATION = """\
id = "follow"
title = "What follows"
summary = "A module and a function."
graded_tier = "cpu"
preload = ["torch"]
data = ["tiny_shakespeare"]

[limits]
request_seconds = 20
training_seconds = 60

[[parts]]
name = "Follower"
source = "reference/follow.py"
hints = ["one table is enough", "nn.Embedding(V, V)"]

[[parts]]
name = "shout"
source = "reference/follow.py"
hints = ["capitals", "str.upper"]
"""

VISIBLE = '''\
"""Checks of the course."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.outcome import CheckFailed

RECIPE = {"limit": 4000, "epochs": 2, "batch_size": 8, "seq_len": 16, "max_lr": 0.3}


@check(part="Follower", points=1, kind="shape", help="one row of logits for each character")
def follower_gives_logits(submission, oracle):
    """logits for each place"""
    logits, _ = submission.build("Follower", 7)(torch.tensor([[1, 2, 3]]), None)
    compare.tensor(logits, what="logits", shape=(1, 3, 7))


@check(
    part="Follower",
    points=2,
    kind="accuracy",
    tier="cpu",
    data="tiny_shakespeare",
    needs=("follower_gives_logits",),
    help="a table of what follows",
)
def follower_learns_text(submission, contest):
    """it predicts text that it has not seen"""
    contest.decide(submission, "Follower", **RECIPE)


@check(part="shout", points=1, kind="value", help="upper")
def shout_shouts(submission, oracle):
    """capitals"""
    if submission.shout("ab") != oracle.shout("ab"):
        raise CheckFailed("not capitals")
'''

MISTAKES = """\
[[mistake]]
name = "wrong_shape"
part = "Follower"
caught_by = "follower_gives_logits"
sentence = "You drop the logits of the last character."
edits = [["return self.follows(ids), (", "return self.follows(ids)[:, :-1], ("]]

[[mistake]]
name = "whispered"
part = "Follower"
caught_by = "follower_learns_text"
sentence = "You scale the logits down, so that they never tell characters apart."
near_miss = true
edits = [["return self.follows(ids), (", "return 0.003 * self.follows(ids), ("]]

[[mistake]]
name = "quiet"
part = "shout"
caught_by = "shout_shouts"
sentence = "You return the text as it is."
edits = [["text.upper()", "text"]]
"""


def prose(length: int = 6000) -> str:
    """A text of eight letters, each followed by one of two others."""
    text, draws = "a", formula.uniform(3, (length,))
    for draw in draws:
        text += "abcdefgh"[(3 * ord(text[-1]) + int(draw < 0.3)) % 8]
    return text


def make(root: Path) -> Course:
    """Write the course under `root` and build it."""
    staff = root / "solutions" / "follow"
    files = {
        root / "reference" / "follow.py": REFERENCE,
        staff / "exercise.toml": DECLARATION,
        staff / "README.md": "# What follows\n",
        staff / "checks" / "visible" / "test_visible.py": VISIBLE,
        staff / "mistakes.toml": MISTAKES,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (staff / "checks" / "hidden").mkdir()
    (root / "assignments").mkdir(exist_ok=True)
    course = Course(root)
    build(course, ["follow"])
    return course
