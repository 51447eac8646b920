"""Commands that need a kind of record which is held back just now: they wait."""

from __future__ import annotations

from dataclasses import replace

from agent.model.commands import EndState, Reason
from agent.model.streams import Stream
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


def test_a_schedule_that_cannot_be_read_is_not_an_empty_one(desk: Desk) -> None:
    """A crashed table takes the stream away for a while: the booking waits, and then is judged by
    what stands there."""
    desk.booked()
    whole = desk.session
    maps = {stream: m for stream, m in whole.maps.items() if stream is not Stream.APPOINTMENT}
    desk.session = replace(whole, maps=maps, held=frozenset({Stream.APPOINTMENT}))
    ident = desk.book(who=desk.patient(1))
    desk.work()
    assert desk.outcome(ident) is None
    assert not desk.effects(ident)
    assert len(desk.visits()) == 1
    for _ in range(6):  # far up the ladder of its tries
        desk.clock.advance(61)
        desk.work()
    row = desk.journal.command(ident)
    assert row is not None
    assert row.due_at > desk.clock.now()
    desk.session = whole
    desk.work()  # at once when the schedule is read again
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.reason_code) == (EndState.REJECTED, Reason.SLOT_TAKEN)
    assert len(desk.visits()) == 1
