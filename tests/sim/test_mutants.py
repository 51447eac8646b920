"""Planted bugs die. A few on every run; all of them, with the number of seeds it took, when slow
tests are asked for (``python -m tests.sim --mutants 300`` prints the table)."""

from __future__ import annotations

import pytest

from tests.sim.test_seeds import sim

#: each dies within a few seeds
QUICK = (
    "hints-are-skipped",
    "unreadable-counts-as-told",
    "the-log-names-people",
    "a-stop-is-heard-late",
    "half-built-rows-leave",
    "any-database-is-believed",
    "a-lost-table-stays-lost",
    "commits-are-not-synced",
    "settled-before-it-is-sent",
    "an-error-ends-the-push-lane",
    "written-before-it-is-intended",
    "lost-answers-are-repeated",
)


def test_a_few_planted_bugs_die_at_once() -> None:
    done = sim("--mutants", "12", "--only", ",".join(QUICK))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(QUICK)} of {len(QUICK)} planted bugs killed" in done.stdout


@pytest.mark.slow
def test_every_planted_bug_dies() -> None:
    done = sim("--mutants", "400")
    assert done.returncode == 0, done.stdout + done.stderr
