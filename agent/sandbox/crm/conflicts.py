"""Fields both sides changed, as the agent reports them. The CRM keeps and shows them.

Imports apsw, msgspec and this package's schema.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw
import msgspec

from agent.sandbox.crm.schema import now_us
from agent.sandbox.crm.shapes import ConflictReport


def take(db: apsw.Connection, reports: Iterable[ConflictReport]) -> tuple[int, bool]:
    """Keep each by its id, the newest report of it: (how many, is any of it news)."""
    at, taken, is_news = now_us(), 0, False
    with db:
        for report in reports:
            body = msgspec.json.encode(report).decode()
            db.execute(
                "INSERT INTO conflict VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT(id)"
                " DO UPDATE SET type = ?2, key = ?3, field = ?4, state = ?5, body = ?6,"
                " changed_us = ?7 WHERE body <> ?6",
                (report.id, report.type.value, report.key, report.field, report.state, body, at),
            )
            is_news = is_news or db.changes() > 0
            taken += 1
    return taken, is_news


def count_open(db: apsw.Connection) -> int:
    row = db.execute("SELECT count(*) FROM conflict WHERE state = 'open'").fetchone()
    return 0 if row is None else int(row[0])
