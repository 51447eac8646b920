"""Fifty kills in every run: three engines, the practice put back from a copy at the end of each."""

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
    assert outcome.asked.total() > 0
    assert outcome.compared > 1000
    assert len(outcome.quiet_s) == 2
    # Every machine we test on can step a clock; a small disk needs the right to mount.
    assert set(outcome.left_out) <= {"disk full", "api down", "api faults"}


def all_of(engine: str, kills: int, act: str) -> None:
    outcome = run(engine, kills=kills, seed=1, acts=(act,), most_s=2.0)
    check(outcome, kills, act)
    if act == "practice":
        assert outcome.fenced == 1


@pytest.mark.mariadb
@pytest.mark.xdist_group("kill-mariadb")
@pytest.mark.parametrize(("engine", "kills"), [("myisam", 20), ("innodb", 15)])
def test_open_dental(engine: str, kills: int) -> None:
    all_of(engine, kills, "practice")


@pytest.mark.odbc
@pytest.mark.xdist_group("kill-odbc")
def test_eaglesoft_on_postgresql() -> None:
    all_of("postgres", 15, "practice")


@pytest.mark.slow
@pytest.mark.mariadb
@pytest.mark.xdist_group("kill-mariadb")
@pytest.mark.parametrize("act", ["journal", "crm"])
def test_open_dental_with_the_others_put_back(act: str) -> None:
    all_of("innodb", 15, act)


@pytest.mark.slow
@pytest.mark.odbc
@pytest.mark.xdist_group("kill-odbc")
@pytest.mark.parametrize("act", ["journal", "crm"])
def test_eaglesoft_with_the_others_put_back(act: str) -> None:
    all_of("postgres", 15, act)


def test_an_outcome_counts_what_went_wrong() -> None:
    outcome = Outcome("myisam", 1, wrong=[Wrong("lost", "a"), Wrong("lost", "b")])
    assert (outcome.count("lost"), outcome.count("twice")) == (2, 0)
    assert "2 lost, 0 twice" in outcome.line()
    assert len(MISHAPS) >= 12
