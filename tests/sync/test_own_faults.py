"""Faults of our own while a booking is carried out, and keys given away again: found by the
simulation (seeds 93, 111, 3172 and others)."""

from __future__ import annotations

from typing import Any

import pytest

from agent.journal.pulled import CommandState, EffectState
from agent.model.commands import CommandType, EndState
from agent.model.streams import Stream
from agent.sync.apply import MOST_BUGS
from agent.sync.places import Places
from agent.sync.recover import nobodys
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


def broken(*_: Any) -> bool:
    raise RuntimeError("planted")


def test_a_fault_of_ours_never_ends_a_booking_that_stands(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as planted:
        planted.setattr(Places, "lost", broken)  # looked at right after the write
        ident = desk.book()
        desk.settle()
        for _ in range(2 * MOST_BUGS):
            desk.clock.advance(60.0)
            desk.apply_round()
        assert len(desk.visits()) == 1
        row = desk.journal.command(ident)
        assert row is not None
        assert row.state is not CommandState.DONE
        assert desk.two.safety.suspended == "booking.failed"  # nobody else books into the unknown
    desk.two.safety.clear("it")
    desk.clock.advance(3600.0)
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    assert len(desk.visits()) == 1


def test_a_fault_before_anything_was_written_ends_after_a_few_tries(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.two.apply._carrying, "carry", broken)
    ident = desk.ask(
        CommandType.COMMLOG_APPEND,
        {"patient_key": str(desk.patient()), "note": "asked back", "mode": "phone"},
    )
    for _ in range(2 * MOST_BUGS):
        desk.work(1)
        desk.clock.advance(60.0)
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.REJECTED


def test_a_key_given_away_again_is_nobodys_whatever_the_clock_says(desk: Desk) -> None:
    key = desk.booked()
    records: dict[Any, dict[str, Any]] = {key: {"note": "x"}}
    assert nobodys(desk.journal, Stream.APPOINTMENT, records) == {}
    desk.run("DELETE FROM appointment WHERE AptNum=?", key)
    desk.clock.step(-3600.0)
    desk.writer.hang_once()
    desk.book(who=desk.patient(1))
    desk.work(1)
    (stuck,) = desk.journal.effects_open()
    assert nobodys(desk.journal, Stream.APPOINTMENT, records, above=stuck) == records


@pytest.mark.parametrize("looked", [True, False])
def test_a_write_carried_out_late_under_the_newest_number_is_found(
    desk: Desk, *, looked: bool
) -> None:
    """Seeds 7116 and 9074: the newest visit is deleted, and its number given to ours: not above
    the floor. Before or after somebody looked for the first time."""
    newest = desk.booked(3)
    stuck = desk.writer.hang_once()
    ident = desk.book(who=desk.patient(1))
    desk.work(1)
    if looked:
        desk.apply_round()
    desk.run("DELETE FROM appointment WHERE AptNum=?", newest)
    late = desk.writer.inner.write(stuck[0])
    desk.run("UPDATE appointment SET AptNum=? WHERE AptNum=?", newest, late.key)
    desk.run("DELETE FROM histappointment WHERE AptNum=?", late.key)  # no copy tells of it
    desk.settle(300.0)
    assert [row.state for row in desk.effects(ident)] == [EffectState.VERIFIED]
    assert [row[0] for row in desk.visits()] == [newest]


def test_a_write_carried_out_late_under_the_number_of_a_later_one_is_not_repeated(
    desk: Desk,
) -> None:
    """Seed 17608: what the later write had made was deleted meanwhile."""

    def log_call(note: str, nth: int = 0) -> str:
        call = {"patient_key": str(desk.patient(nth)), "note": note, "mode": "phone"}
        return desk.ask(CommandType.COMMLOG_APPEND, call)

    stuck = desk.writer.hang_once()
    ident = log_call("the earlier")
    desk.work(1)
    later = log_call("the later", 1)
    desk.work(1)
    (made,) = desk.effects(later)
    desk.run("DELETE FROM commlog WHERE CommlogNum=?", made.key)
    late = desk.writer.inner.write(stuck[0])
    desk.run("UPDATE commlog SET CommlogNum=? WHERE CommlogNum=?", made.key, late.key)
    desk.settle(300.0)
    assert [row.state for row in desk.effects(ident)] == [EffectState.UNKNOWN]
    assert desk.one("SELECT COUNT(*) FROM commlog WHERE Note='the earlier'") == 1


def test_a_stop_while_the_session_is_opened_is_not_slept_through(desk: Desk) -> None:
    """Seed 5864: the lane took the stop's call for one to work that was there already."""
    desk.apply_round()
    waits = len(desk.idle_waits)
    desk.two.apply.close()
    desk.apply_round()
    assert len(desk.idle_waits) == waits


def test_what_a_later_write_has_made_is_not_an_earlier_ones(desk: Desk) -> None:
    desk.writer.hang_once()
    desk.book()
    desk.work(1)
    (stuck,) = desk.journal.effects_open()
    ident = desk.book(3, who=desk.patient(1))
    desk.work()
    (made,) = desk.effects(ident)
    records: dict[Any, dict[str, Any]] = {made.key: {"note": "x"}}
    assert nobodys(desk.journal, Stream.APPOINTMENT, records, above=stuck) == {}
