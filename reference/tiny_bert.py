"""A BERT small enough to build in an instant, with its tokenizer, from nothing but this file.

It is the real architecture with random weights: good for exact checks of what is done with an encoder, of
no use for the meaning of a text.
"""

import string

import torch
from transformers import BertConfig, BertModel, BertTokenizer

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the a this film play is was not very good bad great dull and but"
ENDINGS = ["##s", "##ed", "##ing", "##ly"]


def tiny_tokenizer():
    """Build a WordPiece tokenizer that knows a few words and can spell the rest.

    Returns:
        BertTokenizer, lower-casing. Words it lacks are cut into known pieces and single letters; any text
        of ASCII letters, digits and punctuation comes out without [UNK]. [PAD] is id 0.
    """
    characters = list(string.ascii_lowercase + string.digits + string.punctuation)
    pieces = (
        SPECIAL_TOKENS + WORDS.split() + ENDINGS + characters + [f"##{character}" for character in characters]
    )
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}  # "a" is also a character
    return BertTokenizer(vocab=vocabulary, do_lower_case=True)


def tiny_bert(seed, *, dropout=0.1):
    """Build a BERT encoder with random weights: 2 layers, 32 wide, 4 heads, texts of up to 64 tokens.

    Args:
        seed: int; the same seed gives the same weights. PyTorch's global generator is left as it was.
        dropout: probability, for hidden features and attention weights alike.

    Returns:
        BertModel in eval mode, float32, on the CPU, without a pooler.
    """
    config = BertConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        # BERT's 0.02 is for 768 features; at 32 it leaves attention all but even and hides mistakes in it.
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(config, add_pooling_layer=False).eval()
