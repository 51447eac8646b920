"""Opening: single instance, damage, layouts, clocks; and the turn's own rules."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from sqlite_utils import Database, Migrations

from agent.errors import AgentBusy, DiskFull, ExitCode, JournalDamaged, JournalError
from agent.journal import schema
from agent.journal.journal import Journal, Turn, prepare
from agent.journal.rows import ParkClass, Tier
from agent.journal.snapshot import verify_file
from tests.journal.conftest import PATIENT, SEAL, content, outgoing, seen, upsert
from tests.journal.oracle import query, structure_findings
from tests.journal.pulling import command
from tests.support.clock import START, HandClock
from tests.support.pages import behead, flip, page_of

HOLDER = """
import sys
from pathlib import Path
from agent.journal.journal import Journal
from tests.journal.sealing import TestSeal
from tests.support.clock import HandClock
journal = Journal.open(Path(sys.argv[1]), seal=TestSeal(), clock=HandClock())
print("open", flush=True)
sys.stdin.read()
journal.close()
"""


def fill(journal: Journal, rows: int = 2_000) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in range(rows)], None)


# --- layout ---------------------------------------------------------------------------------------


NEXT = schema.SCHEMA_VERSION + 1


def test_a_new_journal_is_as_the_design_says(journal: Journal) -> None:
    db = journal._writer
    assert db.pragma("journal_mode") == "wal"
    assert db.pragma("synchronous") == 2
    assert db.pragma("foreign_keys") == 1
    assert db.pragma("application_id") == schema.APPLICATION_ID
    assert db.pragma("user_version") == schema.SCHEMA_VERSION
    tables = query(journal, "PRAGMA table_list")
    ours = [t for t in tables if t[2] == "table" and not t[1].startswith(("sqlite_", "_sqlite"))]
    assert len(ours) >= 15
    assert [t[1] for t in ours if not t[5]] == []  # STRICT, every one
    assert (journal.epoch, journal.unclean, journal.restored) == (1, False, False)
    if os.name == "posix":  # on Windows the folder's rights see to it
        assert journal.path.stat().st_mode & 0o077 == 0


def test_epochs_grow_and_identity_stays(opened: Callable[[], Journal]) -> None:
    first = opened()
    uuid, lsn = first.uuid, first.lsn
    second = opened()
    assert (second.uuid, second.epoch) == (uuid, 2)
    assert second.lsn > lsn


def test_a_newer_layout_is_left_alone(
    journal: Journal, path: Path, opened: Callable[[], Journal]
) -> None:
    journal.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(JournalError) as caught:
        opened()
    assert caught.value.code == "journal.newer"
    assert caught.value.exit_code is ExitCode.ACTION
    assert path.read_bytes() == before


def test_another_programs_file_is_left_alone(path: Path, opened: Callable[[], Journal]) -> None:
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE holidays(day)")
    db.close()
    with pytest.raises(JournalError) as caught:
        opened()
    assert caught.value.code == "journal.foreign"


def _next_layout() -> Migrations:
    steps = Migrations("bridgework.journal")
    steps._migrations = list(schema.migrations._migrations)

    @steps()
    def next_colour(db: Database) -> None:
        db.execute("ALTER TABLE record ADD COLUMN colour TEXT")
        db.execute(f"PRAGMA user_version = {NEXT}")

    return steps


def test_a_journal_killed_at_its_birth_is_born_again(
    path: Path, opened: Callable[[], Journal]
) -> None:
    """The list of migrations was made, the first of them not: seen after a kill -9."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Migrations("none").apply(Database(path))
    journal = opened()
    assert journal._writer.pragma("user_version") == schema.SCHEMA_VERSION


def test_a_migration_makes_a_backup_first(journal: Journal, path: Path, clock: HandClock) -> None:
    fill(journal, 10)
    journal.close()
    prepare(path, clock)  # nothing to do: no backup
    assert list(path.parent.glob("*.backup")) == []
    prepare(path, clock, _next_layout(), NEXT)
    [backup] = path.parent.glob("*.backup")
    assert f"-v{schema.SCHEMA_VERSION}-" in backup.name
    for file, version, columns in ((path, NEXT, 1), (backup, schema.SCHEMA_VERSION, 0)):
        db = sqlite3.connect(file)
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
        assert db.execute("SELECT count(*) FROM record").fetchone() == (10,)
        found = db.execute("SELECT count(*) FROM pragma_table_info('record') WHERE name='colour'")
        assert found.fetchone() == (columns,)
        db.close()
    with pytest.raises(JournalError, match=r"journal\.newer"):
        Journal.open(path, seal=SEAL, clock=clock)


def test_a_migration_that_fails_leaves_the_old_layout(
    journal: Journal, path: Path, clock: HandClock
) -> None:
    fill(journal, 10)
    journal.close()
    steps = _next_layout()

    @steps()
    def next_broken(db: Database) -> None:
        db.execute("DELETE FROM record")
        db.execute("ALTER TABLE nowhere ADD COLUMN x")

    with pytest.raises(JournalError, match=r"journal\.migration"):
        prepare(path, clock, steps, NEXT + 1)
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM record").fetchone() == (10,)
    assert db.execute("PRAGMA user_version").fetchone() == (NEXT,)
    db.close()


def test_a_folder_of_any_letters_deeper_than_windows_once_allowed(tmp_path: Path) -> None:
    deep = tmp_path / "Zoë Müller" / "データ" / ("a" * 80) / ("b" * 80) / ("c" * 80)
    path = deep / "journal.db"
    assert len(str(path)) > 260
    for _ in range(2):
        Journal.open(path, seal=SEAL, clock=HandClock()).close()


# --- damage ---------------------------------------------------------------------------------------


def _flip_pages(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    chance = random.Random(1)
    for page in range(4096 * 8, len(raw), 4096 * 4):
        for offset in range(12):
            raw[page + offset] ^= chance.randrange(1, 256)
    path.write_bytes(raw)


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 1000)


def _half(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])


@pytest.mark.parametrize("harm", [_flip_pages, _not_a_database, _half])
def test_a_damaged_file_is_set_aside_not_deleted(
    opened: Callable[[], Journal], path: Path, harm: Callable[[Path], None]
) -> None:
    journal = opened()
    fill(journal)
    uuid = journal.uuid
    journal.close()
    harm(path)
    raw = path.read_bytes()
    with pytest.raises(JournalDamaged) as caught:
        opened()
    moved = path.with_name(str(caught.value.facts["file"]))
    assert moved.name == "journal.db.damaged-20260302T080000Z"
    assert moved.read_bytes() == raw
    assert not path.exists()
    fresh = opened()  # a new start is the caller's choice, and possible
    assert fresh.uuid != uuid
    assert not fresh.restored
    assert fresh.held_range(PATIENT, None, None) == {}


def _first_cell(path: Path, index: str) -> int:
    """Where the first entry of an index's first page begins, with its size."""
    at, raw = page_of(path, index), path.read_bytes()
    return at + int.from_bytes(raw[at + 8 : at + 10])


def checks(path: Path) -> list[str]:
    """What SQLite says of its own: the quick check, the whole one."""
    db = apsw.Connection(str(path))
    found = [next(db.execute(f"PRAGMA {name}"))[0] for name in ("quick_check", "integrity_check")]
    db.close()
    return found


def test_an_index_that_hides_a_command_from_its_name_is_noticed(
    opened: Callable[[], Journal], path: Path
) -> None:
    """It would be taken for a new one when the CRM sends it again."""
    journal = opened()
    with journal.turn() as turn:
        turn.receive(command("b"), START)
    journal.close()
    flip(path, path.read_bytes().index(b"b", _first_cell(path, "sqlite_autoindex_command_1")), 0)
    db = sqlite3.connect(path)
    assert not db.execute("SELECT 1 FROM command WHERE id = 'b'").fetchall()
    db.close()
    quick, whole = checks(path)
    assert quick == "ok"
    assert whole != "ok"
    assert verify_file(path)[0] == "journal.damaged"
    with pytest.raises(JournalDamaged):
        opened()


def test_an_empty_index_without_a_page_to_go_to_is_set_aside(
    opened: Callable[[], Journal], path: Path
) -> None:
    opened().close()
    behead(path, "park_due")
    assert checks(path) == ["ok", "ok"]
    with pytest.raises(JournalDamaged):
        opened()
    with opened().turn() as turn:
        turn.park(PATIENT, 1, ParkClass.VALIDATION, "why", b"", START)


def test_damage_met_at_work_is_remembered_until_a_start(
    opened: Callable[[], Journal], path: Path
) -> None:
    opened().close()
    journal = opened()
    behead(path, "park_due")
    journal._writer.execute("PRAGMA shrink_memory")
    for _ in range(2):
        with pytest.raises(JournalDamaged), journal.turn() as turn:
            turn.park(PATIENT, 1, ParkClass.VALIDATION, "why", b"", START)
    assert journal.is_doubted
    journal.close()
    with pytest.raises(JournalDamaged):
        opened()
    assert not opened().is_doubted


def test_what_is_damaged_takes_no_sound_copys_place(
    opened: Callable[[], Journal], path: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    opened().close()
    journal = opened()
    kept = [journal.backup(copies) for _ in range(3)]
    journal._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    cell = _first_cell(path, "sqlite_autoindex_stream_1")
    flip(path, cell + path.read_bytes()[cell], 0)
    with pytest.raises(JournalDamaged):
        journal.backup(copies)
    assert sorted(copies.iterdir()) == sorted(kept)
    assert journal.is_doubted


def test_two_damages_in_a_second_keep_both(opened: Callable[[], Journal], path: Path) -> None:
    for _ in range(2):
        opened().close()
        _not_a_database(path)
        with pytest.raises(JournalDamaged):
            opened()
    assert len(list(path.parent.glob("*.damaged-*"))) == 2


def test_damage_met_at_work_is_said(journal: Journal) -> None:
    fill(journal)
    journal._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw = bytearray(journal.path.read_bytes())
    raw[4096:] = bytes(len(raw) - 4096)
    journal.path.write_bytes(raw)
    with pytest.raises(JournalDamaged):
        journal.held_range(PATIENT, None, None)
    journal.close()


# --- single instance ------------------------------------------------------------------------------


def test_two_processes_cannot_write(path: Path, opened: Callable[[], Journal]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(AgentBusy) as caught:
            opened()
        assert caught.value.facts["pid"] == holder.pid
        assert caught.value.exit_code is ExitCode.BUSY
        holder.kill()  # however it ends, the lock goes with it
    assert opened().unclean


def test_one_process_cannot_open_twice(journal: Journal, clock: HandClock) -> None:
    with pytest.raises(AgentBusy):
        Journal.open(journal.path, seal=SEAL, clock=clock)


# --- turns ----------------------------------------------------------------------------------------


def test_a_turn_is_all_or_nothing(journal: Journal) -> None:
    before, lsn = structure_findings(journal), journal.lsn
    with pytest.raises(ZeroDivisionError), journal.turn() as turn:  # noqa: PT012
        batch = turn.enqueue(outgoing(upsert(1)))
        turn.see(PATIENT, [seen(1)], batch.number)
        turn.plan_chunks(PATIENT, [5], Tier.HOT, START)
        turn.set_mark("m", "1")
        turn.note("code", PATIENT, 1)
        turn.audit("act", {})
        turn.park(PATIENT, 9, ParkClass.DECODE, "r", b"", START)
        1 / 0  # noqa: B018
    assert structure_findings(journal) == before == []
    assert (journal.lsn, journal.batches_waiting()) == (lsn, 0)
    assert journal.held(PATIENT, [1]) == {}
    assert journal.mark("m") is None
    assert (journal.chunks(PATIENT), journal.recent_activity(9), journal.parked(9)) == ([], [], [])


def test_numbers_of_turns_have_no_gaps(journal: Journal) -> None:
    numbers = []
    for attempt in range(20):
        try:
            with journal.turn() as turn:
                if attempt % 3:
                    turn.set_mark("attempt", str(attempt))
                if attempt % 5 == 4:
                    raise KeyError
                if attempt % 3:
                    numbers.append(turn.lsn)
        except KeyError:
            continue
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert journal.lsn == numbers[-1]


def test_turns_do_not_nest_and_do_not_outlive_themselves(journal: Journal) -> None:
    kept: list[Turn] = []
    with journal.turn() as turn:
        kept.append(turn)
        with pytest.raises(RuntimeError), journal.turn():
            pass
        turn.set_mark("m", "1")
    assert journal.mark("m") == "1"
    with pytest.raises(JournalError, match="turn_over"):
        kept[0].set_mark("m", "2")


def test_a_swallowed_error_does_not_turn_into_half_a_turn(journal: Journal) -> None:
    """SQLite rolls back by itself when the disk is full; whoever hides that must not go on."""
    with pytest.raises(JournalError, match="turn_over"), journal.turn() as turn:  # noqa: PT012
        turn.set_mark("m", "1")
        journal._writer.execute("ROLLBACK")
        turn.set_mark("m", "2")
    assert journal.mark("m") is None


def test_other_threads_wait_and_readers_do_not(journal: Journal) -> None:
    order: list[str] = []
    ready = threading.Event()

    def writer() -> None:
        ready.set()
        with journal.turn() as turn:
            order.append("second")
            turn.set_mark("n", "2")

    other = threading.Thread(target=writer)
    with journal.turn() as turn:
        turn.set_mark("n", "1")
        other.start()
        ready.wait(5)
        seen_by_reader: list[str | None] = []
        reader = threading.Thread(target=lambda: seen_by_reader.append(journal.mark("n")))
        reader.start()
        reader.join(5)
        assert seen_by_reader == [None]  # what is committed, at once
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]
    assert journal.mark("n") == "2"


def test_many_threads_read_while_one_writes(journal: Journal) -> None:
    """Rows of a turn are seen all or none; nobody waits for a lock until it breaks."""
    torn: list[object] = []
    stop = threading.Event()

    def reader() -> None:
        try:
            while not stop.is_set():
                versions = {h.hash for h in journal.held(PATIENT, range(50)).values()}
                if len(versions) > 1:
                    torn.append(versions)
        except JournalError as error:
            torn.append(error)

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(60):
        row = seen(0, version)
        with journal.turn() as turn:
            turn.see(
                PATIENT,
                [type(row)(key, row.hash, row.sum48, row.xor64) for key in range(50)],
                None,
            )
    stop.set()
    for thread in threads:
        thread.join(5)
    assert torn == []


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match=r"journal\.closed"):
        journal.mark("m")
    with pytest.raises(JournalError, match=r"journal\.closed"), journal.turn():
        pass


# --- disk and clock -------------------------------------------------------------------------------


def test_a_full_disk_stops_the_turn_and_nothing_else(journal: Journal) -> None:
    fill(journal, 500)
    lsn = journal.lsn
    pages = int(journal._writer.pragma("page_count"))
    journal._writer.execute(f"PRAGMA max_page_count = {pages + 8}")
    with pytest.raises(DiskFull), journal.turn() as turn:  # noqa: PT012
        batch = turn.enqueue(outgoing(upsert(1, 2)))
        turn.see(PATIENT, [seen(key) for key in range(5_000)], batch.number)
    assert journal.lsn == lsn
    assert len(journal.held_range(PATIENT, None, None)) == 500
    assert journal.batches_waiting() == 0
    with journal.turn() as turn:
        turn.set_mark("still", "here")
    journal._writer.execute("PRAGMA max_page_count = 1000000")
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in range(5_000)], None)
    assert len(journal.held_range(PATIENT, None, None)) == 5_000


def test_a_clock_set_wrong_does_not_put_work_to_sleep(
    opened: Callable[[], Journal], clock: HandClock
) -> None:
    journal = opened()
    years = 3 * 365 * 86_400.0
    clock.step(years)
    now = clock.now()
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(upsert(1)))
        turn.see(PATIENT, [seen(1)], batch.number)
        turn.defer(batch, now + timedelta(hours=1), "crm.unreachable")
        turn.park(PATIENT, 2, ParkClass.DECODE, "r", content(2), now + timedelta(hours=1))
        turn.plan_chunks(PATIENT, [], Tier.COLD, now + timedelta(hours=24))
    clock.step(-years)
    again = opened()
    day = clock.now() + timedelta(hours=24)
    assert len(again.due_batches(clock.now(), 9, frozenset())) == 1
    assert len(again.due_parked(day, 9)) == 1
    assert len(again.next_chunks(day, 9)) == 1


def test_commits_that_only_look_failed_are_kept(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error after the point of no return must not make the caller do it twice."""
    real = journal._writer

    class Complaining:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def execute(self, sql: str, *bound: object) -> object:
            done = real.execute(sql, *bound)  # type: ignore[arg-type]
            if sql == "COMMIT":
                raise apsw.IOError("checkpoint failed")
            return done

    monkeypatch.setattr(journal, "_writer", Complaining())
    with journal.turn() as turn:
        turn.set_mark("m", "1")
    assert journal.mark("m") == "1"
