"""The brakes of a running engine: which streams are stopped, why, and what a person allowed.

State lives in the journal's marks (``brake:<stream>``), so a restart does not release a brake.
"""

from __future__ import annotations

import threading
from collections.abc import Collection

from agent.errors import AgentError
from agent.journal.journal import Journal, Turn
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync.guards import BrakeRule, Odometer

_MARK = "brake:"
DELETE_WINDOW_S = 3600.0
CHANGE_WINDOW_S = 60.0
CHANGE_FLOOR_ROWS = 200  # a small practice may well touch every record in a busy minute

# Whole-table recalculations that Open Dental does as a matter of course (aging, fee updates,
# schedule days replaced) are no accident: the change brake would only cry wolf on these.
_CHANGE_EXEMPT = frozenset(
    {Stream.BALANCE, Stream.PROCEDURE_CODE, Stream.SCHEDULE_BLOCK, Stream.PRACTICE}
)

# Whole days of the schedule are replaced: a row that came makes up for one that goes.
_REPLACED = frozenset({Stream.SCHEDULE_BLOCK})


class Braked(AgentError):
    """More would change at once than may happen unattended; the stream waits for a person."""

    code = "guard.mass_change"


class Brakes:
    """Thread-safe. ``delete_rule`` and ``change_share`` come from the settings."""

    def __init__(
        self, journal: Journal, clock: Clock, *, delete_rule: BrakeRule, change_share: float
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._delete_rule = delete_rule
        self._change_rule = BrakeRule(CHANGE_FLOOR_ROWS, change_share)
        self._deletes = {stream: Odometer(DELETE_WINDOW_S) for stream in Stream}
        self._changes = {stream: Odometer(CHANGE_WINDOW_S) for stream in Stream}
        self._allowed_until: dict[Stream, float] = {}
        self._lock = threading.Lock()
        # A mark that ``allow`` has blanked is no brake.
        marks = journal.marks(_MARK)
        self._on = {Stream(name.removeprefix(_MARK)) for name, code in marks.items() if code}

    @property
    def on(self) -> frozenset[Stream]:
        with self._lock:
            return frozenset(self._on)

    def check_changes(self, stream: Stream, updated: int, present: int) -> None:
        """Raise Braked when ``updated`` more changes would exceed the share of the stream."""
        self._check(self._changes[stream], self._change_rule, stream, updated, present, "changes")

    def check_deletes(self, stream: Stream, deleted: int, present: int) -> None:
        self._check(self._deletes[stream], self._delete_rule, stream, deleted, present, "deletes")

    def note_created(self, stream: Stream, created: int) -> None:
        if stream in _REPLACED:
            with self._lock:
                self._deletes[stream].add(self._clock.mono(), -created)

    def _check(
        self,
        meter: Odometer,
        rule: BrakeRule,
        stream: Stream,
        count: int,
        present: int,
        kind: str,
    ) -> None:
        if not count or (kind == "changes" and stream in _CHANGE_EXEMPT):
            return
        now = self._clock.mono()
        with self._lock:
            if self._allowed_until.get(stream, 0.0) > now:
                return
            total = meter.total(now) + count
            if total <= rule.limit(present):
                meter.add(now, count)
                return
            self._on.add(stream)
        raise Braked(f"guard.mass_{kind}", stream=stream.value, rows=total, present=present)

    def record(self, turn: Turn, braked: Braked) -> None:
        """Persist the brake in a turn and tell people."""
        stream = Stream(str(braked.facts["stream"]))
        turn.set_mark(_MARK + stream.value, braked.code)
        turn.note(braked.code, stream, int(braked.facts["rows"] or 0))
        turn.audit("brake.on", {"stream": stream.value, "code": braked.code})

    def allow(self, streams: Collection[Stream], *, for_s: float) -> None:
        """A person (or a known upgrade) allows whatever is waiting, for a while."""
        until = self._clock.mono() + for_s
        with self._lock:
            released = [s for s in streams if s in self._on]
            for stream in streams:
                self._allowed_until[stream] = until
                self._on.discard(stream)
                self._deletes[stream].reset()
                self._changes[stream].reset()
        if released:
            with self._journal.turn() as turn:
                for stream in released:
                    turn.set_mark(_MARK + stream.value, "")
                    turn.due_all_chunks(stream)  # what the live lane passed over meanwhile
                    turn.audit("brake.allowed", {"stream": stream.value})
