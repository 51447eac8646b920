"""Outgoing batches: ids, order, settling in any order, splitting, deferring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.errors import JournalError
from agent.journal.journal import Journal
from agent.journal.rows import Batch, Operation, Outgoing, ParkClass, Urgency
from agent.model.streams import Stream
from tests.journal.conftest import PATIENT, content, delete, outgoing, seen, upsert
from tests.journal.oracle import query, structure_findings
from tests.support.clock import START, HandClock

FREE: frozenset[Stream] = frozenset()


def push(journal: Journal, *operations: Operation, urgency: Urgency = Urgency.LIVE) -> Batch:
    """Observation and batch in one turn, as the engine plans them."""
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(*operations, urgency=urgency))
        rows = [seen(o.key, int(o.op_id.split(b"-")[1])) for o in operations if o.verb == "upsert"]
        turn.see(PATIENT, rows, batch.number)
        turn.bury(PATIENT, [o.key for o in operations if o.verb == "delete"], batch.number)
    return batch


def agreed(journal: Journal, key: int) -> bytes | None:
    return journal.held(PATIENT, [key])[key].agreed


def test_ids_are_given_once_and_known_before(journal: Journal) -> None:
    with journal.turn() as turn:
        assert turn.next_batch_id() == f"{journal.uuid}-1"
        assert turn.next_batch_id(1) == f"{journal.uuid}-2"
        first = turn.enqueue(outgoing(upsert(1)))
        assert turn.next_batch_id() == f"{journal.uuid}-2"
    assert (first.number, first.id) == (1, f"{journal.uuid}-1")
    with journal.turn() as turn:
        turn.settle(first, first.operations)
    with journal.turn() as turn:
        assert turn.enqueue(outgoing(upsert(2))).number == 2  # not 1 again


def test_a_rolled_back_id_was_never_given(journal: Journal) -> None:
    before = journal.lsn
    with pytest.raises(ZeroDivisionError), journal.turn() as turn:  # noqa: PT012
        turn.defer(turn.enqueue(outgoing(upsert(1))), START, "")
        1 / 0  # noqa: B018
    assert journal.batches_waiting() == 0
    with journal.turn() as turn:
        assert (turn.lsn, turn.next_batch_id()) == (before + 1, f"{journal.uuid}-1")


def test_a_batch_comes_back_as_it_was(journal: Journal, opened: Callable[[], Journal]) -> None:
    planned = push(journal, upsert(1), upsert(2))
    [due] = journal.due_batches(START, 9, FREE)
    assert due == planned
    again = opened()
    assert again.due_batches(START, 9, FREE) == [planned]
    assert b"body 1-1" not in again.path.read_bytes()


def test_urgent_batches_leave_first_one_per_stream_and_loads_side_by_side(journal: Journal) -> None:
    load = push(journal, upsert(1), urgency=Urgency.LOAD)
    repair = push(journal, upsert(2), urgency=Urgency.REPAIR)
    live = push(journal, upsert(3))
    push(journal, upsert(4))
    with journal.turn() as turn:
        recall = turn.enqueue(outgoing(upsert(1), stream=Stream.RECALL, urgency=Urgency.LOAD))
    first_loads = [load.number, recall.number]
    due = [b.number for b in journal.due_batches(START, 9, FREE)]
    assert due == [live.number, *first_loads]
    assert [b.number for b in journal.due_batches(START, 1, FREE)] == [live.number]
    # Changes of a busy stream wait; batches of the first load only while they fly themselves.
    due = [b.number for b in journal.due_batches(START, 9, frozenset(Stream))]
    assert due == first_loads
    flying = frozenset({load.number})
    due = [b.number for b in journal.due_batches(START, 9, frozenset(Stream), flying)]
    assert due == [recall.number]
    assert journal.batches_waiting() == 5
    assert journal.batches_waiting(Urgency.LOAD) == 2
    for batch in (live, repair):
        with journal.turn() as turn:
            turn.settle(batch, batch.operations)
    with journal.turn() as turn:
        turn.defer(journal.due_batches(START, 1, FREE)[0], START + timedelta(1), "crm.unreachable")
    assert journal.due_batches(START, 9, FREE)[0].number == load.number


def test_defer_waits_and_counts_but_not_across_a_restart(
    journal: Journal, opened: Callable[[], Journal]
) -> None:
    batch = push(journal, upsert(1))
    with journal.turn() as turn:
        turn.defer(batch, START + timedelta(hours=3), "crm.unreachable")
    assert journal.due_batches(START + timedelta(hours=2), 9, FREE) == []
    [due] = journal.due_batches(START + timedelta(hours=3), 9, FREE)
    assert due.attempts == 1
    assert due.planned_at == START
    [due] = opened().due_batches(START, 9, FREE)
    assert (due.id, due.attempts) == (batch.id, 1)


def test_settle_agrees_and_audits(journal: Journal) -> None:
    batch = push(journal, upsert(1), upsert(2))
    assert journal.numbers(START).pending_operations == 2
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
    assert [agreed(journal, key) for key in (1, 2)] == [content(1), content(2)]
    assert journal.held(PATIENT, [1])[1].batch is None
    assert journal.numbers(START).pending_batches == 0
    [(act, detail)] = query(journal, "SELECT act, detail FROM audit ORDER BY seq DESC LIMIT 1")
    assert act == "batch.settled"
    assert batch.id in detail


@pytest.mark.parametrize("gap", [1, 1000])
def test_a_whole_load_batch_settles_by_range_or_by_key(journal: Journal, gap: int) -> None:
    """Dense batches settle in one statement; sparse ones must not touch what lies between."""
    keys = [key * gap for key in range(1, 101)]
    batch = push(journal, *[upsert(key) for key in keys], urgency=Urgency.LOAD)
    between = [50 * gap + 1 + n for n in range(300)] if gap > 1 else [200]
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in between], None)
    newer = push(journal, upsert(keys[10], 2))
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
    held = journal.held(PATIENT, keys)
    assert all(held[key].agreed == content(key) for key in keys)
    assert [key for key in keys if held[key].batch is not None] == [keys[10]]
    assert held[keys[10]].hash == content(keys[10], 2)
    assert all(row.agreed is None for row in journal.held(PATIENT, between).values())
    with journal.turn() as turn:
        turn.settle(newer, newer.operations)
    assert agreed(journal, keys[10]) == content(keys[10], 2)


def test_replies_out_of_order_never_bring_older_content_back(journal: Journal) -> None:
    old = push(journal, upsert(1, 1), upsert(2, 1))
    new = push(journal, upsert(1, 2))
    with journal.turn() as turn:
        turn.settle(new, new.operations)
    assert agreed(journal, 1) == content(1, 2)
    with journal.turn() as turn:
        turn.settle(old, old.operations)
    assert agreed(journal, 1) == content(1, 2)
    assert agreed(journal, 2) == content(2, 1)


def test_replies_out_of_order_after_a_split(journal: Journal) -> None:
    """A part has a higher number than a newer batch; what counts is the age of its content."""
    old = push(journal, upsert(1, 1), upsert(2, 1))
    new = push(journal, upsert(1, 2))
    with journal.turn() as turn:
        parts = turn.replace(old, [outgoing(upsert(1, 1)), outgoing(upsert(2, 1))])
    assert journal.held(PATIENT, [1])[1].batch == new.number
    for batch in (new, *parts):
        with journal.turn() as turn:
            turn.settle(batch, batch.operations)
    assert agreed(journal, 1) == content(1, 2)
    assert agreed(journal, 2) == content(2, 1)


def test_settling_older_content_under_newer_that_waits(journal: Journal) -> None:
    old = push(journal, upsert(1, 1))
    new = push(journal, upsert(1, 2))
    with journal.turn() as turn:
        turn.settle(old, old.operations)
    held = journal.held(PATIENT, [1])[1]
    assert (held.agreed, held.batch) == (content(1, 1), new.number)


def test_a_late_second_reply_changes_nothing(journal: Journal) -> None:
    batch = push(journal, upsert(1))
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
    head = journal.audit_head()
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
        assert turn.replace(batch, [outgoing(upsert(1))]) == []
    assert journal.audit_head() == head
    assert journal.batches_waiting() == 0


def test_operations_without_an_outcome_do_not_get_lost(journal: Journal) -> None:
    batch = push(journal, upsert(1), upsert(2))
    with pytest.raises(JournalError, match=r"journal.unsettled \(batch=1, operations=1\)"):  # noqa: SIM117
        with journal.turn() as turn:
            turn.settle(batch, batch.operations[:1])
    assert journal.due_batches(START, 9, FREE) == [batch]
    assert agreed(journal, 1) is None


@pytest.mark.parametrize("settle_first", [False, True])
def test_partial_outcomes_in_any_order_of_calls(
    journal: Journal, clock: HandClock, settle_first: bool
) -> None:
    batch = push(journal, upsert(1), upsert(2), upsert(3), upsert(4))
    newer = push(journal, upsert(4, 2))
    clock.advance(60)
    with journal.turn() as turn:
        if settle_first:
            turn.settle(batch, batch.operations[:1])
        turn.park(PATIENT, 2, ParkClass.VALIDATION, "E_NAME", content(2), START)
        retry = turn.enqueue(outgoing(upsert(3)))
        if not settle_first:
            turn.settle(batch, batch.operations[:1])
    held = journal.held(PATIENT, [1, 2, 3, 4])
    assert held[1].agreed == content(1)
    assert (held[2].batch, held[2].parked) == (None, True)
    assert held[3].batch == retry.number
    assert held[4].batch == newer.number
    assert retry.planned_at == START  # its age is not reset by trying again
    assert journal.numbers(START).oldest_unsent_at == START
    assert structure_findings(journal) == []


def test_new_content_of_a_waiting_record_has_its_own_age(
    journal: Journal, clock: HandClock
) -> None:
    push(journal, upsert(1, 1))
    clock.advance(60)
    assert push(journal, upsert(1, 2)).planned_at == clock.now()


def test_split_moves_records_and_keeps_age(journal: Journal, clock: HandClock) -> None:
    batch = push(journal, upsert(1), upsert(2), delete(3))
    with journal.turn() as turn:
        turn.defer(batch, START, "x")
    [batch] = journal.due_batches(START, 1, FREE)
    clock.advance(60)
    with journal.turn() as turn:
        ids = [turn.next_batch_id(n) for n in range(2)]
        parts = turn.replace(batch, [outgoing(upsert(1)), outgoing(upsert(2))])
        turn.settle(batch, [delete(3)])
    assert [part.id for part in parts] == ids
    assert [part.planned_at for part in parts] == [START, START]
    assert [part.attempts for part in parts] == [1, 1]
    held = journal.held(PATIENT, [1, 2])
    assert [held[k].batch for k in (1, 2)] == [part.number for part in parts]
    assert journal.batches_waiting() == 2


def test_content_that_is_agreed_can_be_pushed_again(journal: Journal) -> None:
    batch = push(journal, upsert(1))
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
        again = turn.enqueue(outgoing(upsert(1), urgency=Urgency.REPAIR))
    assert journal.held(PATIENT, [1])[1].batch == again.number
    with journal.turn() as turn:
        turn.settle(again, again.operations)
    assert journal.held(PATIENT, [1])[1].batch is None


def test_an_empty_batch_is_a_mistake(journal: Journal) -> None:
    with pytest.raises(ValueError, match="without operations"), journal.turn() as turn:
        turn.enqueue(Outgoing(PATIENT, Urgency.LIVE, b"", []))
