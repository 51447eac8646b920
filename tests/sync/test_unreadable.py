"""A row that cannot be read may be anything: nothing is concluded from its not being seen. Found by
the simulation (seeds 2506 and 3211)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.journal.pulled import EffectState
from agent.journal.rows import ParkClass
from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.effects import Effect, EffectKind, Written
from agent.model.proof import Basis, Standing, StreamProof
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import Change, Verb
from agent.sync import engine, recover
from tests.sync.pullrig import ZONE, Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

NO_TEXT = "CAST(x'fffe' AS TEXT)"


def spoil(desk: Desk, key: Key) -> None:
    desk.run(f"UPDATE appointment SET Note={NO_TEXT} WHERE AptNum=?", key)


def mend(desk: Desk) -> None:
    desk.run(f"UPDATE appointment SET Note='' WHERE Note={NO_TEXT}")
    desk.run(f"UPDATE commlog SET Note='mended' WHERE Note={NO_TEXT}")


def statuses(desk: Desk) -> list[tuple[Any, ...]]:
    """Of the visits to come: number, status."""
    return desk.rows(
        "SELECT AptNum, AptStatus FROM appointment WHERE AptDateTime > datetime('now')"
        " ORDER BY AptNum"
    )


def local_day(start: str) -> str:
    return datetime.fromisoformat(start).astimezone(ZoneInfo(ZONE)).date().isoformat()


def ended(desk: Desk, ident: str) -> CommandOutcome:
    outcome = desk.outcome(ident)
    assert outcome is not None
    return outcome


def test_a_day_with_a_visit_nobody_can_read_has_no_free_place(desk: Desk) -> None:
    held = desk.booked()
    spoil(desk, held)
    same = desk.book(who=desk.patient(1))
    other = desk.book(6, who=desk.patient(1))
    desk.work()
    for ident in (same, other):
        outcome = ended(desk, ident)
        assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
        assert outcome.staff_text == "slot.day_unreadable"
        assert outcome.alternatives
        assert local_day(desk.place()["start"]) not in {
            local_day(slot.start) for slot in outcome.alternatives
        }
    assert statuses(desk) == [(held, 1)]
    mend(desk)
    again = desk.book(6, who=desk.patient(1))
    desk.work()
    assert ended(desk, again).state is EndState.APPLIED


def test_a_block_nobody_can_read_may_forbid_the_day(desk: Desk) -> None:
    desk.run(
        f"INSERT INTO schedule (SchedDate, StartTime, StopTime, SchedType, Note)"
        f" VALUES (?, '00:00:00', '00:00:00', 2, {NO_TEXT})", local_day(desk.place()["start"]),
    )  # fmt: skip
    ident = desk.book()
    desk.work()
    assert ended(desk, ident).staff_text == "slot.day_unreadable"
    assert not desk.visits()


def test_the_place_of_a_move_that_may_still_happen_is_kept_when_the_visit_is_unreadable(
    desk: Desk,
) -> None:
    desk.writer.lacks = frozenset({EffectKind.MOVE})
    held = desk.booked()
    move = desk.ask(
        CommandType.APPOINTMENT_RESCHEDULE, desk.place(48 * 7), target=("appointment", str(held))
    )  # a week on
    desk.work()
    assert ended(desk, move).state is EndState.TASK
    spoil(desk, held)
    ident = desk.book(48 * 7 + 1, who=desk.patient(1))
    desk.work()
    assert ended(desk, ident).staff_text == "slot.day_unreadable"


def test_a_race_is_not_judged_while_the_rival_cannot_be_read(desk: Desk) -> None:
    def race(_effect: Effect, _done: Written) -> None:
        desk.writer.after = None
        desk.office_books()
        spoil(desk, desk.one("SELECT MAX(AptNum) FROM appointment"))

    desk.writer.after = race
    ident = desk.book()
    for _ in range(5):
        desk.work()
        desk.clock.advance(3600.0)
    assert desk.outcome(ident) is None  # it stands there: neither applied nor rejected yet
    assert [status for _, status in statuses(desk)] == [1, 1]
    mend(desk)
    desk.settle()
    outcome = ended(desk, ident)
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
    assert [row[2] for row in desk.visits() if row[1] == desk.patient()] == [3]  # unscheduled


def test_what_was_written_and_cannot_be_read_is_not_written_again(desk: Desk) -> None:
    def spoilt(done: Written) -> None:
        desk.run(f"UPDATE commlog SET Note={NO_TEXT} WHERE CommlogNum=?", done.key)

    before = desk.one("SELECT COUNT(*) FROM commlog")
    desk.writer.lose_answer_once(spoilt)
    note: dict[str, Any] = {"patient_key": str(desk.patient()), "note": "asked", "mode": "phone"}
    ident = desk.ask(CommandType.COMMLOG_APPEND, note)
    desk.settle(300.0)
    assert desk.one("SELECT COUNT(*) FROM commlog") == before + 1
    assert [row.state for row in desk.effects(ident)] == [EffectState.UNKNOWN]
    assert ended(desk, ident).state is EndState.UNKNOWN


def test_more_records_since_than_are_looked_at_say_nothing_of_what_is_missing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover, "MOST_CANDIDATES", 3)

    def office_is_busy(_effect: Effect) -> None:
        desk.writer.before = None
        for _ in range(3):
            desk.run(
                "INSERT INTO commlog (PatNum, CommDateTime, Note)"
                " VALUES (?, '2026-11-02 10:00:00', 'called')", desk.patient(),
            )  # fmt: skip

    desk.writer.before = office_is_busy
    desk.writer.lose_answer_once()
    note: dict[str, Any] = {"patient_key": str(desk.patient()), "note": "asked", "mode": "phone"}
    ident = desk.ask(CommandType.COMMLOG_APPEND, note)
    desk.settle(300.0)
    assert desk.one("SELECT COUNT(*) FROM commlog WHERE Note='asked'") == 1
    assert ended(desk, ident).state is EndState.UNKNOWN


def test_parked_records_of_what_is_not_read_keep_no_other_waiting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "READ_KEYS", 1)
    key = desk.patient()
    with desk.journal.turn() as turn:
        for stream, parked in ((Stream.LAB_CASE, 1), (Stream.PATIENT, key)):
            desk.clock.advance(1.0)
            turn.park(stream, parked, ParkClass.DECODE, "r", b"", desk.clock.now())
    assert Stream.LAB_CASE not in desk.session.maps
    desk.clock.advance(1.0)
    desk.engine._retry_parked(desk.reader, desk.session)
    assert [parked.stream for parked in desk.journal.parked(9)] == [Stream.LAB_CASE]


def test_what_the_mirror_lacks_is_looked_for_before_the_crm_is_told_that_it_is_gone(
    desk: Desk,
) -> None:
    """After a journal was lost: one row was never readable since, one the mirror is behind with."""
    for note in (NO_TEXT, "'there'", "'gone'"):
        desk.run(
            f"INSERT INTO commlog (PatNum, CommDateTime, Note) VALUES (?, '2026-11-02 10:00:00',"
            f" {note})", desk.patient(),
        )  # fmt: skip
    gone = desk.one("SELECT MAX(CommlogNum) FROM commlog")
    there, unread = gone - 1, gone - 2
    stream = Stream.COMMUNICATION
    desk.run("DELETE FROM commlog WHERE CommlogNum=?", gone)
    for key in (unread, there, gone):
        held = Change(bytes(16), stream, key, Verb.UPSERT, 1, bytes([key % 256]) * 16, b"{}")
        desk.crm.rows[stream, key] = held
    proving = desk.engine.proving

    def compared() -> StreamProof:
        line = proving.one(desk.session, stream, Basis.KEPT, proving.mender(desk.reader))
        desk.send()
        return line

    assert compared().extra == 3
    assert {c.key: c.verb for c in desk.crm.changes if c.key in (unread, there, gone)} == {
        there: Verb.UPSERT, gone: Verb.DELETE,
    }  # fmt: skip
    line = compared()
    assert (line.extra, line.waiting, line.standing) == (0, 1, Standing.WAITING)
    assert (stream, unread) in desk.crm.rows


def test_what_the_mirror_came_to_hold_meanwhile_is_not_retracted(desk: Desk) -> None:
    before = len(desk.crm.changes)
    desk.engine.capture.retract(Stream.PATIENT, [desk.patient(), 999_999])
    desk.engine.capture.retract(Stream.PATIENT, [desk.patient()])
    desk.send()
    assert [(c.key, c.verb) for c in desk.crm.changes[before:]] == [(999_999, Verb.DELETE)]


def test_a_row_that_was_never_read_and_is_gone_is_parked_no_more(desk: Desk) -> None:
    desk.run(
        f"INSERT INTO commlog (PatNum, CommDateTime, Note) VALUES (?, '2026-11-02 10:00:00',"
        f" {NO_TEXT})", desk.patient(),
    )  # fmt: skip
    key = desk.one("SELECT MAX(CommlogNum) FROM commlog")
    desk.engine.send_again(desk.reader, desk.session, Stream.COMMUNICATION, [key])
    (parked,) = desk.journal.parked(10)
    assert (parked.stream, parked.key) == (Stream.COMMUNICATION, key)
    desk.run("DELETE FROM commlog WHERE CommlogNum=?", key)
    desk.clock.advance(2 * 86_400.0)
    desk.engine._retry_parked(desk.reader, desk.session)
    assert desk.journal.parked(10) == []
    (counts,) = [c for c in desk.journal.stream_counts() if c.stream is Stream.COMMUNICATION]
    assert counts.parked == 0
