"""Work that takes a while: a thread each, looked at from outside, ended by a word.

A job's work gets a ``Ticket``: it reports by it and asks it whether to go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from agent.errors import AgentError
from agent.model.longwork import Job, JobState

log = structlog.get_logger(__name__)

KEPT = 50
MOST_AT_ONCE = 4


class JobsError(AgentError):
    """``jobs.gone|busy|not_ready``."""

    code = "jobs.gone"


class Cancelled(Exception):
    """A person ended it."""


class Ticket:
    """A job as its work sees it."""

    def __init__(self, jobs: Jobs, number: int) -> None:
        self._jobs = jobs
        self.number = number
        self.ending = threading.Event()

    def progress(self, done: int, total: int = 0, unit: str = "", result: Any = None) -> None:
        """Raises Cancelled. None leaves the result as it is."""
        change: dict[str, Any] = {"done": done, "total": total, "unit": unit}
        if result is not None:
            change["result"] = result
        self._jobs.change(self.number, **change)
        self.check()

    def waits(self, code: str = "") -> None:
        """What it waits for now; "" = for nothing."""
        self._jobs.change(self.number, code=code)

    def check(self) -> None:
        if self.ending.is_set():
            raise Cancelled


class Jobs:
    """Thread-safe. ``listener`` hears each change (already at most ten a second a job)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._tickets: dict[int, Ticket] = {}
        self._kept: dict[int, Any] = {}
        self._threads: dict[int, threading.Thread] = {}
        self._last = 0
        self.listener: Callable[[Job], None] | None = None

    def start(self, kind: str, work: Callable[[Ticket], Any]) -> Job:
        """``work`` gives the result. JobsError ``jobs.busy`` when too many run."""
        with self._lock:
            if sum(not job.is_over for job in self._jobs.values()) >= MOST_AT_ONCE:
                raise JobsError("jobs.busy")
            self._last += 1
            number = self._last
            job = self._jobs[number] = Job(number, kind, JobState.RUNNING)
            ticket = self._tickets[number] = Ticket(self, number)
            for old in list(self._jobs)[:-KEPT]:
                if self._jobs[old].is_over:
                    del self._jobs[old]
                    self._kept.pop(old, None)
            thread = threading.Thread(
                target=self._run, args=(ticket, work), name=f"job-{kind}", daemon=True
            )
            self._threads[number] = thread
        thread.start()
        return job

    def show(self, number: int) -> Job:
        with self._lock:
            job = self._jobs.get(number)
        if job is None:
            raise JobsError("jobs.gone")
        return job

    def cancel(self, number: int) -> Job:
        self.show(number)
        ticket = self._tickets.get(number)
        if ticket is not None:
            ticket.ending.set()
        return self.show(number)

    def keep(self, number: int, held: Any) -> None:
        """Something of a job for later requests; goes with it."""
        self._kept[number] = held

    def kept(self, number: int) -> Any:
        return self._kept.get(number)

    def stop(self, within_s: float = 1.0) -> None:
        for ticket in list(self._tickets.values()):
            ticket.ending.set()
        for thread in list(self._threads.values()):
            thread.join(within_s)

    def change(self, number: int, **change: Any) -> None:
        with self._lock:
            before = self._jobs.get(number)
            if before is None or before.is_over:
                return
            job = self._jobs[number] = msgspec.structs.replace(before, **change)
        if self.listener is not None:
            self.listener(job)

    def _run(self, ticket: Ticket, work: Callable[[Ticket], Any]) -> None:
        number = ticket.number
        try:
            result = work(ticket)
            self.change(number, state=JobState.DONE, code="", result=result)
        except Cancelled:
            self.change(number, state=JobState.CANCELLED, code="")
        except AgentError as error:
            log.info("job.failed", code=error.code)
            self.change(number, state=JobState.FAILED, code=error.code, facts=dict(error.facts))
        except Exception as error:
            log.error("job.bug", error=type(error).__name__, exc_info=error)
            self.change(number, state=JobState.FAILED, code="internal")
        finally:
            with self._lock:
                self._tickets.pop(number, None)
                self._threads.pop(number, None)
