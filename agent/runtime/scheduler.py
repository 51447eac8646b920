"""Timed chores. The only import of apscheduler.

Chores only wake or write small things; the lanes do the work. Missed runs are coalesced.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

log = structlog.get_logger(__name__)


class _Beat(BaseTrigger):  # type: ignore[misc]  # apscheduler has no types
    """Every so long, counted on from now where a beat was missed.

    The library's own interval lists every missed beat: a clock set forward by years (a dead
    battery, then the network's time) would keep it busy for hours.
    """

    def __init__(self, every: timedelta) -> None:
        self.every = every

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        due = (previous or now) + self.every
        return due if due > now else now + self.every


class Chores:
    """Named chores, each every so many seconds, never twice at once."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )
        self._scheduler.add_listener(self._failed, EVENT_JOB_ERROR)

    def every(
        self, seconds: float, name: str, chore: Callable[[], None], *, first_s: float | None = None
    ) -> None:
        """``first_s``: how soon after the start it runs first, if sooner than ``seconds``; else an
        agent restarted every night would never come to its daily chores."""
        first = datetime.now(UTC) + timedelta(seconds=seconds if first_s is None else first_s)
        beat = _Beat(timedelta(seconds=seconds))
        self._scheduler.add_job(chore, beat, id=name, next_run_time=first)

    def start(self) -> None:
        self._scheduler.start()

    def clock_moved(self) -> None:
        """The computer's clock was set: what was due by the old one is due one beat from now. Set
        back, it would otherwise stop every chore, the status first, until it has caught up."""
        if not self._scheduler.running:
            return
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC) + job.trigger.every)

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _failed(self, event: JobExecutionEvent) -> None:
        log.error("chore.failed", chore=event.job_id, error=type(event.exception).__name__)
