"""What fine-tuning a pretrained encoder is worth: the bidirectional LSTM trained on the same phrases.

    python -m benchmarks.baseline [--seeds 5] [--epochs 5] [--lr 0.004]

Trains `reference.text_classifier.TextClassifier` from nothing on the 1,500 phrases of SST-2 that the
accuracy check of `bert_finetune` trains on, with the same trainer and the encoder's vocabulary, and prints
its accuracy on the held-out sentences for each seed, beside the calibrated mean of the fine-tuned encoder
where there is one. SST-2 and an encoder have to be imported.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
from torch import nn

from dlgrade import datasets
from dlgrade.calibration_source import data_in_use
from dlgrade.review_training import ReviewTrainer, padded, tokenized
from reference.text_classifier import TextClassifier

PHRASES = 1500
BATCH = 64
CALIBRATION = Path(__file__).parents[1] / "solutions" / "bert_finetune" / "calibration.json"


class WithoutMask(nn.Module):
    """The baseline under the encoder's signature; it finds the padding by itself."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.baseline = TextClassifier(vocabulary, 64, 64, 2)

    def forward(self, ids: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
        """(N, T) ids -> (N, 2) logits."""
        return self.baseline(ids)


def accuracy(seed: int, epochs: int, lr: float) -> float:
    """Share of held-out sentences that the baseline of this seed gets right."""
    splits, encoder = datasets.open_("sst2").splits, str(datasets.open_("bert").folder)
    torch.manual_seed(seed)
    model = WithoutMask(json.loads((Path(encoder) / "config.json").read_text())["vocab_size"])
    trainer = ReviewTrainer(
        of=model,
        encoder=encoder,
        files=[str(file) for file in (*splits["train"].input_files, *splits["train"].label_files)],
        limit=PHRASES,
        epochs=epochs,
        batch_size=16,
        max_lr=lr,
        seed=seed,
    )
    for _ in range(epochs):
        trainer.epoch()
    model.eval()
    sentences = tokenized(encoder, [str(text) for text in splits["test"].inputs])
    labels = torch.tensor(splits["test"].labels)
    right = 0
    with torch.no_grad():
        for start in range(0, len(sentences), BATCH):
            logits = model(*padded(sentences[start : start + BATCH]))
            right += int((logits.argmax(1) == labels[start : start + BATCH]).sum())
    return right / len(sentences)


def finetuned() -> float | None:
    """The calibrated mean of the full answer on the data and encoder in use."""
    if not CALIBRATION.is_file():
        return None
    thresholds = json.loads(CALIBRATION.read_text())["thresholds"]["finetuned_bert_classifies_reviews"]
    mean = thresholds.get(data_in_use("sst2+bert").title, {}).get("mean")
    return None if mean is None else float(mean)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.004)
    options = parser.parse_args()
    found = []
    for seed in range(options.seeds):
        found.append(accuracy(seed, options.epochs, options.lr))
        print(f"seed {seed}: {found[-1]:.1%}", flush=True)
    mean, spread = statistics.fmean(found), statistics.stdev(found) if len(found) > 1 else 0.0
    print(f"baseline: {mean:.1%}, sd {spread:.1%}, {len(found)} seeds")
    if (best := finetuned()) is not None:
        print(f"fine-tuned encoder: {best:.1%}, {100 * (best - mean):.1f} points more")


if __name__ == "__main__":
    main()
