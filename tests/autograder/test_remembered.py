"""Replies kept from one submission to the next: the same as live ones, and only to the same questions."""

import pytest
import torch
from tiny_course import REFERENCE, make

from dlgrade import oracle, remembered
from dlgrade.checks import Check
from dlgrade.grading import Knowledge
from dlgrade.oracle import Oracle
from dlgrade.outcome import StudentRaised
from dlgrade.remembered import RememberingPeer
from dlgrade.specs import Batches, Optim, Toy

CHECK = Check(id="double_doubles", title="", part="double", points=2.0, kind="value", help="")


def never():
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
    assert [file.name for file in folder.iterdir()] == ["double_doubles.replies"]
    later = two.oracle(CHECK)
    (exercise.folder / "tiny.py").unlink()
    assert torch.equal(later.double(torch.ones(2)), expected)
    assert later._channel.peer._live is None
