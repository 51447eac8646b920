"""Failure periods on a real journal: noticed, ended, and what waited; sleep and stops as gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from agent.config import Paths
from agent.journal.journal import Journal
from agent.journal.rows import Operation, OutageRow, Outgoing, Urgency
from agent.model.status import Snapshot
from agent.model.streams import Stream
from agent.model.writing import Verb
from agent.runtime.fallback.outages import OutageBook
from tests.desk import office

START = datetime(2026, 11, 2, 15, 2, tzinfo=UTC)


@dataclass
class Line:
    error: str | None = None
    is_answered: bool = True


class Day:
    """A journal, its book, and a clock that is moved by hand."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.book = OutageBook(journal)
        self.now = START
        self.line = Line()
        self.base = office.report().snapshot

    def passes(self, seconds: float, **said: object) -> None:
        """A look a second."""
        for _ in range(round(seconds)):
            self.now += timedelta(seconds=1)
            self.look(**said)

    def look(self, **said: object) -> None:
        usual = {"last_read_at": self.now.isoformat(), "last_write_at": self.now.isoformat()}
        snapshot: Snapshot = msgspec.structs.replace(self.base, **{**usual, **said})
        self.book.look(snapshot, self.now, heard=self.line)

    @property
    def outages(self) -> list[OutageRow]:
        return self.journal.outages(10)

    @property
    def activity(self) -> list[tuple[str, dict[str, object]]]:
        lines = self.journal.recent_activity(20)
        return [(one.code, dict(one.facts)) for one in lines if one.code.startswith("outage.")]


@pytest.fixture
def day(paths: Paths) -> Iterator[Day]:
    paths.prepare()
    journal = office.open_journal(paths)
    yield Day(journal)
    journal.close()


def waiting(journal: Journal, count: int) -> int:
    """A batch that waits for the CRM; its number."""
    with journal.turn() as turn:
        operations = [Operation(n, b"x" * 16, Verb.UPSERT, b"h" * 16) for n in range(count)]
        return turn.enqueue(Outgoing(Stream.PATIENT, Urgency.LIVE, b"body", operations)).number


def test_a_crm_outage_is_told_with_what_waited_and_when_all_was_sent(day: Day) -> None:
    day.passes(3)
    day.line.error, day.line.is_answered = "crm.unreachable", False
    day.passes(60)
    [running] = day.outages
    assert (running.side, running.code, running.ended_at) == ("crm", "crm.unreachable", None)
    assert running.started_at == START + timedelta(seconds=4)  # when it began, not when noticed
    waiting(day.journal, 37)
    day.passes(1, pending=37)
    day.line.error, day.line.is_answered = None, True
    day.passes(1, pending=20)  # back means that something got through
    [ended] = day.outages
    assert ended.ended_at == day.now
    assert (ended.waited, ended.sent_at) == (37, None)
    day.passes(2, pending=37)
    [batch] = day.journal.batches_after(Stream.PATIENT, 0, 1)
    with day.journal.turn() as turn:
        turn.settle(batch, [])
    day.passes(1)
    [sent] = day.outages
    assert sent.sent_at is not None
    code, facts = day.activity[0]
    assert code == "outage.ended_crm"
    assert facts["waited"] == 37


def test_work_that_comes_after_the_outage_is_not_waited_for(day: Day) -> None:
    day.look(crm_error="crm.unreachable", crm_error_s=60.0)
    first = waiting(day.journal, 1)
    day.passes(1, pending=1)
    later = waiting(day.journal, 5)
    assert later > first
    batch = day.journal.batches_after(Stream.PATIENT, 0, 1)[0]
    with day.journal.turn() as turn:
        turn.settle(batch, [])
    day.passes(1, pending=5)
    assert day.outages[0].sent_at is not None


def test_a_hiccup_is_no_outage(day: Day) -> None:
    day.passes(1)
    day.line.error = "crm.unreachable"
    day.passes(3)
    day.line.error = None
    day.passes(10)
    assert day.outages == []


def test_only_a_success_ends_it_also_after_a_restart(day: Day) -> None:
    day.look(pms_error="pms.unreachable", pms_error_s=30.0)
    assert day.outages[0].ended_at is None
    day.book = OutageBook(day.journal)  # the agent was started anew
    day.passes(5, last_read_at=None)
    assert day.outages[0].ended_at is None
    day.passes(1)
    assert day.outages[0].ended_at == day.now
    assert day.activity[0][0] == "outage.ended_pms"


def test_the_cause_is_the_latest_that_is_known(day: Day) -> None:
    day.look(pms_error="pms.unreachable", pms_error_s=30.0)
    day.passes(1, pms_error="pms.password_expired", pms_error_s=31.0)
    assert [one.code for one in day.outages] == ["pms.password_expired"]


def test_a_computer_that_slept_is_seen_by_the_gap(day: Day) -> None:
    day.passes(2)
    slept_at, day.now = day.now, day.now + timedelta(hours=9)
    day.look()
    [gap] = day.outages
    assert (gap.side, gap.code) == ("agent", "pc.asleep")
    assert (gap.started_at, gap.ended_at) == (slept_at, day.now)


@pytest.mark.parametrize("on_purpose", [True, False])
def test_a_time_without_an_agent_counts_unless_it_was_stopped(day: Day, on_purpose: bool) -> None:
    day.passes(2)
    if on_purpose:
        day.book.stopping(day.now)
    day.now += timedelta(hours=3)
    day.book = OutageBook(day.journal)
    day.look()
    assert [one.code for one in day.outages] == ([] if on_purpose else ["agent.not_running"])
