"""``bridgework sync``: one pass to agreement, its words, its exit codes."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from agent.cli.stage import Stage
from agent.errors import ExitCode
from tests.cli.conftest import Bridgework


def test_first_sync_brings_everything_and_the_next_proves_it(
    stage: Stage, bridgework: Bridgework
) -> None:
    told = json.loads(bridgework("sync", "--json").stdout)
    assert told["agrees"] is True
    assert (told["waiting"], told["parked"], told["missing"], told["differ_at_crm"]) == (0, 0, 0, 0)
    assert told["proven"] is False  # loading is not proving
    assert stage.compare().agrees
    proof = bridgework("sync", "--prove")
    assert proof.exit_code == ExitCode.OK, proof.output
    assert proof.stdout.startswith("Practice and CRM agree (every record proven equal, ")


def test_what_changed_meanwhile_is_brought_even_without_a_stamp(
    stage: Stage, bridgework: Bridgework
) -> None:
    assert bridgework("sync").exit_code == ExitCode.OK
    with closing(sqlite3.connect(stage.practice_file)) as link:
        link.execute("UPDATE patient SET City='Larchmont' WHERE PatNum=3")
        link.commit()
    assert not stage.compare().agrees
    assert bridgework("sync", "--prove").exit_code == ExitCode.OK
    assert stage.compare().agrees


def test_a_crm_that_is_down_is_code_4_and_loses_nothing(
    stage: Stage, bridgework: Bridgework
) -> None:
    port = stage.crm.port
    stage.crm.__exit__(None, None, None)
    done = bridgework("sync", "--timeout", 3)
    assert done.exit_code == ExitCode.CRM
    assert "Practice and CRM do not agree yet:" in done.stdout
    assert "[crm.unreachable]" in done.stdout or "[crm.resting]" in done.stdout
    stage.restart_crm(port)
    assert bridgework("sync").exit_code == ExitCode.OK
    assert stage.compare().agrees


def test_a_practice_that_is_gone_is_code_3(stage: Stage, bridgework: Bridgework) -> None:
    stage.desk.close()  # Windows renames no file that somebody has open
    stage.practice_file.rename(stage.folder / "gone.db")
    done = bridgework("sync", "--timeout", 1)
    assert done.exit_code == ExitCode.PMS
    assert "There is no such sample practice (practice.db)" in done.stdout or "[pms." in done.stdout


def test_a_mass_deletion_waits_for_a_persons_word(stage: Stage, bridgework: Bridgework) -> None:
    assert bridgework("sync").exit_code == ExitCode.OK
    with closing(sqlite3.connect(stage.practice_file)) as link:
        # The newest stay: a table emptied to the end would look like a restored backup.
        link.execute(
            "DELETE FROM procedurelog WHERE ProcNum < (SELECT avg(ProcNum) FROM procedurelog)"
        )
        link.commit()
    held = bridgework("sync", "--prove", "--timeout", 20)
    assert held.exit_code == ExitCode.ACTION, held.output
    assert "So many records changed or vanished at once that we stopped (procedure)" in " ".join(
        held.stdout.split()
    )
    assert "sync --allow procedure" in " ".join(held.stdout.split())
    before = stage.watcher.records()
    allowed = bridgework("sync", "--prove", "--allow", "procedure", "--timeout", 20)
    assert allowed.exit_code == ExitCode.OK, allowed.output
    assert stage.watcher.records() < before


def test_a_persons_word_holds_beyond_that_run(stage: Stage, bridgework: Bridgework) -> None:
    assert bridgework("sync").exit_code == ExitCode.OK
    with closing(sqlite3.connect(stage.practice_file)) as link:
        link.execute(
            "DELETE FROM procedurelog WHERE ProcNum < (SELECT avg(ProcNum) FROM procedurelog)"
        )
        link.commit()
    assert bridgework("sync", "--prove", "--timeout", 20).exit_code == ExitCode.ACTION
    allowed = bridgework("sync", "--prove", "--allow", "procedure", "--timeout", 20)
    assert allowed.exit_code == ExitCode.OK, allowed.output
    again = bridgework("sync", "--prove", "--timeout", 20)
    assert again.exit_code == ExitCode.OK, again.output


def test_beside_a_running_agent_a_persons_word_is_passed_on(
    stage: Stage, bridgework: Bridgework
) -> None:
    stage.start_agent()
    stage.wait_loaded(60)
    plain = bridgework("sync")
    assert plain.exit_code == ExitCode.BUSY
    assert "already running" in plain.stderr
    accepted = bridgework("sync", "--accept-source", "--json")
    assert json.loads(accepted.stdout) == {
        "passed_on": True,
        "allowed": [],
        "accepted_source": True,
    }


@pytest.mark.slow
def test_a_running_agent_goes_on_at_a_persons_word(stage: Stage, bridgework: Bridgework) -> None:
    stage.start_agent()
    stage.wait_loaded(60)
    with closing(sqlite3.connect(stage.practice_file)) as link:
        link.execute(
            "DELETE FROM procedurelog WHERE ProcNum < (SELECT avg(ProcNum) FROM procedurelog)"
        )
        link.commit()
    _until(lambda: "guard.mass_change" in bridgework("status").stdout)
    before = stage.watcher.records()
    word = bridgework("sync", "--allow", "procedure")
    assert word.exit_code == ExitCode.OK, word.output
    assert "took the word" in word.stdout
    _until(lambda: stage.watcher.records() < before)
    assert "guard.mass_change" not in bridgework("status").stdout
    assert stage.wait_agreed(30).agrees


def _until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)
