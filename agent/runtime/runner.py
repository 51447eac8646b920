"""One agent process over its life: waits to be set up, runs the engine, begins anew when asked.

    runner = Runner(load, paths)
    runner.start()
    while not stop: runner.look(); sleep
    runner.stop()

``look`` is called on the thread that owns the process (console, service); what it swaps is built
and stopped there, so nothing of ours ever stops itself from within.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from agent.config import Paths, Settings, open_secrets
from agent.errors import AgentBusy, AgentError
from agent.model.status import Report
from agent.runtime.clock import SystemClock
from agent.runtime.host import Host, build
from agent.runtime.power import Event
from agent.runtime.setup.flow import Setup
from agent.runtime.updates.looking import Updates, helper_here
from agent.runtime.waiting import Waiting

log = structlog.get_logger(__name__)

TROUBLE_RETRY_S = 60.0
DOUBT_WAIT_S = 60.0  # a journal met with damage again and again must not keep us from working
READY_LOOK_S = 2.0  # somebody may set this computer up by commands, beside us
TICK_S = 1.0


class Runner:
    """``load``: the settings as they stand now."""

    def __init__(self, load: Callable[[], Settings], paths: Paths) -> None:
        self._load = load
        self._paths = paths
        self._again = threading.Event()
        self._current: Host | Waiting | None = None
        self._looked_mono = self._ticked_mono = self._opened_mono = 0.0
        self._setup = Setup(
            load,
            paths,
            open_secrets(paths),
            SystemClock(),
            on_finish=self._again.set,
            restart=self._again.set,
        )
        self._updates = Updates(load, paths, self._said, helper=helper_here())

    @property
    def is_waiting(self) -> bool:
        return isinstance(self._current, Waiting)

    def start(self) -> None:
        """Raises what ``build`` raises, and AgentBusy."""
        self._current = self._open(None)
        self._updates.start()

    def _said(self) -> Report | None:
        return None if self._current is None else self._current.report()

    def report(self) -> Report:
        assert self._current is not None
        return self._current.report()

    def look(self) -> None:
        """Do what was asked for since the last look."""
        now = time.monotonic()
        if isinstance(self._current, Host):
            self._current.look()
            if self._current.journal.is_doubted and now - self._opened_mono >= DOUBT_WAIT_S:
                self._again.set()
        if self.is_waiting and now - self._looked_mono >= READY_LOOK_S:
            self._looked_mono = now
            self._note_readiness()
        if self._again.is_set():
            self._again.clear()
            self._begin_anew()
        if isinstance(self._current, Waiting) and now - self._ticked_mono >= TICK_S:
            self._ticked_mono = now
            self._current.tick()

    def heard(self, event: Event) -> None:
        """The computer sleeps, wakes, ...; AgentError of a journal in trouble."""
        if isinstance(self._current, Host):
            self._current.heard(event)

    def stop(self) -> bool:
        self._updates.stop()
        return self._current is None or self._current.stop()

    def _note_readiness(self) -> None:
        """Somebody may have set this computer up; what was in the way may be gone."""
        waiting = self._current
        if not isinstance(waiting, Waiting):
            return
        if waiting.is_troubled:
            if time.monotonic() - self._opened_mono >= TROUBLE_RETRY_S:
                self._again.set()
        elif self._is_ready():
            self._again.set()

    def _is_ready(self) -> bool:
        try:
            return self._setup.view().finished
        except AgentError:
            return False

    def _begin_anew(self) -> None:
        log.info("agent.begins_anew")
        if self._current is not None:
            self._current.stop()
        try:
            self._current = self._open(None)
        except AgentError as error:
            # Whoever saved this is still there and must be able to mend it.
            log.error("agent.not_started", code=error.code)
            self._current = self._open(error)

    def _open(self, trouble: AgentError | None) -> Host | Waiting:
        settings = self._load()
        self._opened_mono = time.monotonic()
        if trouble is None and self._setup.view().finished:
            host = build(settings, self._paths)
            host.reload = self._load
            host.more = lambda: [*self._setup.offers(), *self._updates.offers()]
            host.updates = self._updates.told
            host.start()
            self._setup.begun(host.journal)
            return host
        self._setup.begun(None)
        waiting = Waiting(settings, self._paths, self._setup, self._updates, trouble)
        try:
            waiting.start()
        except AgentBusy:
            if trouble is None:
                raise
        return waiting
