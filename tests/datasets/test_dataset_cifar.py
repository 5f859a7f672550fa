"""CIFAR-10 from every shape of copy, and the refusal of every wrong one."""

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from small_copies import batch_arrays, image_bytes, left_behind, tree, write_tar, write_tree

from dlgrade import small_resnet
from dlgrade.datasets import cifar, import_, open_
from dlgrade.errors import DatasetError
from dlgrade.training import normalise

pytestmark = pytest.mark.usefixtures("small")


def pickled(content):
    return pickle.dumps(content, protocol=2)


def as_pickles():
    """The original archive's files; its keys are bytes, as Python 2 wrote them."""
    return {
        f"cifar-10-batches-py/{name}": pickled({b"data": pixels, b"labels": labels.tolist()})
        for name, (pixels, labels) in batch_arrays().items()
    }


def as_binary():
    return {
        f"cifar-10-batches-bin/{name}.bin": np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes()
        for name, (pixels, labels) in batch_arrays().items()
    }


def assert_is_tree(dataset):
    """Ten times its label is what every picture of `tree` shows; JPEG may be off by a level or two."""
    for split, count in cifar.COUNTS.items():
        inputs, labels = dataset.splits[split].inputs, dataset.splits[split].labels
        assert inputs.shape == (count, 32, 32, 3)
        assert inputs.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count // 10] * 10
        assert np.abs(inputs.astype(int) - 10 * labels[:, None, None, None]).max() <= 2


@pytest.mark.parametrize(("encoding", "title"), [("PNG", "CIFAR-10 (PNG)"), ("JPEG", "CIFAR-10 (JPEG)")])
def test_folder_of_images(tmp_path, encoding, title):
    """A folder of images is imported with labels in alphabetical order and named by its encoding."""
    stored = import_("cifar10", write_tree(tmp_path / "tree", tree(encoding=encoding)))
    assert stored.title == title
    assert_is_tree(open_("cifar10"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_of_images(tmp_path, mode):
    """A tar gives the same checksum however it is compressed and in whatever order its members come."""
    folder = import_("cifar10", write_tree(tmp_path / "tree", tree()))
    backwards = dict(reversed(tree().items()))
    packed = import_("cifar10", write_tar(tmp_path / "tree.tar.any", backwards, mode=mode))
    assert packed.checksum == folder.checksum
    assert_is_tree(open_("cifar10"))


def test_zip_of_images(tmp_path):
    """A zip with a leading folder, a README and macOS's shadow files is imported for its images."""
    path = tmp_path / "tree.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cifar/README.txt", "ten classes")
        for name, content in tree().items():
            archive.writestr(f"cifar/{name}", content)
            archive.writestr(f"__MACOSX/{name.replace('/00', '/._00')}", b"no image")
    import_("cifar10", path)
    assert_is_tree(open_("cifar10"))


def test_images_of_a_tree_are_not_sorted_by_class(tmp_path):
    """A prefix of the training split shows many classes, although a tree is sorted by class."""
    import_("cifar10", write_tree(tmp_path / "tree", tree()))
    assert len(set(open_("cifar10").splits["train"].labels[:20].tolist())) >= 6


def test_grayscale_becomes_colour(tmp_path):
    """A grayscale picture is imported with three equal channels."""
    files = tree() | {"train/cat/0000.png": image_bytes(30, mode="L")}
    import_("cifar10", write_tree(tmp_path / "tree", files))
    assert_is_tree(open_("cifar10"))


@pytest.mark.parametrize("files", [as_pickles, as_binary], ids=["python", "binary"])
@pytest.mark.parametrize("packed", [True, False], ids=["archive", "folder"])
def test_original(tmp_path, files, packed):
    """Both original formats, packed or not, give the batches' own pixels in order, with the channel last."""
    path = (write_tar if packed else write_tree)(tmp_path / "original", files())
    assert import_("cifar10", path).title == "CIFAR-10"
    dataset = open_("cifar10")
    assert dataset.class_names == cifar.CLASSES
    batches = batch_arrays()
    flat = np.concatenate([batches[f"data_batch_{i}"][0] for i in range(1, 6)])
    assert np.array_equal(dataset.splits["train"].inputs.transpose(0, 3, 1, 2).reshape(-1, 3072), flat)
    assert np.array_equal(dataset.splits["test"].labels, batches["test_batch"][1])


class Payload:
    def __reduce__(self):
        return print, ("a pickle ran code",)


def array_of(shape, content):
    """The reduction of a NumPy array with a state of our choice."""

    class Forged:
        def __reduce__(self):
            array = np.empty(0, np.uint8)
            rebuild, arguments, _ = array.__reduce__()
            return rebuild, arguments, (1, shape, array.dtype, False, content)

    return Forged()


@pytest.mark.parametrize(
    ("batch", "reason"),
    [
        (pickled(Payload()), "asks for '__builtin__.print'"),
        (pickled({b"data": Payload(), b"labels": []}), "asks for"),
        (pickled([1, 2]), "no dictionary"),
        (pickled({b"data": [1], b"labels": [1]}), "lacks an array"),
        (pickled({b"data": np.zeros((1, 3072), "u2"), b"labels": [1]}), "unsigned bytes"),
        (pickled({b"data": np.zeros((2, 3072), "u1"), b"labels": [1]}), "2 images"),
        (pickled({b"data": np.zeros((1, 3072), "u1"), b"labels": [10]}), "label outside 0 to 9"),
        (pickled({b"data": np.zeros((1, 3072), "u1"), b"labels": [True]}), "small integers"),
        (pickled({b"data": array_of((2**40, 3072), bytes(3072)), b"labels": [1]}), "claims another shape"),
        (pickled({b"data": array_of((1, 3072), [1]), b"labels": [1]}), "does not hold rows"),
        (b"\x80\x02r\xff\xff\xff\xff.", "cannot be unpickled"),
        (b"", "cannot be unpickled"),
    ],
)
def test_hostile_batch_is_refused_and_not_run(tmp_path, cache, capsys, batch, reason):
    """A pickle that is no batch is refused with its reason, nothing in it runs, and nothing is stored."""
    files = as_pickles() | {"cifar-10-batches-py/data_batch_3": batch}
    with pytest.raises(DatasetError, match=reason) as refusal:
        import_("cifar10", write_tar(tmp_path / "cifar.tar.gz", files))
    assert "data_batch_3" in str(refusal.value)
    assert "ran code" not in capsys.readouterr().out
    assert not left_behind(cache)


def without(files, name):
    return {key: value for key, value in files.items() if key != name}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "holds no CIFAR-10"),
        ({"README.txt": b"hello"}, "holds no CIFAR-10"),
        (without(tree(), "train/cat/0001.png"), "has 49 train images, expected 50"),
        (tree() | {"test/cat/9.png": image_bytes(30)}, "has 21 test images, expected 20"),
        (
            without(tree(), "train/cat/0001.png") | {"train/dog/9.png": image_bytes(1)},
            "4 train images of class 'cat', expected 5",
        ),
        (tree() | {"train/zebra/1.png": image_bytes(1)}, "has 11 class folders"),
        (tree() | {"train/cat/0001.png": b"no image"}, "'train/cat/0001.png' cannot be decoded"),
        (tree() | {"train/cat/0001.png": image_bytes(30)[:60]}, "'train/cat/0001.png' cannot be decoded"),
        (tree() | {"train/cat/0001.png": image_bytes(1, size=(32, 33))}, "is 32x33 pixels, expected 32x32"),
        (tree() | {"train/cat/0001.png": image_bytes(1, mode="RGBA")}, "has mode RGBA"),
        (tree() | {"train/cat/0001.png": bytes(2 << 20)}, "has 2,097,152 bytes"),
        (
            tree() | {"train/cat/0001.png": image_bytes(1, mode="L", size=(10_000, 10_000))},
            "cannot be decoded",
        ),
        (tree() | {"again/train/cat/0001.png": image_bytes(30)}, "'train/cat/0001.png' twice"),
        (without(as_binary(), "cifar-10-batches-bin/test_batch.bin"), "has no test_batch"),
        (as_binary() | {"cifar-10-batches-bin/test_batch.bin": b"short"}, "expected a multiple of 3,073"),
        (as_binary() | as_pickles(), "holds data_batch_1 twice"),
    ],
)
def test_wrong_copy_is_refused(tmp_path, cache, files, reason):
    """Whatever is not exactly CIFAR-10 is refused in one line with what was found, and nothing is stored."""
    path = write_tar(tmp_path / "copy.tar", files, mode="w")
    with pytest.raises(DatasetError, match=reason.replace("(", r"\(")) as refusal:
        import_("cifar10", path)
    assert "\n" not in str(refusal.value)
    assert not left_behind(cache)


def test_refusal_keeps_what_was_stored(tmp_path):
    """A refused re-import leaves the data set in use as it was."""
    before = import_("cifar10", write_tree(tmp_path / "good", tree()))
    with pytest.raises(DatasetError):
        import_("cifar10", write_tree(tmp_path / "bad", {"train/cat/1.png": image_bytes(1)}))
    assert open_("cifar10").checksum == before.checksum


@pytest.fixture(scope="module")
def imported(real_data, tmp_path_factory):
    """A data folder into which the real archive was imported, and what the import said it is."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DLGRADE_DATA", str(folder))
        found = import_("cifar10", real_data / "cifar10-jpeg.tar.xz")
    return folder, found


@pytest.fixture
def real_cifar10(imported, monkeypatch):
    """The real images, opened as any command opens them."""
    monkeypatch.setattr(cifar, "COUNTS", {"train": 50_000, "test": 10_000})
    monkeypatch.setenv("DLGRADE_DATA", str(imported[0]))
    return open_("cifar10")


def test_real_cifar10_jpeg(real_data, imported, real_cifar10):
    """The real archive gives 60,000 balanced 32x32 images as read-only memory maps, titled as JPEG copies."""
    assert imported[1].title == "CIFAR-10 (JPEG)"
    assert real_cifar10.class_names == cifar.CLASSES
    for split, count in cifar.COUNTS.items():
        inputs, labels = real_cifar10.splits[split].inputs, real_cifar10.splits[split].labels
        assert isinstance(inputs, np.memmap)
        assert not inputs.flags.writeable
        assert inputs.shape == (count, 32, 32, 3)
        assert np.bincount(labels).tolist() == [count // 10] * 10
    with tarfile.open(real_data / "cifar10-jpeg.tar.xz") as archive:
        member = next(info for info in archive if info.name == "train/airplane/0000.jpg")
        first = archive.extractfile(member).read()
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(first)))
    train = real_cifar10.splits["train"]
    assert (train.inputs[train.labels == 0] == pixels).all(axis=(1, 2, 3)).any()


def test_the_kits_pretrained_network_knows_real_images(real_cifar10):
    """Its five classes are told apart on test images: 85 % of all of them, when it was trained."""
    test = real_cifar10.splits["test"]
    rows = np.flatnonzero(test.labels < small_resnet.PRETRAINED_CLASSES)[::10]
    with torch.no_grad():
        predicted = small_resnet.pretrained()(normalise(test.inputs[rows])).argmax(1).numpy()
    assert 0.8 < (predicted == test.labels[rows]).mean() < 0.9
