"""Failure periods and files brought in by hand. Part of a turn; never commits.

An *outage* is a time in which one side could not be reached: when, why, what waited at its end and
when all of that had left. An *intake* is one CSV file a person brought in: what became of its rows,
and which commands they made, so that the whole file can be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from agent.journal.values import fetch, to_micros
from agent.journal.writer import Writer

OUTAGES_KEPT = 500

STATEMENTS = (
    """CREATE TABLE outage(
        number INTEGER PRIMARY KEY AUTOINCREMENT, side TEXT NOT NULL, code TEXT NOT NULL,
        started_at INTEGER NOT NULL, ended_at INTEGER, waited INTEGER NOT NULL DEFAULT 0,
        last_batch INTEGER, sent_at INTEGER) STRICT""",
    "CREATE INDEX outage_open ON outage(number) WHERE sent_at IS NULL",
    """CREATE TABLE intake(
        number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL,
        kind TEXT NOT NULL, digest TEXT NOT NULL, counts TEXT NOT NULL, state TEXT NOT NULL,
        ended_at INTEGER) STRICT""",
    """CREATE TABLE intake_command(
        intake INTEGER NOT NULL REFERENCES intake ON DELETE CASCADE, command TEXT NOT NULL,
        ended TEXT NOT NULL DEFAULT '', PRIMARY KEY (intake, command)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX intake_of_command ON intake_command(command)",
)
"""Layout 4 of the journal. No patient data: sides, codes, counts, ids."""


class Fallback(Writer):
    """The part of a turn that keeps outages and intakes."""

    # --- outages -----------------------------------------------------------------------------

    def open_outage(self, side: str, code: str, started_at: datetime) -> int:
        """A failure period begins; its number. ``side``: "pms", "crm" or "agent"."""
        self._db.execute(
            "INSERT INTO outage(side, code, started_at) VALUES (?,?,?)",
            (side, code, to_micros(started_at)),
        )
        number = self._db.last_insert_rowid()
        self._db.execute("DELETE FROM outage WHERE number <= ?", (number - OUTAGES_KEPT,))
        return number

    def outage_cause(self, number: int, code: str) -> None:
        """The cause is known better by now."""
        self._db.execute(
            "UPDATE outage SET code = ? WHERE number = ? AND code <> ?", (code, number, code)
        )

    def end_outage(self, number: int, ended_at: datetime, waited: int) -> None:
        """Reached again. ``waited``: how much had to wait until now; none is settled at once."""
        at = to_micros(ended_at)
        self._db.execute(
            "UPDATE outage SET ended_at = ?, waited = ?, last_batch = ?, sent_at = ?"
            " WHERE number = ? AND ended_at IS NULL",
            (at, waited, self._batch, None if waited else at, number),
        )

    def outage_sent(self, number: int) -> None:
        """All that had waited has left."""
        self._db.execute(
            "UPDATE outage SET sent_at = ? WHERE number = ? AND sent_at IS NULL",
            (self._at, number),
        )

    # --- intakes -----------------------------------------------------------------------------

    def open_intake(self, kind: str, digest: str, actor: str) -> int:
        """A file is being brought in; its number. ``digest``: SHA-256 of its bytes, hex."""
        self._db.execute(
            "INSERT INTO intake(at, actor, kind, digest, counts, state)"
            " VALUES (?,?,?,?,'{}','running')",
            (self._at, actor, kind, digest),
        )
        number = self._db.last_insert_rowid()
        self.audit("intake.opened", {"intake": number, "kind": kind, "actor": actor})
        return number

    def intake_took(self, number: int, commands: Sequence[str]) -> None:
        """These commands were made of rows of the file."""
        self._db.executemany(
            "INSERT OR IGNORE INTO intake_command(intake, command) VALUES (?,?)",
            [(number, command) for command in commands],
        )

    def end_intake(self, number: int, state: str, counts: Mapping[str, int]) -> None:
        """``state``: done, cancelled, broken. ``counts``: rows by what became of them."""
        self._db.execute(
            "UPDATE intake SET state = ?, counts = ?, ended_at = ? WHERE number = ?",
            (state, msgspec.json.encode(dict(counts)).decode(), self._at, number),
        )
        self.audit(f"intake.{state}", {"intake": number, **counts})

    def break_intakes(self) -> None:
        """At a start: what was running then ended with the process."""
        for (number,) in fetch(self._db, "SELECT number FROM intake WHERE state = 'running'"):
            self.end_intake(number, "broken", {})
