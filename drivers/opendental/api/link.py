"""HTTP to one Open Dental API. The only import of httpx among the drivers.

The question a writer must answer after any trouble is whether the request may have arrived, so a
connection serves one request only and the first byte that leaves is noticed. Never logs or raises
an address, a key, a query, a body or an answer's text.
"""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx
import msgspec
import structlog
import truststore

from agent.errors import PmsBusy, PmsUnavailable
from agent.model.effects import WriteUnknown

log = structlog.get_logger(__name__)

CONNECT_S = 5.0
DEADLINE_S = 70.0  # the vendor gives up after 60 s and says so with 504
MAX_ANSWER_BYTES = 16_000_000
_PIECE_BYTES = 65_536
_TROUBLES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpx.HTTPError,
    OSError,
    ValueError,
)


class Answer(msgspec.Struct, frozen=True):
    """A complete answer. ``location``: the path in the Location header, "" without one."""

    status: int
    body: bytes
    location: str = ""

    @property
    def is_good(self) -> bool:
        return self.status in (200, 201)

    @property
    def content(self) -> Any:
        """The JSON value, None when the body is empty or no JSON."""
        try:
            return msgspec.json.decode(self.body) if self.body else None
        except msgspec.DecodeError:
            return None

    @property
    def words(self) -> str:
        """The explanation in small letters, to be searched for words; never to be shown."""
        return self.body[:2000].decode("utf-8", "replace").lower()


class _Wire(httpcore.NetworkBackend):
    """Sockets that obey the request's deadline and remember whether anything left."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self._inner = httpcore.SyncBackend()
        self._mono = mono
        self.ends = 0.0
        self.sent = False

    def left_s(self) -> float:
        return self.ends - self._mono()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        limit = min(self.left_s(), CONNECT_S)
        if limit <= 0:
            raise httpcore.ConnectTimeout("deadline")
        inner = self._inner.connect_tcp(host, port, limit, local_address, socket_options)
        return _Stream(inner, self)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, wire: _Wire) -> None:
        self._inner = inner
        self._wire = wire

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._wire.left_s()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE_BYTES):
            left = self._wire.left_s()
            if left <= 0:
                raise httpcore.WriteTimeout("deadline")
            self._wire.sent = True
            self._inner.write(bytes(view[start : start + _PIECE_BYTES]), left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, max(self._wire.left_s(), 0.001))
        return _Stream(inner, self._wire)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _OneShot(httpx.BaseTransport):
    """httpx over connections that are never used twice."""

    def __init__(self, wire: _Wire) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=wire,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        return httpx.Response(
            status_code=answer.status, headers=answer.headers, stream=_Body(answer)
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        stream = self._answer.stream
        assert isinstance(stream, Iterable)
        yield from stream

    def close(self) -> None:
        self._answer.close()


class Link:
    """One base address with one pair of keys. One request at a time.

    ``pause_s``: least time from the start of a request to the start of the next (the vendor's
    throttle counts so). ``deadline_s``: from connecting to the last byte of the answer.
    """

    def __init__(
        self,
        base_url: str,
        developer_key: str,
        customer_key: str,
        *,
        pause_s: float = 0.0,
        deadline_s: float = DEADLINE_S,
        mono: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base = base_url.rstrip("/")
        self.host = urlsplit(self._base).hostname or ""
        self._pause_s = pause_s
        self._deadline_s = deadline_s
        self._mono = mono
        self._sleep = sleep
        self._began: float | None = None
        self._wire = _Wire(mono)
        # At INFO these libraries write every address they call into whatever log the host set up.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.Client(
            transport=_OneShot(self._wire),
            headers={
                "authorization": f"ODFHIR {developer_key}/{customer_key}",
                "content-type": "application/json",
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": "bridgework",
            },
            follow_redirects=False,
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"Link({self.host})"

    def close(self) -> None:
        self._client.close()

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, deadline_s: float | None = None
    ) -> Answer:
        """Ask. Every trouble is PmsUnavailable: nothing was to change."""
        try:
            return self._exchange("GET", path, None, query, deadline_s or self._deadline_s)
        except _TROUBLES as error:
            raise self._unavailable(error) from None

    def send(self, verb: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        """Change something. Raises PmsUnavailable when certainly nothing left, WriteUnknown when
        something left and no whole answer came."""
        encoded = msgspec.json.encode(body) if body is not None else None
        try:
            return self._exchange(verb, path, encoded, None, self._deadline_s)
        except _TROUBLES as error:
            if not self._wire.sent:
                raise self._unavailable(error) from None
            late = isinstance(error, httpcore.TimeoutException)
            raise WriteUnknown("write.no_answer" if late else "write.answer_cut") from None

    def pages(
        self, path: str, query: Mapping[str, str], page_rows: int
    ) -> Iterator[dict[str, Any]]:
        """Every object of a list, page by page until one is not full. Raises PmsUnavailable."""
        offset = 0
        while True:
            asked = {**query, "Limit": str(page_rows), "Offset": str(offset)}
            answer = self.get(path, asked)
            found = answer.content
            if not answer.is_good or not isinstance(found, list):
                raise PmsUnavailable("write.api_answer_odd", status=answer.status)
            yield from (one for one in found if isinstance(one, dict))
            if len(found) < page_rows:
                return
            offset += len(found)

    def _exchange(
        self,
        verb: str,
        path: str,
        body: bytes | None,
        query: Mapping[str, str] | None,
        deadline_s: float,
    ) -> Answer:
        self._wait()
        self._began = self._mono()
        self._wire.ends = self._began + deadline_s
        self._wire.sent = False
        request = self._client.build_request(
            verb, f"{self._base}/{path}", content=body, params=dict(query) if query else None
        )
        response = self._client.send(request, stream=True)
        try:
            answer = Answer(
                response.status_code,
                self._read(response),
                urlsplit(response.headers.get("location", "")).path,
            )
        finally:
            response.close()
        took_ms = round((self._mono() - self._began) * 1000, 1)
        log.debug("pms.api_answered", verb=verb, status=answer.status, took_ms=took_ms)
        if answer.status == 429:  # refused at the door
            raise PmsBusy("write.api_throttled")
        return answer

    @staticmethod
    def _read(response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_raw():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise ValueError("answer too large")
            parts.append(part)
        return b"".join(parts)

    def _wait(self) -> None:
        if self._pause_s and self._began is not None:
            left = self._began + self._pause_s - self._mono()
            if left > 0:
                self._sleep(left)

    def _unavailable(self, error: Exception) -> PmsUnavailable:
        return PmsUnavailable("write.api_unreachable", host=self.host, cause=type(error).__name__)


def is_this_machine(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1", socket.gethostname()}
