"""The desk where no agent runs: it reads the journal, and switches what may be switched then.

What needs a running agent is refused with ``desk.needs_agent``.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec

from agent.config import Paths, PayloadSeal, Settings, open_secrets
from agent.errors import JournalError
from agent.journal.journal import Journal
from agent.journal.reads import Reads
from agent.journal.snapshot import verify_file, visiting
from agent.model.asking import Request
from agent.model.desk import (
    Canary,
    ClearSuspension,
    SafetyMode,
    SafetyView,
    SetSafety,
    SuspendBooking,
)
from agent.model.records import HeedParked, IgnoreParked, RetryParked
from agent.model.review import ForgetPolicy
from agent.model.status import Report
from agent.runtime.clock import SystemClock
from agent.runtime.desk import Desk
from agent.runtime.desk_looks import Looks
from agent.runtime.desk_rooms import Rooms
from agent.runtime.fallback.build import build_counter
from agent.runtime.mapping import Chart
from agent.runtime.pause import clear_pause, write_pause
from agent.runtime.proofdesk import proof_answers, without_engine
from agent.runtime.qualitydesk import Review, quality_answers
from agent.runtime.weekly import Weekly, week_answers
from agent.support.health import offline_report
from agent.sync.safety import Safety
from agent.sync.switches import FILE, Switch, of_settings

# What a person may do to a journal nobody works on.
WRITES: frozenset[type[Request[Any]]] = frozenset(
    {
        SetSafety,
        SuspendBooking,
        ClearSuspension,
        ForgetPolicy,
        RetryParked,
        IgnoreParked,
        HeedParked,
    }
)


@contextmanager
def reading_desk(settings: Settings, paths: Paths) -> Iterator[Desk]:
    """One snapshot of the journal, beside a running agent or without one. JournalError:
    journal.absent, journal.older, journal.key_missing."""
    file = _existing(settings, paths)
    seal = PayloadSeal.from_store(open_secrets(paths), may_create=False)
    with visiting(file, seal) as (_, visitor), tempfile.TemporaryDirectory() as folder:
        # The switches only read marks here: no request that writes comes to this desk.
        safety = _Switches(Safety(cast("Journal", visitor), SystemClock(), **_QUIET), settings)
        rooms = _rooms(settings, paths, visitor, safety)
        counter = build_counter(
            settings, paths, open_secrets(paths), visitor, SystemClock(),
            report=rooms.report, folder=Path(folder) / "handoff",
        )  # fmt: skip
        looking = without_engine(settings, open_secrets(paths), visitor, visitor.uuid)
        lists = counter.exporting
        review = Review(visitor, SystemClock(), paths.home, lists.records, lists.some)
        zone = ZoneInfo(settings.practice.zone) if settings.practice.zone else None
        weekly = Weekly(visitor, SystemClock().now, zone, lists.records, lists.some)
        beside = {
            **counter.answers(),
            **proof_answers(counter.jobs, looking),
            **quality_answers(counter.jobs, review),
            **week_answers(counter.jobs, weekly),
        }
        yield Desk(dataclasses.replace(rooms, beside=beside))
        counter.close()


@contextmanager
def writing_desk(settings: Settings, paths: Paths) -> Iterator[Desk]:
    """The journal opened for writing. AgentBusy while an agent runs."""
    file = _existing(settings, paths)
    seal = PayloadSeal.from_store(open_secrets(paths), may_create=False)
    clock = SystemClock()
    journal = Journal.open(file, seal=seal, clock=clock)
    try:
        safety = _Switches(Safety(journal, clock, **_QUIET), settings)
        rooms = _rooms(settings, paths, journal, safety)
        yield Desk(dataclasses.replace(rooms, turn=journal.turn))
    finally:
        journal.close()


def _existing(settings: Settings, paths: Paths) -> Path:
    file = paths.journal_file(settings.journal_dir)
    if not file.exists():
        raise JournalError("journal.absent", file=file.name)
    return file


def _rooms(settings: Settings, paths: Paths, journal: Reads, safety: _Switches) -> Rooms:
    file = paths.journal_file(settings.journal_dir)

    def report() -> Report:
        return offline_report(
            file,
            datetime.now(UTC),
            pms_kind=settings.pms.kind,
            is_set_up=bool(settings.crm.url and settings.crm.client_id),
        )

    def set_pause(until: datetime | None) -> bool:
        if until is None:
            return clear_pause(paths.pause_file)
        write_pause(paths.pause_file, until)
        return True

    return Rooms(
        journal=journal,
        report=report,
        verify_audit=lambda anchor: verify_file(file, anchor),
        set_pause=set_pause,
        safety=safety,
        chart=Chart(
            lambda: settings,
            paths,
            None,
            lambda: None,
            why=lambda: "desk.needs_agent",
            strangers=dict,
        ),
        names=settings.practice.names_in_lists,
        looks=Looks(journal, paths.agent_log),
    )


def _no_trouble() -> str | None:
    return None


def _nothing() -> None:
    return None


_QUIET: dict[str, Callable[[], Any]] = {"live": _no_trouble, "on_change": _nothing}


class _Switches:
    """The journal's switches together with the settings', which a running agent would add."""

    def __init__(self, safety: Safety, settings: Settings) -> None:
        self._safety = safety
        s = settings.safety
        self._file = of_settings(
            s.mode, s.canary_operatories, s.canary_providers, s.canary_patients
        )

    def view(self) -> SafetyView:
        view, file = self._safety.view(), self._file
        return msgspec.structs.replace(
            view,
            mode=max(view.mode, file.mode, key=lambda mode: mode.strictness),
            canary=view.canary if view.canary != Canary() else file.canary,
            sources={**view.sources, FILE: file.mode},
        )

    def desk_switch(self, mode: SafetyMode, canary: Canary | None) -> Switch:
        return self._safety.desk_switch(mode, canary)

    def say(self, place: str, switch: Switch, actor: str) -> None:
        self._safety.say(place, switch, actor)

    def suspend(self, code: str, actor: str) -> None:
        self._safety.suspend(code, actor)

    def clear(self, actor: str) -> None:
        self._safety.clear(actor)
