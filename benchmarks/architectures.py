"""A CNN, a vision transformer and a transferred network side by side: same images, same number of passes.

    python -m benchmarks.architectures [--seeds 5] [--images 5000] [--epochs 5] [--lr 0.002] [--plot FILE]

Runs `reference.comparison.compare` over the last five classes of CIFAR-10, once for each seed, and prints
mean and standard deviation of each figure. The transferred network was pretrained by the kit on the first
five classes; the other two start from nothing. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch

from dlgrade import datasets, small_resnet
from dlgrade.training import normalise, rows_of
from reference.cifar10_cnn import Cifar10CNN
from reference.comparison import compare
from reference.transfer import build_transfer_model
from reference.vit import ViT

NEW = (5, 10)  # classes that the pretrained network has not seen
BATCH = 64
FIGURES = ("accuracy", "parameters", "seconds_per_epoch", "images_per_second")


def models():
    """New ones, by the names they are shown under."""
    transferred = build_transfer_model(NEW[1] - NEW[0], small_resnet.pretrained())
    return {"CNN": Cifar10CNN(5), "ViT": ViT(5), "transfer": transferred}


def loader(split, count=None):
    """Batches of the first images of the new classes, numbered from 0."""
    labels = np.asarray(split.labels)
    rows = rows_of(labels, NEW)[:count]
    pairs = torch.utils.data.TensorDataset(
        normalise(split.inputs[rows]), torch.from_numpy(labels[rows] - NEW[0])
    )
    return torch.utils.data.DataLoader(pairs, BATCH)


def measure(train, test, *, seeds, epochs, lr):
    """Figures of each model, one of each kind for each seed."""
    found = {name: {figure: [] for figure in FIGURES} for name in models()}
    for seed in range(seeds):
        torch.manual_seed(seed)
        for row in compare(models(), train, test, epochs=epochs, lr=lr):
            for figure in FIGURES:
                found[row["name"]][figure].append(row[figure])
            print(f"seed {seed}: {row['name']} {row['accuracy']:.1%}", flush=True)
    return found


def told(found):
    """The table, a line for each model."""
    yield f"{'':10}{'accuracy':>16}{'parameters':>13}{'s / epoch':>12}{'images / s':>13}"
    for name, figures in found.items():
        mean = {figure: statistics.fmean(values) for figure, values in figures.items()}
        spread = statistics.stdev(figures["accuracy"]) if len(figures["accuracy"]) > 1 else 0.0
        yield (
            f"{name:10}{100 * mean['accuracy']:>9.1f} ± {100 * spread:.1f} %{mean['parameters']:>13,.0f}"
            f"{mean['seconds_per_epoch']:>12.1f}{mean['images_per_second']:>13,.0f}"
        )


def draw(found, title, file):
    """Accuracy over the time of an epoch, a dot for each seed."""
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "architectures"})
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for (name, figures), marker in zip(found.items(), "os^", strict=True):
        count = statistics.fmean(figures["parameters"])
        axes.scatter(
            figures["seconds_per_epoch"],
            [100 * accuracy for accuracy in figures["accuracy"]],
            marker=marker,
            label=f"{name}, {count:,.0f} parameters",
        )
    axes.set(title=title, xlabel="seconds an epoch", ylabel="accuracy on new images, %")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.002)
    parser.add_argument("--plot", type=Path, help="an SVG file to write")
    options = parser.parse_args()
    dataset = datasets.open_("cifar10")
    train, test = loader(dataset.splits["train"], options.images), loader(dataset.splits["test"])
    found = measure(train, test, seeds=options.seeds, epochs=options.epochs, lr=options.lr)
    what = f"{dataset.title}: five classes, {options.images:,} images, {options.epochs} epochs"
    print(what, *told(found), sep="\n")
    if options.plot is not None:
        draw(found, what, options.plot)
        print(f"plot in {options.plot}")


if __name__ == "__main__":
    main()
