"""Time to threshold of cifar10_cnn's accuracy check: the kit's fast training beside the plain one.

    python benchmarks/training.py [--threshold 0.9] [--limit N] [--device cpu|cuda] [--threads 1]

Both train the full answer with the check's recipe at one seed, on the data in use or its stand-in. After
each epoch held-out images are predicted, outside of the clock. Printed are seconds of wall clock and of
processor time until the threshold was reached, and the ratio. On a busy machine only the ratio of the
processor times says something. For comparison: the fastest published recipe reaches 94 % on all of CIFAR-10
in 3.29 s of an NVIDIA A100 (Jordan 2024, arXiv:2404.00498), with a network made for that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dlgrade.contest import OpenData, open_data
from dlgrade.plain_training import PlainImageTrainer
from dlgrade.training import ImageTrainer, normalise
from reference.cifar10_cnn import Cifar10CNN

HELD_OUT = 2000
BATCH = 500


def accuracy(model: torch.nn.Module, data: OpenData, device: str) -> float:
    """Share of the first held-out images that are recognised."""
    labels = torch.tensor(data.labels[:HELD_OUT])
    model.eval()
    with torch.no_grad():
        found = [
            model(normalise(data.inputs[i : i + BATCH]).to(device)).argmax(1).cpu()
            for i in range(0, len(labels), BATCH)
        ]
    return float((torch.cat(found) == labels).float().mean())


def until(kind: type, data: OpenData, options: argparse.Namespace) -> tuple[float, float, int, float]:
    """Wall and processor seconds until the threshold, epochs, and what was reached."""
    torch.manual_seed(options.seed)
    model = Cifar10CNN(10)
    recipe = {"epochs": options.epochs, "batch_size": options.batch_size, "max_lr": 0.01}
    training = kind(
        of=model,
        inputs=data.granted[0],
        labels=data.granted[1],
        limit=options.limit,
        seed=options.seed,
        device=options.device,
        **recipe,
    )
    wall = cpu = reached = 0.0
    epochs = 0
    while reached < options.threshold and epochs < options.epochs:
        start, used = time.perf_counter(), time.process_time()
        training.epoch()  # its mean loss is read from the device, so it has ended when this returns
        wall, cpu = wall + time.perf_counter() - start, cpu + time.process_time() - used
        reached = accuracy(model, data, options.device)
        epochs += 1
    return wall, cpu, epochs, reached


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        data = open_data("cifar10", Path(folder), seed=options.seed)
        name = (
            torch.cuda.get_device_name() if options.device == "cuda" else f"{options.threads} CPU thread(s)"
        )
        print(f"{data.title}, {options.limit} images, threshold {options.threshold:.1%}, {name}")
        found = {}
        for label, kind in (("plain", PlainImageTrainer), ("fast", ImageTrainer)):
            wall, cpu, epochs, reached = found[label] = until(kind, data, options)
            print(f"{label:>6}: {reached:.1%} after {epochs} epochs, {wall:.1f} s, {cpu:.1f} s of processor")
    ratios = [found["plain"][i] / found["fast"][i] for i in (0, 1)]
    print(f"plain / fast: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} in processor time")


if __name__ == "__main__":
    main()
