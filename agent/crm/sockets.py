"""Sockets that obey one deadline per request, whatever the other side does.

The HTTP library times each read and write on its own, so a peer that sends one byte now and then
can hold a request for ever. Here every socket call gets what is left of the whole request's time.
Only ``agent.crm.transport`` imports this; it must not import anything else of ours.
"""

from __future__ import annotations

import contextlib
import math
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

_PIECE_BYTES = 16_384  # one TLS record: a slow reader is noticed between pieces
_CONNECT_S = 5.0
# Windows lets a thread wait on in a socket that another thread has shut (python/cpython issue
# 91913, and measured): there a read looks up that often whether anybody still wants it.
_LOOK_S = 0.2 if os.name == "nt" else math.inf


class Pulled(httpcore.ReadError):
    """The leash was pulled: nobody waits for this answer any more."""


class Leash:
    """Ends one request from another thread, whether it waits for its answer or has not begun.

    Only the opening of the connection itself cannot be ended; its time is short.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: DeadlineStream | None = None
        self._is_pulled = False

    @property
    def is_pulled(self) -> bool:
        return self._is_pulled

    def pull(self) -> None:
        with self._lock:
            self._is_pulled = True
            stream, self._stream = self._stream, None
            if stream is not None:
                stream.shut()

    def hold(self, stream: DeadlineStream) -> None:
        """The request speaks through this stream now. Raises Pulled."""
        with self._lock:
            if self._is_pulled:
                raise Pulled("pulled")
            self._stream = stream

    def release(self) -> None:
        """The request is over: its connection may serve others."""
        with self._lock:
            self._stream = None


class RequestTime(threading.local):
    """The deadline and leash of the request this thread is in, and whether it had to open a
    connection."""

    ends: float | None = None
    connected: bool = False
    leash: Leash | None = None


class Stopwatch:
    """Hands each thread's remaining time to the socket calls made on its behalf."""

    def __init__(self, mono: Callable[[], float]) -> None:
        self._mono = mono
        self._request = RequestTime()

    def start(self, deadline_s: float, leash: Leash | None = None) -> None:
        self._request.ends = self._mono() + deadline_s
        self._request.connected = False
        self._request.leash = leash

    def extend(self, deadline_s: float) -> None:
        """A new deadline for the next part of a stream."""
        self._request.ends = self._mono() + deadline_s

    def stop(self) -> None:
        self._request.ends = None
        leash, self._request.leash = self._request.leash, None
        if leash is not None:
            leash.release()

    def hold(self, stream: DeadlineStream) -> None:
        if self._request.leash is not None:
            self._request.leash.hold(stream)

    def left_s(self) -> float:
        ends = self._request.ends
        return _CONNECT_S if ends is None else ends - self._mono()

    def mark_connected(self) -> None:
        self._request.connected = True

    @property
    def connected(self) -> bool:
        """True when the request of this thread opened a connection instead of reusing one."""
        return self._request.connected


class DeadlineStream(httpcore.NetworkStream):
    """A network stream whose every call is cut to the time left for the request."""

    def __init__(self, inner: httpcore.NetworkStream, watch: Stopwatch, live: LiveSockets) -> None:
        self._inner = inner
        self._watch = watch
        self._live = live
        self._is_shut = False
        live.add(self)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._watch.left_s()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        left = min(left, timeout) if timeout else left
        while True:
            self._watch.hold(self)
            if self._is_shut:
                raise httpcore.ReadError("shut")
            part = min(left, _LOOK_S)
            try:
                return self._inner.read(max_bytes, part)
            except httpcore.ReadTimeout:
                left -= part
                if left <= 0:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._watch.hold(self)
        view = memoryview(buffer)
        for start in range(0, len(view), _PIECE_BYTES):
            left = self._watch.left_s()
            if left <= 0:
                raise httpcore.WriteTimeout("deadline")
            piece = bytes(view[start : start + _PIECE_BYTES])
            self._inner.write(piece, min(left, timeout) if timeout else left)

    def shut(self) -> None:
        """From any thread: whoever reads or writes here is told at once that it is over."""
        self._is_shut = True
        sock = self.get_extra_info("socket")
        if isinstance(sock, socket.socket):
            # The plain method even on a TLS socket: SSLSocket.shutdown would drop the TLS
            # object under the thread that is reading through it.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._watch.left_s()
        if left <= 0:
            raise httpcore.ConnectTimeout("deadline")
        self._watch.hold(self)
        inner = self._inner.start_tls(
            ssl_context, server_hostname, min(left, timeout) if timeout else left
        )
        return DeadlineStream(inner, self._watch, self._live)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._is_shut:
            return True  # what the pool takes for the sign of a dead connection
        return self._inner.get_extra_info(info)


class LiveSockets:
    """The open connections, so that closing the client interrupts requests of other threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[DeadlineStream] = weakref.WeakSet()

    def add(self, stream: DeadlineStream) -> None:
        with self._lock:
            self._streams.add(stream)

    def shut(self) -> None:
        """Shut every connection: a blocked read or write returns at once with an error."""
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.shut()


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects within the request's time, trying every address of a name with a fair share of it.

    Name resolution itself is the one call no deadline can cut; the operating system bounds it.
    """

    def __init__(self, watch: Stopwatch, live: LiveSockets) -> None:
        self._inner = httpcore.SyncBackend()
        self._watch = watch
        self._live = live

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        self._watch.mark_connected()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as exc:
            raise NameNotFound(type(exc).__name__) from exc
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for place, address in enumerate(addresses):
            left = self._watch.left_s()
            if left <= 0:
                raise httpcore.ConnectTimeout("deadline")
            share = left / (len(addresses) - place)
            limit = min(share, _CONNECT_S, timeout or _CONNECT_S)
            try:
                inner = self._inner.connect_tcp(address, port, limit, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if place == len(addresses) - 1:
                    raise
            else:
                return DeadlineStream(inner, self._watch, self._live)
        raise NameNotFound("no address")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class NameNotFound(httpcore.ConnectError):
    """The host name has no address (no network, wrong name, DNS down)."""
