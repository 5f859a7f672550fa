"""A BERT small enough to build in an instant, with its tokenizer, from nothing but this file.

It is the real architecture with weights from a formula: good for exact checks of what is done with an
encoder, of no use for the meaning of a text.
"""

from __future__ import annotations

import string
from typing import Any, Final

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from dlgrade import formula

SPECIAL_TOKENS: Final = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS: Final = "the a this film play is was not very good bad great dull and but"
ENDINGS: Final = ["##s", "##ed", "##ing", "##ly"]
LONGEST: Final = 64  # tokens of a text that the encoder has positions for


def tiny_tokenizer() -> BertTokenizer:
    """Build a WordPiece tokenizer that knows a few words and can spell the rest.

    Words it lacks are cut into known pieces and single letters; any text of ASCII letters, digits and
    punctuation comes out without [UNK]. It lower-cases, and [PAD] is id 0.
    """
    characters = list(string.ascii_lowercase + string.digits + string.punctuation)
    pieces = (
        SPECIAL_TOKENS + WORDS.split() + ENDINGS + characters + [f"##{character}" for character in characters]
    )
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}  # "a" is also a character
    return BertTokenizer(vocab=vocabulary, do_lower_case=True)


class TinyBert(BertModel):
    """A BertModel that remembers how it was called last, so that a check can say what went wrong.

    told: the attention mask it was given, None if it got none.
    graph: whether gradients were on.
    """

    told: torch.Tensor | None = None
    graph: bool = False

    def forward(self, input_ids: Any = None, attention_mask: Any = None, *args: Any, **kwargs: Any) -> Any:
        """BertModel's own forward."""
        self.graph = torch.is_grad_enabled()
        self.told = None if attention_mask is None else attention_mask.detach().clone()
        return super().forward(input_ids, attention_mask, *args, **kwargs)


def tiny_bert(seed: int, *, dropout: float = 0.1, pooler: bool = False) -> TinyBert:
    """Build a BERT encoder with weights from a formula: 2 layers, 32 wide, 4 heads, texts of up to 64 tokens.

    Args:
        seed: the same seed gives the same weights on every machine.
        dropout: probability, for hidden features and attention weights alike.
        pooler: with BERT's own pooling layer, as AutoModel loads it.

    Returns:
        The encoder in eval mode, float32, on the CPU.
    """
    config = BertConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=LONGEST,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng(devices=[]):  # its own initial values are drawn, and replaced
        model = TinyBert(config, add_pooling_layer=pooler)
    with torch.no_grad():
        for name, value in model.named_parameters():
            drawn = formula.parameter(formula.mix(seed, "tiny bert"), name, tuple(value.shape))
            value.copy_(torch.from_numpy(drawn))
    model.train(False)
    return model
