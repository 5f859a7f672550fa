"""Compare a CNN and a Transformer on images: the full answer. Generated: edit the files it is cut from."""

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
        super().__init__()
        if heads < 1 or embed_size % heads:
            raise ValueError(
                f"embed_size {embed_size} cannot be split into {heads} heads of equal width, "
                "expected a number of heads that divides it"
            )
        self.heads = heads
        self.head_dim = embed_size // heads
        self.queries = nn.Linear(embed_size, embed_size)
        self.keys = nn.Linear(embed_size, embed_size)
        self.values = nn.Linear(embed_size, embed_size)
        self.fc_out = nn.Linear(embed_size, embed_size)

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
        N, T, E = x.shape
        split = (N, T, self.heads, self.head_dim)
        q = self.queries(x).reshape(split).transpose(1, 2)  # (N, heads, T, head_dim)
        k = self.keys(x).reshape(split).transpose(1, 2)  # (N, heads, T, head_dim)
        v = self.values(x).reshape(split).transpose(1, 2)  # (N, heads, T, head_dim)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)  # (N, heads, T, T)
        if mask is not None:
            hidden = ~mask.unsqueeze(-3)  # the same for all heads
            # The second fill is for a query with no key left, whose softmax is 0 / 0.
            weights = scores.masked_fill(hidden, -math.inf).softmax(dim=-1).masked_fill(hidden, 0)
        else:
            weights = scores.softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(N, T, E)  # (N, heads, T, head_dim) -> (N, T, E)
        return self.fc_out(mixed)


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
        super().__init__()
        self.attention = SelfAttention(embed_size, heads)
        self.norm1 = nn.LayerNorm(embed_size)
        self.norm2 = nn.LayerNorm(embed_size)
        self.feed_forward = nn.Sequential(
            nn.Linear(embed_size, forward_expansion * embed_size),
            nn.ReLU(),
            nn.Linear(forward_expansion * embed_size, embed_size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, mask=None):
        """Transform each token by what it sees of the others.

        Args:
            x: (N, T, E).
            mask: as for SelfAttention.forward.

        Returns:
            (N, T, E).
        """
        _N, _T, _E = x.shape
        x = self.dropout(self.norm1(self.attention(x, mask) + x))
        return self.dropout(self.norm2(self.feed_forward(x) + x))


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
        super().__init__()
        if patch_size < 1 or image_size % patch_size:
            raise ValueError(
                f"image_size {image_size} cannot be cut into patches of {patch_size} pixels, "
                "expected a patch_size that divides it"
            )
        self.image_size = image_size
        self.patch_size = patch_size
        self.count = (image_size // patch_size) ** 2
        self.projection = nn.Linear(in_channels * patch_size**2, embed_size)

    def forward(self, x):
        """Turn images into tokens.

        Args:
            x: (N, C, H, W), H = W = image_size.

        Returns:
            (N, patches, E), patches in row-major order.

        Raises:
            ValueError: the images are not image_size high and wide.
        """
        N, C, H, W = x.shape
        if (self.image_size, self.image_size) != (H, W):
            raise ValueError(f"images are {H} x {W}, expected {self.image_size} x {self.image_size}")
        side, p = self.image_size // self.patch_size, self.patch_size
        x = x.reshape(N, C, side, p, side, p)  # H and W each as (which patch, where in it)
        x = x.permute(0, 2, 4, 1, 3, 5)  # (N, side, side, C, p, p)
        return self.projection(x.reshape(N, side * side, C * p * p))  # (N, patches, E)


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
        super().__init__()
        self.patches = PatchEmbedding(image_size, patch_size, 3, embed_size)
        # Attention alone cannot tell one order of the patches from another: these tell it where each one was.
        self.positions = nn.Parameter(0.02 * torch.randn(1, self.patches.count, embed_size))
        self.blocks = nn.ModuleList(
            TransformerBlock(embed_size, heads, dropout=0.1, forward_expansion=4) for _ in range(depth)
        )
        self.head = nn.Linear(embed_size, num_classes)

    def forward(self, x):
        """Classify a batch of images.

        Args:
            x: (N, 3, H, W), H = W = image_size.

        Returns:
            (N, K) logits, no softmax.
        """
        _N, _C, _H, _W = x.shape
        tokens = self.patches(x) + self.positions  # (N, patches, E)
        for block in self.blocks:
            tokens = block(tokens)  # (N, patches, E)
        return self.head(tokens.mean(dim=1))  # (N, E) -> (N, K)


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
    old = getattr(backbone, "fc", None)
    if not isinstance(old, nn.Linear):
        name = type(backbone).__name__
        raise ValueError(f"{name}.fc is {type(old).__name__}, expected the Linear layer to replace")
    backbone.requires_grad_(False)
    backbone.fc = nn.Linear(old.in_features, num_classes, device=old.weight.device, dtype=old.weight.dtype)
    backbone.register_forward_pre_hook(keep_backbone_in_eval)
    return backbone


def count_parameters(model, trainable_only=False):
    """Count a model's parameters, each number in each tensor as one.

    Args:
        model: nn.Module; a parameter that several of its layers share counts once. Buffers, such as the
            running statistics of batch norm, are not parameters.
        trainable_only: leave frozen parameters out.

    Returns:
        int.
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


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
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, expected at least 1")
    test_images = sum(len(labels) for _, labels in test_loader)
    rows = []
    for name, model in models.items():
        model.to(device)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr)
        started = time.perf_counter()
        for _ in range(epochs):
            train_one_epoch(model, train_loader, optimizer, device)
        trained = time.perf_counter()
        accuracy = evaluate(model, test_loader, device)
        tested = time.perf_counter()
        rows.append(
            {
                "name": name,
                "accuracy": accuracy,
                "parameters": count_parameters(model),
                "seconds_per_epoch": (trained - started) / epochs,
                "images_per_second": test_images / (tested - trained),
            }
        )
    return rows
