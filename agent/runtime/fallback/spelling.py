"""Cells of a sheet in the canonical spelling: phones, dates, words as people write them. Pure.

Raises ``Bad`` (a field, a code); never carries the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from agent.csvio.cells import is_scientific
from agent.csvio.heads import fold
from agent.model.entities.words import ContactMethod, Gender, MaritalStatus
from agent.sync import normalize, payloads

_GENDER = {
    "m": "male", "male": "male", "man": "male", "hombre": "male", "masculino": "male",
    "f": "female", "female": "female", "woman": "female", "mujer": "female",
    "femenino": "female", "x": "other", "other": "other", "otro": "other",
    "not stated": "not_stated", "unspecified": "not_stated",
}  # fmt: skip
_STATUS = {
    "scheduled": "scheduled", "booked": "scheduled", "programada": "scheduled",
    "cancelled": "broken", "canceled": "broken", "broken": "broken", "cancelada": "broken",
    "no show": "missed", "missed": "missed", "no asistio": "missed",
}  # fmt: skip
_CONFIRMATION = {
    "confirmed": "confirmed", "yes": "confirmed", "confirmada": "confirmed", "si": "confirmed",
    "unconfirmed": "unconfirmed", "no": "unconfirmed", "declined": "declined",
    "contacted": "contacted", "rechazada": "declined", "arrived": "arrived",
}  # fmt: skip
_DAY = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{2,4})")
_TIME = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s*([ap])?\.?\s*m?\.?", re.IGNORECASE)
_SPAN = re.compile(
    r"(\d{1,3}) ?(m|mo|months?|meses|mes|y|years?|anos?|w|weeks?|semanas?|d|days?|dias?)"
)
_UNITS = {"m": "M", "y": "Y", "a": "Y", "w": "W", "s": "W", "d": "D"}
_FLAG = dict.fromkeys(("yes", "y", "true", "1", "x", "si"), "true") | dict.fromkeys(
    ("no", "n", "false", "0"), "false"
)
PHONES = frozenset({"phone_mobile", "phone_home", "phone_work"})
_NAMES = frozenset({"last_name", "first_name", "middle_name", "preferred_name", "title"})


class Bad(Exception):
    """A cell that cannot be read."""

    def __init__(self, field: str, code: str = "sheet.bad_value") -> None:
        self.field, self.code = field, code
        super().__init__(field)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a column's cells are. ``known``: words people write, folded -> ours; ``own``: ours."""

    kind: str
    known: Mapping[str, str] = field(default_factory=dict)
    own: type[StrEnum] | None = None

    TEXT: ClassVar[Cell]
    MOMENT: ClassVar[Cell]
    DAY: ClassVar[Cell]
    PERIOD: ClassVar[Cell]
    KEY: ClassVar[Cell]
    FLAG: ClassVar[Cell]
    SOURCE: ClassVar[Cell]

    @classmethod
    def words(cls, known: Mapping[str, str], own: type[StrEnum] | None = None) -> Cell:
        return cls("words", known, own)


Cell.TEXT, Cell.MOMENT, Cell.DAY = Cell("text"), Cell("moment"), Cell("day")
Cell.PERIOD, Cell.KEY, Cell.FLAG = Cell("period"), Cell("key"), Cell("flag")
Cell.SOURCE = Cell("source")


class Spelling:
    """``day_first``: 3/4 is the third of April; ``zone``: of times without one."""

    def __init__(self, *, zone: str, day_first: bool = False, phone_region: str = "US") -> None:
        self._zone = ZoneInfo(zone or "UTC")
        self._day_first = day_first
        self._phone = normalize.Phone(phone_region)
        self._email = normalize.Email()

    def patient(self, field: str, text: str) -> Any:
        """The canonical value of a patient's field; ``text`` is not empty."""
        if is_scientific(text):
            raise Bad(field, "sheet.digits_lost")
        if field in PHONES:
            return self._phone_of(field, text)
        if field == "emails":
            found, raw = self._email(text)
            if raw is not None or not found:
                raise Bad(field)
            return list(found)
        if field == "birthdate":
            return self.day(field, text).isoformat()
        if field in _NAMES:
            return normalize.name(text)
        if field == "gender":
            return _word(field, text, _GENDER, Gender)
        if field == "marital_status":
            return _word(field, text, {}, MaritalStatus)
        if field.startswith("preferred_") and field != "preferred_name":
            return _word(field, text, {}, ContactMethod)
        if field == "language":
            return normalize.language(text)
        return normalize.text(text)

    def cell(self, field: str, text: str, what: Cell) -> Any:
        """The canonical value of a cell; ``text`` is not empty."""
        if is_scientific(text):
            raise Bad(field, "sheet.digits_lost")
        match what.kind:
            case "moment":
                return self.start(text, "", "")
            case "day":
                return self.day(field, text).isoformat()
            case "period":
                return _period(field, text)
            case "key":
                return str(payloads.as_key(text, field))
            case "flag":
                return _word(field, text, _FLAG, ()) == "true"
            case "source":  # ``Web form: implants`` as ``web_form: implants``
                head, colon, rest = text.partition(":")
                return f"{fold(head).replace(' ', '_')}{colon}{rest}"[:200]
            case "words":
                return _word(field, text, what.known, what.own or ())
            case _:
                return normalize.text(text)

    def day(self, field: str, text: str) -> date:
        """ISO, or with slashes in the file's order; two-digit years lie in the past."""
        found = _DAY.match(text)
        if not found:
            raise Bad(field, "sheet.bad_date")
        first, second, third = found[1], found[2], found[3]
        if len(first) == 4:
            year, month, day = int(first), int(second), int(third)
        else:
            month, day = int(first), int(second)
            if self._day_first:
                month, day = day, month
            year = int(third)
            if len(third) == 2:
                today = datetime.now(self._zone).date()
                year += 2000 if year + 2000 <= today.year else 1900
        try:
            return date(year, month, day)
        except ValueError:
            raise Bad(field, "sheet.bad_date") from None

    def start(self, text: str, day: str, time: str) -> str:
        """``YYYY-MM-DDTHH:MM:SSZ`` of one cell, or of a day and a time in two."""
        if text:
            try:
                at = datetime.fromisoformat(text)
            except ValueError:
                day_text, _, time = text.partition(" ")
                return self._at(self.day("start", day_text), time)
            if at.tzinfo is None:
                at = at.replace(tzinfo=self._zone)
            return _spelled(at)
        if not day or not time:
            raise Bad("start", "sheet.missing")
        return self._at(self.day("date", day), time)

    def minutes(self, text: str) -> int:
        found = re.fullmatch(r"(\d{1,3})(?:\s*(?:min|minutes|minutos)?\.?)?", text.strip())
        if not found or not 5 <= int(found[1]) <= 540:
            raise Bad("minutes")
        return -(-int(found[1]) // 5) * 5

    def status(self, text: str) -> str:
        return _word("status", text, _STATUS, ())

    def confirmation(self, text: str) -> str:
        return _word("confirmation_category", text, _CONFIRMATION, ())

    def _at(self, day: date, time: str) -> str:
        found = _TIME.fullmatch(time.strip())
        if not found:
            raise Bad("time", "sheet.bad_date")
        hour, minute = int(found[1]), int(found[2] or 0)
        half = (found[3] or "").lower()
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        try:
            at = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self._zone)
        except ValueError:
            raise Bad("time", "sheet.bad_date") from None
        return _spelled(at)

    def _phone_of(self, field: str, text: str) -> str:
        text = re.sub(r"^(\d{10,15})\.0$", r"\1", text)  # a number that went through Excel
        e164, raw = self._phone(text)
        if e164 is None and re.fullmatch(r"\d{11,15}", text):
            e164, raw = self._phone("+" + text)  # Excel drops the plus
        if e164 is None or raw is not None:
            raise Bad(field, "sheet.bad_phone")
        return e164


def _period(field: str, text: str) -> str:
    """``P6M``, or ``6 months`` as people write it."""
    found = _SPAN.fullmatch(fold(text))
    return payloads.period(f"P{found[1]}{_UNITS[found[2][0]]}" if found else text.upper(), field)


def custom_value(text: str) -> str:
    return normalize.text(text) or ""


def pairs(text: str) -> dict[str, str]:
    """A ``custom`` column of our own export."""
    try:
        found = json.loads(text)
    except ValueError:
        raise Bad("custom") from None
    if not isinstance(found, dict):
        raise Bad("custom")
    return {str(name): str(value) for name, value in found.items()}


def day_first_of(texts: Iterable[str]) -> bool | None:
    """What the dates of a column say themselves: a first part above 12 is a day. None: nothing."""
    for text in texts:
        found = _DAY.match(text)
        if found and len(found[1]) <= 2:
            if int(found[1]) > 12:
                return True
            if int(found[2]) > 12:
                return False
    return None


def _word(
    field: str,
    text: str,
    words: Mapping[str, str],
    own: Iterable[Any],
    tidy: Callable[..., str] = fold,
) -> str:
    said = tidy(text)
    if said in words:
        return words[said]
    for word in own:
        if said == word.value.replace("_", " ") and word.value != "unknown":
            return str(word.value)
    raise Bad(field, "sheet.bad_word")


def _spelled(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
