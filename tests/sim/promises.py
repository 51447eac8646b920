"""Promises that are not about content: how often something is tried again (V2), how soon a stop is
heard (V6), that a conflict has a cause and a wish an answer (C2), and that no log names anybody
(S17)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

from agent.journal.pulled import ConflictKind, EffectState
from agent.model.commands import CommandType, EndState
from agent.model.streams import Stream
from agent.model.writing import Change
from agent.sync.effects import same
from agent.sync.merge import WHOLE
from tests.sim.faults import Kind
from tests.sim.kernel import Violation
from tests.sim.people import FAMILY, TEXT_FIELDS
from tests.sim.pms import Backup, Row

if TYPE_CHECKING:
    from tests.sim.agent import Process
    from tests.sim.crm import Asked
    from tests.sim.world import World

LONGEST_S = 86_400 * 1.2  # a day, and the jitter
SOONEST_S = 20.0  # a refused record is tried again after 25 s at the earliest, jitter aside
FAILURES, WITHIN_S = 12, 2.0  # so many sends in a row that fail in so short a time are hammering
STOP_S = 2.0
#: what the simulated people are called and live at, as it may be spelled anywhere
CANARIES = re.compile(
    rf"(?:{'|'.join(FAMILY)})[a-z]|NewP\d|Caller[cp]|First Street|1212555|@example\.org"
)
#: kinds that make a repeated refusal somebody else's doing
REPEATING = frozenset(
    {Kind.KEY_EXPIRED, Kind.CRM_RESTORED, Kind.DDL, Kind.BAD_ROW, Kind.TABLE_AWAY, Kind.WIPED,
     Kind.PMS_RESTORED, Kind.JOURNAL_DELETED, Kind.JOURNAL_RESTORED, Kind.STAMP_STORM,
     Kind.BIT_FLIP,
     Kind.AGENT_CLOCK}
)  # fmt: skip


def canary(_logger: object, _name: str, event: MutableMapping[str, Any]) -> Any:
    """A structlog processor: every event is looked at, none is written."""
    error = event.pop("exc_info", None)
    if CANARIES.search(f"{event} {error if isinstance(error, BaseException) else ''}"):
        raise Violation("S17", f"the log event {event.get('event')} tells of a patient")
    raise structlog.DropEvent


class Promises:
    def __init__(self, world: World) -> None:
        self.world = world
        self._refused: dict[tuple[Stream, Any], tuple[Change, float, int]] = {}
        self._newest: dict[tuple[Stream, Any], int] = {}  # version that arrived
        self._failures: deque[float] = deque()
        self._held: dict[tuple[int, str], set[str | None]] = {}
        self._gone: set[int] = set()  # patients the practice itself has been without

    # -- V2 ---------------------------------------------------------------------------------------

    def refused(self, change: Change) -> None:
        """The CRM's final no to one record. That to an older batch, which waited for its turn while
        newer content arrived, forbids nothing."""
        if change.version < self._newest[change.stream, change.key]:
            return
        now, life = self.world.kernel.now, self.world.lives
        self._refused[change.stream, change.key] = (change, now, life)

    def arrives(self, change: Change) -> None:
        """A record reaches the CRM."""
        place = change.stream, change.key
        self._newest[place] = max(self._newest.get(place, 0), change.version)
        found = self._refused.pop(place, None)
        world = self.world
        if found is None or world.faults.is_quiet or world.faults.plan.rates.keys() & REPEATING:
            return
        refused, at, life = found
        is_same = life == world.lives and refused.content_hash == change.content_hash
        is_new = change.version > refused.version  # not an older batch that waited for its turn
        if is_same and is_new and world.kernel.now - at < SOONEST_S:
            raise Violation("V2", f"{change.stream} {change.key} is asked again at once")

    def push_answered(self) -> None:
        self._failures.clear()

    def push_failed(self) -> None:
        now = self.world.kernel.now
        self._failures.append(now)
        while self._failures[0] < now - WITHIN_S:
            self._failures.popleft()
        if len(self._failures) > FAILURES:
            raise Violation("V2", f"{len(self._failures)} failed sends within {WITHIN_S:.0f} s")

    def check_waits(self, process: Process) -> None:
        """Nothing sleeps for longer than the longest step of its ladder."""
        if Kind.AGENT_CLOCK in self.world.faults.plan.rates:
            return
        sql = "SELECT max((SELECT max(due_at) FROM park), (SELECT max(due_at) FROM batch))"
        ((latest,),) = process.journal._writer.execute(sql).fetchall()
        if latest is not None and latest / 1e6 > self.world.clock.now().timestamp() + LONGEST_S:
            raise Violation("V2", "something is put off for more than a day")

    # -- V6 ---------------------------------------------------------------------------------------

    def check_stop(self, since: float) -> None:
        """Who still runs so long after the stop waits for an answer from outside."""
        since = max(since, self.world.asleep_until)
        tasks = [t for t in self.world.kernel.tasks if t.process == "agent" and not t.is_done]
        reading = any(task.name == "load-read" and task.outside for task in tasks)
        sending = any(task.name == "push" and task.outside for task in tasks)
        for task in tasks:
            if task.outside or (task.name == "push" and sending):
                continue  # a lane waits for its own threads
            if task.behind is not None and task.behind.outside:
                continue  # for a session, which one lane opens for all
            if task.name == "bulk" and reading:
                continue
            if self.world.kernel.now - max(since, task.returned_at) > STOP_S:
                raise Violation("V6", f"{task.name} goes on after the stop")

    # -- C2 ---------------------------------------------------------------------------------------

    def remember(self, table: str, key: int, row: Row | None) -> None:
        if table != "patient":
            return
        if row is None:
            self._gone.add(key)
        else:
            for column in TEXT_FIELDS.values():
                self._held.setdefault((key, column), set()).add(row.values.get(column))

    def restored(self, backup: Backup) -> None:
        self._gone |= {key for key, _ in self._held} - set(backup.rows["patient"])

    def check_wishes(self, process: Process) -> None:
        """Conflicts are about what both sides changed, and every wish was heeded or kept."""
        for ident, asked in self.world.crm.asked.items():
            if asked.command.type is CommandType.PATIENT_UPDATE:
                self._check_wish(ident, asked, process)

    def _check_wish(self, ident: str, asked: Asked, process: Process) -> None:
        met = process.journal.conflicts_of(ident)
        for row in met:
            if row.kind is ConflictKind.LOOP:
                continue  # about a field that went to and fro, whoever changed it last
            if row.field == WHOLE:
                if int(row.key) not in self._gone:
                    raise Violation("C2", f"{ident}: the patient was never gone")
                continue
            if same(row.field, row.base, row.pms):
                raise Violation(
                    "C2", f"{ident}: a conflict about {row.field}, which nobody changed"
                )
            held = self._held.get((int(row.key), TEXT_FIELDS.get(row.field, "")))
            if held is not None and not any(same(row.field, row.pms, value) for value in held):
                raise Violation("C2", f"{ident}: the practice never held that {row.field}")
        if asked.outcomes[-1].state not in (EndState.APPLIED, EndState.CONFLICT):
            return
        answered = {row.field for row in met}
        if WHOLE in answered:
            return  # the patient was gone
        for effect in process.journal.effects_of(ident):
            if effect.state is EffectState.VERIFIED:
                answered |= set(effect.effect.fields)
        for name, wish in asked.command.payload["fields"].items():
            held = self._held.get((int(asked.command.target.key or 0), TEXT_FIELDS.get(name, "")))
            if held is None or name in answered or any(same(name, wish, value) for value in held):
                continue
            raise Violation("C2", f"{ident}: the wish for {name} has no answer")
