"""The chain shows every kind of tampering; honest journals show none."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.journal import audit
from agent.journal.journal import Journal
from agent.journal.snapshot import verify_file
from tests.journal.conftest import PATIENT, outgoing, seen, upsert
from tests.journal.oracle import query
from tests.support.clock import START

Tamper = Callable[[sqlite3.Connection], object]
Record = Callable[[str, object], None]


def act(journal: Journal, times: int = 1) -> None:
    """Effects with their audit rows."""
    for key in range(times):
        with journal.turn() as turn:
            batch = turn.enqueue(outgoing(upsert(key)))
            turn.see(PATIENT, [seen(key)], batch.number)
            turn.settle(batch, batch.operations)


def anchor(journal: Journal) -> str:
    head = journal.audit_head()
    with journal.turn() as turn:
        turn.anchor(head, "receipt")
    return head


def tampered(path: Path, change: Tamper) -> None:
    db = sqlite3.connect(path)
    with db:
        change(db)
    db.close()


def relinked(db: sqlite3.Connection, start: int) -> object:
    """Somebody who knows how chains work mends the chain (and meta) from a row on."""
    [(prev,)] = db.execute("SELECT hash FROM audit WHERE seq = ?", (start - 1,))
    rows = db.execute(
        "SELECT seq, lsn, epoch, at, act, digest, detail FROM audit WHERE seq >= ? ORDER BY seq",
        (start,),
    ).fetchall()
    for seq, *fields in rows:
        hashed = audit.link(prev, seq, *fields)
        db.execute("UPDATE audit SET prev = ?, hash = ? WHERE seq = ?", (prev, hashed, seq))
        prev = hashed
    db.execute("UPDATE meta SET value = ? WHERE name = 'audit_hash'", (prev,))
    return db.execute(
        "UPDATE meta SET value = (SELECT max(seq) FROM audit) WHERE name = 'audit_seq'"
    )


def forged(db: sqlite3.Connection, seq: int) -> object:
    """One row says something else and its own hash fits; the next row still knows the old one."""
    fields = list(
        db.execute(
            "SELECT prev, seq, lsn, epoch, at, act, digest, detail FROM audit WHERE seq = ?", (seq,)
        ).fetchone()
    )
    fields[-1] = "{}"
    return db.execute(
        "UPDATE audit SET detail = '{}', hash = ? WHERE seq = ?", (audit.link(*fields), seq)
    )


def test_an_honest_chain_holds(opened: Callable[[], Journal], path: Path) -> None:
    journal = opened()
    act(journal, 5)
    head = anchor(journal)
    assert journal.verify_audit() == []
    assert journal.verify_audit(anchor=head) == []
    act(journal, 2)
    assert journal.verify_audit(anchor=head) == []
    again = opened()
    assert again.verify_audit(anchor=head) == []
    assert not again.restored
    again.close()
    assert verify_file(path, head) == []


FOUND = "ways of tampering found"
TAMPERINGS: dict[str, tuple[Tamper, str]] = {
    "edit": (
        lambda db: db.execute("UPDATE audit SET detail = replace(detail, '1', '7') WHERE seq = 3"),
        "audit.edited seq=3",
    ),
    "edit_digest": (
        lambda db: db.execute("UPDATE audit SET digest = zeroblob(32) WHERE seq = 3"),
        "audit.edited seq=3",
    ),
    "forge_one_row_with_its_hash": (
        lambda db: forged(db, 3),
        "audit.unlinked seq=4",
    ),
    "delete": (
        lambda db: db.execute("DELETE FROM audit WHERE seq = 3"),
        "audit.missing seq=3",
    ),
    "delete_first": (
        lambda db: db.execute("DELETE FROM audit WHERE seq = 1"),
        "audit.missing seq=1",
    ),
    "reorder": (
        lambda db: db.executescript(
            "UPDATE audit SET seq = -3 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;"
            "UPDATE audit SET seq = 4 WHERE seq = -3;"
        ),
        "audit.edited seq=3",
    ),
    "truncate": (
        lambda db: db.execute("DELETE FROM audit WHERE seq > 4"),
        "audit.truncated seq=4",
    ),
    "rewrite_and_relink": (
        lambda db: (
            db.execute("UPDATE audit SET detail = '{}' WHERE seq = 3"),
            relinked(db, 3),
        ),
        "audit.rewritten seq=5",
    ),
    "truncate_after_anchor_and_relink": (
        lambda db: (db.execute("DELETE FROM audit WHERE seq > 3"), relinked(db, 3)),
        "audit.truncated seq=5",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_shows(
    opened: Callable[[], Journal], path: Path, name: str, record_property: Record
) -> None:
    journal = opened()
    act(journal, 4)
    head = anchor(journal)
    assert head.split("-")[1] == "5"
    act(journal, 3)
    journal.close()
    change, finding = TAMPERINGS[name]
    assert verify_file(path, head) == []
    tampered(path, change)
    assert finding in verify_file(path)
    assert opened().verify_audit() != []  # and the next start does not cover it up
    record_property(FOUND, 1)


def test_a_rewritten_chain_does_not_fit_the_anchors_outside(
    opened: Callable[[], Journal], path: Path, record_property: Record
) -> None:
    """Even when every anchor inside the file is gone."""
    journal = opened()
    act(journal, 6)
    head = journal.audit_head()
    journal.close()
    tampered(
        path,
        lambda db: (db.execute("UPDATE audit SET detail = '{}' WHERE seq = 3"), relinked(db, 3)),
    )
    assert verify_file(path) == ["audit.rewritten anchor=beside seq=7"]
    audit.side_path(path).unlink()
    assert verify_file(path) == []
    assert verify_file(path, head) == ["audit.rewritten anchor=given seq=7"]
    record_property(FOUND, 1)


def test_a_file_rolled_back_shows_and_gets_a_new_identity(
    opened: Callable[[], Journal], path: Path, tmp_path: Path, record_property: Record
) -> None:
    journal = opened()
    act(journal, 2)
    with journal.turn() as turn:
        waiting = turn.enqueue(outgoing(upsert(50)))
    journal.close()
    shutil.copy(path, tmp_path / "yesterday.db")
    later = opened()
    act(later, 3)
    uuid, epoch, head = later.uuid, later.epoch, later.audit_head()
    later.close()
    shutil.copy(tmp_path / "yesterday.db", path)

    assert "audit.rolled_back anchor=beside seq=7" in verify_file(path)
    restored = opened()
    assert restored.restored
    assert restored.uuid != uuid  # ids given since the copy are never given again
    assert restored.epoch > epoch
    assert restored.verify_audit() == []
    assert restored.verify_audit(anchor=head) == ["audit.rolled_back anchor=given seq=7"]
    record_property(FOUND, 1)
    acts = [name for (name,) in query(restored, "SELECT act FROM audit ORDER BY seq")]
    assert "journal.restored" in acts
    assert restored.recent_activity(1)[0].code == "journal.restored"
    # What still waits keeps its id and its bytes: it may have left already.
    [due] = restored.due_batches(START, 9, frozenset())
    assert (due.id, due.body) == (waiting.id, waiting.body)
    with restored.turn() as turn:
        assert turn.next_batch_id().startswith(restored.uuid)
    assert not opened().restored


def test_a_crash_is_not_a_rollback(opened: Callable[[], Journal], path: Path) -> None:
    journal = opened()
    act(journal, 3)
    journal._writer.close(True)
    if journal._lock is not None:
        journal._lock.release()
    again = opened()
    assert (again.restored, again.unclean) == (False, True)
    assert again.verify_audit() == []


def test_pruning_keeps_the_chain_verifiable(opened: Callable[[], Journal]) -> None:
    journal = opened()
    act(journal, 20)
    with journal.turn() as turn:
        turn.prune(tombstones_before=START - timedelta(1), audit_kept=5)
    assert query(journal, "SELECT min(seq) FROM audit") == [(1,)]  # nothing outside knows it yet
    head = anchor(journal)
    act(journal, 10)
    with journal.turn() as turn:
        turn.prune(tombstones_before=START - timedelta(1), audit_kept=15)
    [(first, last)] = query(journal, "SELECT min(seq), max(seq) FROM audit")
    assert (first, last) == (17, 31)
    assert journal.verify_audit(anchor=head) == []
    journal._writer.execute("DELETE FROM audit WHERE seq = 17")
    assert journal.verify_audit() == ["audit.missing seq=17"]


def test_few_anchors_stay(opened: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.journal.writer.ANCHORS_KEPT", 3)
    journal = opened()
    for _ in range(6):
        act(journal)
        anchor(journal)
    assert query(journal, "SELECT seq FROM anchor ORDER BY seq") == [(5,), (6,), (7,)]


def test_an_audit_row_proves_its_operations(opened: Callable[[], Journal]) -> None:
    journal = opened()
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(upsert(1), upsert(2)))
        turn.see(PATIENT, [seen(1), seen(2)], batch.number)
        turn.settle(batch, batch.operations)
    [(digest,)] = query(journal, "SELECT digest FROM audit ORDER BY seq DESC LIMIT 1")
    assert digest == hashlib.sha256(msgspec.msgpack.encode(batch.operations)).digest()
