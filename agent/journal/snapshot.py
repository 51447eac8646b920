"""Reading a journal from outside its agent: status, verification. Never writes, never locks.

Works beside a running agent, after a clean stop and after a crash; creates no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import apsw

from agent.errors import JournalError
from agent.journal import audit, backups, database, proof
from agent.journal.meta import read_meta
from agent.journal.reads import Reads
from agent.journal.rows import StatusSnapshot
from agent.journal.schema import SCHEMA_VERSION
from agent.journal.seal import Seal
from agent.model.streams import Stream


class _Blind:
    """A visitor holds no key: sealed columns stay sealed."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        raise PermissionError("visitors do not seal")

    def open(self, sealed: bytes, context: bytes) -> bytes:
        raise PermissionError("visitors do not open sealed columns")


class Visitor(Reads):
    """The reading face over one read-only connection and one snapshot."""

    def __init__(self, db: apsw.Connection, seal: Seal | None = None) -> None:
        self._db = db
        self._seal = seal or _Blind()
        names: dict[str, int] = dict(db.execute("SELECT name, id FROM stream"))
        self._streams = {s: names[s.value] for s in Stream if s.value in names}
        self.uuid = read_meta(db).uuid

    @contextmanager
    def _read(self) -> Iterator[apsw.Connection]:
        with database.translated():
            yield self._db

    def _snapshot(self) -> AbstractContextManager[apsw.Connection]:
        return self._read()


@contextmanager
def visiting(
    path: Path, seal: Seal | None = None, *, oldest: int = SCHEMA_VERSION
) -> Iterator[tuple[apsw.Connection, Visitor]]:
    """A read-only look at one snapshot; without ``seal`` sealed columns stay closed.

    JournalError ``journal.absent``, ``journal.unreadable``; ``journal.older`` for a layout below
    ``oldest``, which the agent brings up to date when it starts.
    """
    with database.translated():
        db = database.connect_visitor(path)
        try:
            db.execute("BEGIN")
            version = database.check_layout(db)
            if version < oldest:
                raise JournalError("journal.older", found=version, known=SCHEMA_VERSION)
            yield db, Visitor(db, seal)
        finally:
            db.close(True)


def status_snapshot(path: Path, now: datetime | None = None, activity: int = 50) -> StatusSnapshot:
    """Numbers, counts, marks and the latest activity, all of one commit."""
    with visiting(path) as (db, visitor):
        facts = read_meta(db)
        return StatusSnapshot(
            uuid=facts.uuid,
            epoch=facts.epoch,
            lsn=facts.lsn,
            schema=int(db.pragma("user_version")),
            clean_shutdown=bool(facts.clean_shutdown),
            audit_head=visitor.audit_head(),
            numbers=visitor.numbers(now or datetime.now(UTC)),
            streams=visitor.stream_counts(),
            marks=visitor.marks(""),
            source=visitor.source(),
            activity=visitor.recent_activity(activity),
            commands={state.value: n for state, n in visitor.command_counts().items()},
        )


def verify_file(path: Path, anchor: str | None = None) -> list[str]:
    """Structure and audit chain of a journal, running or not; findings as ``verify_audit``."""
    quiet = not database.is_live(path)
    findings = _verify(path, anchor)
    if findings and quiet and database.is_live(path):
        return _verify(path, anchor)  # an agent started under a look that had reckoned with none
    return findings


def _verify(path: Path, anchor: str | None) -> list[str]:
    # The anchor first: it lags the journal, never leads it, and must not be the newer of the two.
    side = audit.read_side(path)
    with visiting(path, oldest=1) as (db, _):
        broken = [] if database.is_whole(db) else ["journal.damaged"]
        chain = audit.verify(db, side=side, anchor=anchor)
        return broken + chain + proof.effect_findings(db)


def backup_file(path: Path, folder: Path, keep: int = 3, now: datetime | None = None) -> Path:
    """``Journal.backup`` from outside: a verified copy beside a running agent or without one."""
    with visiting(path, oldest=1) as (db, _):
        made = backups.copy(db, folder, path.stem, now or datetime.now(UTC))
    backups.drop_oldest(folder, path.stem, keep)
    return made
