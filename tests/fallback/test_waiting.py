"""Where the engine cannot start, doctor and bundle are there all the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from agent.config import Paths, open_secrets
from agent.config.settings import Settings
from agent.control.client import Client
from agent.errors import JournalError
from agent.model.helping import BundleMade, Diagnosis, MakeBundle, RunDoctor
from agent.model.longwork import FetchPart, Job, ShowJob
from agent.runtime.clock import SystemClock
from agent.runtime.setup.flow import Setup
from agent.runtime.waiting import Waiting


def ended(agent: Client, job: Job) -> Job:
    deadline = time.monotonic() + 20
    while not job.is_over:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        job = agent.ask(ShowJob(job.number))
    return job


def test_doctor_and_bundle_work_without_an_engine(
    paths: Paths, settings_with: Callable[..., Settings]
) -> None:
    settings = settings_with(**{"pms.kind": "sample"})
    setup = Setup(
        lambda: settings, paths, open_secrets(paths), SystemClock(), on_finish=lambda: None
    )
    waiting = Waiting(settings, paths, setup, JournalError("journal.damaged"))
    waiting.start()
    try:
        with Client.call(paths.control_socket, name="test") as agent:
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
