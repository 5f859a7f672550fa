"""Reads one attack: what it does, the submission's text, and the verdicts that it must come to.

    mechanism  how it hopes to gain
    part       the part it answers wrongly, so that any pass of its value checks is a gain; "" for none
    without    what the same submission is without the mechanism, where that is not simply a wrong part:
               appended to the full answer like `source`, graded beside it, and not to be outdone
    source     Python appended to the full answer; its definitions replace the answer's
    whole      instead: the whole submission, or
    generate   instead: a Python expression of the whole submission, text or bytes, or
    cells      instead: the code cells of a notebook, with `notebook` as its other contents, and as many
               empty ones as `repeat` says
    archive    instead: a Python expression of the bytes of a .zip
    tier       "cpu" where it attacks the accuracy check
    expect     check = [verdict, part of its sentence]; `all` for every check. Other checks must pass,
               those of the attacked part must not.

Texts know these places: @COURSE@ and @BAIT@ (a file), @OTHER@ (another student's), @ANSWER@ (correct code).
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "attacks"
KEYS = {
    *("mechanism", "part", "tier", "expect"),
    *("source", "whole", "generate", "cells", "notebook", "repeat", "archive", "without"),
}


@dataclass(frozen=True)
class Attack:
    """One file of the suite."""

    id: str
    part: str
    tier: str
    expect: Mapping[str, list[str]]
    suffix: str
    data: bytes
    without: bytes | None

    @property
    def counterpart(self) -> str:
        """The submission whose score it must not exceed."""
        return f"without-{self.id if self.without else self.part}"

    def expected(self, check: str, part: str) -> list[str]:
        """Verdict and sentence of a check; "" stands for any verdict without points, "*" for any at all."""
        if check in self.expect:
            return self.expect[check]
        if "all" in self.expect:
            return self.expect["all"]
        return ["", ""] if part == self.part else ["passed", ""]


def names() -> list[str]:
    """All attacks, by file."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def load(name: str, places: Mapping[str, str]) -> Attack:
    """The attack of one file, aimed at real places."""
    text = (FOLDER / f"{name}.toml").read_text()
    for place, value in places.items():
        text = text.replace(place, json.dumps(value)[1:-1] if place != "@ANSWER@" else value)
    values = tomllib.loads(text)
    unknown = values.keys() - KEYS
    assert not unknown, f"{name} has unknown keys {unknown}"
    suffix, data = _file(values, places["@ANSWER@"])
    without = values.get("without")
    return Attack(
        id=name,
        part=values["part"],
        tier=values.get("tier", "quick"),
        expect=values.get("expect", {}),
        suffix=suffix,
        data=data,
        without=f"{places['@ANSWER@']}\n\n{without}".encode() if without else None,
    )


def _file(values: Mapping[str, Any], answer: str) -> tuple[str, bytes]:
    if "cells" in values:
        return ".ipynb", json.dumps(_notebook(values)).encode()
    if "archive" in values:
        return ".zip", eval(values["archive"], {"answer": answer})
    if "generate" in values:
        made = eval(values["generate"], {"answer": answer})
        return ".py", made if isinstance(made, bytes) else made.encode()
    return ".py", values.get("whole", f"{answer}\n\n{values.get('source', '')}").encode()


def _notebook(values: Mapping[str, Any]) -> dict[str, Any]:
    cells = [{"source": cell} if isinstance(cell, str) else cell for cell in values["cells"]]
    cells += [{"source": ""}] * values.get("repeat", 0)
    empty = {"cell_type": "code", "metadata": {}, "outputs": []}
    numbered = [{**empty, "id": f"c{number}", **cell} for number, cell in enumerate(cells)]
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        **values.get("notebook", {}),
        "cells": numbered,
    }
