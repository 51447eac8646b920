"""Fifty kills in every run: MyISAM, InnoDB and PostgreSQL side by side, each putting back something
else. The other combinations as a slow test."""

from __future__ import annotations

import pytest

from tests.e2e.two_sided import Wrong
from tests.kill.lane import Outcome
from tests.kill.mishaps import MISHAPS
from tests.kill.parts import Part, part_of, plan, side_by_side


def check(outcome: Outcome) -> None:
    assert outcome.wrong == []
    part = part_of(outcome)
    act = part.acts[0]
    assert outcome.kills >= part.kills
    assert outcome.restored[act] == 1
    if act == "practice":
        assert outcome.fenced == 1
    # A lane in which nothing happened would prove nothing.
    assert outcome.at_work > outcome.kills / 3
    assert outcome.mishaps.total() >= part.kills - 3
    assert outcome.deeds > outcome.kills
    assert outcome.asked["applied"] > 0
    assert outcome.rivalled > 0
    assert outcome.compared > 1000
    assert len(outcome.quiet_s) >= 2
    # Every machine we test on can step a clock; a small disk needs the right to mount.
    assert set(outcome.left_out) <= {"disk full", "api down", "api faults"}


def check_all(parts: list[Part]) -> None:
    outcomes = list(side_by_side(parts, jobs=len(parts)))
    for outcome in outcomes:
        print(outcome.line())
    assert sorted(map(part_of, outcomes)) == sorted(parts)
    for outcome in outcomes:
        check(outcome)
    # Of one part: a handful of edits, and the rival may have typed into each of them.
    assert sum(outcome.witnessed for outcome in outcomes) > 0


@pytest.mark.mariadb
@pytest.mark.odbc
@pytest.mark.xdist_group("kill")
def test_fifty_kills() -> None:
    check_all(plan(50, seed=1, patients=60))


@pytest.mark.slow
@pytest.mark.mariadb
@pytest.mark.odbc
@pytest.mark.xdist_group("kill")
@pytest.mark.parametrize("seed", [2, 3])
def test_fifty_more(seed: int) -> None:
    check_all(plan(50, seed=seed))


def test_an_outcome_counts_what_went_wrong() -> None:
    outcome = Outcome("myisam", 1, wrong=[Wrong("lost", "a"), Wrong("lost", "b")])
    assert (outcome.count("lost"), outcome.count("twice")) == (2, 0)
    assert "2 lost, 0 twice" in outcome.line()
    assert len(MISHAPS) >= 12
