"""The weekly report: which week, whose production, what the page says; printed for real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.journal.pulled import ContactState
from agent.model.commands import Contact
from agent.model.kpi import Links, MakeWeek, WeekReport
from agent.model.metrics import Metric
from agent.model.streams import Stream
from agent.runtime.alerting import Alerting
from agent.runtime.fallback.jobs import Jobs, Ticket
from agent.runtime.weekly import WeekError, Weekly, monday_of
from agent.support.measures import Measures
from tests.journal.sealing import TestSeal
from tests.support.clock import HandClock

ROOT = Path(__file__).resolve().parents[2]
RECORDS: dict[Stream, list[dict[str, Any]]] = {
    Stream.PROCEDURE: [
        {"key": "1", "patient_key": "7", "status": "completed", "date": "2026-03-03", "amount": "120.50"},  # noqa: E501
        {"key": "2", "patient_key": "7", "status": "completed", "date": "2026-03-08", "amount": "30"},  # noqa: E501
        {"key": "3", "patient_key": "8", "status": "completed", "date": "2026-03-02", "amount": "99"},  # noqa: E501
        {"key": "4", "patient_key": "9", "status": "completed", "date": "2026-03-05", "amount": "10"},  # noqa: E501
        {"key": "5", "patient_key": "7", "status": "treatment_planned", "date": "2026-03-05", "amount": "999"},  # noqa: E501
        {"key": "6", "patient_key": "7", "status": "completed", "date": "2026-03-09", "amount": "999"},  # noqa: E501
    ],
    Stream.PATIENT: [
        {"key": "7", "referral_source_key": "1", "last_name": "Example"},
        {"key": "8", "referral_source_key": "2", "last_name": "Sample"},
        {"key": "9", "last_name": "Tester"},
    ],
    Stream.REFERRAL_SOURCE: [
        {"key": "1", "is_not_person": True, "last_name": "Web page"},
        {"key": "2", "last_name": "Friendly", "first_name": "Anna"},
    ],
    Stream.COMMUNICATION: [
        {"key": "1", "patient_key": "7", "direction": "received", "at": "2026-03-02T08:10:00Z"},
        {"key": "2", "patient_key": "7", "direction": "sent", "at": "2026-03-02T10:00:00Z"},
        {"key": "3", "patient_key": "8", "direction": "sent", "at": "2026-03-01T10:00:00Z"},
    ],
    Stream.APPOINTMENT: [
        {"key": "1", "patient_key": "7", "created": "2026-03-02T14:00:00Z"},
        {"key": "2", "patient_key": "8", "created": "2026-03-02T12:00:00Z"},
    ],
}  # fmt: skip


def records(stream: Stream) -> Iterator[dict[str, Any]]:
    yield from RECORDS[stream]


def some(stream: Stream, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {r["key"]: r for r in RECORDS[stream] if r["key"] in keys}


@pytest.fixture
def clock() -> HandClock:
    return HandClock()  # Monday 2026-03-02, 08:00 UTC


@pytest.fixture
def journal(tmp_path: Path, clock: HandClock) -> Iterator[Journal]:
    made = Journal.open(tmp_path / "journal.db", seal=TestSeal(), clock=clock)
    yield made
    made.close()


def made_of(journal: Journal, clock: HandClock, week: str = "2026-W10") -> tuple[WeekReport, str]:
    ticket = Ticket(Jobs(), 1)
    made = Weekly(journal, clock.now, UTC, records, some).make(MakeWeek(week), ticket)
    return made.report, made.page


def test_which_week() -> None:
    today = date(2026, 3, 11)
    assert monday_of("", today) == date(2026, 3, 2)
    assert monday_of("2026-w01", today) == date(2025, 12, 29)
    for wrong in ("2026-W54", "W10", "last week", "2026-10"):
        with pytest.raises(WeekError):
            monday_of(wrong, today)


def test_a_week_adds_up(journal: Journal, clock: HandClock) -> None:
    measures = Measures()
    book = Alerting(journal, clock, measures, lambda tier: 600.0, [], lambda at: at)
    for day, taken in enumerate((90, 9)):
        measures.count(Metric.CHANGES, "patient", "applied", by=taken)
        measures.count(Metric.CHANGES, "patient", "duplicate", by=day)
        measures.took(Metric.STAGE, "change", seconds=0.04)
        book.look()
        clock.advance(86_400)
    with journal.turn() as turn:
        for name, key in (("lead-1", 7), ("lead-2", 8), ("lead-3", None)):
            turn.see_contact(Contact(name, 1))
            state = ContactState.UNLINKED if key is None else ContactState.LINKED
            turn.contact_state(name, state, key)
    with journal.turn() as turn:  # somebody saw that this is another person
        turn.contact_state("lead-2", ContactState.UNLINKED)
    report, page = made_of(journal, clock)
    assert (report.week, report.days, report.success) == ("2026-W10", 2, 1.0)
    assert (report.sent, report.duplicates) == ({"applied": 99, "duplicate": 1}, 1)
    assert report.change.count == 2
    assert report.change.p99_s == pytest.approx(0.05, abs=0.01)
    assert (report.links.linked, report.links.taken_back) == (2, 1)
    assert [(s.name, s.patients, s.procedures, s.amount) for s in report.sources] == [
        ("Web page", 1, 2, "150.50"), ("person", 1, 1, "99"), ("", 1, 1, "10"),
    ]  # fmt: skip
    assert "150.50" in page
    for name in ("Example", "Sample", "Tester", "Friendly", "Anna"):
        assert name not in page


def test_first_contact_counts_from_when_the_crm_spoke_of_them(
    journal: Journal, clock: HandClock
) -> None:
    with journal.turn() as turn:
        for name, key in (("lead-1", 7), ("lead-2", 8), ("lead-3", 9)):
            turn.see_contact(Contact(name, 1))
            turn.contact_state(name, ContactState.LINKED, key)
    report, _ = made_of(journal, clock)
    assert report.leads is not None
    # 7: a message sent after two hours; 8: a visit after four, the older message does not count.
    assert (report.leads.came, report.leads.reached, report.leads.median_h) == (3, 2, 3.0)
    later, _ = made_of(journal, clock, "2026-W11")
    assert later.leads is not None
    assert later.leads.came == 0


def test_what_cannot_be_read_is_said(journal: Journal, clock: HandClock) -> None:
    def none(stream: Stream) -> Iterator[dict[str, Any]]:
        raise AgentError("sheet.needs_practice", stream=stream.value)
        yield {}

    made = Weekly(journal, clock.now, UTC, none, some).make(MakeWeek("2026-W10"), Ticket(Jobs(), 1))
    assert made.report.missing == (Stream.PROCEDURE,)
    assert "procedure" in made.page


def test_accuracy_is_nobody_s_guess() -> None:
    assert Links().accuracy is None
    assert Links(linked=200, taken_back=1).accuracy == 0.995


def test_the_desktop_program_prints_it(journal: Journal, clock: HandClock, tmp_path: Path) -> None:
    _, page = made_of(journal, clock)
    source, made = tmp_path / "in.html", tmp_path / "out.pdf"
    source.write_text(page, encoding="utf-8")
    command = [sys.executable, "-m", "gui", "--print", str(source), str(made)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=120)
    content = made.read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Page\n") == 1  # one page is enough
    assert b"/BaseFont" in content, "letters, not boxes"
