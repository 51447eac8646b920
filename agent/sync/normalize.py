"""One value at a time: text of the PMS into the canonical text. Pure; no I/O, no state but memos.

Every function takes text (or None), returns the canonical value or None for "nothing there", and
raises ValueError on what it cannot read; the caller parks that one row. Errors carry no values.
Column-at-a-time use of these lives in ``agent.sync.transforms``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from datetime import date as calendar_date
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import cache
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

import phonenumbers
from email_validator import EmailNotValidError, validate_email

EMPTY_BEFORE = "1880"  # the PMS reads any earlier year as "no date"; 0000 and 0001 are the usual
PART = "\x1f"  # between the parts of one item of a 1:N value
ITEM = "\x1e"  # between items

_CENT = Decimal("0.01")
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)  # more digits than any text of a double

_K = TypeVar("_K")
_V = TypeVar("_V")


class Memo(dict[_K, _V], Generic[_K, _V]):
    """A bounded cache whose ``__getitem__`` runs in C on a hit: the heart of every column pass.

    When full it starts afresh, which is cheaper than keeping an order. Safe to share between
    threads: the worst race computes a value twice.
    """

    __slots__ = ("_bound", "_make")

    def __init__(self, make: Callable[[_K], _V], bound: int = 16_384) -> None:
        super().__init__()
        self._make = make
        self._bound = bound

    def __missing__(self, key: _K) -> _V:
        value = self._make(key)
        if len(self) >= self._bound:
            self.clear()
        self[key] = value
        return value


def text(value: str | None) -> str | None:
    r"""Trimmed, without NUL, ``\r\n`` and lone ``\r`` as ``\n``; other signs stay as they are."""
    if not value:
        return None
    if "\r" in value or "\0" in value:
        value = value.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return value.strip() or None


def name(value: str | None) -> str | None:
    """Trimmed, inner white space collapsed, Unicode NFC. Capitals stay as the office typed them."""
    if not value:
        return None
    joined = " ".join(value.replace("\0", "").split())
    if not joined.isascii():
        joined = unicodedata.normalize("NFC", joined)
    return joined or None


def key(value: str | None) -> str | None:
    """A foreign key; 0 and -1 mean none (``open-dental.md`` 3.1)."""
    return None if value in _NO_KEY else value


_NO_KEY = frozenset({None, "", "0", "-1"})


def integer(value: str | None) -> int | None:
    return int(value) if value else None


def boolean(value: str | None) -> bool | None:
    return int(value) != 0 if value else None


def is_zero(value: str | None) -> bool | None:
    return int(value) == 0 if value else None


def money(value: str | None) -> str | None:
    """Two decimals, half to even on the written digits: "2.675" -> "2.68", "-0" -> "0.00"."""
    if not value:
        return None
    return cents(decimal(value))


def decimal(value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not amount.is_finite():
        raise ValueError("not a number")
    return amount


def cents(amount: Decimal) -> str:
    try:
        rounded = amount.quantize(_CENT, context=_EXACT)
    except InvalidOperation:
        raise ValueError("number out of range") from None
    return f"{rounded or abs(rounded):f}"


def multiply(amount: str | None, *factors: str | None) -> str | None:
    """``amount`` times the sum of ``factors``, in cents."""
    if not amount:
        return None
    return cents(decimal(amount) * sum(int(f) if f else 0 for f in factors))


def date(value: str | None) -> str | None:
    """A calendar date; the time of a datetime column is dropped. Years before 1880 are "none"."""
    if not value or value < EMPTY_BEFORE:
        return None
    day = value[:10]
    if len(day) != 10 or day[4] != "-" or day[7] != "-":
        raise ValueError("not a date")
    calendar_date.fromisoformat(day)
    return day


def clock_text(value: str | None) -> str | None:
    """A time of day as HH:MM; empty and midnight alone carry no wish, but are kept as 00:00."""
    if not value:
        return None
    return _hours_minutes(value)


_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?")


def _hours_minutes(value: str) -> str:
    found = _CLOCK.fullmatch(value)
    if not found or int(found[1]) > 24 or int(found[2]) > 59:
        raise ValueError("not a time of day")
    return f"{found[1]}:{found[2]}"


_MIDNIGHT = "00:00:00"

_Hours = dict[str, tuple[int, str]]


def _shifted_hours(offset: int) -> _Hours:
    """Local hour "HH" -> (day shift, UTC hour "HH") at an offset of whole hours."""
    return {f"{h:02d}": ((h - offset) // 24, f"{(h - offset) % 24:02d}") for h in range(24)}


_HOURS = {offset: _shifted_hours(offset) for offset in range(-14, 15)}


class LocalTime:
    """Wall time of one zone, "YYYY-MM-DD HH:MM:SS", -> UTC text "YYYY-MM-DDTHH:MM:SSZ".

    A wall time inside the spring gap is read with the offset before the change, which moves it
    forward by the gap; inside the autumn overlap the first occurrence is meant (fold 0). Fractions
    of a second are dropped.

    The hour decides: within an hour without a change of offset, minutes and seconds stay as they
    are (whole-hour offsets). So each distinct hour is worked out once and columns are put together
    from the hour's text and the rest. Other hours and odd spellings go the long way, cell by cell.
    """

    _TAILS = {f":{m:02d}:{s:02d}": f":{m:02d}:{s:02d}Z" for m in range(60) for s in range(60)}  # noqa: RUF012 - constant

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._info = ZoneInfo(zone)
        #: "YYYY-MM-DD HH" -> "YYYY-MM-DDTHH" in UTC; "" for no date; None: take the long way
        self._hours: Memo[str, str | None] = Memo(self._hour, 8_192)
        self._days: Memo[str, tuple[_Hours, tuple[str, str, str]] | None] = Memo(self._day, 4_096)
        self._ends: Memo[tuple[str, int], str | None] = Memo(self._clock_after, 4_096)

    # one value

    def utc(self, value: str | None) -> str | None:
        if not value or value < EMPTY_BEFORE:
            return None
        moment = datetime.fromisoformat(value).replace(tzinfo=self._info, microsecond=0, fold=0)
        return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"

    def wall(self, value: str | None) -> str | None:
        """The same wall time, ISO 8601, without a zone."""
        if not value or value < EMPTY_BEFORE:
            return None
        return datetime.fromisoformat(value).replace(microsecond=0).isoformat()

    def at(self, day: str | None, clock: str | None) -> str | None:
        """Date and time of day from two columns, in UTC; 24:00 is the next midnight."""
        if not day or not clock or day < EMPTY_BEFORE:
            return None
        if clock.startswith("24:"):
            late = datetime.fromisoformat(day[:10]) + timedelta(days=1, minutes=int(clock[3:5]))
            return self.utc(late.isoformat(" "))
        return self.utc(f"{day[:10]} {clock}")

    # a column

    def utc_column(self, column: Sequence[str | None]) -> list[str | None]:
        hours, tails = self._hours, self._TAILS
        cells = [cell or "" for cell in column]
        try:
            heads = [hours[cell[:13]] for cell in cells]
            return [
                head + tails[cell[13:]] if head else None if head == "" else self.utc(cell)
                for head, cell in zip(heads, cells, strict=True)
            ]
        except KeyError:  # a fraction, or no seconds: none of ours, but the long way may read it
            return [self.utc(cell) for cell in cells]

    def wall_column(
        self, moments: Sequence[str | None], column: Sequence[str | None]
    ) -> list[str | None]:
        """Wall times as stored, where ``moments`` (the column in UTC, hence checked) has one."""
        return [
            None
            if not moment or not cell
            else f"{cell[:10]}T{cell[11:19]}"
            if len(cell) > 18
            else self.wall(cell)
            for moment, cell in zip(moments, column, strict=True)
        ]

    def happened_column(self, column: Sequence[str | None]) -> list[str | None]:
        """UTC, but midnight sharp means "not yet" (arrival times, ``open-dental.md`` 1.2)."""
        happened = [v if v and v[11:] != _MIDNIGHT else None for v in column]
        return self.utc_column(happened) if any(happened) else happened

    def end_column(self, starts: Sequence[str | None], minutes: Iterable[int]) -> list[str | None]:
        """``starts`` (UTC text) plus minutes of elapsed time; no minutes, no end."""
        ends, later = self._ends, self._later
        return [
            start[:11] + clock + start[16:]
            if start and length and (clock := ends[start[11:16], length])
            else later(start, length)
            for start, length in zip(starts, minutes, strict=True)
        ]

    def _hour(self, head: str) -> str | None:
        if head < EMPTY_BEFORE:
            return ""
        day = self._days[head[:10]] if len(head) == 13 and head[10] == " " else None
        if day is None or head[11:] not in day[0]:
            return None
        shift, hour = day[0][head[11:]]
        return day[1][shift] + hour

    def _day(self, day: str) -> tuple[_Hours, tuple[str, str, str]] | None:
        """The day's hours in UTC with the day before, or None if its offset is not one whole hour.

        Noon is probed too; nothing changes twice within a day and comes back by noon.
        """
        if day[4:5] != "-" or day[7:8] != "-":
            raise ValueError("not a date")
        first = datetime.fromisoformat(day)
        after, before = first + timedelta(days=1), first - timedelta(days=1)
        offsets = {
            at.replace(tzinfo=self._info).utcoffset()
            for at in (first, first + timedelta(hours=12), after)
        }
        offset = offsets.pop()
        if offsets or offset is None or offset % timedelta(hours=1):
            return None
        hours = _HOURS[offset // timedelta(hours=1)]
        # A shift of -1 indexes the last: the day before.
        return hours, (first.isoformat()[:11], after.isoformat()[:11], before.isoformat()[:11])

    @staticmethod
    def _clock_after(start: tuple[str, int]) -> str | None:
        """("09:30", 50) -> "10:20"; None when the day ends before."""
        clock, length = start
        total = int(clock[:2]) * 60 + int(clock[3:]) + length
        return f"{total // 60:02d}:{total % 60:02d}" if total < 24 * 60 else None

    @staticmethod
    def _later(start: str | None, minutes: int) -> str | None:
        if not start or not minutes:
            return None
        return f"{(datetime.fromisoformat(start[:19]) + timedelta(minutes=minutes)).isoformat()}Z"


def minutes(pattern: str | None) -> int | None:
    """A time pattern has one sign per five minutes."""
    return len(pattern) * 5 if pattern else None


def interval(value: str | None) -> str | None:
    """days | weeks<<8 | months<<16 | years<<24 -> ISO 8601 period; 0 is none."""
    packed = int(value or 0)
    if packed < 0:
        raise ValueError("not an interval")
    if not packed:
        return None
    parts = ((packed >> 24, "Y"), (packed >> 16 & 255, "M"), (packed >> 8 & 255, "W"),
             (packed & 255, "D"))  # fmt: skip
    return "P" + "".join(f"{n}{unit}" for n, unit in parts if n)


def language(value: str | None) -> str | None:
    return (text(value) or "").lower() or None


class Phone:
    """Phone text -> (E.164 or None, raw or None).

    E.164 when the library finds the number valid in ``region``. The raw text stays beside it when
    there is no such number, or when E.164 cannot say all of it (an extension).

    North American ten-digit numbers, nearly all, take a short cut: the library's own metadata of
    the whole numbering plan as one expression (tests hold the two ways against each other).
    """

    _TEN = re.compile(
        r"(?:\+?1[ .-]?)?(?:\(([2-9][0-9]{2})\) ?|([2-9][0-9]{2})[.-]?)"
        r"([2-9][0-9]{2})[.-]?([0-9]{4})"
    )

    def __init__(self, region: str = "US") -> None:
        self.region = region
        is_north_american = region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1]
        self._plan = _north_american_plan() if is_north_american else None

    def __call__(self, value: str | None) -> tuple[str | None, str | None]:
        if not value or not (value := value.strip()):
            return _NO_PHONE
        if self._plan is None:
            return self.parse(value)
        if len(value) == 13 and value[0] == "(" and value[4] == ")" and value[8] == "-":
            digits = value[1:4] + value[5:8] + value[9:]  # as the PMS itself formats them
            if self._plan.fullmatch(digits):
                return f"+1{digits}", None
        found = self._TEN.fullmatch(value)
        if found is None:
            return self.parse(value)
        digits = (found[1] or found[2]) + found[3] + found[4]
        return (f"+1{digits}", None) if self._plan.fullmatch(digits) else (None, value)

    def parse(self, value: str) -> tuple[str | None, str | None]:
        """The long way: the library alone. Words around one number ("cell") do not hide it."""
        number = self._number(value)
        if number is None:
            return None, text(value)
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        return e164, text(value) if number.extension or has_words(value) else None

    def _number(self, value: str) -> phonenumbers.PhoneNumber | None:
        try:
            number = phonenumbers.parse(value, self.region)
            if phonenumbers.is_valid_number(number):
                return number
        except phonenumbers.NumberParseException:
            pass
        if not has_words(value):
            return None
        found = list(phonenumbers.PhoneNumberMatcher(value, self.region))
        return found[0].number if len(found) == 1 else None


_NUMBER_KINDS = (
    "fixed_line mobile toll_free premium_rate shared_cost personal_number voip pager uan voicemail"
)


@cache
def _north_american_plan() -> re.Pattern[str]:
    """Every valid national number of country code 1, out of the library's metadata."""
    patterns: dict[str, None] = {}
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1]:
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
        for kind in _NUMBER_KINDS.split():
            described = getattr(metadata, kind, None)
            if described is not None and described.national_number_pattern:
                patterns[f"(?:{described.national_number_pattern})"] = None
    return re.compile("|".join(patterns), re.ASCII)


_NO_PHONE: tuple[None, None] = (None, None)
_WORDS = re.compile(r"[^\W\d_]{2,}")


def has_words(value: str) -> bool:
    """More than digits and signs was typed ("call after 5"); it must not get lost."""
    return _WORDS.search(value) is not None


class Email:
    """Text of an address field -> (addresses, raw or None).

    Several addresses are split on ``;``, ``,`` and white space. Each is judged by the library
    (syntax only, nothing is looked up) and its domain lower-cased. If any piece is no address the
    whole text stays as raw. Plain ASCII addresses ask the library once per domain.
    """

    _PLAIN = re.compile(r"([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@([A-Za-z0-9.-]+)")
    _SPLIT = re.compile(r"[;,\s]+")

    def __init__(self) -> None:
        self._domains: Memo[str, str | None] = Memo(self._domain, 4_096)

    def __call__(self, value: str | None) -> tuple[tuple[str, ...], str | None]:
        if not value:
            return _NO_EMAIL
        one = self._plain(value)
        if one:
            return (one,), None
        pieces = [piece for piece in self._SPLIT.split(value.replace("\0", "")) if piece]
        if not pieces:
            return _NO_EMAIL
        found = [self._plain(piece) or self.parse(piece) for piece in pieces]
        good = tuple(dict.fromkeys(address for address in found if address))
        return good, None if all(found) else text(value)

    @staticmethod
    def parse(value: str) -> str | None:
        """The long way: the library alone."""
        try:
            return validate_email(value, check_deliverability=False).normalized
        except EmailNotValidError:
            return None

    def _plain(self, value: str) -> str | None:
        found = self._PLAIN.fullmatch(value)
        if not found or len(found[1]) > 64:
            return None
        domain = self._domains[found[2]]
        if domain is None or len(found[1]) + len(domain) > 250:
            return None
        return f"{found[1]}@{domain}"

    def _domain(self, domain: str) -> str | None:
        address = self.parse(f"a@{domain}")
        return address[2:] if address else None


_NO_EMAIL: tuple[tuple[()], None] = ((), None)
