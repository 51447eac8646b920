"""The agent's whole folder put back from an older copy: only the CRM can still know."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from agent.cli.stage import Stage
from agent.sandbox.crm import look
from tests.support.until import until


def audit(home: Path, *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "agent", "--home", str(home), "audit", "verify", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def codes(stage: Stage) -> set[str]:
    status = stage.status()
    return set() if status is None else {f.code for f in status.snapshot.findings}


def last_heartbeat(stage: Stage) -> object:
    (agent,) = look.agents(stage.crm_file)
    return agent["last_heartbeat_at"]


def test_an_older_copy_of_everything_is_noticed_with_the_crms_help(tmp_path: Path) -> None:
    with Stage(tmp_path, patients=20) as stage:
        home, copy = stage.paths.home, tmp_path / "copy"
        stage.start_agent()
        stage.wait_loaded(60)
        stage.stop_agent()
        shutil.copytree(home, copy)
        heard = last_heartbeat(stage)
        stage.start_agent()
        until(lambda: last_heartbeat(stage) != heard)  # it tells the CRM a newer head
        stage.stop_agent()
        assert audit(home)[0] == 0
        shutil.rmtree(home)
        shutil.copytree(copy, home)
        assert audit(home, "--offline")[0] == 0  # nothing here can tell
        code, told = audit(home, "--json")
        assert (code, json.loads(told)["findings"] != []) == (1, True)
        stage.start_agent()
        until(
            lambda: "journal.chain_broken" in codes(stage), every_s=0.1, said=lambda: codes(stage)
        )
