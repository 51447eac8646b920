"""The parent's side of the reader's child: spawn, ask with a deadline, kill.

No driver setting frees a stalled read everywhere, and drivers crash: so each connection lives in a
process of its own, which costs one page when it has to die. Spawned, never forked: a connection
shared over a fork is closed by whichever side ends first.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import structlog

from drivers.odbc import wire

log = structlog.get_logger(__name__)

ROOT = Path(__file__).resolve().parent.parent.parent
REAP_S = 5.0
PIPE_BYTES = 1 << 20
_NO_WINDOW = 0x08000000


class ChildDied(Exception):
    """It ended by itself: the driver crashed, or somebody killed it. ``ended``: its exit code,
    which tells a driver's crash (-11, 0xC0000005) from a kill (-9, 1)."""

    def __init__(self, ended: int) -> None:
        super().__init__(ended)
        self.ended = ended


class ChildOverdue(Exception):
    """It did not answer in time and was killed."""


def command(reader: str) -> list[str]:
    """How the child is started. ``reader``: another Python or a packaged reader; "" = our own."""
    if reader and not Path(reader).stem.lower().startswith("python"):
        return [reader]
    if not reader and getattr(sys, "frozen", False):
        return [sys.executable, "-m", "drivers.odbc.child"]  # a packed program takes -m too
    return [reader or sys.executable, "-X", "utf8", "-m", "drivers.odbc.child"]


class Watchdog:
    """Calls ``kill`` when a statement is overdue. One thread for the life of a child: starting one
    for each statement cost more than a page's way through the pipe.

    It is not woken for a deadline later than the one it sleeps for, nor when a statement ends in
    time: it finds that out when it wakes."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self.bit = False
        self._kill = kill
        self._bell = threading.Condition()
        self._due_mono = math.inf
        self._wakes_mono = math.inf
        self._left = False
        threading.Thread(target=self._stand, name="odbc-watchdog", daemon=True).start()

    def watch(self, for_s: float) -> None:
        with self._bell:
            self._due_mono = time.monotonic() + for_s
            if self._due_mono < self._wakes_mono:
                self._bell.notify()

    def rest(self) -> None:
        with self._bell:
            self._due_mono = math.inf

    def leave(self) -> None:
        with self._bell:
            self._left = True
            self._bell.notify()

    def _stand(self) -> None:
        with self._bell:
            while not self._left:
                wait_s = self._due_mono - time.monotonic()
                if wait_s <= 0:
                    self.bit = True
                    self._kill()
                    return
                self._wakes_mono = self._due_mono
                self._bell.wait(None if wait_s == math.inf else wait_s)


class Child:
    """One child process. Used by one thread at a time; ``kill`` from any."""

    def __init__(self, reader: str = "") -> None:
        """Raises OSError when it cannot be started at all."""
        # Our own settings, secrets among them, are none of a driver's business.
        environ = {k: v for k, v in os.environ.items() if not k.startswith("BRIDGEWORK_")}
        environ["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            command(reader),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a driver's chatter may hold its connection string
            env=environ,
            pipesize=PIPE_BYTES,  # a page passes in one go, where the system lets it
            creationflags=_NO_WINDOW if os.name == "nt" else 0,
        )
        self._watchdog = Watchdog(self._process.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: wire.Request, deadline_s: float) -> wire.Reply:
        """Raises ChildDied or ChildOverdue; the child is gone then."""
        self._watchdog.watch(deadline_s)
        try:
            wire.send(self._stdin, request)
            return wire.receive_reply(self._stdout)
        except wire.Ended:
            self.kill()
            if self._watchdog.bit:
                log.warning("odbc.child_overdue", pid=self.pid, deadline_s=deadline_s)
                raise ChildOverdue from None
            ended = self._process.returncode or 0
            log.warning("odbc.child_died", pid=self.pid, code=ended)
            raise ChildDied(ended) from None
        finally:
            self._watchdog.rest()

    def kill(self) -> None:
        """End it now; nothing it holds needs a farewell: connections read in autocommit."""
        self._watchdog.leave()
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @property
    def _stdin(self) -> BinaryIO:
        assert self._process.stdin is not None
        return self._process.stdin  # type: ignore[return-value]

    @property
    def _stdout(self) -> BinaryIO:
        assert self._process.stdout is not None
        return self._process.stdout  # type: ignore[return-value]
