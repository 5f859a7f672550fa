"""Reading hostile source text: decoding, outline, stubs."""

import codecs
import contextlib
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlgrade.errors import SubmissionError
from dlgrade.source import MAX_BYTES, MAX_TOKENS, decode_source, missing_parts, outline


def exercise_with(*names):
    return SimpleNamespace(parts=[SimpleNamespace(name=name) for name in names])


def missing(text, *names):
    return missing_parts(outline(text), exercise_with(*names))


# Decoding


@pytest.mark.parametrize(
    "data",
    [
        "π = 3\n".encode(),
        codecs.BOM_UTF8 + "π = 3\n".encode(),
        codecs.BOM_UTF16_LE + "π = 3\n".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "π = 3\r\n".encode("utf-16-be"),
        "π = 3\r".encode(),
    ],
)
def test_text_is_decoded_whatever_the_editor(data):
    """UTF-8 and UTF-16 with or without a byte order mark, and every line end, give the same text."""
    assert decode_source(data, "a.py") == "π = 3\n"


def test_coding_comment_is_honoured():
    """A file that declares Latin-1 is read as Latin-1."""
    data = b"# -*- coding: latin-1 -*-\nname = 'Andr\xe9'\n"
    assert "André" in decode_source(data, "a.py")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"x = '\xe9'\n", r"a\.py is not valid utf-8 at byte 5 \(0xe9\); save it again as UTF-8"),
        (codecs.BOM_UTF8 + b"x = '\xe9'\n", r"not valid utf-8 at byte 8 \(0xe9\)"),
        (b"\x7fELF\x00\x01", r"a\.py has a NUL character at position 4: it is binary, expected source code"),
        (b"# coding: zlib\n", r"declares the encoding 'zlib'; save it as UTF-8"),
        (b"# coding: nonsense\n", r"declares the encoding 'nonsense'"),
        (b"#" * (MAX_BYTES + 1), rf"has {MAX_BYTES + 1} bytes, expected at most {MAX_BYTES}"),
    ],
)
def test_what_is_no_source_is_refused_in_one_sentence(data, sentence):
    """Binary, wrongly encoded and oversized files are refused before any parsing."""
    with pytest.raises(SubmissionError, match=sentence):
        decode_source(data, "a.py")


# Outline


def test_outline_lists_top_level_names_with_their_lines():
    """Functions, classes, assignments and imports are found; what is inside functions is not."""
    text = (
        "import torch.nn as nn, os.path\nfrom math import pi\n@deco\ndef f():\n    inner = 1\n"
        "class A:\n    x = 1\na, (b, *c) = 1, (2, 3)\nasync def g(): pass\n"
    )
    found = {d.name: (d.kind, d.line, d.end_line) for d in outline(text).definitions}
    assert found == {
        "nn": ("import", 1, 1),
        "os": ("import", 1, 1),
        "pi": ("import", 2, 2),
        "f": ("function", 3, 5),
        "A": ("class", 6, 7),
        "a": ("assignment", 8, 8),
        "b": ("assignment", 8, 8),
        "c": ("assignment", 8, 8),
        "g": ("function", 9, 9),
    }


def test_syntax_error_shows_its_line():
    """A syntax error is a value with line, reason and the line's text, not an exception."""
    found = outline("x = 1\ndef f(:\n    pass\n")
    assert found.definitions == ()
    assert str(found.error) == "line 2: invalid syntax: def f(:"


def test_syntax_error_cannot_write_to_the_terminal():
    """Control and bidirectional characters of the shown line are escaped."""
    found = outline("x = '\x1b]8;;evil\x07\u202e\n")
    assert found.error is not None
    assert str(found.error).isprintable()
    assert r"\x1b" in found.error.shown
    assert r"\u202e" in found.error.shown


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "-" * 199_000 + "1",
        "a" + ".a" * 99_000,
        "1" + "+1" * 99_000,
        "not " * 100_000 + "1",
        "lambda:" * 90_000 + "1",
        "if 1:\n pass\n" + "elif 1:\n pass\n" * 30_000,
        "9" * 900_000,
        "f'{" * 60_000,
        "{**" * 60_000,
    ],
    ids=lambda text: text[:6].strip(),
)
def test_nesting_bombs_are_syntax_errors(text):
    """Text nested beyond what Python can read is an error of the text, never a crash of the grader."""
    found = outline(text[:MAX_BYTES])
    assert found.error is not None
    assert missing_parts(found, exercise_with("f")) == {}


def test_token_bombs_are_refused_before_parsing():
    """A small file of very many tokens would cost the parser a gigabyte; it is refused unparsed."""
    with pytest.raises(SubmissionError, match=f"has {2 * MAX_TOKENS} tokens, expected at most {MAX_TOKENS}"):
        outline("a;" * MAX_TOKENS)


def test_long_lines_of_blanks_are_no_trap():
    """A line with 900,000 blanks is no trap: a quadratic search would keep this test busy for hours."""
    text = "def f():\n    x = 1" + " " * 900_000 + ";y = 2\n"
    assert missing(text, "f") == {}


def test_lone_surrogates_are_refused():
    """Text that no encoding can write, as JSON can smuggle it in, is refused."""
    with pytest.raises(SubmissionError, match="half a surrogate pair at position 5"):
        outline("x = '\ud800'")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
@example("\r\f\x0b\u2028def f():\r    raise NotImplementedError('f')")
@example("def f(): raise NotImplementedError('f') # given")
@example("class f:\\\n def g(self):0")
def test_any_text_is_outlined_or_refused(text):
    """No text makes outline or missing_parts raise anything but SubmissionError."""
    with contextlib.suppress(SubmissionError):
        assert set(missing(text, "f")) <= {"f"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda t: b"# coding: " + t.encode()))
def test_any_bytes_are_decoded_or_refused(data):
    """No bytes make decode_source raise anything but SubmissionError, and the text has plain line ends."""
    with contextlib.suppress(SubmissionError):
        assert "\r" not in decode_source(data, "a.py")


# Missing parts


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    raise NotImplementedError("f")\n',
        'def f():\n    """Doc."""\n    raise NotImplementedError("f")  # soon\n',
        "def f():\n    x = 1  # given\n    raise NotImplementedError('f')\n    return x  # given\n",
        'async def f():\n    raise NotImplementedError("f")\n',
    ],
)
def test_untouched_stub_is_missing(text):
    """A body that is the stub's own line, docstring and given lines apart, is missing."""
    assert missing(text, "f") == {"f": "f is still the stub"}


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    return 1\n",
        'def f():\n    x = 1\n    raise NotImplementedError("f")\n',
        'def f():\n    raise NotImplementedError("something of my own")\n',
        "f = make()\n",
        "from solution import f\n",
        "import solution as f\n",
        "if True:\n    def f(): raise NotImplementedError('f')\n",
        "try:\n    f = 1\nexcept ImportError:\n    pass\n",
        "with open('x') as f: pass\n",
        "for f in []: pass\n",
        "(f := 1)\n",
        "match 1:\n    case f: pass\n",
    ],
)
def test_any_binding_but_the_stub_counts(text):
    """Written, imported or bound in whatever way, a part is not missing; the checks judge it."""
    assert missing(text, "f") == {}


def test_absent_name_is_missing():
    """A name that is only used, or only bound inside a function, is not defined."""
    assert missing("def g():\n    f = 1\nf()\n", "f") == {"f": "f is not defined"}


def test_one_unfilled_method_makes_the_class_missing():
    """A class is missing until all its methods are written, and the first one left is named."""
    text = (
        "class A:\n    def __init__(self):\n        self.x = 1\n"
        "    class B:\n        def g(self):\n            raise NotImplementedError('A.B.g')\n"
    )
    assert missing(text, "A") == {"A": "A.B.g is still the stub"}


def test_stub_below_the_solution_is_explained():
    """Python uses the last of two definitions, so the reason names both lines."""
    text = "def f():\n    return 1\n\ndef f():\n    raise NotImplementedError('f')\n"
    assert outline(text).duplicates == {"f": (1, 4)}
    assert missing(text, "f") == {
        "f": "f is still the stub; f is defined on lines 1, 4, and Python uses the last"
    }
