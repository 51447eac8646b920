"""The Windows service: a thin shell around the host. Imports pywin32; Windows only.

Stop, shutdown and upgrade end the host within its two seconds; sleep, resume, a clock that was set
and somebody signing in are told to it.
What keeps it from starting goes to the event log as a code and a sentence, never as a traceback.
Windows gives a service 30 s to say its first word, and a computer that has just started is slow:
the engine is imported only after that word.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    raise ImportError("the service runs on Windows only")

import gc
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

import servicemanager
import structlog
import win32service
import win32serviceutil

from agent.config import Paths, Settings, load_settings
from agent.errors import AgentError
from agent.runtime.power import Event, meaning_of
from agent.runtime.windows import NAME
from agent.support.logs import configure
from agent.support.messages import Catalogue

if TYPE_CHECKING:
    from agent.runtime.runner import Runner

log = structlog.get_logger(__name__)

_START_HINT_MS = 60_000
_STOP_HINT_MS = 10_000
_RETRY_S = 30.0
_LOOK_S = 0.5
_ACCEPT_TIMECHANGE = 0x200  # SERVICE_ACCEPT_TIMECHANGE (Windows 7 and later)


class Service(win32serviceutil.ServiceFramework):  # type: ignore[misc]  # pywin32 has no types here
    _svc_name_ = NAME
    _svc_display_name_ = NAME
    paths: Paths  # set by ``serve`` before the system calls us

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self._stopping = threading.Event()
        self._heard: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def GetAcceptedControls(self) -> int:  # noqa: N802 - pywin32's name
        more = win32service.SERVICE_ACCEPT_POWEREVENT | win32service.SERVICE_ACCEPT_SHUTDOWN
        more |= win32service.SERVICE_ACCEPT_SESSIONCHANGE | _ACCEPT_TIMECHANGE
        return int(super().GetAcceptedControls() | more)

    def SvcStop(self) -> None:  # noqa: N802
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=_STOP_HINT_MS)
        self._stopping.set()

    def SvcShutdown(self) -> None:  # noqa: N802
        self._stopping.set()

    def SvcOtherEx(self, control: int, event_type: int, _details: Any) -> None:  # noqa: N802
        """Only noted: the service manager waits for this to return."""
        event = meaning_of(control, event_type)
        if event is not None:
            self._heard.put(event)

    def SvcRun(self) -> None:  # noqa: N802
        """Until told to stop. What keeps the agent from starting is tried again: a mapped drive or
        a database server may only be late."""
        self.ReportServiceStatus(win32service.SERVICE_START_PENDING, waitHint=_START_HINT_MS)
        gc.disable()  # all of it stays: looking through it again and again is a tenth of the time
        from agent.runtime.runner import Runner

        gc.enable()
        self.ReportServiceStatus(win32service.SERVICE_RUNNING)
        servicemanager.LogInfoMsg(f"{NAME} started.")
        runner: Runner | None = None
        told = ""
        is_started = False
        while not self._stopping.is_set():
            try:
                if runner is None:
                    runner = Runner(self._settings, self.paths)
                if is_started:
                    self._tell(runner)
                    runner.look()
                else:
                    runner.start()
                    is_started = True
            except AgentError as error:
                line = Catalogue.load().of(error).line
                if line != told:
                    log.error("service.cannot_start", code=error.code)
                    servicemanager.LogErrorMsg(line)
                    told = line
                self._stopping.wait(_RETRY_S)
            self._stopping.wait(_LOOK_S)
        if runner is not None:
            runner.stop()
        servicemanager.LogInfoMsg(f"{NAME} stopped.")
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING, waitHint=_STOP_HINT_MS)

    def _tell(self, runner: Runner) -> None:
        """What the system said since the last look, on the thread that owns the agent."""
        while not self._heard.empty():
            runner.heard(self._heard.get())

    def _settings(self) -> Settings:
        settings = load_settings(home=self.paths.home)
        configure(level=settings.log.level, file=self.paths.agent_log, console_level="error")
        return settings


def serve(paths: Paths) -> None:
    """Called by the system's service manager through ``bridgework service run``; ends the process
    when the service has stopped.

    An installer deletes or replaces our files as soon as the system says "stopped": taking the
    interpreter down in order would hold them for a second more, and nothing is left to be done.
    """
    Service.paths = paths
    servicemanager.Initialize(NAME, None)
    servicemanager.PrepareToHostSingle(Service)
    servicemanager.StartServiceCtrlDispatcher()
    logging.shutdown()
    os._exit(0)
