"""Runs a notebook as `nbgrader validate` does, and prints what failed and what every cell gave, as JSON."""

import json
import sys

from nbgrader.validator import Validator
from traitlets.config import Config


class KeepingValidator(Validator):
    """nbgrader's own, which forgets the notebook that it ran."""

    def _preprocess(self, nb):
        self.notebook = super()._preprocess(nb)
        return self.notebook


def main() -> None:
    validator = KeepingValidator(config=Config({"Execute": {"timeout": 280}}))
    results = validator.validate(sys.argv[1])
    cells = {cell.id: cell.get("outputs", []) for cell in validator.notebook.cells}
    print(json.dumps({"results": results, "cells": cells}))


if __name__ == "__main__":
    main()
