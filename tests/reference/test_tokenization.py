import pytest
import torch

from dlgrade.tiny_bert import tiny_tokenizer
from reference.tokenization import tokenize_batch

TEXTS = ["not good", "the film was very good and not dull", "great"]


def test_batch_is_each_text_padded_to_the_longest():
    """A row is the text's own ids, then padding with mask 0; the width is the longest text's, no more."""
    tokenizer = tiny_tokenizer()
    batch = tokenize_batch(tokenizer, TEXTS)
    alone = [tokenizer(text)["input_ids"] for text in TEXTS]
    longest = max(len(ids) for ids in alone)
    assert set(batch) == {"input_ids", "attention_mask"}
    for ids, mask, expected in zip(batch["input_ids"], batch["attention_mask"], alone, strict=True):
        left = longest - len(expected)
        assert ids.tolist() == expected + [tokenizer.pad_token_id] * left
        assert mask.tolist() == [1] * len(expected) + [0] * left
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_long_texts_are_cut_and_keep_their_end_token():
    """No row is longer than max_length, [CLS] and [SEP] included."""
    tokenizer = tiny_tokenizer()
    batch = tokenize_batch(tokenizer, ["good " * 100, "bad"], max_length=8)
    assert batch["input_ids"].shape == (2, 8)
    assert batch["input_ids"][0, 0] == tokenizer.cls_token_id
    assert batch["input_ids"][0, -1] == tokenizer.sep_token_id
    assert tokenize_batch(tokenizer, ["good " * 100])["input_ids"].shape == (1, 64)


def test_an_empty_text_is_its_special_tokens():
    """'' comes out as [CLS] [SEP], so that there is something to pool."""
    tokenizer = tiny_tokenizer()
    assert tokenize_batch(tokenizer, [""])["attention_mask"].tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("texts", "message"),
    [("one text", r"texts is the single str 'one text', expected a list"), ([], "texts is empty")],
)
def test_what_is_no_list_of_texts_is_refused(texts, message):
    """A lone str would come out as one text per character; no text at all would fail inside the tokenizer."""
    with pytest.raises(ValueError, match=message):
        tokenize_batch(tiny_tokenizer(), texts)
