"""Small pieces of HTTP for the reference CRM: bodies, answers, quotas, wake-ups.

Imports Starlette, msgspec and this package's problems.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.wire import MAX_BODY_BYTES, decode

T = TypeVar("T")
CUT: Final = "bridgework.cut"  # set in a request's scope: cut the line instead of answering
_SSE_PING_S: Final = 15.0


def instant(at_us: int | None = None) -> str:
    """ISO 8601 UTC with microseconds; now when nothing is given."""
    at = datetime.now(UTC) if at_us is None else datetime.fromtimestamp(at_us / 1e6, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(body, status, headers, media_type="application/json")


def refused(refusal: Refusal) -> Response:
    return Response(
        refusal.body(), refusal.status, refusal.headers, media_type="application/problem+json"
    )


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The whole body, never more than ``limit`` bytes of it."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise Refusal(413, "payload-too-large", max_body_bytes=limit)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Refusal(413, "payload-too-large", max_body_bytes=limit)
        parts.append(part)
    return b"".join(parts)


def check_media(request: Request, wanted: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise Refusal(415, "unsupported-media-type", f"Content-Type must be {wanted}")


async def read_json(request: Request, shape: type[T], limit: int = 1_000_000) -> T:
    """A JSON body of the given shape. Raises Refusal 400, 413, 415."""
    check_media(request, "application/json")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "unsupported-media-type", "Only a push may be compressed")
    body = await read_body(request, limit)
    try:
        return decode(body, shape)
    except msgspec.ValidationError:
        raise Refusal(400, "invalid-request") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(400, "invalid-json") from None


def query(request: Request, shape: type[T]) -> T:
    """Query parameters of the given shape; unknown names are left alone. Raises Refusal 400."""
    given: dict[str, Any] = dict(request.query_params)
    try:
        return msgspec.convert(given, type=shape, strict=False)
    except msgspec.ValidationError:
        raise Refusal(400, "invalid-request", "query") from None


class Quota:
    """A refilling bucket per caller: ``amount`` requests per ``window_s`` seconds.

    ``spend`` returns the headers to send along; raises Refusal 429 with Retry-After.
    """

    def __init__(
        self,
        name: str,
        amount: int,
        window_s: int = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._amount = amount
        self._window_s = window_s
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}
        self._policy = f'"{name}";q={amount};w={window_s}'

    def spend(self, caller: str) -> dict[str, str]:
        now = self._clock()
        left, since = self._left.get(caller, (float(self._amount), now))
        rate = self._amount / self._window_s
        left = min(float(self._amount), left + (now - since) * rate)
        if left < 1:
            wait_s = int((1 - left) / rate) + 1
            raise Refusal(
                429,
                "quota-exceeded",
                headers={**self._headers(0, wait_s), "Retry-After": str(wait_s)},
                violated_policies=[self._name],
            )
        self._left[caller] = (left - 1, now)
        full_in_s = int((self._amount - left + 1) / rate) + 1
        return self._headers(int(left - 1), full_in_s)

    def _headers(self, left: int, reset_s: int) -> dict[str, str]:
        return {
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"{self._name}";r={left};t={reset_s}',
        }


class Listener:
    """One reader that waits for things to happen: a kind that rang waits until it is heard."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._bell = asyncio.Event()
        self._is_closed = False

    def tell(self, kind: str) -> None:
        self._rung.add(kind)
        self._bell.set()

    def close(self) -> None:
        self._is_closed = True
        self._bell.set()

    async def hear(self, kinds: frozenset[str], seconds: float) -> str | None:
        """The next of these kinds that rings; None when the time is over or the server stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._is_closed:
                    heard = self._rung & kinds
                    self._rung.clear()
                    self._bell.clear()
                    if heard:
                        return min(heard)
                    await self._bell.wait()
        return None

    async def gather(self, seconds: float) -> set[str] | None:
        """Everything that rang, once something did; empty when the time is over, None when the
        server stops."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        return self.rest()

    def rest(self) -> set[str] | None:
        if self._is_closed:
            return None
        rung = self._rung
        self._rung = set()
        self._bell.clear()
        return rung


class Wakeups:
    """Tells listeners that something of a kind happened; carries no content.

    Everything but ``ring_from_outside`` is called on the server's loop.
    """

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_closed = False

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()

    def ring(self, *kinds: str) -> None:
        for listener in self._listeners:
            for kind in kinds:
                listener.tell(kind)

    def ring_from_outside(self, *kinds: str) -> None:
        self.on_loop(self.ring, *kinds)

    def on_loop(self, work: Callable[..., object], *given: object) -> None:
        """Have it done on the server's loop, from any thread; not waited for."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work, *given)

    def close(self) -> None:
        self.is_closed = True
        for listener in self._listeners:
            listener.close()

    @contextlib.contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener that misses nothing from here on."""
        listener = Listener()
        if self.is_closed:
            listener.close()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def stream(self, kinds: Mapping[str, str], for_s: float, *, gather_s: float = 0.0) -> Response:
        """A server-sent event stream. ``kinds``: what rings -> the event's name. ``gather_s``:
        pause after an event, so that a flood of them arrives as a few."""
        return StreamingResponse(
            self._lines(kinds, for_s, gather_s),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _lines(
        self, kinds: Mapping[str, str], for_s: float, gather_s: float
    ) -> AsyncIterator[bytes]:
        ends_at = time.monotonic() + for_s
        with self.listening() as listener:
            yield b"retry: 2000\nevent: hello\ndata:\n\n"
            while not self.is_closed:
                left_s = ends_at - time.monotonic()
                if left_s <= 0:
                    return
                rung = await listener.gather(min(left_s, _SSE_PING_S))
                if rung and gather_s:
                    await asyncio.sleep(gather_s)
                    later = listener.rest()
                    rung = None if later is None else rung | later
                if rung is None:
                    return
                if not rung:
                    yield b": still here\n\n"
                    continue
                for name in sorted({kinds[kind] for kind in rung if kind in kinds}):
                    yield f"event: {name}\ndata:\n\n".encode()
