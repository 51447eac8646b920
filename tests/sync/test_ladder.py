"""The live rungs on a real server: logs, stamps, key tail; what each sees at once and what not.

Each promise on MyISAM and on InnoDB. What the sweep promises is in ``test_ladder_sweep``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from agent.errors import PmsBusy
from agent.journal.rows import Urgency
from agent.model.streams import Stream
from agent.model.writing import Verb
from agent.sync import watch
from agent.sync.capture import PageRead
from agent.sync.guards import Unbelieved
from tests.sync.rig import SEER, Office, Site, keys_of

pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("mariadb")]

Open = Callable[..., Site]

APPOINTMENT, PATIENT, RECALL = Stream.APPOINTMENT, Stream.PATIENT, Stream.RECALL
NOTE = Stream.CLINICAL_NOTE

STAMPED = {
    # stream: (table, key, what a workstation sets), all of them with a server-kept stamp
    Stream.PROVIDER: ("provider", "ProvNum", "Suffix='DDS, MS'"),
    Stream.OPERATORY: ("operatory", "OperatoryNum", "OpName='Window seat'"),
    Stream.PROCEDURE_CODE: ("procedurecode", "CodeNum", "Descript='Looked at twice'"),
    Stream.REFERRAL_SOURCE: ("referral", "ReferralNum", "Note='by the baker'"),
    Stream.PATIENT: ("patient", "PatNum", "City='Ember Falls'"),
    Stream.APPOINTMENT: ("appointment", "AptNum", "Note='bring the old x-rays'"),
    Stream.SCHEDULE_BLOCK: ("schedule", "ScheduleNum", "Note='leaves early'"),
    Stream.RECALL: ("recall", "RecallNum", "Note='call at noon'"),
    Stream.BALANCE: ("patient", "PatNum", "EstBalance=EstBalance+12.5"),
    Stream.COVERAGE: ("patplan", "PatPlanNum", "PatID='E-77'"),
    Stream.PROCEDURE: ("procedurelog", "ProcNum", "ProcFee=ProcFee+1"),
    Stream.CLAIM: ("claim", "ClaimNum", "ClaimNote='sent twice'"),
    Stream.PAYMENT: ("payment", "PayNum", "PayNote='by cheque'"),
    Stream.ADJUSTMENT: ("adjustment", "AdjNum", "AdjNote='courtesy'"),
    Stream.COMMUNICATION: ("commlog", "CommlogNum", "Note='asked for mornings'"),
}


def next_second() -> None:
    """The gates' tokens are whole seconds of the true clock."""
    time.sleep(1.02 - time.time() % 1)


@contextmanager
def holding(site: Site, name: str) -> Iterator[None]:
    """Calls of this name fail as on a table somebody keeps locked."""

    def before(called: str, _: object) -> None:
        if called == name:
            raise PmsBusy(number=1205)

    site.reader.before = before
    yield
    site.reader.before = None


# --- stamps --------------------------------------------------------------------------------------


def test_a_stamped_update_is_seen_by_one_tick(office: Office, open_site: Open) -> None:
    site = open_site(gates=True)
    site.load()
    next_second()
    site.clock.advance(3.0)
    site.tick()  # all gates cold
    for stream, (table, key, change) in STAMPED.items():
        if stream is Stream.BALANCE:
            next_second()  # the patient's own change just moved the gate
        number = office.lowest(table, key)
        before = site.crm.rows[stream, number].canon
        assert office.run(f"UPDATE {table} SET {change} WHERE {key}={number}") == 1
        assert site.tick() >= 1, stream
        assert site.crm.rows[stream, number].canon != before, stream
    site.sweep()  # a code's words stand in its procedures too: only the sweep looks there
    site.agree()


def test_a_round_that_comes_late_sees_the_rest_of_the_second(
    office: Office, open_site: Open
) -> None:
    site = open_site(PATIENT, gates=True)
    site.load()
    next_second()
    site.clock.advance(3.0)
    site.tick()
    numbers = office.lowest("patient", "PatNum"), office.highest("patient", "PatNum")
    next_second()
    for number in numbers:  # the gate says the same of both
        assert office.run(f"UPDATE patient SET City='Slowbrook' WHERE PatNum={number}") == 1
        assert site.tick() == 1, number
        site.clock.advance(watch.HOT_AFTER_MOVE_S * 2)  # a statement took so long
    site.agree()


def test_a_lane_that_was_slow_for_a_while_sees_again(office: Office, open_site: Open) -> None:
    """A backup at noon: each scan takes long. What changed meanwhile is seen right after."""
    site = open_site(RECALL)
    site.load()
    (lane,) = site.session.facts.streams[RECALL].lanes
    assert not lane.indexed
    scans = 0

    def slow(called: str, _: object) -> None:
        nonlocal scans
        if called == "keys_since":
            scans += 1
            site.clock.advance(watch.SCAN_LIMIT_S * 2)

    def looks(seconds: float) -> int:
        before = scans
        end = site.clock.mono() + seconds
        while site.clock.mono() < end:
            site.tick()
            site.clock.advance(5.0)
        return scans - before

    rest_s = watch.SLOW.rest_s(watch.SCAN_LIMIT_S * 2)
    site.reader.before = slow
    assert looks(watch.SLOW.least_s) == watch.SLOW_SCANS
    assert 600.0 / (rest_s + 10.0) <= looks(600.0) <= 600.0 / rest_s  # one scan each, not two
    site.reader.before = None
    number = office.lowest("recall", "RecallNum")
    assert office.run(f"UPDATE recall SET Note='after lunch' WHERE RecallNum={number}") == 1
    for _ in range(int(rest_s / 5.0) + 2):
        site.clock.advance(5.0)
        if site.tick():
            break
    site.agree()
    site.reader.before = slow
    assert looks(watch.SLOW.least_s) == watch.SLOW_SCANS  # one slow scan is none again


@pytest.mark.parametrize(("took_s", "rest_s"), [(0.09, 30.0), (0.5, 100.0), (2.0, 400.0), (9, 900)])
def test_the_slower_a_scan_the_longer_the_lane_rests(took_s: float, rest_s: float) -> None:
    assert watch.SLOW.rest_s(took_s) == rest_s


def test_a_table_too_large_to_scan_is_left_to_the_sweep(
    office: Office, open_site: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = open_site(RECALL)
    site.load()
    rows = site.session.facts.streams[RECALL].lanes[0].rows
    number = office.lowest("recall", "RecallNum")
    seen = []
    for most in (rows - 1, rows):
        monkeypatch.setattr(watch, "UNINDEXED_ROWS", most)
        office.run(f"UPDATE recall SET Note='up to {most}' WHERE RecallNum={number}")
        seen.append(site.tick())
        site.sweep()
        site.agree()
    assert seen == [0, 1]


def test_what_one_tick_finds_is_one_turn(office: Office, open_site: Open) -> None:
    site = open_site(APPOINTMENT, RECALL, gates=True)
    site.load()
    next_second()
    site.clock.advance(3.0)
    site.tick()  # all gates cold
    found = {}
    for stream in (APPOINTMENT, RECALL):
        table, key, change = STAMPED[stream]
        # Not the lowest: an earlier test may have left it with this very value.
        found[stream] = office.highest(table, key)
        assert office.run(f"UPDATE {table} SET {change} WHERE {key}={found[stream]}") == 1
    assert site.tick() == 2
    held = [site.held(stream, number) for stream, number in found.items()]
    assert len({one.seen_lsn for one in held if one is not None}) == 1
    site.send()
    site.agree()


def test_it_is_calm_when_nothing_moved_for_a_while(office: Office, open_site: Open) -> None:
    site = open_site(RECALL, gates=True)
    site.load()
    next_second()
    site.tick()
    assert not site.session.watch.is_calm
    site.clock.advance(watch.CALM_AFTER_S)
    site.tick()
    assert site.session.watch.is_calm
    next_second()
    office.run(f"UPDATE recall SET Note='calm' WHERE RecallNum={office.due_recall()}")
    site.tick()
    assert not site.session.watch.is_calm


def test_two_pages_of_one_stream_are_never_one_turn(office: Office, open_site: Open) -> None:
    site = open_site(RECALL)
    site.load()
    number = office.lowest("recall", "RecallNum")
    mapped, capture = site.session.maps[RECALL], site.engine.capture
    page = PageRead(mapped, site.reader.read_keys(RECALL, [number]), capture.last_lsn)
    with pytest.raises(ValueError, match="one stream"):
        capture.take_together([page, page], urgency=Urgency.LIVE)


def test_a_quiet_table_is_not_asked_again(office: Office, open_site: Open) -> None:
    site = open_site(RECALL, gates=True)
    site.load()
    next_second()
    office.run("UPDATE recall SET Note='once' LIMIT 1")  # InnoDB cannot tell before the first
    site.tick()
    next_second()
    site.clock.advance(3.0)
    site.tick()
    site.reader.calls.clear()
    for _ in range(10):
        site.tick()
    assert {name for name, _ in site.reader.calls} == {"tail", "moved"}


def test_an_update_without_a_stamp_is_the_sweeps(office: Office, open_site: Open) -> None:
    number = office.lowest("recall", "RecallNum")
    office.run("UPDATE recall SET DateTStamp=NOW()-INTERVAL 1 HOUR")
    site = open_site(RECALL)
    site.load()
    office.run(f"UPDATE recall SET Note='quietly', DateTStamp=DateTStamp WHERE RecallNum={number}")
    for _ in range(5):
        assert site.tick() == 0
        site.wait(61)  # the wide look does not find it either
    (swept,) = site.sweep()
    assert (swept.verified, swept.late) == (True, 1)
    assert site.record(RECALL, number)["note"] == "quietly"
    site.agree()


def test_a_stamp_storm_sends_nothing(office: Office, open_site: Open) -> None:
    site = open_site(PATIENT, Stream.BALANCE)
    site.load()
    sent = len(site.crm.changes)
    site.wait(5)
    office.run("UPDATE patient SET DateTStamp=NOW()")
    site.reader.calls.clear()
    assert site.tick() == 0
    (asked,) = [keys for stream, keys in site.reader.asked("read_keys") if stream is PATIENT]
    assert len(asked) == office.one("SELECT COUNT(*) FROM patient")  # all were looked at
    assert all(swept.verified and not swept.late for swept in site.sweep())
    assert len(site.crm.changes) == sent


# --- hints and deletions -------------------------------------------------------------------------


def test_a_logged_deletion_leaves_at_once(office: Office, open_site: Open) -> None:
    site = open_site(APPOINTMENT)
    site.load()
    number = office.book()
    assert site.tick() == 1
    office.run(f"DELETE FROM appointment WHERE AptNum={number}")
    office.add("histappointment", HistApptAction=4, AptNum=number, PatNum=1)
    assert site.tick() == 1
    assert keys_of(site.crm.changes)[-1] == (APPOINTMENT, number, Verb.DELETE)
    assert site.tick() == 0  # said once


def test_the_log_alone_deletes_nothing(office: Office, open_site: Open) -> None:
    site = open_site(APPOINTMENT)
    site.load()
    number = office.book()
    site.tick()
    office.add("histappointment", HistApptAction=4, AptNum=number, PatNum=1)
    assert site.tick() == 0
    assert site.has(APPOINTMENT, number)
    site.agree()


def test_deleting_the_newest_rows_is_no_restored_backup(office: Office, open_site: Open) -> None:
    """A visit booked by mistake is deleted again: its key was the highest of all."""
    site = open_site(APPOINTMENT, Stream.PROCEDURE)
    site.load()
    number = office.book()
    site.tick()
    assert site.engine._believe(site.reader, site.session)
    office.run(f"DELETE FROM appointment WHERE AptNum={number}")
    assert number > office.highest("appointment", "AptNum")
    assert site.engine._believe(site.reader, site.session)
    assert not site.engine.dispatcher.fenced


def test_a_row_gone_without_a_trace_is_believed_at_the_second_look(
    office: Office, open_site: Open
) -> None:
    site = open_site(RECALL)
    number = office.due_recall(Note="x")
    site.load()
    office.run(f"DELETE FROM recall WHERE RecallNum={number}")
    assert site.tick() == 0
    (swept,) = site.sweep()
    assert (swept.verified, swept.missing) == (True, 1)
    assert site.has(RECALL, number)
    site.wait(899)
    assert site.confirm() == 0  # too early
    site.wait(2)
    office.run("CREATE TABLE tempConv_recall1 (a int)")
    try:
        with pytest.raises(Unbelieved):  # an update of the practice system runs
            site.confirm()
    finally:
        office.run("DROP TABLE tempConv_recall1")
    assert site.has(RECALL, number)
    assert site.confirm() == 1
    assert not site.has(RECALL, number)
    site.agree()


@pytest.mark.parametrize("by_tick", [True, False], ids=["seen live", "seen by the sweep"])
def test_a_row_that_reappears_was_never_gone(
    office: Office, open_site: Open, *, by_tick: bool
) -> None:
    site = open_site(RECALL)
    number = office.due_recall(Note="y")
    site.load()
    office.run(
        "CREATE TABLE kept AS SELECT * FROM recall",
        f"DELETE FROM recall WHERE RecallNum={number}",
    )
    site.sweep()
    held = site.held(RECALL, number)
    assert held is not None
    assert held.missing_since is not None
    stamp = "NOW()" if by_tick else "DateTStamp"
    office.run(
        f"UPDATE kept SET DateTStamp={stamp} WHERE RecallNum={number}",
        f"INSERT INTO recall SELECT * FROM kept WHERE RecallNum={number}",
        "DROP TABLE kept",
    )
    sent = len(site.crm.changes)
    if by_tick:
        site.tick()
    else:
        assert site.sweep()[0].verified
    site.wait(2000)
    assert site.confirm() == 0
    held = site.held(RECALL, number)
    assert held is not None
    assert (held.missing_since, held.gone) == (None, False)
    assert len(site.crm.changes) == sent


def test_the_second_look_itself_sees_a_row_that_is_back(office: Office, open_site: Open) -> None:
    site = open_site(RECALL)
    number = office.due_recall(Note="z")
    site.load()
    office.run(f"UPDATE recall SET RecallNum=-{number} WHERE RecallNum={number}")
    site.sweep()
    office.run(f"UPDATE recall SET RecallNum={number} WHERE RecallNum=-{number}")
    site.wait(1000)
    assert site.confirm() == 0
    held = site.held(RECALL, number)
    assert held is not None
    assert held.missing_since is None
    site.wait(1000)
    site.sweep()
    site.confirm()
    site.wait(1000)
    site.confirm()
    site.agree()


def test_a_record_deleted_and_brought_back_is_sent_again(office: Office, open_site: Open) -> None:
    site = open_site(APPOINTMENT)
    site.load()
    number = office.book()
    site.tick()
    office.run(f"DELETE FROM appointment WHERE AptNum={number}")
    office.add("histappointment", HistApptAction=4, AptNum=number, PatNum=1)
    site.tick()
    office.book(AptNum=number)
    assert site.tick() == 1
    assert site.has(APPOINTMENT, number)
    site.agree()


# --- key tail ------------------------------------------------------------------------------------


@pytest.fixture
def _grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clinical notes as in a practice that has more than a handful (those are read whole)."""
    monkeypatch.setattr(watch, "TINY_ROWS", 0)


@pytest.mark.usefixtures("_grown")
def test_an_insert_without_a_stamp_is_found_by_its_key(office: Office, open_site: Open) -> None:
    site = open_site(NOTE)
    site.load()
    number = office.write_note()
    assert site.tick() == 1
    assert site.record(NOTE, number)["note"] == "as planned"
    assert site.tick() == 0


@pytest.mark.usefixtures("_grown")
def test_a_young_gap_is_filled_late(office: Office, open_site: Open) -> None:
    site = open_site(NOTE)
    site.load()
    top = office.highest("procnote", "ProcNoteNum")
    office.write_note(ProcNoteNum=top + 3)  # two others are still under way
    assert site.tick() == 1
    office.write_note(ProcNoteNum=top + 1)
    assert site.tick() == 1
    site.wait(61)
    assert site.tick() == 0
    office.write_note(ProcNoteNum=top + 2)
    assert site.tick() == 0  # the hole is old: the sweep's
    assert site.sweep()[0].late == 1
    site.agree()


@pytest.mark.usefixtures("_grown")
def test_a_transaction_committed_late_fills_its_gap(office: Office, open_site: Open) -> None:
    if not office.is_innodb:
        pytest.skip("MyISAM has no transactions")
    site = open_site(NOTE)
    site.load()
    with office.link() as slow:
        slow.execute("BEGIN")
        slow.execute("INSERT INTO procnote (PatNum,ProcNum,EntryDateTime,UserNum,Note,Signature)"
                     " VALUES (1,1,'2026-03-02 09:00:00',1,'slow','')")  # fmt: skip
        first = int(slow.lastrowid or 0)
        assert office.write_note() > first
        assert site.tick() == 1
        assert site.tick() == 0
        slow.execute("COMMIT")
    assert site.tick() == 1
    assert site.record(NOTE, first)["note"] == "slow"
    site.agree()


# --- late visibility -----------------------------------------------------------------------------


@contextmanager
def late_write(office: Office, number: int) -> Iterator[None]:
    """An update stamped at entry and visible at exit: MyISAM: it waits for a long read lock;
    InnoDB: its transaction stays open."""
    change = f"UPDATE {{}} recall SET Note='late' WHERE RecallNum={number}"
    if office.is_innodb:
        with office.link() as slow:
            slow.execute("BEGIN")
            slow.execute(change.format(""))
            yield
            slow.execute("COMMIT")
        return
    with office.link() as slow, office.link() as reading:
        reading.execute("LOCK TABLES recall READ")
        # LOW_PRIORITY lets readers pass, as a read that already runs would be.
        thread = threading.Thread(
            target=slow.execute, args=(change.format("LOW_PRIORITY"),), daemon=True
        )
        thread.start()
        office.until(
            lambda: office.one("SELECT COUNT(*) FROM information_schema.PROCESSLIST"
                               " WHERE INFO LIKE 'UPDATE LOW_PRIORITY%' AND STATE LIKE 'Waiting%'")
        )  # fmt: skip
        yield
        reading.execute("UNLOCK TABLES")
        thread.join(10)


def note_of(site: Site, number: int) -> str:
    return str(site.record(RECALL, number).get("note", ""))


def test_a_write_visible_late_is_found_by_the_overlap(office: Office, open_site: Open) -> None:
    site = open_site(RECALL)
    number = office.lowest("recall", "RecallNum")
    office.run(
        "UPDATE recall SET Note='before', DateTStamp=NOW()-INTERVAL 1 HOUR"
        f" WHERE RecallNum={number}"
    )
    site.load()
    with late_write(office, number):
        for _ in range(4):
            site.wait(5)
            site.tick()
        assert note_of(site, number) == "before"
    site.tick()
    assert note_of(site, number) == "before"  # below the watermark by now
    site.wait(61)
    assert site.tick() == 1
    assert note_of(site, number) == "late"


def test_the_watermark_waits_for_the_oldest_open_statement(office: Office, open_site: Open) -> None:
    site = open_site(RECALL, user=SEER)
    number = office.lowest("recall", "RecallNum")
    office.run(
        "UPDATE recall SET Note='before', DateTStamp=NOW()-INTERVAL 1 HOUR"
        f" WHERE RecallNum={number}"
    )
    site.load()
    with late_write(office, number):
        for _ in range(7):
            time.sleep(0.5)  # the server's own ages of statements are what is tested
            site.tick()
        assert note_of(site, number) == "before"
    assert site.tick() == 1  # at once, without the overlap and without the sweep
    assert note_of(site, number) == "late"


def test_two_writes_of_one_second_seconds_apart(office: Office, open_site: Open) -> None:
    """The second carried the first one's stamp and became visible long after the second was over:
    the stamp did not move, only the row."""
    site = open_site(RECALL)
    number = office.lowest("recall", "RecallNum")
    site.load()
    stamp = int(time.time())
    moved = (
        f"UPDATE recall SET Note='{{}}', DateTStamp=FROM_UNIXTIME({stamp}) WHERE RecallNum={number}"
    )
    office.run(moved.format("one"))
    site.tick()
    site.wait(10)
    site.tick()
    assert note_of(site, number) == "one"
    office.run(moved.format("two"))
    for _ in range(4):  # the overlap is re-read each minute
        site.wait(30)
        site.tick()
    assert note_of(site, number) == "two"


@pytest.mark.usefixtures("_grown")
def test_a_page_that_failed_is_asked_for_again(office: Office, open_site: Open) -> None:
    """A tick that ends in an error advances nothing: stamps, key tail, log marks, gates."""
    site = open_site(APPOINTMENT, RECALL, NOTE, gates=True)
    away = office.book()
    site.load()
    next_second()
    site.clock.advance(3.0)
    site.tick()
    number = office.lowest("recall", "RecallNum")
    office.run(f"UPDATE recall SET Note='behind a lock' WHERE RecallNum={number}")
    note = office.write_note()
    office.run(f"DELETE FROM appointment WHERE AptNum={away}")
    office.add("histappointment", HistApptAction=4, AptNum=away, PatNum=1)
    with holding(site, "read_keys"):
        for _ in range(6):  # longer than any table stays warm
            with pytest.raises(PmsBusy):
                site.tick()
            site.wait(2)
    site.tick()
    assert note_of(site, number) == "behind a lock"
    assert site.has(NOTE, note)
    assert not site.has(APPOINTMENT, away)
    site.agree()


# --- the server's clock --------------------------------------------------------------------------


@pytest.mark.parametrize("by_s", [120, 3600])
def test_a_server_clock_set_back_loses_nothing(office: Office, open_site: Open, by_s: int) -> None:
    site = open_site(RECALL, APPOINTMENT)
    site.load()
    number = office.lowest("recall", "RecallNum")
    office.shift_s -= by_s
    office.run(f"UPDATE recall SET Note='an hour ago' WHERE RecallNum={number}")
    assert site.tick() == 1
    assert note_of(site, number) == "an hour ago"
    site.wait(5)
    office.run(f"UPDATE recall SET Note='later that hour' WHERE RecallNum={number}")
    assert site.tick() == 1
    due = site.journal.next_chunks(site.clock.now(), 10, loaded=True)
    assert {chunk.stream for chunk in due} == {RECALL, APPOINTMENT}  # proven again, all of it
    site.agree()


def test_a_server_clock_set_back_while_the_agent_was_off(
    office: Office, open_site: Open, tmp_path: object
) -> None:
    site = open_site(RECALL)
    site.load()
    number = office.lowest("recall", "RecallNum")
    for _ in range(3):
        site.wait(11)
        site.tick()  # the watermark reaches the journal
    again = reopened(site, open_site)
    office.shift_s -= 7200
    again.begin()
    again.tick()
    office.run(f"UPDATE recall SET Note='new time' WHERE RecallNum={number}")
    again.tick()
    assert note_of(again, number) == "new time"


def reopened(site: Site, open_site: Open) -> Site:
    """The agent stopped and started again over the same journal and the same CRM."""
    site.close()
    folder = site.journal.path.parent
    return open_site(*site.session.maps, folder=folder, crm=site.crm)


# --- restarts ------------------------------------------------------------------------------------


def test_the_first_tick_after_a_restart_sees_what_was_missed(
    office: Office, open_site: Open
) -> None:
    site = open_site(RECALL, APPOINTMENT, NOTE)
    site.load()
    again = reopened(site, open_site)
    number = office.lowest("recall", "RecallNum")
    office.run(f"UPDATE recall SET Note='while it was off' WHERE RecallNum={number}")
    note = office.write_note()
    apt = office.book()
    office.run(f"DELETE FROM appointment WHERE AptNum={apt}")
    office.add("histappointment", HistApptAction=4, AptNum=apt, PatNum=1)
    apt = office.book()
    again.begin()
    again.tick()
    assert note_of(again, number) == "while it was off"
    assert again.has(NOTE, note)
    assert again.has(APPOINTMENT, apt)
    again.agree()


def test_a_line_down_for_hours_leaves_no_hole_in_the_coverage(
    office: Office, open_site: Open
) -> None:
    site = open_site(RECALL)
    site.load()
    for _ in range(2):
        site.wait(15)
        site.tick()
    site.wait(3 * 3600)  # nobody read; the watermark still stands where it stood
    number = office.lowest("recall", "RecallNum")
    office.shift_s -= 5400
    office.run(f"UPDATE recall SET Note='meanwhile' WHERE RecallNum={number}")
    office.shift_s += 5400
    assert site.tick() == 1
    for _ in range(2):
        site.wait(15)
        site.tick()
    reached = site.journal.low_watermark(RECALL, "recall")
    assert reached is not None
    behind_s = time.time() + office.shift_s - reached.timestamp()
    assert behind_s < 30  # a restart reads minutes again, not the hours


# --- half-built records --------------------------------------------------------------------------


def test_a_half_built_patient_waits_a_visit_does_not(office: Office, open_site: Open) -> None:
    site = open_site(PATIENT, APPOINTMENT)
    site.load()
    patient = office.add("patient", LName="Quill", FName="Ada")  # its guarantor comes later
    apt = office.book(PatNum=patient)
    site.tick()
    assert site.has(APPOINTMENT, apt)
    assert not site.has(PATIENT, patient)
    site.clock.advance(0.5)
    office.run(f"UPDATE patient SET Guarantor=PatNum WHERE PatNum={patient}")
    assert site.tick() == 1
    assert site.record(PATIENT, patient)["guarantor_key"] == str(patient)
    assert [c.verb for c in site.crm.changes if c.key == patient and c.stream is PATIENT] == [
        Verb.UPSERT
    ]


@pytest.mark.parametrize("noticed", ["buried", "missed", "not yet"])
def test_a_key_given_away_again_is_a_new_patients(
    office: Office, open_site: Open, *, noticed: str
) -> None:
    """Seeds 2228, 492 and 30018: after a backup put back, the number of a patient who was gone (or
    was missed and not believed to be gone yet, or had not been looked for) came again."""
    site = open_site(PATIENT)
    patient = office.add("patient", LName="Quill", FName="Cleo")
    office.add("patient", LName="Quill", FName="Cyd")  # fewer than ever were would look restored
    office.run("UPDATE patient SET Guarantor=PatNum WHERE Guarantor=0")
    site.load()
    office.run(f"DELETE FROM patient WHERE PatNum={patient}")
    if noticed != "not yet":
        site.sweep()
    if noticed == "buried":
        site.wait(901)
        assert site.confirm() == 1
        assert not site.has(PATIENT, patient)
    office.add("patient", PatNum=patient, LName="Rook", FName="Dora")
    before = len(site.crm.changes)
    site.tick()
    assert len(site.crm.changes) == before
    site.clock.advance(2.0)
    site.tick()
    assert site.record(PATIENT, patient)["first_name"] == "Dora"
    office.run(f"UPDATE patient SET Guarantor=PatNum WHERE PatNum={patient}")


def test_where_no_patient_has_the_field_none_waits(office: Office, open_site: Open) -> None:
    """Dentrix keeps the family's head elsewhere."""
    site = open_site(PATIENT)
    mapped = site.session.maps[PATIENT]
    mapped.fields = mapped.fields - {"guarantor_key"}
    site.load()
    patient = office.add("patient", LName="Quill", FName="Dot")
    assert site.tick() == 1
    assert site.has(PATIENT, patient)
    office.run(f"UPDATE patient SET Guarantor=PatNum WHERE PatNum={patient}")


def test_a_patient_who_stays_half_built_leaves_all_the_same(
    office: Office, open_site: Open
) -> None:
    site = open_site(PATIENT)
    site.load()
    patient = office.add("patient", LName="Quill", FName="Bea")
    site.tick()
    assert not site.has(PATIENT, patient)
    site.clock.advance(2.0)
    site.tick()
    assert site.record(PATIENT, patient)["first_name"] == "Bea"
    assert site.sweep()[0].verified
    site.agree()
    office.run(f"UPDATE patient SET Guarantor=PatNum WHERE PatNum={patient}")
