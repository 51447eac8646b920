"""Listens for the CRM's hints (server-sent events) that something waits. A hint carries nothing.

Losing them costs latency only, so whatever goes wrong here is said once in the log and tried again.
Must not import the engine, the journal or httpx.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator

import structlog

from agent.crm.auth import Auth
from agent.crm.limits import Backoff
from agent.crm.sockets import Leash
from agent.crm.transport import Transport
from agent.errors import CrmAuthError, CrmError, CrmUnavailable
from agent.ports import Clock

_log = structlog.get_logger(__name__)

QUIET_S = 40.0  # the CRM says something every 15 s
_STEADY_S = 30.0  # a stream that lived this long was no failure
_LONGEST_LINE = 4096
KINDS = frozenset({"hello", "commands", "contacts", "changes", "config"})


class Hints:
    """Calls ``heard`` with "commands", "contacts", "changes" or "config", and with "hello" whenever
    the line is (again) there: what happened in between was not heard. ``heard`` must return at
    once."""

    def __init__(
        self,
        transport: Transport,
        auth: Auth,
        clock: Clock,
        heard: Callable[[str], None],
        *,
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._clock = clock
        self._heard = heard
        self._rng = rng or random.SystemRandom()
        self._backoff = backoff or Backoff(first_s=1.0, longest_s=120.0)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._leash = Leash()

    def run(self) -> None:
        """Listen until ``stop``; to be run in a thread of its own."""
        while not self._stopping.is_set():
            began = self._clock.mono()
            retry_after_s: float | None = None
            try:
                self._listen()
                reason = "ended"
            except CrmError as exc:
                reason = exc.code
                if isinstance(exc, CrmAuthError):
                    self._auth.forget()  # it may be paired anew by then
                if isinstance(exc, CrmUnavailable):
                    retry_after_s = exc.retry_after_s
            if self._stopping.is_set():
                return
            now = self._clock.mono()
            if now - began >= _STEADY_S:
                self._backoff = self._backoff.succeeded()
            self._backoff = self._backoff.failed(now, self._rng, retry_after_s)
            wait_s = self._backoff.wait_s(now)
            _log.debug("hints.lost", reason=reason, failures=self._backoff.failures, wait_s=wait_s)
            self._stopping.wait(wait_s)

    def stop(self) -> None:
        """End ``run`` at once, from any thread."""
        self._stopping.set()
        with self._lock:
            self._leash.pull()

    def _listen(self) -> None:
        with self._lock:
            if self._stopping.is_set():
                return
            leash = self._leash = Leash()
        bearer = self._auth.bearer()
        try:
            self._hear(bearer, leash)
        except CrmUnavailable as exc:
            if exc.facts.get("status") != 401:
                raise
            self._hear(self._auth.renew(bearer), leash)

    def _hear(self, bearer: str, leash: Leash) -> None:
        parts = self._transport.stream(
            "/v1/sync/events",
            route="events",
            headers={"authorization": f"Bearer {bearer}"},
            quiet_s=QUIET_S,
            leash=leash,
        )
        for kind in read_events(parts):
            if kind in KINDS:
                self._heard(kind)


def read_events(parts: Iterable[bytes]) -> Iterator[str]:
    """The names of the events of a stream (WHATWG HTML, "Server-sent events"); data is left alone.

    A line longer than any the contract has ends the reading: it is not ours.
    """
    name = ""
    left = b""
    for part in parts:
        *lines, left = (left + part).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if len(left) > _LONGEST_LINE:
            return
        for line in lines:
            if not line:
                if name:
                    yield name
                name = ""
            elif line.startswith(b"event:"):
                name = line[6:].decode("ascii", "replace").removeprefix(" ")[:40]
