"""Which kind of contest an accuracy check is, by the data set it names."""

from __future__ import annotations

from dlgrade.contest import Contest, OpenData
from dlgrade.review_contest import ReviewContest
from dlgrade.text_contest import TextContest


def contest_of(data: OpenData) -> type[Contest]:
    """A contest of sentences for an encoder, of running text, or of images."""
    if data.encoder is not None:
        return ReviewContest
    return TextContest if isinstance(data.inputs, str) else Contest
