"""A server's words for its zone, and which of them are believed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drivers.zones import fixed_zone, zone_of

SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)
WINTER = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "offset_h", "now", "zone"),
    [
        ("PDT", -7, SUMMER, "America/Los_Angeles"),
        ("PST", -8, WINTER, "America/Los_Angeles"),
        ("Eastern Standard Time", -4, SUMMER, "America/New_York"),
        ("eastern daylight time", -4, SUMMER, "America/New_York"),
        ("MST", -7, WINTER, "America/Phoenix"),
        ("MST", -7, SUMMER, "America/Phoenix"),
        ("MDT", -6, SUMMER, "America/Denver"),
        ("America/Chicago", -5, SUMMER, "America/Chicago"),
        ("UTC", 0, SUMMER, "UTC"),
        ("CST", 8, WINTER, None),  # China, not Chicago: the offset says so
        ("PST", -7, SUMMER, "America/Los_Angeles"),
        ("W. Europe Standard Time", 2, SUMMER, None),
        ("", 0, SUMMER, None),
        ("../etc/passwd", 0, SUMMER, None),
    ],
)
def test_a_name_counts_only_if_its_offset_agrees(
    said: str, offset_h: int, now: datetime, zone: str | None
) -> None:
    assert zone_of(said, offset_h * 3600, now) == zone


@pytest.mark.parametrize(
    ("offset_s", "zone"),
    [(-8 * 3600, "Etc/GMT+8"), (2 * 3600, "Etc/GMT-2"), (0, "UTC"), (19800, "UTC")],
)
def test_an_unknown_zone_becomes_its_offset(offset_s: int, zone: str) -> None:
    assert fixed_zone(offset_s) == zone
