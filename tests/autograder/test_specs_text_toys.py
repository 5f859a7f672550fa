"""The kit's character model, vocabulary and batches, and the training and counting of text contests."""

from itertools import pairwise

import pytest
import torch

from dlgrade import formula
from dlgrade.calibration_source import TRAINERS
from dlgrade.contest import OpenData
from dlgrade.contests import contest_of
from dlgrade.decision import set_by
from dlgrade.errors import GraderFault
from dlgrade.outcome import CheckFailed
from dlgrade.specs import BatchList, CharToy, Letters, local
from dlgrade.text_contest import TextContest, simple_models
from dlgrade.text_toys import Alphabet
from dlgrade.text_training import UNKNOWN, TextTrainer, alphabet_of, encoded

IDS = torch.tensor([[0, 3, 1, 1, 2, 4], [4, 4, 0, 2, 3, 1]])


def toy():
    return local(CharToy(5, sharpness=3.0, seed=8))


# --- the character model --------------------------------------------------------------------------


def test_a_text_in_pieces_is_read_as_in_one():
    """With the state handed on, as a tuple or a list, two calls give the logits of one."""
    model = toy()
    whole, _ = model(IDS)
    first, state = model(IDS[:, :2])
    second, _ = model(IDS[:, 2:], list(state))
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def test_its_state_can_be_detached_in_place():
    """As the state of nn.LSTM, which is no view: a common way to cut the graph between batches."""
    model = toy()
    whole, _ = model(IDS)
    _, state = model(IDS[:, :2])
    for part in state:
        part.detach_()
    torch.testing.assert_close(model(IDS[:, 2:], state)[0], whole[:, 2:])


def test_no_state_is_a_state_of_zeros():
    """state=None equals a pair of zeros of the shape that comes back."""
    model = toy()
    logits, (h, c) = model(IDS)
    assert h.shape == c.shape == (1, 2, 6)
    torch.testing.assert_close(model(IDS, (torch.zeros_like(h), torch.zeros_like(c)))[0], logits)


@pytest.mark.parametrize("place", range(5))
def test_every_earlier_character_matters_for_good(place):
    """Another character anywhere before changes the last logits; the last order of two matters as well."""
    model, changed = toy(), IDS.clone()
    changed[:, place] = (changed[:, place] + 1) % 5
    assert (model(changed)[0] - model(IDS)[0])[:, -1].abs().max() > 1e-3


def test_the_order_of_earlier_characters_matters():
    """Exchanging two different characters of the past changes the last logits."""
    model = toy()
    exchanged = IDS[:, [1, 0, 2, 3, 4, 5]]
    assert (model(exchanged)[0] - model(IDS)[0])[0, -1].abs().max() > 1e-3


def test_train_mode_moves_the_logits_on():
    """In train mode the logits are those of eval mode, moved by one character."""
    model = toy()
    trained = model.train()(IDS)[0]
    torch.testing.assert_close(trained, model.eval()(IDS)[0].roll(1, 2))


def test_its_use_is_counted():
    """Passes, passes without a state, and passes with gradients; loading a state does not roll it back."""
    model = toy()
    before = model.state_dict()
    _, state = model(IDS)
    with torch.no_grad():
        model(IDS, state)
    model.load_state_dict(before)
    assert model.state_dict()["_extra_state"].tolist() == [2, 1, 1]


def test_weights_come_from_the_seed_and_reach_every_parameter():
    """One seed gives one model, another another, and each parameter has a gradient."""
    same, other = local(CharToy(5, seed=8)), local(CharToy(5, seed=9))
    assert torch.equal(same.turn, local(CharToy(5, seed=8)).turn)
    assert not torch.equal(same.turn, other.turn)
    same(IDS)[0].pow(2).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in same.parameters())


# --- vocabulary and batches -----------------------------------------------------------------------


def test_letters_are_numbered_in_the_given_order():
    """encode gives places in the text of the alphabet, decode takes tensors, lists and single numbers."""
    letters = local(Letters("cab"))
    assert isinstance(letters, Alphabet)
    assert len(letters) == 3
    assert letters.encode("abc").tolist() == [1, 2, 0]
    assert letters.encode("").dtype == torch.int64
    assert letters.decode(torch.tensor([[0, 1]])) == letters.decode([0, 1]) == "ca"
    assert letters.decode(torch.tensor(2)) == "b"


def test_letters_name_a_stranger():
    """A character that is not there is an error with its name."""
    with pytest.raises(ValueError, match="z"):
        local(Letters("cab")).encode("cz")


def test_a_batch_from_elsewhere_must_be_moved():
    """Without .to(device) the model refuses it, with it the ids are those of the pair."""
    [(x, y)] = local(BatchList([(IDS[:, :-1], IDS[:, 1:])], elsewhere=True))
    with pytest.raises(RuntimeError, match="same device"):
        toy()(x)
    assert torch.equal(x.to("cpu"), IDS[:, :-1])
    assert torch.equal(y.to("cpu"), IDS[:, 1:])


# --- training -------------------------------------------------------------------------------------

TEXT = "abcabd" * 60


def trainer(tmp_path, model, **settings):
    file = tmp_path / "train_inputs.txt"
    file.write_text(TEXT)
    given = {"limit": 360, "epochs": 3, "batch_size": 4, "seq_len": 8, "max_lr": 0.05, "seed": 1}
    return TextTrainer(of=model, files=[str(file)], **{**given, **settings})


@pytest.fixture
def one_thread():
    """The trainer takes one thread in its own process; a test gives the others back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_training_lowers_the_loss(tmp_path, one_thread):
    """Each epoch's mean loss is below the one before."""
    training = trainer(tmp_path, local(CharToy(5, dtype="float32")))
    losses = [training.epoch() for _ in range(3)]
    assert losses == sorted(losses, reverse=True)


def test_a_version_goes_with_what_is_computed(tmp_path, one_thread):
    """These losses are those of version 1: when they change, raise TRAINERS["text"], and then these."""
    training = trainer(tmp_path, local(CharToy(5, dtype="float32")))
    assert TRAINERS["text"] == 1
    assert [training.epoch() for _ in range(3)] == pytest.approx([1.70529, 1.48588, 1.43367], rel=1e-3)


def test_rows_of_the_training_read_on(tmp_path, one_thread):
    """y is one character after x, and each row goes on in the next batch."""
    batches = list(trainer(tmp_path, local(CharToy(5, dtype="float32")))._cut())
    for (x, y), (after, _) in pairwise(batches):
        assert torch.equal(x[:, 1:], y[:, :-1])
        assert torch.equal(after[:, 0], y[:, -1])


def test_unknown_characters_have_a_number_of_their_own():
    """0 is nobody's; the others are numbered in sorted order."""
    assert encoded("bza", alphabet_of("ab")).tolist() == [2, UNKNOWN, 1]


# --- counting bits --------------------------------------------------------------------------------


def contest(tmp_path, held_out, **settings):
    file = tmp_path / "train_inputs.txt"
    file.write_text(TEXT)
    data = OpenData("text", "a text", "0", "a text", (str(file),), held_out, None)
    given = {"check": "c", "settings": {}, "seed": 3, "cpu_seconds": 9.0, "device": "cpu"}
    return TextContest(data=data, progress=lambda done: None, **{**given, **settings})


def test_bits_are_counted_as_computed_at_once(tmp_path):
    """Asking one character at a time gives the mean -log2 probability of one pass over each row."""
    model, running = local(CharToy(5, sharpness=2.0, seed=4)).eval(), contest(tmp_path, TEXT[:300] + "z")
    inputs, targets = running._held_out
    with torch.no_grad():
        logits, _ = model(inputs)
        expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        assert running._measure(model) == pytest.approx(expected.item() / torch.tensor(2.0).log().item())


def test_a_model_that_returns_no_pair_fails(tmp_path):
    """What comes back is looked at before it is counted."""
    with pytest.raises(CheckFailed, match="pair"):
        contest(tmp_path, TEXT)._measure(lambda ids, state: None)


def test_what_it_writes_repeats_and_has_known_characters(tmp_path):
    """120 characters of the training text's, the same for the same seed."""
    model, running = local(CharToy(5, seed=4)).eval(), contest(tmp_path, TEXT)
    with torch.no_grad():
        text = running._write(model)
        assert text == running._write(model)
    assert len(text) == 120
    assert set(text) <= set(TEXT)


def test_simple_models_on_a_text_they_know():
    """Of a long text that alternates, a unigram model needs one bit and a bigram model next to none."""
    ids = torch.tensor([1, 2] * 4000)
    unigram, bigram = simple_models(ids, (ids[:-1], ids[1:]), 3)
    assert unigram == pytest.approx(1, abs=0.01)
    assert bigram == pytest.approx(0, abs=0.01)


def test_simple_models_know_nothing_of_an_empty_text():
    """Without training text every character is as likely as any other."""
    ids = torch.from_numpy(formula.integers(1, (50,), 0, 4))
    assert simple_models(ids[:0], (ids[:-1], ids[1:]), 4) == pytest.approx((2, 2))


def test_text_and_images_have_contests_of_their_own(tmp_path):
    """Held-out running text is graded in bits; a threshold that was not measured is our fault."""
    running = contest(tmp_path, TEXT)
    assert contest_of(running.data) is TextContest
    with pytest.raises(GraderFault, match="dlgrade calibrate"):
        _ = running.rule


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_threshold_lies_on_the_worse_side(better):
    """Five deviations above the mean where lower is better, below it where higher is, and it says which."""
    values = (1.5, 2.0, 2.5, 2.0, 2.0)  # mean 2, deviation 0.3536
    entry = set_by(values, better)
    spread = 5 * 0.353553
    assert entry["threshold"] == pytest.approx(2 + spread if better == "lower" else 2 - spread, abs=1e-3)
    assert entry["better"] == better
