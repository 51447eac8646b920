"""Which IANA zone a server lives in, as far as its own words allow. Pure.

A server says only an abbreviation ("EST") or a Windows name ("Eastern Standard Time"). Open Dental
is an American and Canadian product, so those zones are read; anything else must be set.
Source: Unicode CLDR windowsZones (names), US/Canadian zone abbreviations.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_NAMES = {
    "America/New_York": ("EST", "EDT", "Eastern Standard Time", "Eastern Daylight Time"),
    "America/Chicago": ("CST", "CDT", "Central Standard Time", "Central Daylight Time"),
    "America/Denver": ("MDT", "Mountain Standard Time", "Mountain Daylight Time"),
    "America/Phoenix": ("MST", "US Mountain Standard Time"),
    "America/Los_Angeles": ("PST", "PDT", "Pacific Standard Time", "Pacific Daylight Time"),
    "America/Anchorage": ("AKST", "AKDT", "Alaskan Standard Time", "Alaskan Daylight Time"),
    "Pacific/Honolulu": ("HST", "Hawaiian Standard Time"),
    "America/Halifax": ("AST", "ADT", "Atlantic Standard Time", "Atlantic Daylight Time"),
    "America/St_Johns": ("NST", "NDT", "Newfoundland Standard Time"),
    "America/Regina": ("Canada Central Standard Time",),
    "UTC": ("UTC", "GMT", "Coordinated Universal Time"),
}
_BY_NAME = {said.lower(): zone for zone, names in _NAMES.items() for said in names}


def zone_of(said: str, offset_s: int, now: datetime) -> str | None:
    """An IANA name for what the server says, if its offset at ``now`` agrees; else None."""
    name = _BY_NAME.get(said.strip().lower(), said.strip())
    # Arizona's abbreviation is the mountain states' winter one as well.
    candidates = (name, "America/Denver") if name == "America/Phoenix" else (name,)
    for candidate in candidates:
        try:
            offset = now.astimezone(ZoneInfo(candidate)).utcoffset()
        except (ZoneInfoNotFoundError, ValueError):
            continue
        if offset == timedelta(seconds=offset_s):
            return candidate
    return None


def fixed_zone(offset_s: int) -> str:
    """The IANA zone of a whole-hour offset (their sign is inverted); UTC when there is none."""
    hours, rest = divmod(offset_s, 3600)
    if rest or not -12 <= hours <= 14:
        return "UTC"
    return "UTC" if hours == 0 else f"Etc/GMT{-hours:+d}"


def utc_now() -> datetime:
    return datetime.now(UTC)
