"""The agent as one process of the simulated machine: built as the composition root builds it.

Everything between the ports is the product's own code; the lanes run as tasks. What the host does
on a timer (heartbeat, pairing retried, status) is a task as well.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any
from unittest.mock import patch

from agent.errors import AgentError
from agent.journal import audit, database, journal, meta, schema
from agent.journal.journal import Journal
from agent.model.effects import Effect
from agent.model.status import State, overall
from agent.support.health import take_snapshot
from agent.sync import apply, carrying, engine, pull, push, twoway
from agent.sync.apply import ApplyTuning
from agent.sync.datamap import DataMap, load_map
from agent.sync.engine import Engine
from agent.sync.session import Tuning
from agent.sync.sweep import Rotation
from agent.sync.twoway import TwoWay, TwoWayTuning
from tests.sim.crm import CrmLine, SimCrm
from tests.sim.faults import Faults
from tests.sim.kernel import Kernel, SimClock
from tests.sim.pms import ZONE, Pms
from tests.sim.ports import TABLE_OF, SimSource, SimWriter
from tests.support.faultfs import Crash

PATH = Path("journal.db")
NAME = "agent"
HOT_S, WARM_S, COLD_S = 60.0, 120.0, 240.0
TUNING = Tuning(
    zone=ZONE,
    gate_s=2.0,
    overlap_s=60.0,
    rotation=Rotation(HOT_S, WARM_S, COLD_S, chunk_rows=10),
    page_rows=20,
    load_duty=1.0,
    sweep_duty=1.0,
    confirm_delete_s=30.0,
    reconcile_s=120.0,
    key_sets_s=20.0,
    window_days=30,
    brake_rows=10,
)
TWO_WAY = TwoWayTuning(
    zone=ZONE, apply=ApplyTuning(give_up_s=600.0, task_timeout_s=3600.0), poll_wait_s=15
)

#: idle looks that cost a run more than they show: module -> constant -> seconds
STRETCHED: dict[ModuleType, dict[str, float]] = {
    engine: {"IDLE_S": 4.0},
    apply: {"IDLE_S": 4.0},
    push: {"IDLE_S": 4.0},
    pull: {"CHORES_EVERY_S": 5.0},
    twoway: {},
    carrying: {},
    database: {"CHECKPOINT_PAGES": 60},
}


class PlainSeal:
    """Sealing is shown elsewhere; here it would be chance and time."""

    def seal(self, plain: bytes, context: bytes) -> bytes:
        return context[:4].ljust(4, b"-") + plain

    def open(self, sealed: bytes, context: bytes) -> bytes:
        return sealed[4:]


@cache
def empty_journal() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / PATH
        schema.migrate(path)
        return path.read_bytes()


@cache
def site_map() -> DataMap:
    whole = load_map("opendental")
    return DataMap(tuple(row for row in whole.rows if row.stream in TABLE_OF))


@contextmanager
def stretched(uuids: Iterator[Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for module, constants in STRETCHED.items():
            for name, value in constants.items():
                stack.enter_context(patch.object(module, name, value))
        for home in (meta, journal):
            stack.enter_context(patch.object(home, "uuid4", lambda: next(uuids)))
        yield


class Process:
    """One life. ``start`` raises what opening the journal raises."""

    def __init__(
        self, kernel: Kernel, clock: SimClock, pms: Pms, crm: SimCrm, faults: Faults, vfs: str,
        wrote: Callable[[Effect], None], sides: audit.Sides,
    ) -> None:  # fmt: skip
        self.kernel, self.clock, self.crm, self.faults = kernel, clock, crm, faults
        self.journal = Journal.open(PATH, seal=PlainSeal(), clock=clock, vfs=vfs, sides=sides)
        self.line = CrmLine(crm, self.journal.uuid, self.journal.epoch)
        self.source = SimSource(kernel, pms, faults)
        self.engine = Engine(
            self.source, self.line, self.journal, site_map(), clock, TUNING,
            kernel.streams.schedule.random,
        )  # fmt: skip
        self.two = TwoWay(
            self.engine, self.journal, site_map(), clock, self.line,
            kernel.streams.schedule.random,
            open_writer=lambda: SimWriter(kernel, pms, faults, wrote),
            say=lambda code, **_: code, tuning=TWO_WAY,
        )  # fmt: skip

    def start(self) -> None:
        stopping = self.engine.stopping
        lanes: dict[str, Callable[[], None]] = {
            "watch": self.engine.watch,
            "bulk": self.engine.bulk,
            "push": lambda: self.engine.dispatcher.run(stopping),
            **self.two.lanes(),
            "chores": self._chores,
        }
        for name, run in lanes.items():
            self.kernel.spawn(name, self._lane(name, run), process=NAME)

    def _lane(self, name: str, run: Callable[[], None]) -> Callable[[], None]:
        def body() -> None:
            run()
            if not self.engine.stopping.is_set():
                raise LaneEnded(name)

        return body

    def _chores(self) -> None:
        while not self.engine.stopping.is_set():
            self.engine.stopping.wait(10.0)
            if self.engine.dispatcher.line.auth_lost:
                self.engine.dispatcher.retry_auth()
            with contextlib.suppress(AgentError, MemoryError, RuntimeError):
                self.journal.note_beside()
                self.line.heartbeat(None)  # type: ignore[arg-type]

    def state(self) -> State:
        """As the tray shows it."""
        snapshot = take_snapshot(
            self.engine, self.journal, self.clock, pms_kind="opendental", findings=()
        )
        read_at = self.engine.pms.read_mono
        age = None if read_at is None else self.clock.mono() - read_at
        return overall(snapshot, read_age_s=age)

    def stop(self) -> None:
        """As a service is stopped: lanes end by themselves."""
        self.engine.stop()

    def close(self) -> None:
        self.journal.close()

    def bury(self) -> None:
        """The process is gone; its file handle must not write any more."""
        with contextlib.suppress(Exception, Crash):
            self.journal._writer.close(True)


class LaneEnded(Exception):
    """A lane returned although nobody told it to stop."""


def opens(error: BaseException) -> bool:
    """Whether a start that failed so is simply tried again, as a service manager does."""
    return isinstance(error, AgentError)
