"""Questions about failure periods, files brought in by hand, and what waits. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from agent.journal.contents import contents_of
from agent.journal.reader import Reader
from agent.journal.rows import IntakeRow, OutageRow
from agent.journal.values import (
    Row,
    bound_keys,
    fetch,
    from_micros,
    opt_from_micros,
    range_clause,
    to_micros,
)
from agent.model.reading import Key
from agent.model.streams import Stream

_OUTAGE = "SELECT number, side, code, started_at, ended_at, waited, last_batch, sent_at FROM outage"
_INTAKE = "SELECT number, at, actor, kind, digest, counts, state, ended_at FROM intake"


class FallbackReads(Reader):
    """The reading face of outages and intakes."""

    def outages(self, limit: int, since: datetime | None = None) -> list[OutageRow]:
        """Newest first; ``since``: that had not ended by then."""
        rows = self._rows(
            f"{_OUTAGE} WHERE ended_at IS NULL OR ended_at >= ? ORDER BY number DESC LIMIT ?",
            (0 if since is None else to_micros(since), limit),
        )
        return [_outage(row) for row in rows]

    def outages_open(self) -> list[OutageRow]:
        """Not ended, or ended with something that has not left yet."""
        return [_outage(row) for row in self._rows(f"{_OUTAGE} WHERE sent_at IS NULL")]

    def oldest_batch(self) -> int | None:
        """Number of the oldest outgoing batch, None when nothing waits."""
        number: int | None = self._one("SELECT min(number) FROM batch")
        return number

    def waiting_by_stream(self) -> dict[Stream, int]:
        """Operations of waiting batches, by stream; streams without any are left out."""
        names = self._names
        rows = self._rows("SELECT stream, operations FROM tally WHERE operations > 0")
        return {names[stream]: count for stream, count in rows if stream in names}

    def intakes(self, limit: int) -> list[IntakeRow]:
        """Newest first."""
        return [_intake(r) for r in self._rows(f"{_INTAKE} ORDER BY number DESC LIMIT ?", (limit,))]

    def intake(self, number: int) -> IntakeRow | None:
        rows = self._rows(f"{_INTAKE} WHERE number = ?", (number,))
        return _intake(rows[0]) if rows else None

    def intake_effects(self, number: int) -> list[int]:
        """Numbers of the writes a file led to, newest first."""
        rows = self._rows(
            "SELECT e.number FROM intake_command i JOIN effect e ON e.command = i.command"
            " WHERE i.intake = ? ORDER BY e.number DESC",
            (number,),
        )
        return [row[0] for row in rows]

    def intake_ends(self, number: int) -> dict[str, int]:
        """How the requests of a file stand: by outcome (applied, rejected, conflict, task …),
        without one by state (received, waiting, working)."""
        return dict(
            self._rows(
                "SELECT CASE i.ended WHEN '' THEN c.state ELSE i.ended END, count(*)"
                " FROM intake_command i JOIN command c ON c.id = i.command"
                " WHERE i.intake = ? GROUP BY 1",
                (number,),
            )
        )

    def lsn_at(self, at: datetime) -> int:
        """Number of the last audited turn not after ``at``; 0 when none is known."""
        found = self._one(
            "SELECT lsn FROM audit WHERE at <= ? ORDER BY seq DESC LIMIT 1", (to_micros(at),)
        )
        return int(found or 0)

    def contents_by(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, tuple[bytes, int]]:
        """key -> (last canonical content, turn of its last change) of a two-way stream's present
        records; others are left out."""
        if not keys:
            return {}
        number = self._streams[stream]
        with self._snapshot() as db:
            seen = fetch(
                db,
                "SELECT key, seen_lsn FROM record WHERE stream = ? AND gone_at IS NULL"
                " AND key IN (SELECT value FROM carray(?))",
                (number, bound_keys(keys)),
            )
            found = contents_of(db, self._seal, stream, number, [row[0] for row in seen])
        return {key: (found[key], lsn) for key, lsn in seen if key in found}

    def schemas(self, limit: int = 100) -> list[dict[str, Any]]:
        """Layouts of the practice system's tables as they were met, newest first: a fingerprint of
        the columns read for each stream, and what was decided."""
        rows = self._rows(
            "SELECT at, version, fingerprint, decision FROM schema_history"
            " ORDER BY lsn DESC, fingerprint LIMIT ?",
            (limit,),
        )
        return [
            {"at": f"{from_micros(at):%Y-%m-%dT%H:%M:%SZ}", "version": version,
             "decision": decision, "stream": mark.partition(":")[0],
             "fingerprint": mark.partition(":")[2]}
            for at, version, mark, decision in rows
        ]  # fmt: skip

    def keys_after(self, stream: Stream, key: Key | None, limit: int) -> list[Key]:
        """Keys of present records above ``key``, ascending."""
        clause, bound = range_clause(key, None)
        rows = self._rows(
            f"SELECT key FROM record WHERE stream = ? AND gone_at IS NULL{clause}"
            " ORDER BY key LIMIT ?",
            (self._streams[stream], *bound, limit),
        )
        return [row[0] for row in rows]

    def cloud_ids(self, stream: Stream, keys: Sequence[Key]) -> dict[Key, str]:
        """The CRM's own ids of these records, where they are linked."""
        if not keys:
            return {}
        sql = ("SELECT key, cloud_id FROM ident WHERE stream = ? AND cloud_id IS NOT NULL"
               " AND key IN (SELECT value FROM carray(?))")  # fmt: skip
        return dict(self._rows(sql, (self._streams[stream], bound_keys(keys))))

    def keys_of_cloud(self, cloud_ids: Sequence[str]) -> dict[str, Key]:
        """Patients these people of the CRM are linked to."""
        if not cloud_ids:
            return {}
        marks = ",".join("?" * len(cloud_ids))
        return dict(
            self._rows(
                "SELECT cloud_id, key FROM contact WHERE state = 'linked' AND key IS NOT NULL"
                f" AND cloud_id IN ({marks})",
                tuple(cloud_ids),
            )
        )

    def known_commands(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that were taken in before."""
        if not ids:
            return set()
        marks = ",".join("?" * len(ids))
        rows = self._rows(f"SELECT id FROM command WHERE id IN ({marks})", tuple(ids))
        return {row[0] for row in rows}


def _outage(row: Row) -> OutageRow:
    number, side, code, started, ended, waited, last_batch, sent = row
    return OutageRow(
        number=number,
        side=side,
        code=code,
        started_at=from_micros(started),
        ended_at=opt_from_micros(ended),
        waited=waited,
        last_batch=last_batch,
        sent_at=opt_from_micros(sent),
    )


def _intake(row: Row) -> IntakeRow:
    number, at, actor, kind, digest, counts, state, ended = row
    return IntakeRow(
        number=number,
        at=from_micros(at),
        actor=actor,
        kind=kind,
        digest=digest,
        counts=msgspec.json.decode(counts, type=dict[str, int]),
        state=state,
        ended_at=opt_from_micros(ended),
    )
