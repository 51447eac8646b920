"""Visits brought in as CSV through the running agent: booked, moved, cancelled; stale rows left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from agent.cli.stage import Stage
from agent.config import PayloadSeal, open_secrets
from agent.errors import AgentError
from agent.journal.snapshot import visiting
from agent.model.longwork import ShowJob
from agent.model.sheets import (
    Counts,
    PreviewImport,
    Reading,
    Verdict,
)
from agent.model.streams import Stream
from tests.gui.counter import Desk


@pytest.fixture
def desk(practice: Stage) -> Iterator[Desk]:
    made = Desk(practice)
    yield made
    made.close()


def upcoming(desk: Desk) -> list[tuple[int, dict[str, Any]]]:
    soon = f"{datetime.now(UTC) + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
    return sorted(
        (key, visit)
        for key, visit in desk.held(Stream.APPOINTMENT).items()
        if visit.get("status") == "scheduled" and (visit.get("start") or "") > soon
    )


def test_visits_are_cancelled_and_confirmed_as_the_rows_say(desk: Desk) -> None:
    (first, one), (second, other), (third, same) = upcoming(desk)[:3]
    now = datetime.now(UTC) + timedelta(seconds=1)
    text = (
        "Appointment No,Version,Status,Confirmed\n"
        f"{first},{one['version']},cancelled,\n"
        f"{second},{other['version']},,confirmed\n"
        f"{third},{same['version']},scheduled,\n"
        "99999999,,cancelled,\n"
    )
    job, rows = desk.preview(text, Reading(made_at=now))
    found = {row.number: (row.verdict, row.what) for row in rows}
    assert found[2] == (Verdict.CHANGED, ("appointment.cancel",))
    assert 4 not in found  # unchanged
    assert found[5][0] is Verdict.REJECTED
    assert msgspec.convert(job.result, Counts).rejected == 1
    view = desk.apply(job)
    assert view.ends.get("applied", 0) >= 1, view
    assert desk.held(Stream.APPOINTMENT)[first]["status"] in {"broken", "unscheduled"}
    # The same once more: it stands as the rows say.
    job, rows = desk.preview(text, Reading(made_at=now))
    assert Verdict.CHANGED not in {row.verdict for row in rows if row.number == 2}


def test_a_row_older_than_the_visit_undoes_nothing(desk: Desk) -> None:
    key, visit = upcoming(desk)[0]
    stale = visit["version"] - 1
    text = f"Appointment No,Version,Status\n{key},{stale},cancelled\n"
    _, rows = desk.preview(text, Reading())
    assert [(row.verdict, row.code) for row in rows] == [(Verdict.REJECTED, "sheet.changed_since")]


def test_a_booking_needs_its_place_and_takes_names_for_it(desk: Desk) -> None:
    text = (
        "Patient No,Start,Duration,Operatory,Provider\n"
        "1,2031-03-03 09:00,30,Room 1,\n"
        "1,2031-03-03 09:00,,Room 1,\n"
        "1,2031-03-03 09:00,30,No such room,\n"
        "1,31/31/2031,30,Room 1,\n"
    )
    job, rows = desk.preview(text, Reading(kind="appointments"))
    found = {row.number: (row.verdict.value, row.code) for row in rows}
    assert found == {
        2: ("new", ""), 3: ("rejected", "sheet.missing"), 4: ("rejected", "sheet.no_such_place"),
        5: ("rejected", "sheet.bad_date"),
    }  # fmt: skip
    view = desk.apply(job)
    # The practice decides: booked, or refused with a reason; never in silence, never twice.
    assert sum(view.ends.values()) == 1, view
    job, rows = desk.preview(text, Reading(kind="appointments"))
    assert rows[0].verdict in {Verdict.REJECTED, Verdict.KNOWN}
    assert Verdict.NEW not in {row.verdict for row in rows}


def test_a_change_of_both_sides_is_left_to_a_person(desk: Desk, practice: Stage) -> None:
    """A file that is older than what the practice changed since: nothing is overwritten."""
    seal = PayloadSeal.from_store(open_secrets(practice.paths), may_create=False)
    with visiting(practice.paths.journal_file(), seal) as (_, visitor):
        [(key, (canon, lsn))] = visitor.contents_by(Stream.PATIENT, [5]).items()
    held = msgspec.json.decode(canon)
    text = f"Patient No,Version,City\n{key},{lsn - 1},Elsewhere\n"
    job, [row] = desk.preview(text, Reading(kind="patients"))
    assert row.verdict is Verdict.CHANGED
    assert msgspec.convert(job.result, Counts).asks == 1
    view = desk.apply(job)
    with visiting(practice.paths.journal_file(), seal) as (_, visitor):
        now = msgspec.json.decode(visitor.contents_by(Stream.PATIENT, [key])[key][0])
    if view.ends.get("conflict"):
        assert now.get("city") == held.get("city")
    else:  # the map lets the CRM win here: the value that lost is kept
        assert view.ends == {"applied": 1}


def test_a_job_is_cancelled_and_a_token_is_not_guessed(desk: Desk) -> None:
    with pytest.raises(AgentError) as refused:
        desk.agent.ask(PreviewImport("0" * 32)), desk.agent.ask(ShowJob(10_000))
    assert refused.value.code == "jobs.gone"
