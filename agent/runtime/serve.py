"""The running agent's side of the control channel: desk, server, events.

``serve_control(host)`` is called once by the host when it starts; ``tick`` every second.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import structlog

from agent import __version__
from agent.config import Paths
from agent.control.protocol import ControlError
from agent.control.server import ControlServer, Offer
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.model.longwork import Job
from agent.model.status import Report, Snapshot
from agent.runtime.desk import Desk
from agent.runtime.desk_looks import Looks
from agent.runtime.desk_rooms import (
    Braking,
    Charting,
    Closing,
    Linking,
    Resolving,
    Rooms,
    Switching,
    Undoing,
)
from agent.runtime.fallback.counter import Counter
from agent.runtime.pause import clear_pause, write_pause
from agent.runtime.proofdesk import Answers

log = structlog.get_logger(__name__)

_ACTIVITY_AT_ONCE = 50


class Running(Protocol):
    """The engine, as far as people may tell it something."""

    @property
    def brakes(self) -> Braking: ...
    def check_now(self) -> None: ...
    def accept_source(self) -> None: ...


class Served(Protocol):
    """What the host gives; ``agent.runtime.host.Host`` is one."""

    @property
    def engine(self) -> Running: ...
    @property
    def journal(self) -> Journal: ...
    @property
    def paths(self) -> Paths: ...
    def report(self) -> Report: ...
    def obey_pause(self) -> None: ...


class ControlService:
    """An agent that cannot be asked works all the same: trouble here is logged and said, no more.

    Events: "status" (a Report, while anybody listens), "activity" (a line of the journal's),
    "review" (counts of what waits for a person), "safety" (what the switches say), "job" (long
    work, without its result). PHI-free.
    """

    def __init__(
        self, host: Served, rooms: Rooms, *, group: str, more: Iterable[Offer] = ()
    ) -> None:
        self._host = host
        self._rooms = rooms
        self.desk = Desk(rooms)
        self.server = ControlServer(
            host.paths.control_socket,
            [*self.desk.offers(), *more],
            agent_version=__version__,
            group=group,
        )
        self._counts: dict[str, int] = {}
        self._safety: object = None
        self._told = host.journal.last_activity()

    def start(self) -> None:
        try:
            self.server.start()
        except ControlError as error:
            log.warning("control.not_served", code=error.code)

    def stop(self) -> None:
        self.server.stop()

    def tell_job(self, job: Job) -> None:
        """From the job's thread. What it found so far is asked for by who may."""
        self.server.events.publish("job", msgspec.structs.replace(job, result=None), keep=False)

    def tick(self, report: Report) -> None:
        """Tell the listeners what is new."""
        events = self.server.events
        try:
            if events.is_watched:
                events.publish("status", report, keep=False)
            self._tell_activity()
            self._tell_counts(report.snapshot)
            self._tell_safety()
        except AgentError as error:  # a journal in trouble is told by the status
            log.info("control.tick_failed", code=error.code)

    def _tell_activity(self) -> None:
        journal = self._host.journal
        newest = journal.last_activity()
        if newest == self._told:
            return
        number, self._told = self._told[0], newest
        # A line that was added to is told again, by its number.
        for line in reversed(journal.recent_activity(_ACTIVITY_AT_ONCE)):
            if line.number >= number:
                self.server.events.publish("activity", line)

    def _tell_counts(self, snapshot: Snapshot) -> None:
        counts = {
            "conflicts": snapshot.open_conflicts,
            "contacts": snapshot.suspects,
            "tasks": snapshot.tasks_open,
            "unknown": snapshot.effects_unknown,
            "parked": snapshot.parked,
        }
        if counts != self._counts:
            self._counts = counts
            self.server.events.publish("review", counts)

    def _tell_safety(self) -> None:
        view: Any = self._rooms.safety.view() if self._rooms.safety is not None else None
        if view is not None and view != self._safety:
            self._safety = view
            self.server.events.publish("safety", view)


def serve_control(
    host: Served,
    *,
    group: str = "",
    resolver: Resolving | None = None,
    undoer: Undoing | None = None,
    linker: Linking | None = None,
    closer: Closing | None = None,
    safety: Switching | None = None,
    counter: Counter | None = None,
    proofs: Answers = MappingProxyType({}),
    chart: Charting | None = None,
    names: str = "short",
    more: Iterable[Offer] = (),
) -> ControlService:
    """A started service. ``group``: the setting control.group. Rooms left out answer that they
    need the running agent. ``proofs``: answers of ``proofdesk``. ``names``: the setting
    practice.names_in_lists; ``more``: what else may be asked."""

    def set_pause(until: datetime | None) -> bool:
        file = host.paths.pause_file
        if until is None:
            was = clear_pause(file)
        else:
            was = True
            write_pause(file, until)  # outlives a restart
        host.obey_pause()
        return was

    journal = host.journal
    rooms = Rooms(
        journal=journal,
        report=host.report,
        verify_audit=journal.verify_audit,
        set_pause=set_pause,
        turn=journal.turn,
        brakes=host.engine.brakes,
        accept_source=host.engine.accept_source,
        resolver=resolver,
        undoer=undoer,
        linker=linker,
        closer=closer,
        safety=safety,
        beside={**({} if counter is None else counter.answers()), **proofs},
        chart=chart,
        names=names,
        looks=Looks(journal, host.paths.agent_log, host.engine.check_now),
    )
    service = ControlService(host, rooms, group=group, more=more)
    if counter is not None:
        counter.jobs.listener = service.tell_job
    service.start()
    return service
