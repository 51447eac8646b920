"""Loads, upgrades, restores, other databases, revoked rights, zones: the source itself changes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import PmsUnavailable
from agent.model.streams import Stream
from agent.runtime.clock import SystemClock
from agent.sync import engine as engine_module
from agent.sync import load as load_module
from agent.sync.guards import Unbelieved
from agent.sync.sweep import Rotation
from tests.support.odschema import LATER_COLUMNS
from tests.sync.conftest import furnish, needed_tables
from tests.sync.rig import PASSWORD, TUNING, DatedReader, Office, Site

pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("mariadb")]

Open = Callable[..., Site]

PATIENT, APPOINTMENT, RECALL = Stream.PATIENT, Stream.APPOINTMENT, Stream.RECALL
COMMUNICATION, PRACTICE = Stream.COMMUNICATION, Stream.PRACTICE
SMALL_CHUNKS = replace(TUNING, rotation=Rotation(600.0, 3600.0, 86400.0, chunk_rows=40))

UPDATING = "UPDATE preference SET ValueString='{}' WHERE PrefName='UpdateInProgressOnComputerName'"
CLINICS = "UPDATE preference SET ValueString='{}' WHERE PrefName='EasyNoClinics'"


# --- the initial load ----------------------------------------------------------------------------


def test_a_load_interrupted_again_and_again_sends_nothing_twice(
    office: Office, open_site: Open, tmp_path: Path
) -> None:
    folder = tmp_path / "agent"
    site = open_site(folder=folder, tuning=SMALL_CHUNKS)
    site.begin()
    reads = 0

    def failing(called: str, _: object) -> None:
        nonlocal reads
        if called in ("read_range", "read_keys"):
            reads += 1
            if reads % 4 == 0:
                raise PmsUnavailable(number=2013)

    site.reader.before = failing
    failures = 0
    with site.sending():
        for _ in range(8):  # the lane's own back-off and another try, in the same session
            with pytest.raises(PmsUnavailable):
                site.session.load.run(site.reader)
            failures += 1
    loaded = {(c.stream, c.number) for s in site.session.maps for c in site.journal.chunks(s)
              if c.loaded}  # fmt: skip
    assert len(loaded) > 0
    site.close()
    again = open_site(folder=folder, tuning=SMALL_CHUNKS, crm=site.crm)
    again.begin()
    done = {(c.stream, c.lo) for s in again.session.maps for c in again.journal.chunks(s)
            if c.loaded}  # fmt: skip
    with again.sending():
        assert again.session.load.run(again.reader)
    again.send()
    started = {(stream, lo) for stream, lo, *_ in again.reader.asked("read_range")}
    assert not started & done  # goes on with the first chunk not loaded
    twice = [k for k, n in Counter((c.stream, c.key) for c in again.crm.changes).items() if n > 1]
    assert not twice
    progress = again.session.load.progress
    assert progress.done
    assert progress.loaded_rows == len(again.crm.rows)
    assert again.tick() == 0
    again.agree()


def test_a_resumed_load_counts_every_record_once(office: Office, open_site: Open) -> None:
    site = open_site(RECALL, APPOINTMENT, tuning=SMALL_CHUNKS)
    site.begin()

    def failing(called: str, args: tuple[object, ...]) -> None:
        if called == "read_range" and args[0] is RECALL:
            raise PmsUnavailable(number=2013)

    site.reader.before = failing
    with site.sending():
        for _ in range(3):
            with pytest.raises(PmsUnavailable):
                site.session.load.run(site.reader)
        site.reader.before = None
        assert site.session.load.run(site.reader)
    progress = site.session.load.progress
    counts = {stream: len(site.truth(stream)) for stream in (RECALL, APPOINTMENT)}
    assert {s: loaded for s, (loaded, _) in progress.by_stream.items()} == counts
    assert progress.loaded_rows == sum(counts.values())
    assert 0 < progress.resumed_rows < progress.loaded_rows


def test_the_hot_window_is_loaded_first(
    office: Office, open_site: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_module, "SMALL_ROWS", 10)  # a practice of any size
    today = f"{office.one('SELECT CURDATE()')} 10:00:00"
    idle = office.add("patient", LName="Quill", FName="Di", Guarantor=1)
    patient = office.add("patient", LName="Quill", FName="Cy", Guarantor=1)
    past = office.book(AptDateTime="2019-01-07 10:00:00")
    soon = office.book(AptDateTime=today, PatNum=patient)
    site = open_site(APPOINTMENT, PATIENT, Stream.PROCEDURE, Stream.PROCEDURE_CODE)
    site.begin()
    site.engine.dispatcher.fenced = True  # nothing leaves before all of it waits
    assert site.session.load.run(site.reader)
    site.engine.dispatcher.fenced = False
    site.send()
    place = {(c.stream, c.key): number for number, c in enumerate(site.crm.changes)}
    hot = max(place[APPOINTMENT, soon], place[PATIENT, patient])
    assert hot < min(place[APPOINTMENT, past], place[PATIENT, idle])
    assert hot < min(number for (stream, _), number in place.items() if stream is Stream.PROCEDURE)
    site.agree()


def test_no_practice_is_without_patients(office: Office, open_site: Open) -> None:
    """A new journal began while their table was away; nobody looked for it again, and nothing was
    ever sent, because the people of both sides had not met."""
    office.run("RENAME TABLE patient TO patient_away")
    try:
        site = open_site(PATIENT, RECALL)
        assert site.session.held == {PATIENT}
    finally:
        office.run("RENAME TABLE patient_away TO patient")
    site.open()
    assert not site.session.held
    site.load()


def test_a_stream_held_back_does_not_stop_the_load(
    office: Office, open_site: Open, tmp_path: Path
) -> None:
    site = open_site(RECALL, COMMUNICATION, folder=tmp_path / "agent")
    site.begin()
    site.session.load.plan(site.reader)
    site.close()
    fewer = open_site(RECALL, folder=tmp_path / "agent", crm=site.crm)
    fewer.load()
    assert fewer.session.load.progress.done


# --- upgrades and rebuilt tables -----------------------------------------------------------------


@contextmanager
def rebuilding(office: Office, table: str) -> Iterator[None]:
    """The vendor's way: the table is renamed, an empty clone takes its name and is refilled."""
    away = f"tempConv_{table}7"
    office.run(f"RENAME TABLE {table} TO {away}", f"CREATE TABLE {table} LIKE {away}")
    yield
    office.run(f"INSERT INTO {table} SELECT * FROM {away}", f"DROP TABLE {away}")


@contextmanager
def updating(office: Office, _: str) -> Iterator[None]:
    office.run(UPDATING.format("FRONTDESK-2"), "CREATE TABLE kept AS SELECT * FROM commlog",
               "DELETE FROM commlog")  # fmt: skip
    yield
    office.run("INSERT INTO commlog SELECT * FROM kept", "DROP TABLE kept", UPDATING.format(""))


@pytest.mark.parametrize("change", [rebuilding, updating])
def test_nothing_is_believed_while_tables_are_rebuilt(
    office: Office, open_site: Open, change: Callable[[Office, str], Iterator[None]]
) -> None:
    site = open_site(COMMUNICATION, RECALL)
    site.load()
    sent = len(site.crm.changes)
    with change(office, "commlog"):  # type: ignore[attr-defined]
        office.due_recall(Note="written meanwhile")
        with pytest.raises(Unbelieved):
            site.tick()
        with pytest.raises(Unbelieved):
            site.sweep()
        assert not site.engine._believe(site.reader, site.session)
        assert site.engine.pms.code == "pms.update_running"
        assert not site.engine.rest(0.0)  # the load, too, returns
        site.wait(2000)
        assert site.journal.missing(site.clock.now(), 10) == []
    assert len(site.crm.changes) == sent
    assert site.engine._believe(site.reader, site.session)
    site.engine._note_read()
    assert site.tick() >= 1
    assert all(swept.verified and not swept.missing for swept in site.sweep())
    site.agree()


def test_a_table_emptied_and_refilled_by_somebody_else(office: Office, open_site: Open) -> None:
    site = open_site(COMMUNICATION)
    site.load()
    sent = len(site.crm.changes)
    office.run("CREATE TABLE kept AS SELECT * FROM commlog", "DELETE FROM commlog")
    try:
        site.tick()
        (swept,) = site.sweep()
        assert swept.missing == len(site.crm.canons(COMMUNICATION))
        site.wait(600)
        assert site.confirm() == 0
    finally:
        office.run("INSERT INTO commlog SELECT * FROM kept", "DROP TABLE kept")
    site.wait(600)
    assert site.confirm() == 0
    assert all(swept.verified for swept in site.sweep())
    assert site.journal.missing(site.clock.now() + timedelta(days=1), 10) == []
    assert len(site.crm.changes) == sent
    assert not site.engine.brakes.on


def test_a_watched_table_found_empty_is_a_restored_database(
    office: Office, open_site: Open
) -> None:
    site = open_site(PATIENT)
    site.load()
    office.run("CREATE TABLE kept AS SELECT * FROM patient", "DELETE FROM patient")
    try:
        with pytest.raises(Unbelieved):
            site.sweep()
        assert site.engine.pms.code == "pms.suspect_restored"
        assert site.engine.dispatcher.fenced
    finally:
        office.run("INSERT INTO patient SELECT * FROM kept", "DROP TABLE kept")


# --- restored and other databases ----------------------------------------------------------------


def write_log(office: Office, lines: int) -> None:
    for _ in range(lines):
        office.add("securitylog", PermType=8, PatNum=1, LogText="", CompName="")


def set_back(office: Office) -> None:
    """The log is as short as it was: a backup was put back."""
    office.run("DELETE FROM securitylog ORDER BY SecurityLogNum DESC LIMIT 2")


def test_a_restored_database_is_fenced_until_a_person_accepts_it(
    office: Office, open_site: Open
) -> None:
    site = open_site(RECALL)
    write_log(office, 3)
    site.load()
    set_back(office)
    office.run("UPDATE recall SET Note='of the old days', DateTStamp=NOW()")
    sent = len(site.crm.changes)
    with pytest.raises(Unbelieved):
        site.tick()
    assert site.engine.pms.code == "pms.suspect_restored"
    assert site.engine.dispatcher.fenced
    write_log(office, 5)  # the keys grow past the marks again: still a person's to say
    assert not site.engine._believe(site.reader, site.session)
    assert len(site.crm.changes) == sent
    site.engine.accept_source()
    site.engine._note_read()
    site.open()
    site.begin()
    site.tick()
    assert [swept.verified for swept in site.sweep(all_due=False)] == [True]
    assert len(site.crm.changes) > sent
    site.agree()


def test_another_database_is_fenced(
    office: Office, offices: dict[str, Office], open_site: Open, tmp_path: Path
) -> None:
    site = open_site(RECALL, folder=tmp_path / "agent")
    site.load()
    site.close()
    other = offices["InnoDB" if office.engine == "MyISAM" else "MyISAM"]
    crm = site.crm
    moved = Site(other, tmp_path / "agent", RECALL, crm=crm)
    try:
        sent = len(crm.changes)
        assert not moved.engine._believe(moved.reader, moved.session)
        assert moved.engine.pms.code == "pms.wrong_database"
        assert moved.engine.dispatcher.fenced
        moved.session.watch.start(moved.reader)
        other.due_recall(Note=f"not ours, {other.engine}")
        with pytest.raises(Unbelieved):
            moved.tick()
        with pytest.raises(Unbelieved):
            moved.sweep()
        assert len(crm.changes) == sent
    finally:
        moved.close()


@contextmanager
def running(site: Site) -> Iterator[None]:
    """The engine's own lanes, on threads, as the host starts them."""
    engine = site.engine
    lanes = [
        threading.Thread(target=engine.watch),
        threading.Thread(target=engine.bulk),
        threading.Thread(target=engine.dispatcher.run, args=(engine.stopping,)),
    ]
    for lane in lanes:
        lane.start()
    try:
        yield
    finally:
        engine.stop()
        for lane in lanes:
            lane.join(10)


def test_a_connection_lost_while_it_is_fenced_makes_nothing_green(
    office: Office, open_site: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 17506: the look at the guard failed, the next round took it for done and read on."""
    write_log(office, 3)
    site = open_site(RECALL, clock=SystemClock())
    engine, open_reader = site.engine, site.source.open
    seen_since: list[str | None] = []
    losses: list[str] = []

    def look(called: str, _: object) -> None:
        if losses:
            seen_since.append(engine.pms.code)
        elif called == "guard" and engine.pms.code == "pms.suspect_restored":
            losses.append(called)
            raise PmsUnavailable("pms.connection_lost")

    def watched() -> DatedReader:
        reader = DatedReader(open_reader(), office, gates=True)
        reader.before = look
        return reader

    monkeypatch.setattr(site.source, "open", watched)
    with running(site):
        office.until(lambda: site.session.load.progress.done)
        set_back(office)
        office.until(lambda: losses)
        office.until(lambda: engine.pms.code == "pms.suspect_restored" and len(seen_since) > 1)
    assert engine.dispatcher.fenced
    assert None not in seen_since


def test_a_round_that_ends_after_another_lane_has_fenced_makes_nothing_green(
    office: Office, open_site: Open
) -> None:
    site = open_site(RECALL)
    write_log(office, 3)
    site.load()
    set_back(office)
    with pytest.raises(Unbelieved):
        site.engine.insist(site.reader)
    site.engine._note_read()
    assert site.engine.pms.code == "pms.suspect_restored"


# --- rights --------------------------------------------------------------------------------------


REVOKED = {
    # table: (streams it belongs to, its key, a change, the field of the first stream it shows in)
    "commlog": ((COMMUNICATION,), "CommlogNum", "Note", "note"),
    "patient": ((PATIENT, Stream.BALANCE), "PatNum", "City", "city"),
    "patientnote": ((PATIENT,), "PatNum", "ICEName", "emergency_contact"),
}


@pytest.mark.parametrize("table", REVOKED)
def test_a_revoked_right_holds_its_streams_back_and_no_other(
    office: Office, open_site: Open, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(engine_module, "DRIFT_WAIT_S", 0.05)
    monkeypatch.setattr(engine_module, "HELD_RETRY_S", 0.4)
    streams, key, column, field = REVOKED[table]
    tables = [name for (name,) in office.rows("SHOW TABLES")]
    office.run(f"CREATE USER clerk@'%' IDENTIFIED BY '{PASSWORD}'")
    office.run(*(f"GRANT SELECT ON {office.database}.{name} TO clerk@'%'" for name in tables))
    try:
        site = open_site(
            RECALL, COMMUNICATION, PATIENT, Stream.BALANCE, user="clerk", clock=SystemClock()
        )
        engine = site.engine

        def held() -> frozenset[Stream] | None:
            session = engine.session  # none while a new one is made
            return None if session is None else session.held

        with running(site):
            office.until(lambda: site.session.load.progress.done and engine.sweeps_done)
            office.until(lambda: not site.journal.batches_waiting())
            sent = len(site.crm.changes)
            office.run(f"REVOKE SELECT ON {office.database}.{table} FROM clerk@'%'")
            number = office.lowest(table, key)
            office.run(f"UPDATE {table} SET {column}='unseen' WHERE {key}={number}")
            office.until(lambda: held() == frozenset(streams))
            office.run("UPDATE patient SET DateTStamp=NOW()")  # read with less, they would differ
            recall = office.due_recall(Note="the others go on")
            office.until(lambda: site.has(RECALL, recall))
            assert not engine.dispatcher.fenced
            assert "pms.stream_held" in {f.code for f in engine._ensure_session().findings}
            assert {change.stream for change in site.crm.changes[sent:]} == {RECALL}
            office.run(f"GRANT SELECT ON {office.database}.{table} TO clerk@'%'")
            office.until(lambda: site.record(streams[0], number).get(field) == "unseen", 15)
            office.until(lambda: held() == frozenset())
            site.session = engine._ensure_session()
        site.agree()
    finally:
        office.run("DROP USER clerk@'%'")


# --- time, clinics, versions ---------------------------------------------------------------------


def test_the_nights_the_clock_changes(office: Office, open_site: Open) -> None:
    twice = office.book(AptDateTime="2026-11-01 01:30:00")
    never = office.book(AptDateTime="2026-03-08 02:30:00")
    site = open_site(APPOINTMENT)
    site.load()
    found = {
        number: {name: site.record(APPOINTMENT, number)[name]
                 for name in ("start", "start_local", "zone")}
        for number in (twice, never)
    }  # fmt: skip
    assert found[twice] == {
        "start": "2026-11-01T05:30:00Z",
        "start_local": "2026-11-01T01:30:00",
        "zone": "America/New_York",
    }
    assert found[never] == {
        "start": "2026-03-08T07:30:00Z",
        "start_local": "2026-03-08T02:30:00",
        "zone": "America/New_York",
    }
    for number, end in ((twice, "2026-11-01T06:10:00Z"), (never, "2026-03-08T08:10:00Z")):
        assert site.record(APPOINTMENT, number)["end"] == end  # forty minutes later in truth
    office.run(f"UPDATE appointment SET AptDateTime='2026-11-01 02:30' WHERE AptNum={twice}")
    assert site.tick() == 1
    assert site.record(APPOINTMENT, twice)["start"] == "2026-11-01T07:30:00Z"


def test_clinics_on_and_off(office: Office, open_site: Open) -> None:
    clinics = {int(number) for (number,) in office.rows("SELECT ClinicNum FROM clinic")}
    office.run(CLINICS.format(1))
    try:
        site = open_site(PRACTICE)
        site.load()
        assert set(site.crm.canons(PRACTICE)) == {0}
        office.run(CLINICS.format(0))
        site.tick()
        site.sweep()
        assert set(site.crm.canons(PRACTICE)) == {0, *clinics}
        office.run("UPDATE clinic SET Description='Riverside' LIMIT 1")
        site.tick()
        site.sweep()
        site.agree()
        office.run(CLINICS.format(1))
        site.tick()
        site.sweep()
        site.wait(1000)
        site.confirm()
        assert set(site.crm.canons(PRACTICE)) == {0}
    finally:
        office.run(CLINICS.format(0))


@pytest.fixture(params=["MyISAM", "InnoDB"])
def upgraded(
    request: pytest.FixtureRequest, offices: dict[str, Office], tmp_path: Path
) -> Iterator[Office]:
    """A practice of its own that may be upgraded."""
    server = offices["MyISAM"].server
    made = furnish(server, f"up_{request.param.lower()}", request.param, needed_tables(tmp_path))
    yield made
    made.run(f"DROP DATABASE {made.database}")
    made.close()


def test_an_upgrade_to_24_3(upgraded: Office, tmp_path: Path) -> None:
    office = upgraded
    site = Site(office, tmp_path / "agent")
    try:
        site.load()
        site.sweep()
        assert not site.sweep(all_due=False)  # everything is proven
        sent = len(site.crm.changes)
        office.run(*LATER_COLUMNS)
        assert not site.engine._believe(site.reader, site.session)
        assert site.engine.session is None  # to be probed again
        site.open()
        site.begin()
        assert site.session.load.run(site.reader)
        assert site.session.facts.version == "24.3.10.0"
        assert not site.session.held
        due = site.journal.next_chunks(site.clock.now(), 100, loaded=True)
        assert {Stream.CLAIM, Stream.PAYMENT, COMMUNICATION} <= {chunk.stream for chunk in due}
        site.tick()
        assert all(swept.verified for swept in site.sweep(all_due=False))
        # New columns, all of them empty, say nothing; a fee of nought is a fee.
        assert {change.stream for change in site.crm.changes[sent:]} <= {Stream.PAYMENT}
        for stream in (APPOINTMENT, Stream.CLAIM, Stream.PAYMENT):
            assert any(lane.indexed for lane in site.session.facts.streams[stream].lanes), stream
        lane = site.source._texts[APPOINTMENT].spec.lanes[0]
        sql = site.source._texts[APPOINTMENT].lane(lane, site.reader.clock().now, None, 100)
        plans = office.rows("EXPLAIN " + sql)
        assert "DateTStamp" in {plan[5] for plan in plans}
        claim = office.lowest("claim", "ClaimNum")
        note = office.lowest("commlog", "CommlogNum")
        office.run(
            f"UPDATE claim SET Narrative='root canal on 14' WHERE ClaimNum={claim}",
            f"UPDATE commlog SET ReferralNum=7 WHERE CommlogNum={note}",
        )
        assert site.tick() >= 2
        assert site.record(Stream.CLAIM, claim)["narrative"] == "root canal on 14"
        assert site.record(COMMUNICATION, note)["referral_source_key"] == "7"
        site.agree()
    finally:
        site.close()


def test_now_and_then_agree(office: Office) -> None:
    """The rig's promise: the office's stamps follow its shifted clock."""
    office.shift_s = -3600.0
    number = office.due_recall()
    stamp = office.one(f"SELECT UNIX_TIMESTAMP(DateTStamp) FROM recall WHERE RecallNum={number}")
    assert abs(time.time() - 3600 - stamp) < 5
