"""CharVocab with several unknown characters, and with ids in a list."""

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
