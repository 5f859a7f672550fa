"""The kit's fine-tuning, and what an accuracy check of sentences opens: all on the generated stand-ins."""

import json
from pathlib import Path

import pytest
import torch

from dlgrade import contest, contests, review_training
from dlgrade.calibration_source import TRAINERS
from dlgrade.contest import Contest
from dlgrade.review_contest import ReviewContest
from dlgrade.text_contest import TextContest
from reference.bert_classifier import build_classifier


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The stand-ins for SST-2 and the encoder, as a run opens them."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DLGRADE_DATA", str(tmp_path_factory.mktemp("no data")))
    yield contest.open_data("sst2+bert", tmp_path_factory.mktemp("run"), seed=4)
    patch.undo()


def test_a_name_with_a_plus_opens_both(opened, tmp_path):
    """Title and checksum speak of both, and a worker may read both; of test sentences it is granted none."""
    alone = contest.open_data("sst2", tmp_path, seed=4)
    assert (alone.encoder, alone.readable) == (None, alone.granted)
    assert opened.title.startswith(f"{alone.title} with ")
    assert opened.checksum.startswith(f"{alone.checksum}+")
    assert opened.readable == (*opened.granted, opened.encoder)
    assert not [path for path in opened.readable if "test" in path.rpartition("/")[2]]


def test_the_contest_follows_from_the_data(opened, tmp_path):
    """Sentences with an encoder, running text and images each have their own kind of contest."""
    assert contests.contest_of(opened) is ReviewContest
    assert contests.contest_of(contest.open_data("tiny_shakespeare", tmp_path, seed=4)) is TextContest
    assert contests.contest_of(contest.open_data("fashion_mnist", tmp_path, seed=4)) is Contest


def test_rows_are_padded_to_the_longest():
    """Ids are followed by 0, and the mask says where they end."""
    ids, mask = review_training.padded([[2, 7, 3], [2, 3]])
    assert ids.tolist() == [[2, 7, 3], [2, 3, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_sentences_are_cut_with_their_end_kept(opened):
    """A long sentence has MAX_LENGTH ids, the last one the separator's as in a short one."""
    short, long = review_training.tokenized(opened.encoder, ["dull", "dull " * 200])
    assert len(long) == review_training.MAX_LENGTH
    assert (long[0], long[-1]) == (short[0], short[-1])


def test_a_blank_encoder_takes_the_weights_of_the_real_one(opened):
    """Built from the config alone, it computes the same once it has the same state."""
    real = review_training.load_encoder(opened.encoder).eval()
    config = Path(opened.encoder, "config.json").read_text(encoding="utf-8")
    blank = review_training.blank_encoder(config).eval()
    ids, mask = review_training.padded(review_training.tokenized(opened.encoder, ["a dull film", "witty"]))
    before = blank(ids, mask).last_hidden_state
    blank.load_state_dict(real.state_dict())
    expected = real(ids, mask).last_hidden_state
    assert not torch.allclose(before, expected)
    torch.testing.assert_close(blank(ids, mask).last_hidden_state, expected)


def trainer(opened, model, **options):
    recipe = {"limit": 96, "epochs": 2, "batch_size": 16, "max_lr": 1e-3, "seed": 5} | options
    return review_training.ReviewTrainer(
        of=model, encoder=opened.encoder, files=list(opened.granted), **recipe
    )


@pytest.fixture(autouse=True)
def one_thread():
    """The trainer takes one thread for a small model, in its own process; a test gives the others back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_an_epoch_shows_every_example_once_and_mixes_labels(opened):
    """Each of the first `limit` examples is in one batch, and the order is that of the seed."""
    model = build_classifier(review_training.load_encoder(opened.encoder), 2)
    first, again, other = (list(trainer(opened, model, seed=seed)._order()) for seed in (5, 5, 6))
    assert sorted(index for batch in first for index in batch) == list(range(96))
    assert first == again != other


def test_training_lowers_the_loss_and_ends_at_rate_zero(opened):
    """On few sentences the loss falls within a few passes, and the schedule ends with the last one."""
    torch.manual_seed(0)
    model = build_classifier(review_training.load_encoder(opened.encoder), 2)
    tuned = trainer(opened, model, limit=32, epochs=12, batch_size=8)
    losses = [tuned.epoch() for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    assert tuned._schedule.get_last_lr() == [0.0, 0.0]


def test_a_version_goes_with_what_is_computed(opened):
    """These losses are those of version 1: when they change, raise TRAINERS["sentences"], and then these."""
    torch.manual_seed(0)
    model = build_classifier(review_training.load_encoder(opened.encoder), 2)
    model.dropout = torch.nn.Identity()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    tuned = trainer(opened, model, max_lr=3e-3)
    assert TRAINERS["sentences"] == 1
    assert [tuned.epoch() for _ in range(2)] == pytest.approx([0.79008, 0.69500], rel=1e-3)


def test_a_config_of_another_kind_is_built_too(opened):
    """The kind of encoder is read from the config, so any that AutoModel knows can be imported."""
    values = json.loads(Path(opened.encoder, "config.json").read_text(encoding="utf-8"))
    electra = values | {"model_type": "electra", "embedding_size": 16}
    assert type(review_training.blank_encoder(json.dumps(electra))).__name__ == "ElectraModel"
