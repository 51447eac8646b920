"""The client: the command line's and the window's line to the running agent. Blocking.

    with Client.call(paths.control_socket, name="cli") as agent:
        page = agent.ask(ListConflicts())

Refusals arrive as the agent's own errors (code, facts, exit code); ``control.no_agent`` when none
runs. One thread at a time. Imports agent.model and agent.errors only.
"""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from agent.control.ends import Line
from agent.control.line import connect
from agent.control.protocol import (
    EVENT,
    HELLO,
    LOST,
    MAX_LINE,
    PING,
    SUBSCRIBE,
    UNSUBSCRIBE,
    VERSIONS,
    Answer,
    ControlError,
    Event,
    Hello,
    Lost,
    Subscribe,
    Subscribed,
    Welcome,
    call_line,
    error_of,
    parse_answer,
)
from agent.model.asking import Request, Role, answer_type

T = TypeVar("T")

ANSWER_WITHIN_S = 60.0
_HELD_EVENTS = 1000  # events that arrive while we wait for an answer


class Client:
    """A greeted line. ``welcome`` says whom we talk to and what we may ask."""

    def __init__(self, line: Line, welcome: Welcome, held: bytearray) -> None:
        """Use ``call``."""
        self.welcome = welcome
        self._line = line
        self._held = held
        self._last = 0
        self._events: deque[Event | Lost] = deque()

    @classmethod
    def call(cls, path: Path, *, name: str = "", timeout_s: float = 5.0) -> Self:
        """Connect and greet. ControlError: control.no_agent, control.denied, control.version,
        control.busy, control.impostor, control.timeout."""
        line = connect(path, timeout_s)
        client = cls(line, Welcome(0, "", 0, Role.VIEWER, "", ()), bytearray())
        try:
            hello = Hello(VERSIONS, name)
            client.welcome = client._ask(HELLO, hello, Welcome, timeout_s)
        except BaseException:
            line.close()
            raise
        return client

    def ask(self, request: Request[T], timeout_s: float = ANSWER_WITHIN_S) -> T:
        """The answer, or the agent's error. After ControlError("control.timeout") the line is
        closed; whether the agent did it is then not known."""
        kind = answer_type(type(request))
        found: T = self._ask(request.method, request, kind, timeout_s)
        return found

    def ping(self, timeout_s: float = 5.0) -> None:
        self._ask(PING, {}, str, timeout_s)

    def subscribe(self, wish: Subscribe | None = None) -> Subscribed:
        """Events come by ``next_event`` from now on."""
        found: Subscribed = self._ask(SUBSCRIBE, wish or Subscribe(), Subscribed, ANSWER_WITHIN_S)
        return found

    def unsubscribe(self) -> None:
        self._ask(UNSUBSCRIBE, {}, bool, ANSWER_WITHIN_S)

    def next_event(self, timeout_s: float) -> Event | Lost | None:
        """The next event or gap; None when none came in time."""
        deadline = time.monotonic() + timeout_s
        while not self._events:
            try:
                answer = self._receive(deadline)
            except TimeoutError:
                return None
            self._take_note(answer)
        return self._events.popleft()

    def hang_up(self) -> None:
        """From any thread: whoever waits for an answer here gets control.lost."""
        self._line.hang_up()

    def close(self) -> None:
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, method: str, params: object, kind: Any, timeout_s: float) -> Any:
        self._last += 1
        deadline = time.monotonic() + timeout_s
        try:
            self._line.send(call_line(self._last, method, params), timeout_s)
            while True:
                answer = self._receive(deadline)
                if answer.method:
                    self._take_note(answer)
                elif answer.error is not None and answer.id in {None, self._last}:
                    raise error_of(answer.error)
                elif answer.id == self._last:
                    return _decoded(answer.result, kind)
        except TimeoutError:
            self.close()
            raise ControlError("control.timeout") from None
        except OSError:
            self.close()
            raise ControlError("control.lost") from None

    def _take_note(self, answer: Answer) -> None:
        kind = {EVENT: Event, LOST: Lost}.get(answer.method)
        if kind is None:
            return  # a newer agent's; not for us
        self._events.append(_decoded(answer.params, kind))
        if len(self._events) > _HELD_EVENTS:  # we are the slow one now: the oldest become a gap
            oldest, next_one = self._events.popleft(), self._events.popleft()
            self._events.appendleft(Lost(_ends(oldest)[0], _ends(next_one)[1]))

    def _receive(self, deadline: float) -> Answer:
        """The next line. TimeoutError; ControlError("control.lost") when the agent hung up."""
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            if searched >= MAX_LINE:
                raise ControlError("control.garbage")
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            chunk = self._line.receive(left_s)
            if not chunk:
                raise ControlError("control.lost")
            self._held += chunk
        text = bytes(self._held[:end])
        del self._held[: end + 1]
        return parse_answer(text)


def _decoded(raw: msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError:
        raise ControlError("control.garbage") from None


def _ends(event: Event | Lost) -> tuple[int, int]:
    return (event.seq, event.seq) if isinstance(event, Event) else (event.first, event.last)
