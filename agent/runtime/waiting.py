"""An agent that cannot begin yet serves the control channel, so that the wizard has whom to ask.

Its status is "not set up", or "action needed" with the code of what keeps the engine from starting.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

import msgspec
import structlog

from agent import __version__
from agent.config import Paths, Settings, open_secrets
from agent.config.store import write_atomic
from agent.control.protocol import ControlError
from agent.control.server import Caller, ControlServer, Offer
from agent.errors import AgentBusy, AgentError
from agent.model import desk as ask
from agent.model.activity import ReadLog
from agent.model.reading import Finding, Severity
from agent.model.status import Report
from agent.runtime.desk_looks import read_log
from agent.runtime.fallback.counter import HelpCounter
from agent.runtime.fallback.files import Files
from agent.runtime.fallback.jobs import Jobs
from agent.runtime.helping import build_help
from agent.runtime.setup.flow import Setup
from agent.runtime.updates.looking import Updates
from agent.support.health import offline_report
from agent.support.health import report as reported

log = structlog.get_logger(__name__)


class Waiting:
    """``trouble``: why the engine did not start, where it is set up. ``tick`` it every second."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        setup: Setup,
        updates: Updates,
        trouble: AgentError | None = None,
    ) -> None:
        self._updates = updates
        self._settings = settings
        self._paths = paths
        self._trouble = trouble
        # Where the engine does not start, log, doctor and bundle are wanted most.
        files = Files(paths.handoff_dir)
        help_ = build_help(settings, paths, open_secrets(paths), None, files, self.report)
        self._help = HelpCounter(files, Jobs(), help_)
        offers = [
            *setup.offers(),
            *updates.offers(),
            Offer(ask.GetStatus, self._status),
            Offer(ReadLog, lambda wish, _: read_log(paths.agent_log, wish)),
        ]
        offers += [Offer(kind, answer) for kind, answer in self._help.answers().items()]
        self.server = ControlServer(
            paths.control_socket, offers, agent_version=__version__, group=settings.control.group
        )

    @property
    def is_troubled(self) -> bool:
        return self._trouble is not None

    def start(self) -> None:
        """AgentBusy when another agent answers here."""
        self._paths.prepare()
        try:
            self.server.start()
        except ControlError as error:
            if error.code == "control.in_use":
                raise AgentBusy from None
            raise
        log.info("agent.waiting", code=self._trouble.code if self._trouble else "setup.missing")
        self.tick()

    def report(self) -> Report:
        now = datetime.now(UTC)
        said = offline_report(
            self._paths.journal_file(self._settings.journal_dir),
            now,
            pms_kind=self._settings.pms.kind,
            is_set_up=self._trouble is not None,
        )
        findings = (*said.snapshot.findings, *self._updates.told())
        if self._trouble is not None:
            facts = dict(self._trouble.facts)
            findings = (Finding(self._trouble.code, Severity.ERROR, facts), *findings)
        snapshot = msgspec.structs.replace(said.snapshot, is_running=True, findings=findings)
        return reported(snapshot, pid=os.getpid(), now=now)

    def tick(self) -> None:
        told = self.report()
        write_atomic(self._paths.status_file, msgspec.json.encode(told))
        if self.server.events.is_watched:
            self.server.events.publish("status", told, keep=False)

    def stop(self) -> bool:
        self.server.stop()
        self._help.close()
        self._paths.status_file.unlink(missing_ok=True)
        return True

    def _status(self, _: ask.GetStatus, __: Caller) -> Report:
        return self.report()
