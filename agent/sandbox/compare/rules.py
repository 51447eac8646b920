"""How one stored value must look in the CRM: small rules, written a second time on purpose.

Must import nothing of the agent: a rule shared with the engine would share its mistakes. Sources:
``open-dental.md`` 3.1 to 3.4 for what the practice stores, the conventions of the canonical records
for what the CRM holds.

A rule takes the stored values as text (None = SQL NULL or no row), the CRM's record, the name of
the field and the place, and says whether they agree. It never returns or keeps a value.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

Stored = tuple[str | None, ...]
Held = Mapping[str, object]


class Place(msgspec.Struct, frozen=True):
    """What a rule may know of the practice besides the row."""

    zone: ZoneInfo
    preferences: Mapping[str, str]


Rule = Callable[[Stored, Held, str, Place], bool]


def as_text(value: object) -> str | None:
    """A value of either driver as the text the rules read; times of day come as timedelta too."""
    match value:
        case None:
            return None
        case str():
            return value
        case bytes():
            return value.decode("utf-8", "replace")
        case datetime():
            return value.isoformat(" ", "seconds")
        case date():
            return value.isoformat()
        case timedelta():
            seconds = int(value.total_seconds())
            return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        case float():
            return repr(value)
        case _:
            return str(value)


# --- texts ------------------------------------------------------------------------------------


def words(value: object) -> str | None:
    """White space collapsed, accents composed: for names, addresses, labels on both sides."""
    return unicodedata.normalize("NFC", " ".join(str(value or "").split())) or None


def lines(value: object) -> str | None:
    """Trimmed, one kind of line end: for notes on both sides."""
    text = str(value or "").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", text).strip() or None


def label(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return words(stored[0]) == words(held.get(name)) and held.get(name) != ""


def note(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return lines(stored[0]) == lines(held.get(name)) and held.get(name) != ""


def lower(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return (words(stored[0]) or "").lower() == (words(held.get(name)) or "").lower()


# --- keys, numbers, money ---------------------------------------------------------------------


def key_text(value: str | None) -> str | None:
    """Text of a foreign key; 0, -1 and NULL mean none."""
    return None if value is None or value in {"", "0", "-1"} else str(int(value))


def key(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return key_text(stored[0]) == held.get(name)


def number(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return (None if stored[0] in {None, ""} else int(stored[0] or 0)) == held.get(name)


def flag(stored: Stored, held: Held, name: str, place: Place) -> bool:
    wanted = None if stored[0] in {None, ""} else int(stored[0] or 0) != 0
    return held.get(name) is wanted


def flag_off(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """True in the CRM where the practice stores 0."""
    wanted = None if stored[0] in {None, ""} else int(stored[0] or 0) == 0
    return held.get(name) is wanted


_MONEY = re.compile(r"-?\d+\.\d\d")


def same_money(amount: Decimal | None, got: object) -> bool:
    """Two written digits and at most half a cent away (a tie may go either way)."""
    if amount is None:
        return got is None
    if not isinstance(got, str) or not _MONEY.fullmatch(got) or got == "-0.00":
        return False
    return abs(Decimal(got) - amount) <= Decimal("0.005")


def amount_of(value: str | None) -> Decimal | None:
    return Decimal(value) if value else None


def money(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return same_money(amount_of(stored[0]), held.get(name))


def production(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Fee x (units + base units)."""
    fee = amount_of(stored[0])
    units = int(stored[1] or 0) + int(stored[2] or 0)
    return same_money(None if fee is None else fee * units, held.get(name))


# --- days and moments -------------------------------------------------------------------------


def day_text(value: str | None) -> str | None:
    """A day of the calendar; any year before 1880 means none."""
    return None if not value or int(value[:4]) < 1880 else value[:10]


def day(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return day_text(stored[0]) == held.get(name)


def utc_text(wall: str | None, zone: ZoneInfo) -> str | None:
    """Wall time of the practice as UTC; in the autumn's double hour the first one is meant."""
    if day_text(wall) is None:
        return None
    moment = datetime.fromisoformat(str(wall)).replace(microsecond=0, tzinfo=zone, fold=0)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return utc_text(stored[0], place.zone) == held.get(name)


def happened(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Midnight sharp means "not yet" (arrived, seated, dismissed)."""
    wall = stored[0] or ""
    wanted = None if wall[11:] == "00:00:00" else utc_text(wall, place.zone)
    return wanted == held.get(name)


def wall(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """The wall time as stored, in ISO 8601."""
    wanted = None if day_text(stored[0]) is None else str(stored[0])[:19].replace(" ", "T")
    return wanted == held.get(name)


def clock(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return (stored[0][:5] if stored[0] else None) == held.get(name)


def moment_of_day(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """A day and a time of day from two columns."""
    if day_text(stored[0]) is None or not stored[1]:
        return held.get(name) is None
    hours, minutes = int(stored[1][:2]), int(stored[1][3:5])
    start = datetime.fromisoformat(str(stored[0])[:10])
    at = start + timedelta(hours=hours, minutes=minutes)
    return utc_text(at.isoformat(" ", "seconds"), place.zone) == held.get(name)


def zone_name(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == place.zone.key


# --- closed lists -----------------------------------------------------------------------------


def one_of(table: Mapping[str, str]) -> Rule:
    """A stored number or code by its word; an unknown one is "unknown" with its text beside it."""

    def rule(stored: Stored, held: Held, name: str, place: Place) -> bool:
        value = stored[0]
        if value is None or value == "":
            return name not in held
        word = table.get(value)
        if word is None:
            return held.get(name) == "unknown" and str(held.get(f"{name}_raw")) == value
        return held.get(name) == word and f"{name}_raw" not in held

    return rule


def numbered(*listed: str) -> dict[str, str]:
    """Words in the order of their numbers, from 0; "" leaves a number out."""
    return {str(n): word for n, word in enumerate(listed) if word}


# --- phones and addresses ---------------------------------------------------------------------

_EXTENSION = re.compile(r"(?:x|ext\.?|extension)\s*(\d+)\s*$", re.IGNORECASE)


def _digits(value: object) -> str:
    return "".join(sign for sign in str(value or "") if sign.isdecimal())


def phone(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Compared on digits. What E.164 leaves out (an extension, words) must be in the raw text."""
    text = words(stored[0])
    dialled, raw = held.get(name), held.get(f"{name}_raw")
    if text is None:
        return dialled is None and raw is None
    if raw is not None and words(raw) != text:
        return False
    if dialled is None:
        return raw is not None
    number_part = _EXTENSION.sub("", text)
    if number_part != text and raw is None:
        return False
    wanted, got = _digits(number_part).lstrip("0"), _digits(dialled)
    short = wanted.removeprefix("1") if len(wanted) > 10 else wanted
    is_e164 = str(dialled) == f"+{got}" and 8 <= len(got) <= 15
    return is_e164 and bool(short) and got.endswith(short) and len(got) - len(short) <= 3


def emails(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Every address typed is there, or the whole text is there as typed."""
    text = str(stored[0] or "").replace("\0", "")
    typed = {piece.lower() for piece in re.split(r"[;,\s]+", text) if piece}
    got_list = held.get(name, [])
    got = {str(address).lower() for address in got_list} if isinstance(got_list, list) else set()
    if not typed:
        return not got and "email_raw" not in held
    if got == typed:
        return "email_raw" not in held
    return got <= typed and words(held.get("email_raw")) == words(text)
