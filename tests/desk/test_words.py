"""What people read is true and whole: sheets of tasks, safety, status, reasons."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.cli import asking, words
from agent.config import Paths
from agent.errors import AgentError, ExitCode
from agent.journal.pulled import Winner
from agent.model.effects import EffectKind
from agent.model.reading import Severity
from agent.model.status import FATAL
from agent.sandbox.crm import words as crm_words
from agent.support.health import offline_report, refused_lately
from agent.support.messages import Catalogue
from tests.desk import office
from tests.desk.conftest import Agent, Bridgework

# Windows knows no such bits: there the folder a person chose has its rights.
PRIVATE = 0o600 if os.name == "posix" else 0o666
NEW_YORK = ("--set", "practice.zone=America/New_York")


def rows_of(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


# --- the sheet ------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [True, False], ids=["agent", "alone"])
def test_tasks_leave_as_a_sheet_for_people(
    request: pytest.FixtureRequest, bridgework: Bridgework, tmp_path: Path, live: bool
) -> None:
    request.getfixturevalue("agent" if live else "filled")
    file = tmp_path / "tasks.csv"
    done = bridgework(*NEW_YORK, "tasks", "export", file)
    assert done.exit_code == ExitCode.OK, done.output
    assert done.stdout.startswith(f"3 tasks written to {file}.")
    assert "names" in done.stdout  # what the file holds is said to whoever made it
    assert stat.S_IMODE(file.stat().st_mode) == PRIVATE
    note, visit, newcomer = rows_of(file.read_bytes())
    assert note["no."] == "1"
    assert note["kind"] == "add a clinical note"
    assert note["patient"] == "Example, Anna (1980-02-03)"
    assert note["patient no."] == "31"
    assert "note: Asked about whitening." in note["enter"].split("\n")
    assert "patient key" not in note["enter"]  # it has its own column
    assert note["why by hand"] == "The practice system does not let the agent write this."
    why = "The developer key lacks a permission of the Open Dental API."
    assert visit["why by hand"] == why  # which one is not known here, and no gap shows that
    assert (note["state"], note["done?"]) == ("open", "")
    assert visit["patient"] == "Newcomer, Ned (1990-05-06)"
    assert visit["patient no."] == ""
    assert visit["enter"] == "start: 2026-12-01 10:00 (EST)\nminutes: 30"
    assert "task 1, task 3" in visit["what to do"]
    assert "last name: Newcomer" in newcomer["enter"].split("\n")
    left = datetime.strptime(note["due"], "%Y-%m-%d %H:%M") - datetime.strptime(  # noqa: DTZ007
        note["since"], "%Y-%m-%d %H:%M"
    )
    assert left in {timedelta(hours=48), timedelta(hours=48, minutes=1)}


def test_a_sheet_goes_through_a_pipe(filled: Paths, bridgework: Bridgework) -> None:
    done = bridgework("tasks", "export", "-")
    assert done.exit_code == ExitCode.OK
    assert len(rows_of(done.stdout_bytes)) == 3
    assert done.stderr == ""


def test_a_file_in_the_way_is_asked_about(
    filled: Paths, bridgework: Bridgework, tmp_path: Path
) -> None:
    file = tmp_path / "tasks.csv"
    file.write_text("mine")
    assert bridgework("tasks", "export", file).exit_code == ExitCode.USAGE
    assert file.read_text() == "mine"
    assert bridgework("tasks", "export", file, "--yes").exit_code == ExitCode.OK
    assert len(rows_of(file.read_bytes())) == 3
    assert stat.S_IMODE(file.stat().st_mode) == PRIVATE
    nowhere = bridgework("tasks", "export", tmp_path / "none" / "tasks.csv")
    assert nowhere.exit_code == ExitCode.USAGE
    assert "Traceback" not in nowhere.output


def test_ended_tasks_are_in_the_sheet_when_asked(agent: Agent, bridgework: Bridgework) -> None:
    assert bridgework("tasks", "cannot", 1, "--note", "not his chart", "--yes").exit_code == 0
    assert len(rows_of(bridgework("tasks", "export", "-").stdout_bytes)) == 2
    first, *_ = rows_of(bridgework("tasks", "export", "-", "--state", "cannot").stdout_bytes)
    assert first["state"].startswith("cannot")
    assert "not his chart" in first["state"]
    told = json.loads(bridgework("tasks", "export", "-", "--state", "all", "--json").stdout)
    assert [task["line"]["number"] for task in told["tasks"]] == [1, 2, 3]


def test_every_kind_says_what_to_do() -> None:
    assert set(words.TO_DO) == set(EffectKind)
    for text in words.TO_DO.values():
        assert text.endswith(".")
        assert text.format(key="500")


# --- safety ---------------------------------------------------------------------------------------


def test_booking_is_on_offer_only_where_it_is(agent: Agent, bridgework: Bridgework) -> None:
    assert "Booking is on offer.\n" in bridgework("safety", "show").stdout
    for mode, told in (
        ("canary", "Booking is on offer, for what the canary lists name alone."),
        ("dry_run", "A booking is planned and refused; none is written."),
        ("read_only", "No booking is on offer while nothing may be written."),
        ("stopped", "No booking is on offer while nothing may be written."),
    ):
        lists = ("--patient", "31") if mode == "canary" else ()
        shown = bridgework("safety", "set", mode, *lists, "--yes").stdout
        assert told in shown
        assert "Booking is on offer.\n" not in shown


def test_an_empty_canary_takes_no_booking(filled: Paths, bridgework: Bridgework) -> None:
    shown = bridgework("safety", "set", "canary", "--yes").stdout
    assert "Nothing is named, so nothing may be written.\nNo booking is on offer while" in shown


# --- status ---------------------------------------------------------------------------------------


def refuse(paths: Paths, *codes: str) -> None:
    journal = office.open_journal(paths)
    with journal.turn() as turn:
        for code in codes:
            turn.note(code, None, 1)
    journal.close()


def test_refused_envelopes_are_counted_by_code(filled: Paths) -> None:
    refuse(filled, "envelope.tampered", "envelope.stale", "envelope.tampered", "pms.unreachable")
    journal = office.open_journal(filled)
    found = refused_lately(journal, datetime.now(UTC))
    assert [(f.code, f.severity, f.facts) for f in found] == [
        ("envelope.refused", Severity.WARNING, {"count": 1, "why": "envelope.stale"}),
        ("envelope.refused", Severity.WARNING, {"count": 2, "why": "envelope.tampered"}),
    ]
    assert refused_lately(journal, datetime.now(UTC) + timedelta(hours=25)) == ()
    journal.close()


def test_status_tells_of_refused_envelopes_without_an_agent(
    filled: Paths, bridgework: Bridgework
) -> None:
    assert "not believed" not in bridgework("status").stdout
    refuse(filled, "envelope.tampered", "envelope.tampered")
    told = " ".join(bridgework("status").stdout.split())
    assert "warn Requests refused in the last 24 hours, because they were not believed: 2" in told
    assert "envelope.tampered" in told
    assert "bridgework journal activity" in told


def test_suspended_booking_stands_at_the_top_without_an_agent(
    filled: Paths, bridgework: Bridgework
) -> None:
    assert "suspended" not in bridgework("status").stdout
    bridgework("safety", "suspend", "--yes")
    lines = bridgework("status").stdout.splitlines()
    assert lines[1] == (
        "Booking is suspended: A person suspended booking. Offer it again: bridgework safety clear"
    )
    report = offline_report(
        filled.journal_file(), datetime.now(UTC), pms_kind="opendental", is_set_up=True
    )
    assert (report.snapshot.booking_suspended, report.snapshot.booking_held) == (
        "booking.by_hand",
        True,
    )
    bridgework("safety", "clear", "--yes")
    assert "suspended" not in bridgework("status").stdout


# --- yes, and facts -------------------------------------------------------------------------------


def test_yes_is_taken_wherever_a_word_is_given(
    agent: Agent, bridgework: Bridgework, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_is_terminal", lambda: False)
    for line in (
        "conflicts undo 3 --yes",
        "tasks done 2 --yes",
        "tasks cannot 3 --yes",
        "conflicts forget patient phone_work --yes",
        "safety suspend --yes",
    ):
        done = bridgework(*line.split())
        assert done.exit_code == ExitCode.OK, (line, done.output)


def test_why_not_keeps_what_it_is_about(
    agent: Agent, bridgework: Bridgework, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_it(
        _: office.Engine, number: int, winner: Winner, *__: object, **___: object
    ) -> None:
        raise AgentError("conflict.always_asks", field="birthdate")

    monkeypatch.setattr(office.Engine, "resolve", refuse_it)
    told = bridgework("conflicts", "resolve", 1, "--winner", "pms").stdout
    assert "A collision of birthdate is always a person's to decide" in told
    assert "There is no task 99" in bridgework("tasks", "done", 99).stdout


def test_reasons_told_without_facts_are_whole_sentences() -> None:
    """Reasons of tasks, of undo, of writes and of suspended booking travel as a code alone."""
    rooms = ("write.", "writer.", "record.", "undo.", "probe.", "slot.", "consent.", "patient.",
             "booking.", "load.", "effect.")  # fmt: skip
    findings = {"write.sql_stepwise", "write.api_found"}  # told by the doctor, with their facts
    catalogue = Catalogue.load()
    lasting = {  # what status and safety tell by its code while it lasts
        "guard.mass_change", "journal.effect_open", "journal.unsettled", "pms.file_missing",
        "pms.lane_missing", "pms.not_open_dental", "pms.right_missing", "pms.stream_unbound",
        "pms.stream_unreadable", "pms.table_missing", *FATAL,
    }  # fmt: skip
    for code in catalogue.codes - findings:
        if code.startswith(rooms) or code in lasting:
            assert "..." not in catalogue.render(code).title, code


# --- the reference CRM ----------------------------------------------------------------------------


def test_the_crm_says_what_is_so() -> None:
    offered = crm_words.why_refused("not_supported_by_pms")
    assert "limited" in offered  # a safety switch takes commands off the offer
    assert "cannot do" in offered
    assert "safety switch" in crm_words.why_refused("policy_blocked")
    assert crm_words.why_refused("policy_blocked") != offered
    unbelieved = crm_words.why_unbelieved()
    assert "not believed" in unbelieved
    assert "understand" not in unbelieved
