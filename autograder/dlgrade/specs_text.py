"""Objects for checks of text models, built by the worker as those of `specs` are.

transformers is imported by the worker that builds a TinyBert or a TinyTokenizer, and by no other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dlgrade import formula
from dlgrade.specs import Spec, Toy


class TinyTokenizer(Spec):
    """A WordPiece tokenizer of a few words and all ASCII characters; [PAD] is 0."""

    SIZE = 160  # every id is below

    def __init__(self) -> None:
        super().__init__()

    @staticmethod
    def build() -> Any:
        from dlgrade.tiny_bert import tiny_tokenizer

        return tiny_tokenizer()


class TinyBert(Spec):
    """A BERT encoder as transformers builds it, with weights from a formula.

    2 layers, 32 wide, 4 heads, texts of up to 64 tokens, with a pooler, in eval mode; its attributes
    `told` and `graph` are the attention mask of its last call and whether gradients were on. Parameters whose
    names begin with one of `frozen` are frozen.
    """

    def __init__(self, seed: int, *, frozen: tuple[str, ...] = ()) -> None:
        super().__init__(seed=seed, frozen=list(frozen))

    @staticmethod
    def build(seed: int, frozen: list[str]) -> nn.Module:
        from dlgrade.tiny_bert import tiny_bert

        model = tiny_bert(seed, pooler=True)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))
        return model


class TextToy(Spec):
    """A classifier of token ids called as `model(input_ids, attention_mask)`: mean embedding, then layers.

    Args:
        vocab: number of token ids.
        width: of an embedding, the input of the first layer.
        layers: as for a Toy; the last one gives the logits.
        seed: which weights; they come from a formula, in float64.
    """

    def __init__(self, vocab: int, width: int, *layers: tuple[Any, ...], seed: int) -> None:
        super().__init__(vocab=vocab, width=width, layers=list(layers), seed=seed)

    @staticmethod
    def build(vocab: int, width: int, layers: list[tuple[Any, ...]], seed: int) -> nn.Module:
        return _Reader(vocab, width, Toy.build(layers, "float64", seed), seed)


class _Reader(nn.Module):
    """Averages the embeddings of a text's tokens, padding left out, and hands the mean to `layers`."""

    def __init__(self, vocab: int, width: int, layers: nn.Module, seed: int) -> None:
        super().__init__()
        drawn = formula.parameter(formula.mix(seed, "text toy"), "embedding.weight", (vocab, width))
        self.embedding = nn.Embedding(vocab, width, _weight=torch.from_numpy(drawn))
        self.layers = layers

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        weights = attention_mask.to(torch.float64).unsqueeze(-1)  # (N, T, 1)
        mean = (self.embedding(input_ids) * weights).sum(1) / weights.sum(1).clamp(min=1)
        logits: torch.Tensor = self.layers(mean)
        return logits


class Schedule(Spec):
    """A learning-rate schedule of `torch.optim.lr_scheduler`.

    Args:
        name: class name there.
        of: the Optim whose rate it sets.
        settings: the schedule's keyword arguments.
    """

    def __init__(self, name: str, *, of: Any, **settings: Any) -> None:
        super().__init__(name=name, of=of, settings=settings)

    @staticmethod
    def build(name: str, of: torch.optim.Optimizer, settings: dict[str, Any]) -> Any:
        return getattr(torch.optim.lr_scheduler, name)(of, **settings)


class PretrainedEncoder(Spec):
    """The encoder in a folder that the worker was granted."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder=folder)

    @staticmethod
    def build(folder: str) -> nn.Module:
        from dlgrade.review_training import load_encoder

        return load_encoder(folder)


class BlankEncoder(Spec):
    """An encoder of a config, given as JSON, whose weights are still to come."""

    def __init__(self, config: str) -> None:
        super().__init__(config=config)

    @staticmethod
    def build(config: str) -> nn.Module:
        from dlgrade.review_training import blank_encoder

        return blank_encoder(config)


class ReviewTrainer(Spec):
    """The kit's own fine-tuning on granted sentences; `epoch()` runs one pass.

    Args:
        of: the model to train, a module handle of the submission.
        encoder: folder of the encoder, for its tokenizer.
        files: paths of the sentences and labels granted to the worker.
        settings: see `review_training.ReviewTrainer`.
    """

    def __init__(self, *, of: Any, encoder: str, files: list[str], **settings: Any) -> None:
        super().__init__(of=of, encoder=encoder, files=files, **settings)

    @staticmethod
    def build(**fields: Any) -> Any:
        from dlgrade.review_training import ReviewTrainer as Trainer

        return Trainer(**fields)
