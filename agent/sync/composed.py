"""Words of the data map that put a field together from several columns, or from none. Pure.

They came with the systems read over ODBC, which keep a visit's start in three columns, a state in
four, and numbers whose unit only the site can tell. What the site must tell stands in the map as
``@name`` and is filled in from the settings before the map is parsed (``maprows.fill_in``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from agent.sync import normalize
from agent.sync.normalize import Memo
from agent.sync.wordbase import (
    KEY,
    UNKNOWN,
    Run,
    Same,
    Spot,
    Transform,
    TransformError,
    Values,
    Word,
)

MINUTES_A_DAY = 24 * 60


def _across(make: Callable[..., Any], bound: int = 16_384) -> Run:
    """A pass over several columns, row by row, each distinct row worked out once."""
    memo: Memo[tuple[str | None, ...], Any] = Memo(lambda row: make(*row), bound)
    look = memo.__getitem__
    return lambda *columns: list(map(look, zip(*columns, strict=True)))


def _columns(spot: Spot, count: int) -> list[str]:
    named = [name.strip() for name in spot.argument.split(",")]
    if len(named) != count or not all(named):
        raise TransformError(f"wants {count} comma-separated names")
    return named


# --- moments from parts -----------------------------------------------------------------------


def wall_of(day: str | None, hour: str | None, minute: str | None) -> str | None:
    """``YYYY-MM-DD HH:MM:00`` from a date and two whole numbers; None where one is missing.

    Raises ValueError for what is no time of day.
    """
    calendar = normalize.date(day)
    if calendar is None or not hour or not minute:
        return None
    at = int(hour), int(minute)
    if not (0 <= at[0] < 24 and 0 <= at[1] < 60):
        raise ValueError("not a time of day")
    return f"{calendar} {at[0]:02d}:{at[1]:02d}:00"


def _day_time(spot: Spot) -> Transform:
    hour, minute = _columns(spot, 2)
    utc = spot.toolbox.local.utc
    return Transform(_across(lambda *parts: utc(wall_of(*parts))), more=(hour, minute))


def _day_time_text(spot: Spot) -> Transform:
    hour, minute = _columns(spot, 2)
    wall = spot.toolbox.local.wall
    return Transform(_across(lambda *parts: wall(wall_of(*parts))), more=(hour, minute))


def _unit(text: str) -> int:
    """Minutes one unit stands for; 0 while the site has not said it."""
    if not text.strip():
        return 0
    try:
        return int(text)
    except ValueError:
        raise TransformError("the unit is a whole number of minutes") from None


def _day_end(spot: Spot) -> Transform:
    hour, minute, length = _columns(spot, 3)
    length, _, unit_text = length.partition("*")
    unit, local = _unit(unit_text), spot.toolbox.local

    def end(day: str | None, hour: str | None, minute: str | None, long: str | None) -> str | None:
        start = wall_of(day, hour, minute)
        if start is None or not long or not unit or int(long) <= 0:
            return None
        # Wall time: a visit over the night the clocks change keeps the office's length.
        done = datetime.fromisoformat(start) + timedelta(minutes=int(long) * unit)
        return local.utc(done.isoformat(" "))

    return Transform(_across(end), more=(hour, minute, length))


def _units(spot: Spot) -> Transform:
    unit = _unit(spot.argument)

    def minutes(value: str | None) -> int | None:
        return int(value) * unit or None if value and unit else None

    return Transform(_across(minutes, 1024), gives_text=False)


def _span(spot: Spot) -> Transform:
    (end,) = _columns(spot, 1)
    wall = spot.toolbox.local.wall

    def minutes(first: str | None, last: str | None) -> int | None:
        begin, done = wall(first), wall(last)
        if begin is None or done is None:
            return None
        took = datetime.fromisoformat(done) - datetime.fromisoformat(begin)
        return max(int(took.total_seconds()) // 60, 0)

    return Transform(_across(minutes), more=(end,), gives_text=False)


# --- times of day kept as one whole number ----------------------------------------------------


def clock_of(value: str | None, how: str) -> str | None:
    """``HH:MM:SS`` of a whole number. ``how``: minutes | seconds since midnight, hhmm, "" unknown.

    Raises ValueError for a number no day has.
    """
    if not value or not how:
        return None
    number = int(value)
    match how:
        case "minutes":
            minute, second = number, 0
        case "seconds":
            minute, second = divmod(number, 60)
        case _:
            hours, rest = divmod(number, 100)
            if rest > 59:
                raise ValueError("not a time of day")
            minute, second = hours * 60 + rest, 0
    if not 0 <= minute < MINUTES_A_DAY:
        raise ValueError("not a time of day")
    return f"{minute // 60:02d}:{minute % 60:02d}:{second:02d}"


def _encoding(text: str) -> str:
    if text.strip() not in {"", "minutes", "seconds", "hhmm"}:
        raise TransformError("times are minutes, seconds or hhmm")
    return text.strip()


def _int_at(spot: Spot) -> Transform:
    named = spot.argument.split(",")
    if len(named) != 2 or not named[0]:
        raise TransformError("wants the time column and how it is kept")
    how, at = _encoding(named[1]), spot.toolbox.local.at
    return Transform(_across(lambda day, clock: at(day, clock_of(clock, how))), more=(named[0],))


def _int_clock(spot: Spot) -> Transform:
    how = _encoding(spot.argument)

    def clock(value: str | None) -> str | None:
        found = clock_of(value, how)
        return found and found[:5]

    return Transform(_across(clock, 4096))


def _wall_clock(spot: Spot) -> Transform:
    wall = spot.toolbox.local.wall

    def clock(value: str | None) -> str | None:
        found = wall(value)
        return found and found[11:16]

    return Transform(_across(clock, 8_192))


# --- words from several columns ---------------------------------------------------------------

_CONDITION = re.compile(r"(?P<column>[\w.]+) ?(?P<sign>!=|=|~|\*|in )(?P<value>[^?]*)")
Holds = Callable[[str | None], bool]


def _holds(sign: str, wanted: str) -> Holds:
    """A value of None or "" has no value: only ``!=`` could tell it from one, and does not."""
    match sign:
        case "=":
            return lambda value: value == wanted
        case "!=":
            return lambda value: bool(value) and value != wanted
        case "~":  # the same code whether the byte was read signed or not
            code = int(wanted) & 0xFF
            return lambda value: bool(value) and int(value or 0) & 0xFF == code
        case "*":
            return bool
        case _:
            listed = frozenset(filter(None, re.split(r"[|,\s]+", wanted)))
            return lambda value: value in listed


def _cases(spot: Spot) -> Transform:
    rules: list[tuple[str, Holds, str]] = []
    otherwise: str | None = None
    for entry in spot.argument.split(";"):
        condition, mark, word = entry.rpartition("?")
        if not mark:
            otherwise = word
            continue
        found = _CONDITION.fullmatch(condition)
        if found is None or not word:
            raise TransformError("wants column=value?word;...;word")
        rules.append((found["column"], _holds(found["sign"].strip(), found["value"]), word))
    columns = list(dict.fromkeys(column for column, _, _ in rules))
    plan = [(columns.index(column), holds, word) for column, holds, word in rules]

    def choose(_own: str | None, *values: str | None) -> str | None:
        return next((word for at, holds, word in plan if holds(values[at])), otherwise)

    words = frozenset({*(word for _, _, word in rules), *([otherwise] if otherwise else [])})
    return Transform(_across(choose, 4096), more=tuple(columns), words=words)


def _flag_cases(spot: Spot) -> Transform:
    """``cases`` whose words are true and false."""
    chosen = _cases(spot)
    if not chosen.words <= {"true", "false"}:
        raise TransformError("the words are true and false")
    said = {"true": True, "false": False, None: None}

    def run(*columns: Values) -> Iterable[Any]:
        made = chosen.run(*columns)
        assert not isinstance(made, Same)
        return [said[word] for word in made]

    return Transform(run, more=chosen.more, gives_text=False)


def _always(spot: Spot) -> Transform:
    text = spot.argument
    if not text:
        raise TransformError("wants what to say")
    value: Any = {"true": True, "false": False}.get(text, int(text) if text.isdigit() else text)
    is_word = isinstance(value, str)
    return Transform(
        lambda _own: Same(value),
        more=(KEY,),
        words=frozenset({text}) if is_word else frozenset(),
        gives_text=is_word,
        needs_source=False,
    )


def _byte(_spot: Spot) -> Transform:
    def unsigned(value: str | None) -> str | None:
        return str(int(value) & 0xFF) if value else None

    return Transform(_across(unsigned, 1024))


def _unless(spot: Spot) -> Transform:
    (other,) = _columns(spot, 1)

    def kept(value: str | None, reference: str | None) -> str | None:
        return normalize.text(value) if normalize.key(reference) is None else None

    return Transform(_across(kept), more=(other,))


def _answer(_spot: Spot) -> Transform:
    """The spellings of yes and no in use; anything else is no answer."""
    said = dict.fromkeys(("1", "-1", "y", "yes", "t", "true"), "granted")
    said |= dict.fromkeys(("0", "n", "no", "f", "false"), "denied")

    def consent(value: str | None) -> str:
        return said.get((value or "").strip().casefold(), UNKNOWN)

    return Transform(_across(consent, 256), words=frozenset({"granted", "denied", UNKNOWN}))


WORDS: dict[str, Word] = {
    "day_time": Word("date, hour and minute columns, wall time into UTC", _day_time),
    "day_time_text": Word("date, hour and minute columns, wall time ISO 8601", _day_time_text),
    "day_end": Word("day_time plus the named length times its unit in minutes, UTC", _day_end),
    "units": Word("whole number times a unit in minutes; null while the unit is unknown", _units),
    "span": Word("minutes from this wall time to the named one", _span),
    "int_at": Word("date and a time kept as one number, wall time into UTC", _int_at),
    "int_clock": Word("time of day kept as one number (minutes, seconds, hhmm)", _int_clock),
    "wall_clock": Word("time of day of a wall time, HH:MM", _wall_clock),
    "cases": Word(
        "column=value?word;...;word, first that holds (!= other than, ~ equal as unsigned byte,"
        " * has a value, in: one of)",
        _cases,
    ),
    "flag_cases": Word("cases whose words are true and false", _flag_cases),
    "always": Word("the same for every record", _always),
    "byte": Word("a small number read as unsigned", _byte),
    "unless": Word("text, only where the named reference is none", _unless),
    "answer": Word("yes granted, no denied, in the spellings in use", _answer),
}
