"""CharVocab with several unknown characters, with ids in a list, and where nothing can be done."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import StudentRaised


@check(
    part="CharVocab",
    points=1,
    kind="property",
    needs=("vocab_refuses_an_unknown_character",),
    help="Collect every unknown character before you raise, so that one message names them all.",
)
def vocab_names_every_unknown_character(submission, oracle):
    """the error names each of several unknown characters"""
    vocab = submission.build("CharVocab", "xyz")
    text, strange = "x§yΩzж", ("§", "Ω", "ж")
    ids = compare.tensor(submission.method(vocab, "encode", "zyx"), what="encode('zyx')", shape=(3,))
    compare.require(len(set(ids.tolist())) == 3, "three characters do not get three ids")
    message = ""
    try:
        submission.method(vocab, "encode", text)
    except StudentRaised as error:
        message = error.message
    named = torch.tensor([float(character in message) for character in strange])
    observe("unknown characters that are named", named)
    compare.require(bool(named.all()), "not every unknown character is named in one error")


@check(
    part="CharVocab",
    points=1,
    kind="value",
    needs=("vocab_decodes_what_it_encodes",),
    help="decode may be given a list of numbers as well as a tensor.",
)
def vocab_decodes_a_list_of_numbers(submission, oracle):
    """decode takes a list of ints like a tensor of them"""
    vocab = submission.build("CharVocab", "monkey\n")
    for text in ("money", "\nkey", "moon"):
        ids = submission.method(vocab, "encode", text)
        ids = compare.tensor(ids, what="encode(text)", shape=(len(text),), dtype=torch.int64)
        found = submission.method(vocab, "decode", ids.tolist())
        compare.same(found, text, what="decode of a list")


@check(
    part="CharVocab",
    points=1,
    kind="property",
    needs=("vocab_decodes_what_it_encodes", "vocab_refuses_an_unknown_character"),
    help="Raise ValueError for an empty text, an unknown character and an id outside 0..V-1, even -1.",
)
def vocab_raises_a_value_error(submission, oracle):
    """an empty text, unknown characters and ids outside 0..V-1 are ValueErrors; no text is no ids"""
    vocab = submission.build("CharVocab", "abc")
    ids = compare.tensor(submission.method(vocab, "encode", "abc"), what="encode('abc')", shape=(3,))
    observe("are ids integers of 64 bits", torch.tensor(float(ids.dtype == torch.int64)))
    compare.raises("ValueError", lambda: submission.method(vocab, "encode", "abd"), what="encode('abd')")
    for number in (3, -1):
        compare.raises(
            "ValueError",
            lambda n=number: submission.method(vocab, "decode", [0, n]),
            what=f"decode([0, {number}])",
        )
    compare.raises("ValueError", lambda: submission.build("CharVocab", ""), what="CharVocab('')")
    nothing = submission.method(vocab, "encode", "")
    whole = isinstance(nothing, torch.Tensor) and nothing.dtype == torch.int64 and nothing.shape == (0,)
    observe("is no text an empty LongTensor", torch.tensor(float(whole)))
    compare.require(whole, "encode('') is no LongTensor of shape (0,)")
