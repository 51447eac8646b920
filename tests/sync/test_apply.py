"""Commands on a real practice file through the real sample writer: what is written and said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import PmsUnavailable
from agent.journal.pulled import CommandState, ConflictState, EffectState, TaskState
from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.desk import Canary, SafetyMode
from agent.model.effects import Effect, EffectKind, WriteRefused, WriteUnknown, Written
from agent.model.streams import Stream
from agent.sync.apply import ApplyTuning
from agent.sync.switches import CRM, DESK, HARMLESS, Switch
from agent.sync.twoway import TwoWayTuning
from drivers.writers import NoWriter
from tests.sync.pullrig import ZONE, Desk, iso
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

BOOK = CommandType.APPOINTMENT_BOOK
MOVE = CommandType.APPOINTMENT_RESCHEDULE
UPDATE = CommandType.PATIENT_UPDATE


def state_of(outcome: CommandOutcome | None) -> EndState | None:
    return None if outcome is None else outcome.state


def reason_of(outcome: CommandOutcome | None) -> Reason | None:
    return None if outcome is None else outcome.reason_code


def changes_of(desk: Desk, stream: Stream, key: object) -> int:
    return sum(1 for c in desk.crm.changes if (c.stream, c.key) == (stream, key))


# -- booking ---------------------------------------------------------------------------------------


def test_a_booking_stands_on_the_schedule_and_is_told(desk: Desk) -> None:
    place = desk.place()
    ident = desk.book(payload={"note": "first visit"})
    desk.work()
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.APPLIED
    assert outcome is not None
    ((number, patient, status, _, operatory, note),) = desk.visits()
    assert (str(number), patient, status, note) == (
        outcome.pms_key, desk.patient(), 1, "first visit",
    )  # fmt: skip
    assert str(operatory) == place["operatory_key"]
    assert desk.record(Stream.APPOINTMENT, number)["start"] == place["start"]
    assert desk.port.acked == [ident]
    (effect,) = desk.effects(ident)
    assert effect.state is EffectState.VERIFIED
    assert effect.key == number
    row = desk.journal.command(ident)
    assert row is not None
    assert row.state is CommandState.DONE
    assert row.reported


def test_what_we_wrote_is_pushed_once_and_is_no_news_to_detection(desk: Desk) -> None:
    key = desk.booked()
    assert desk.crm.record(Stream.APPOINTMENT, key) is not None
    pushed = changes_of(desk, Stream.APPOINTMENT, key)
    assert pushed == 1
    for _ in range(3):
        desk.tick()
    assert changes_of(desk, Stream.APPOINTMENT, key) == pushed


def test_a_taken_place_is_refused_with_others(desk: Desk) -> None:
    desk.booked()
    ident = desk.book(who=desk.patient(1))
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
    assert len(desk.visits()) == 1
    assert not desk.effects(ident)
    best = outcome.alternatives[0]
    assert best.minutes == 30
    assert best.start != desk.place()["start"]
    again = desk.book(
        who=desk.patient(1),
        payload={"start": best.start, "operatory_key": best.operatory_key,
                 "provider_key": best.provider_key},
    )  # fmt: skip
    desk.work()
    told = desk.outcome(again)
    assert state_of(told) is EndState.APPLIED


def test_a_patient_the_practice_does_not_schedule(desk: Desk) -> None:
    desk.run("INSERT INTO patrestriction (PatNum, PatRestrictType) VALUES (?,1)", desk.patient())
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.POLICY_BLOCKED)
    assert desk.visits() == []


def test_a_place_lost_before_the_write_is_refused_with_others(desk: Desk) -> None:
    def race(effect: Effect) -> None:
        desk.writer.before = None
        desk.office_books()

    desk.writer.before = race
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert reason_of(outcome) is Reason.SLOT_TAKEN
    assert outcome is not None
    assert outcome.alternatives
    assert [row[1] for row in desk.visits()] == [desk.patient(2)]


def test_a_lost_race_is_taken_back_with_a_note(desk: Desk) -> None:
    """The front desk books the place while ours is being written."""

    def race(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.office_books()

    desk.writer.after = race
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
    assert outcome.alternatives
    mine = [row for row in desk.visits() if row[1] == desk.patient()]
    assert [row[2] for row in mine] == [3]  # on the unscheduled list
    assert "booking.lost_race_note" in mine[0][5]
    kinds = [e.effect.kind for e in desk.effects(ident)]
    assert kinds == [EffectKind.BOOK, EffectKind.NOTE_APPOINTMENT, EffectKind.SET_STATUS]
    assert all(e.state is EffectState.VERIFIED for e in desk.effects(ident))


@pytest.mark.parametrize("how", ["switched", "unable"])
def test_a_lost_race_that_cannot_be_taken_back_is_the_desks(desk: Desk, how: str) -> None:
    if how == "unable":
        desk.writer.lacks = frozenset({EffectKind.SET_STATUS, EffectKind.BREAK})

    def race(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.office_books()
        if how == "switched":
            desk.two.safety.say(DESK, Switch(SafetyMode.READ_ONLY), "tester")

    desk.writer.after = race
    ident = desk.book()
    desk.work()
    assert state_of(desk.outcome(ident)) is EndState.TASK
    assert desk.two.safety.latched == "booking.not_taken_back"
    (task,) = desk.journal.tasks()
    assert task.effect.fields == {"status": "unscheduled"}
    assert len(desk.writer.written) == 1


def test_a_move_is_not_taken_back_to_a_place_that_was_taken_meanwhile(desk: Desk) -> None:
    key = desk.booked(6)

    def race(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.office_books()
        desk.office_books(6)

    desk.writer.after = race
    there = desk.place()["start"]
    outcome = desk.do(MOVE, {"start": there}, target=("appointment", str(key)))
    assert outcome.state is EndState.TASK
    assert desk.record(Stream.APPOINTMENT, key)["start"] == there
    (task,) = desk.journal.tasks()
    assert (task.effect.key, task.effect.fields) == (key, {"status": "unscheduled"})
    assert desk.two.safety.latched == "booking.not_taken_back"


def test_a_new_patient_is_made_booked_and_linked(desk: Desk) -> None:
    new = {"last_name": "Sample", "first_name": "Nora", "birthdate": "1990-05-06",
           "phone_mobile": "+12125550123"}  # fmt: skip
    ident = desk.book(payload={"patient": {"new": new, "cloud_id": "c-1"}})
    desk.port.people = []
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is None  # the contact was never seen: the feed is awaited
    plain = desk.book(payload={"patient": {"new": new}})
    desk.work()
    outcome = desk.outcome(plain)
    assert state_of(outcome) is EndState.APPLIED
    kinds = [e.effect.kind for e in desk.effects(plain)]
    assert kinds == [EffectKind.CREATE_PATIENT, EffectKind.BOOK]
    made = desk.effects(plain)[0].key
    assert desk.one("SELECT FName FROM patient WHERE PatNum=?", made) == "Nora"
    assert desk.visits()[-1][1] == made


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"minutes": 7}, "minutes"),
        ({"start": "2026-13-01T00:00:00Z"}, "start"),
        ({"start": "2030-01-01T09:00:00"}, "start"),
        ({"surprise": 1}, "payload"),
        ({"patient": {}}, "patient"),
        ({"patient": {"key": "0"}}, "patient.key"),
    ],
)
def test_what_cannot_be_understood_is_refused(
    desk: Desk, payload: dict[str, Any], field: str
) -> None:
    ident = desk.book(payload=payload)
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.reason_code) == (
        EndState.REJECTED, Reason.VALIDATION_FAILED,
    )  # fmt: skip
    assert not desk.visits()


# -- moving, confirming, cancelling ----------------------------------------------------------------


def test_move_confirm_cancel(desk: Desk) -> None:
    key = desk.booked()
    target = ("appointment", str(key))
    there = desk.place(4)
    moved = desk.do(MOVE, {"start": there["start"]}, target=target)
    assert moved.state is EndState.APPLIED
    assert desk.record(Stream.APPOINTMENT, key)["start"] == there["start"]
    confirmed = desk.do(
        CommandType.APPOINTMENT_CONFIRM, {"confirmation_category": "confirmed"}, target=target
    )
    assert confirmed.state is EndState.APPLIED
    assert desk.record(Stream.APPOINTMENT, key)["confirmation_category"] == "confirmed"
    cancelled = desk.do(
        CommandType.APPOINTMENT_CANCEL,
        {"break_type": "cancelled", "to_unscheduled": False, "note": "called off"},
        target=target,
    )
    assert cancelled.state is EndState.APPLIED
    held = desk.record(Stream.APPOINTMENT, key)
    assert held["status"] == "broken"
    assert "called off" in held["note"]
    again = desk.do(CommandType.APPOINTMENT_CANCEL, {"break_type": "cancelled",
                    "to_unscheduled": False}, target=target)  # fmt: skip
    assert again.state is EndState.APPLIED  # it holds already; nothing more is written
    assert len([e for e in desk.writer.written if e.kind is EffectKind.BREAK]) == 1


def test_a_move_against_the_offices_own_move_waits_for_a_person(desk: Desk) -> None:
    key = desk.booked()
    was = desk.record(Stream.APPOINTMENT, key)["start"]
    desk.run("UPDATE appointment SET AptDateTime=datetime(AptDateTime,'+1 hour') WHERE AptNum=?",
             key)  # fmt: skip
    office = desk.record(Stream.APPOINTMENT, key)["start"]
    outcome = desk.do(
        MOVE, {"start": desk.place(6)["start"]}, target=("appointment", str(key)),
        expected={"start": was},
    )  # fmt: skip
    assert outcome.state is EndState.CONFLICT
    assert outcome.kept_fields == ("start",)
    assert desk.record(Stream.APPOINTMENT, key)["start"] == office
    (conflict,) = desk.journal.conflicts()
    assert (conflict.field, conflict.base, conflict.pms) == ("start", was, office)
    (told,) = desk.port.conflicts.values()
    assert (told.state, told.field) == ("open", "start")


def test_an_appointment_that_never_was_and_one_that_is_gone(desk: Desk) -> None:
    unknown = desk.do(MOVE, {"start": desk.place()["start"]}, target=("appointment", "999999"))
    assert (unknown.state, unknown.reason_code) == (EndState.REJECTED, Reason.VERSION_CONFLICT)
    key = desk.booked()
    desk.run("DELETE FROM appointment WHERE AptNum=?", key)
    gone = desk.do(MOVE, {"start": desk.place(3)["start"]}, target=("appointment", str(key)))
    assert gone.state is EndState.CONFLICT
    assert desk.journal.conflicts()[0].field == "*"


# -- patients --------------------------------------------------------------------------------------


def test_an_edit_is_merged_field_by_field(desk: Desk) -> None:
    key = desk.patient()
    before = desk.record(Stream.PATIENT, key)
    desk.run("UPDATE patient SET City='Officetown' WHERE PatNum=?", key)
    outcome = desk.do(
        UPDATE,
        {"fields": {"city": "Cloudville", "postal_code": "10999"}},
        target=("patient", str(key)),
        expected={"city": before.get("city"), "postal_code": before.get("postal_code")},
    )
    assert outcome.state is EndState.APPLIED
    assert outcome.kept_fields == ("city",)
    held = desk.record(Stream.PATIENT, key)
    assert (held["city"], held["postal_code"]) == ("Officetown", "10999")
    (conflict,) = desk.journal.conflicts()
    assert (conflict.field, conflict.pms, conflict.crm) == ("city", "Officetown", "Cloudville")


def test_the_agreed_record_is_the_base_where_none_is_given(desk: Desk) -> None:
    key = desk.patient()
    outcome = desk.do(UPDATE, {"fields": {"city": "Newtown"}}, target=("patient", str(key)))
    assert outcome.state is EndState.APPLIED
    assert not outcome.kept_fields
    desk.run("UPDATE patient SET City='Elsewhere' WHERE PatNum=?", key)  # not read yet
    late = desk.do(UPDATE, {"fields": {"city": "Third"}}, target=("patient", str(key)))
    assert late.state is EndState.CONFLICT


def test_phones_and_mail_come_back_as_they_were_meant(desk: Desk) -> None:
    key = desk.patient()
    outcome = desk.do(
        UPDATE,
        {"fields": {"phone_mobile": "+12125550147", "emails": ["Nora@Example.ORG"]}},
        target=("patient", str(key)),
        expected={n: desk.record(Stream.PATIENT, key).get(n) for n in ("phone_mobile", "emails")},
    )
    assert outcome.state is EndState.APPLIED
    assert not outcome.kept_fields
    held = desk.record(Stream.PATIENT, key)
    assert held["phone_mobile"] == "+12125550147"
    assert [mail.casefold() for mail in held["emails"]] == ["nora@example.org"]


@pytest.mark.parametrize(
    "fields",
    [{"phone_mobile": "555-0100"}, {"birthdate": "05/06/1990"}, {"last_name": ""},
     {"balance": "0"}, {"sms_consent": "granted"}, {"emails": ["not mail"]}, {}],
)  # fmt: skip
def test_fields_that_cannot_be_are_refused(desk: Desk, fields: dict[str, Any]) -> None:
    outcome = desk.do(UPDATE, {"fields": fields}, target=("patient", str(desk.patient())))
    assert outcome.reason_code is Reason.VALIDATION_FAILED
    assert not desk.writer.written


def test_consent_and_what_needs_it(desk: Desk) -> None:
    key = str(desk.patient())
    desk.run("UPDATE patient SET TxtMsgOk=1, WirelessPhone='(212)555-0144' WHERE PatNum=?", key)
    text = {"patient_key": key, "note": "See you soon", "mode": "text", "direction": "sent",
            "channel": "sms"}  # fmt: skip
    sent = desk.do(CommandType.COMMLOG_APPEND, text)
    assert sent.state is EndState.APPLIED
    denied = desk.do(
        CommandType.CONSENT_SET,
        {"channel": "sms", "consent": "denied", "source": "sms_keyword",
         "at": iso(desk.clock.now())},
        target=("patient", key),
    )  # fmt: skip
    assert denied.state is EndState.APPLIED
    assert desk.record(Stream.PATIENT, int(key))["sms_consent"] == "denied"
    refused = desk.do(CommandType.COMMLOG_APPEND, {**text, "note": "Once more"})
    assert refused.reason_code is Reason.POLICY_BLOCKED
    back = desk.do(
        CommandType.CONSENT_SET,
        {"channel": "sms", "consent": "granted", "source": "import", "at": iso(desk.clock.now())},
        target=("patient", key),
    )
    assert back.reason_code is Reason.POLICY_BLOCKED
    assert desk.record(Stream.PATIENT, int(key))["sms_consent"] == "denied"


def test_charts_recalls_and_fields(desk: Desk) -> None:
    procedure, patient = desk.rows("SELECT ProcNum, PatNum FROM procedurelog LIMIT 1")[0]
    note = desk.do(CommandType.NOTE_APPEND, {"procedure_key": str(procedure),
                   "patient_key": str(patient), "note": "Tolerated well."})  # fmt: skip
    assert note.state is EndState.APPLIED
    stranger = desk.do(CommandType.NOTE_APPEND, {"procedure_key": str(procedure),
                       "patient_key": str(desk.rows("SELECT PatNum FROM patient WHERE PatNum<>?"
                       " AND PatStatus=0", patient)[0][0]), "note": "Not theirs."})  # fmt: skip
    assert stranger.reason_code is Reason.VALIDATION_FAILED
    perio = desk.do(
        CommandType.PERIO_RECORD,
        {"patient_key": str(patient), "measures": [
            {"kind": "probing", "tooth": 3, "mb": 3, "b": 2, "db": 3, "ml": 4, "l": 2, "dl": 3}]},
    )  # fmt: skip
    assert perio.state is EndState.APPLIED, perio
    recall = desk.one("SELECT RecallNum FROM recall LIMIT 1")
    moved = desk.do(CommandType.RECALL_UPDATE, {"due": "2027-03-04"},
                    target=("recall", str(recall)))  # fmt: skip
    assert moved.state is EndState.APPLIED
    assert desk.record(Stream.RECALL, recall)["due"] == "2027-03-04"


# -- safety ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [SafetyMode.READ_ONLY, SafetyMode.DRY_RUN])
def test_switches_that_let_nothing_through(desk: Desk, mode: SafetyMode) -> None:
    desk.two.safety.say(DESK, Switch(mode), "tester")
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert reason_of(outcome) is Reason.POLICY_BLOCKED
    assert not desk.visits()
    assert not desk.writer.written
    codes = [line.code for line in desk.journal.recent_activity(20)]
    assert ("safety.would_have" in codes) is (mode is SafetyMode.DRY_RUN)
    assert desk.two.offer[0] == sorted(desk.two.offer[0])
    assert (BOOK in desk.two.offer[0]) is (mode is SafetyMode.DRY_RUN)


def test_the_kill_switch_holds_everything_and_survives_a_restart(desk: Desk) -> None:
    desk.two.safety.say(CRM, Switch(SafetyMode.STOPPED), "crm")
    ident = desk.book()
    desk.work()
    assert not desk.port.acked
    assert desk.outcome(ident) is None
    later = desk.again()
    later.work()
    assert not later.port.acked
    later.two.safety.say(CRM, Switch(), "crm")
    later.work()
    outcome = later.outcome(ident)
    assert state_of(outcome) is EndState.APPLIED
    later.close()


def test_the_canary_lets_only_its_own_through(desk: Desk) -> None:
    first, second = str(desk.patient(0)), str(desk.patient(1))
    desk.two.safety.say(DESK, Switch(SafetyMode.CANARY, Canary(patients=(first,))), "tester")
    other = desk.book(who=int(second))
    own = desk.book(3, who=int(first))
    desk.work()
    refused, done = desk.outcome(other), desk.outcome(own)
    assert reason_of(refused) is Reason.POLICY_BLOCKED
    assert state_of(done) is EndState.APPLIED
    assert [row[1] for row in desk.visits()] == [int(first)]


def test_suspended_booking_is_not_offered_and_waits(desk: Desk) -> None:
    desk.work()
    assert BOOK in desk.two.offer[0]
    desk.two.safety.suspend("booking.by_hand", "tester")
    capabilities, code = desk.two.offer
    assert BOOK not in capabilities
    assert code == "booking.by_hand"
    ident = desk.book()
    desk.work()
    assert desk.outcome(ident) is None
    desk.two.safety.clear("tester")
    desk.clock.advance(2.0)
    desk.work()
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.APPLIED


# -- time ------------------------------------------------------------------------------------------


def test_expiry_not_before_and_priority(desk: Desk) -> None:
    now = desk.clock.now()
    late = desk.book(0, not_after=iso(now - timedelta(seconds=1)))
    later = desk.book(2, not_before=iso(now + timedelta(minutes=5)))
    usual = desk.book(4, who=desk.patient(1))
    urgent = desk.book(4, who=desk.patient(2), priority=1)
    desk.work()
    expired = desk.outcome(late)
    assert state_of(expired) is EndState.EXPIRED
    first, second = desk.outcome(urgent), desk.outcome(usual)
    assert state_of(first) is EndState.APPLIED
    assert reason_of(second) is Reason.SLOT_TAKEN
    assert desk.outcome(later) is None
    desk.clock.advance(301)
    desk.work()
    outcome = desk.outcome(later)
    assert state_of(outcome) is EndState.APPLIED


def test_a_writer_that_is_away_is_waited_for_and_then_said(desk: Desk) -> None:
    desk.work()  # the writer's abilities are known
    desk.writer.away = PmsUnavailable("pms.unreachable")
    ident = desk.book()
    desk.work()
    row = desk.journal.command(ident)
    assert row is not None
    assert row.state is CommandState.WAITING
    assert row.tries == 1
    assert [e.state for e in desk.effects(ident)] == [EffectState.FAILED]
    desk.clock.advance(31)
    assert desk.two.offer[1] == "writer.unreachable"
    desk.writer.away = None
    desk.settle(20)
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.APPLIED
    assert len(desk.visits()) == 1
    desk.writer.away = PmsUnavailable("pms.unreachable")
    lost = desk.book(3)
    desk.work()
    desk.clock.advance(3601)
    desk.two.tell.step()
    told = desk.outcome(lost)
    assert reason_of(told) is Reason.PMS_UNAVAILABLE


def test_a_writer_that_is_away_after_a_restart_makes_no_desk_tasks(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk()
    desk.writer.away = PmsUnavailable("pms.unreachable")
    ident = desk.book()
    desk.work()
    assert not desk.journal.tasks()
    assert desk.outcome(ident) is None
    assert desk.two.offer[0] == sorted(HARMLESS)
    desk.writer.away = None
    desk.settle(20)
    assert state_of(desk.outcome(ident)) is EndState.APPLIED
    with desk.journal.turn() as turn:
        turn.set_mark("writer:kind", "api")  # an API was there before
    desk.writer.inner = NoWriter("write.api_unreachable")
    desk.two.apply.writer_line._probed_mono = None
    second = desk.book(3)
    desk.two.apply.writer_line.facts = None
    desk.work()
    assert not desk.journal.tasks()
    assert desk.outcome(second) is None
    desk.writer.inner = NoWriter("write.switched_off")  # a person's own decision
    desk.settle(20)
    assert state_of(desk.outcome(second)) is EndState.TASK


def test_a_refusal_of_the_pms_is_passed_on(desk: Desk) -> None:
    def refuse(effect: Effect) -> None:
        raise WriteRefused(Reason.VALIDATION_FAILED, "write.not_accepted")

    desk.writer.before = refuse
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert reason_of(outcome) is Reason.VALIDATION_FAILED
    assert [e.state for e in desk.effects(ident)] == [EffectState.FAILED]


# -- unknown ---------------------------------------------------------------------------------------


def test_an_answer_lost_after_the_effect_is_found_not_repeated(desk: Desk) -> None:
    desk.writer.lose_answer_once()
    ident = desk.book()
    desk.settle()
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.APPLIED
    assert len(desk.visits()) == 1
    assert len(desk.writer.written) == 1


def test_an_answer_lost_before_the_effect_is_repeated_after_several_looks(desk: Desk) -> None:
    desk.writer.hang_once()
    ident = desk.book()
    desk.work(1)
    assert desk.effects(ident)[0].state is EffectState.INTENT
    desk.settle()
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.APPLIED
    assert [e.state for e in desk.effects(ident)] == [EffectState.FAILED, EffectState.VERIFIED]
    assert len(desk.visits()) == 1


def test_a_write_that_happens_late_is_found_and_its_place_is_kept_meanwhile(
    open_desk: Callable[..., Desk],
) -> None:
    """The PMS goes on with a request whose answer we lost: for a minute that is to be expected."""
    slow = TwoWayTuning(zone=ZONE, apply=ApplyTuning(probe_window_s=65.0), poll_wait_s=0)
    desk = open_desk(tuning=slow)
    stuck = desk.writer.hang_once()
    ident = desk.book()
    desk.work()
    rival = desk.book(who=desk.patient(1))
    other = desk.book(4, who=desk.patient(2))
    for _ in range(5):
        desk.clock.advance(8.0)
        desk.work()
    assert desk.outcome(ident) is None
    assert not desk.writer.written[1:]
    assert reason_of(desk.outcome(rival)) is Reason.SLOT_TAKEN
    assert state_of(desk.outcome(other)) is EndState.APPLIED
    desk.writer.inner.write(stuck[0])
    desk.settle(30)
    assert state_of(desk.outcome(ident)) is EndState.APPLIED
    assert len(desk.visits()) == 2
    assert [e.kind for e in desk.writer.written] == [EffectKind.BOOK]  # the other one's only


def test_a_command_given_to_a_person_meanwhile_is_not_begun(desk: Desk) -> None:
    true_check = desk.two.places.check

    def check(*args: Any) -> Any:
        verdict = true_check(*args)
        with desk.journal.turn() as turn:  # another lane, between the plan and the intent
            turn.command_state(ident, CommandState.CONFLICT)
        return verdict

    desk.two.places.check = check  # type: ignore[method-assign,assignment]
    ident = desk.book()
    desk.work()
    assert not desk.visits()
    assert not desk.effects(ident)
    row = desk.journal.command(ident)
    assert row is not None
    assert row.state is CommandState.CONFLICT


def test_what_stays_unclear_is_a_persons_and_stops_booking(desk: Desk) -> None:
    def cut(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.run("UPDATE appointment SET AptDateTime=datetime(AptDateTime,'+2 hours')"
                 " WHERE AptNum=?", done.key)  # fmt: skip
        desk.run("DELETE FROM histappointment WHERE AptNum=?", done.key)  # no copy tells
        raise WriteUnknown("write.unknown")

    desk.writer.after = cut
    ident = desk.book()
    for _ in range(6):
        desk.work(1)
        desk.clock.advance(1.0)
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.UNKNOWN
    assert desk.two.offer[1] == "booking.unknown"
    assert len(desk.visits()) == 1
    assert len(desk.writer.written) == 1
    (effect,) = desk.journal.effects_unknown()
    key = desk.visits()[0][0]
    desk.two.settle_effect(effect.number, happened=True, key=key, actor="tester")
    desk.settle()
    told = desk.outcome(ident)
    assert state_of(told) is EndState.APPLIED
    assert told is not None
    assert told.pms_key == str(key)


def test_a_yes_that_nothing_follows_from_is_not_repeated(desk: Desk) -> None:
    """The PMS says yes to an edit and keeps none of it."""
    key = desk.patient()
    city = desk.record(Stream.PATIENT, key).get("city")

    def forget(effect: Effect, done: Written) -> None:
        desk.run("UPDATE patient SET City=? WHERE PatNum=?", city, key)

    desk.writer.after = forget
    ident = desk.ask(UPDATE, {"fields": {"city": "Vanishing"}}, target=("patient", str(key)),
                     expected={"city": city})  # fmt: skip
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.INTERNAL)
    assert len(desk.writer.written) == 1


# -- the desk and the rest -------------------------------------------------------------------------


def test_what_the_writer_lacks_is_a_desk_task(desk: Desk) -> None:
    desk.writer.lacks = frozenset({EffectKind.BOOK})
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert state_of(outcome) is EndState.TASK
    (task,) = desk.journal.tasks()
    assert task.effect.kind is EffectKind.BOOK
    assert task.effect.fields["minutes"] == 30
    desk.two.close_task(task.number, done=False, actor="tester", note="")
    desk.two.tell.step()
    told = desk.outcome(ident)
    assert state_of(told) is EndState.REJECTED
    other = desk.book(3)
    desk.work()
    desk.clock.advance(49 * 3600)
    desk.two.tell.step()
    late = desk.outcome(other)
    assert state_of(late) is EndState.EXPIRED
    assert desk.journal.tasks(TaskState.TIMED_OUT)


def test_a_field_that_goes_back_and_forth_is_stopped(desk: Desk) -> None:
    key = desk.patient()
    states = []
    for turn in range(8):
        held = desk.record(Stream.PATIENT, key).get("city")
        outcome = desk.do(
            UPDATE, {"fields": {"city": f"Town {turn % 2}"}}, target=("patient", str(key)),
            expected={"city": held},
        )  # fmt: skip
        states.append(outcome.state)
        if outcome.state is EndState.CONFLICT:
            break
    assert states[-1] is EndState.CONFLICT
    assert desk.journal.conflicts()[0].kind.value == "loop"


def test_what_the_site_does_not_carry_is_refused_and_disturbs_nobody(desk: Desk) -> None:
    session = desk.session
    del session.maps[Stream.RECALL], session.maps[Stream.COMMUNICATION]
    recall = desk.do(CommandType.RECALL_UPDATE, {"note": "x"}, target=("recall", "1"))
    entry = desk.do(CommandType.COMMLOG_APPEND, {"patient_key": str(desk.patient()),
                    "note": "x", "direction": "received"})  # fmt: skip
    assert reason_of(recall) is Reason.NOT_SUPPORTED
    assert reason_of(entry) is Reason.NOT_SUPPORTED
    assert not desk.writer.written
    assert desk.engine.session is session


def test_resync_diagnostics_and_forgetting(desk: Desk) -> None:
    assert desk.do(CommandType.DIAGNOSTICS).state is EndState.APPLIED
    assert desk.do(CommandType.RESYNC, {"types": ["patient"]}).state is EndState.APPLIED
    key = desk.patient()
    desk.do(UPDATE, {"fields": {"city": "Oblivion"}}, target=("patient", str(key)))
    booked = desk.booked()
    desk.settle(5)
    assert desk.journal.content(Stream.PATIENT, key) is not None
    forgotten = desk.ask(CommandType.FORGET, {"patient_key": str(key)})
    desk.settle(30)
    outcome = desk.outcome(forgotten)
    assert state_of(outcome) is EndState.APPLIED
    assert desk.journal.content(Stream.PATIENT, key) is None
    assert desk.journal.content(Stream.APPOINTMENT, booked) is None
    assert not desk.journal.verify_audit()


def test_commands_of_one_record_keep_their_order(desk: Desk) -> None:
    """The first waits for the writer; the second, on the same visit, does not pass it."""
    key = desk.booked()
    target = ("appointment", str(key))

    def away(effect: Effect) -> None:
        desk.writer.before = None
        raise WriteRefused(Reason.LOCKED_BY_USER, "write.locked")

    desk.writer.before = away
    there = desk.place(4)["start"]
    first = desk.ask(MOVE, {"start": there}, target=target)
    second = desk.ask(CommandType.APPOINTMENT_CANCEL, {"break_type": "cancelled",
                      "to_unscheduled": True}, target=target)  # fmt: skip
    other = desk.book(6, who=desk.patient(3))
    desk.work()
    assert desk.outcome(first) is None
    assert desk.outcome(second) is None
    passed = desk.outcome(other)
    assert state_of(passed) is EndState.APPLIED
    desk.settle()
    moved, cancelled = desk.outcome(first), desk.outcome(second)
    assert state_of(moved) is EndState.APPLIED
    assert state_of(cancelled) is EndState.APPLIED
    kinds = [e.kind for e in desk.writer.written]
    assert kinds.index(EffectKind.MOVE) < kinds.index(EffectKind.BREAK)


def test_a_policy_asked_to_be_remembered_decides_and_keeps_the_loser(
    open_desk: Callable[..., Desk],
) -> None:
    desk = open_desk()
    key = desk.patient()
    was = desk.record(Stream.PATIENT, key).get("city")

    def clash(office: str, cloud: str, base: Any) -> Any:
        desk.run("UPDATE patient SET City=? WHERE PatNum=?", office, key)
        return desk.do(UPDATE, {"fields": {"city": cloud}}, target=("patient", str(key)),
                       expected={"city": base})  # fmt: skip

    assert clash("Office", "Cloud", was).state is EndState.CONFLICT
    (row,) = desk.journal.conflicts()
    from agent.journal.pulled import Winner

    desk.two.resolver.resolve(row.number, Winner.CRM, None, actor="tester", remember=True)
    desk.clock.advance(6)
    desk.settle()
    assert desk.record(Stream.PATIENT, key)["city"] == "Cloud"
    assert clash("Office again", "Cloud again", "Cloud").state is EndState.APPLIED
    assert desk.record(Stream.PATIENT, key)["city"] == "Cloud again"
    (auto,) = desk.journal.conflicts(ConflictState.AUTO)
    assert (auto.pms, auto.winner) == ("Office again", Winner.CRM)
