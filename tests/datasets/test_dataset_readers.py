"""Text, sentences, idx files and encoders: what is taken, and each refusal."""

import gzip
import json
import struct
import zipfile
import zlib

import numpy as np
import pytest
from small_copies import left_behind

from dlgrade.datasets import idx, import_, open_, standin_encoder
from dlgrade.errors import DatasetError


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has 0 characters"),
        (b"short", "has 5 characters"),
        (b"a" * 2_000 + b"\0", "byte 2,000 is zero"),
        ("caf\u00e9".encode("latin-1") + b" " * 2_000, "byte 3 is 0xe9"),
    ],
)
def test_wrong_text_is_refused(tmp_path, cache, content, reason):
    """An empty, short, binary or wrongly encoded text is refused, by the byte's offset where there is one."""
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=reason):
        import_("tiny_shakespeare", path)
    assert not left_behind(cache)


def test_text_is_kept_to_the_byte(tmp_path):
    """Line ends and characters beyond ASCII survive, and the splits join to the whole."""
    text = "z\u00e4h\r\nund\n\r" * 200
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    import_("tiny_shakespeare", path)
    splits = open_("tiny_shakespeare").splits
    assert splits["train"].inputs + splits["test"].inputs == text
    assert len(splits["train"]) == len(text) * 9 // 10
    assert splits["train"].labels is None


def test_real_shakespeare(real_data):
    """The real corpus is recognised by its checksum."""
    assert import_("tiny_shakespeare", real_data / "tinyshakespeare.txt").title == "tiny Shakespeare"


TSV = "sentence\tlabel\na fine film \t1\ndull\t0\n"


def write_sst2(folder, **changed):
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_bytes(changed.get(split, TSV.encode()))
    return folder


def test_sst2_sentences_and_labels(tmp_path):
    """Sentences come back one by one, stripped, with int64 labels, also by slice and from the end."""
    import_(
        "sst2", write_sst2(tmp_path / "sst2", train="sentence\tlabel\r\nna\u00efve \t1\r\nb\t0\r\n".encode())
    )
    train = open_("sst2").splits["train"]
    assert list(train.inputs) == ["na\u00efve", "b"]
    assert (train.inputs[-1], train.inputs[:1]) == ("b", ["na\u00efve"])
    assert train.labels.tolist() == [1, 0]
    with pytest.raises(IndexError):
        train.inputs[2]


def test_real_sst2(real_data):
    """The real files give 60,614, 6,735 and 872 sentences with both labels about as frequent."""
    import_("sst2", real_data / "sst2")
    splits = open_("sst2").splits
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 60_614,
        "dev": 6_735,
        "test": 872,
    }
    assert splits["test"].inputs[0] == "it 's a charming and often affecting journey ."
    assert 0.4 < splits["train"].labels.mean() < 0.6


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("text\tlabel\na\t1\n", "train.tsv:1: the header is 'text"),
        ("sentence\tlabel\na\t1\nb\t2\n", "train.tsv:3: "),
        ("sentence\tlabel\na\t1\nb 0\n", "train.tsv:3: "),
        ("sentence\tlabel\na\t1\nb\tc\t0\n", "train.tsv:3: "),
        ("sentence\tlabel\n \t1\n", "train.tsv:2: "),
        ("sentence\tlabel\na\t1\n\nb\t0\n", "train.tsv:3: "),
        ("sentence\tlabel\na\t1\n", "1 rows of train do not have both labels"),
        ("", "train.tsv:1: the header is ''"),
    ],
)
def test_malformed_row_is_refused(tmp_path, content, reason):
    """A malformed file is refused with file and line."""
    with pytest.raises(DatasetError, match=reason):
        import_("sst2", write_sst2(tmp_path / "sst2", train=content.encode()))


def test_sst2_bytes_that_are_not_utf8(tmp_path):
    """A byte that is not UTF-8 is refused with file and line."""
    with pytest.raises(DatasetError, match=r"dev\.tsv:2: byte 0xff"):
        import_("sst2", write_sst2(tmp_path / "sst2", dev=b"sentence\tlabel\n\xff\t1\n"))


def test_glue_archive(tmp_path):
    """GLUE's labelled dev sentences become test; a phrase stays on one side of train and dev."""
    rows = [(f"phrase {i % 150} ", i % 2) for i in range(300)]
    train = "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows)
    with zipfile.ZipFile(tmp_path / "SST-2.zip", "w") as archive:
        archive.writestr("SST-2/train.tsv", train)
        archive.writestr("SST-2/dev.tsv", TSV)
        archive.writestr("SST-2/test.tsv", "index\tsentence\n0\tunlabelled\n")
        archive.writestr("SST-2/original/SOStr.txt", "ignored")
    import_("sst2", tmp_path / "SST-2.zip")
    splits = open_("sst2").splits
    assert len(splits["train"]) + len(splits["dev"]) == 300
    assert not set(splits["train"].inputs) & set(splits["dev"].inputs)
    assert list(splits["test"].inputs) == ["a fine film", "dull"]


@pytest.fixture
def small_idx(monkeypatch):
    monkeypatch.setattr(idx, "COUNTS", {"train": 20, "test": 10})


def idx_files():
    """Four small idx files as {name: bytes}; every picture shows its label."""
    files = {}
    for prefix, count in (("train", 20), ("t10k", 10)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.repeat(labels, 28 * 28)
        header = struct.pack(">HBB3I", 0, 8, 3, count, 28, 28)
        files[f"{prefix}-images-idx3-ubyte"] = header + images.tobytes()
        files[f"{prefix}-labels-idx1-ubyte"] = struct.pack(">HBBI", 0, 8, 1, count) + labels.tobytes()
    return files


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.usefixtures("small_idx")
def test_idx_files(tmp_path, zipped):
    """Four idx files give (N, 28, 28) images; only Fashion-MNIST's own bytes earn its title."""
    for name, content in idx_files().items():
        (tmp_path / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    assert import_("fashion_mnist", tmp_path).title.startswith("idx images")
    test = open_("fashion_mnist").splits["test"]
    assert test.inputs.shape == (10, 28, 28)
    assert (test.inputs == test.labels[:, None, None]).all()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("t10k-labels-idx1-ubyte", None, "has no t10k-labels-idx1-ubyte.gz"),
        ("train-images-idx3-ubyte", lambda c: c[:-1], "damaged or truncated"),
        ("train-images-idx3-ubyte", lambda c: c + b"1", "damaged or truncated"),
        (
            "train-images-idx3-ubyte",
            lambda c: c[:7] + b"\x15" + c[8:],
            r"shape \(21, 28, 28\), expected \(20",
        ),
        ("train-images-idx3-ubyte", lambda c: b"PNG" + c, "not an idx file"),
        ("train-images-idx3-ubyte", lambda c: b"", "not an idx file"),
        ("train-labels-idx1-ubyte", lambda c: c[:-1] + b"\x0a", "labels go up to 10"),
    ],
)
@pytest.mark.usefixtures("small_idx")
def test_wrong_idx_file_is_refused(tmp_path, cache, name, change, reason):
    """A missing, cut, padded, misshapen or foreign idx file is refused by name."""
    files = idx_files()
    content = files.pop(name)
    if change:
        files[name] = change(content)
    for key, value in files.items():
        (tmp_path / key).write_bytes(value)
    with pytest.raises(DatasetError, match=reason):
        import_("fashion_mnist", tmp_path)
    assert not left_behind(cache)


@pytest.fixture
def encoder_folder(tmp_path):
    folder = tmp_path / "tiny-bert"
    folder.mkdir()
    standin_encoder.write(folder, seed=0)
    return folder


def test_encoder_folder(encoder_folder):
    """An encoder's files are copied byte for byte, strangers are not, and the title states the size."""
    (encoder_folder / "pytorch_model.bin").write_bytes(b"a pickle")
    assert import_("bert", encoder_folder).title == "bert encoder tiny-bert (2 layers of 64)"
    folder = open_("bert").folder
    for name in ("config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (encoder_folder / name).read_bytes()
    assert not (folder / "pytorch_model.bin").exists()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("config.json", None, "has no config.json"),
        ("vocab.txt", None, "has no tokenizer.json or vocab.txt"),
        ("model.safetensors", None, "weights in a pickle"),
        ("config.json", lambda c: b"{", "is not JSON"),
        ("config.json", lambda c: b"[]", "states no model_type"),
        ("config.json", lambda c: json.dumps({"model_type": "bert"}).encode(), "states no hidden_size"),
        ("model.safetensors", lambda c: c[:-1], "is truncated"),
        ("model.safetensors", lambda c: c[:100], "is not a safetensors file"),
        ("model.safetensors", lambda c: zlib.compress(c), "is not a safetensors file"),
        ("model.safetensors", lambda c: b"", "is not a safetensors file"),
    ],
)
def test_wrong_encoder_is_refused(encoder_folder, cache, name, change, reason):
    """A missing or damaged part of an encoder is refused by name."""
    path = encoder_folder / name
    content = path.read_bytes()
    path.unlink()
    if change:
        path.write_bytes(change(content))
    with pytest.raises(DatasetError, match=reason):
        import_("bert", encoder_folder)
    assert not left_behind(cache)
