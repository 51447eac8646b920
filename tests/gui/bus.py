"""A session bus of our own, and a stand-in for a desktop's server of notifications on it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from types import TracebackType
from typing import Any, Self

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    new_error,
    new_method_return,
    new_signal,
)
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

from gui.toasts import NAME, PATH


class Bus:
    """``with Bus() as bus:``; ``bus.address`` for DBUS_SESSION_BUS_ADDRESS."""

    def __enter__(self) -> Self:
        command = ["dbus-daemon", "--session", "--nofork", "--print-address"]
        self._daemon = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._daemon.stdout is not None
        self.address = self._daemon.stdout.readline().strip()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(10)
        assert self._daemon.stdout is not None
        self._daemon.stdout.close()


class Server:
    """Answers as the specification says; ``shown`` by number, ``calls`` in order. ``refuses``:
    every Notify fails, as with a server that is out of order."""

    def __init__(self, bus: Bus, can: tuple[str, ...] = ("actions", "body")) -> None:
        self._can = list(can)
        self._line = open_dbus_connection(bus.address)
        Proxy(message_bus, self._line).RequestName(NAME)
        self.refuses = False
        self.shown: dict[int, tuple[Any, ...]] = {}
        self.calls: list[str] = []
        self._last = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def press(self, number: int, what: str) -> None:
        emitter = DBusAddress(PATH, NAME, NAME)
        self._line.send(new_signal(emitter, "ActionInvoked", "us", (number, what)))

    def _serve(self) -> None:
        with contextlib.suppress(OSError, EOFError), self._line:
            while True:
                self._answer(self._line.receive())

    def _answer(self, asked: Message) -> None:
        if asked.header.message_type is not MessageType.method_call:
            return
        name = asked.header.fields[HeaderFields.member]
        self.calls.append(name)
        if name == "GetCapabilities":
            answer = new_method_return(asked, "as", (self._can,))
        elif name == "CloseNotification":
            del self.shown[asked.body[0]]
            answer = new_method_return(asked)
        elif self.refuses:
            answer = new_error(asked, f"{NAME}.Error.ExcessNotificationGeneration")
        else:
            number = asked.body[1]
            if number not in self.shown:
                self._last += 1
                number = self._last
            self.shown[number] = asked.body
            answer = new_method_return(asked, "u", (number,))
        self._line.send(answer)
