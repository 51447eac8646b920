"""The demo's stage: sample practice, reference CRM and the real agent as a process, on loopback."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from agent import __version__
from agent.config import Paths, load_settings, open_secrets
from agent.config.store import save_setting
from agent.crm.connect import open_transport
from agent.crm.enroll import enroll
from agent.crm.pairing import PairingStore
from agent.errors import AgentError
from agent.runtime.clock import SystemClock
from agent.sandbox.compare import Report
from agent.sandbox.crm import CrmServer
from agent.sandbox.practice.create import PracticePlan, create_practice
from agent.sandbox.practice.desk import SqliteDesk
from agent.sandbox.practice.stores import SqliteStore
from agent.sandbox.watcher import Watcher
from agent.support.health import Report as Status
from agent.support.health import read_report

ZONE = "America/New_York"

# A demo's patience: what a practice proves within hours, the demo proves within seconds.
DEMO_SETTINGS: dict[str, object] = {
    "pms.kind": "sample",
    "practice.zone": ZONE,
    "pms.max_duty": 1.0,
    "sync.load_duty": 1.0,
    "sync.sweep_hot_s": 6,
    "sync.sweep_warm_s": 6,
    "sync.sweep_cold_s": 6,
    "sync.confirm_delete_s": 2,
    "log.level": "info",
}


class Stage:
    """``with Stage(folder, patients=300) as stage:`` sets everything up and takes it down again."""

    def __init__(
        self,
        folder: Path,
        *,
        patients: int,
        years: int = 1,
        seed: int = 1,
        port: int = 0,
        settings: Mapping[str, object] | None = None,
        is_set_up: bool = True,
    ) -> None:
        """``is_set_up`` False: a computer fresh from the box, for the wizard."""
        self.folder = folder
        self.practice_file = folder / "practice.db"
        self.crm_file = folder / "crm.db"
        self.paths = Paths.locate(folder / "agent")
        self._plan = PracticePlan(patients=patients, years=years, seed=seed, zone=ZONE)
        self._port = port
        self._is_set_up = is_set_up
        self._settings = {**DEMO_SETTINGS, **(settings or {})}
        self._agent: subprocess.Popen[bytes] | None = None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        store = SqliteStore(self.practice_file)
        try:
            self.created = create_practice(store, self._plan)
        finally:
            store.close()
        self.crm = CrmServer(self.crm_file, port=self._port)
        self._open.enter_context(self.crm)
        if self._is_set_up:
            self._pair()
        else:
            self.paths.prepare()
        self.watcher = Watcher(self.crm_file)
        self._open.callback(self.watcher.close)
        self.desk = SqliteDesk(self.practice_file, ZONE)
        self._open.callback(self.desk.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_agent()
        self._open.close()

    def _pair(self) -> None:
        self.paths.prepare()
        settings = {**self._settings, "crm.url": self.crm.url}
        settings["pms.sqlite_path"] = str(self.practice_file)
        for name, value in settings.items():
            save_setting(self.paths.config_file, name, value)
        clock = SystemClock()
        transport = open_transport(load_settings((), home=self.paths.home), clock, __version__)
        try:
            pairing = enroll(
                self.crm.new_code(),
                transport=transport,
                pairings=PairingStore(open_secrets(self.paths)),
                clock=clock,
                agent_version=__version__,
                label="demo",
            )
        finally:
            transport.close()
        save_setting(self.paths.config_file, "crm.client_id", pairing.client_id)

    def start_agent(self) -> None:
        """The product itself, as its own process."""
        command = [sys.executable, "-m", "agent", "--home", str(self.paths.home), "run", "--quiet"]
        self.paths.status_file.unlink(missing_ok=True)  # the word of one that was killed
        log = (self.folder / "agent-console.log").open("ab")
        self._open.callback(log.close)
        self._agent = subprocess.Popen(command, stdout=log, stderr=log)

    def stop_agent(self) -> None:
        if self._agent is not None and self._agent.poll() is None:
            self._agent.terminate()
            try:
                self._agent.wait(10)
            except subprocess.TimeoutExpired:
                self._agent.kill()

    def restart_crm(self, port: int) -> None:
        """The CRM again, on what it has stored."""
        self.crm = CrmServer(self.crm_file, port=port)
        self._open.enter_context(self.crm)

    def status(self) -> Status | None:
        if self._agent is not None and self._agent.poll() is not None:
            raise AgentError("demo.agent_ended", exit_code=self._agent.returncode)
        return read_report(self.paths.status_file, datetime.now(UTC))

    def wait_loaded(self, timeout_s: float) -> Status:
        """Until the first load is done and sent."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            status = self.status()
            if status is not None and status.snapshot.load is None and not status.snapshot.pending:
                return status
            time.sleep(0.1)
        raise AgentError("demo.too_slow", waited_s=timeout_s)

    def compare(self) -> Report:
        """The independent verdict."""
        files = [str(self.practice_file), str(self.crm_file)]
        command = [sys.executable, "-m", "agent.sandbox.compare", *files, ZONE]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        return msgspec.json.decode(done.stdout, type=Report)

    def wait_agreed(self, timeout_s: float) -> Report:
        """Compare until both sides agree or time is up; the last verdict."""
        deadline = time.monotonic() + timeout_s
        while True:
            verdict = self.compare()
            if verdict.agrees or time.monotonic() > deadline:
                return verdict
            time.sleep(0.5)
