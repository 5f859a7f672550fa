"""Compare a CNN and a Transformer on images.

Build a vision transformer from its attention up, reuse a pretrained network, and measure both side
by side.

Replace each `raise NotImplementedError` with your code; lines marked `# given` can stay. `dlgrade
check` says how far you are.
"""

import math
import time

import torch
import torch.nn.functional as F
from torch import nn


def train_one_epoch(model, loader, optimizer, device) -> float:
    """Train a classifier on every batch of a loader once, in the loader's order.

    The loss is the cross-entropy of the model's logits. The model is in train mode.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits, on `device`.
        loader: iterable of (inputs (N, ...), labels (N,)) on any device; N may differ per batch.
        optimizer: optimizer over the model's parameters; one step per batch.
        device: where the computation runs, such as "cpu" or "cuda".

    Returns:
        Mean loss per example in nats: every example counts the same, whatever its batch's size.
        Each example's loss is the one from before its batch's step.
    """
    model.train()
    total_loss, examples = 0.0, 0
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # Summed on the device: calling item() in each step would make a GPU wait for the CPU.
        total_loss += loss.detach() * len(labels)
        examples += len(labels)
    return float(total_loss) / examples


def evaluate(model, loader, device) -> float:
    """Measure a classifier's accuracy, in eval mode and without gradients.

    Args:
        model: module, inputs (N, ...) -> (N, K) logits, on `device`.
        loader: iterable of (inputs (N, ...), labels (N,)) on any device; N may differ per batch.
        device: where the computation runs.

    Returns:
        Correct predictions / examples seen, 0..1. The examples are counted from the batches, since
        a loader may drop, repeat or sample some of its dataset's.
    """
    model.eval()
    correct, examples = 0, 0
    with torch.no_grad():
        for inputs, labels in loader:
            inputs, labels = inputs.to(device), labels.to(device)
            correct += (model(inputs).argmax(dim=1) == labels).sum()
            examples += len(labels)
    return int(correct) / examples


def keep_backbone_in_eval(model, _inputs):
    """Before each forward pass, put everything but `fc` into eval mode; `fc` follows the model.

    `requires_grad_(False)` does not stop batch norm: in train mode it would go on normalising by the
    batch at hand and moving its running statistics towards the new images, and a backbone that moves is
    not frozen.

    Args:
        model: ResNet with `fc`.
        _inputs: the forward pass's inputs; not looked at.
    """
    for name, child in model.named_children():
        child.train(model.training and name == "fc")


class SelfAttention(nn.Module):
    """Every token looks at every token of its sequence and takes a weighted mean of their values.

    Head i works on features i * head_dim to (i + 1) * head_dim - 1 of queries, keys and values; its
    weights are softmax(Q K^T / sqrt(head_dim)) over the keys. The heads' results stand side by side in
    that order and are projected by `fc_out`. Layers: `queries`, `keys`, `values`, `fc_out`, each Linear
    E -> E.

    Args:
        embed_size: width of a token, E.
        heads: number of heads, a divisor of E; head_dim is E / heads.

    Raises:
        ValueError: heads does not divide embed_size.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """

    def __init__(self, embed_size, heads):
        super().__init__()  # given
        raise NotImplementedError("SelfAttention.__init__")

    def forward(self, x, mask=None):
        """Attend within each sequence.

        Args:
            x: (N, T, E).
            mask: bool, (T, T), (N, T, T) or, for padding, (N, 1, T): True where the query (second to last
                dimension) may look at the key (last). None lets every token look at every token. A query
                that may look at nothing takes zeros to `fc_out`.

        Returns:
            (N, T, E).
        """
        raise NotImplementedError("SelfAttention.forward")


class TransformerBlock(nn.Module):
    """y = dropout(norm1(attention(x) + x)), then dropout(norm2(feed_forward(y) + y)).

    Layers: `attention`, `norm1`, `norm2`, `feed_forward`, `dropout`. The feed-forward part is
    E -> forward_expansion * E, ReLU, -> E, the same for each token.

    Args:
        embed_size: width of a token, E.
        heads: number of attention heads, a divisor of E.
        dropout: probability of dropping a feature, 0..1.
        forward_expansion: how many times wider than E the feed-forward part is inside.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.1; there the dropout stands before the
    residual sum.
    """

    def __init__(self, embed_size, heads, dropout, forward_expansion):
        super().__init__()  # given
        raise NotImplementedError("TransformerBlock.__init__")

    def forward(self, x, mask=None):
        """Transform each token by what it sees of the others.

        Args:
            x: (N, T, E).
            mask: as for SelfAttention.forward.

        Returns:
            (N, T, E).
        """
        raise NotImplementedError("TransformerBlock.forward")


class PatchEmbedding(nn.Module):
    """Cut an image into square patches that do not overlap and project each to a token.

    Patches are numbered row by row, left to right. Inside a patch the values are ordered channel, row,
    column.
    Layer: `projection`, Linear C * patch_size^2 -> E. Attribute: `count`, the number of patches.

    Args:
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, in pixels; a divisor of image_size.
        in_channels: C.
        embed_size: width of a token, E.

    Raises:
        ValueError: patch_size does not divide image_size.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.
    """

    def __init__(self, image_size, patch_size, in_channels, embed_size):
        super().__init__()  # given
        raise NotImplementedError("PatchEmbedding.__init__")

    def forward(self, x):
        """Turn images into tokens.

        Args:
            x: (N, C, H, W), H = W = image_size.

        Returns:
            (N, patches, E), patches in row-major order.

        Raises:
            ValueError: the images are not image_size high and wide.
        """
        raise NotImplementedError("PatchEmbedding.forward")


class ViT(nn.Module):
    """Patches to tokens, learned positions, transformer blocks, mean over the tokens, linear layer.

    Unlike the paper's, its blocks are post-norm as in the rest of this course, and the class is read from
    the mean token instead of a class token (Beyer et al. 2022, arXiv:2205.01580, found the mean the
    better of the two).
    Layers: `patches`, `positions` (1, patches, E), `blocks`, `head`.

    Args:
        num_classes: K.
        image_size: height and width of the images, in pixels.
        patch_size: height and width of a patch, a divisor of image_size.
        embed_size: width of a token, E.
        depth: number of blocks.
        heads: attention heads per block, a divisor of E.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929.
    """

    def __init__(self, num_classes=10, image_size=32, patch_size=4, embed_size=64, depth=4, heads=4):
        super().__init__()  # given
        raise NotImplementedError("ViT.__init__")

    def forward(self, x):
        """Classify a batch of images.

        Args:
            x: (N, 3, H, W), H = W = image_size.

        Returns:
            (N, K) logits, no softmax.
        """
        raise NotImplementedError("ViT.forward")


def build_transfer_model(num_classes, backbone):
    """Freeze a pretrained network and give it a new head.

    Nothing of the backbone moves in training: its parameters get no gradient, and its batch-norm
    statistics stay those it was pretrained with, in train mode too.

    Args:
        num_classes: K, the number of classes of the new task.
        backbone: ResNet whose last layer is the Linear `fc`; changed in place.

    Returns:
        the backbone, frozen but for `fc`, a new Linear (features, K) on the device and in the dtype of
        the old one.

    Raises:
        ValueError: the backbone has no Linear `fc`.

    Source: Yosinski et al. 2014, arXiv:1411.1792.
    """
    raise NotImplementedError("build_transfer_model")


def count_parameters(model, trainable_only=False):
    """Count a model's parameters, each number in each tensor as one.

    Args:
        model: nn.Module; a parameter that several of its layers share counts once. Buffers, such as the
            running statistics of batch norm, are not parameters.
        trainable_only: leave frozen parameters out.

    Returns:
        int.
    """
    raise NotImplementedError("count_parameters")


def compare(models, train_loader, test_loader, *, epochs, lr, device="cpu"):
    """Train each model with Adam on the same loader, then test it.

    Args:
        models: dict of name to model, called as `model(images)`, returns (N, K) logits; each is trained
            in place, its frozen parameters excepted, in the dict's order.
        train_loader: iterable of (images, labels) batches, walked once per epoch and model.
        test_loader: iterable of (images, labels) batches.
        epochs: passes over train_loader per model, at least 1.
        lr: Adam's learning rate.
        device: where the models are moved to, trained and tested.

    Returns:
        list of one dict per model, in the order of models: `name`, `accuracy` on test_loader (fraction
        in 0..1), `parameters` (all of them, frozen too), `seconds_per_epoch` (mean time of a training
        epoch, loading included) and `images_per_second` (of the test, loading included). The two timings
        are this machine's, of this run.

    Raises:
        ValueError: epochs is below 1.
    """
    raise NotImplementedError("compare")
