import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference.vocabulary import CharVocab


@given(st.text(min_size=1, max_size=50))
def test_decode_undoes_encode(text):
    """Any text comes back unchanged through its own vocabulary, as int64 ids that all lie in 0..V-1."""
    vocab = CharVocab(text)
    ids = vocab.encode(text)
    assert ids.shape == (len(text),)
    assert ids.dtype == torch.int64
    assert ids.min() >= 0
    assert ids.max() < len(vocab)
    assert vocab.decode(ids) == text


def test_numbers_depend_on_the_characters_only():
    """The numbering is by sorted character: order and repeats in the text do not matter."""
    assert CharVocab("hello world").encode("lo").tolist() == CharVocab("dehlorw ").encode("lo").tolist()
    assert CharVocab("cab").encode("abc").tolist() == [0, 1, 2]


def test_length_counts_each_character_once():
    """len() is the number of different characters."""
    assert len(CharVocab("banana")) == 3


def test_each_unknown_character_is_named():
    """Encoding names every character the vocabulary lacks, invisible ones too, and none it has."""
    with pytest.raises(ValueError, match=r"not in the vocabulary: '\\t', '!', 'z'; expected only its 3"):
        CharVocab("abc").encode("ab!z\t!")


@pytest.mark.parametrize("outside", [-1, 3])
def test_ids_outside_are_refused(outside):
    """An id outside 0..V-1 is an error that names it; -1 is not the last character."""
    with pytest.raises(ValueError, match=rf"id {outside} is not in the vocabulary, expected 0\.\.2"):
        CharVocab("abc").decode([0, outside])


def test_empty_text():
    """Nothing can be numbered, but nothing can be encoded and decoded."""
    with pytest.raises(ValueError, match="text is empty"):
        CharVocab("")
    vocab = CharVocab("abc")
    assert vocab.encode("").shape == (0,)
    assert vocab.encode("").dtype == torch.int64
    assert vocab.decode(vocab.encode("")) == ""


def test_decode_takes_lists_and_tensors():
    """Ids may come as a list, as (T,) or as a single 0-d id, as sampling produces them."""
    vocab = CharVocab("abc")
    assert vocab.decode([2, 0]) == vocab.decode(torch.tensor([2, 0])) == "ca"
    assert vocab.decode(torch.tensor(1)) == "b"
