"""Data-quality rules: declared in a CSV, checked line by line, applied to one record at a time.

Pure but for reading the files. Columns: ``code, stream, check, field, value, other, where, title``
and ``title_<language>``. A practice's own ``quality-rules.csv`` adds rules, replaces one by its
code, or switches it off (check ``off``).

| check | finds records whose ... |
|---|---|
| missing | fields (``a|b``: all of them) are empty |
| is | field is one of the words of ``value`` (``a|b``) |
| outside | date is not in ``value``: ``FROM..TO``, each a date, ``today``, ``today+N`` or empty |
| orphan | key names no record of the stream ``other`` |
| late | date is empty or more than ``value`` days after the date ``other``: a field of the record,
  or ``key_field>stream.field`` of the record it points to |

``where`` limits a rule: ``field=a|b``, ``field!=a``, joined by ``;``. A field may lead into a list
(``lines.procedure_key``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from agent.config.paths import assets_dir
from agent.model.entities import RECORD_OF
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream

OWN_FILE = "quality-rules.csv"
_DAY = re.compile(r"today(?:([+-])(\d{1,5}))?|(\d{4}-\d\d-\d\d)|")
_JOIN = re.compile(r"([a-z_]+)>([a-z_]+)\.([a-z_]+)")
_MOST_ROWS = 500


class Check(StrEnum):
    MISSING = "missing"
    IS = "is"
    OUTSIDE = "outside"
    ORPHAN = "orphan"
    LATE = "late"
    OFF = "off"


class BadRule(ValueError):
    """Why a line is no rule."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``where``: the field's word is (not) one of these."""

    path: str
    words: frozenset[str]
    is_negated: bool

    def holds(self, record: Mapping[str, Any]) -> bool:
        return any(str(v) in self.words for v in values_of(record, self.path)) != self.is_negated


@dataclass(frozen=True, slots=True)
class Rule:
    """``join``: (key field, stream, its field) where ``other`` lies in another record."""

    code: str
    stream: Stream
    check: Check
    paths: tuple[str, ...]
    value: str
    other: str
    where: tuple[Condition, ...]
    titles: dict[str, str]
    join: tuple[str, Stream, str] | None = None

    @property
    def parent(self) -> Stream | None:
        """Whose keys ``orphan`` looks among."""
        return Stream(self.other) if self.check is Check.ORPHAN else None

    def applies(self, record: Mapping[str, Any]) -> bool:
        return all(condition.holds(record) for condition in self.where)


def is_broken(rule: Rule, record: Mapping[str, Any], today: date) -> bool:
    """By the record alone; ``orphan`` and joined ``late`` are not judged here."""
    match rule.check:
        case Check.MISSING:
            return not any(True for path in rule.paths for _ in values_of(record, path))
        case Check.IS:
            words = rule.value.split("|")
            return any(str(v) in words for v in values_of(record, rule.paths[0]))
        case Check.OUTSIDE:
            lo, hi = (_bound(part, today) for part in rule.value.split(".."))
            days = (day_of(v) for v in values_of(record, rule.paths[0]))
            return any(
                day is not None and ((lo is not None and day < lo) or (hi is not None and day > hi))
                for day in days
            )
        case Check.LATE:
            return is_late(rule, record, next(values_of(record, rule.other), None), today)
        case _:
            return False


def is_late(rule: Rule, record: Mapping[str, Any], since: Any, today: date) -> bool:
    """More than so many days after ``since``, or not at all and that long ago."""
    began = day_of(since)
    if began is None:
        return False
    done = day_of(next(values_of(record, rule.paths[0]), None)) or today
    return done - began > timedelta(days=int(rule.value))


def values_of(record: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Values that are not empty."""
    first, _, rest = path.partition(".")
    value = record.get(first)
    if rest:
        for part in value if isinstance(value, list) else ():
            yield from values_of(part, rest)
    elif value not in (None, "", [], {}):
        yield value


def day_of(value: Any) -> date | None:
    """The day of a date or an instant (in UTC: rules count days, not hours)."""
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def load_rules(home: Path) -> tuple[list[Rule], list[Finding]]:
    """Ours with the practice's own over them, and the lines that cannot be used."""
    problems: list[Finding] = []
    ours = assets_dir() / "rules" / "quality.csv"
    rules = {rule.code: rule for rule in _read(ours, problems)}
    own = home / OWN_FILE
    if own.exists():
        try:
            for rule in _read(own, problems):
                rules[rule.code] = rule
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            problems.append(_bad(OWN_FILE, 0, type(error).__name__))
    return [rule for rule in rules.values() if rule.check is not Check.OFF], problems


def _read(path: Path, problems: list[Finding]) -> Iterator[Rule]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            if number > _MOST_ROWS:
                return
            cells = {(k or "").strip(): (v or "").strip() for k, v in row.items() if k}
            if not any(cells.values()) or cells.get("code", "").startswith("#"):
                continue
            try:
                yield parse_rule(cells)
            except BadRule as error:
                problems.append(_bad(path.name, number, str(error)))


def _bad(file: str, line: int, why: str) -> Finding:
    return Finding("rules.bad_line", Severity.WARNING, {"file": file, "line": line, "why": why})


def parse_rule(cells: Mapping[str, str]) -> Rule:
    """One line. Raises BadRule."""
    code = cells.get("code", "")
    if not re.fullmatch(r"[a-z0-9_]{3,60}", code):
        raise BadRule("code: 3 to 60 of a-z, 0-9, _")
    try:
        check = Check(cells.get("check", ""))
        stream = Stream(cells.get("stream", ""))
    except ValueError as error:
        raise BadRule(str(error)) from None
    titles = {"en": cells.get("title") or code}
    titles |= {
        k.removeprefix("title_"): v for k, v in cells.items() if k.startswith("title_") and v
    }
    paths = tuple(part for part in cells.get("field", "").split("|") if part)
    value, other = cells.get("value", ""), cells.get("other", "")
    where = tuple(_condition(part) for part in cells.get("where", "").split(";") if part)
    join = _JOIN.fullmatch(other) if check is Check.LATE else None
    found = (join[1], _stream(join[2]), join[3]) if join else None
    rule = Rule(code, stream, check, paths, value, other, where, titles, found)
    if check is not Check.OFF:
        _checked(rule)
    return rule


def _checked(rule: Rule) -> None:
    known = RECORD_OF[rule.stream].__struct_fields__
    named = [*rule.paths, *(c.path for c in rule.where)]
    if rule.join is not None:
        named.append(rule.join[0])
    elif rule.check is Check.LATE:
        named.append(rule.other)
    strange = [path for path in named if path.partition(".")[0] not in known]
    if strange or not rule.paths:
        raise BadRule(f"field: {', '.join(strange) or 'none'} (of {rule.stream.value})")
    if rule.check is Check.ORPHAN:
        _stream(rule.other)
    if rule.check is Check.LATE and not rule.value.isdigit():
        raise BadRule("value: a number of days")
    if rule.check is Check.IS and not rule.value:
        raise BadRule("value: words, with | between")
    if rule.check is Check.OUTSIDE:
        parts = rule.value.split("..")
        if len(parts) != 2 or not all(_DAY.fullmatch(part) for part in parts):
            raise BadRule("value: FROM..TO, such as 1900-01-01..today+30")


def _stream(name: str) -> Stream:
    try:
        return Stream(name)
    except ValueError as error:
        raise BadRule(f"other: {error}") from None


def _condition(text: str) -> Condition:
    path, sign, words = text.partition("=")
    if not sign or not words:
        raise BadRule("where: field=word or field!=word")
    return Condition(path.rstrip("!").strip(), frozenset(words.split("|")), path.endswith("!"))


def _bound(text: str, today: date) -> date | None:
    found = _DAY.fullmatch(text)
    if not text or found is None:
        return None
    if found[3]:
        return date.fromisoformat(found[3])
    days = int(found[2] or 0)
    return today + timedelta(days=-days if found[1] == "-" else days)


def by_stream(rules: Sequence[Rule]) -> dict[Stream, list[Rule]]:
    """In stream order."""
    return {s: found for s in Stream if (found := [rule for rule in rules if rule.stream is s])}
