"""The server: takes calls from local programs, checks who may ask what, answers, tells events.

Nothing a client does (garbage, endless lines, silence, not reading) costs the agent more than a
thread of its own and a line in the log. Knows no rooms of the engine: what can be asked comes in
as offers. Imports agent.model and agent.errors only.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from agent.control.ends import Line, Listener
from agent.control.events import Events, Feed
from agent.control.line import lets_through, listen, role_of
from agent.control.protocol import (
    HELLO,
    MAX_LINE,
    PING,
    SUBSCRIBE,
    UNSUBSCRIBE,
    VERSIONS,
    Call,
    CallId,
    Code,
    ControlError,
    Fault,
    FaultDetail,
    Hello,
    Subscribe,
    Subscribed,
    Welcome,
    answer_line,
    fault_line,
    fault_of,
    parse_call,
    parse_params,
)
from agent.errors import AgentError
from agent.model.asking import Request, Role

log = structlog.get_logger(__name__)

STOP_WITHIN_S = 0.5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by the kernel's word. ``name`` is the account, for the audit."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that can be asked: its request class says method and role."""

    request: type[Request[Any]]
    answer: Callable[[Any, Caller], object]


@dataclass(frozen=True, slots=True)
class Limits:
    """``reserved``: of ``clients``, places no viewer may take. Times in seconds."""

    clients: int = 32
    reserved: int = 8
    hello_s: float = 5.0  # from the call to the hello
    line_s: float = 10.0  # from the first byte of a line to its last
    idle_s: float = 600.0  # without a word, unless it listens to events
    send_s: float = 30.0  # until a client takes what is sent
    strikes: int = 10  # lines that are no request


class _Dropped(Exception):
    """The server ends this line; ``why`` goes to the log, ``fault`` (if any) to the client."""

    def __init__(self, why: str, fault: Fault | None = None) -> None:
        self.why = why
        self.fault = fault
        super().__init__(why)


def _fault(code: Code, message: str) -> Fault:
    return Fault(code, message, FaultDetail(message))


class ControlServer:
    """``start`` returns at once, ``stop`` in half a second; ``events.publish`` from any thread."""

    def __init__(
        self,
        path: Path,
        offers: Iterable[Offer],
        *,
        agent_version: str,
        group: str = "",
        own_uid: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        """``own_uid``: whose calls are an admin's; this process's account unless tests say."""
        self.path = path
        self.events = Events()
        self.offers = {offer.request.method: offer for offer in offers}
        self.agent_version = agent_version
        self.limits = limits or Limits()
        self._group = group
        self._own_uid = own_uid if own_uid is not None else _uid()
        self._lock = threading.Lock()
        self._visits: set[_Visit] = set()
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises ControlError as ``listen`` does."""
        self._listener = listen(self.path, self._group)
        if self._group and not lets_through(self.path.parent, self._group):
            log.warning("control.group_shut_out")  # IT opens the folder, or nobody of it can call
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._listener is None or self._thread is None:
            return
        self._listener.close()
        self._thread.join(STOP_WITHIN_S / 2)
        with self._lock:
            visits = list(self._visits)
        for visit in visits:
            visit.hang_up()
        # Who waits for a long answer is not waited for: the rooms that answer stop next.
        deadline = time.monotonic() + STOP_WITHIN_S / 2
        for visit in visits:
            visit.join(max(deadline - time.monotonic(), 0.0))
        if not self._thread.is_alive():
            self._listener.release()
        self._listener = None

    @property
    def clients(self) -> int:
        with self._lock:
            return len(self._visits)

    def forget(self, visit: _Visit) -> None:
        with self._lock:
            self._visits.discard(visit)

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None:
            try:
                line = listener.accept()
            except OSError as error:  # no handles left: others go on, we try again
                log.warning("control.accept_failed", errno=error.errno)
                time.sleep(0.2)
                continue
            if line is None:
                return
            self._admit(line)

    def _admit(self, line: Line) -> None:
        role = role_of(line.peer, self._group, self._own_uid)
        room = self.limits.clients - (self.limits.reserved if role is Role.VIEWER else 0)
        visit = _Visit(self, line, Caller(line.peer.name, role))
        with self._lock:
            if admitted := len(self._visits) < room:
                self._visits.add(visit)
        if admitted:
            visit.start()
            return
        log.warning("control.dropped", why="full", uid=line.peer.uid)
        with contextlib.suppress(OSError):
            line.send(fault_line(None, _fault(Code.BUSY, "control.busy")), 0.1)
        line.close()


class _Visit(threading.Thread):
    """One client's line: its calls one after the other, its events by a second thread."""

    def __init__(self, server: ControlServer, line: Line, caller: Caller) -> None:
        super().__init__(name="control-visit", daemon=True)
        self._server = server
        self._limits = server.limits
        self._line = line
        self._caller = caller
        self._greeted = False
        self._strikes = 0
        self._sending = threading.Lock()
        self._feed: Feed | None = None
        self._teller: threading.Thread | None = None

    def hang_up(self) -> None:
        self._line.hang_up()
        if self._feed is not None:
            self._feed.close()

    def run(self) -> None:
        try:
            for text in self._lines():
                reply = self._reply(text)
                if reply is not None:
                    self._send(reply)
        except _Dropped as dropped:
            log.warning("control.dropped", why=dropped.why, uid=self._line.peer.uid)
            if dropped.fault is not None:
                with contextlib.suppress(OSError):
                    self._send(fault_line(None, dropped.fault), 1.0)
        except OSError:
            log.debug("control.line_lost", uid=self._line.peer.uid)
        except Exception as error:
            log.error("control.bug", error=type(error).__name__, exc_info=error)
        finally:
            self._leave()

    def _leave(self) -> None:
        self._line.hang_up()
        self._end_feed()
        self._line.close()
        self._server.forget(self)

    # -- what comes in --------------------------------------------------------------------------

    def _lines(self) -> Iterator[bytes]:
        """Whole lines without their end; raises _Dropped for who overdoes it."""
        held = bytearray()
        begun = now = time.monotonic()
        while True:
            chunk = self._receive(begun, now, partial=bool(held))
            if not chunk:
                return
            now = time.monotonic()
            if not held:
                begun = now
            searched = len(held)
            held += chunk
            while (end := held.find(b"\n", searched)) >= 0:
                if end >= MAX_LINE:
                    break
                text = bytes(held[:end])
                del held[: end + 1]
                searched = 0
                if text.strip():
                    yield text
                begun = now = time.monotonic()
            if len(held) >= MAX_LINE:
                raise _Dropped("oversize", _fault(Code.INVALID, "control.too_large"))

    def _receive(self, begun: float, spoke: float, *, partial: bool) -> bytes:
        limits = self._limits
        if partial:
            until, why = begun + limits.line_s, "slow"
        elif not self._greeted:
            until, why = begun + limits.hello_s, "silent"
        elif self._feed is not None:
            return self._line.receive(None)
        else:
            until, why = spoke + limits.idle_s, "idle"
        left_s = until - time.monotonic()
        try:
            if left_s > 0:
                return self._line.receive(left_s)
        except TimeoutError:
            pass
        raise _Dropped(why, _fault(Code.BUSY, "control.timeout"))

    def _reply(self, text: bytes) -> bytes | None:
        call = parse_call(text)
        if isinstance(call, Fault):
            self._strikes += 1
            if self._strikes >= self._limits.strikes:
                raise _Dropped("garbage", call)
            return fault_line(None, call)
        if call.id is not None and not isinstance(call.id, int | str):
            return None  # a notification: nothing of ours makes sense without an answer
        ident: CallId = call.id
        try:
            return answer_line(ident, self._answer(call))
        except _Fault as fault:
            return fault_line(ident, fault.fault)
        except AgentError as error:
            return fault_line(ident, fault_of(error))
        except Exception as error:
            log.error("control.bug", error=type(error).__name__, exc_info=error)
            return fault_line(ident, _fault(Code.INTERNAL, "internal"))

    def _answer(self, call: Call) -> object:
        if call.method == HELLO:
            return self._welcome(parse_params(call.params, Hello))
        if not self._greeted:
            raise _Fault(_fault(Code.HELLO_FIRST, "control.hello_first"))
        match call.method:
            case "ping":
                return PING
            case "events.subscribe":
                return self._subscribe(parse_params(call.params, Subscribe))
            case "events.unsubscribe":
                self._end_feed()
                return True
        offer = self._server.offers.get(call.method)
        if offer is None:
            raise _Fault(_fault(Code.NO_METHOD, "control.no_method"))
        if not self._caller.role.covers(offer.request.role):
            log.warning("control.refused", method=call.method, uid=self._line.peer.uid)
            detail = FaultDetail("control.forbidden", {"role": offer.request.role.value})
            raise _Fault(Fault(Code.FORBIDDEN, "control.forbidden", detail))
        return offer.answer(parse_params(call.params, offer.request), self._caller)

    def _welcome(self, hello: Hello) -> Welcome:
        common = [version for version in VERSIONS if version in hello.versions]
        if not common:
            raise ControlError("control.version", ours=max(VERSIONS))
        self._greeted = True
        may = self._caller.role
        return Welcome(
            version=max(common),
            agent_version=self._server.agent_version,
            pid=os.getpid(),
            role=may,
            boot=self._server.events.boot,
            methods=(
                *(m for m, o in self._server.offers.items() if may.covers(o.request.role)),
                *(PING, SUBSCRIBE, UNSUBSCRIBE),
            ),
        )

    # -- what goes out --------------------------------------------------------------------------

    def _send(self, content: bytes, timeout_s: float | None = None) -> None:
        with self._sending:
            self._line.send(content, timeout_s or self._limits.send_s)

    def _subscribe(self, wish: Subscribe) -> Subscribed:
        self._end_feed()
        feed, seq, missed = self._server.events.subscribe(wish)
        self._feed = feed
        self._teller = threading.Thread(
            target=self._tell, args=(feed,), name="control-events", daemon=True
        )
        self._teller.start()
        return Subscribed(seq, missed)

    def _tell(self, feed: Feed) -> None:
        try:
            while (content := feed.take()) is not None:
                self._send(content)
        except OSError:
            log.debug("control.line_lost", uid=self._line.peer.uid)
            self._line.hang_up()  # the reader leaves and cleans up

    def _end_feed(self) -> None:
        feed, teller = self._feed, self._teller
        self._feed = self._teller = None
        if feed is not None:
            self._server.events.unsubscribe(feed)
        if teller is not None:
            teller.join(self._limits.send_s)


class _Fault(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        super().__init__(fault.message)


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else -1
