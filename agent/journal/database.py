"""The journal's file: lock, connections, checks, setting a damaged file aside, error translation.

Knows SQLite and the file system, no table of ours. Connections here are apsw (not the standard
sqlite3): twice as fast row by row, and it can run over a file layer that fails on purpose.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import structlog

from agent.errors import AgentBusy, AgentError, DiskFull, JournalDamaged, JournalError
from agent.journal.schema import APPLICATION_ID, SCHEMA_VERSION

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = structlog.get_logger(__name__)

BUSY_TIMEOUT_MS = 10_000
CHECKPOINT_PAGES = 2_000
STATEMENTS_KEPT = 512  # most that apsw takes: each use takes a new place, so rare ones fall out
READER_CACHE_KB = 256  # a dozen threads hold one each; what they read is in the system's cache
WAL_KEEP_BYTES = 64 * 1024 * 1024
_LOCK_BYTE = 1 << 30  # far behind the pid, which stays readable while the byte is locked
_SIDES = ("", "-wal", "-shm")


class InstanceLock:
    """One writer per journal: an OS lock beside it, gone with the process however it ends.

    The file itself stays: removing it would let two processes lock two different files.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal.with_name(journal.name + ".lock")
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._acquire()
        except OSError:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            holder = os.read(self._descriptor, 20)
            os.close(self._descriptor)
            raise AgentBusy(pid=int(holder) if holder.strip().isdigit() else None) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, str(os.getpid()).encode())

    def _acquire(self) -> None:
        if sys.platform == "win32":
            os.lseek(self._descriptor, _LOCK_BYTE, os.SEEK_SET)
            msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        else:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


@contextlib.contextmanager
def translated(on_damage: Callable[[], None] = lambda: None) -> Iterator[None]:
    """SQLite's errors become ours, by consequence."""
    try:
        yield
    except apsw.Error as error:
        ours = translate(error)
        if isinstance(ours, JournalDamaged):
            on_damage()
        raise ours from error
    except JournalDamaged:  # found by a check of ours
        on_damage()
        raise


def translate(error: apsw.Error) -> AgentError:
    """FULL -> DiskFull, CORRUPT/NOTADB -> JournalDamaged, anything else -> JournalError."""
    extended = getattr(error, "extendedresult", 0)
    if isinstance(error, apsw.FullError) or extended == apsw.SQLITE_IOERR_SHMSIZE:
        return DiskFull()
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return JournalDamaged()
    if isinstance(error, apsw.IOError):
        return JournalError("journal.io", sqlite=extended)
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return JournalError("journal.locked", sqlite=extended)
    if isinstance(error, (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError)):
        return JournalError("journal.unreadable", sqlite=extended)
    return JournalError("journal.error", sqlite=extended)


class _Xor:
    """xor of signed 64-bit integers; stays signed because xor keeps the sign bit's meaning."""

    def __init__(self) -> None:
        self.value = 0

    def step(self, *values: Any) -> None:
        if values[0] is not None:
            self.value ^= values[0]

    def final(self) -> int:
        return self.value


def connect_writer(path: str, vfs: str | None) -> apsw.Connection:
    """The one writing connection.

    synchronous=FULL: with NORMAL a power cut forgets a committed intent whose effect already left.
    Over a given VFS the locking mode is exclusive, since such a layer has no shared memory.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if vfs else 0)
    db = apsw.Connection(path, flags=flags, vfs=vfs, statementcachesize=STATEMENTS_KEPT)
    try:
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        if vfs:
            db.pragma("locking_mode", "exclusive")
        # A file not in WAL mode yet is switched through a rollback journal. Were the removal of
        # that journal lost in a power cut, it would later roll back what it knows nothing of.
        db.pragma("synchronous", "extra")
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.pragma("foreign_keys", True)
        db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        db.pragma("journal_size_limit", WAL_KEEP_BYTES)
        db.pragma("trusted_schema", False)
        db.create_aggregate_function("xor64", _Xor)
    except BaseException:
        close_quietly(db)
        raise
    return db


def close_quietly(db: apsw.Connection) -> None:
    """Close on the way out of another error, which must stay the one that is seen."""
    with contextlib.suppress(apsw.Error):
        db.close(True)


def connect_reader(path: Path) -> apsw.Connection:
    """A connection of one thread for snapshots; it cannot write."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.pragma("cache_size", -READER_CACHE_KB)
    db.create_aggregate_function("xor64", _Xor)
    return db


def connect_visitor(path: Path) -> apsw.Connection:
    """Read-only from outside the agent: creates no file, takes no lock that a writer would feel.

    Without a WAL file nobody is writing and the file is complete by itself (immutable); with one,
    the shared memory is opened read-only, and if its owner crashed SQLite rebuilds the index of
    the WAL privately.
    """
    if not path.exists():
        raise JournalError("journal.absent")
    mode = "readonly_shm=1" if is_live(path) else "immutable=1"
    db = apsw.Connection(
        f"{path.absolute().as_uri()}?mode=ro&{mode}",
        flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
    )
    db.set_busy_timeout(BUSY_TIMEOUT_MS)
    db.create_aggregate_function("xor64", _Xor)
    return db


def is_live(path: Path) -> bool:
    """Somebody has the journal open, or died with it open: its WAL holds something."""
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def check_layout(db: apsw.Connection, known: int = SCHEMA_VERSION) -> int:
    """user_version of a journal; 0 = an empty file. A newer one or another program's is refused."""
    application = int(db.pragma("application_id"))
    version = int(db.pragma("user_version"))
    # The list of migrations comes first: killed right after it, a new journal holds nothing else.
    tables = next(
        db.execute("SELECT count(*) FROM sqlite_schema WHERE tbl_name<>'_sqlite_migrations'")
    )[0]
    if application == 0 and version == 0 and tables == 0:
        return 0
    if application != APPLICATION_ID:
        raise JournalError("journal.foreign", application_id=application)
    if version > known:
        raise JournalError("journal.newer", found=version, known=known)
    return version


def is_whole(db: apsw.Connection) -> bool:
    """Every page in its place, every index in agreement with its table (which SQLite's quick_check
    does not ask; it costs a fifth more). Nor does any check of SQLite's ask whether an empty index
    has become a head without a page below."""
    try:
        if [row[0] for row in db.execute("PRAGMA integrity_check(1)")] != ["ok"]:
            return False
        # Page 1 has less room than the others, so its only page below may not fit into it.
        headless = "pagetype = 'internal' AND ncell = 0 AND path = '/' AND pageno > 1"
        return not list(db.execute(f"SELECT 1 FROM dbstat WHERE {headless} LIMIT 1"))
    except (apsw.CorruptError, apsw.NotADBError):
        return False


def check(db: apsw.Connection) -> None:
    """Raise JournalDamaged unless it is whole. Where an index and its table disagree, nothing says
    which of them is right, so no index is made anew."""
    if not is_whole(db):
        raise JournalDamaged


def set_aside(path: Path, now: datetime) -> Path:
    """Rename a damaged journal (with its WAL) to a dated name; never deletes, never overwrites."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    moved = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while moved.exists():
        number += 1
        moved = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for side in _SIDES:
        source = path.with_name(path.name + side)
        if source.exists():
            source.replace(moved.with_name(moved.name + side))
    log.error("journal.set_aside", file=moved.name)
    return moved
