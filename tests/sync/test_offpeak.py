"""Dear sweeps keep clear of the office hours, and the promise of one proof per rotation stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.model.hours import is_open, parse_hours
from agent.model.reading import LaneFacts, StreamFacts
from agent.sync.offpeak import is_dear, quiet_due
from agent.sync.sweep import Rotation

ZONE = ZoneInfo("America/Chicago")
WEEK = parse_hours("mon-fri 08:00-17:00; sat 09:00-13:00")
LONG = parse_hours("mon-fri 06:00-22:00")
LANE = LaneFacts("own", "ledger", True, 90_000)
DAY = 86_400.0


def at(day: int, clock: str) -> datetime:
    """March 2026; the 2nd is a Monday."""
    return datetime.fromisoformat(f"2026-03-{day:02d}T{clock}").replace(tzinfo=ZONE)


def stream(tier: str = "cold", rows: int = 90_000, **said: Any) -> StreamFacts:
    said = {"hashed": False, "lanes": (LANE,), **said}
    return StreamFacts("ledger", "id", rows, ("ledger",), windowed=False, tier=tier, **said)


@pytest.mark.parametrize(
    ("facts", "dear"),
    [
        (stream(), True),
        (stream(hashed=True), False),
        (stream(hashed=True, lanes=()), True),
        (stream(rows=8000), False),
    ],
)
def test_dear_is_what_is_large_and_has_no_hash_or_no_stamp(facts: StreamFacts, dear: bool) -> None:
    assert is_dear(facts, 8000) is dear


@pytest.mark.parametrize(
    ("due", "latest", "now", "when"),
    [
        (at(3, "19:30"), at(4, "00:00"), at(2, "20:00"), at(3, "19:30")),  # quiet anyway
        (at(3, "15:12"), at(3, "20:00"), at(2, "20:00"), at(3, "17:12")),  # after closing
        (at(7, "12:00"), at(7, "20:00"), at(6, "20:00"), at(7, "13:00")),  # Saturday
        (at(3, "09:00"), at(3, "10:00"), at(3, "08:30"), at(3, "09:00")),  # no quiet in between
    ],
)
def test_it_waits_for_the_evening(
    due: datetime, latest: datetime, now: datetime, when: datetime
) -> None:
    assert quiet_due(WEEK, due, latest, now) == when


def test_where_the_evening_is_too_late_it_comes_the_night_before() -> None:
    due = quiet_due(LONG, at(3, "15:12"), at(3, "20:00"), at(2, "22:00"))
    assert not is_open(LONG, due)
    assert at(2, "22:00") < due < at(3, "06:00")


def test_a_day_of_proofs_stays_in_the_quiet_and_within_the_promise() -> None:
    rotation = Rotation(600.0, 3600.0, DAY, week=WEEK, zone=ZONE)
    now = at(2, "10:07").astimezone(UTC)  # loaded in the middle of a working day
    by_day = 0
    for _ in range(60):
        due = rotation.next_due(stream(), now)
        assert now < due <= now + timedelta(seconds=DAY)
        by_day += is_open(WEEK, due.astimezone(ZONE))
        now = due
    assert by_day == 0


@pytest.mark.parametrize("hours", ["", "mon-fri 08:00-17:00"])
def test_what_must_be_proven_hourly_is_proven_by_day(hours: str) -> None:
    rotation = Rotation(600.0, 3600.0, DAY, week=parse_hours(hours), zone=ZONE)
    now = at(2, "10:07")
    for facts, share in ((stream("warm"), 3600 * 0.8), (stream("hot"), 600 * 0.8)):
        assert rotation.next_due(facts, now) == now + timedelta(seconds=share)
    spared = stream(hashed=True)
    assert rotation.next_due(spared, now) == now + timedelta(seconds=DAY * 0.8)
