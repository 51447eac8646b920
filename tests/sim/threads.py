"""``threading`` and ``concurrent.futures`` as tasks of the kernel, put under the product's rooms.

The product's lanes are plain blocking loops over events, locks and small pools. ``installed`` gives
the modules of ``agent.sync`` and ``agent.journal`` these instead of the interpreter's, so that the
loops themselves are what is tested, lost wake-ups and held locks included.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from tests.sim.kernel import Kernel, Task, Violation
from tests.support.faultfs import Crash

ROOMS = ("agent.sync.", "agent.journal.")


class SimThreading:
    """The names of ``threading`` that the product uses. ``starting``: called before a pool takes
    work; raises where no thread is to be had."""

    def __init__(
        self,
        kernel: Kernel,
        process: Callable[[], str],
        starting: Callable[[], None] = lambda: None,
    ) -> None:
        self.kernel = kernel
        self.process = process
        self.starting = starting
        self.local = SimpleNamespace  # one connection serves all tasks over a given VFS

    def Event(self) -> Event:
        return Event(self.kernel)

    def Lock(self) -> Lock:  # noqa: N802
        return Lock(self.kernel)

    def RLock(self) -> Lock:  # noqa: N802
        return Lock(self.kernel, again=True)

    def get_ident(self) -> int:
        return id(self.kernel.current)

    def ThreadPoolExecutor(self, most: int, thread_name_prefix: str = "pool") -> Pool:  # noqa: N802
        return Pool(self.kernel, most, thread_name_prefix, self.process, self.starting)

    def Future(self) -> Future:  # noqa: N802
        return Future(self.kernel)


class _Waited:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.waiting: list[Task] = []

    def wait_for(self, timeout: float | None) -> None:
        task = self.kernel.me()
        self.waiting.append(task)
        try:
            self.kernel.wait_s(timeout)
        finally:
            if task in self.waiting:
                self.waiting.remove(task)

    def wake_all(self) -> None:
        for task in self.waiting:
            self.kernel.wake(task)
        self.waiting.clear()


class Event:
    def __init__(self, kernel: Kernel) -> None:
        self._waited = _Waited(kernel)
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._waited.wake_all()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        kernel = self._waited.kernel
        kernel.me()
        if self._is_set:
            kernel.preempt()
            return True
        until = None if timeout is None else kernel.now + timeout
        while not self._is_set:
            left = None if until is None else until - kernel.now
            if left is not None and left <= 0:
                break
            self._waited.wait_for(left)
        return self._is_set


class Lock:
    def __init__(self, kernel: Kernel, *, again: bool = False) -> None:
        self._waited = _Waited(kernel)
        self._again = again
        self._owner: Task | None = None
        self._depth = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        kernel = self._waited.kernel
        if kernel.current is None:  # the world outside the tasks: never waits
            assert self._owner is None or self._owner.is_done
            self._depth = 1
            return True
        kernel.preempt()
        me = kernel.me()
        if self._again and self._owner is me:
            self._depth += 1
            return True
        while self._owner is not None and not self._owner.is_done:
            if not blocking:
                return False
            if self._owner is me:
                raise RuntimeError("a lock is taken twice by one task")
            me.behind = self._owner
            self._waited.wait_for(None)
            me.behind = None
        self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._waited.wake_all()

    def locked(self) -> bool:
        return self._owner is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Future:
    def __init__(self, kernel: Kernel) -> None:
        self._done = Event(kernel)
        self._result: Any = None
        self._error: BaseException | None = None
        self._cancelled = False
        self._running = False

    def result(self, timeout: float | None = None) -> Any:
        if not self._done.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result

    def done(self) -> bool:
        return self._done.is_set()

    def cancel(self) -> bool:
        self._cancelled = not self._running and not self.done()
        return self._cancelled

    def set_running_or_notify_cancel(self) -> bool:
        self._running = not self._cancelled
        return self._running

    def set_result(self, result: Any) -> None:
        self._result = result
        self._done.set()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._done.set()

    def wait(self) -> None:
        self._done.wait()


def wait(futures: Iterable[Future]) -> None:
    for future in futures:
        future.wait()


class Pool:
    def __init__(
        self,
        kernel: Kernel,
        most: int,
        name: str,
        process: Callable[[], str],
        starting: Callable[[], None],
    ) -> None:
        self._kernel = kernel
        self._starting = starting
        self._most = most
        self._name = name
        self._process = process
        self._running = 0
        self._queue: deque[tuple[Future, Callable[[], Any]]] = deque()
        self._idle = Event(kernel)

    def submit(self, run: Callable[..., Any], *args: Any) -> Future:
        self._starting()
        future = Future(self._kernel)
        self._queue.append((future, lambda: run(*args)))
        self._start()
        return future

    def shutdown(self, wait: bool = True) -> None:
        while wait and (self._running or self._queue):
            self._idle.clear()
            self._idle.wait()

    def _start(self) -> None:
        while self._queue and self._running < self._most:
            future, run = self._queue.popleft()
            self._running += 1
            self._kernel.spawn(
                self._name, lambda f=future, r=run: self._one(f, r), process=self._process()
            )

    def _one(self, future: Future, run: Callable[[], Any]) -> None:
        try:
            future.set_result(run())
        except (Crash, Violation):
            raise
        except BaseException as error:
            future.set_exception(error)
        finally:
            self._running -= 1
            self._idle.set()
            self._start()


@contextmanager
def installed(threads: SimThreading) -> Iterator[None]:
    """Under every module of the rooms that names them."""
    names: dict[str, Any] = {
        "threading": threads,
        "ThreadPoolExecutor": threads.ThreadPoolExecutor,
        "Future": threads.Future,
        "wait": wait,
    }
    patches = [
        patch.object(module, name, value)
        for room, module in list(sys.modules.items())
        if room.startswith(ROOMS)
        for name, value in names.items()
        if _is_the_interpreters(vars(module).get(name))
    ]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def _is_the_interpreters(value: Any) -> bool:
    home = getattr(value, "__module__", None) or getattr(value, "__name__", "")
    return str(home).partition(".")[0] in ("threading", "concurrent")
