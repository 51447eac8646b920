"""Front-desk life: deeds at a steady rate against a live practice, each told as a ``Deed``.

``Life.step()`` does one deed now; ``Life.run()`` paces them. What is done next depends only on the
seed and on what the database holds. May import the deeds beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from random import Random
from typing import Any, Protocol

import msgspec
import structlog

from agent.errors import PmsError
from agent.model.streams import Stream
from agent.sandbox.practice import life_money, life_people, life_visits
from agent.sandbox.practice.front import DeedKind, Front, Outcome, Touch

log = structlog.get_logger(__name__)


class Deed(msgspec.Struct, frozen=True):
    """One thing done. ``at_*`` is just after its last commit, ``began_monotonic`` before the first.

    ``also`` are further records it wrote, in order (equal values change nothing); ``values`` are
    columns of the main record to look for; ``traceless``: no log row and no moved stamp tells.
    """

    number: int
    kind: DeedKind
    stream: Stream
    key: int
    table: str
    gone: bool
    traceless: bool
    began_monotonic: float
    at_monotonic: float
    at_wall: datetime
    statements: int
    also: tuple[Touch, ...] = ()
    values: dict[str, str] = {}


ACTIONS: Mapping[DeedKind, Callable[[Front], Outcome | None]] = {
    DeedKind.BOOK: life_visits.book,
    DeedKind.MOVE: life_visits.move,
    DeedKind.CONFIRM: life_visits.confirm,
    DeedKind.BREAK: life_visits.break_,
    DeedKind.COMPLETE: life_visits.complete,
    DeedKind.DELETE_APPOINTMENT: life_visits.delete_appointment,
    DeedKind.NEW_PATIENT: life_people.new_patient,
    DeedKind.DEMOGRAPHICS: life_people.demographics,
    DeedKind.PAYMENT: life_money.payment,
    DeedKind.ADJUSTMENT: life_money.adjustment,
    DeedKind.COMMLOG: life_people.commlog,
    DeedKind.NOTE: life_people.note,
    DeedKind.RECALL: life_people.recall,
    DeedKind.FIELD: life_people.field,
    DeedKind.CLAIM_RECEIVED: life_money.claim_received,
    DeedKind.AGING: life_money.aging,
    DeedKind.SILENT_EDIT: life_people.silent_edit,
    DeedKind.HARD_DELETE: life_people.hard_delete,
    DeedKind.SCHEDULE_DAY: life_people.schedule_day,
}

# Parts per hundred or so of an office's day; enough bookings that the book never runs dry.
USUAL_MIX: Mapping[DeedKind, float] = {
    DeedKind.BOOK: 20, DeedKind.MOVE: 9, DeedKind.CONFIRM: 16, DeedKind.BREAK: 4,
    DeedKind.COMPLETE: 8, DeedKind.DELETE_APPOINTMENT: 2, DeedKind.NEW_PATIENT: 4,
    DeedKind.DEMOGRAPHICS: 9, DeedKind.PAYMENT: 6, DeedKind.ADJUSTMENT: 1.5,
    DeedKind.COMMLOG: 8, DeedKind.NOTE: 4, DeedKind.RECALL: 3, DeedKind.FIELD: 2,
    DeedKind.CLAIM_RECEIVED: 2, DeedKind.AGING: 0.4, DeedKind.SILENT_EDIT: 0.5,
    DeedKind.HARD_DELETE: 0.5, DeedKind.SCHEDULE_DAY: 0.6,
}  # fmt: skip


class Counting(Protocol):
    """A connection that counts what was written through it."""

    statements: int


class Life:
    """A front desk at work on one connection. Not thread-safe; run several for several desks.

    ``front`` and ``actions``: the deeds of another layout; without them ``desk`` is a ``Desk``.
    """

    def __init__(
        self,
        desk: Counting,
        *,
        seed: int = 1,
        mix: Mapping[DeedKind, float] | None = None,
        front: Any = None,
        actions: Mapping[DeedKind, Callable[[Any], Outcome | None]] = ACTIONS,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.desk = desk
        self._rng = rng or Random(f"life:{seed}")
        self._front = Front(desk, self._rng) if front is None else front  # type: ignore[arg-type]  # a desk then
        self._actions = actions
        weights = dict(mix if mix is not None else USUAL_MIX)
        self._kinds = [k for k, w in weights.items() if w > 0]
        self._limits = list(accumulate(weights[k] for k in self._kinds))
        self._clock, self._sleep = clock, sleep
        self._number = 0

    def step(self, kind: DeedKind | None = None) -> Deed:
        """Do one deed, of that kind or as the mix has it. PmsError when nothing at all is possible.

        A kind that finds nothing to act on is passed over for another, unless it was asked for.
        """
        for _ in range(50):
            chosen = kind or self._choose()
            began, before = self._clock(), self.desk.statements
            outcome = self._actions[chosen](self._front) if chosen in self._actions else None
            if outcome is None:
                if kind is not None:
                    break
                continue
            self._number += 1
            main = outcome.main
            return Deed(
                number=self._number, kind=chosen, stream=main.stream, key=main.key,
                table=main.table, gone=main.gone, traceless=outcome.traceless,
                began_monotonic=began, at_monotonic=self._clock(), at_wall=datetime.now(UTC),
                statements=self.desk.statements - before, also=outcome.also,
                values=outcome.values,
            )  # fmt: skip
        raise PmsError("practice.nothing_to_do", kind=str(kind or "any"))

    def run(
        self,
        *,
        rate: float,
        duration_s: float | None = None,
        changes: int | None = None,
        stop: threading.Event | None = None,
    ) -> Iterator[Deed]:
        """Deeds at ``rate`` a second until a bound is reached or ``stop`` is set.

        Paced against the start, so a slow deed is caught up with and the mean rate holds.
        """
        start = self._clock()
        done = 0
        while changes is None or done < changes:
            due = start + done / rate
            now = self._clock()
            if duration_s is not None and max(due, now) - start >= duration_s:
                return
            if due > now:
                if stop is not None:
                    if stop.wait(due - now):
                        return
                else:
                    self._sleep(due - now)
            elif stop is not None and stop.is_set():
                return
            yield self.step()
            done += 1

    def _choose(self) -> DeedKind:
        roll = self._rng.random() * self._limits[-1]
        return next(k for k, limit in zip(self._kinds, self._limits, strict=True) if roll < limit)
