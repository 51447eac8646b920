"""Walks both databases stream by stream, a chunk of keys at a time, so memory stays flat.

The practice must be at rest. Works on anything with Open Dental's layout behind a DB-API connection
(MariaDB, SQLite): statements carry only whole numbers and names from our own rules, so no driver's
way of marking parameters matters. Imports only the comparer's own modules.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from agent.model.streams import Stream
from agent.sandbox.compare.ledger import ADJUSTMENT, BALANCE, CLAIM, COVERAGE, PAYMENT
from agent.sandbox.compare.people import (
    CLINIC,
    OPERATORY,
    PATIENT,
    PROCEDURE_CODE,
    PROVIDER,
    REFERRAL_SOURCE,
)
from agent.sandbox.compare.report import EXAMPLES, Example, Report, StreamReport
from agent.sandbox.compare.rules import Held, Place, Stored, as_text, day, label, phone, zone_name
from agent.sandbox.compare.shapes import Field, Rows, StreamRules
from agent.sandbox.compare.visits import (
    APPOINTMENT,
    CLINICAL_NOTE,
    COMMUNICATION,
    LAB_CASE,
    PERIO_EXAM,
    PROCEDURE,
    RECALL,
    SCHEDULE_BLOCK,
)

CHUNK_ROWS = 1000

RULES: Mapping[Stream, StreamRules] = {
    Stream.PRACTICE: CLINIC,  # and the practice itself, key "0", from the preferences
    Stream.PROVIDER: PROVIDER,
    Stream.OPERATORY: OPERATORY,
    Stream.PROCEDURE_CODE: PROCEDURE_CODE,
    Stream.REFERRAL_SOURCE: REFERRAL_SOURCE,
    Stream.PATIENT: PATIENT,
    Stream.APPOINTMENT: APPOINTMENT,
    Stream.SCHEDULE_BLOCK: SCHEDULE_BLOCK,
    Stream.RECALL: RECALL,
    Stream.BALANCE: BALANCE,
    Stream.COVERAGE: COVERAGE,
    Stream.PROCEDURE: PROCEDURE,
    Stream.CLAIM: CLAIM,
    Stream.PAYMENT: PAYMENT,
    Stream.ADJUSTMENT: ADJUSTMENT,
    Stream.COMMUNICATION: COMMUNICATION,
    Stream.CLINICAL_NOTE: CLINICAL_NOTE,
    Stream.PERIO_EXAM: PERIO_EXAM,
    Stream.LAB_CASE: LAB_CASE,
}


class Cursor(Protocol):
    """The part of a DB-API cursor that is needed."""

    @property
    def description(self) -> Any: ...
    def execute(self, query: str, /) -> Any: ...
    def fetchall(self) -> Sequence[Sequence[Any]]: ...
    def close(self) -> Any: ...


class Connection(Protocol):
    """The part of a DB-API connection that is needed."""

    def cursor(self) -> Cursor: ...


Judge = Callable[[Held], list[str]]


class _Practice:
    """The practice's side: live columns, chunks of rows and what belongs to them."""

    def __init__(self, connection: Connection, zone: str) -> None:
        self._connection = connection
        self._columns: dict[str, frozenset[str]] = {}
        self.tables = self._find_tables()
        names = self.rows("SELECT PrefName, ValueString FROM preference")
        self.place = Place(ZoneInfo(zone), {str(n): str(v or "") for n, v in names})

    def rows(self, sql: str) -> list[Stored]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(sql)
            return [tuple(map(as_text, row)) for row in cursor.fetchall()]

    def _find_tables(self) -> frozenset[str]:
        found: set[str] = set()
        wanted = {rules.table for rules in RULES.values()}
        for rules in RULES.values():
            wanted |= {join.table for join in rules.joins} | {rows.table for rows in rules.rows}
        for table in sorted(wanted):
            with closing(self._connection.cursor()) as cursor:
                try:
                    cursor.execute(f"SELECT * FROM {table} WHERE 1=0")
                except Exception as error:
                    if table == "preference":
                        raise
                    del error
                    continue
                self._columns[table] = frozenset(str(c[0]) for c in cursor.description)
            found.add(table)
        return frozenset(found)

    def has(self, table: str, column: str) -> bool:
        return column in self._columns.get(table, ())

    def chunks(self, rules: StreamRules) -> Iterator[list[tuple[str, Judge]]]:
        """Keys in ascending order, each with what judges its record."""
        tables = {"b": rules.table, **{j.alias: j.table for j in rules.joins}}
        fields = [f for f in rules.fields if self._is_known(f, tables)]
        at: dict[str, int] = {}
        for field in fields:
            for column in field.columns:
                at.setdefault(column, len(at) + 1)
        joins = [j for j in rules.joins if j.table in self.tables]
        picked = ", ".join([f"b.{rules.key}", *at])
        source = " ".join(
            [f"{rules.table} b", *(f"LEFT JOIN {j.table} {j.alias} ON {j.on}" for j in joins)]
        )
        plan = [(f, [at[c] for c in f.columns]) for f in fields]
        above = ""
        while True:
            page = self.rows(
                f"SELECT {picked} FROM {source} {above} ORDER BY b.{rules.key} LIMIT {CHUNK_ROWS}"
            )
            if not page:
                return
            first, last = int(str(page[0][0])), int(str(page[-1][0]))
            lists = [(r, self._children(r, first, last)) for r in rules.rows if self._can_list(r)]
            yield [(str(row[0]), self._judge(row, plan, lists)) for row in page]
            if len(page) < CHUNK_ROWS:
                return
            above = f"WHERE b.{rules.key} > {last}"

    def _is_known(self, field: Field, tables: Mapping[str, str]) -> bool:
        pairs = (column.split(".") for column in field.columns)
        return all(self.has(tables[alias], name) for alias, name in pairs)

    def _can_list(self, rows: Rows) -> bool:
        return all(self.has(rows.table, name) for name in (rows.owner, *rows.columns))

    def _children(self, rows: Rows, first: int, last: int) -> dict[str, list[Stored]]:
        picked = ", ".join(f"c.{name}" for name in (rows.owner, *rows.columns))
        more = f" AND {rows.where}" if rows.where else ""
        found: dict[str, list[Stored]] = defaultdict(list)
        for owner, *values in self.rows(
            f"SELECT {picked} FROM {rows.table} c "
            f"WHERE c.{rows.owner} BETWEEN {first} AND {last}{more}"
        ):
            found[str(owner)].append(tuple(values))
        return found

    def _judge(
        self,
        row: Stored,
        plan: Sequence[tuple[Field, list[int]]],
        lists: Sequence[tuple[Rows, dict[str, list[Stored]]]],
    ) -> Judge:
        key, place = str(row[0]), self.place

        def judge(held: Held) -> list[str]:
            wrong = [
                field.name
                for field, at in plan
                if not holds(field.rule, tuple([row[i] for i in at]), held, field.name, place)
            ]
            wrong += [
                rows.name
                for rows, found in lists
                if not holds(rows.rule, found.get(key, []), held, rows.name, place)
            ]
            return wrong

        return judge

    def own_row(self) -> tuple[str, Judge]:
        """The practice itself: a record made of preferences."""
        told = {
            "title": (label, "PracticeTitle"), "name": (label, "PracticeTitle"),
            "address": (label, "PracticeAddress"), "address2": (label, "PracticeAddress2"),
            "city": (label, "PracticeCity"), "state": (label, "PracticeST"),
            "postal_code": (label, "PracticeZip"), "phone": (phone, "PracticePhone"),
            "balances_as_of": (day, "DateLastAging"), "zone": (zone_name, "PracticeTitle"),
        }  # fmt: skip

        def judge(held: Held) -> list[str]:
            get = self.place.preferences.get
            return [
                name
                for name, (rule, preference) in told.items()
                if not holds(rule, (get(preference),), held, name, self.place)
            ]

        return "0", judge


def holds(
    rule: Callable[[Any, Held, str, Place], bool],
    stored: object,
    held: Held,
    name: str,
    place: Place,
) -> bool:
    """A rule that cannot even read one of the sides has found a difference."""
    try:
        return rule(stored, held, name, place)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return False


class Crm:
    """The reference CRM's side, through the view it keeps for tests."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def records(self, stream: Stream, keys: Sequence[str]) -> dict[str, Held]:
        marks = ",".join("?" * len(keys))
        return {
            str(key): json.loads(body)
            for key, body in self._connection.execute(
                f"SELECT key, data FROM records WHERE type=? AND state='live' AND key IN ({marks})",
                (stream.value, *keys),
            )
        }

    def count(self, stream: Stream) -> int:
        (found,) = self._connection.execute(
            "SELECT count(*) FROM records WHERE type=? AND state='live'", (stream.value,)
        ).fetchone()
        return int(found)

    def keys(self, stream: Stream) -> Iterator[list[str]]:
        cursor = self._connection.execute(
            "SELECT key FROM records WHERE type=? AND state='live'", (stream.value,)
        )
        while page := cursor.fetchmany(CHUNK_ROWS):
            yield [str(key) for (key,) in page]


def compare(practice: Connection, crm_db: Path, *, zone: str) -> Report:
    """Compare every stream. ``zone``: IANA name of the practice's time zone.

    ``practice`` is left as it was; on a server without autocommit each statement sees its own
    snapshot only if the caller says so. Raises what the drivers raise when a side is unreadable.
    """
    started = time.monotonic()
    side = _Practice(practice, zone)
    with closing(sqlite3.connect(f"{crm_db.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        crm = Crm(connection)
        lines = tuple(_compare_stream(side, crm, stream) for stream in Stream)
    return Report(lines, time.monotonic() - started)


def _chunks(side: _Practice, stream: Stream) -> Iterator[list[tuple[str, Judge]]]:
    if stream is Stream.PRACTICE:
        yield [side.own_row()]
    if RULES[stream].table in side.tables:
        yield from side.chunks(RULES[stream])


def _compare_stream(side: _Practice, crm: Crm, stream: Stream) -> StreamReport:
    checked = missing = different = 0
    missing_keys: list[str] = []
    examples: list[Example] = []
    fields: Counter[str] = Counter()
    for chunk in _chunks(side, stream):
        held = crm.records(stream, [key for key, _ in chunk])
        for key, judge in chunk:
            record = held.get(key)
            if record is None:
                missing += 1
                missing_keys += [key] if len(missing_keys) < EXAMPLES else []
                continue
            checked += 1
            wrong = judge(record)
            if record.get("key") != key:
                wrong.append("key")
            if wrong:
                different += 1
                fields.update(wrong)
                if len(examples) < EXAMPLES:
                    examples.append(Example(key, tuple(wrong)))
    extra = crm.count(stream) - checked
    extra_keys = _extra_keys(side, crm, stream) if extra else []
    return StreamReport(
        stream=stream,
        checked=checked,
        missing=missing,
        extra=extra,
        different=different,
        missing_keys=tuple(missing_keys),
        extra_keys=tuple(extra_keys),
        examples=tuple(examples),
        fields=dict(fields.most_common()),
    )


def _extra_keys(side: _Practice, crm: Crm, stream: Stream) -> list[str]:
    """A few keys that only the CRM holds."""
    rules = RULES[stream]
    found: list[str] = []
    for page in crm.keys(stream):
        numbers = [key for key in page if key.lstrip("-").isdecimal()]
        there = {"0"} if stream is Stream.PRACTICE else set()
        if numbers and rules.table in side.tables:
            there |= {
                str(key)
                for (key,) in side.rows(
                    f"SELECT {rules.key} FROM {rules.table} "
                    f"WHERE {rules.key} IN ({','.join(numbers)})"
                )
            }
        found += [key for key in page if key not in there]
        if len(found) >= EXAMPLES:
            break
    return found[:EXAMPLES]
