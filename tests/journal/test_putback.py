"""Back to an older program: its journal again, and what happened since is asked anew."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from agent.errors import JournalError
from agent.journal import schema
from agent.journal.journal import Journal, prepare
from agent.journal.putback import put_back
from agent.runtime.clock import SystemClock
from tests.journal.sealing import TestSeal

NOW = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
NEWER = schema.SCHEMA_VERSION + 1


def opened(path: Path) -> Journal:
    return Journal.open(path, seal=TestSeal(), clock=SystemClock())


def migrate(path: Path) -> None:
    """As the next version of the program would at its start."""
    steps = Migrations("bridgework.journal")
    for name in dir(schema):
        if name.startswith("m0"):
            steps()(getattr(schema, name))

    @steps()
    def m999(db: Database) -> None:
        db.execute("CREATE TABLE of_the_future(what TEXT) STRICT")
        db.execute(f"PRAGMA user_version = {NEWER}")

    prepare(path, SystemClock(), steps, NEWER)


def layout(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "journal" / "journal.db"
    opened(file).close()
    return file


def test_a_journal_this_program_can_read_is_left_alone(path: Path) -> None:
    before = path.read_bytes()
    assert put_back(path, NOW) == "whole"
    assert put_back(path.with_name("none.db"), NOW) == "whole"
    assert path.read_bytes() == before


def test_the_copy_of_before_the_migration_stands_in_its_place(path: Path) -> None:
    uuid = (journal := opened(path)).uuid
    journal.close()
    migrate(path)
    with pytest.raises(JournalError, match=r"journal\.newer"):
        opened(path)
    # … and the newer program went on for a while: the anchor beside the journal knows.
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO of_the_future VALUES ('work of the new version')")
    assert put_back(path, NOW) == "put_back"
    assert layout(path) == schema.SCHEMA_VERSION
    (aside,) = path.parent.glob("journal.db.newer-*Z")
    assert layout(aside) == NEWER, "nothing is deleted"
    again = opened(path)
    assert again.uuid == uuid
    again.close()
    assert put_back(path, NOW) == "whole", "a second try does no harm"


def test_the_next_start_knows_that_it_is_an_older_copy(path: Path) -> None:
    migrate(path)
    newer = path.read_bytes()
    assert put_back(path, NOW) == "put_back"
    opened(path).close()  # stands for the newer program's own starts: the anchor moves on
    opened(path).close()
    path.write_bytes(newer)
    assert put_back(path, NOW) == "put_back"
    journal = opened(path)
    assert journal.restored
    journal.close()


def test_a_damaged_copy_is_passed_over_and_without_one_nothing_is_touched(path: Path) -> None:
    migrate(path)
    (copy,) = path.parent.glob("journal-v*.backup")
    damaged = bytearray(copy.read_bytes())
    damaged[:100] = b"\0" * 100
    copy.write_bytes(damaged)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"journal\.newer"):
        put_back(path, NOW)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.put-back"))
