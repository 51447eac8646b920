"""When something is done about a new version, and what is said of it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from agent.model.hours import parse_hours
from agent.model.reading import Severity
from agent.model.updates import Ending, Outcome, Release, UpdatePolicy, is_newer
from agent.runtime.updates.decide import Deed, Known, Moment, findings, is_quiet, next_deed

WEEK = parse_hours("mon-fri 08:00-17:00")
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NEWER = Release("1.2.0", "https://updates.example/x.msi", "0" * 64, 10)
AUTO, NOTIFY, MANAGED = UpdatePolicy.AUTO, UpdatePolicy.NOTIFY, UpdatePolicy.MANAGED
USUAL = Known(AUTO, "1.1.0", NEWER, None, can_install=True, is_fetched=True)
EVENING = Moment(MONDAY.replace(hour=20), WEEK, is_busy=False, is_look_due=False)


def tried(ending: Ending, version: str = "1.2.0") -> Outcome:
    return Outcome(version, "1.1.0", ending, MONDAY, "no_answer")


@pytest.mark.parametrize(
    ("known", "moment", "deed"),
    [
        ({}, {}, Deed.INSTALL),
        ({"is_fetched": False}, {}, Deed.FETCH),
        ({"is_fetched": False}, {"wall": MONDAY.replace(hour=10)}, Deed.FETCH),
        ({}, {"wall": MONDAY.replace(hour=10)}, Deed.NOTHING),
        ({}, {"is_busy": True}, Deed.NOTHING),
        ({}, {"is_look_due": True}, Deed.LOOK),
        ({"release": None}, {}, Deed.NOTHING),
        ({"version": "1.2.0"}, {}, Deed.NOTHING),
        ({"version": "1.10.0"}, {}, Deed.NOTHING),
        ({"can_install": False}, {}, Deed.NOTHING),
        ({"policy": NOTIFY}, {}, Deed.NOTHING),
        ({"policy": NOTIFY}, {"is_look_due": True}, Deed.LOOK),
        ({"policy": MANAGED}, {"is_look_due": True}, Deed.NOTHING),
        ({"policy": MANAGED}, {}, Deed.NOTHING),
        ({"outcome": tried(Ending.TAKEN_BACK)}, {}, Deed.NOTHING),
        ({"outcome": tried(Ending.FAILED)}, {}, Deed.NOTHING),
        (
            {"outcome": tried(Ending.FAILED)},
            {"wall": EVENING.wall + timedelta(days=1)},
            Deed.INSTALL,
        ),
        (
            {"outcome": tried(Ending.TAKEN_BACK)},
            {"wall": MONDAY + timedelta(days=90)},
            Deed.NOTHING,
        ),
        ({"outcome": tried(Ending.TAKEN_BACK, "1.1.5")}, {}, Deed.INSTALL),
        ({"outcome": tried(Ending.DONE, "1.1.0")}, {}, Deed.INSTALL),
    ],
)
def test_one_step_at_a_time_and_only_when_it_may(
    known: dict[str, object], moment: dict[str, object], deed: Deed
) -> None:
    standing = dataclasses.replace(USUAL, **known)  # type: ignore[arg-type]
    assert next_deed(standing, dataclasses.replace(EVENING, **moment)) is deed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hour", "minute", "quiet"),
    [(7, 29, True), (7, 30, False), (8, 0, False), (16, 59, False), (17, 0, True), (3, 0, True)],
)
def test_quiet_lasts_long_enough_for_the_way_back_too(hour: int, minute: int, quiet: bool) -> None:
    assert is_quiet(WEEK, MONDAY.replace(hour=hour, minute=minute)) is quiet


def test_without_office_hours_only_the_small_hours_are_quiet() -> None:
    quiet = [hour for hour in range(24) if is_quiet((), MONDAY.replace(hour=hour))]
    assert quiet == [1, 2, 3, 4]


def said(known: Known, now: datetime = MONDAY) -> list[tuple[str, Severity]]:
    return [(finding.code, finding.severity) for finding in findings(known, now)]


def test_what_people_are_told() -> None:
    told = dataclasses.replace
    assert said(USUAL) == [("update.planned", Severity.NOTE)]
    assert said(told(USUAL, policy=NOTIFY)) == [("update.available", Severity.WARNING)]
    assert said(told(USUAL, can_install=False)) == [("update.available", Severity.WARNING)]
    assert said(told(USUAL, policy=MANAGED)) == []
    assert said(told(USUAL, version="1.2.0")) == []
    back = told(USUAL, outcome=tried(Ending.TAKEN_BACK))
    assert said(back) == [("update.taken_back", Severity.WARNING)]
    assert said(told(back, policy=MANAGED)) == [("update.taken_back", Severity.WARNING)]
    assert said(back, MONDAY + timedelta(days=8)) == []
    stranded = told(USUAL, outcome=tried(Ending.STRANDED), policy=MANAGED)
    assert said(stranded) == [("update.stranded", Severity.ERROR)]
    facts = findings(back, MONDAY)[0].facts
    assert facts == {"version": "1.2.0", "before": "1.1.0", "why": "no_answer"}


def test_versions_are_numbers_not_text() -> None:
    assert is_newer("1.10.0", "1.9.9")
    assert not is_newer("1.9.9", "1.10.0")
    assert not is_newer("1.0.0", "1.0.0")
    assert not is_newer("2", "1.0.0")
    assert not is_newer("2.0.0-evil", "1.0.0")
