"""Compares a practice in a vendor's layout with the CRM: every record of every stream.

The practice must be at rest and small enough to be read stream by stream. ``practice``: any DB-API
connection. Imports only the comparer's own modules.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.model.streams import Stream
from agent.sandbox.compare.report import EXAMPLES, Example, Report, StreamReport
from agent.sandbox.compare.rules import Held, Place, as_text
from agent.sandbox.compare.vendor_dentrix import DENTRIX
from agent.sandbox.compare.vendor_eaglesoft import EAGLESOFT
from agent.sandbox.compare.vendor_rules import VendorRules, code
from agent.sandbox.compare.walk import Connection, Crm, holds

RULES_OF = {"dentrix": DENTRIX, "eaglesoft": EAGLESOFT}


def compare_vendor(
    practice: Connection, crm_db: Path, *, layout: str, zone: str, owner: str
) -> Report:
    """``layout``: dentrix | eaglesoft. ``owner``: what stands before a table's name, "admin." """
    started = time.monotonic()
    place = Place(ZoneInfo(zone), {})
    rules = RULES_OF[layout]
    with closing(sqlite3.connect(f"{crm_db.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        crm = Crm(connection)
        lines = tuple(
            _stream(practice, crm, stream, rules[stream], place, owner)
            if stream in rules
            else _nothing(crm, stream)
            for stream in Stream
        )
    return Report(lines, time.monotonic() - started)


def _nothing(crm: Crm, stream: Stream) -> StreamReport:
    """A stream the layout does not have: whatever the CRM holds of it is too much."""
    return StreamReport(stream, extra=crm.count(stream))


def _rows(practice: Connection, sql: str) -> list[dict[str, str | None]]:
    with closing(practice.cursor()) as cursor:
        cursor.execute(sql)
        # A driver may put the alias of the table before the name.
        names = [str(column[0]).lower().rpartition(".")[2] for column in cursor.description]
        return [
            dict(zip(names, (_trimmed(as_text(value)) for value in row), strict=True))
            for row in cursor.fetchall()
        ]


def _trimmed(text: str | None) -> str | None:
    return None if text is None else text.rstrip(" \0")


def _stream(
    practice: Connection, crm: Crm, stream: Stream, rules: VendorRules, place: Place, owner: str
) -> StreamReport:
    rows = {code(row[rules.key]): row for row in _rows(practice, rules.select.format(o=owner))}
    held: dict[str, Held] = {}
    for page in crm.keys(stream):
        held |= crm.records(stream, page)
    missing = sorted(str(key) for key in rows if key not in held)
    extra = sorted(key for key in held if key not in rows)
    fields: Counter[str] = Counter()
    examples: list[Example] = []
    different = 0
    for key, row in rows.items():
        record = held.get(str(key))
        if record is None:
            continue
        wrong = [
            field.name
            for field in rules.fields
            if not holds(
                field.rule, tuple(row[name] for name in field.columns), record, field.name, place
            )
        ]
        if wrong:
            different += 1
            fields.update(wrong)
            if len(examples) < EXAMPLES:
                examples.append(Example(str(key), tuple(wrong)))
    return StreamReport(
        stream=stream,
        checked=len(rows) - len(missing),
        missing=len(missing),
        extra=len(extra),
        different=different,
        missing_keys=tuple(missing[:EXAMPLES]),
        extra_keys=tuple(extra[:EXAMPLES]),
        examples=tuple(examples),
        fields=dict(fields.most_common()),
    )
