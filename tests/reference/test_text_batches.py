import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reference.text_batches import make_batches

sizes = st.integers(min_value=1, max_value=5)


@given(st.integers(min_value=0, max_value=80), sizes, sizes)
def test_batches_match_a_walk_by_hand(length, batch_size, seq_len):
    """Row i, step t of batch b is character i * row + b * seq_len + t; its target is the one after."""
    text = torch.arange(100, 100 + length)
    batches = make_batches(text, batch_size, seq_len)
    row = len(batches) * seq_len
    for b, (x, y) in enumerate(batches):
        starts = torch.tensor([[i * row + b * seq_len] for i in range(batch_size)])
        places = starts + torch.arange(seq_len)
        assert torch.equal(x, text[places])
        assert torch.equal(y, text[places + 1])


@given(st.integers(min_value=0, max_value=80), sizes, sizes)
def test_only_what_fills_no_batch_is_dropped(length, batch_size, seq_len):
    """Batches cover all but a tail shorter than one batch and the last character, which has no target."""
    batches = make_batches(torch.arange(length), batch_size, seq_len)
    left = length - 1 - len(batches) * batch_size * seq_len
    assert left < batch_size * seq_len
    assert left >= 0 or (length == 0 and not batches)


def test_each_row_reads_on_in_the_next_batch():
    """The batches side by side are the rows of the text: what a carried state relies on."""
    batches = make_batches(torch.arange(25), batch_size=2, seq_len=3)
    rows = torch.cat([x for x, _ in batches], dim=1)
    assert rows.tolist() == [list(range(12)), list(range(12, 24))]


def test_too_short_a_text_gives_no_batch():
    """A text of batch_size * seq_len characters lacks the last target, so no batch; one more gives one."""
    assert make_batches(torch.arange(6), 2, 3) == []
    assert len(make_batches(torch.arange(7), 2, 3)) == 1
    assert make_batches(torch.arange(0), 2, 3) == []


@pytest.mark.parametrize(("batch_size", "seq_len"), [(0, 3), (2, 0), (-1, 3)])
def test_sizes_below_one_are_refused(batch_size, seq_len):
    """A batch needs at least one row and one step; the message gives both figures."""
    with pytest.raises(ValueError, match=f"batch_size is {batch_size} and seq_len {seq_len}"):
        make_batches(torch.arange(9), batch_size, seq_len)


def test_ids_must_be_one_row():
    """A batch of texts is refused with its shape."""
    with pytest.raises(ValueError, match=r"ids has shape \(2, 5\), expected \(T,\)"):
        make_batches(torch.zeros(2, 5, dtype=torch.long), 1, 2)
