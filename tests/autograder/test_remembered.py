"""Replies kept from one submission to the next: the same as live ones, and only to the same questions."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny_course import REFERENCE, make

from dlgrade import compare, drawn, formula, oracle, remembered
from dlgrade.checks import Check
from dlgrade.drawn import Draw, Draws
from dlgrade.knowledge import Knowledge
from dlgrade.observation import Seen, observe
from dlgrade.oracle import Oracle
from dlgrade.outcome import StudentRaised
from dlgrade.remembered import RememberingPeer
from dlgrade.specs import Batches, Optim, Toy

CHECK = Check(id="double_doubles", title="", part="double", points=2.0, kind="value", help="")


def never(*_args):
    raise AssertionError("the reference was asked although all of this was asked before")


def asked(known=(), make=None) -> tuple[Oracle, RememberingPeer]:
    """An oracle that knows some replies already, and its peer."""
    peer = RememberingPeer(make or (lambda: oracle.reference(REFERENCE)), known)
    return Oracle(peer, seed=7, check="some_check"), peer


def converse(reference: Oracle, *, width: int = 4) -> list[torch.Tensor]:
    """Ask for a module, its output and gradients, an end state, and something that raises."""
    model = reference.build("Affine", width)
    x = reference.normal(5, 3).requires_grad_()
    output = model(x)
    gradients = torch.autograd.grad(output.sum(), [x, *model.parameters()])
    toy = Toy(("Linear", 3, 2), seed=reference.seed())
    batches = Batches(reference.normal(6, 3).double(), reference.normal(6, 2).double())
    reference.descend(toy, batches, Optim("SGD", of=toy, lr=0.1))
    state = reference.state(toy)
    with pytest.raises(StudentRaised, match="Affine"):
        reference.Affine()
    return [output.detach(), torch.tensor(output.drift), *gradients, *state.values()]


def test_the_same_questions_are_answered_alike_without_the_reference():
    """Values, gradients, end states, exceptions and float32's drift come from memory, to the last bit."""
    first, peer = asked()
    live = converse(first)
    again, silent = asked(peer.replies, never)
    kept = converse(again)
    assert len(live) == len(kept) == 7
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(kept, live, strict=True))
    assert silent.replies == peer.replies


def test_from_the_first_other_question_on_the_reference_answers():
    """It is told what it missed, so its answers are those of a conversation that was live all along."""
    first, peer = asked()
    converse(first)
    made = []

    def late():
        made.append(oracle.reference(REFERENCE))
        return made[-1]

    remembering, live = asked(peer.replies, late)[0], asked()[0]
    models = [reference.build("Affine", 4) for reference in (remembering, live)]
    assert not made  # so far all is known
    ours, theirs = (model(100 * torch.ones(2, 3)) for model in models)
    assert len(made) == 1
    assert torch.equal(ours, theirs)
    assert ours.abs().max() > 1


@pytest.mark.parametrize("between", [False, True])
def test_gradients_of_what_was_remembered_are_had_from_the_reference(between):
    """A first other question that is a backward pass, or comes without gradients, finds the graph there."""

    def gradient(reference: Oracle, scale: float) -> torch.Tensor:
        x = torch.arange(3.0).requires_grad_()
        model = reference.build("Affine", 2)
        output = model(x[None]).square()
        if between:
            with torch.no_grad():
                reference.double(scale * torch.ones(2))
        return torch.autograd.grad((scale * output).sum(), x)[0]

    first, peer = asked()
    gradient(first, 1.0)
    remembering, live = asked(peer.replies)[0], asked()[0]
    expected = gradient(live, 2.0)
    assert torch.equal(gradient(remembering, 2.0), expected)
    assert expected.abs().max() > 0


def test_what_a_check_does_to_a_reply_stays_with_it():
    """A tensor that is written to is the same again for the next submission."""
    first, peer = asked()
    first.double(torch.ones(3)).zero_()
    for _ in range(2):
        kept = asked(peer.replies, never)[0].double(torch.ones(3))
        assert kept.tolist() == [2.0, 2.0, 2.0]
        kept.zero_()


def test_replies_survive_a_file():
    """Written and read they are equal, and answer as before."""
    first, peer = asked()
    live = converse(first)
    read = remembered.from_bytes(remembered.to_bytes(peer.replies))
    assert read == peer.replies
    assert all(map(torch.equal, converse(asked(read, never)[0]), live))


def test_one_fork_of_a_run_leaves_its_replies_to_the_next(tmp_path):
    """After an answer passed a check, and not before: of a wrong one a check may ask the beginning only."""
    exercise = make(tmp_path / "course").exercise("tiny")
    folder = tmp_path / "knowledge"
    folder.mkdir()
    one, two = (Knowledge(exercise, 3, folder) for _ in range(2))
    expected = one.oracle(CHECK).double(torch.ones(2))
    assert not list(folder.iterdir())
    one.remember(CHECK)
    names = {file.name for file in folder.iterdir()}
    assert names == {"double_doubles.draws", "double_doubles.replies"}
    later = two.oracle(CHECK)
    (exercise.folder / "tiny.py").unlink()
    assert torch.equal(later.double(torch.ones(2)), expected)
    assert later._channel.peer._live is None


def test_without_space_nothing_is_left_and_nothing_is_lost(tmp_path):
    """Replies that cannot be written are asked for again; here a file is where the folder should be."""
    exercise = make(tmp_path / "course").exercise("tiny")
    (tmp_path / "full").write_bytes(b"")
    knowledge = Knowledge(exercise, 3, tmp_path / "full")
    for _ in range(2):
        assert knowledge.oracle(CHECK).double(torch.ones(2)).tolist() == [2.0, 2.0]
        knowledge.remember(CHECK)


HUNGRY = """
import resource, sys
from pathlib import Path
import torch
from dlgrade.checks import Check
from dlgrade.course import Course
from dlgrade.knowledge import Knowledge
from dlgrade.observation import Seen

def double_doubles(submission, oracle):
    oracle.double(torch.ones(2))

check = Check(id="double_doubles", title="", part="double", points=2.0, kind="value", help="")
knowledge = Knowledge(Course(Path(sys.argv[1])).exercise("tiny"), 3, Path(sys.argv[2]))
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20), resource.RLIM_INFINITY))
knowledge.diagnose(check, double_doubles, Seen(ending="failed"))
print(knowledge.watch(check, double_doubles, knowledge._answer).ending)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")
def test_what_a_forks_limits_did_to_the_reference_is_not_left_to_the_next(tmp_path):
    """An answer may leave so little memory that the reference fails; the next one hears nothing of it."""
    course = make(tmp_path / "course")
    exercise = course.exercise("tiny")
    answer = exercise.folder / "tiny.py"
    text = answer.read_text().replace("return 2 * x", "import torch; return 2 * x + torch.zeros(10**8).sum()")
    answer.write_text(text)
    folder = tmp_path / "knowledge"
    folder.mkdir()
    command = [sys.executable, "-c", HUNGRY, course.root, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "memory"
    assert not list(folder.iterdir())


def test_what_forks_left_is_gathered_once_for_the_forks_to_come(tmp_path, monkeypatch):
    """Replies, suspects and drawn numbers are in memory then: nothing is read, run or drawn again."""
    exercise = make(tmp_path / "course").exercise("tiny")
    folder = tmp_path / "knowledge"
    folder.mkdir()
    parent, fork = (Knowledge(exercise, 3, folder) for _ in range(2))
    assert not parent.gather()

    asked = fork.oracle(CHECK)
    x = asked.normal(4, 3)
    expected = asked.double(x)
    fork.remember(CHECK)
    wrong = Seen(ending="failed")
    suspect = fork.diagnose(CHECK, doubles_something, wrong)
    assert parent.gather()
    assert not parent.gather()

    for file in folder.iterdir():
        file.unlink()
    monkeypatch.setattr(Draw, "make", never)
    later = parent.oracle(CHECK)
    assert torch.equal(later.double(later.normal(4, 3)), expected)
    assert later._channel.peer._live is None
    monkeypatch.setattr(parent, "watch", never)
    assert parent.diagnose(CHECK, doubles_something, wrong) == suspect


def doubles_something(submission, oracle):
    """A check that draws and compares."""
    x = oracle.normal(4, 3)
    observe("the result", submission.double(x))
    compare.close(submission.double(x), oracle.double(x), what="double(x)")


def test_what_a_check_writes_to_its_numbers_stays_with_it():
    """Each gets the formula's numbers, also where another one has changed its own."""
    draws = Draws()
    wanted = Draw("normal", 5, (2, 3), "float64")
    draws.hold("check", [wanted])
    draws.take(wanted).zero_()
    assert torch.equal(draws.take(wanted), torch.from_numpy(formula.normal(5, (2, 3))))


@pytest.mark.parametrize(
    "draw",
    [
        Draw("normal", 5, (2, 3), "float32"),
        Draw("uniform", 5, (4,), "float64", (-1.0, 2.5)),
        Draw("integers", 5, (), "int64", (0, 10)),
        Draw("parameter", 5, (3, 2), "float32", ("layer.weight",)),
    ],
)
def test_a_draw_that_was_written_down_is_the_same_draw(draw):
    """Else what the parent holds would never be found."""
    [read] = drawn.from_bytes(drawn.to_bytes([draw]))
    assert (read, hash(read)) == (draw, hash(draw))
    draws = Draws()
    draws.hold("check", [read])
    held = draws.take(draw)
    assert held.dtype == getattr(torch, draw.dtype)
    assert torch.equal(held, draw.make())


def test_no_more_is_held_than_there_is_room_for(monkeypatch):
    """A course with large models grades no slower for it, and no process grows without end."""
    monkeypatch.setattr(drawn, "MOST_BYTES", 2000)
    monkeypatch.setattr(drawn, "MOST_BYTES_OF_ONE", 1000)
    draws = Draws()
    wanted = [Draw("normal", stream, (200,), "float32") for stream in range(3)]
    draws.hold("one", wanted)
    assert list(draws._held) == wanted[:2]
    assert torch.equal(draws.take(wanted[2]), wanted[2].make())
    draws.hold("one", wanted[2:])
    assert list(draws._held) == wanted[2:]
    draws.hold("two", wanted[:2])
    assert list(draws._held) == [wanted[2], wanted[0]]


def test_what_is_too_large_to_be_held_is_not_even_made(monkeypatch):
    """An answer may have chosen the shape: the checker's own process draws no 8 TB for it."""
    draws = Draws()
    monkeypatch.setattr(Draw, "make", never)
    draws.hold("check", [Draw("normal", 1, (2**20, 2**20), "float64")])
    assert not draws._held


def test_shapes_and_bounds_may_be_numpys(tmp_path):
    """A check may count with NumPy's integers; what it drew can be left to the next all the same."""
    exercise = make(tmp_path / "course").exercise("tiny")
    folder = tmp_path / "knowledge"
    folder.mkdir()
    knowledge = Knowledge(exercise, 3, folder)
    asked = knowledge.oracle(CHECK)
    asked.double(asked.integers(np.int64(3), low=np.int64(0), high=np.int64(5)))
    asked.double(asked.uniform(np.int32(2), low=np.float32(0.5), high=np.float32(1)))
    knowledge.remember(CHECK)
    [file] = folder.glob("*.draws")
    assert drawn.from_bytes(file.read_bytes()) == asked.drawn


@pytest.mark.parametrize("data", [b"[[", b'[["normal", 1, [1099511627776], "float64", []]]', b"\xff", b""])
@pytest.mark.parametrize("kind", ["draws", "replies", "json"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path, kind, data):
    """Neither the checker nor a submission ends by it, and the next one that is left is read."""
    exercise = make(tmp_path / "course").exercise("tiny")
    folder = tmp_path / "knowledge"
    folder.mkdir()
    (folder / f"double_doubles.{kind}").write_bytes(data)
    parent, fork = (Knowledge(exercise, 3, folder) for _ in range(2))
    parent.gather()
    assert not parent.gather()
    x = fork.oracle(CHECK).normal(4, 3)
    assert torch.equal(fork.oracle(CHECK).double(x), 2 * x)
    fork.remember(CHECK)
    suspect = fork.diagnose(CHECK, doubles_something, Seen(ending="failed"))
    assert parent.gather()
    assert parent.diagnose(CHECK, doubles_something, Seen(ending="failed")) == suspect
    assert parent.oracle(CHECK)._channel.peer._known
