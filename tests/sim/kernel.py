"""The simulation's kernel: tasks, virtual time, and everything chance decides.

Tasks are greenlets, so the product's blocking loops run unchanged and exactly one of them runs at a
time. A task gives way where it waits: at ``sleep``, at an event, at a lock, at every port call. Who
goes on is decided by the heap of (time, tie); the tie is drawn from the schedule's own stream.
Nothing here knows the product.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any

from greenlet import greenlet

from tests.support.faultfs import Crash

TRACE_KEPT = 400
MOST_AT_ONCE = 50_000  # switches without any time passing: something spins


class Violation(BaseException):
    """A rule of the product was seen broken. Not an Exception: the product may not swallow it."""

    def __init__(self, rule: str, what: str) -> None:
        self.rule = rule
        super().__init__(f"{rule}: {what}")


class Streams:
    """Independent streams of chance from one seed: taking one away does not move the others."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.workload = Random(f"{seed}:workload")
        self.schedule = Random(f"{seed}:schedule")
        self.faults = Random(f"{seed}:faults")
        self.ids = Random(f"{seed}:ids")

    def named(self, name: str) -> Random:
        """A stream of its own, for a user or a fault."""
        return Random(f"{self.seed}:{name}")

    def share(self, name: str, n: int) -> float:
        """In [0, 1): the n-th draw under a name, whatever else was drawn."""
        drawn = hashlib.blake2b(f"{self.seed}:{name}:{n}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn, "big") / 2**64


class Task:
    """One line of control. ``process``: who dies together."""

    __slots__ = ("behind", "error", "glet", "is_done", "is_doomed", "name", "outside", "process",
                 "returned_at", "waking")  # fmt: skip

    def __init__(self, name: str, process: str) -> None:
        self.name = name
        self.process = process
        self.glet: greenlet | None = None
        self.waking = 0  # which wait is the present one: an older timer is stale
        self.is_done = False
        self.is_doomed = False
        self.error: BaseException | None = None
        self.outside = 0  # calls under way to somebody else's server
        self.returned_at = 0.0  # from the last of them
        self.behind: Task | None = None  # who holds the lock it waits for


class Kernel:
    def __init__(self, seed: int) -> None:
        self.streams = Streams(seed)
        self.now = 0.0
        self.current: Task | None = None
        self.tasks: list[Task] = []
        self.trace_lines: deque[str] = deque(maxlen=TRACE_KEPT)
        self.switches = 0
        self.preempt_p = 0.0
        self.may_preempt: Callable[[], bool] = lambda: True
        self._at_once = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._heap: list[tuple[float, float, int, Task, int]] = []
        self._asleep: dict[str, float] = {}  # process -> until when nothing of it runs
        self._seq = 0
        self._hub = greenlet.getcurrent()

    # -- what happened ----------------------------------------------------------------------------

    def trace(self, what: str) -> None:
        who = self.current.name if self.current is not None else "-"
        line = f"{self.now:.6f} {who} {what}"
        self.trace_lines.append(line)
        self._digest.update(line.encode())

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def progress(self) -> tuple[int, int, float]:
        """Another one whenever a task gave way or time passed."""
        return self.switches, self._seq, self.now

    # -- tasks ------------------------------------------------------------------------------------

    def spawn(
        self, name: str, run: Callable[[], Any], *, process: str = "world", after: float = 0.0
    ) -> Task:
        task = Task(name, process)

        def body() -> None:
            try:
                run()
            except BaseException as error:
                task.error = error
            finally:
                task.is_done = True

        task.glet = greenlet(body, parent=self._hub)
        self.tasks.append(task)
        self._wake_at(task, self.now + after)
        return task

    def doom(self, process: str) -> list[Task]:
        """What the process's tasks (they are returned) do next fails, once they give way."""
        doomed = [task for task in self.tasks if task.process == process and not task.is_done]
        for task in doomed:
            task.is_doomed = True
        return doomed

    def kill(self, process: str) -> None:
        """Every task of the process ends where it stands; what it still wants to do fails."""
        for task in self.doom(process):
            if task is self.current or task.glet is None:
                continue
            if not task.glet:  # never started
                task.is_done = True
                continue
            before, self.current = self.current, task
            task.glet.parent = greenlet.getcurrent()
            task.glet.throw(Crash("killed"))
            self.current = before
            task.error = None
        self.tasks = [task for task in self.tasks if not task.is_done or task is self.current]
        self._asleep.pop(process, None)

    def delay(self, process: str, seconds: float) -> None:
        """The process does not run for so long; its timers are late, and nothing wakes it."""
        self._asleep[process] = self.now + seconds
        self._heap = [
            (at + seconds if task.process == process else at, tie, seq, task, waking)
            for at, tie, seq, task, waking in self._heap
        ]
        heapq.heapify(self._heap)

    def run(self, until: Callable[[], bool], *, most_s: float = float("inf")) -> bool:
        """Until ``until`` holds (True), nothing is left or ``most_s`` has come (False). Raises what
        a task of the world raised; a Crash goes to ``on_crash``."""
        while not until():
            task = self._next(most_s)
            if task is None:
                return False
            self._enter(task)
        return True

    def _next(self, most_s: float) -> Task | None:
        while self._heap:
            at, _, _, task, waking = self._heap[0]
            if task.is_done or task.waking != waking:
                heapq.heappop(self._heap)
                continue
            if at > most_s:
                self.now = max(self.now, most_s)
                return None
            heapq.heappop(self._heap)
            self._advance(at)
            return task
        return None

    def _advance(self, at: float) -> None:
        if at > self.now:
            self.now = at
            self._at_once = 0
            return
        self._at_once += 1
        if self._at_once > MOST_AT_ONCE:
            raise Violation("V4", "a task spins without time passing")

    def _enter(self, task: Task) -> None:
        assert task.glet is not None
        self.switches += 1
        self.current = task
        task.glet.parent = self._hub
        task.glet.switch()
        self.current = None
        if task.is_done:
            self.tasks.remove(task)
            if task.error is not None:
                error, task.error = task.error, None
                raise error

    # -- what tasks call --------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Time passes for this task."""
        task = self.me()
        at = self.now + max(seconds, 0.0)
        first = self._heap[0][0] if self._heap else float("inf")
        if at < first and seconds > 0:  # nobody else comes first: no need to change tasks
            self._advance(at)
            return
        self._wake_at(task, at)
        self.give_way()

    def preempt(self) -> None:
        """Somebody else may come first here."""
        if (
            self.preempt_p > 0
            and self.current is not None
            and self.may_preempt()
            and self.streams.schedule.random() < self.preempt_p
        ):
            self.sleep(self.streams.schedule.choice((0.0, 0.001, 0.02)))

    def me(self) -> Task:
        task = self.current
        if task is None:
            raise RuntimeError("only a task can wait")
        if task.is_doomed:
            raise Crash("still dying")
        return task

    def wait_s(self, timeout: float | None) -> None:
        """Until ``wake`` or the timeout."""
        task = self.me()
        if timeout is None:
            task.waking += 1
        else:
            self._wake_at(task, self.now + max(timeout, 0.0))
        self.give_way()

    def wake(self, task: Task) -> None:
        if not task.is_done and not task.is_doomed:
            self._wake_at(task, self.now)

    def give_way(self) -> None:
        task = self.me()
        assert task.glet is not None
        task.glet.parent.switch()  # type: ignore[union-attr]
        if task.is_doomed:
            raise Crash("still dying")

    def _wake_at(self, task: Task, at: float) -> None:
        task.waking += 1
        self._seq += 1
        at = max(at, self._asleep.get(task.process, 0.0))
        tie = self.streams.schedule.random()
        heapq.heappush(self._heap, (at, tie, self._seq, task, task.waking))


class Outside:
    """``with Outside(kernel)``: the current task waits for somebody else's server."""

    __slots__ = ("_kernel", "_task")

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._task = kernel.current

    def __enter__(self) -> None:
        if self._task is not None:
            self._task.outside += 1

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.outside -= 1
            self._task.returned_at = self._kernel.now


class SimClock:
    """agent.ports.Clock in virtual time. ``offset_s``: how far this machine's wall clock is off."""

    def __init__(self, kernel: Kernel, start: datetime) -> None:
        self._kernel = kernel
        self._start = start
        self.offset_s = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._kernel.now + self.offset_s)

    def passed_s(self, micros: int) -> float:
        """When in virtual time this clock, as it is set now, showed so many microseconds."""
        return micros / 1e6 - self._start.timestamp() - self.offset_s

    def mono(self) -> float:
        return 1_000.0 + self._kernel.now

    def sleep(self, seconds: float) -> None:
        self._kernel.sleep(seconds)
