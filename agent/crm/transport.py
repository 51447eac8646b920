"""HTTP to one CRM host: deadlines, size caps, proxies, system trust. The only import of httpx.

Never logs or raises a URL, a body or a header: only codes, statuses, host names and sizes. Knows
nothing about the CRM Sync API; every answer the CRM gave is returned, everything else (no route,
time out, captive portal, proxy trouble, cut answer) is a ``CrmUnavailable``.
"""

from __future__ import annotations

import logging
import ssl
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpcore
import httpx
import msgspec
import structlog
import truststore

from agent.crm.sockets import DeadlineBackend, Leash, LiveSockets, NameNotFound, Stopwatch
from agent.errors import ConfigError, CrmUnavailable
from agent.ports import Clock

_log = structlog.get_logger(__name__)

SKEW_WARNING_S = 300.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SLOW_S = 3.0  # an answer slower than this was held back: when it was dated is not known
_KEEPALIVE_S = 55.0  # under the 60 s at which common load balancers drop an idle connection


class Answer(msgspec.Struct, frozen=True):
    """What the CRM answered; ``body`` is decoded, header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        return self.media_type == "application/json" or self.media_type.endswith("+json")


class Transport:
    """One keep-alive HTTP/1.1 client for one base URL. Thread-safe.

    ``proxy``: None asks the system (environment, Windows or macOS settings), "none" goes direct,
    anything else is a proxy URL. ``ca_file`` adds trust anchors to the system's, for offices whose
    firewall inspects TLS. Plain http is accepted for this machine only.
    """

    def __init__(
        self,
        base_url: str,
        *,
        clock: Clock,
        agent_version: str,
        ca_file: Path | None = None,
        proxy: str | None = None,
        deadline_s: float = 30.0,
        max_answer_bytes: int = 32_000_000,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.host = urlsplit(self.base_url).hostname or ""
        self._clock = clock
        self._deadline_s = deadline_s
        self._max_answer_bytes = max_answer_bytes
        self._watch = Stopwatch(clock.mono)
        self._live = LiveSockets()
        self._closed = threading.Event()
        self._skew_lock = threading.Lock()
        self._skew_s: float | None = None
        self._skew_warned = False
        # At INFO these libraries write every URL they call into whatever log the host set up.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.Client(
            transport=_PoolTransport(
                DeadlineBackend(self._watch, self._live),
                context=trust_context(ca_file),
                proxy=proxy_for(self.base_url, proxy),
            ),
            headers={
                "user-agent": f"bridgework/{agent_version}",
                "accept": "application/json, application/problem+json",
                "accept-encoding": "gzip",
            },
            follow_redirects=False,
            trust_env=False,
        )

    @property
    def skew_s(self) -> float:
        """CRM clock minus ours in seconds, from the Date header; 0.0 before the first answer."""
        with self._skew_lock:
            return self._skew_s or 0.0

    def send(
        self,
        method: str,
        path: str,
        *,
        route: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        replayable: bool = True,
        leash: Leash | None = None,
    ) -> Answer:
        """Send one request and read its whole answer within the deadline.

        ``route`` names the call in logs (the path may hold keys). A ``replayable`` request is sent
        once more at once when a kept-alive connection turns out to be dead. Pulling the ``leash``
        ends the request (crm.woken). Raises CrmUnavailable.
        """
        began = self._clock.mono()
        self._watch.start(deadline_s or self._deadline_s, leash)
        with self._named_troubles(route, leash):
            try:
                answer = self._exchange(method, path, body, headers)
            except (httpcore.NetworkError, httpcore.RemoteProtocolError):
                stale = replayable and not self._watch.connected and not self._closed.is_set()
                if not stale or _is_pulled(leash):
                    raise
                _log.debug("crm.connection_was_dead", route=route)
                answer = self._exchange(method, path, body, headers)
        took_s = self._clock.mono() - began
        _log.debug(
            "crm.answered", route=route, status=answer.status, took_ms=round(took_s * 1000, 1)
        )
        self._refuse_strangers(answer)
        if answer.is_json:
            self._measure_skew(answer, took_s)
        return answer

    def stream(
        self, path: str, *, route: str, headers: Mapping[str, str], quiet_s: float, leash: Leash
    ) -> Iterator[bytes]:
        """The body of an endless answer as it comes (GET, text/event-stream).

        Ends with the answer; raises CrmUnavailable when nothing comes for ``quiet_s``, when the
        ``leash`` is pulled (crm.woken) and for any other answer.
        """
        self._watch.start(quiet_s, leash)
        with self._named_troubles(route, leash):
            response = self._begin("GET", path, None, {**headers, "accept": "text/event-stream"})
            try:
                answer = Answer(response.status_code, dict(response.headers), b"")
                if answer.status != 200 or answer.media_type != "text/event-stream":
                    raise CrmUnavailable("crm.no_hints", host=self.host, status=answer.status)
                if answer.headers.get("content-encoding", "identity") != "identity":
                    raise CrmUnavailable("crm.bad_answer", host=self.host, reason="encoding")
                for part in response.iter_raw():
                    yield part
                    self._watch.extend(quiet_s)
            finally:
                response.close()

    def download(
        self, path: str, sink: BinaryIO, *, route: str, most_bytes: int, quiet_s: float = 60.0
    ) -> int:
        """A file of any kind into ``sink``; its bytes. Raises CrmUnavailable: silent for
        ``quiet_s``, cut short, larger than ``most_bytes``, any answer but a plain 200."""
        self._watch.start(quiet_s, None)
        with self._named_troubles(route, None):
            wanted = {"accept": "*/*", "accept-encoding": "identity"}
            response = self._begin("GET", path, None, wanted)
            try:
                answer = Answer(response.status_code, dict(response.headers), b"")
                if answer.status != 200 or answer.media_type == "text/html":
                    raise CrmUnavailable("crm.bad_answer", host=self.host, status=answer.status)
                size = 0
                for part in response.iter_raw():
                    size += len(part)
                    if size > most_bytes:
                        raise CrmUnavailable("crm.answer_too_large", host=self.host)
                    sink.write(part)
                    self._watch.extend(quiet_s)
            finally:
                response.close()
        return size

    def drop_lines(self) -> None:
        """Every connection was made before the computer slept: whoever waits on one hears so now,
        and asks again on a new one."""
        self._live.shut()

    def close(self) -> None:
        """Close, interrupting requests still running in other threads (they get CrmUnavailable)."""
        self._closed.set()
        self._live.shut()
        self._client.close()

    @contextmanager
    def _named_troubles(self, route: str, leash: Leash | None) -> Iterator[None]:
        """Everything the HTTP library raises leaves as CrmUnavailable; the request's time ends."""
        try:
            yield
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as exc:
            if _is_pulled(leash):
                raise CrmUnavailable("crm.woken", host=self.host) from None
            error = self._unavailable(exc)
            _log.debug("crm.no_answer", route=route, code=error.code, host=self.host)
            raise error from None
        except httpcore.ProxyError as exc:
            words = str(exc).split()
            status = int(words[0]) if words and words[0].isdigit() else None
            raise CrmUnavailable("crm.proxy_refused", host=self.host, status=status) from None
        except (RuntimeError, OSError, ValueError, zlib.error) as exc:
            # A client closed under us, or a peer speaking TLS or gzip badly in mid-stream.
            code = "crm.closed" if self._closed.is_set() else "crm.bad_answer"
            code = "crm.woken" if _is_pulled(leash) else code
            raise CrmUnavailable(code, host=self.host, kind=type(exc).__name__) from None
        finally:
            self._watch.stop()

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        response = self._begin(method, path, body, headers)
        try:
            plain = self._read(response)
        finally:
            response.close()
        return Answer(response.status_code, dict(response.headers), plain)

    def _begin(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response:
        if self._closed.is_set():
            raise CrmUnavailable("crm.closed", host=self.host)
        request = self._client.build_request(
            method,
            self.base_url + path,
            content=body,
            headers=dict(headers or {}),
            timeout=httpx.Timeout(max(self._watch.left_s(), 0.001)),
        )
        return self._client.send(request, stream=True)

    def _read(self, response: httpx.Response) -> bytes:
        """Read the whole body, decoded, refusing to hold more than the cap."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            raise CrmUnavailable("crm.bad_answer", host=self.host, reason="encoding")
        unpack = zlib.decompressobj(31) if encoding == "gzip" else None
        parts: list[bytes] = []
        size = 0
        for raw in response.iter_raw():
            room = self._max_answer_bytes - size + 1
            part = unpack.decompress(raw, room) if unpack else raw
            size += len(part)
            if size > self._max_answer_bytes:
                raise CrmUnavailable("crm.answer_too_large", host=self.host)
            parts.append(part)
        if unpack is not None and size and not unpack.eof:
            raise CrmUnavailable("crm.cut_answer", host=self.host)
        return b"".join(parts)

    def _unavailable(self, exc: Exception) -> CrmUnavailable:
        """Name the trouble; exception texts of the library are never passed on."""
        cause = exc.__cause__ or exc.__context__
        if self._closed.is_set():
            code = "crm.closed"
        elif isinstance(exc, NameNotFound):
            code = "crm.name_not_found"
        elif isinstance(cause, ssl.SSLCertVerificationError):
            code = "crm.tls_untrusted"
        elif isinstance(cause, ssl.SSLError):
            code = "crm.tls_failed"
        elif isinstance(exc, httpcore.ConnectTimeout | httpcore.ConnectError):
            code = "crm.unreachable"
        elif isinstance(exc, httpcore.TimeoutException):
            code = "crm.timed_out"
        else:
            code = "crm.cut_answer"
        return CrmUnavailable(code, host=self.host, kind=type(exc).__name__)

    def _refuse_strangers(self, answer: Answer) -> None:
        """An answer that is not the CRM's: a captive portal, a filter, a proxy, a redirect."""
        if answer.status == 407:
            raise CrmUnavailable("crm.proxy_refused", host=self.host, status=407)
        if answer.status == 511 or (answer.status < 300 and answer.media_type == "text/html"):
            raise CrmUnavailable("crm.captive_portal", host=self.host, status=answer.status)
        if 300 <= answer.status < 400 and answer.status != 304:
            raise CrmUnavailable("crm.redirected", host=self.host, status=answer.status)
        if answer.status < 300 and answer.body and not answer.is_json:
            raise CrmUnavailable("crm.bad_answer", host=self.host, reason="media_type")

    def _measure_skew(self, answer: Answer, took_s: float) -> None:
        try:
            theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        except (TypeError, ValueError):
            return
        if theirs.tzinfo is None:
            return
        # The header has whole seconds, cut off, and was written some time during the exchange.
        at_the_end_s = (theirs - self._clock.now()).total_seconds()
        with self._skew_lock:
            self._skew_s = narrowed_skew_s(self._skew_s, at_the_end_s, took_s)
            wrong = abs(self._skew_s) > SKEW_WARNING_S
            warn, self._skew_warned = wrong and not self._skew_warned, wrong
            skew_s = self._skew_s
        if warn:
            _log.warning("crm.clock_skewed", skew_s=round(skew_s), host=self.host)


def narrowed_skew_s(known_s: float | None, at_the_end_s: float, took_s: float) -> float:
    """CRM clock minus ours after one more answer. ``at_the_end_s``: its Date minus our clock when
    it was complete; the truth lies between that and ``took_s`` + 1 s (the cut-off) above it.

    The middle, where the exchange was quick. A long poll's answer is held back for its own reasons:
    it only corrects what it proves wrong, else each would be taken for half its wait of skew.
    """
    if took_s <= _SLOW_S:
        return at_the_end_s + took_s / 2 + 0.5
    if known_s is None:
        return at_the_end_s + 0.5  # held back first, then dated and sent
    return min(max(known_s, at_the_end_s), at_the_end_s + took_s + 1)


def _is_pulled(leash: Leash | None) -> bool:
    return leash is not None and leash.is_pulled


class _PoolTransport(httpx.BaseTransport):
    """httpx over a connection pool whose sockets obey the request's deadline."""

    def __init__(
        self,
        backend: httpcore.NetworkBackend,
        *,
        context: ssl.SSLContext,
        proxy: httpx.Proxy | None,
    ) -> None:
        common = {
            "ssl_context": context,
            "max_connections": 12,
            "max_keepalive_connections": 6,
            "keepalive_expiry": _KEEPALIVE_S,
            "network_backend": backend,
        }
        self._pool: httpcore.ConnectionPool
        if proxy is None:
            self._pool = httpcore.ConnectionPool(**common)  # type: ignore[arg-type]
        else:
            self._pool = httpcore.HTTPProxy(
                proxy_url=str(proxy.url),
                proxy_auth=proxy.raw_auth,
                proxy_ssl_context=context if proxy.url.scheme == "https" else None,
                **common,  # type: ignore[arg-type]
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
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_BodyStream(answer),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        self._pool.close()


class _BodyStream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def checked_base_url(url: str) -> str:
    """The base URL without a trailing slash. Raises ConfigError: not https, or not a bare URL."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("crm.url_invalid") from None
    if parts.scheme not in {"https", "http"} or not host or parts.query or parts.fragment:
        raise ConfigError("crm.url_invalid")
    if parts.username or parts.password:
        raise ConfigError("crm.url_has_password", host=host)
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ConfigError("crm.url_not_https", host=host, port=port)
    return url.strip().rstrip("/")


def trust_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2+ with the system's trust store, plus the anchors of ``ca_file`` (PEM)."""
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except (OSError, ssl.SSLError):
            raise ConfigError("crm.ca_file_unreadable", file=ca_file.name) from None
    return context


def proxy_for(
    base_url: str,
    setting: str | None,
    *,
    system: Callable[[], Mapping[str, str]] = urllib.request.getproxies,
    bypassed: Callable[[str], object] = urllib.request.proxy_bypass,
) -> httpx.Proxy | None:
    """Choose the proxy for one host: the setting, else the system's, else none.

    The system's answer comes from the environment, on Windows also from the user's internet
    settings; automatic configuration scripts (PAC) are not evaluated. Raises ConfigError.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    url = (setting or "").strip()
    if url.lower() == "none":
        return None
    if not url:
        if host in _LOOPBACK or bypassed(host):
            return None
        known = system()
        url = known.get(parts.scheme) or known.get("all") or ""
        if not url:
            return None
    if "://" not in url:
        url = "http://" + url
    try:
        proxy = httpx.Proxy(url)
    except (httpx.InvalidURL, ValueError):
        raise ConfigError("crm.proxy_invalid") from None
    if proxy.url.scheme not in {"http", "https"} or not proxy.url.host:
        raise ConfigError("crm.proxy_invalid")
    return proxy
