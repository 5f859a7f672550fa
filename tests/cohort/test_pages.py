"""The pages: what they say, that nothing hostile gets in, and how they look in a real browser."""

import html.parser
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dlgrade import cohort_page, item_analysis, submission_page
from dlgrade.item_analysis import analyse
from dlgrade.report import CheckResult, Report
from dlgrade.results import ResultsFolder
from tests.autograder.command_line import dlgrade

HOSTILE = '"><script>alert(1)</script><img src=http://x onerror=alert(2)>\x1b[31m\u202e' + "w" * 300
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def result(name: str, passed: bool, **more: object) -> CheckResult:
    verdict = "passed" if passed else "failed"
    return CheckResult(name, "Part", "value", f"title {name}", False, verdict, 2.0 * passed, 2.0, **more)


def cohort(count: int = 40) -> list[Report]:
    """Students of rising ability: 'easy' and 'hard' follow it, 'noise' does not, one answer is a fault."""
    draw, reports = random.Random(3), []
    for number in range(count):
        checks = (
            result(
                "easy", number > 4, message=HOSTILE, diagnosis={"mistake": "tripled", "text": "You triple."}
            ),
            result("hard", number > 30),
            result("noise", draw.random() < 0.5),
            result("free", True),
            result("trained", number > 20, curve=(2.3, 2.0 - number / 40, 1.9 - number / 30)),
        )
        fault = "the checker ended" if number == 7 else None
        reports.append(
            Report(
                "tiny",
                f"s{number:02}/tiny.py",
                f"s{number:02}",
                "quick",
                5,
                checks,
                seconds=number,
                fault=fault,
            )
        )
    missing = CheckResult("easy", "Part", "value", "title easy", False, "missing", 0.0, 2.0, HOSTILE)
    return [
        *reports,
        Report("tiny", HOSTILE, HOSTILE, "quick", 5, (result("easy", False, message=HOSTILE),)),
        Report("tiny", f"unread {HOSTILE}", "empty", "quick", 5, (missing,)),
    ]


class Tags(html.parser.HTMLParser):
    """Every element with its attributes, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


PAGES = {
    "cohort": lambda: cohort_page.cohort_page(analyse(cohort())),
    "submission": lambda: submission_page.submission_page(cohort()[-2]),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_and_runs_nothing(name):
    """No script, no handler, no address, whatever students wrote; the policy forbids it besides."""
    text = PAGES[name]()
    for tag, attributes in Tags(text).found:
        assert tag not in ("script", "img", "link", "iframe", "a")
        assert not any(key.startswith("on") or key in ("src", "href", "style") for key in attributes)
    assert "default-src 'none'" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "http" not in re.sub(r"http-equiv|http://x", "", text)


def test_difficulty_and_discrimination_are_the_textbooks():
    """Share that failed, and the correlation with the rest score, computed here by their definition."""
    import numpy as np

    reports = [report for report in cohort() if report.complete]
    items = {item.id: item for item in analyse(reports).items()}
    for name in ("easy", "hard", "noise"):
        pairs = [(c.points > 0, r.score - c.points) for r in reports for c in r.checks if c.id == name]
        passed, rest = np.array(pairs, dtype=float).T
        assert items[name].difficulty == pytest.approx(1 - passed.mean())
        assert items[name].discrimination == pytest.approx(np.corrcoef(passed, rest)[0, 1])
    assert items["free"].discrimination is None
    assert items["easy"].discrimination > 0.2


def test_without_spread_there_is_no_correlation():
    """None instead of a division by zero."""
    assert item_analysis.pearson([1, 1, 1], [1, 2, 3]) is None


def test_the_page_says_who_made_which_mistake_and_what_was_not_judged():
    """Names, counts, the fault, the slowest first; a diagnosis of a fault is not counted."""
    text = PAGES["cohort"]()
    plain = re.sub(r"<[^>]+>", " ", text)
    assert "results of 42 submissions" in plain
    assert re.search(r"tripled\s+You triple\.\s+39\s+s00, s01", plain)
    assert "s07/tiny.py" in plain
    assert "the checker ended" in plain
    assert re.search(r"Slowest submissions.*?s39/tiny\.py", plain, re.S)


def test_every_plot_has_a_legend_and_axis_titles():
    """Three plots, each with the text of both axes and of its marks."""
    plots = re.findall(r"<svg.*?</svg>", PAGES["cohort"](), re.S)
    said = (
        ("score", "submissions", "submissions of 41"),
        ("difficulty: share", "discrimination", "hardly does"),
        ("epoch", "loss", "reached the threshold", "did not"),
    )
    for plot, wanted in zip(plots, said, strict=True):
        assert all(text in plot for text in wanted)


def test_every_training_is_drawn_and_one_that_explodes_leaves_room():
    """A line for each submission with a curve, by whether it passed; the axis is that of the others."""
    reports = cohort()
    lines = re.findall(r'<polyline class="(\w+)" points="([^"]+)"><title>([^<]+)', PAGES["cohort"]())
    assert len(lines) == 39  # the one that was a fault counts for nothing
    assert [shape for shape, _, _ in lines] == ["one"] * 19 + ["two"] * 20
    assert lines[0][2] == "s21/tiny.py"
    wild = result("trained", False, curve=(1e30, 2.0, 1e308))
    none = result("trained", False, curve=(float("inf"), 2.0))
    wild_ones = [Report("tiny", name, "", "quick", 5, (check,)) for name, check in (("a", wild), ("b", none))]
    text = cohort_page.cohort_page(analyse([*reports * 3, *wild_ones]))
    again = re.findall(r'<polyline class="(\w+)" points="([^"]+)"><title>([^<]+)', text)
    assert len(again) == 3 * 39 + 1
    assert lines[0] in again


def test_who_handed_in_nothing_that_can_be_graded_is_named():
    """With the reason; not those who left a part out, or were not judged."""
    rows = analyse(cohort()).rows
    assert [row.student for row in rows if row.unread] == ["empty"]
    text = PAGES["cohort"]()
    assert "Nothing to grade" in text
    assert "&lt;script&gt;" in text.partition("Nothing to grade")[2].partition("Scores")[0]


def contrast(first: str, second: str) -> float:
    """The ratio of two colours by WCAG's formula."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_is_readable_in_light_and_dark():
    """Every colour of text on its paper at 4.5 or more."""
    text = PAGES["cohort"]()
    palettes = re.findall(r":root \{(.*?)\}", text, re.S)
    assert len(palettes) == 2
    for palette in palettes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", palette))
        for name in ("ink", "quiet", "good", "bad", "one", "two"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name


def test_the_command_writes_the_page_of_a_folder(tmp_path):
    """`dlgrade report` names the file; elsewhere one sentence."""
    with ResultsFolder(tmp_path / "out") as folder:
        for report in cohort(5):
            folder.add(report)
    done = dlgrade("report", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "results of 7 submissions" in Path(done.stdout.strip()).read_text()
    assert dlgrade("report", tmp_path, cwd=tmp_path).returncode == 2


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("name", PAGES)
def test_nothing_overflows_a_phone(name, tmp_path):
    """At 390 pixels the document is as wide as the screen, as the browser itself lays it out."""
    (tmp_path / "page.html").write_text(PAGES[name]())
    frame = '<iframe id="f" src="page.html" width="390" height="800" style="border:0"></iframe><script>'
    frame += "f.onload = () => { let d = f.contentDocument.documentElement;"
    frame += "document.title = d.scrollWidth + '/' + d.clientWidth }"
    (tmp_path / "frame.html").write_text(f"<!doctype html><title>?</title>{frame}</script>")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
            "--virtual-time-budget=2000", "--dump-dom", f"file://{tmp_path}/frame.html",
        ],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    scroll, client = re.search(r"<title>(\d+)/(\d+)</title>", done.stdout).groups()
    assert int(scroll) <= int(client) <= 390
