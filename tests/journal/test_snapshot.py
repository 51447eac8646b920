"""Looking at a journal from outside: beside a running agent, after a stop, after a crash."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.errors import DiskFull, JournalError
from agent.journal import backups
from agent.journal.journal import Journal
from agent.journal.rows import Tier
from agent.journal.snapshot import backup_file, status_snapshot, verify_file
from tests.journal.conftest import PATIENT, SEAL, outgoing, seen, upsert
from tests.support.clock import START, HandClock

LOOKER = """
import sys, msgspec
from pathlib import Path
from agent.journal.snapshot import status_snapshot
sys.stdout.buffer.write(msgspec.json.encode(status_snapshot(Path(sys.argv[1]))))
"""


def work(journal: Journal) -> None:
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(upsert(1), upsert(2)))
        turn.see(PATIENT, [seen(1), seen(2)], batch.number)
        turn.plan_chunks(PATIENT, [5], Tier.HOT, START)
        turn.set_mark("tail.a", "7")
        turn.note("load.started", PATIENT, 2)
        turn.set_source("id", "ok", {})


def files(path: Path) -> dict[str, bytes]:
    return {part.name: part.read_bytes() for part in path.parent.iterdir()}


def test_another_process_sees_the_running_agents_numbers(journal: Journal) -> None:
    work(journal)
    with journal.turn() as turn:
        turn.set_mark("tail.a", "8")  # the writer is in the middle of something
        told = json.loads(
            subprocess.run(
                [sys.executable, "-c", LOOKER, str(journal.path)], check=True, capture_output=True
            ).stdout
        )
    assert told["uuid"] == journal.uuid
    assert told["numbers"]["pending_operations"] == 2
    assert told["marks"] == {"tail.a": "7"}
    assert not told["clean_shutdown"]
    with journal.turn() as turn:
        turn.set_mark("tail.a", "9")
    assert status_snapshot(journal.path).marks == {"tail.a": "9"}
    assert status_snapshot(journal.path, START).numbers == journal.numbers(START)


def test_looking_changes_no_file(journal: Journal, path: Path, tmp_path: Path) -> None:
    work(journal)
    crashed = tmp_path / "crashed"
    shutil.copytree(path.parent, crashed)
    journal.close()
    for folder, clean in ((path.parent, True), (crashed, False)):
        file = folder / path.name
        before = files(file)
        assert ("journal.db-wal" in before) is not clean
        snapshot = status_snapshot(file)
        assert snapshot.clean_shutdown is clean
        assert snapshot.numbers.pending_batches == 1
        assert snapshot.source == ("id", "ok", {})
        assert [line.code for line in snapshot.activity] == ["load.started"]
        assert {c.stream: c.present for c in snapshot.streams}[PATIENT] == 2
        assert verify_file(file) == []
        assert files(file) == before


def test_no_journal_and_no_journal_of_ours(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"journal\.absent"):
        status_snapshot(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "letter.db"
    other.write_bytes(b"Dear diary, " * 500)
    with pytest.raises(JournalError, match=r"journal\.damaged"):
        status_snapshot(other)


def test_damage_shows_from_outside(journal: Journal, path: Path) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in range(3_000)], None)
    journal.close()
    raw = bytearray(path.read_bytes())
    page = next(
        at
        for at in range(4096 * 20, len(raw), 4096)
        if raw[at] == 10  # a leaf of rows
    )
    raw[page + 3] ^= 0xFF  # its cell count
    path.write_bytes(raw)
    assert any(f.startswith("journal.damaged") for f in verify_file(path))


# --- backups --------------------------------------------------------------------------------------


def test_backups_are_whole_and_few(
    journal: Journal, clock: HandClock, tmp_path: Path, path: Path
) -> None:
    folder = tmp_path / "backups"
    made = []
    for number in range(5):
        with journal.turn() as turn:
            turn.set_mark("n", str(number))
        made.append(journal.backup(folder, keep=2))
        clock.advance(60 * (number % 2))  # two in the same second must not meet
    assert len(set(made)) == 5
    assert sorted(folder.iterdir()) == sorted(made[-2:])
    journal.close()
    # A backup opens as a journal by itself; being older than the anchor, with a new identity.
    shutil.copy(made[-1], path)
    copy = Journal.open(path, seal=SEAL, clock=clock)
    assert (copy.mark("n"), copy.verify_audit()) == ("4", [])
    copy.close()


def test_a_backup_does_not_wait_for_the_writer(journal: Journal, tmp_path: Path) -> None:
    work(journal)
    with journal.turn() as turn:
        turn.set_mark("tail.a", "uncommitted")
        made = journal.backup(tmp_path / "b")
        outside = backup_file(journal.path, tmp_path / "c", now=START)
    for file in (made, outside):
        assert status_snapshot(file).marks == {"tail.a": "7"}


def test_a_backup_that_fails_leaves_the_older_ones(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "b"
    kept = journal.backup(folder, keep=1)

    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(DiskFull):
        journal.backup(folder, keep=1)
    assert list(folder.iterdir()) == [kept]
    assert backups.listed(folder, "journal") == [kept]


# --- the command ----------------------------------------------------------------------------------


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["journal", *arguments])


@pytest.fixture
def at_home(home: Path, clock: HandClock) -> Callable[[], Journal]:
    path = home / "journal" / "journal.db"
    return lambda: Journal.open(path, seal=SEAL, clock=clock)


def test_commands_without_a_journal(home: Path) -> None:
    for command in ("info", "verify", "backup"):
        done = _run(command)
        assert done.exit_code == 6
        assert "journal.absent" in done.stderr


def test_commands_beside_a_running_agent(at_home: Callable[[], Journal], home: Path) -> None:
    journal = at_home()
    work(journal)
    told = json.loads(_run("info", "--json").stdout)
    assert (told["uuid"], told["numbers"]["chunks"]) == (journal.uuid, 2)
    assert told["backups"] == told["damaged"] == []
    head = journal.audit_head()
    assert json.loads(_run("verify", "--anchor", head, "--json").stdout) == {
        "holds": True,
        "findings": [],
    }
    made = Path(json.loads(_run("backup", "--json").stdout)["path"])
    assert made.parent == home / "backups"
    assert status_snapshot(made).numbers.pending_batches == 1
    shown = _run("info").stdout
    assert made.name in shown
    assert journal.uuid in shown
    journal.close()


def test_verify_tells_a_broken_chain(at_home: Callable[[], Journal]) -> None:
    journal = at_home()
    journal._writer.execute("UPDATE audit SET act = 'nothing' WHERE seq = 1")
    journal.close()
    done = _run("verify")
    assert done.exit_code == 1
    assert "[audit.edited seq=1]" in done.stdout
    assert _run("verify", "--anchor", "rubbish").exit_code == 2
