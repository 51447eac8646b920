"""A journal of the first layout, as it lies at a site: refused, verified, backed up, migrated."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from sqlite_utils import Migrations

from agent.errors import JournalError
from agent.journal import audit, schema
from agent.journal.journal import Journal
from agent.journal.meta import new_meta, read_meta, write_meta
from agent.journal.snapshot import backup_file, status_snapshot, verify_file
from tests.journal.conftest import PATIENT, content
from tests.journal.oracle import query, structure_findings
from tests.journal.pulling import command, intend
from tests.support.clock import START


@pytest.fixture
def first_layout(path: Path) -> Path:
    """Ten records, a mark and three audit rows, written as the first version wrote them."""
    path.parent.mkdir(parents=True)
    steps = Migrations("bridgework.journal")
    steps._migrations = schema.migrations._migrations[:1]
    schema.migrate(path, steps)
    db = apsw.Connection(str(path))
    with db:
        write_meta(db, **{name: getattr(new_meta(), name) for name in new_meta().__struct_fields__})
        db.execute("INSERT INTO stream(id, name, rank) VALUES (1, 'patient', 5)")
        db.execute("INSERT INTO tally(stream, present, agreed) VALUES (1, 10, 10)")
        db.executemany(
            "INSERT INTO record(stream, key, hash, sum48, xor64, seen_lsn, agreed)"
            " VALUES (1, ?1, ?2, 1, 1, 1, ?2)",
            [(key, content(key)) for key in range(10)],
        )
        db.execute("INSERT INTO mark VALUES ('tail.a', '7')")
        head = audit.Head(0, audit.GENESIS)
        for number in range(3):
            head = audit.append(
                db, head, lsn=number, epoch=1, at=0, act="batch.settled", detail={"n": number}
            )
        write_meta(db, audit_seq=head.seq, audit_hash=head.hash, epoch=1, lsn=3)
    db.close()
    return path


def test_an_old_layout_is_verified_and_copied_but_not_read(
    first_layout: Path, tmp_path: Path
) -> None:
    before = first_layout.read_bytes()
    with pytest.raises(JournalError) as caught:
        status_snapshot(first_layout)
    assert caught.value.code == "journal.older"
    assert verify_file(first_layout) == []
    assert backup_file(first_layout, tmp_path / "copies").exists()
    assert first_layout.read_bytes() == before


def test_an_old_layout_is_brought_up_to_date_after_a_copy(
    first_layout: Path, opened: Callable[[], Journal]
) -> None:
    journal = opened()
    assert journal._writer.pragma("user_version") == schema.SCHEMA_VERSION
    [copy] = first_layout.parent.glob("*-v1-*.backup")
    old = sqlite3.connect(copy)
    assert old.execute("PRAGMA user_version").fetchone() == (1,)
    assert old.execute("SELECT count(*) FROM record").fetchone() == (10,)
    old.close()
    assert len(journal.held_range(PATIENT, None, None)) == 10
    assert journal.mark("tail.a") == "7"
    assert journal.epoch == 2
    assert structure_findings(journal) == []
    assert query(journal, "SELECT count(*) FROM audit WHERE act = 'batch.settled'") == [(3,)]
    with journal.turn() as turn:
        turn.receive(command(), START)
    intend(journal)
    assert journal.verify_audit() == []
    assert read_meta(journal._writer).audit_floor_seq == 0
    assert status_snapshot(first_layout).commands == {"received": 1}
