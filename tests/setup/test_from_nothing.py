"""A real agent process on a folder that knows nothing: it serves, is set up, and syncs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.stage import Stage
from agent.control.client import Client
from agent.errors import ExitCode
from agent.model import setup as ask
from agent.model.desk import GetStatus
from agent.model.status import Report, State
from agent.model.streams import Stream
from tests.support.until import until


def wait(ask_status: Callable[[], Report | None], holds: Callable[[Report], bool]) -> Report:
    def look() -> Report | None:
        report = ask_status()
        return report if report is not None and holds(report) else None

    found = until(look, 60, every_s=0.1, said=ask_status)
    assert found is not None
    return found


def test_from_nothing_to_the_first_sync_and_anew(
    tmp_path: Path,
    answers: Callable[..., dict[str, Any]],
    file_of: Callable[[dict[str, Any]], Path],
    box: Stage,
) -> None:
    stage = Stage(tmp_path / "fresh", patients=20, is_set_up=False)
    stage.folder.mkdir()
    stage.paths.prepare()
    try:
        stage.start_agent()
        first = wait(stage.status, lambda r: True)
        assert first.state is State.NOT_SET_UP
        with Client.call(stage.paths.control_socket) as agent:
            assert agent.ask(ask.GetSetup()).next is ask.Step.PAIR
            assert agent.ask(GetStatus()).state is State.NOT_SET_UP
        done = subprocess.run(
            [*_bridgework(stage), "setup", "--answers", str(file_of(answers()))],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        synced = wait(stage.status, lambda r: r.state is not State.NOT_SET_UP
                      and r.snapshot.load is None and not r.snapshot.pending)  # fmt: skip
        assert synced.pid == first.pid  # the same process went on
        patients = [s for s in synced.snapshot.streams if s.stream is Stream.PATIENT]
        assert patients[0].agreed == 20
        with Client.call(stage.paths.control_socket) as agent:
            agent.ask(ask.SetScope(skip=(Stream.CLAIM, Stream.PERIO_EXAM)))
            assert agent.ask(ask.GetSetup()).restart
            agent.ask(ask.RestartEngine())
        again = wait(stage.status, lambda r: r.snapshot.is_running and r.snapshot.load is None
                     and _started_again(stage))  # fmt: skip
        assert again.pid == first.pid
        with Client.call(stage.paths.control_socket) as agent:
            assert not agent.ask(ask.GetSetup()).restart
    finally:
        stage.__exit__(None, None, None)


def _started_again(stage: Stage) -> bool:
    log = (stage.folder / "agent-console.log").read_text(encoding="utf-8")
    return "streams=17" in log.rpartition("session.opened")[2]


def _bridgework(stage: Stage) -> list[str]:
    import sys

    return [sys.executable, "-m", "agent", "--home", str(stage.paths.home)]
