"""``bridgework status`` and ``journal``: what people read, while the agent runs and when not."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.cli.render import status_text, stream_table
from agent.cli.stage import Stage
from agent.config import PayloadSeal, open_secrets
from agent.errors import ExitCode
from agent.journal.journal import Journal
from agent.journal.rows import StreamCount
from agent.model.reading import Finding, Severity
from agent.model.status import LoadStatus, Snapshot, State, StreamStatus
from agent.model.streams import Stream
from agent.runtime.clock import SystemClock
from agent.support.health import report
from tests.cli.conftest import Bridgework
from tests.support.until import until

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def snapshot(**changed: object) -> Snapshot:
    fields: dict[str, object] = {
        "taken_at": "2026-05-04T12:00:00.000Z", "agent_version": "0", "is_set_up": True,
        "is_running": True, "paused_until": None, "pms_kind": "opendental",
        "pms_version": "24.3.1", "pms_error": None, "pms_error_s": 0.0, "crm_error": None,
        "crm_error_s": 0.0, "last_read_at": "2026-05-04T12:00:00.000Z", "last_write_at": None,
        "oldest_unsent_s": None, "oldest_unverified_s": 240.0, "overdue_chunks": 0,
        "open_conflicts": 0, "parked": 0, "pending": 0, "load": None,
    }  # fmt: skip
    return Snapshot(**{**fields, **changed})  # type: ignore[arg-type]


def shown(**changed: object) -> str:
    return status_text(report(snapshot(**changed), pid=1, now=NOW))


# --- words ----------------------------------------------------------------------------------------


def test_up_to_date_shows_the_honest_numbers() -> None:
    text = shown()
    assert text.startswith("Up to date\n")
    assert "  Oldest change not sent yet   none" in text
    assert "  Oldest proof of equality     4 min ago" in text
    assert "  Practice system              opendental 24.3.1" in text


def test_a_line_down_is_told_with_its_remedy() -> None:
    text = shown(pms_error="pms.auth_refused", pms_error_s=5.0)
    assert text.startswith("A person must act\n")
    assert "FAIL  The practice's database refused our login.  [pms.auth_refused]" in text
    assert "Next: Enter the password: bridgework config set pms.password" in text
    brief = shown(crm_error="crm.unreachable", crm_error_s=5.0)
    assert "warn  Cannot reach the CRM.  [crm.unreachable]" in brief  # no host known: no brackets


def test_a_brake_says_how_to_release_it() -> None:
    brake = Finding("guard.mass_change", Severity.ERROR, {"stream": "claim"})
    text = " ".join(shown(findings=(brake,)).split())
    assert "run: bridgework sync --allow claim" in text


def test_what_waits_for_a_person_is_counted_and_where_to_look_is_said() -> None:
    text = shown(open_conflicts=2, suspects=1, tasks_open=1, effects_unknown=1)
    assert text.startswith("Some records need review\n")
    assert "    2 conflicts                 bridgework conflicts list\n" in text
    assert "    1 person to match           bridgework match list\n" in text
    assert "    1 desk task                 bridgework tasks list\n" in text
    assert "    1 write of unknown outcome  bridgework commands list --state unknown" in text
    assert "Waiting for a person" not in shown()


def test_what_is_limited_or_suspended_is_said() -> None:
    text = shown(safety_mode="read_only", booking_suspended="booking.by_hand", booking_held=True)
    offer = "Offer it again: bridgework safety clear"
    assert text.startswith(f"Booking is suspended: A person suspended booking. {offer}\n")
    both = shown(booking_suspended="booking.by_hand", booking_held=True, parked=1)
    assert both.startswith("Some records need review\nBooking is suspended: A person suspended")
    assert "  Writing to the practice      limited: read_only (safety show)" in text
    passing = shown(booking_suspended="writer.unreachable")  # ends with itself, and is not fine
    assert passing.startswith("Running behind\nBooking is suspended: The practice system's write")
    assert "by itself once that is over" in " ".join(passing.split())


def test_the_precedence_of_suspended_booking() -> None:
    """Held by a word: a person must look, whatever else agrees. Passing: not up to date."""

    def state(**changed: object) -> State:
        return report(snapshot(**changed), pid=1, now=NOW).state

    held = {"booking_suspended": "booking.by_hand", "booking_held": True}
    passing = {"booking_suspended": "writer.unreachable"}
    load = LoadStatus(phase="patients", loaded_rows=1, total_rows=9, eta_s=None)
    assert state() is State.UP_TO_DATE
    assert state(**held) is State.NEEDS_REVIEW
    assert state(**held, load=load) is State.NEEDS_REVIEW
    assert state(**passing) is State.BEHIND
    assert state(**passing, load=load) is State.SYNCING
    assert state(**held, paused_until="2026-05-04T13:00:00.000Z") is State.PAUSED
    error = Finding("guard.mass_change", Severity.ERROR, {"stream": "claim"})
    assert state(**held, findings=(error,)) is State.ACTION_NEEDED
    assert state(**held, is_running=False) is State.UNREACHABLE


def test_notes_stay_with_the_doctor() -> None:
    note = Finding("map.column_missing", Severity.NOTE, {"stream": "claim"})
    assert "map.column_missing" not in shown(findings=(note,))


def test_loading_shows_share_and_time_left() -> None:
    load = LoadStatus(phase="patients", loaded_rows=2500, total_rows=10_000, eta_s=300.0)
    assert "Loading patients: 2,500 of 10,000 (25%, about 5 min left)" in shown(load=load)


def test_tables_line_up_whatever_the_size() -> None:
    counts = [
        StreamStatus(Stream.PATIENT, 1_234_567, 1_234_000, 567, 0),
        StreamStatus(Stream.CLAIM, 9, 9, 0, 0),
    ]
    lines = stream_table(counts, ("present", "agreed", "waiting", "parked"))
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["stream", "records", "agreed", "waiting", "parked"]
    assert lines[-1].split() == ["all", "1,234,576", "1,234,009", "567", "0"]


# --- the command ----------------------------------------------------------------------------------


def test_not_set_up_yet() -> None:
    done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == ExitCode.ACTION
    assert done.stdout.startswith("Not set up yet. Set it up: bridgework setup")


def test_running_then_stopped(stage: Stage, bridgework: Bridgework) -> None:
    idle = bridgework("status")
    assert idle.exit_code == ExitCode.FAILED
    assert idle.stdout.startswith("The agent is not running. Start it: bridgework run")
    stage.start_agent()
    stage.wait_loaded(60)
    told = json.loads(bridgework("status", "--json").stdout)
    assert told["snapshot"]["is_running"] is True
    assert told["snapshot"]["parked"] == 0
    patients = next(s for s in told["snapshot"]["streams"] if s["stream"] == "patient")
    assert patients["present"] == patients["agreed"] == 25
    text = bridgework("status").stdout
    assert "Last write to the CRM" in text
    stage.stop_agent()
    # Windows knows no polite end: of one that is killed the last word holds for ten seconds.
    until(lambda: bridgework("status").exit_code == ExitCode.FAILED, 30, every_s=0.5)
    stopped = bridgework("status")
    row = next(line for line in stopped.stdout.splitlines() if line.split()[:1] == ["patient"])
    assert row.split() == ["patient", "25", "25", "0", "0"]  # from the journal, agent or not
    seal = PayloadSeal.from_store(open_secrets(stage.paths), may_create=False)
    journal = Journal.open(stage.paths.journal_file(), seal=seal, clock=SystemClock())
    with journal.turn() as turn:
        turn.note("envelope.stale", None, 1)
    journal.close()
    stage.start_agent()
    stage.wait_loaded(60)
    told = json.loads(bridgework("status", "--json").stdout)["snapshot"]
    assert told["is_running"] is True
    refused = [f for f in told["findings"] if f["code"] == "envelope.refused"]
    assert [(f["severity"], f["facts"]) for f in refused] == [
        ("warning", {"count": 1, "why": "envelope.stale"})
    ]


def test_a_parked_record_is_named_with_its_reason(stage: Stage, bridgework: Bridgework) -> None:
    with closing(sqlite3.connect(stage.practice_file)) as link:
        link.execute("UPDATE patient SET Address=CAST(x'fffe' AS TEXT) WHERE PatNum=4")
        link.commit()
    assert bridgework("sync").exit_code == ExitCode.FAILED
    assert "bridgework parked list" in bridgework("status").stdout
    (record,) = json.loads(bridgework("journal", "parked", "--json").stdout)
    assert (record["stream"], record["key"], record["reason"]) == (
        "patient", 4, "text.undecodable",
    )  # fmt: skip
    text = bridgework("journal", "parked").stdout
    assert text.startswith("patient 4, parked ")
    assert "A record holds text that cannot be read." in text


def test_journal_of_a_calm_practice(bridgework: Bridgework) -> None:
    absent = bridgework("journal", "info")
    assert absent.exit_code == ExitCode.ACTION
    assert absent.stderr.count("\n") == 1
    assert bridgework("sync").exit_code == ExitCode.OK
    info = bridgework("journal", "info").stdout
    assert "waiting    0 in 0 batches" in info
    assert bridgework("journal", "parked").stdout == "No record is parked.\n"
    assert "The schedule around today is loaded." in bridgework("journal", "activity").stdout
    assert bridgework("journal", "verify").stdout.endswith("are whole.\n")
    made = bridgework("journal", "backup").stdout
    assert made.startswith("Copied and verified: ")
    assert "backups    journal-" in bridgework("journal", "info").stdout


def test_counts_of_a_journal_line_up_too() -> None:
    lines = stream_table(
        [StreamCount(Stream.RECALL, present=3, agreed=3, waiting=0, parked=0, gone=12)],
        ("present", "gone"),
    )
    assert lines[0].split() == ["stream", "records", "gone"]
    assert lines[-1].split() == ["all", "3", "12"]


@pytest.mark.parametrize(("age_s", "state"), [(1, State.UP_TO_DATE), (45, State.BEHIND)])
def test_a_stale_look_is_never_green(age_s: int, state: State) -> None:
    read_at = (NOW - timedelta(seconds=age_s)).isoformat()
    assert report(snapshot(last_read_at=read_at), pid=1, now=NOW).state is state


def test_a_pause_says_when_it_ends() -> None:
    text = shown(paused_until="2026-05-04T13:30:00.000Z")
    assert text.startswith("Paused until ")
    assert "04 May" in text.splitlines()[0]
