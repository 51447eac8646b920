"""The window's line to the agent: asks and events, never on the UI thread.

    link = Link(path)
    link.start()
    link.report_changed.connect(show)                 # the agent's status, every second
    link.told.connect(take)                           # agent.control.protocol.Event, all kinds
    link.ask(ListConflicts(), then=self.show_page, owner=self)

One thread listens (and calls again when the line breaks); asks are answered by a few more, each
with a line of its own, so that a long answer holds up nobody. Everything is delivered on the thread
the link lives on. Imports agent.control, agent.model and agent.errors only.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import shiboken6
from PySide6.QtCore import QObject, Signal, Slot

from agent.control.client import ANSWER_WITHIN_S, Client
from agent.control.protocol import ControlError, Event, Lost, Subscribe, Welcome
from agent.errors import AgentError
from agent.model.asking import Request, Role
from agent.model.desk import GetStatus
from agent.model.status import Report

T = TypeVar("T")

ASKERS = 3
SILENT_S = 10.0  # after so long without a word the agent counts as gone
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 2.0
_LOOK_S = 1.0  # how long the listener waits before it looks whether it is to end


class Standing(StrEnum):
    """Of the line."""

    CALLING = "calling"
    UP = "up"
    DOWN = "down"


class Asked:
    """A question on its way. After ``cancel`` no answer is delivered; the agent may still do it."""

    def __init__(self) -> None:
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True


class Link(QObject):
    """``start`` once; ``close`` before the program ends."""

    report_changed = Signal(object)  # Report
    standing_changed = Signal(object)  # Standing
    told = Signal(object)  # Event; not "status"
    gap = Signal()  # events were lost or the agent is another: ask for lists anew
    refused = Signal(object)  # AgentError nobody else takes
    _deliver = Signal(object)  # a callable for the UI thread

    def __init__(self, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.standing = Standing.CALLING
        self.welcome: Welcome | None = None
        self.report: Report | None = None
        self.trouble = ""  # code of why the line is down
        self.heard_mono = time.monotonic()
        self._deliver.connect(self._run)
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(ASKERS, thread_name_prefix="ask")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._lines: set[Client] = set()
        self._listener = threading.Thread(target=self._listen, name="link", daemon=True)

    # -- for the window ---------------------------------------------------------------------------

    def start(self) -> None:
        self._listener.start()

    def close(self) -> None:
        """Ends quickly, whatever is being waited for."""
        self._ending.set()
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.hang_up()
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._listener.is_alive():
            self._listener.join(2.0)

    @property
    def is_silent(self) -> bool:
        """Nothing heard for too long: what was last said holds no longer."""
        return time.monotonic() - self.heard_mono > SILENT_S

    @property
    def role(self) -> Role:
        return self.welcome.role if self.welcome is not None else Role.VIEWER

    def may(self, kind: type[Request[Any]]) -> bool:
        """Whether the agent would answer this to us (its welcome says so)."""
        return self.welcome is not None and kind.method in self.welcome.methods

    def ask(
        self,
        request: Request[T],
        then: Callable[[T], None] | None = None,
        *,
        failed: Callable[[AgentError], None] | None = None,
        owner: QObject | None = None,
        timeout_s: float = ANSWER_WITHIN_S,
    ) -> Asked:
        """``then`` gets the answer, ``failed`` the refusal (else ``refused`` is emitted).

        Nothing is delivered once ``owner`` is gone or the handle was cancelled.
        """
        asked = Asked()

        def work() -> None:
            if asked.is_over or self._ending.is_set():
                return
            try:
                answer = self._answer(request, timeout_s)
            except AgentError as error:
                refusal = error
                self._hand_over(lambda: (failed or self.refused.emit)(refusal), asked, owner)
                return
            if then is not None:
                self._hand_over(lambda: then(answer), asked, owner)
            else:
                asked.is_over = True

        if not self._ending.is_set():
            self._pool.submit(work)
        return asked

    # -- on the UI thread -------------------------------------------------------------------------

    @Slot(object)
    def _run(self, act: Callable[[], None]) -> None:
        if not self._ending.is_set():
            act()

    def _hand_over(self, act: Callable[[], object], asked: Asked, owner: QObject | None) -> None:
        def deliver() -> None:
            if asked.is_over or (owner is not None and not shiboken6.isValid(owner)):
                return
            asked.is_over = True
            act()

        self._later(deliver)

    def _later(self, act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the program is ending: nobody to tell
            self._deliver.emit(act)

    def _stand(self, standing: Standing, trouble: str = "") -> None:
        def take() -> None:
            self.trouble = trouble
            if standing is not self.standing:
                self.standing = standing
                self.standing_changed.emit(standing)

        self._later(take)

    def _take_report(self, report: Report) -> None:
        self.report = report
        self.heard_mono = time.monotonic()
        self.report_changed.emit(report)

    # -- asking, on the pool's threads --------------------------------------------------------

    def _answer(self, request: Request[T], timeout_s: float) -> T:
        """A line that broke while idle is no reason to fail: it is called again once."""
        line: Client | None = getattr(self._local, "line", None)
        if line is not None:
            try:
                return line.ask(request, timeout_s)
            except ControlError as error:
                # "lost" before an answer: an agent that restarted. Not after a timeout, when the
                # agent may have done it.
                if error.code == "control.timeout":
                    self._drop(line)
                if error.code != "control.lost":
                    raise
                self._drop(line)
                if request.role is not Role.VIEWER:
                    raise
        line = self._call("window-ask")
        return line.ask(request, timeout_s)

    def _call(self, name: str) -> Client:
        line = Client.call(self.path, name=name)
        with self._lock:
            self._lines.add(line)
        self._local.line = line
        return line

    def _drop(self, line: Client) -> None:
        with self._lock:
            self._lines.discard(line)
        self._local.line = None
        line.close()

    # -- listening, on its own thread -------------------------------------------------------------

    def _listen(self) -> None:
        wait_s, after, boot = _FIRST_RETRY_S, None, ""
        while not self._ending.is_set():
            line: Client | None = None
            try:
                line = self._call("window")
                wait_s = _FIRST_RETRY_S
                after, boot = self._follow(line, after, boot)
            except AgentError as error:
                self._stand(Standing.DOWN, error.code)
            finally:
                if line is not None:
                    self._drop(line)
            self._ending.wait(wait_s)
            wait_s = min(wait_s * 1.6, _LAST_RETRY_S)

    def _follow(self, line: Client, after: int | None, boot: str) -> tuple[int | None, str]:
        """Until the line breaks; where the next one may go on."""
        welcome = line.welcome
        self._later(lambda: self._greeted(welcome))
        begun = line.subscribe(Subscribe(after=after, boot=boot if after is not None else ""))
        report = line.ask(GetStatus(), timeout_s=10.0)
        self._later(lambda: self._take_report(report))
        self._stand(Standing.UP)
        if begun.missed or after is None:
            self._later(self.gap.emit)
        last = begun.seq
        while not self._ending.is_set():
            try:
                found = line.next_event(_LOOK_S)
            except ControlError as error:
                self._stand(Standing.DOWN, error.code)
                return last, welcome.boot
            if isinstance(found, Event):
                last = found.seq
                self._heard(found)
            elif isinstance(found, Lost):
                last = found.last
                self._later(self.gap.emit)
        return last, welcome.boot

    def _greeted(self, welcome: Welcome) -> None:
        self.welcome = welcome

    def _heard(self, event: Event) -> None:
        if event.kind != "status":
            self._later(lambda: self.told.emit(event))
            return
        try:
            report = msgspec.convert(event.body, Report)
        except msgspec.ValidationError:
            return  # a newer agent's; its silence will show
        self._later(lambda: self._take_report(report))
