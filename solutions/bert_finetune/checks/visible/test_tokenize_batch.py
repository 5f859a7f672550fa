"""What tokenize_batch must return, for a tokenizer that knows a few words and spells the rest."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.specs_text import TinyTokenizer

LISTS = (
    ["the film was not very good", "bad", "great , but dull !"],
    ["a play"],
    ["Zap", "THE FILM IS GREAT", "it's ok", "dull and bad and dull"],
)
TWICE = ["bad", "not very good", "bad"]


def entries(batch):
    """The two tensors of a batch; more entries do no harm."""
    compare.require(isinstance(batch, dict), "tokenize_batch does not return a dict")
    for key in ("input_ids", "attention_mask"):
        compare.require(key in batch, f"the dict that tokenize_batch returns has no '{key}'")
    ids = compare.tensor(batch["input_ids"], what="'input_ids'")
    mask = compare.tensor(batch["attention_mask"], what="'attention_mask'")
    compare.require(ids.dim() == 2, f"'input_ids' has shape {tuple(ids.shape)}, expected (N, T)")
    compare.require(not ids.is_floating_point() and ids.dtype != torch.bool, "'input_ids' are no integers")
    compare.tensor(mask, what="'attention_mask'", shape=tuple(ids.shape))
    return ids.long(), mask.double()


@check(
    part="tokenize_batch",
    points=1,
    kind="shape",
    help="Padding is wasted work: a batch is as wide as its longest text, whatever max_length is.",
)
def tokenize_batch_pads_to_the_longest_text(submission, oracle):
    """both tensors are (N, T), T being the length of the longest text of the batch"""
    tokenizer = TinyTokenizer()
    for texts in LISTS:
        ids, _ = entries(submission.tokenize_batch(tokenizer, texts))
        expected = oracle.tokenize_batch(tokenizer, texts)["input_ids"]
        observe("shape of the ids", torch.tensor(ids.shape).double())
        compare.require(
            ids.shape == expected.shape,
            f"'input_ids' has shape {tuple(ids.shape)}, expected {tuple(expected.shape)}",
        )


@check(
    part="tokenize_batch",
    points=2,
    kind="value",
    needs=("tokenize_batch_pads_to_the_longest_text",),
    help="The tokenizer gives ids and mask together. Print both for two texts of different length.",
)
def tokenize_batch_gives_ids_and_mask(submission, oracle):
    """ids are the tokenizer's, the mask is 1 for tokens and 0 for padding, whatever id the padding has"""
    tokenizer = TinyTokenizer()
    for texts in (*LISTS, TWICE):
        ids, mask = entries(submission.tokenize_batch(tokenizer, texts))
        expected = oracle.tokenize_batch(tokenizer, texts)
        observe("the mask", mask)
        compare.close(ids, expected["input_ids"], what="'input_ids'")
        compare.close(mask, expected["attention_mask"].double(), what="'attention_mask'")
    for side in (submission, oracle):
        side.method(tokenizer, "add_special_tokens", {"pad_token": "[MASK]"})  # and id 0 is a token
    texts = [*LISTS[0], "good [PAD] bad"]
    ids, mask = entries(submission.tokenize_batch(tokenizer, texts))
    expected = oracle.tokenize_batch(tokenizer, texts)
    real = expected["attention_mask"]
    compare.close(mask, real.double(), what="'attention_mask' of a tokenizer whose padding is not id 0")
    compare.close(ids * real, expected["input_ids"] * real, what="'input_ids' of that tokenizer's tokens")


@check(
    part="tokenize_batch",
    points=2,
    kind="value",
    needs=("tokenize_batch_pads_to_the_longest_text",),
    help="The tokenizer's own truncation keeps [CLS] and [SEP]; max_length counts them too.",
)
def tokenize_batch_cuts_at_max_length(submission, oracle):
    """longer texts are cut to max_length tokens, special ones included, 64 by default"""
    tokenizer = TinyTokenizer()
    texts = ["the film was great and " * 15, "not very good"]
    for options in ({"max_length": 8}, {"max_length": 5}, {}):
        ids, mask = entries(submission.tokenize_batch(tokenizer, texts, **options))
        expected = oracle.tokenize_batch(tokenizer, texts, **options)
        what = f"with max_length {options.get('max_length', '64 by default')}"
        compare.close(ids, expected["input_ids"], what=f"'input_ids' {what}")
        compare.close(mask, expected["attention_mask"].double(), what=f"'attention_mask' {what}")
