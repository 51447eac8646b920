"""The commands as people type them: with an agent, without one, their words and exit codes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click
import pytest

from agent.cli import asking, words
from agent.cli.asking import parse_moment, parse_value
from agent.cli.root import COMMANDS, main
from agent.config import Paths
from agent.errors import ExitCode
from agent.journal import pulled
from agent.model.effects import EffectKind
from tests.desk.conftest import Agent, Bridgework

NAMES = ("Example", "Anna", "Hannah", "1980-02-03", "2125550", "@example", "Harrison", "whitening")
LISTS = (
    "conflicts list --state all",
    "conflicts policies",
    "match list --state all",
    "tasks list",
    "undo list",
    "commands list",
    "commands show cmd-1",
    "commands show cmd-3",
    "safety show",
    "audit verify",
    "status",
)


@pytest.mark.parametrize("live", [True, False], ids=["agent", "alone"])
def test_lists_work_with_and_without_an_agent_and_name_nobody(
    request: pytest.FixtureRequest, bridgework: Bridgework, live: bool
) -> None:
    request.getfixturevalue("agent" if live else "filled")
    for line in LISTS:
        for form in ((), ("--json",)):
            done = bridgework(*line.split(), *form)
            # A status has more codes: something waits for a person, nothing is set up.
            assert done.exit_code == 0 or line == "status", done.output
            assert not [name for name in NAMES if name in done.output], line
            if form:
                assert json.loads(done.stdout) is not None


def test_the_same_is_told_with_and_without_an_agent(
    filled: Paths, bridgework: Bridgework, request: pytest.FixtureRequest
) -> None:
    asked = [line.split() for line in LISTS if line.split()[0] not in {"status", "audit"}]
    asked += [["conflicts", "show", "1"], ["match", "show", "c-7"], ["tasks", "show", "1"]]
    alone = [json.loads(bridgework(*line, "--json").stdout) for line in asked]
    request.getfixturevalue("agent")
    live = [json.loads(bridgework(*line, "--json").stdout) for line in asked]
    settings = {"file": "normal"}  # which a real host adds as well
    for told in alone:
        if isinstance(told, dict) and "sources" in told:
            assert told["sources"] == settings
            told["sources"] = {}
    assert alone == live


def test_no_log_names_anybody(agent: Agent, bridgework: Bridgework) -> None:
    for line in ("conflicts show 1", "match show c-7", "tasks show 1", "undo preview 1"):
        assert "Example" in bridgework("--log-level", "debug", *line.split()).stdout
    log = agent.paths.command_log.read_text() if agent.paths.command_log.exists() else ""
    assert not [name for name in NAMES if name in log]


def test_a_conflict_from_list_to_undo(agent: Agent, bridgework: Bridgework) -> None:
    listed = bridgework("conflicts", "list")
    assert "patient 31  phone_mobile  both sides changed it" in listed.stdout
    assert "Look at one: bridgework conflicts show 2" in listed.stdout
    shown = bridgework("conflicts", "show", 1).stdout
    assert "Conflict 1, patient 31: Example, Anna (1980-02-03)" in shown
    assert "  practice     +12125550101\n  CRM          +12125550199" in shown
    done = bridgework("conflicts", "resolve", 1, "--winner", "crm")
    assert (done.exit_code, done.stdout) == (0, "       1  kept the CRM's value\n")
    typed = bridgework("conflicts", "resolve", 2, "--value", '["third@example.org"]')
    assert typed.exit_code == 0, typed.output
    assert agent.engine.called[-1][3] == ["third@example.org"]
    empty = bridgework("conflicts", "list")
    assert empty.stdout == "No conflict waits for a person.\n"
    assert bridgework("conflicts", "undo", 1, 2).exit_code == 0
    again = bridgework("conflicts", "undo", 1)
    assert again.exit_code == ExitCode.FAILED
    assert "not done: It is not open any more" in again.stdout


def test_many_conflicts_ask_back(
    agent: Agent, bridgework: Bridgework, monkeypatch: pytest.MonkeyPatch
) -> None:
    words_ = ("conflicts", "resolve", "--all", "--field", "emails", "--winner", "pms", "--remember")
    unasked = bridgework(*words_)
    assert unasked.exit_code == ExitCode.USAGE
    assert unasked.stderr == (
        "Error: Nothing was done. With --yes the answer is yes: Keep the practice's value for"
        " 1 conflict and from now on?\n"
    )
    monkeypatch.setattr(asking, "_is_terminal", lambda: True)
    assert bridgework(*words_, input="n\n").exit_code == ExitCode.USAGE
    assert agent.engine.called == []
    assert bridgework(*words_, input="y\n").exit_code == ExitCode.OK
    assert [call[:2] for call in agent.engine.called] == [("resolve", 2)]
    kept = bridgework("conflicts", "policies").stdout
    assert "patient  emails      practice" in kept
    nothing = bridgework(*words_, "--yes")
    assert (nothing.exit_code, nothing.stdout) == (0, "No open conflict fits.\n")
    forgot = bridgework("conflicts", "forget", "patient", "emails")
    assert forgot.exit_code == ExitCode.OK
    assert bridgework("conflicts", "forget", "patient", "emails").exit_code == ExitCode.FAILED


@pytest.mark.parametrize(
    "line",
    [
        "conflicts resolve 1",
        "conflicts resolve --winner pms",
        "conflicts resolve 1 --all --winner pms",
        "conflicts resolve 1 --winner pms --value x",
        "conflicts resolve 1 2 --value x",
        "conflicts resolve 1 --field emails --winner pms",
        "undo preview",
        "undo apply 1 --since 2h",
        "undo preview --since yesterday",
        "commands settle 3",
        "commands settle 3 --not-happened --key 5",
        "safety set read_only --patient 31",
        "safety set off",
        "tasks done",
    ],
)
def test_what_is_unclear_is_asked_not_guessed(
    filled: Paths, bridgework: Bridgework, line: str
) -> None:
    assert bridgework(*line.split()).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    "line",
    [
        "conflicts resolve 1 --winner crm",
        "conflicts undo 3",
        "match approve c-7 31",
        "match merge c-7 c-8 --yes",
        "tasks done 1",
        "undo preview 1",
        "undo apply 1 --yes",
        "commands settle 3 --happened",
    ],
)
def test_what_needs_the_agent_says_so(filled: Paths, bridgework: Bridgework, line: str) -> None:
    done = bridgework(*line.split())
    assert done.exit_code == ExitCode.FAILED
    assert done.stderr == (
        "bridgework: This needs the running agent. Start it: bridgework run [desk.needs_agent]\n"
    )


def test_a_folder_without_a_journal_is_no_crash(paths: Paths, bridgework: Bridgework) -> None:
    for line in ("conflicts list", "safety show", "safety set stopped", "audit verify"):
        done = bridgework(*line.split())
        assert done.exit_code == ExitCode.ACTION, done.output
        assert "[journal.absent]" in done.stderr
        assert done.stderr.count("\n") == 1
    assert not paths.journal_file().exists()


def test_a_person_matches_people(agent: Agent, bridgework: Bridgework) -> None:
    assert "c-7      a person decides  -   31, 77" in bridgework("match", "list").stdout
    shown = bridgework("match", "show", "c-7").stdout
    assert "first name  Anna          Anna =        Hannah ~" in shown
    assert "patient 77: The name is spelled another way; the birth date is the same." in shown
    assert bridgework("match", "reject", "c-7", "77").exit_code == 0
    assert bridgework("match", "approve", "c-7", "31").stdout == "Linked to patient 31.\n"
    assert bridgework("match", "list").stdout == "Nobody waits to be matched by a person.\n"
    assert bridgework("match", "unmerge", "c-7").exit_code == ExitCode.USAGE
    assert bridgework("match", "unmerge", "c-7", "--yes").exit_code == ExitCode.OK
    unknown = bridgework("match", "show", "c-99")
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (ExitCode.FAILED, 1)
    assert "There is no contact c-99" in unknown.stderr


def test_a_command_leads_to_what_it_asks_of_people(agent: Agent, bridgework: Bridgework) -> None:
    shown = bridgework("commands", "show", "cmd-1").stdout
    assert "bridgework conflicts show 1\n    bridgework conflicts show 2" in shown
    assert "conflicts show 3" not in shown
    assert "bridgework tasks show 1" in bridgework("commands", "show", "cmd-4").stdout


def test_a_task_is_done_by_hand(agent: Agent, bridgework: Bridgework) -> None:
    assert "1  add a clinical note  new clinical note" in bridgework("tasks", "list").stdout
    shown = bridgework("tasks", "show", 1).stdout
    assert "Asked about whitening." in shown
    assert "Belongs together with task 2, task 3 (the same request)." in shown
    visit = bridgework("--set", "practice.zone=America/New_York", "tasks", "show", 2).stdout
    assert "new appointment: Newcomer, Ned (1990-05-06)" in visit  # whom the third task makes
    assert "  start    2026-12-01 10:00 (EST)" in visit
    assert bridgework("tasks", "cannot", 1, "--note", "not his chart").exit_code == 0
    assert bridgework("tasks", "done", 1).exit_code == ExitCode.FAILED
    assert bridgework("tasks", "done", 2, 3).exit_code == ExitCode.OK
    assert bridgework("tasks", "list").stdout == "Nothing waits to be done by hand.\n"
    assert "not his chart" in bridgework("tasks", "show", 1).stdout
    assert "cannot" in bridgework("tasks", "list", "--state", "cannot").stdout


def test_undo_shows_then_does(agent: Agent, bridgework: Bridgework) -> None:
    preview = bridgework("undo", "preview", "--command", "cmd-1")
    assert preview.exit_code == ExitCode.OK
    assert "phone_mobile  +12125550155 -> +12125550101" in preview.stdout
    assert "Do it: bridgework undo apply 1" in preview.stdout
    assert bridgework("undo", "apply", 1).exit_code == ExitCode.USAGE  # nobody said yes
    done = bridgework("undo", "apply", 1, 2, "--yes")
    assert done.exit_code == ExitCode.FAILED  # one of the two could not be
    assert "left as it is: That cannot be done" in done.stdout
    assert agent.engine.called == [("apply", 1)]  # what was shown as possible, and nothing else
    assert "taken back" in done.stdout
    assert "1  change a patient's details  patient 31       done     undone" in (
        bridgework("undo", "list").stdout
    )
    again = bridgework("undo", "apply", 1, "--yes", "--json")
    assert again.exit_code == ExitCode.FAILED
    assert [step["code"] for step in json.loads(again.stdout)["steps"]] == ["desk.cannot"]


def test_an_unknown_write_leads_to_the_question(agent: Agent, bridgework: Bridgework) -> None:
    shown = bridgework("commands", "show", "cmd-3").stdout
    assert "bridgework commands settle 3 --happened" in shown
    assert bridgework("commands", "settle", 3, "--not-happened").exit_code == ExitCode.OK
    assert "UNKNOWN" not in bridgework("undo", "list").stdout


@pytest.mark.parametrize("live", [True, False], ids=["agent", "alone"])
def test_safety_switches(
    request: pytest.FixtureRequest, bridgework: Bridgework, live: bool
) -> None:
    request.getfixturevalue("agent" if live else "filled")
    free = bridgework("safety", "show")
    assert free.exit_code == ExitCode.OK
    assert "The agent may write everything it is asked to (normal)." in free.stdout
    canary = bridgework("safety", "set", "canary", "--operatory", "3", "--patient", "31")
    assert canary.exit_code == ExitCode.OK, canary.output
    assert "operatories  3\n" in canary.stdout
    assert bridgework("safety", "show").exit_code == ExitCode.FAILED
    wider = ("safety", "set", "canary", "--operatory", "3", "--operatory", "4")
    assert bridgework(*wider).exit_code == ExitCode.USAGE
    narrower = bridgework("safety", "set", "canary", "--patient", "31")
    assert "operatories  none named" in narrower.stdout
    assert bridgework("safety", "set", "stopped").exit_code == ExitCode.OK
    assert bridgework("safety", "set", "normal").exit_code == ExitCode.USAGE  # allows more: asked
    assert bridgework("safety", "set", "normal", "--yes").exit_code == ExitCode.OK
    assert "A person suspended booking" in bridgework("safety", "suspend").stdout
    assert bridgework("safety", "clear").exit_code == ExitCode.USAGE
    cleared = bridgework("safety", "clear", "--yes")
    assert cleared.exit_code == ExitCode.OK
    assert ("No agent runs now" in cleared.stdout) is not live
    assert bridgework("safety", "show").exit_code == ExitCode.OK


def test_the_strictest_place_is_named(filled: Paths, bridgework: Bridgework) -> None:
    told = bridgework("--set", "safety.mode=read_only", "safety", "show")
    assert "nothing; every command is refused (read_only)" in told.stdout
    assert "the settings says read_only" in told.stdout


def test_an_edited_audit_row_is_found(filled: Paths, bridgework: Bridgework) -> None:
    good = bridgework("audit", "verify")
    assert good.exit_code == ExitCode.OK
    head = good.stdout.split()[-1]
    assert bridgework("audit", "verify", "--anchor", head).exit_code == ExitCode.OK
    assert bridgework("audit", "verify", "--anchor", "nonsense").exit_code == ExitCode.USAGE
    with closing(sqlite3.connect(filled.journal_file())) as db:
        db.execute("UPDATE audit SET detail = replace(detail, 'agent', 'nobody') WHERE seq > 3")
        db.commit()
    bad = bridgework("audit", "verify")
    assert bad.exit_code == ExitCode.FAILED
    assert "The chain does not hold:" in bad.stdout
    assert json.loads(bridgework("audit", "verify", "--json").stdout)["holds"] is False


def test_pause_resume_and_status_talk_to_the_agent(agent: Agent, bridgework: Bridgework) -> None:
    assert bridgework("pause", "--for", 5).exit_code == ExitCode.OK
    assert agent.obeyed == 1
    assert agent.paths.pause_file.exists()
    assert bridgework("resume").stdout == "Going on.\n"
    assert bridgework("resume").stdout == "There was no pause.\n"
    assert json.loads(bridgework("status", "--json").stdout)["pid"] == 4711  # its own word
    word = bridgework("sync", "--allow", "patient", "--accept-source")
    assert word.exit_code == ExitCode.OK
    assert [call[0] for call in agent.engine.called] == ["accept_source", "allow"]
    assert bridgework("sync").exit_code == ExitCode.BUSY


def test_a_real_process_talks_to_a_real_agent(agent: Agent) -> None:
    command = [sys.executable, "-m", "agent", "--home", str(agent.paths.home), "conflicts", "list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "phone_mobile" in done.stdout
    assert done.stderr == ""


def test_help_of_every_command_has_its_line_and_documents_what_it_needs() -> None:
    context = click.Context(main)
    for name in ("conflicts", "match", "tasks", "commands", "undo", "safety", "audit"):
        group: Any = main.get_command(context, name)
        assert COMMANDS[name][1]
        for command in group.commands.values():
            assert command.help, (name, command.name)
            options = {option for p in command.params for option in p.opts}
            assert "--json" in options, (name, command.name)


def test_words_cover_what_exists() -> None:
    assert set(words.KINDS) == set(EffectKind)
    for known, kinds in (
        (words.CONFLICT_KINDS, pulled.ConflictKind),
        (words.WINNERS, pulled.Winner),
        (words.EFFECT_STATES, pulled.EffectState),
        (words.UNDO_STATES, pulled.UndoState),
        (words.COMMAND_STATES, pulled.CommandState),
        (words.CONTACT_STATES, pulled.ContactState),
    ):
        assert set(known) == {kind.value for kind in kinds}


def test_times_and_values_as_typed() -> None:
    now = datetime.now(UTC)
    assert (now - parse_moment("90m", now)).total_seconds() == 5400
    assert parse_moment("2026-01-31T14:05:00+00:00").isoformat() == "2026-01-31T14:05:00+00:00"
    with pytest.raises(click.BadParameter):
        parse_moment("soon")
    assert parse_value("5551234") == "5551234"
    assert parse_value('["a", "b"]') == ["a", "b"]
    assert parse_value("null") is None
    with pytest.raises(click.BadParameter):
        parse_value("[a")


def test_instants_are_told_in_the_practices_zone() -> None:
    assert words.value("2026-12-01T15:00:00Z", "America/New_York") == "2026-12-01 10:00 (EST)"
    assert words.value({"at": "2026-07-01T15:00:00Z"}, "America/Denver") == (
        "at: 2026-07-01 09:00 (MDT)"
    )
    assert words.value("2026-12-01") == "2026-12-01"


def test_columns_line_up() -> None:
    told = words.table(("no.", "what"), [("2", "a"), ("10", "bcd")])
    assert told == "  no.  what\n    2  a\n   10  bcd"
