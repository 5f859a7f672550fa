"""Pieces of a self-contained HTML page: nothing is loaded, nothing runs, and all text is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dlgrade.display import printable

TEXT: Final = 400  # characters of a stranger's text that are shown

STYLE: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1d21; --quiet: #565b64; --line: #c9ccd2;
  --one: #1257c0; --two: #a8430d; --good: #176b32; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171b; --ink: #e9eaec; --quiet: #b4b8c0;
  --line: #454952; --one: #8fb8ff; --two: #ffb68a; --good: #7fd89a; --bad: #ffb0a8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.quiet { color: var(--quiet); } .good { color: var(--good); } .bad { color: var(--bad); }
.wide { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.5rem;
  border-bottom: 1px solid var(--line); }
th { overflow-wrap: normal; white-space: nowrap; } td { min-width: 3.5rem; }
.number { text-align: right; white-space: nowrap; }
figure { margin: 1rem 0; } svg { width: 100%; height: auto; max-width: 40rem; display: block; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; paint-order: stroke; stroke: var(--paper);
  stroke-width: 3px; }
.axis { stroke: var(--line); stroke-width: 1; } .mark { stroke: var(--bad); stroke-width: 2; }
.curve { fill: none; stroke: var(--one); stroke-width: 2; }
polyline.one, polyline.two { fill: none; stroke: var(--one); stroke-width: 1.5; opacity: 0.7; }
polyline.two { stroke: var(--two); stroke-dasharray: 5 3; }
svg.spark { width: 7.5rem; height: 1.75rem; } .one { fill: var(--one); } .two { fill: var(--two); }
pre { white-space: pre-wrap; border: 1px solid var(--line); padding: 0.5rem; }
"""


@dataclass(frozen=True)
class Html:
    """Text that is markup already; everything else is escaped when it is put into a page."""

    markup: str


def shown(value: object) -> str:
    """A value as markup: a piece of a page as it is, anything else as text."""
    if isinstance(value, Html):
        return value.markup
    if isinstance(value, float):
        return html.escape(f"{value:.4g}")
    return html.escape(printable(" ".join(str(value).split()), TEXT))


def element(tag: str, *inside: object, **attributes: object) -> Html:
    """An element; `class_` is its class. Attributes are escaped as text is."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{shown(value)}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{named}>{''.join(map(shown, inside))}</{tag}>")


def page(title: str, *inside: object) -> str:
    """A whole document with a policy that permits its own style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(map(shown, inside))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{shown(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def section(title: str, *inside: object) -> Html:
    """A heading and what belongs to it."""
    return element("section", element("h2", title), *inside)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table that scrolls by itself where it is too wide; numbers are set right."""
    top = element("tr", *(element("th", name, scope="col") for name in head))
    body = [element("tr", *map(_cell, row)) for row in rows]
    whole = element("table", element("thead", top), element("tbody", *body))
    return element("div", whole, class_="wide")


def _cell(value: object) -> Html:
    return element("td", value, class_="number") if isinstance(value, int | float) else element("td", value)


# --- plots: 640 by 300 units, the axes' origin at (60, 240) ------------------------------------------------

WIDTH: Final = 640
LINE: Final = 84  # characters that fit into it
LEFT, RIGHT, TOP, BOTTOM = 60, 620, 40, 240


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, with its title and ticks."""

    title: str
    low: float
    high: float
    ticks: Sequence[float]

    def at(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        return (value - self.low) / (self.high - self.low or 1)


def bars(name: str, legend: str, x: Axis, y: Axis, heights: Sequence[float]) -> Html:
    """A histogram: bars of equal width that fill the x axis."""
    step = (RIGHT - LEFT) / max(1, len(heights))
    marks = [
        Html(
            f'<rect class="one" x="{LEFT + i * step + 1:.1f}" y="{_y(y, height):.1f}"'
            f' width="{max(1, step - 2):.1f}" height="{BOTTOM - _y(y, height):.1f}"/>'
        )
        for i, height in enumerate(heights)
    ]
    return _plot(name, x, y, marks, [("one", legend)])


def dots(
    name: str, x: Axis, y: Axis, groups: Sequence[tuple[str, Sequence[tuple[float, float, str]]]]
) -> Html:
    """A scatter plot of up to two groups of (x, y, label), told apart by colour and shape."""
    marks = []
    for shape, (_, points) in zip(("one", "two"), groups, strict=False):
        for px, py, label in points:
            cx, cy = LEFT + x.at(px) * (RIGHT - LEFT), _y(y, py)
            where = f'cx="{cx:.1f}" cy="{cy:.1f}" r="5"'
            if shape == "two":
                where = f'x="{cx - 5:.1f}" y="{cy - 5:.1f}" width="10" height="10"'
            tag = "circle" if shape == "one" else "rect"
            marks.append(Html(f'<{tag} class="{shape}" {where}><title>{shown(label)}</title></{tag}>'))
    legend = [(shape, title) for shape, (title, _) in zip(("one", "two"), groups, strict=False)]
    return _plot(name, x, y, marks, legend)


def lines(
    name: str, x: Axis, y: Axis, groups: Sequence[tuple[str, Sequence[tuple[Sequence[float], str]]]]
) -> Html:
    """Lines of up to two groups of (values at 1, 2, 3 ..., label), told apart by colour and dashes.

    What lies beyond the y axis is drawn at its end.
    """
    marks = []
    for shape, (_, each) in zip(("one", "two"), groups, strict=False):
        for values, label in each:
            points = " ".join(
                f"{LEFT + x.at(i) * (RIGHT - LEFT):.1f},{_y(y, min(y.high, max(y.low, value))):.1f}"
                for i, value in enumerate(values, start=1)
            )
            title = f"<title>{shown(label)}</title>"
            marks.append(Html(f'<polyline class="{shape}" points="{points}">{title}</polyline>'))
    legend = [(shape, title) for shape, (title, _) in zip(("one", "two"), groups, strict=False)]
    return _plot(name, x, y, marks, legend)


ROW: Final = 34  # height of a row of dots


def strips(
    title: str, x: Axis, rows: Sequence[tuple[str, str, Sequence[float]]], mark: tuple[str, float], top: float
) -> tuple[list[Html], float]:
    """Rows of dots over one axis, with a vertical mark: the pieces of a drawing, and where they end.

    Args:
        title: in as many lines as it takes.
        rows: (label, "one" or "two", values) of each.
        mark: its label and place.
        top: where to begin.
    """
    heading = [_label(8, top + 16 + 17 * i, line) for i, line in enumerate(textwrap.wrap(title, LINE))]
    top += 17 * (len(heading) - 1)
    low, at = top + 58 + ROW * len(rows), LEFT + x.at(mark[1]) * (RIGHT - LEFT)
    pieces = [
        *heading,
        Html(f'<line class="mark" x1="{at:.1f}" y1="{top + 42}" x2="{at:.1f}" y2="{low}"/>'),
        Html(f'<line class="axis" x1="8" y1="{low}" x2="{RIGHT}" y2="{low}"/>'),
    ]
    for i, (label, shape, values) in enumerate(rows):
        y = top + 58 + ROW * i
        pieces.append(_label(8, y, label))
        pieces += [
            Html(f'<circle class="{shape}" cx="{LEFT + x.at(v) * (RIGHT - LEFT):.1f}" cy="{y + 14}" r="4"/>')
            for v in values
        ]
    pieces.append(_label(at, top + 38, f"{mark[0]} {mark[1]:g}", "start" if at < WIDTH / 2 else "end"))
    pieces += [_label(LEFT + x.at(t) * (RIGHT - LEFT), low + 16, f"{t:g}", "middle") for t in x.ticks]
    pieces.append(_label((LEFT + RIGHT) / 2, low + 34, x.title, "middle"))
    return pieces, low + 44


def svg_file(name: str, pieces: Sequence[Html], height: float) -> str:
    """A drawing as a file of its own, in the colours of the pages."""
    paper = Html(f'<rect width="{WIDTH}" height="{height:g}" style="fill: var(--paper)"/>')
    drawing = element(
        "svg",
        Html(f"<style>{STYLE}</style>"),
        paper,
        *pieces,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_label=name,
    )
    return drawing.markup + "\n"


def sparkline(name: str, values: Sequence[float]) -> Html:
    """A line through values at equal distances, small enough for a table."""
    low, span = min(values), max(values) - min(values) or 1.0
    step = 112 / max(1, len(values) - 1)
    points = " ".join(f"{4 + i * step:.1f},{24 - (v - low) / span * 20:.1f}" for i, v in enumerate(values))
    line = Html(f'<polyline class="curve" points="{points}"/>')
    return element("svg", line, viewBox="0 0 120 28", class_="spark", role="img", aria_label=name)


def _y(axis: Axis, value: float) -> float:
    return BOTTOM - axis.at(value) * (BOTTOM - TOP)


def _plot(name: str, x: Axis, y: Axis, marks: Sequence[Html], legend: Sequence[tuple[str, str]]) -> Html:
    """The frame around the marks: axes, ticks, titles, legend."""
    pieces = [
        Html(f'<line class="axis" x1="{LEFT}" y1="{BOTTOM}" x2="{RIGHT}" y2="{BOTTOM}"/>'),
        Html(f'<line class="axis" x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{BOTTOM}"/>'),
        *marks,
    ]
    for tick in x.ticks:
        pieces.append(_label(LEFT + x.at(tick) * (RIGHT - LEFT), BOTTOM + 18, f"{tick:g}", "middle"))
    for tick in y.ticks:
        pieces.append(_label(LEFT - 8, _y(y, tick) + 4, f"{tick:g}", "end"))
    pieces += [_label((LEFT + RIGHT) / 2, BOTTOM + 42, x.title, "middle"), _label(8, TOP - 22, y.title)]
    for i, (shape, title) in enumerate(legend):
        left = LEFT + 180 + 200 * i
        pieces += [Html(f'<rect class="{shape}" x="{left}" y="9" width="10" height="10"/>')]
        pieces += [_label(left + 16, 19, title)]
    drawing = element("svg", *pieces, viewBox=f"0 0 {WIDTH} 300", role="img", aria_label=name)
    return element("figure", drawing)


def _label(x: float, y: float, text: str, anchor: str = "start") -> Html:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
