"""Lanes that are tests already: run by name, their figures added up and kept.

A test says its figures with pytest's own ``record_property(name, number)``; of one name they are
added up over all tests of the lane. A lane with a test that fails keeps nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

import pytest

from tests import artefact

COMMAND = "python -m tests.reliability --lane"


class Lane(NamedTuple):
    """``files`` under ``tests/``; ``only``: as pytest's ``-k``."""

    files: tuple[str, ...]
    only: str = ""


LANES = {
    "crash-points": Lane(
        ("journal/test_crash_points.py", "journal/test_pull_crash_points.py"),
        "killed or every_boundary or mutant",
    ),
    "journal-damage": Lane(("journal/test_bit_flips.py",)),
    "audit": Lane(("journal/test_audit.py",)),
    "brake": Lane(("e2e/test_faults.py",), "mass_deletion"),
}


class Told:
    """A plugin of pytest: hears what the tests record."""

    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()
        self.passed = self.missed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.missed += 1
        elif report.when == "call":
            self.passed += 1
            for name, value in report.user_properties:
                self.figures[name] += value  # type: ignore[assignment]  # numbers, all of them


def run(name: str, *, keep: bool) -> int:
    """Exit code. A test that is skipped counts as one that failed: its figure would be missing."""
    lane, told, began = LANES[name], Told(), time.monotonic()
    files = [str(artefact.ROOT / "tests" / file) for file in lane.files]
    words = [*files, "-q", "-k", lane.only, "-p", "no:cacheprovider", "-p", "no:xdist"]
    code = int(pytest.main(words, plugins=[told]))
    if code or told.missed or not told.figures:
        print(f"{name}: {told.missed} tests failed or were skipped; nothing is kept")
        return code or 1
    for figure, value in told.figures.items():
        print(f"{figure}: {value:,}")
    if keep:
        artefact.keep(
            name,
            command=f"{COMMAND} {name}",
            seconds=time.monotonic() - began,
            figures={
                "tests": (told.passed, ""),
                **{figure: (value, "") for figure, value in told.figures.items()},
            },
        )
    return 0
