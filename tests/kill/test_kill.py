"""Fifty kills in every run: three engines, each with one thing put back from a copy at the end."""

from __future__ import annotations

import pytest

from tests.e2e.two_sided import Wrong
from tests.kill.lane import Outcome, run
from tests.kill.mishaps import MISHAPS


def check(outcome: Outcome, kills: int, act: str) -> None:
    assert outcome.wrong == []
    assert outcome.kills >= kills
    assert outcome.restored == {act: 1}
    # A lane in which nothing happened would prove nothing.
    assert outcome.mishaps.total() >= kills - 6
    assert outcome.deeds > kills
    assert outcome.asked["applied"] > 0
    assert outcome.compared > 1000
    assert len(outcome.quiet_s) == 2
    # Every machine we test on can step a clock; a small disk needs the right to mount.
    assert set(outcome.left_out) <= {"disk full", "api down", "api faults"}


@pytest.mark.mariadb
@pytest.mark.xdist_group("kill-mariadb")
def test_myisam_and_the_practice_put_back() -> None:
    outcome = run("myisam", kills=20, seed=1, acts=("practice",), most_s=2.0)
    check(outcome, 20, "practice")
    assert outcome.fenced >= 1


@pytest.mark.mariadb
@pytest.mark.xdist_group("kill-mariadb")
def test_innodb_and_the_journal_put_back() -> None:
    check(run("innodb", kills=15, seed=1, acts=("journal",), most_s=2.0), 15, "journal")


@pytest.mark.odbc
@pytest.mark.xdist_group("kill-odbc")
def test_eaglesoft_on_postgresql_and_the_crm_put_back() -> None:
    check(run("postgres", kills=15, seed=1, acts=("crm",), most_s=2.0), 15, "crm")


def test_an_outcome_counts_what_went_wrong() -> None:
    outcome = Outcome("myisam", 1, wrong=[Wrong("lost", "a"), Wrong("lost", "b")])
    assert (outcome.count("lost"), outcome.count("twice")) == (2, 0)
    assert "2 lost, 0 twice" in outcome.line()
    assert len(MISHAPS) >= 12
