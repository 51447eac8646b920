"""Back to an older program: the journal it can read, as it was before the newer one migrated it.

Used while no agent runs. Nothing is deleted: the newer file is set aside under a dated name. What
the newer program did meanwhile is not lost: the anchor beside the journal tells the next start that
this is an older copy, and it asks both sides anew.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import apsw
import structlog

from agent.errors import JournalError
from agent.journal import backups, database
from agent.journal.schema import SCHEMA_VERSION

log = structlog.get_logger(__name__)

_SIDES = ("", "-wal", "-shm")


def put_back(path: Path, now: datetime, known: int = SCHEMA_VERSION) -> str:
    """``whole``: the journal is one this program (``known``: its newest layout) can read, or there
    is none; ``put_back``: the copy made before the migration stands in its place now.

    JournalError journal.newer: there is no such copy, and the newer file stays where it is.
    """
    if not path.exists() or _layout(path) <= known:
        return "whole"
    copies = [
        copy
        for version in range(known, 0, -1)
        for copy in reversed(backups.listed(path.parent, f"{path.stem}-v{version}"))
        if _is_sound(copy)
    ]
    if not copies:
        raise JournalError("journal.newer", found=_layout(path), known=known)
    aside = path.with_name(f"{path.name}.newer-{now:%Y%m%dT%H%M%SZ}")
    draft = path.with_name(f"{path.name}.put-back")
    shutil.copyfile(copies[0], draft)  # the copy itself stays: a second try may need it
    for side in _SIDES:
        source = path.with_name(path.name + side)
        if source.exists():
            source.replace(aside.with_name(aside.name + side))
    draft.replace(path)
    log.warning("journal.put_back")
    return "put_back"


def _layout(path: Path) -> int:
    """Of any journal, newer ones too. JournalError where it cannot be read."""
    with database.translated():
        db = database.connect_visitor(path)
        try:
            return int(db.pragma("user_version"))
        finally:
            database.close_quietly(db)


def _is_sound(copy: Path) -> bool:
    try:
        with database.translated():
            db = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                return database.is_whole(db)
            finally:
                database.close_quietly(db)
    except JournalError:
        return False
