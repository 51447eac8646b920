"""The journal's face: open, turn, read, back up, close.

One SQLite file, one writing process, one writing connection; each reading thread has its own
connection and reads WAL snapshots, so reads and the writer never wait for each other.

Opening order: instance lock; structural check (a damaged file is set aside, never deleted);
layout check (a newer layout is refused); migrations, after a verified backup; epoch + 1. If the
anchor beside the file is ahead of the file, the file was restored from a copy: batch numbers
given away since then would be given again, so the journal takes a new uuid, which makes new ids,
and says so (``restored``); batches it still carries keep their ids and their bytes.

Over a ``vfs`` (tests) nothing touches the real disk: no lock, no migration, no anchor beside the
file unless ``sides`` keeps one, one connection for all.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import apsw
import msgspec
import structlog
from sqlite_utils import Migrations

from agent.errors import JournalDamaged, JournalError
from agent.journal import audit, backups, database, proof, schema, waits
from agent.journal.meta import Meta, new_meta, read_meta, write_meta
from agent.journal.reads import Reads
from agent.journal.seal import Seal
from agent.journal.turn import Turn
from agent.journal.values import RANK_OF_STREAM, to_micros
from agent.model.streams import Stream
from agent.ports import Clock

__all__ = ["Journal", "Seal", "Turn"]

log = structlog.get_logger(__name__)

_LONGEST_WAIT = timedelta(hours=24)  # no deferred work sleeps longer across a restart


class Journal(Reads):
    """The agent's only store. Made by ``open``; ``turn`` writes, everything else reads."""

    uuid: str
    epoch: int
    path: Path
    restored: bool  # this start found the file older than its anchor
    unclean: bool  # the last run did not close
    is_doubted: bool  # damage was met in this run: a start must look at the file

    def __init__(
        self,
        path: Path,
        db: apsw.Connection,
        *,
        seal: Seal,
        clock: Clock,
        vfs: str | None,
        lock: database.InstanceLock | None,
        sides: audit.Sides | None,
    ) -> None:
        """Use ``open``."""
        self.path = path
        self._writer = db
        self._seal = seal
        self._clock = clock
        self._vfs = vfs
        self._lock = lock
        self._sides = sides
        self._writing = threading.Lock()
        self._owner: int | None = None
        self._local = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._guard = threading.Lock()
        self._closed = False
        self._marked_lsn = -1
        self.is_doubted = False
        self._wall = waits.WallWatch(clock)
        self._begin()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        seal: Seal,
        clock: Clock,
        vfs: str | None = None,
        sides: audit.Sides | None = None,
    ) -> Journal:
        """Open for writing, creating the journal where there is none.

        AgentBusy when another process holds it; JournalDamaged after setting a damaged file aside
        (calling again then starts a fresh one); JournalError ``journal.newer`` or
        ``journal.foreign`` for a file that is not ours to write; DiskFull.
        """
        if vfs is not None:
            with database.translated():
                db = database.connect_writer(str(path), vfs)
                try:
                    _check(db, path)
                    return cls(path, db, seal=seal, clock=clock, vfs=vfs, lock=None, sides=sides)
                except BaseException:
                    database.close_quietly(db)
                    raise
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = database.InstanceLock(path)
        try:
            prepare(path, clock)
            with database.translated():
                db = database.connect_writer(str(path), None)
                try:
                    sides = audit.SideFile(path)
                    return cls(path, db, seal=seal, clock=clock, vfs=None, lock=lock, sides=sides)
                except BaseException:
                    database.close_quietly(db)
                    raise
        except BaseException:
            lock.release()
            raise

    def _begin(self) -> None:
        """This start's own transaction: epoch, stream ids, identity, deferred work made due."""
        db, now = self._writer, self._clock.now()
        side = None if self._sides is None else self._sides.read()
        with self._transaction(db):
            if not next(db.execute("SELECT count(*) FROM meta"))[0]:
                write_meta(db, **msgspec.structs.asdict(new_meta()))
            facts = read_meta(db)
            self.uuid, self.epoch = facts.uuid, facts.epoch + 1
            self.unclean = not facts.clean_shutdown
            # A brand-new journal (epoch 0) has a new uuid already; any other that is not the one
            # the anchor was written for is a copy from before that one was made.
            self.restored = (
                side is not None
                and facts.epoch > 0
                and (side.uuid != self.uuid or side.epoch > facts.epoch or side.lsn > facts.lsn)
            )
            if self.restored and side is not None:
                self.uuid, self.epoch = uuid4().hex, side.epoch + 1
            write_meta(db, uuid=self.uuid, epoch=self.epoch, clean_shutdown=0)
            db.executemany(
                "INSERT INTO stream(name, rank) VALUES (?,?)"
                " ON CONFLICT(name) DO UPDATE SET rank = excluded.rank",
                [(stream.value, rank) for stream, rank in RANK_OF_STREAM.items()],
            )
            db.execute("INSERT OR IGNORE INTO tally(stream) SELECT id FROM stream")
            names: dict[str, int] = dict(db.execute("SELECT name, id FROM stream"))
            self._streams = {stream: names[stream.value] for stream in Stream}
            last = waits.latest(db)
            if last is not None and last > to_micros(now):
                waits.move_back(db, last - to_micros(now))
            elif last is not None:  # nobody knows how much of it has passed
                waits.move_ahead(db, to_micros(now) - last, to_micros(now))
            # A restart is a fresh try, and a clock once set far ahead must not put work to sleep.
            soon = to_micros(now)
            db.execute("UPDATE batch SET due_at = ? WHERE due_at > ?", (soon, soon))
            db.execute(
                f"UPDATE command SET due_at = ? WHERE due_at > ? AND {waits.OUR_COMMANDS}",
                (soon, soon),
            )
            latest = to_micros(now + _LONGEST_WAIT)
            db.execute("UPDATE park SET due_at = ? WHERE due_at > ?", (latest, latest))
            db.execute("UPDATE chunk SET due_at = ? WHERE due_at > ?", (latest, latest))
            turn = Turn(db, seal=self._seal, now=now, streams=self._streams)
            if self.restored and side is not None:
                turn.audit("journal.restored", {"epoch": side.epoch, "seq": side.seq})
                turn.note("journal.restored", None, 1)
            turn.break_intakes()
            turn.audit("journal.opened", {"epoch": self.epoch, "uuid": self.uuid})
            turn.finish()
            turn.end()
        self._write_side(read_meta(db))

    # --- writing -----------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[Turn]:
        """The one writing transaction; other threads wait, the same thread may not nest.

        Raises what the body raises (rolled back); DiskFull when there is no room (rolled back,
        works again once there is); JournalError ``journal.io`` when the disk fails.
        """
        if self._owner == threading.get_ident():
            raise RuntimeError("a turn is open in this thread")
        with self._writing:
            if self._closed:
                raise JournalError("journal.closed")
            self._owner = threading.get_ident()
            now, set_by_s = self._wall.look()
            try:
                with database.translated(self._doubt), self._transaction(self._writer) as state:
                    turn = Turn(self._writer, seal=self._seal, now=now, streams=self._streams)
                    state.turn = turn
                    try:
                        turn.clock_set(set_by_s)
                        yield turn
                        state.keep = turn.finish()
                    finally:
                        turn.end()
                self._wall.heeded(set_by_s)
            finally:
                self._owner = None

    def heed_clock(self) -> None:
        """Move what waits if somebody has set the wall clock. A turn does it by itself; call this
        every second and before a wait is judged, because what sleeps wakes nobody."""
        by_s = self._wall.look()[1]
        if abs(by_s) >= waits.STEP_S:
            log.warning("clock.set", seconds=round(by_s, 1))
            with self.turn():
                pass

    @contextmanager
    def _transaction(self, db: apsw.Connection) -> Iterator[_State]:
        """BEGIN IMMEDIATE .. COMMIT; whatever goes wrong rolls back."""
        state = _State()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield state
            if state.keep:
                _commit(db, state.turn)
            else:
                db.execute("ROLLBACK")
        except BaseException:
            # SQLite may have rolled back by itself; a second error would hide the first.
            if db.in_transaction:
                with contextlib.suppress(apsw.Error):
                    db.execute("ROLLBACK")
            raise

    # --- reading -----------------------------------------------------------------------------

    @contextmanager
    def _read(self) -> Iterator[apsw.Connection]:
        with database.translated(self._doubt):
            yield self._reader()

    @contextmanager
    def _snapshot(self) -> Iterator[apsw.Connection]:
        with database.translated(self._doubt):
            db = self._reader()
            if db.in_transaction:  # only where the writer's connection serves reads too
                yield db
                return
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    def _reader(self) -> apsw.Connection:
        if self._closed:
            raise JournalError("journal.closed")
        if self._vfs:
            return self._writer
        db: apsw.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = database.connect_reader(self.path)
            with self._guard:
                self._readers.add(db)
            self._local.db = db
        return db

    def verify_audit(self, anchor: str | None = None) -> list[str]:
        """Findings: [] when the chain holds (edit, delete, reorder, truncation, rollback) and
        every effect fits it.

        ``anchor``: a head (``audit_head``) that the CRM kept for us.
        """
        # Read first: the anchor lags the journal, and must not be the newer of the two.
        side = None if self._sides is None else self._sides.read()
        with self._snapshot() as db:
            return audit.verify(db, side=side, anchor=anchor) + proof.effect_findings(db)

    def _doubt(self) -> None:
        if not self.is_doubted:
            log.error("journal.doubted")
        self.is_doubted = True

    # --- keeping -----------------------------------------------------------------------------

    def backup(self, folder: Path, keep: int = 3) -> Path:
        """A verified copy (integrity-checked after writing), oldest beyond ``keep`` dropped.

        Waits for no writer and makes none wait. DiskFull leaves the older copies alone, and so does
        JournalDamaged: a copy that is not whole may be the fault of what was copied.
        """
        with self._read() as db:
            try:
                made = backups.copy(db, folder, self.path.stem, self._clock.now())
            except JournalError:
                database.check(db)
                raise
        backups.drop_oldest(folder, self.path.stem, keep)
        self.note_beside()
        return made

    def note_beside(self) -> None:
        """Note beside the file how far it is. A copy made before this and put back is then known
        as one, and gives no number away a second time; call it every few seconds."""
        with self._read() as db:
            facts = read_meta(db)
        if facts.lsn != self._marked_lsn:
            self._write_side(facts)

    def _write_side(self, facts: Meta) -> None:
        if self._sides is None:
            return
        self._marked_lsn = facts.lsn
        self._sides.write(
            audit.SideAnchor(
                uuid=facts.uuid,
                epoch=facts.epoch,
                lsn=facts.lsn,
                seq=facts.audit_seq,
                head=facts.audit_hash.hex(),
            )
        )

    def close(self) -> None:
        """Mark a clean shutdown, fold the WAL into the file, release the lock. Twice is once."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                with contextlib.suppress(apsw.Error), self._transaction(self._writer):
                    self._writer.execute("UPDATE meta SET value = 1 WHERE name = 'clean_shutdown'")
                with contextlib.suppress(apsw.Error):
                    self._write_side(read_meta(self._writer))
                with self._guard:
                    readers = list(self._readers)
                for reader in readers:
                    # A read of another thread ends with an error; it may close its own side late.
                    with contextlib.suppress(apsw.Error):
                        reader.interrupt()
                        reader.close(True)
                database.close_quietly(self._writer)
            finally:
                if self._lock is not None:
                    self._lock.release()


class _State:
    """What ``_transaction`` needs to know at its end."""

    def __init__(self) -> None:
        self.keep = True
        self.turn: Turn | None = None


def _commit(db: apsw.Connection, turn: Turn | None) -> None:
    """COMMIT; an error after the point of no return (a checkpoint that failed) is no failure."""
    try:
        db.execute("COMMIT")
    except apsw.Error as error:
        if turn is None or db.in_transaction or read_meta(db).lsn != turn.lsn:
            raise
        log.warning("journal.commit_kept", sqlite=getattr(error, "extendedresult", 0))


def _check(db: apsw.Connection, path: Path) -> int:
    """Structure, then layout; the layout number."""
    database.check(db)
    version = database.check_layout(db)
    if version == 0:
        raise JournalError("journal.absent", file=path.name)
    return version


def prepare(
    path: Path,
    clock: Clock,
    steps: Migrations = schema.migrations,
    known: int = schema.SCHEMA_VERSION,
) -> None:
    """Make the file at ``path`` sound and of the newest layout; the caller holds the lock.

    Damaged: set aside, JournalDamaged. Older layout: verified backup beside it, then migrated.
    """
    existed = path.exists() and path.stat().st_size > 0
    pending = True
    if existed:
        try:
            with database.translated():
                db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
                try:
                    db.set_busy_timeout(database.BUSY_TIMEOUT_MS)
                    database.check(db)
                    version = database.check_layout(db, known)
                    pending = version < known
                    if pending and version:
                        backups.copy(db, path.parent, f"{path.stem}-v{version}", clock.now())
                finally:
                    database.close_quietly(db)
        except JournalDamaged:
            moved = database.set_aside(path, clock.now())
            raise JournalDamaged(file=moved.name) from None
    if not pending:
        return
    try:
        schema.migrate(path, steps)
    except sqlite3.Error as error:
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        raise (
            database.translate(apsw.FullError()) if full else JournalError("journal.migration")
        ) from error
    if os.name == "posix":
        path.chmod(0o600)
