"""How records of the Dentrix and Eaglesoft layouts must look in the CRM, written a second time.

One plain statement a stream; nothing is shared with the agent's maps, contracts or reader. The
stand-in's own choices (units, time numbers, type numbers, the parking column) are repeated here.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b

import msgspec

from agent.sandbox.compare.rules import (
    Held,
    Place,
    Rule,
    Stored,
    amount_of,
    day_text,
    same_money,
    utc_text,
    words,
)

UNIT_MINUTES, STATUS_TYPE, OPERATORY_TYPE, PARKING = 5, 19, 1, "90"


class VendorField(msgspec.Struct, frozen=True):
    name: str
    rule: Rule
    columns: tuple[str, ...]


class VendorRules(msgspec.Struct, frozen=True):
    """``select``: every record of the stream, its key in the column ``key``; ``{o}`` stands before
    the names of tables. ``fields``: by the names of the statement's columns."""

    select: str
    key: str
    fields: tuple[VendorField, ...]


# --- keys -------------------------------------------------------------------------------------


def code(value: str | None) -> str | None:
    """A vendor's key as the number the CRM knows it by: whole numbers as they are, short printable
    text packed by its characters, the rest by a digest; case is as written."""
    text = (value or "").rstrip()
    if not text:
        return None
    if text.isdecimal() and (text == "0" or text[0] != "0") and len(text) <= 18:
        return text
    if len(text) <= 9 and all(" " <= sign <= "~" for sign in text):
        number = 0
        for sign in text.ljust(9, "\x1f"):
            number = number * 96 + ord(sign) - 31
        return str(2**62 + number)
    digest = blake2b(text.encode("utf-8"), digest_size=8).digest()
    return str(2**61 + (int.from_bytes(digest, "big") >> 4))


def key(stored: Stored, held: Held, name: str, place: Place) -> bool:
    found = code(stored[0])
    return held.get(name) == (None if found == "0" else found)


def keys(stored: Stored, held: Held, name: str, place: Place) -> bool:
    found = code(stored[0])
    return held.get(name, []) == ([] if found in {None, "0"} else [found])


# --- rules of more than one column ------------------------------------------------------------


def always(value: object) -> Rule:
    def rule(stored: Stored, held: Held, name: str, place: Place) -> bool:
        return held.get(name) == value

    return rule


def money(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return same_money(amount_of(stored[0]), held.get(name))


def _extra(rule: Callable[[Stored, Held], bool]) -> Rule:
    def judge(stored: Stored, held: Held, name: str, place: Place) -> bool:
        extra = held.get("extra", {})
        return rule(stored, extra if isinstance(extra, Mapping) else {})

    return judge


def extra(name: str) -> Rule:
    """Text of a gathered field; keys and dates are texts of their own."""
    return _extra(lambda stored, held: words(stored[0]) == words(held.get(name)))


def extra_key(name: str) -> Rule:
    def judge(stored: Stored, held: Held) -> bool:
        found = code(stored[0])
        return held.get(name) == (None if found == "0" else found)

    return _extra(judge)


def extra_money(name: str) -> Rule:
    return _extra(lambda stored, held: same_money(amount_of(stored[0]), held.get(name)))


def _wall_start(stored: Stored) -> str | None:
    if day_text(stored[0]) is None or not stored[1] or not stored[2]:
        return None
    return f"{str(stored[0])[:10]} {int(stored[1]):02d}:{int(stored[2]):02d}:00"


def parted_start(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == utc_text(_wall_start(stored), place.zone)


def parted_local(stored: Stored, held: Held, name: str, place: Place) -> bool:
    start = _wall_start(stored)
    return held.get(name) == (start and start.replace(" ", "T"))


def parted_end(stored: Stored, held: Held, name: str, place: Place) -> bool:
    start = _wall_start(stored)
    if start is None or not stored[3] or stored[3] == "0":
        return name not in held
    end = datetime.fromisoformat(start) + timedelta(minutes=UNIT_MINUTES * int(stored[3]))
    return held.get(name) == utc_text(end.isoformat(" "), place.zone)


def units(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == (int(stored[0] or 0) * UNIT_MINUTES or None)


def _of_day(number: str | None) -> str | None:
    return None if not number else f"{int(number) // 60:02d}:{int(number) % 60:02d}"


def numbered_time(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """A day, and minutes since its midnight."""
    if day_text(stored[0]) is None or not stored[1]:
        return name not in held
    at = f"{str(stored[0])[:10]} {_of_day(stored[1])}:00"
    return held.get(name) == utc_text(at, place.zone)


def numbered_clock(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == _of_day(stored[0])


def clock_of_stamp(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == (stored[0][11:16] if stored[0] else None)


def minutes_between(stored: Stored, held: Held, name: str, place: Place) -> bool:
    if not stored[0] or not stored[1]:
        return name not in held
    took = datetime.fromisoformat(stored[1]) - datetime.fromisoformat(stored[0])
    return held.get(name) == int(took.total_seconds()) // 60


def dentrix_status(stored: Stored, held: Held, name: str, place: Place) -> bool:
    status, broken, pinboard = (int(value or 0) for value in stored)
    wanted = "scheduled"
    if broken:
        wanted = "broken"
    elif pinboard:
        wanted = "unscheduled"
    elif status % 256 == 150:
        wanted = "complete"
    return held.get(name) == wanted


def unsigned(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == (str(int(stored[0]) % 256) if stored[0] else None)


def unfiled(stored: Stored, held: Held, name: str, place: Place) -> bool:
    named = words(stored[0]) if (stored[1] or "0") == "0" else None
    shown = held.get("extra", {})
    return named == (shown.get("unfiled_name") if isinstance(shown, Mapping) else None)


def eaglesoft_status(stored: Stored, held: Held, name: str, place: Place) -> bool:
    chair, walked_out = stored
    if chair == PARKING:
        return held.get(name) == "unscheduled"
    return held.get(name) == ("complete" if walked_out else "scheduled")


def eaglesoft_confirmation(stored: Stored, held: Held, name: str, place: Place) -> bool:
    arrived, confirmed = stored
    wanted = "arrived" if arrived else "confirmed" if confirmed else "unconfirmed"
    return held.get(name) == wanted


def is_parking(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] == PARKING)


def no_parking(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] != PARKING)


def head_money(stored: Stored, held: Held, name: str, place: Place) -> bool:
    amount, head, own = stored
    return same_money(amount_of(amount) if head == own else None, held.get(name))


def is_head(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] == stored[1])


def role(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == ("head" if stored[0] == stored[1] else "member")


def answer(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) == {"Y": "granted", "N": "denied"}.get(stored[0] or "", "unknown")


def is_no(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] == "N")


def is_hygienist(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return (held.get(name) is True) == (stored[0] == "Hygienist")


def fields(*entries: tuple[Rule, str]) -> tuple[VendorField, ...]:
    """(rule, "field=column+column field column"): a bare name is field and column."""
    found = []
    for rule, spec in entries:
        for word in spec.split():
            name, _, named = word.partition("=")
            found.append(VendorField(name, rule, tuple((named or name).split("+"))))
    return tuple(found)
