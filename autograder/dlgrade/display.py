"""Text from strangers, made safe for one line of a terminal or a report."""

import unicodedata


def printable(text: str, limit: int) -> str:
    """`text` composed (NFC), what cannot be seen written as an escape, and cut to `limit` characters.

    Control characters would move the cursor, bidirectional marks reorder what follows them, and lone
    surrogates (undecodable bytes of a file name) break every encoder; none of them is printable.
    """
    composed = unicodedata.normalize("NFC", text[: 4 * limit])
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in composed)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
