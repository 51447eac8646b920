"""Where the engine cannot start, log, doctor and bundle are there all the same."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from agent.config import Paths, open_secrets
from agent.config.settings import Settings
from agent.control.client import Client
from agent.control.protocol import ControlError
from agent.errors import JournalError
from agent.model.activity import ReadLog
from agent.model.helping import BundleMade, Diagnosis, MakeBundle, RunDoctor
from agent.model.longwork import FetchPart
from agent.runtime.clock import SystemClock
from agent.runtime.setup.flow import Setup
from agent.runtime.updates.looking import Updates
from agent.runtime.waiting import Waiting
from tests.support.until import ended


def test_log_doctor_and_bundle_work_without_an_engine(
    paths: Paths, settings_with: Callable[..., Settings]
) -> None:
    settings = settings_with(**{"pms.kind": "sample"})
    setup = Setup(
        lambda: settings, paths, open_secrets(paths), SystemClock(), on_finish=lambda: None
    )
    updates = Updates(lambda: settings, paths, lambda: None)
    waiting = Waiting(settings, paths, setup, updates, JournalError("journal.damaged"))
    waiting.start()
    try:
        with Client.call(paths.control_socket, name="test") as agent:
            paths.agent_log.parent.mkdir(parents=True, exist_ok=True)
            line = {"timestamp": "2026-11-29T15:00:00Z", "level": "error", "logger": "agent",
                    "event": "agent.not_started", "code": "journal.damaged"}  # fmt: skip
            paths.agent_log.write_bytes(msgspec.json.encode(line) + b"\n")
            page = agent.ask(ReadLog(text="journal.damaged"))
            assert [line.event for line in page.lines] == ["agent.not_started"]
            with pytest.raises(ControlError, match="bad_value"):
                agent.ask(ReadLog(limit=0))
            done = ended(agent, agent.ask(RunDoctor()))
            diagnosis = msgspec.convert(done.result, Diagnosis)
            assert {"machine", "pms", "journal"} <= {c.topic for c in diagnosis.checks}
            done = ended(agent, agent.ask(MakeBundle()))
            made = msgspec.convert(done.result, BundleMade)
            assert "doctor.json" in {part.name for part in made.parts}
            assert agent.ask(FetchPart(made.token, 0)).content.startswith(b"PK")
    finally:
        waiting.stop()
    assert not paths.handoff_dir.exists()
