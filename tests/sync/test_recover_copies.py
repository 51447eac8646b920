"""The answer is lost and the office changes the record before a look: the practice system's own
copies of a visit, and its log of who entered a patient, tell what a look at the record cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.journal.pulled import EffectState
from agent.model.commands import CommandType, EndState
from agent.model.effects import Effect, EffectKind, WriteUnknown, Written
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import Verb
from agent.sync.sights import Shows, judge_entered
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template
from tests.sync.test_apply import state_of

__all__ = ["desk", "open_desk", "site_template"]

STREAM = Stream.APPOINTMENT
CONFIRM = CommandType.APPOINTMENT_CONFIRM
CREATE = CommandType.PATIENT_CREATE
NEWCOMER = {"last_name": "Lately", "first_name": "Lou", "birthdate": "1991-02-03"}


def lose_after(desk: Desk, then: Callable[[Key], None]) -> None:
    """The next write happens, the office acts on the record, and the answer is lost."""

    def acts(done: Written) -> None:
        assert done.key is not None
        then(done.key)

    desk.writer.lose_answer_once(acts)


def lose_before(desk: Desk, then: Callable[[], None]) -> None:
    """The next write never happens, the office acts, and nobody says so."""

    def cut(_effect: Effect) -> None:
        desk.writer.before = None
        then()
        raise WriteUnknown("write.unknown")

    desk.writer.before = cut


def office_moves(desk: Desk, key: Key) -> None:
    desk.run("UPDATE appointment SET AptDateTime=datetime(AptDateTime,'+2 hours'), Note='by hand'"
             " WHERE AptNum=?", key)  # fmt: skip


def test_a_booking_the_office_moved_at_once_is_ours_and_stays_where_it_is(desk: Desk) -> None:
    lose_after(desk, lambda key: office_moves(desk, key))
    ident = desk.book()
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    (visit,) = desk.visits()
    assert (outcome.pms_key, visit[5]) == (str(visit[0]), "by hand")
    assert [e.kind for e in desk.writer.written] == [EffectKind.BOOK]
    assert desk.two.offer[1] is None


def test_a_booking_the_office_took_away_again_is_not_made_twice(desk: Desk) -> None:
    lose_after(desk, lambda key: desk.run("DELETE FROM appointment WHERE AptNum=?", key))
    ident = desk.book()
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    assert not desk.visits()
    assert len(desk.writer.written) == 1
    told = [c for c in desk.crm.changes if str(c.key) == outcome.pms_key]
    assert [(c.stream, c.verb) for c in told] == [(STREAM, Verb.DELETE)]


def test_a_named_booking_the_office_took_away_before_it_was_read_back(desk: Desk) -> None:
    desk.writer.after = lambda _effect, done: desk.run(
        "DELETE FROM appointment WHERE AptNum=?", done.key
    )
    ident = desk.book()
    desk.settle()
    assert state_of(desk.outcome(ident)) is EndState.APPLIED
    assert not desk.visits()


def test_a_visit_the_office_made_for_the_same_patient_is_not_taken_for_ours(desk: Desk) -> None:
    other = desk.booked(6)
    # Of the other visit no copy tells; none is deleted, for such a log only grows.
    desk.run("UPDATE histappointment SET AptNum=0, PatNum=0 WHERE AptNum=?", other)

    def office() -> None:
        desk.run(
            "INSERT INTO appointment (PatNum, AptStatus, Pattern, Op, ProvNum, AptDateTime)"
            " SELECT PatNum,1,Pattern,Op,ProvNum,datetime(AptDateTime,'+1 hour')"
            " FROM appointment WHERE AptNum=?", other,
        )  # fmt: skip
        desk.run(
            "INSERT INTO histappointment (HistApptAction, AptNum, PatNum, AptStatus, Pattern, Op,"
            " ProvNum, AptDateTime) SELECT 0, AptNum, PatNum, AptStatus, Pattern, Op, ProvNum,"
            " AptDateTime FROM appointment WHERE AptNum=(SELECT MAX(AptNum) FROM appointment)"
        )

    lose_before(desk, office)
    ident = desk.book()
    desk.settle()
    assert state_of(desk.outcome(ident)) is EndState.APPLIED
    states = [e.state for e in desk.effects(ident)]
    assert states == [EffectState.FAILED, EffectState.VERIFIED]
    assert len(desk.visits()) == 3


@pytest.mark.parametrize("happens", [True, False])
def test_a_confirmation_the_office_overwrote(desk: Desk, *, happens: bool) -> None:
    """It was confirmed and is something else by now: done. It never was: a conflict, not a guess.
    That a missing copy says so is learnt from a confirmation that left one."""
    proven, key = desk.booked(4), desk.booked()
    assert state_of(confirm(desk, proven)) is EndState.APPLIED
    third = desk.one("SELECT DefNum FROM definition WHERE Category=2 AND IsHidden=0 AND DefNum NOT"
                     " IN (SELECT Confirmed FROM appointment WHERE AptNum IN (?,?)) LIMIT 1",
                     proven, key)  # fmt: skip

    def office(_key: Key = 0) -> None:
        desk.run("UPDATE appointment SET Confirmed=? WHERE AptNum=?", third, key)

    if happens:
        lose_after(desk, office)
    else:
        lose_before(desk, office)
    written = len(desk.writer.written)
    outcome = confirm(desk, key)
    assert state_of(outcome) is (EndState.APPLIED if happens else EndState.CONFLICT)
    assert len(desk.writer.written) == written + happens
    assert desk.one("SELECT Confirmed FROM appointment WHERE AptNum=?", key) == third


def confirm(desk: Desk, key: Key) -> object:
    shown = {"confirmation_category": desk.record(STREAM, key).get("confirmation_category")}
    ident = desk.ask(CONFIRM, {"confirmation_category": "confirmed"},
                     target=("appointment", str(key)), expected=shown)  # fmt: skip
    desk.settle()
    return desk.outcome(ident)


def test_a_patient_the_office_edited_at_once_is_the_one_we_entered(desk: Desk) -> None:
    lose_after(
        desk, lambda key: desk.run("UPDATE patient SET WirelessPhone='' WHERE PatNum=?", key)
    )
    ident = desk.ask(CREATE, {**NEWCOMER, "phone_mobile": "+12125550123"})
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    assert desk.rows("SELECT PatNum FROM patient WHERE LName='Lately'") == [
        (int(outcome.pms_key or 0),)
    ]


@pytest.mark.parametrize(
    ("entered", "ours_are_marked", "shows"),
    [
        ({}, True, Shows.UNSURE),  # the log does not say
        ({7: True}, False, Shows.DONE),
        ({7: False}, False, Shows.UNSURE),  # nobody knows whether ours would be marked
        ({7: False}, True, Shows.NOT_DONE),
    ],
)
def test_who_entered_it(entered: dict[Key, bool], *, ours_are_marked: bool, shows: Shows) -> None:
    assert judge_entered([7], entered, ours_are_marked=ours_are_marked).shows is shows


def test_two_by_programs_are_for_a_person() -> None:
    both = {7: True, 8: True}
    assert judge_entered([7, 8], both, ours_are_marked=True).shows is Shows.UNSURE
