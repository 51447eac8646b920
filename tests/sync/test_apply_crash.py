"""The process ends at every single step of the pull path; after the restart there is one effect
and a final outcome, whatever was under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from agent.errors import DiskFull
from agent.journal.pulled import EffectState
from agent.model.commands import CommandType, EndState, Reason
from agent.model.effects import Effect, EffectKind, Written
from agent.model.streams import Stream
from tests.sync.pullrig import Crash, Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

Ask = Callable[[Desk], str]


def booking(desk: Desk) -> str:
    return desk.book(payload={"note": "once"}, ident="cmd-book")


def newcomer(desk: Desk) -> str:
    new = {"last_name": "Once", "first_name": "Olive", "birthdate": "1991-02-03"}
    return desk.book(payload={"patient": {"new": new}}, ident="cmd-new")


def edit(desk: Desk) -> str:
    key = desk.patient()
    city = desk.record(Stream.PATIENT, key).get("city")
    return desk.ask(
        CommandType.PATIENT_UPDATE, {"fields": {"city": "Onceville"}}, ident="cmd-edit",
        target=("patient", str(key)), expected={"city": city},
    )  # fmt: skip


def entry(desk: Desk) -> str:
    return desk.ask(
        CommandType.COMMLOG_APPEND,
        {"patient_key": str(desk.patient()), "note": "Called once.", "mode": "phone",
         "direction": "received"},
        ident="cmd-entry", created_at="2026-11-20T15:00:00Z",
    )  # fmt: skip


def effects_in_practice(desk: Desk) -> dict[str, int]:
    """What the practice holds of each command's effect, asked of its own tables."""
    one = desk.one
    return {
        "cmd-book": one("SELECT COUNT(*) FROM appointment WHERE Note='once'"),
        "cmd-new": one("SELECT COUNT(*) FROM appointment a JOIN patient p USING (PatNum)"
                       " WHERE p.LName='Once'"),
        "persons": one("SELECT COUNT(*) FROM patient WHERE LName='Once'"),
        "cmd-edit": one("SELECT COUNT(*) FROM patient WHERE City='Onceville'"),
        "cmd-entry": one("SELECT COUNT(*) FROM commlog WHERE Note='Called once.'"),
    }  # fmt: skip


def survive(desk: Desk, ident: str, at: int, *, after: bool) -> bool:
    """Run until the crash (False when the run ended before it), restart, finish; all checked."""
    crashed = False
    with desk.crashing(at, after=after):
        try:
            desk.settle(5)
        except Crash:
            crashed = True
    later = desk.again()
    try:
        later.settle()
        outcome = later.outcome(ident)
        assert outcome is not None
        assert outcome.state is EndState.APPLIED, (at, after, outcome)
        row = later.journal.command(ident)
        assert row is not None
        assert row.reported
        found = effects_in_practice(later)
        assert found[ident] == 1, (at, after, found)
        assert found["persons"] == (1 if ident == "cmd-new" else 0)
        done = [e for e in later.effects(ident) if e.state is EffectState.VERIFIED]
        assert len(done) == (2 if ident == "cmd-new" else 1)
        assert not later.journal.effects_open()
        assert not later.journal.verify_audit()
        for outcome in [told for known, told in later.port.told if known == ident]:
            assert outcome.state is EndState.APPLIED
    finally:
        later.close()
    return crashed


def test_killed_after_every_step_of_a_booking(open_desk: Callable[..., Desk]) -> None:
    at = 0
    while True:
        desk = open_desk()
        if not survive(desk, booking(desk), at, after=True):
            break
        at += 1
    assert at >= 5  # receive, intent, write, written, proof, report


@pytest.mark.slow
@pytest.mark.parametrize("ask", [booking, newcomer, edit, entry])
def test_killed_at_every_step_one_effect_and_an_end(
    open_desk: Callable[..., Desk], ask: Ask
) -> None:
    steps = 0
    for after in (False, True):
        at = 0
        while True:
            desk = open_desk()
            if not survive(desk, ask(desk), at, after=after):
                break
            at += 1
            steps += 1
    assert steps >= 10  # receive, intent, write, proof, report, each before and after


def test_the_answer_is_lost_at_every_write(open_desk: Callable[..., Desk]) -> None:
    """Not the process but the connection ends, before or after the effect."""
    from agent.model.effects import WriteUnknown

    for ask in (booking, edit, entry):
        for after in (False, True):
            desk = open_desk()
            ident = ask(desk)

            def lose(*_: Any, desk: Desk = desk) -> None:
                desk.writer.before = desk.writer.after = None
                raise WriteUnknown("write.unknown")

            if after:
                desk.writer.after = lose
            else:
                desk.writer.before = lose
            desk.settle()
            outcome = desk.outcome(ident)
            assert outcome is not None
            assert outcome.state is EndState.APPLIED, (ident, after)
            assert effects_in_practice(desk)[ident] == 1


def test_a_disk_that_is_full_at_any_turn(open_desk: Callable[..., Desk]) -> None:
    """The journal takes nothing at the n-th turn, once; the process lives on."""
    at = 0
    while True:
        desk = open_desk()
        true_turn = desk.journal.turn
        turns = 0

        @contextmanager
        def turn(desk: Desk = desk, at: int = at, true: Any = true_turn) -> Iterator[Any]:
            nonlocal turns
            with true() as opened:
                yield opened
                if opened._connection.total_changes() != opened._changes:
                    turns += 1
                    if turns == at + 1:
                        raise DiskFull

        desk.work()
        ident = booking(desk)
        desk.journal.turn = turn  # type: ignore[method-assign]
        for _ in range(12):
            for step in (desk.two.pull.step, desk.apply_round, desk.two.tell.step):
                with suppress(DiskFull):
                    step()
            desk.clock.advance(1.0)
        desk.journal.turn = true_turn  # type: ignore[method-assign]
        desk.settle()
        outcome = desk.outcome(ident)
        assert outcome is not None
        assert outcome.state is EndState.APPLIED, at
        assert effects_in_practice(desk)["cmd-book"] == 1, at
        if turns <= at:
            break
        at += 1
    assert at >= 4


@pytest.mark.slow
def test_killed_between_a_lost_race_and_its_undoing(open_desk: Callable[..., Desk]) -> None:
    """Every step of taking a double booking back."""

    at = 0
    while True:
        desk = open_desk()

        def race(effect: Effect, done: Written, desk: Desk = desk) -> None:
            if effect.kind is EffectKind.BOOK:
                desk.writer.after = None
                desk.office_books()

        desk.writer.after = race
        ident = booking(desk)
        crashed = False
        with desk.crashing(at, after=True) as calls:
            try:
                desk.settle(5)
            except Crash:
                crashed = True
        raced = any(call == "write book" for call in calls)
        if crashed and calls[-1] == "write book":
            desk.office_books()  # the crash came before the race's own hook
        later = desk.again()
        if not raced:
            later.office_books()
        later.settle()
        outcome = later.outcome(ident)
        assert outcome is not None
        assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN), at
        mine = later.rows("SELECT AptStatus FROM appointment WHERE PatNum=? AND Note LIKE 'once%'",
                          later.patient())  # fmt: skip
        assert mine in ([(3,)], []), (at, mine)
        later.close()
        if not crashed:
            return
        at += 1
