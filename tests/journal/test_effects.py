"""Effects: intent before anything leaves, one way forward, undo images, questions of recovery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.journal.journal import Journal
from agent.journal.pulled import EffectRow, EffectState, UndoState
from agent.model.effects import Effect, EffectKind
from agent.model.streams import Stream
from tests.journal.oracle import query
from tests.journal.pulling import intend, update
from tests.support.clock import START, HandClock

HOUR = timedelta(hours=1)
BOOK = Effect(
    EffectKind.BOOK,
    Stream.APPOINTMENT,
    None,
    {"start": "2026-03-04T15:00:00Z", "minutes": 30, "note": None, "procedures": [{"code": "D1"}]},
    {"ignore_overlap": "no"},
)


def state_of(journal: Journal, number: int) -> EffectState:
    row = journal.effect(number)
    assert row is not None
    return row.state


def numbers(rows: list[EffectRow]) -> list[int]:
    return [row.number for row in rows]


def test_an_effect_comes_back_as_it_was_meant(opened: Callable[[], Journal]) -> None:
    journal = opened()
    before = {"start": None, "minutes": 0, "deep": {"a": [1, "x", None]}}
    undo = Effect(EffectKind.BREAK, Stream.APPOINTMENT, None, {}, {"to_unscheduled": "no"})
    with journal.turn() as turn:
        number = turn.intend(
            b"\x00op\xff",
            command_id="c-1",
            group="c-1",
            effect=BOOK,
            before=before,
            after=BOOK.fields,
            inverse=undo,
            floor=41,
            actor="crm",
        )
    row = opened().effect(number)
    assert row == EffectRow(
        number=number,
        op_id=b"\x00op\xff",
        command_id="c-1",
        group="c-1",
        effect=BOOK,
        before=before,
        after=BOOK.fields,
        inverse=undo,
        state=EffectState.INTENT,
        undo=UndoState.ARMED,
        key=None,
        floor=41,
        actor="crm",
        planned_at=START,
        settled_at=None,
        why="",
        undoes=None,
    )
    assert opened().effect(99) is None


def test_keys_keep_their_kind(journal: Journal) -> None:
    text = intend(journal, b"1", update("12"), command_id=None)
    whole = intend(journal, b"2", update(-9_000_000_000_000_000_001), command_id=None)
    rows = [journal.effect(number) for number in (text, whole)]
    assert [row.key for row in rows if row] == ["12", -9_000_000_000_000_000_001]
    assert numbers(journal.effects_on(Stream.PATIENT, "12", START)) == [text]
    assert journal.effects_on(Stream.PATIENT, 12, START) == []


def test_the_same_operation_is_one_effect(journal: Journal) -> None:
    number = intend(journal)
    lsn = journal.lsn
    assert intend(journal) == number
    assert journal.lsn == lsn
    with pytest.raises(ValueError, match="other images"):
        intend(journal, effect=update(phone="+15550101"))
    with journal.turn() as turn:
        turn.effect_verified(number, 12)
    assert intend(journal) == number
    assert state_of(journal, number) is EffectState.VERIFIED  # not begun again


def test_what_certainly_failed_may_be_tried_again(journal: Journal, clock: HandClock) -> None:
    number = intend(journal)
    with journal.turn() as turn:
        turn.effect_failed(number, "write.busy")
    row = journal.effect(number)
    assert row is not None
    assert (row.state, row.why, row.settled_at) == (EffectState.FAILED, "write.busy", START)
    assert row.undo is UndoState.BLOCKED
    clock.advance(60)
    again = update(phone="+15550102")  # the record moved on meanwhile
    assert intend(journal, effect=again) == number
    row = journal.effect(number)
    assert row is not None
    assert (row.state, row.effect, row.why) == (EffectState.INTENT, again, "")
    assert (row.undo, row.settled_at) == (UndoState.ARMED, None)
    assert numbers(journal.effects_open()) == [number]
    acts = query(journal, "SELECT act FROM audit WHERE act LIKE 'effect.%' ORDER BY seq")
    assert [act for (act,) in acts] == ["effect.intended", "effect.failed", "effect.intended"]
    assert journal.verify_audit() == []


PATHS: list[tuple[list[EffectState], bool]] = [
    ([EffectState.WRITTEN, EffectState.VERIFIED], True),
    ([EffectState.WRITTEN, EffectState.FAILED], True),
    ([EffectState.WRITTEN, EffectState.UNKNOWN, EffectState.VERIFIED], True),
    ([EffectState.VERIFIED], True),
    ([EffectState.FAILED], True),
    ([EffectState.UNKNOWN, EffectState.FAILED], True),
    ([EffectState.VERIFIED, EffectState.FAILED], False),
    ([EffectState.VERIFIED, EffectState.WRITTEN], False),
    ([EffectState.FAILED, EffectState.VERIFIED], False),
    ([EffectState.FAILED, EffectState.UNKNOWN], False),
    ([EffectState.UNKNOWN, EffectState.WRITTEN], False),
]


@pytest.mark.parametrize(("steps", "allowed"), PATHS)
def test_an_effect_goes_forward_only(
    journal: Journal, steps: list[EffectState], allowed: bool
) -> None:
    number = intend(journal)

    def go(state: EffectState) -> None:
        with journal.turn() as turn:
            if state is EffectState.WRITTEN:
                turn.effect_written(number, 12)
            elif state is EffectState.VERIFIED:
                turn.effect_verified(number, 12)
            elif state is EffectState.FAILED:
                turn.effect_failed(number, "why")
            else:
                turn.effect_unknown(number, "why")

    for state in steps[:-1]:
        go(state)
        go(state)  # saying it twice is saying it once
    if allowed:
        go(steps[-1])
        assert state_of(journal, number) is steps[-1]
    else:
        with pytest.raises(ValueError, match="cannot go"):
            go(steps[-1])
        assert state_of(journal, number) is steps[-2]
    with pytest.raises(ValueError, match="no such"), journal.turn() as turn:
        turn.effect_failed(99, "why")


def test_open_effects_are_found_after_a_restart(opened: Callable[[], Journal]) -> None:
    journal = opened()
    made = [intend(journal, op, command_id=op.decode()) for op in (b"a", b"b", b"c", b"d", b"e")]
    with journal.turn() as turn:
        turn.effect_written(made[1], 77)
        turn.effect_verified(made[2], 12)
        turn.effect_unknown(made[3], "write.unknown")
        turn.effect_failed(made[4], "write.refused")
    again = opened()
    assert numbers(again.effects_open()) == made[:2]
    assert [row.key for row in again.effects_open()] == [12, 77]
    assert numbers(again.effects_unknown()) == [made[3]]
    assert again.numbers(START).effects_unknown == 1


def test_effects_are_found_by_group_record_and_time(journal: Journal, clock: HandClock) -> None:
    first = intend(journal, b"a", command_id="c-1")
    clock.advance(60)
    second = intend(journal, b"b", update(13), command_id="c-1")
    clock.advance(60)
    third = intend(journal, b"c", command_id="c-2", undoes=first)
    assert numbers(journal.effects_of("c-1")) == [first, second]
    assert numbers(journal.effects_recent(2)) == [third, second]
    assert numbers(journal.effects_recent(2, before=second)) == [first]
    assert numbers(journal.effects_on(Stream.PATIENT, 12, START)) == [first, third]
    later = START + timedelta(seconds=30)
    assert numbers(journal.effects_on(Stream.PATIENT, 12, later)) == [third]
    assert numbers(journal.effects_since(later)) == [third, second]
    row = journal.effect(third)
    assert row is not None
    assert row.undoes == first


def test_undo_is_armed_only_with_an_inverse(journal: Journal) -> None:
    armed, blocked = intend(journal, b"a"), intend(journal, b"b", inverse=False)
    rows = [journal.effect(number) for number in (armed, blocked)]
    assert [row.undo for row in rows if row] == [UndoState.ARMED, UndoState.BLOCKED]
    with journal.turn() as turn:
        turn.undo_state(armed, UndoState.USED)
    row = journal.effect(armed)
    assert row is not None
    assert row.undo is UndoState.USED
    with pytest.raises(ValueError, match="no such"), journal.turn() as turn:
        turn.undo_state(99, UndoState.USED)


def test_an_intent_is_durable_with_its_audit_row_or_not_at_all(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError), journal.turn() as turn:  # noqa: PT012
        turn.intend(
            b"op",
            command_id=None,
            group="g",
            effect=update(),
            before={},
            after={},
            inverse=None,
            floor=None,
            actor="crm",
        )
        1 / 0  # noqa: B018
    assert journal.effects_open() == []
    assert query(journal, "SELECT count(*) FROM audit WHERE act LIKE 'effect%'") == [(0,)]


def test_audit_rows_hold_no_text_of_records(journal: Journal) -> None:
    number = intend(journal)
    with journal.turn() as turn:
        turn.effect_verified(number, 12)
    rows = query(journal, "SELECT act, detail FROM audit WHERE act LIKE 'effect.%' ORDER BY seq")
    assert [act for act, _ in rows] == ["effect.intended", "effect.verified"]
    assert rows[0][1] == (
        '{"actor":"crm","command":"c-1","effect":1,"kind":"update_patient","op":"6f702d31",'
        '"stream":"patient","undoes":0}'
    )
    assert rows[1][1] == '{"command":"c-1","effect":1,"why":""}'
