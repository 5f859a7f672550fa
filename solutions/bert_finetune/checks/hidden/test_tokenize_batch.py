"""tokenize_batch with what is easily passed to it by accident."""

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.specs_text import TinyTokenizer


@check(
    part="tokenize_batch",
    points=1,
    kind="property",
    needs=("tokenize_batch_pads_to_the_longest_text",),
    help="A str is a sequence of letters, and an empty list has no longest text: raise ValueError for both.",
)
def tokenize_batch_refuses_what_is_no_list_of_texts(submission, oracle):
    """a single str and an empty list are a ValueError, a list of one text is not"""
    tokenizer = TinyTokenizer()
    for texts, what in (("good", "a single str"), ([], "an empty list")):
        compare.raises(
            "ValueError",
            lambda texts=texts: submission.tokenize_batch(tokenizer, texts),
            what=f"tokenize_batch of {what}",
        )
    batch = submission.tokenize_batch(tokenizer, ["good"])
    expected = oracle.tokenize_batch(tokenizer, ["good"])["input_ids"]
    compare.require(isinstance(batch, dict), "tokenize_batch does not return a dict")
    compare.close(batch.get("input_ids"), expected, what="'input_ids' of a list of one text")
