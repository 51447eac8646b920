"""Office hours as text: read, spelled, open or not; and as a setting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from agent.config import Settings
from agent.errors import ConfigError
from agent.model.hours import is_open, parse_hours, spell_hours
from agent.model.streams import Stream

WEEK = "mon-fri 08:00-17:00; sat 09:00-13:00"


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (WEEK, WEEK),
        ("mon,wed 8:00-12:00", "mon 08:00-12:00; wed 08:00-12:00"),
        ("mon-tue 08:00-12:00; mon-tue 13:00-17:00", "mon-tue 08:00-12:00; mon-tue 13:00-17:00"),
        ("", ""),
    ],
)
def test_they_are_read_and_spelled(text: str, spelled: str) -> None:
    week = parse_hours(text)
    assert spell_hours(week) == spelled
    assert parse_hours(spelled) == week


@pytest.mark.parametrize(
    "text",
    ["always", "mon 17:00-08:00", "fri-mon 08:00-17:00", "mon 25:00-26:00", "mon", "mon 8-5"],
)
def test_what_is_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is of no use to anybody
        parse_hours(text)


def test_open_until_before_closing() -> None:
    week = parse_hours(WEEK)
    assert is_open(week, datetime(2026, 11, 30, 8, 0))  # noqa: DTZ001 - wall time
    assert not is_open(week, datetime(2026, 11, 30, 17, 0))  # noqa: DTZ001
    assert not is_open(week, datetime(2026, 11, 29, 10, 0))  # noqa: DTZ001 - a Sunday
    assert is_open((), datetime(2026, 11, 29, 3, 0))  # noqa: DTZ001


def test_they_are_a_setting(settings_with: Callable[..., Settings]) -> None:
    assert settings_with(**{"practice.hours": WEEK}).practice.hours == WEEK
    with pytest.raises(ConfigError) as caught:
        settings_with(**{"practice.hours": "nine to five"})
    assert caught.value.code == "config.bad_value"


def test_what_is_left_out_is_a_setting(settings_with: Callable[..., Settings]) -> None:
    skipped = settings_with(**{"sync.skip_streams": "claim, payment"}).skipped_streams
    assert skipped == {Stream.CLAIM, Stream.PAYMENT}
    for wrong in ("patient", "claims"):
        with pytest.raises(ConfigError):
            settings_with(**{"sync.skip_streams": wrong})
