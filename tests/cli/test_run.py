"""``bridgework run`` as a process: starts, says so, stops when told, holds its place."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from agent.cli.stage import Stage
from agent.errors import ExitCode
from tests.cli.conftest import Bridgework

IS_WINDOWS = sys.platform == "win32"
GROUP = subprocess.CREATE_NEW_PROCESS_GROUP if IS_WINDOWS else 0  # not to be ended with it
END = signal.CTRL_BREAK_EVENT if IS_WINDOWS else signal.SIGTERM


def test_it_stops_cleanly_within_two_seconds(stage: Stage, bridgework: Bridgework) -> None:
    command = [sys.executable, "-m", "agent", "--home", str(stage.paths.home), "run", "--quiet"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, creationflags=GROUP) as process:
        try:
            deadline = time.monotonic() + 30
            while not stage.paths.status_file.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert stage.paths.status_file.exists()
            assert bridgework("run").exit_code == ExitCode.BUSY
            asked = time.monotonic()
            process.send_signal(END)
            assert process.wait(10) == 0
            assert time.monotonic() - asked < 3.0  # two, and what an interpreter needs to end
        finally:
            process.kill()
    assert not stage.paths.status_file.exists()


def test_run_for_a_while_then_agree(stage: Stage, bridgework: Bridgework) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "--home", str(stage.paths.home), "run", "--for", "4"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    proof = bridgework("sync", "--prove")
    assert proof.exit_code == ExitCode.OK, proof.output


def test_unpaired_is_one_line_and_a_code(stage: Stage, bridgework: Bridgework) -> None:
    done = bridgework("--set", "crm.url=", "run")
    assert done.exit_code == ExitCode.USAGE
    assert done.stderr.count("\n") == 1
    assert "bridgework pair CODE" in done.stderr
