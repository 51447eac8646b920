"""Every driver keeps the promises of ``agent.ports.PmsReader``, on three kinds of database."""

from __future__ import annotations

import functools
import operator
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from agent.errors import PmsDrift
from agent.model.reading import EMPTY_DIGEST, Column, Digest, Hint, Page, Stamped
from agent.model.streams import Stream
from drivers.base import digest_of_keys
from tests.drivers.conftest import Practice

BIG = 2**62 + 12345  # a random primary key


def digest_of(page: Page) -> Digest:
    rows: list[Any] = page.rows
    return Digest(
        len(rows),
        sum(row[1] for row in rows),
        functools.reduce(operator.xor, (row[2] for row in rows), 0),
    )


def keys_of(page: Page) -> list[Any]:
    return [row[0] for row in page.rows]


def add_patients(practice: Practice, *keys: int) -> None:
    for key in keys:
        practice.run(
            "INSERT INTO patient (PatNum,LName,FName,Guarantor,Birthdate,EstBalance)"
            f" VALUES ({key},'Ohm{key}','Zoë',{key},'1980-02-29',12.5)"
        )


def add_appointments(practice: Practice, *keys: int, at: str = "2031-03-09 02:30:00") -> None:
    for key in keys:
        practice.run(
            "INSERT INTO appointment"
            " (AptNum,PatNum,AptStatus,Confirmed,Note,AptDateTime,DateTStamp)"
            f" VALUES ({key},1,1,19,'visit',{at!r},'2026-05-01 10:00:00')"
        )


def fill(practice: Practice) -> None:
    """At least one full record in every stream."""
    add_patients(practice, 1, 2, 3)
    add_appointments(practice, 10, 11)
    practice.run(
        "INSERT INTO patientnote (PatNum,Medical) VALUES (1,'asthma')",
        "INSERT INTO commoptout (PatNum,OptOutSms,OptOutEmail) VALUES (1,1,0)",
        "INSERT INTO commoptout (PatNum,OptOutSms,OptOutEmail) VALUES (1,4,2)",
        "INSERT INTO patfield (PatFieldNum,PatNum,FieldName,FieldValue) VALUES"
        " (1,1,'Pet','Rex'),(2,1,'Car',NULL)",
        "INSERT INTO patientlink (PatNumFrom,PatNumTo,LinkType) VALUES (3,1,1),(2,1,2)",
        "INSERT INTO referral (ReferralNum,LName) VALUES (5,'Kiosk')",
        "INSERT INTO refattach (RefAttachNum,ReferralNum,PatNum,ItemOrder,RefType) VALUES"
        " (1,5,1,2,1),(2,6,1,1,1),(3,7,1,0,0)",
        "INSERT INTO procedurelog (ProcNum,PatNum,AptNum,CodeNum,ProcFee,ProcStatus,DateTP)"
        " VALUES (21,1,10,1,99.95,1,'2026-01-01'),(20,1,10,1,10.1,2,'2026-01-01'),"
        "(22,1,0,1,0,2,'2026-01-01')",
        "INSERT INTO apptfield (AptNum,FieldName,FieldValue) VALUES (10,'Ride','yes')",
        "INSERT INTO schedule (ScheduleNum,SchedDate,StartTime,StopTime,SchedType,ProvNum)"
        " VALUES (30,'2031-03-09','08:00:00','12:00:00',1,1)",
        "INSERT INTO scheduleop (ScheduleOpNum,ScheduleNum,OperatoryNum) VALUES (2,30,4),(1,30,3)",
        "INSERT INTO recall (RecallNum,PatNum,DateDue,RecallTypeNum) VALUES (40,1,'2031-03-09',1)",
        "INSERT INTO carrier (CarrierNum,CarrierName) VALUES (50,'Acme Dental')",
        "INSERT INTO insplan (PlanNum,CarrierNum,GroupName) VALUES (51,50,'Group')",
        "INSERT INTO inssub (InsSubNum,PlanNum,Subscriber,SubscriberID) VALUES (52,51,1,'X9')",
        "INSERT INTO patplan (PatPlanNum,PatNum,Ordinal,InsSubNum) VALUES (53,1,1,52),(54,2,1,52)",
        "INSERT INTO claim (ClaimNum,PatNum,PlanNum,ClaimStatus,ClaimFee) VALUES (60,1,51,'S',10)",
        "INSERT INTO claimproc (ClaimProcNum,ProcNum,ClaimNum,Status,FeeBilled,DateCP)"
        " VALUES (61,20,60,1,10.5,'2026-02-02')",
        "INSERT INTO payment (PayNum,PatNum,PayType,PayAmt) VALUES (70,1,69,5)",
        "INSERT INTO paysplit (SplitNum,PayNum,PatNum,SplitAmt,DatePay) VALUES"
        " (71,70,1,2.5,'2026-02-02'),(72,70,2,2.5,'2026-02-02')",
        "INSERT INTO adjustment (AdjNum,PatNum,AdjAmt,AdjDate) VALUES (80,1,-5,'2026-02-02')",
        "INSERT INTO commlog (CommlogNum,PatNum,Note) VALUES (90,1,'called')",
        "INSERT INTO procnote (ProcNoteNum,PatNum,ProcNum,Note) VALUES (100,1,20,'healing')",
        "INSERT INTO perioexam (PerioExamNum,PatNum,ExamDate) VALUES (110,1,'2026-02-02')",
        "INSERT INTO periomeasure (PerioMeasureNum,PerioExamNum,SequenceType,IntTooth,ToothValue)"
        " VALUES (111,110,4,3,-1)",
        "INSERT INTO labcase (LabCaseNum,PatNum,LaboratoryNum) VALUES (120,1,1)",
    )


def test_every_stream_digests_to_what_its_rows_add_up_to(practice: Practice) -> None:
    fill(practice)
    reader = practice.reader()
    try:
        for stream in Stream:
            page = reader.read_range(stream, None, None, 1000)
            if practice.kind != "sqlite" or page.rows:
                assert page.rows, stream
            assert page.unreadable == ()
            assert reader.digest(stream, None, None) == digest_of(page), stream
            assert reader.key_digest(stream, None, None) == digest_of_keys(keys_of(page))
            again = reader.read_keys(stream, keys_of(page))
            assert again.rows == page.rows, stream
    finally:
        reader.close()


def test_a_record_arrives_as_text_in_bound_order(practice: Practice) -> None:
    fill(practice)
    source = practice.source()
    source.bind(
        Stream.APPOINTMENT,
        [
            Column("procedurelog", "procs"),
            Column("appointment", "Note"),
            Column("confirmed", "ItemName"),
            Column("apptfield", "pairs"),
            Column("appointment", "PatNum"),
            Column("appointmenttype", "AppointmentTypeName"),
            Column("appointment", "AptDateTime"),
        ],
    )
    source.bind(
        Stream.PATIENT,
        [
            Column("patfield", "pairs"),
            Column("merge", "PatNumTo"),
            Column("commoptout", "OptOutSms"),
            Column("refattach", "from"),
            Column("patientnote", "Medical"),
            Column("patient", "FName"),
        ],
    )
    source.bind(
        Stream.COVERAGE, [Column("carrier", "CarrierName"), Column("inssub", "SubscriberID")]
    )
    source.bind(Stream.PRACTICE, [Column("practice", "Title"), Column("practice", "Description")])
    reader = source.open()
    full, bare = reader.read_range(Stream.APPOINTMENT, None, None, 10).rows
    assert full[0] == 10
    assert all(isinstance(part, int) for part in full[:3])
    assert full[3:] == (
        "20\x1f1\x1e21\x1f1", "visit", "Not Called", "Ride\x1fyes", "1", None,
        "2031-03-09 02:30:00",
    )  # fmt: skip
    assert bare[3] is None
    patients: list[Any] = reader.read_range(Stream.PATIENT, None, None, 10).rows
    assert patients[0][3:] == ("Pet\x1fRex\x1eCar\x1f", None, "5", "6\x1e5", "asthma", "Zoë")
    assert patients[2][3:5] == (None, "1")
    covers: list[Any] = reader.read_range(Stream.COVERAGE, None, None, 10).rows
    assert [row[3:] for row in covers] == [("Acme Dental", "X9")] * 2
    (office,) = reader.read_range(Stream.PRACTICE, None, None, 10).rows
    assert office[0] == 0
    assert office[3:] == ("Relaxation Dental", "Relaxation Dental")
    reader.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE appointment SET Note='moved' WHERE AptNum=10",
        "UPDATE appointment SET Note=NULL WHERE AptNum=10",
        "UPDATE appointment SET Note='' WHERE AptNum=10",
        "UPDATE procedurelog SET CodeNum=2 WHERE ProcNum=20",
        "DELETE FROM apptfield WHERE AptNum=10",
        "DELETE FROM procedurelog WHERE ProcNum=21",
        "UPDATE appointment SET Confirmed=21 WHERE AptNum=10",
    ],
)
def test_any_change_of_a_carried_value_moves_the_hash(practice: Practice, change: str) -> None:
    fill(practice)
    reader = practice.reader()
    before = reader.read_keys(Stream.APPOINTMENT, [10]).rows[0]
    digest = reader.digest(Stream.APPOINTMENT, None, None)
    practice.run(change)
    after = reader.read_keys(Stream.APPOINTMENT, [10]).rows[0]
    assert after[1:3] != before[1:3]
    assert reader.digest(Stream.APPOINTMENT, None, None) != digest
    reader.close()


def test_a_stamp_alone_does_not_move_the_hash(practice: Practice) -> None:
    fill(practice)
    reader = practice.reader()
    before = reader.read_range(Stream.APPOINTMENT, None, None, 10).rows
    practice.run("UPDATE appointment SET DateTStamp='2030-01-01 00:00:00'")
    assert reader.read_range(Stream.APPOINTMENT, None, None, 10).rows == before
    reader.close()


def test_two_rows_that_swap_their_content_do_not_cancel_out(practice: Practice) -> None:
    add_patients(practice, 1)
    add_appointments(practice, 10, 11)
    practice.run("UPDATE appointment SET Note='a' WHERE AptNum=10")
    reader = practice.reader()
    before = reader.digest(Stream.APPOINTMENT, None, None)
    practice.run(
        "UPDATE appointment SET Note='a' WHERE AptNum=11",
        "UPDATE appointment SET Note='visit' WHERE AptNum=10",
    )
    assert reader.digest(Stream.APPOINTMENT, None, None) != before
    reader.close()


def test_the_hash_cannot_be_fooled_by_where_text_ends(practice: Practice) -> None:
    contents = [
        ("NULL", "NULL"), ("''", "NULL"), ("NULL", "''"), ("''", "''"), ("'ab'", "'c'"),
        ("'a'", "'bc'"), ("'a|1|b'", "'c'"), ("'~'", "NULL"), ("'0|'", "''"),
    ]  # fmt: skip
    practice.run("INSERT INTO patient (PatNum) VALUES (1)")
    source = practice.source()
    source.bind(Stream.PATIENT, [Column("patient", "AddrNote"), Column("patient", "FamFinUrgNote")])
    reader = source.open()
    seen = set()
    for first, second in contents:
        practice.run(f"UPDATE patient SET AddrNote={first}, FamFinUrgNote={second}")
        page = reader.read_keys(Stream.PATIENT, [1])
        assert reader.digest(Stream.PATIENT, None, None) == digest_of(page)
        seen.add(page.rows[0][1:3])
    reader.close()
    assert len(seen) == len(contents)


def test_ranges_are_half_open_and_pages_say_when_they_are_all(practice: Practice) -> None:
    add_patients(practice, 1, 2, 3, 7, BIG)
    reader = practice.reader()
    page = reader.read_range(Stream.PATIENT, 1, 7, 2)
    assert (keys_of(page), page.exhausted) == ([2, 3], False)
    rest = reader.read_range(Stream.PATIENT, 3, 7, 2)
    assert (keys_of(rest), rest.exhausted) == ([7], True)
    assert keys_of(reader.read_range(Stream.PATIENT, 7, None, 2)) == [BIG]
    assert keys_of(reader.read_range(Stream.PATIENT, None, 2, 9)) == [1, 2]
    assert reader.digest(Stream.PATIENT, 1, 7).count == 3
    assert reader.digest(Stream.PATIENT, 7, 8) == EMPTY_DIGEST
    assert reader.key_digest(Stream.PATIENT, 1, 7) == digest_of_keys([2, 3, 7])
    assert reader.key_digest(Stream.PATIENT, None, None) == digest_of_keys([1, 2, 3, 7, BIG])
    assert reader.max_key(Stream.PATIENT) == BIG
    assert reader.nth_key(Stream.PATIENT, None, 2) == 2
    assert reader.nth_key(Stream.PATIENT, 3, 2) == BIG
    assert reader.nth_key(Stream.PATIENT, 3, 3) is None
    assert reader.keys_after(Stream.PATIENT, 3, 5) == [7, BIG]
    reader.close()


def test_keys_that_are_gone_are_absent_from_the_page(practice: Practice) -> None:
    add_patients(practice, 1, 2, 3)
    reader = practice.reader()
    assert reader.max_key(Stream.CLAIM) is None
    practice.run("DELETE FROM patient WHERE PatNum=2")
    assert keys_of(reader.read_keys(Stream.PATIENT, [3, 2, 1])) == [1, 3]
    assert reader.read_keys(Stream.PATIENT, []).rows == []
    with pytest.raises(ValueError, match="1000"):
        reader.read_keys(Stream.PATIENT, range(1001))
    reader.close()


def test_clinics_are_read_only_when_the_practice_uses_them(practice: Practice) -> None:
    practice.run("INSERT INTO clinic (ClinicNum,Description,Abbr) VALUES (4,'North','N')")
    reader = practice.reader()
    assert keys_of(reader.read_range(Stream.PRACTICE, None, None, 9)) == [0]
    practice.run("UPDATE preference SET ValueString='0' WHERE PrefName='EasyNoClinics'")
    assert keys_of(reader.read_range(Stream.PRACTICE, None, None, 9)) == [0, 4]
    assert practice.source().probe().clinics is True
    reader.close()


def test_logs_name_keys_above_their_marks(practice: Practice) -> None:
    practice.run("INSERT INTO histappointment (HistApptNum,AptNum,HistApptAction) VALUES (5,9,0)")
    reader = practice.reader()
    start = reader.tail({}, 100)
    assert start.hints == []
    assert start.marks == {"histappointment": 5, "securitylog": 0, "signalod": 0}
    assert reader.tail(start.marks, 100) == start
    practice.run(
        "INSERT INTO histappointment (HistApptNum,AptNum,HistApptAction) VALUES (6,10,1),(7,11,4)",
        "INSERT INTO securitylog (SecurityLogNum,PermType,FKey,PatNum) VALUES"
        " (1,120,12,3),(2,108,0,3),(3,43,90,3),(4,45,110,3),(5,15,70,3),(6,26,0,3),(7,53,20,3)",
        "INSERT INTO signalod (SignalNum,IType,FKeyType,FKey) VALUES (1,68,'PatNum',8),"
        "(2,68,'Operatory',2)",
    )
    found = reader.tail(start.marks, 100)
    assert found.hints == [
        Hint(Stream.APPOINTMENT, 10),
        Hint(Stream.APPOINTMENT, 11, deleted=True),
        Hint(Stream.APPOINTMENT, 12),
        Hint(Stream.PATIENT, 3),
        Hint(Stream.COMMUNICATION, 90),
        Hint(Stream.PAYMENT, 70),
        Hint(Stream.PROCEDURE, 20),
        Hint(Stream.PATIENT, 8),
    ]
    assert found.marks == {"histappointment": 7, "securitylog": 7, "signalod": 2}
    first = reader.tail(start.marks, 1)
    assert first.marks == {"histappointment": 6, "securitylog": 1, "signalod": 1}
    reader.close()


def test_lanes_name_keys_by_stamp_of_the_row_and_of_its_children(practice: Practice) -> None:
    add_patients(practice, 1)
    add_appointments(practice, 10, 11, 12)
    practice.run(
        "UPDATE appointment SET DateTStamp='2026-05-01 10:00:01' WHERE AptNum=10",
        "INSERT INTO procedurelog (ProcNum,AptNum,DateTStamp,DateTP) VALUES"
        " (20,11,'2026-05-01 10:00:00','2026-01-01'),(21,0,'2026-05-01 10:00:00','2026-01-01'),"
        "(22,10,'2026-04-01 10:00:00','2026-01-01')",
    )
    reader = practice.reader()
    since = datetime(2026, 5, 1, 10, tzinfo=UTC)
    at = int(since.timestamp())
    lane = functools.partial(reader.keys_since, Stream.APPOINTMENT, "appointment", since)
    expected = [Stamped(11, at, 11), Stamped(12, at, 12), Stamped(10, at + 1, 10)]
    assert lane(None, 10) == expected
    assert lane(None, 2) == expected[:2]
    assert lane((at, 12), 10) == expected[2:]
    children = reader.keys_since(Stream.APPOINTMENT, "procedurelog", since, None, 10)
    assert children == [Stamped(11, at, 20)]
    with pytest.raises(PmsDrift):
        reader.keys_since(Stream.APPOINTMENT, "definition", since, None, 10)
    reader.close()


def test_a_lane_through_other_tables_names_every_record_behind_it(practice: Practice) -> None:
    stamp = "'2026-05-01 10:00:00'"
    practice.run(
        f"INSERT INTO carrier (CarrierNum,SecDateTEdit) VALUES (1,{stamp}),(2,{stamp}),(3,{stamp})",
        "INSERT INTO insplan (PlanNum,CarrierNum) VALUES (11,3)",
        "INSERT INTO inssub (InsSubNum,PlanNum) VALUES (21,11),(22,11)",
        "INSERT INTO patplan (PatPlanNum,PatNum,InsSubNum) VALUES (31,1,21),(32,2,21),(33,3,22)",
    )
    reader = practice.reader()
    since = datetime(2026, 5, 1, tzinfo=UTC)
    for limit in (1, 2, 100):  # carriers without coverage must not look like the end of the lane
        found = reader.keys_since(Stream.COVERAGE, "carrier", since, None, limit)
        assert [hit.key for hit in found] == [31, 32, 33], limit
        assert {hit.row for hit in found} == {3}
    reader.close()


def test_the_window_holds_the_dates_it_names(practice: Practice) -> None:
    add_patients(practice, 1)
    add_appointments(practice, 14, at="2031-03-08 23:59:59")
    add_appointments(practice, 12, at="2031-03-09 00:00:00")
    add_appointments(practice, 11, at="2031-03-10 23:30:00")
    add_appointments(practice, 13, at="2031-03-11 00:00:00")
    practice.run("INSERT INTO schedule (ScheduleNum,SchedDate) VALUES (1,'2031-03-10')")
    reader = practice.reader()
    first, last = date(2031, 3, 9), date(2031, 3, 10)
    assert reader.keys_in_window(Stream.APPOINTMENT, first, last, None, 10) == [11, 12]
    assert reader.keys_in_window(Stream.APPOINTMENT, first, last, 11, 10) == [12]
    assert reader.keys_in_window(Stream.SCHEDULE_BLOCK, first, last, None, 10) == [1]
    assert reader.keys_in_window(Stream.CLAIM, first, last, None, 10) == []
    reader.close()


def test_the_guard_knows_the_database_and_its_unrest(practice: Practice) -> None:
    add_patients(practice, 1, 77)
    reader = practice.reader()
    calm = reader.guard()
    facts = practice.source().probe()
    assert calm.identity == facts.identity
    assert len(calm.identity) == 32
    assert calm.version == facts.version
    assert calm.high_marks["patient"] == 77
    assert (calm.update_running, calm.corrupted, calm.rebuilding) == (False, False, False)
    practice.run(
        "CREATE TABLE tempConv_patient4711 (PatNum bigint)",
        "UPDATE preference SET ValueString='FRONTDESK' WHERE"
        " PrefName='UpdateInProgressOnComputerName'",
        "UPDATE preference SET ValueString='1' WHERE PrefName='CorruptedDatabase'",
    )
    try:
        unrest = reader.guard()
        assert (unrest.update_running, unrest.corrupted, unrest.rebuilding) == (True, True, True)
        found = {f.code for f in practice.source().probe().findings}
        assert "pms.update_running" in found
    finally:
        practice.run(
            "DROP TABLE tempConv_patient4711",
            "UPDATE preference SET ValueString='' WHERE PrefName='UpdateInProgressOnComputerName'",
            "UPDATE preference SET ValueString='0' WHERE PrefName='CorruptedDatabase'",
        )
    assert reader.guard() == calm
    reader.close()


def test_the_clock_is_the_servers_in_utc(practice: Practice) -> None:
    reader = practice.reader()
    told = reader.clock()
    assert abs(told.now - datetime.now(UTC)) < timedelta(seconds=2)
    assert told.oldest_open is None  # a SELECT-only account cannot see other connections
    reader.close()


def test_the_gate_moves_when_a_table_does(practice: Practice) -> None:
    add_patients(practice, 1)
    reader = practice.reader()
    tables = ["patient", "appointment", "nosuchtable"]
    before = reader.moved(tables)
    assert set(before) == set(tables)
    assert reader.moved(tables) == before
    add_patients(practice, 2)
    # A whole-second token: what must not happen is that it never moves (test_gates says when).
    deadline = time.monotonic() + 3
    while reader.moved(tables)["patient"] == before["patient"]:
        assert time.monotonic() < deadline
        practice.run("UPDATE patient SET FName='Zo' WHERE PatNum=2")
        practice.run("UPDATE patient SET FName='Zoe' WHERE PatNum=2")
    reader.close()


def test_facts_name_every_stream_and_its_lanes(practice: Practice) -> None:
    facts = practice.source().probe()
    assert set(facts.streams) == set(Stream)
    assert all(found.readable for found in facts.streams.values())
    appointment = facts.streams[Stream.APPOINTMENT]
    assert (appointment.table, appointment.key, appointment.windowed) == (
        "appointment", "AptNum", True,
    )  # fmt: skip
    assert set(appointment.tables) == {
        "appointment", "definition", "appointmenttype", "procedurelog", "apptfield",
    }  # fmt: skip
    assert [lane.name for lane in appointment.lanes] == ["appointment", "procedurelog"]
    assert facts.streams[Stream.CLINICAL_NOTE].lanes == ()
    assert facts.tables["procedurelog"].columns["procs"] == "list"
    assert "ItemName" in facts.tables["confirmed"].columns
    assert "DateLastAging" in facts.tables["practice"].columns
    assert facts.random_keys is False


def test_binding_what_the_schema_lacks_is_drift(practice: Practice) -> None:
    source = practice.source()
    for wanted in (
        Column("patient", "NoSuchColumn"),
        Column("nosuchtable", "X"),
        Column("patfield", "FieldName"),  # only its gathered form belongs to a patient
        Column("patientnote", "NoSuchColumn"),
    ):
        with pytest.raises(PmsDrift) as caught:
            source.bind(Stream.PATIENT, [wanted])
        assert caught.value.code == "pms.column_missing"
    reader = source.open()
    with pytest.raises(PmsDrift):
        reader.read_range(Stream.PATIENT, None, None, 1)
    reader.close()


def test_separators_inside_values_cannot_forge_items(practice: Practice) -> None:
    add_patients(practice, 1)
    practice.run("INSERT INTO patfield (PatNum,FieldName,FieldValue) VALUES (1,'A\x1fB','C\x1eD')")
    source = practice.source()
    source.bind(Stream.PATIENT, [Column("patfield", "pairs")])
    reader = source.open()
    assert reader.read_keys(Stream.PATIENT, [1]).rows[0][3] == "A B\x1fC D"
    reader.close()


def test_a_huge_note_arrives_whole(practice: Practice) -> None:
    add_patients(practice, 1)
    if practice.kind != "sqlite":
        practice.run("ALTER TABLE commlog MODIFY Note mediumtext")
    note = "é" * 700_000
    practice.run(
        f"INSERT INTO commlog (CommlogNum,PatNum,Note) VALUES (1,1,'{note}'),(2,1,'short')"
    )
    source = practice.source()
    source.bind(Stream.COMMUNICATION, [Column("commlog", "Note")])
    reader = source.open()
    page = reader.read_range(Stream.COMMUNICATION, None, None, 10)
    assert [row[3] for row in page.rows] == [note, "short"]
    assert reader.digest(Stream.COMMUNICATION, None, None) == digest_of(page)
    reader.close()


def test_none_dates_arrive_as_the_text_they_are(practice: Practice) -> None:
    practice.run(
        "INSERT INTO recall (RecallNum,PatNum,DateDue,DatePrevious)"
        " VALUES (1,1,'0000-00-00','0001-01-01')"
    )
    source = practice.source()
    source.bind(Stream.RECALL, [Column("recall", "DateDue"), Column("recall", "DatePrevious")])
    reader = source.open()
    page = reader.read_range(Stream.RECALL, None, None, 10)
    assert page.rows[0][3:] == ("0000-00-00", "0001-01-01")
    assert reader.digest(Stream.RECALL, None, None) == digest_of(page)
    reader.close()
