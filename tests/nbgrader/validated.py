"""Runs a notebook as `nbgrader validate` does, and prints as JSON what failed and what every cell gave.

Besides, the kernel's seconds of processor time: unlike the clock's they are the same on a busy machine.
"""

import json
import resource
import sys

from nbgrader.validator import Validator
from traitlets.config import Config


class KeepingValidator(Validator):
    """nbgrader's own, which forgets the notebook that it ran."""

    def _preprocess(self, nb):
        self.notebook = super()._preprocess(nb)
        return self.notebook


def main() -> None:
    validator = KeepingValidator(config=Config({"Execute": {"timeout": 1500}}))
    results = validator.validate(sys.argv[1])
    cells = {cell.id: cell.get("outputs", []) for cell in validator.notebook.cells}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"results": results, "cells": cells, "seconds": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
