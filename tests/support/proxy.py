"""A TCP proxy for bad lines: silent, slow, or cut, and well again.

Silent means that it still accepts and acknowledges, and passes nothing on.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from typing import Self

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, as a router that lost its table


class Proxy:
    """``with Proxy(port) as proxy:`` listens on ``proxy.port``; ``target`` may be set later.

    ``stall``: from now on no byte passes in either direction. ``slow``: each piece of at most
    16 KiB waits so long. ``cut``: every connection is reset, new ones too. ``flow`` ends all of it,
    for new connections and for those that still stand.
    """

    def __init__(self, target: int = 0) -> None:
        self.target = target
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = False
        self._is_cut = False
        self._delay_s = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def stall(self) -> None:
        self._flowing.clear()

    def slow(self, delay_s: float) -> None:
        self._delay_s = delay_s

    def cut(self) -> None:
        self._is_cut = True
        with self._lock:
            held, self._sockets = self._sockets, set()
        for end in held:
            _reset(end)

    def flow(self) -> None:
        self._is_cut = False
        self._delay_s = 0.0
        self._flowing.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._is_cut:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # nobody there now: the next caller may be luckier
                _reset(near)
                continue
            with self._lock:
                self._sockets |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(16384):
                self._flowing.wait()
                if self._closed:
                    break
                if self._delay_s:
                    time.sleep(self._delay_s)
                other.sendall(data)
        if self._is_cut:
            return  # a reset, not a polite end
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._flowing.set()
        # Closing alone would not wake the thread that waits for callers.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)
        for held in self._sockets:
            held.close()


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RD)  # wakes who waits for bytes from it, and says nothing yet
    end.close()
