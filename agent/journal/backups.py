"""Verified copies of a journal. Knows SQLite's online backup and file names, no table."""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path

import apsw

from agent.errors import DiskFull, JournalError
from agent.journal import database

_SUFFIX = ".backup"


def copy(source: apsw.Connection, folder: Path, stem: str, now: datetime) -> Path:
    """Copy what ``source`` sees into ``folder`` and check the copy before it gets its name.

    One step copies one snapshot, so a busy writer neither waits nor restarts it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    target = folder / f"{stem}-{stamp}{_SUFFIX}"
    number = 1
    while target.exists():
        number += 1
        target = folder / f"{stem}-{stamp}-{number}{_SUFFIX}"
    draft = target.with_name(target.name + ".new")
    try:
        with database.translated():
            _write(source, draft)
        if os.name == "posix":
            draft.chmod(0o600)
        draft.replace(target)
    except OSError as error:
        raise DiskFull from error
    finally:
        for leftover in (draft, draft.with_name(draft.name + "-journal")):
            with contextlib.suppress(OSError):
                leftover.unlink()
    return target


def _write(source: apsw.Connection, draft: Path) -> None:
    draft.unlink(missing_ok=True)
    copied = apsw.Connection(str(draft))
    try:
        with copied.backup("main", source, "main") as work:
            while not work.done:
                work.step()
        # Out of WAL mode: the copy is one file, complete by itself.
        copied.pragma("journal_mode", "delete")
        is_whole = database.is_whole(copied)
    finally:
        copied.close(True)
    if not is_whole:
        raise JournalError("journal.backup_failed")
    with draft.open("rb+") as stream:
        os.fsync(stream.fileno())


def listed(folder: Path, stem: str) -> list[Path]:
    """Rolling copies of the journal called ``stem``, oldest first."""
    found = folder.glob(f"{stem}-[0-9]*{_SUFFIX}")
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))


def drop_oldest(folder: Path, stem: str, keep: int) -> None:
    """Delete the oldest copies beyond ``keep`` (at least one stays)."""
    for path in listed(folder, stem)[: -max(keep, 1)]:
        path.unlink(missing_ok=True)
