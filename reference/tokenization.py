"""Texts to a batch of token ids and the mask that says which of them are real."""


def tokenize_batch(tokenizer, texts, max_length=64):
    """Tokenize texts into one rectangular batch.

    Args:
        tokenizer: a transformers tokenizer, as AutoTokenizer.from_pretrained returns it.
        texts: list of N str, at least one.
        max_length: most tokens of a text, special tokens such as [CLS] and [SEP] included; longer texts
            are cut.

    Returns:
        dict of `input_ids` and `attention_mask`, LongTensors (N, T): T is the length of the longest text
        after cutting, the mask is 1 for a text's tokens and 0 for padding.

    Raises:
        ValueError: texts is a single str, or empty.
    """
    if isinstance(texts, str):
        raise ValueError(f"texts is the single str {texts[:20]!r}, expected a list: pass [text] instead")
    if not texts:
        raise ValueError("texts is empty, expected at least one text")
    batch = tokenizer(
        list(texts), padding="longest", truncation=True, max_length=max_length, return_tensors="pt"
    )
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
