"""Stand-ins: the same for the same seed, hard in the right way, and never mistaken for real data."""

import numpy as np
import pytest

from dlgrade.datasets import arrays, open_, standin_encoder, standin_images, standin_sentences, standins

LABELS = [8, 4, 1, 0, 3, 7, 9, 5, 6, 2]
CENTRES = np.array(
    [
        [198, 255, 228],
        [202, 255, 114],
        [215, 255, 239],
        [255, 104, 236],
        [255, 171, 235],
        [255, 158, 255],
        [66, 164, 102],
        [82, 114, 147],
        [139, 107, 163],
        [76, 96, 51],
    ]
)


@pytest.fixture
def few(monkeypatch):
    """Stand-ins of a few hundred examples."""
    monkeypatch.setattr(standins, "IMAGE_COUNTS", {"train": 300, "test": 100})
    monkeypatch.setattr(standin_sentences, "COUNTS", {"train": 400, "dev": 100, "test": 100})


def test_default_sizes():
    """A stand-in has 10,000 and 2,000 pictures, and says so without drawing one."""
    assert {name: len(split) for name, split in open_("cifar10").splits.items()} == {
        "train": 10_000,
        "test": 2_000,
    }


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("name", "shape"), [("cifar10", (32, 32, 3)), ("fashion_mnist", (28, 28))])
def test_images_have_the_shape_of_the_real_ones(name, shape):
    """Pictures in ten classes of equal size, uint8, in the real data's layout."""
    dataset = open_(name)
    assert dataset.is_standin
    for split, count in standins.IMAGE_COUNTS.items():
        assert dataset.splits[split].inputs.shape == (count, *shape)
        assert dataset.splits[split].inputs.dtype == np.uint8
        assert np.bincount(dataset.splits[split].labels).tolist() == [count // 10] * 10


def test_recipe_is_pinned():
    """The first pictures of seed 0 are the recipe's, to a level: floats may round apart between CPUs."""
    pictures, labels = standin_images.draw(10, side=32, channels=3, seed=0, split="train")
    assert labels.tolist() == LABELS
    assert np.abs(pictures[:, 16, 16].astype(int) - CENTRES).max() <= 1


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", ["cifar10", "sst2"])
def test_seed_decides(name):
    """A seed gives the same splits each time; another seed, or another split, gives others."""
    first, again, other = (open_(name, seed=seed) for seed in (1, 1, 2))
    assert first.checksum == again.checksum != other.checksum
    for split in ("train", "test"):
        ours, same, different = (d.splits[split] for d in (first, again, other))
        assert np.array_equal(ours.inputs, same.inputs)
        assert np.array_equal(ours.labels, same.labels)
        assert not np.array_equal(ours.inputs, different.inputs)
    assert not np.array_equal(first.splits["train"].inputs[:100], first.splits["test"].inputs[:100])


def nearest_centre_accuracy(features, labels, test_features, test_labels):
    """Accuracy of the simplest linear model: the class whose mean is nearest."""
    centres = np.stack([features[labels == k].mean(0) for k in range(10)])
    distances = ((test_features[:, None] - centres) ** 2).sum(-1)
    return float((distances.argmin(1) == test_labels).mean())


def test_neither_pixels_nor_colours_tell_the_classes_apart(monkeypatch):
    """Nearest class mean of pixels, or of colour histograms, stays below 20 % where chance is 10 %."""
    monkeypatch.setattr(standins, "IMAGE_COUNTS", {"train": 3_000, "test": 500})
    train, test = (open_("cifar10").splits[name] for name in ("train", "test"))
    pixels = [split.inputs.reshape(len(split), -1).astype(np.float32) for split in (train, test)]
    assert nearest_centre_accuracy(pixels[0], train.labels, pixels[1], test.labels) < 0.2
    histograms = [np.stack([(p // 32 == level).mean(1) for level in range(8)], axis=1) for p in pixels]
    assert nearest_centre_accuracy(histograms[0], train.labels, histograms[1], test.labels) < 0.2


def test_classes_survive_a_mirror():
    """Students flip pictures horizontally: every class's shape, undistorted, is its own mirror image."""
    axis = ((np.arange(64) + 0.5) / 32 - 1).astype(np.float32)
    u, v = np.meshgrid(axis, axis)
    for distance in standin_images._DISTANCES:
        mask = distance(u, v) > 0
        assert mask.any()
        assert np.array_equal(mask, mask[:, ::-1])


@pytest.mark.usefixtures("few")
def test_sentences_are_balanced_and_never_shared_between_splits():
    """Half of each split is positive; no sentence of one split occurs in another, whatever their seeds."""
    first, second = open_("sst2", seed=1).splits, open_("sst2", seed=2).splits
    for split in first.values():
        assert split.labels.mean() == 0.5
        assert len(set(split.inputs)) == len(split)
    assert not set(first["train"].inputs) & set(second["test"].inputs)
    assert not set(first["train"].inputs) & set(second["dev"].inputs)


def test_no_single_word_decides_a_sentence():
    """No word goes with one label in 85 % of the sentences that hold it, or more."""
    test = open_("sst2").splits["test"]
    for word in (*standin_sentences._GOOD, *standin_sentences._BAD, "not", "but", "although"):
        labels = [
            label
            for sentence, label in zip(test.inputs, test.labels, strict=True)
            if word in sentence.split()
        ]
        assert len(labels) > 20
        assert 0.15 < np.mean(labels) < 0.85


def test_text_is_prose_of_the_usual_length():
    """The text stand-in has some 400,000 characters or more, nine tenths of them for training."""
    splits = open_("tiny_shakespeare").splits
    assert len(splits["train"]) > 300_000
    assert len(splits["test"]) == pytest.approx(len(splits["train"]) / 9, abs=1)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("name", ["cifar10", "fashion_mnist", "sst2", "tiny_shakespeare"])
def test_materialize(name, tmp_path):
    """A materialized stand-in has files per split, from which a worker reads the same inputs and labels."""
    dataset = open_(name)
    assert dataset.splits["train"].input_files is None
    written = dataset.materialize(tmp_path / "granted")
    for key, split in written.splits.items():
        inputs, labels = dataset.splits[key].inputs, dataset.splits[key].labels
        assert np.array_equal(arrays.read_inputs(split.input_files), inputs)
        assert np.array_equal(arrays.read_labels(split.label_files), labels)
        assert len(split) == len(inputs)
    assert written.materialize(tmp_path / "again").splits == written.splits
    assert not (tmp_path / "again").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # transformers' own imports
def test_encoder_loads_in_transformers(tmp_path):
    """transformers loads the stand-in encoder with no parameter missing or left over, and its tokenizer."""
    transformers = pytest.importorskip("transformers", reason="the bert extra is not installed")
    folder = open_("bert").materialize(tmp_path).folder
    model, report = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(["the film is moving", "zebra"], padding=True, return_tensors="pt")
    assert "[UNK]" not in tokenizer.convert_ids_to_tokens(batch.input_ids.flatten().tolist())
    assert model(**batch).last_hidden_state.shape == (2, batch.input_ids.shape[1], standin_encoder.WIDTH)
