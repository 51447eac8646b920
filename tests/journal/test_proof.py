"""What ``audit verify`` must see of writes to the PMS, each with a file really tampered with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import audit
from agent.journal.journal import Journal
from agent.journal.snapshot import verify_file
from agent.model.streams import Stream
from tests.journal.pulling import done, intend
from tests.journal.test_audit import Tamper, anchor, relinked, tampered
from tests.support.clock import START

# done("a"): effect 1, rows 2..4 (intended, verified, applied); done("b"): effect 2, rows 5..7;
# then an anchor at 7; effect 3 open (8), effect 4 unknown (9, 10).
TAMPERINGS: dict[str, tuple[Tamper, str]] = {
    "an image of one effect put into another": (
        lambda db: db.execute(
            "UPDATE effect SET image = (SELECT image FROM effect WHERE number = 2) WHERE number = 1"
        ),
        "audit.effect_edited effect=1",
    ),
    "an image wiped": (
        lambda db: db.execute("UPDATE effect SET image = zeroblob(length(image)) WHERE number = 3"),
        "audit.effect_edited effect=3",
    ),
    "an intent pointed at another entry": (
        lambda db: db.execute("UPDATE effect SET intent_seq = 5 WHERE number = 1"),
        "audit.effect_edited effect=1",
    ),
    "done made undone": (
        lambda db: db.execute("UPDATE effect SET state = 'failed' WHERE number = 2"),
        "audit.effect_edited effect=2",
    ),
    "open made done": (
        lambda db: db.execute("UPDATE effect SET state = 'verified' WHERE number = 3"),
        "audit.effect_edited effect=3",
    ),
    "an open effect removed": (
        lambda db: db.execute("DELETE FROM effect WHERE number = 3"),
        "audit.effect_missing effect=3",
    ),
    "an unknown effect removed": (
        lambda db: db.execute("DELETE FROM effect WHERE number = 4"),
        "audit.effect_missing effect=4",
    ),
    "edit": (
        lambda db: db.execute(
            "UPDATE audit SET detail = replace(detail, 'crm', 'ada') WHERE seq = 2"
        ),
        "audit.edited seq=2",
    ),
    "delete": (lambda db: db.execute("DELETE FROM audit WHERE seq = 3"), "audit.missing seq=3"),
    "reorder": (
        lambda db: db.executescript(
            "UPDATE audit SET seq = -3 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;"
            "UPDATE audit SET seq = 4 WHERE seq = -3;"
        ),
        "audit.edited seq=3",
    ),
    "an outcome rewritten by somebody who knows chains": (
        lambda db: (
            db.execute("UPDATE audit SET act = 'command.rejected' WHERE seq = 4"),
            relinked(db, 4),
        ),
        "audit.rewritten seq=7",
    ),
    "cut behind the anchor": (
        lambda db: db.execute("DELETE FROM audit WHERE seq > 8"),
        "audit.truncated seq=8",
    ),
    "cut behind the anchor by somebody who knows chains": (
        lambda db: (db.execute("DELETE FROM audit WHERE seq > 8"), relinked(db, 8)),
        "audit.rolled_back anchor=beside seq=10",
    ),
}


@pytest.fixture
def written(opened: Callable[[], Journal], path: Path) -> Path:
    journal = opened()
    done(journal, "a")
    done(journal, "b")
    anchor(journal)
    intend(journal, b"open", command_id=None)
    unknown = intend(journal, b"unknown", command_id=None)
    with journal.turn() as turn:
        turn.effect_unknown(unknown, "write.unknown")
    journal.close()
    assert verify_file(path) == []
    return path


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_with_a_write_shows(
    written: Path, opened: Callable[[], Journal], name: str
) -> None:
    change, finding = TAMPERINGS[name]
    tampered(written, change)
    assert finding in verify_file(written)
    assert opened().verify_audit() != []  # and the next start does not cover it up


def test_an_old_copy_of_the_file_shows(
    written: Path, opened: Callable[[], Journal], tmp_path: Path
) -> None:
    """Yesterday's file, in which an effect had not happened: its own chain is whole."""
    shutil.copy(written, tmp_path / "yesterday.db")
    journal = opened()
    done(journal, "today")
    head = journal.audit_head()
    journal.close()
    shutil.copy(tmp_path / "yesterday.db", written)
    [found] = verify_file(written)
    assert found.startswith("audit.rolled_back anchor=beside")
    # Even with the anchor beside the file rolled back too, the CRM's head tells.
    audit.side_path(written).unlink()
    assert verify_file(written) == []
    [found] = verify_file(written, head)
    assert found.startswith("audit.rolled_back anchor=given")


def test_pruned_effects_and_forgotten_people_are_no_finding(journal: Journal) -> None:
    done(journal, "a")
    done(journal, "b")
    with journal.turn() as turn:
        assert turn.forget_person(Stream.PATIENT, [12]) == 0
    assert journal.verify_audit() == []
    with journal.turn() as turn:
        turn.prune(tombstones_before=START, work_before=START + timedelta(days=1))
    assert journal.effects_recent(9) == []
    assert journal.verify_audit() == []
