"""How the kit's small residual network was pretrained: on one half of the classes, for transfer to the other.

`python -m reference.pretraining` trains it again on the CIFAR-10 that was imported and writes its weights.
"""

import numpy as np
import torch

from dlgrade import datasets, small_resnet
from dlgrade.small_resnet import PRETRAINED_CLASSES, PRETRAINED_WIDTH, SmallResNet
from dlgrade.training import ImageTrainer, normalise

EPOCHS = 20
RECIPE = {"limit": 50_000, "batch_size": 128, "max_lr": 0.01, "seed": 0}


def pretrain(train, folder, *, epochs=EPOCHS):
    """Train a network to tell the first five classes apart.

    Args:
        train: a split of CIFAR-10, images (N, 32, 32, 3) in bytes with their labels.
        folder: where a split that was generated may be written.
        epochs: passes over the 25,000 images of these classes.

    Returns:
        the network, in eval mode.
    """
    torch.manual_seed(0)
    files = train.materialize(folder)
    model = SmallResNet(PRETRAINED_CLASSES, PRETRAINED_WIDTH)
    trainer = ImageTrainer(
        of=model,
        inputs=files.input_files[0],
        labels=files.label_files[0],
        classes=(0, PRETRAINED_CLASSES),
        epochs=epochs,
        **RECIPE,
    )
    for epoch in range(epochs):
        print(f"epoch {epoch + 1} of {epochs}: mean loss {trainer.epoch():.3f}", flush=True)
    return model.eval()


def accuracy(model, test):
    """Share of a split's images of the first five classes that are told apart."""
    rows = np.flatnonzero(np.asarray(test.labels) < PRETRAINED_CLASSES)
    with torch.no_grad():
        logits = torch.cat([model(normalise(test.inputs[chunk])) for chunk in np.array_split(rows, 10)])
    return float((logits.argmax(1).numpy() == np.asarray(test.labels)[rows]).mean())


def main():
    import tempfile
    from pathlib import Path

    splits = datasets.open_("cifar10").splits
    with tempfile.TemporaryDirectory() as folder:
        model = pretrain(splits["train"], Path(folder))
    small_resnet.save(model)
    found = accuracy(small_resnet.pretrained(), splits["test"])
    print(f"{found:.1%} of the test images of five classes; weights in {small_resnet.WEIGHTS}")


if __name__ == "__main__":
    main()
