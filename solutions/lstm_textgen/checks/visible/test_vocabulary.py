"""What CharVocab must do."""

import torch

from dlgrade import compare
from dlgrade.checks import check
from dlgrade.observation import observe
from dlgrade.outcome import StudentRaised

TEXTS = ("to be, or not to be", "hello\nworld\thello", "Straße, naïve, 東京", "\tat both ends\n")


@check(part="CharVocab", points=1, kind="shape", help="Count each character once: set(text) has them.")
def vocab_has_each_character_once(submission, oracle):
    """len() is the number of different characters"""
    for text in TEXTS:
        vocab = submission.build("CharVocab", text)
        size = compare.number(submission.method(vocab, "__len__"), what=f"len(CharVocab({text!r}))")
        observe("size", torch.tensor(size))
        compare.require(size == len(set(text)), f"len(CharVocab({text!r})) is {size:g}")


@check(
    part="CharVocab",
    points=2,
    kind="value",
    needs=("vocab_has_each_character_once",),
    help="The same character always has the same number, from 0 to V-1 in the order of sorted(set(text)).",
)
def vocab_numbers_each_character(submission, oracle):
    """encode gives a LongTensor with one number in 0..V-1 for each character, in sorted order"""
    for text in TEXTS:
        vocab = submission.build("CharVocab", text)
        ids = encoded(submission, vocab, text)
        observe("range", torch.tensor([float(ids.min()), float(ids.max())]))
        low, high = int(ids.min()), int(ids.max())
        compare.require(
            low == 0 and high == len(set(text)) - 1, f"the ids of {text!r} go from {low} to {high}"
        )
        pairs = set(zip(text, ids.tolist(), strict=True))
        observe("pairs of character and number", torch.tensor(float(len(pairs))))
        compare.require(len(pairs) == len(set(text)), f"in {text!r} a character has more than one id")
        order = encoded(submission, vocab, "".join(sorted(set(text)))).tolist()
        observe("are characters numbered in sorted order", torch.tensor(float(order == sorted(order))))
        compare.require(order == sorted(order), f"the ids of {text!r} are not in the order of its characters")


@check(
    part="CharVocab",
    points=2,
    kind="value",
    needs=("vocab_has_each_character_once",),
    help="decode is encode backwards: look each number's character up, and join them.",
)
def vocab_decodes_what_it_encodes(submission, oracle):
    """decode(encode(text)) is the text, also for another text of the same characters"""
    for text, other in (
        (TEXTS[0], "bet on ore, too"),
        (TEXTS[1], "low\torder\nhell"),
        (TEXTS[2], "eßen東, ï"),
    ):
        vocab = submission.build("CharVocab", text + other)
        for part in (text, other, other[0]):
            ids = encoded(submission, vocab, part)
            found = submission.method(vocab, "decode", ids)
            observe("decoded", torch.tensor([float(ord(character)) for character in str(found)]))
            compare.same(found, part, what="decode(encode(text))")


@check(
    part="CharVocab",
    points=1,
    kind="property",
    needs=("vocab_has_each_character_once",),
    help="Look for characters that the vocabulary lacks, and raise an error whose message has them.",
)
def vocab_refuses_an_unknown_character(submission, oracle):
    """encode of an unknown character is an error that names it"""
    vocab = submission.build("CharVocab", "abcdef")
    known = encoded(submission, vocab, "fade")
    compare.require(len(set(known.tolist())) == 4, "four characters do not get four ids")
    for text, strange in (("ab§d", "§"), ("Ωabc", "Ω")):
        message, found = refusal(lambda text=text: submission.method(vocab, "encode", text))
        if isinstance(found, torch.Tensor):
            observe("ids of a text with an unknown character", found)
        seen = torch.tensor([float(message is not None), float(strange in (message or ""))])
        observe("[refused, named]", seen)
        compare.require(message is not None, f"encode({text!r}) returns, although {strange!r} is unknown")
        compare.require(strange in message, f"the error for {text!r} does not name {strange!r}")
    other = submission.build("CharVocab", "xyz")
    alone = [
        refusal(lambda v=v, t=t: submission.method(v, "encode", t))[0]
        for v, t in ((other, "a"), (vocab, "x"))
    ]
    again = encoded(submission, vocab, "fade")
    own = None not in alone and torch.equal(again, known)
    observe("has each vocabulary its own characters", torch.tensor(float(own)))
    compare.require(own, "a second vocabulary changes the first, or knows its characters")


def encoded(submission, vocab, text):
    ids = compare.tensor(
        submission.method(vocab, "encode", text), what=f"encode({text!r})", shape=(len(text),)
    )
    observe("are ids integers of 64 bits", torch.tensor(float(ids.dtype == torch.int64)))
    return compare.tensor(ids, what=f"encode({text!r})", dtype=torch.int64)


def refusal(call):
    """The message of the exception that a call raises, or None, and what it returns."""
    try:
        return None, call()
    except StudentRaised as error:
        return error.message, None
