"""The sweep on a real server: what no stamp, log or key tells; and what it must never do.

Deletions believed at the second look are in ``test_ladder``; upgrades, restores and other
databases in ``test_ladder_source``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.journal.rows import Urgency
from agent.model.reading import Page
from agent.model.streams import Stream
from agent.sync.session import Tuning
from tests.sync.rig import TUNING, Office, Site

pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("mariadb")]

Open = Callable[..., Site]
FAR = datetime(2100, 1, 1, tzinfo=UTC)

PATIENT, APPOINTMENT, RECALL = Stream.PATIENT, Stream.APPOINTMENT, Stream.RECALL
COMMUNICATION, NOTE = Stream.COMMUNICATION, Stream.CLINICAL_NOTE


def tuned(**changed: Any) -> Tuning:
    return replace(TUNING, **changed)


def test_a_silent_return_to_an_old_state_is_repaired(office: Office, open_site: Open) -> None:
    """The trap: the server's digest equals the one proven before, the mirror holds the middle."""
    number = office.due_recall(Note="first")
    office.run("UPDATE recall SET DateTStamp=NOW()-INTERVAL 1 HOUR")
    site = open_site(RECALL)
    site.load()
    assert [swept.verified for swept in site.sweep()] == [True]
    stamp = office.one(f"SELECT DateTStamp FROM recall WHERE RecallNum={number}")
    office.run(f"UPDATE recall SET Note='second' WHERE RecallNum={number}")
    assert site.tick() == 1
    assert site.record(RECALL, number)["note"] == "second"
    office.run(f"UPDATE recall SET Note='first', DateTStamp='{stamp}' WHERE RecallNum={number}")
    site.tick()
    assert site.record(RECALL, number)["note"] == "second"
    (swept,) = site.sweep()
    assert (swept.verified, swept.late) == (True, 1)
    assert site.record(RECALL, number)["note"] == "first"
    site.agree()


def test_a_shorter_rotation_holds_from_the_next_start(
    office: Office, open_site: Open, tmp_path: Path
) -> None:
    """Found by the load lane: proofs planned by the old rotation were waited for."""
    site = open_site(RECALL, folder=tmp_path / "kept")
    site.load()
    site.close()
    quick = replace(TUNING.rotation, hot_s=10.0)
    tuning = tuned(rotation=quick)
    again = open_site(RECALL, folder=tmp_path / "kept", tuning=tuning, crm=site.crm)
    again.load()
    (due,) = {row.due_at for row in again.journal.next_chunks(FAR, 99, loaded=True)}
    assert due - again.clock.now() <= timedelta(seconds=8)


# --- child rows ----------------------------------------------------------------------------------

LIVE, LATER = True, False
CHILDREN = {
    # name: (stream, table, its key, column naming the parent, a change, whether a lane sees it)
    "patfield": (PATIENT, "patfield", "PatFieldNum", "PatNum", "FieldValue='Aisle 4'", LIVE),
    "commoptout": (PATIENT, "commoptout", "CommOptOutNum", "PatNum", "OptOutSms=7", LATER),
    "patientnote": (PATIENT, "patientnote", "PatNum", "PatNum", "ICEName='Dov Quill'", LIVE),
    "scheduleop": (
        Stream.SCHEDULE_BLOCK, "scheduleop", "ScheduleOpNum", "ScheduleNum", "OperatoryNum=77",
        LATER,
    ),
    "claimproc": (
        Stream.CLAIM, "claimproc", "ClaimProcNum", "ClaimNum", "InsPayEst=InsPayEst+3", LIVE
    ),
    "paysplit": (Stream.PAYMENT, "paysplit", "SplitNum", "PayNum", "SplitAmt=SplitAmt+1", LIVE),
    "procedurelog": (APPOINTMENT, "procedurelog", "ProcNum", "AptNum", "CodeNum=CodeNum+1", LIVE),
    "periomeasure": (
        Stream.PERIO_EXAM, "periomeasure", "PerioMeasureNum", "PerioExamNum", "Bvalue=5", LIVE
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHILDREN)
def test_a_child_row_reaches_its_record(office: Office, open_site: Open, name: str) -> None:
    stream, table, key, link, change, live = CHILDREN[name]
    if table == "commoptout":
        office.add(table, PatNum=office.lowest("patient", "PatNum"), OptOutSms=1)
    site = open_site(stream)
    site.load()
    parents = ",".join(str(k) for k in site.crm.canons(stream))
    child, parent = office.rows(
        f"SELECT {key},{link} FROM {table} WHERE {link} IN ({parents}) ORDER BY {key} LIMIT 1"
    )[0]
    sent = len(site.crm.changes)

    def heard() -> list[int]:
        return [int(change.key) for change in site.crm.changes[sent:]]

    assert office.run(f"UPDATE {table} SET {change} WHERE {key}={child}") == 1
    site.tick()
    assert heard() == ([parent] if live else [])
    site.sweep()
    assert heard() == [parent]
    site.agree()
    office.run(f"DELETE FROM {table} WHERE {key}={child}")
    site.tick()
    assert heard() == [parent]  # nothing tells
    assert all(swept.verified for swept in site.sweep())
    assert heard() == [parent, parent]
    site.agree()


# --- keys ----------------------------------------------------------------------------------------


def test_random_keys_of_63_bits_and_negative_ones(office: Office, open_site: Open) -> None:
    keys = [9_223_372_036_854_775_806, -9_223_372_036_854_775_807, 4_611_686_018_427_387_904,
            -17, 9_007_199_254_740_993]  # fmt: skip
    flag = "UPDATE preference SET ValueString='{}' WHERE PrefName='RandomPrimaryKeys'"
    office.run(flag.format(1))
    try:
        for key in keys[:3]:
            office.write_note(ProcNoteNum=key)
            office.due_recall(RecallNum=key)
        site = open_site(RECALL, NOTE, tuning=tuned(page_rows=50))
        assert site.session.facts.random_keys
        site.load()
        for key in keys[3:]:
            office.write_note(ProcNoteNum=key)
            office.due_recall(RecallNum=key)
        site.tick()
        site.sweep()
        for key in keys:
            assert site.record(RECALL, key)["key"] == str(key)
            assert site.record(NOTE, key)["key"] == str(key)
        office.run(f"UPDATE recall SET Note='far out' WHERE RecallNum={keys[0]}")
        assert site.tick() == 1
        assert site.record(RECALL, keys[0])["note"] == "far out"
        lost = ",".join(map(str, keys))
        office.run(f"DELETE FROM recall WHERE RecallNum IN ({lost})")
        assert sum(swept.missing for swept in site.sweep()) == len(keys)
        site.wait(1000)
        assert site.confirm() == len(keys)
        site.agree()
        assert site.engine._believe(site.reader, site.session)
    finally:
        lost = ",".join(map(str, keys))
        office.run(
            flag.format(0),
            f"DELETE FROM procnote WHERE ProcNoteNum IN ({lost})",
            f"DELETE FROM recall WHERE RecallNum IN ({lost})",
            "ALTER TABLE procnote AUTO_INCREMENT=1",
            "ALTER TABLE recall AUTO_INCREMENT=1",
        )


# --- rows that cannot be read --------------------------------------------------------------------


def spoil(office: Office, number_of_rows: int) -> None:
    """Bytes that are no text, as a careless import or a sick disk leaves them in the data file."""
    office.run("FLUSH TABLES")
    path = office.server.home / "data" / office.database / "commlog.MYD"
    content = path.read_bytes()
    assert content.count(b"QZQZQZ") == number_of_rows
    path.write_bytes(content.replace(b"QZQZQZ", b"\xff\xfe\xc3QZQ"))
    office.run("FLUSH TABLES")


def parked(site: Site) -> set[int]:
    return {int(row.key) for row in site.journal.parked(1000)}


def test_undecodable_rows_are_parked_and_the_rest_goes_on(office: Office, open_site: Open) -> None:
    """More of them in a row than a page holds, so that whole pages are nothing else."""
    if office.is_innodb:
        pytest.skip("InnoDB's checksums refuse a page with a spoiled row")
    numbers = [office.add("commlog", PatNum=1, Note="QZQZQZ", CommDateTime="2026-03-02 09:00:00")
               for _ in range(130)]  # fmt: skip
    after = office.add("commlog", PatNum=1, Note="fine", CommDateTime="2026-03-02 09:00:00")
    spoil(office, len(numbers))
    try:
        site = open_site(COMMUNICATION, tuning=tuned(page_rows=50))
        site.begin()
        with site.sending():
            assert site.session.load.run(site.reader)
        site.send()
        assert parked(site) == set(numbers)
        assert site.has(COMMUNICATION, after)
        assert not site.has(COMMUNICATION, numbers[0])
        first = office.lowest("commlog", "CommlogNum")
        stamp = "DateTStamp=DateTStamp"
        office.run(f"UPDATE commlog SET Mode_=3, {stamp} WHERE CommlogNum IN ({first},{after})")
        assert all(swept.verified for swept in site.sweep())  # proven but for those
        site.agree()
        for _ in range(5):
            site.wait(30)
            site.engine._retry_parked(site.reader, site.session)
        site.wait(30)
        assert site.journal.due_parked(site.clock.now(), 1000) == []  # by now ever less often
    finally:
        office.run(
            "UPDATE commlog SET Note='mended'"
            f" WHERE CommlogNum BETWEEN {numbers[0]} AND {numbers[-1]}"
        )
    site.sweep()
    assert site.record(COMMUNICATION, numbers[0])["note"] == "mended"
    site.wait(30)
    site.engine._retry_parked(site.reader, site.session)
    assert parked(site) == set()
    site.agree()


def test_zero_dates_and_a_huge_note(office: Office, open_site: Open) -> None:
    nothing = office.book(AptDateTime="0000-00-00 00:00:00", DateTimeArrived="0001-01-01 00:00:00")
    huge = office.book(Note="x" * 60_000)
    none = office.due_recall(DateDue="0000-00-00", DateScheduled="0001-01-01")
    site = open_site(APPOINTMENT, RECALL)
    site.load()
    assert "start" not in site.record(APPOINTMENT, nothing)
    assert "date_due" not in site.record(RECALL, none)
    assert len(site.record(APPOINTMENT, huge)["note"]) == 60_000
    office.run(f"UPDATE appointment SET AptDateTime='0001-01-01' WHERE AptNum={nothing}")
    sent = len(site.crm.changes)
    site.tick()
    assert all(swept.verified for swept in site.sweep())
    assert len(site.crm.changes) == sent  # the one nothing is as good as the other
    assert parked(site) == set()


def test_a_row_larger_than_a_packet_is_read_or_parked_alone(
    office: Office, open_site: Open
) -> None:
    """Notes of 3 MB: any two of them together are more than the server sends in one row."""
    sizes = {"big": 3_000_000, "small": 10}
    office.run("ALTER TABLE commlog MODIFY Note mediumtext")
    numbers = {name: office.add("commlog", PatNum=1, Note="n" * size,
                                CommDateTime="2026-03-02 09:00:00")
               for name, size in sizes.items()}  # fmt: skip
    try:
        site = open_site(COMMUNICATION)
        site.begin()
        with site.sending():
            assert site.session.load.run(site.reader)
        site.send()
        assert site.has(COMMUNICATION, numbers["small"])
        assert all(swept.verified for swept in site.sweep())
        held = site.crm.record(COMMUNICATION, numbers["big"])
        assert parked(site) == (set() if held else {numbers["big"]})
    finally:
        office.run(f"DELETE FROM commlog WHERE CommlogNum={numbers['big']}")
        office.run("ALTER TABLE commlog MODIFY Note text")


# --- pages overtaken -----------------------------------------------------------------------------


def once(site: Site, name: str, act: Callable[[], None]) -> None:
    """``act`` happens right after the first call of this name has its answer."""

    def after(called: str, _: object) -> None:
        if called == name:
            site.reader.after = None
            act()

    site.reader.after = after


def test_a_page_of_the_sweep_overtaken_by_a_live_read(office: Office, open_site: Open) -> None:
    number = office.due_recall(Note="old")
    site = open_site(RECALL)
    site.load()
    live = site.another_reader()

    def overtake() -> None:
        office.run(f"UPDATE recall SET Note='new' WHERE RecallNum={number}")
        site.clock.advance(1.0)
        assert site.session.watch.tick(live, frozenset()) == 1

    office.run(f"UPDATE recall SET Note='middle', DateTStamp=DateTStamp WHERE RecallNum={number}")
    once(site, "read_range", overtake)
    assert all(swept.verified for swept in site.sweep())
    notes = [c.canon for c in site.crm.changes if c.key == number]
    assert [b'"new"' in canon for canon in notes][-1]
    assert not any(b'"middle"' in canon for canon in notes)
    site.agree()


def test_a_page_of_the_load_overtaken_by_a_live_read(office: Office, open_site: Open) -> None:
    number = office.due_recall(Note="old")
    site = open_site(RECALL)
    live = site.another_reader()
    site.begin()

    def overtake() -> None:
        office.run(f"UPDATE recall SET Note='new' WHERE RecallNum={number}")
        site.clock.advance(1.0)
        assert site.session.watch.tick(live, frozenset()) >= 1

    once(site, "read_range", overtake)
    with site.sending():
        assert site.session.load.run(site.reader)
    site.send()
    notes = [c.canon for c in site.crm.changes if c.key == number]
    assert not any(b'"old"' in canon for canon in notes)
    assert site.record(RECALL, number)["note"] == "new"


def test_a_read_that_brought_nothing_does_not_vouch_for_an_older_one(
    office: Office, open_site: Open
) -> None:
    """Who read last is told by committed turns: one that changed nothing takes no number."""
    number = office.due_recall(Note="old")
    site = open_site(RECALL)
    site.load()
    mapped = site.session.maps[RECALL]

    def take(page: Page, read_lsn: int) -> int:
        return site.engine.capture.take(
            mapped, page, read_lsn=read_lsn, urgency=Urgency.REPAIR, asked=[number]
        ).changed

    same = site.reader.read_keys(RECALL, [number])
    assert take(same, site.engine.capture.last_lsn) == 0
    before_old = site.engine.capture.last_lsn
    old = site.reader.read_keys(RECALL, [number])
    office.run(f"UPDATE recall SET Note='new' WHERE RecallNum={number}")
    assert take(site.reader.read_keys(RECALL, [number]), site.engine.capture.last_lsn) == 1
    assert take(old, before_old) == 0
    site.send()
    assert site.record(RECALL, number)["note"] == "new"


# --- chunks under fire ---------------------------------------------------------------------------


def test_a_chunk_that_keeps_changing_is_split_and_proven_once_quiet(
    office: Office, open_site: Open
) -> None:
    site = open_site(RECALL)
    site.load()
    (chunk,) = site.journal.chunks(RECALL)
    verified_before = chunk.verified_at
    numbers = sorted(site.crm.canons(RECALL))
    writes = 0

    def meddle(called: str, _: object) -> None:
        nonlocal writes
        if called == "digest":
            writes += 1
            sql = "UPDATE recall SET Note='{}', DateTStamp=DateTStamp WHERE RecallNum={}"
            office.run(sql.format(f"busy {writes}", numbers[writes % 2 - 1]))

    site.reader.before = meddle
    (swept,) = site.sweep()
    assert not swept.verified
    halves = site.journal.chunks(RECALL)
    assert [(half.lo, half.hi) for half in halves] == [
        (None, halves[0].hi),
        (halves[0].hi, None),
    ]
    assert {half.verified_at for half in halves} == {verified_before}
    site.reader.before = None
    assert [s.verified for s in site.sweep(all_due=False)] == [True, True]
    assert not site.sweep(all_due=False)  # proven: not due again
    site.agree()


def test_one_row_under_fire_is_put_off_not_split(office: Office, open_site: Open) -> None:
    office.run("DELETE FROM labcase")
    number = office.add("labcase", PatNum=1, LaboratoryNum=1, Instructions="a")
    site = open_site(Stream.LAB_CASE)
    site.load()

    def meddle(called: str, _: object) -> None:
        if called == "digest":
            office.run("UPDATE labcase SET Instructions=CONCAT(Instructions,'a')")

    site.reader.before = meddle
    (swept,) = site.sweep()
    assert not swept.verified
    (chunk,) = site.journal.chunks(Stream.LAB_CASE)
    assert chunk.due_at == site.clock.now() + timedelta(seconds=5)
    site.reader.before = None
    site.wait(5)
    assert [s.verified for s in site.sweep(all_due=False)] == [True]
    assert site.has(Stream.LAB_CASE, number)


# --- brakes --------------------------------------------------------------------------------------


def test_a_braked_stream_does_not_hold_up_the_second_looks_of_others(
    office: Office, open_site: Open
) -> None:
    number = office.due_recall()
    rows = [office.add("commlog", PatNum=1, Note="", CommDateTime="2026-03-02 09:00:00")
            for _ in range(600)]  # fmt: skip
    site = open_site(RECALL, COMMUNICATION)
    site.load()
    office.run(f"DELETE FROM commlog WHERE CommlogNum>={rows[0]}")
    site.sweep()
    site.wait(10)
    office.run(f"DELETE FROM recall WHERE RecallNum={number}")
    site.sweep()
    site.wait(1000)
    for _ in range(2):
        site.confirm()
    assert site.engine.brakes.on == {COMMUNICATION}
    assert site.has(COMMUNICATION, rows[0])
    assert not site.has(RECALL, number)


def test_a_brake_on_everything_lets_nothing_through(office: Office, open_site: Open) -> None:
    site = open_site(RECALL)
    site.load()
    with site.journal.turn() as turn:
        turn.due_all_chunks(None)
    site.engine.brakes._on.add(RECALL)
    assert site.engine._sweep_due(site.reader, site.session) == 0
