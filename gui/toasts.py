"""Notifications of a Linux desktop, by the session bus: a button, replaced in place, taken back.

What ``QSystemTrayIcon`` cannot do. Asked without waiting: what the server answers arrives when the
event loop sees it. Where there is no bus, no server, or no jeepney, ``connect`` says None and the
icon's own balloon is used. Shapes: Desktop Notifications Specification 1.2 (freedesktop.org).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QSocketNotifier, Signal

if TYPE_CHECKING:
    from jeepney import Message
    from jeepney.io.blocking import DBusConnection

PATH, NAME = "/org/freedesktop/Notifications", "org.freedesktop.Notifications"
BODY, BUTTON = "default", "go"  # what a person may press
_WAIT_S = 1.0
_URGENT = {"bad": 2, "warn": 1}


class Toasts(QObject):
    """``pressed``: a kind and what was pressed of it (BODY, BUTTON). ``broken``, with the kinds
    that were not shown any more: server or bus went away, nothing comes of it now."""

    pressed = Signal(str, str)
    broken = Signal(list)

    def __init__(self, line: DBusConnection, can: frozenset[str]) -> None:
        super().__init__()
        self._line = line
        self.can = can
        self._ids: dict[str, int] = {}  # kind -> the server's number
        self._asked: dict[int, str] = {}  # serial of a call -> kind it shows
        self._gone_early: set[str] = set()  # taken back before the server gave it a number
        self._ear = QSocketNotifier(line.sock.fileno(), QSocketNotifier.Type.Read, self)
        self._ear.activated.connect(self._hear)

    def show(self, kind: str, title: str, body: str, tone: str, button: str) -> None:
        """In the place of the one of its kind, if that is still there."""
        actions = [BODY, button] if "actions" in self.can else []
        if actions and button:
            actions += [BUTTON, button]
        text = escape(body) if "body-markup" in self.can else body
        hints = {"urgency": ("y", _URGENT.get(tone, 0)), "desktop-entry": ("s", "bridgework")}
        told = ("Bridgework", self._ids.get(kind, 0), "bridgework", title, text, actions, hints, -1)
        self._gone_early.discard(kind)
        self._send("Notify", "susssasa{sv}i", told, kind)

    def withdraw(self, kind: str) -> None:
        number = self._ids.pop(kind, 0)
        if number:
            self._send("CloseNotification", "u", (number,))
        elif kind in self._asked.values():
            self._gone_early.add(kind)

    def close(self) -> None:
        self._ear.setEnabled(False)
        self._line.close()

    # -- the bus ----------------------------------------------------------------------------------

    def _send(self, method: str, shape: str, told: tuple[Any, ...], kind: str = "") -> None:
        """``kind``: what the answer is about."""
        from jeepney import DBusAddress, new_method_call

        serial = next(self._line.outgoing_serial)
        if kind:
            self._asked[serial] = kind
        address = DBusAddress(PATH, NAME, NAME)
        try:
            self._line.send(new_method_call(address, method, shape, told), serial=serial)
        except OSError:
            self._lost()

    def _hear(self) -> None:
        try:
            while True:
                self._take(self._line.receive(timeout=0))
        except TimeoutError:
            return
        except (OSError, EOFError, ValueError):
            self._lost()

    def _lost(self) -> None:
        if self._ear.isEnabled():
            self.close()
            self.broken.emit([k for k in self._asked.values() if k not in self._gone_early])

    def _take(self, message: Message) -> None:
        from jeepney import HeaderFields, MessageType

        fields = message.header.fields
        serial = fields.get(HeaderFields.reply_serial, -1)
        if serial in self._asked:
            if message.header.message_type is not MessageType.method_return:
                self._lost()
                return
            kind = self._asked.pop(serial)
            self._ids[kind] = int(message.body[0])
            if kind in self._gone_early:
                self._gone_early.discard(kind)
                self.withdraw(kind)
            return
        if message.header.message_type is not MessageType.signal:
            return
        number, *rest = message.body or (0,)
        shown = next((k for k, own in self._ids.items() if own == number), None)
        if shown is None:
            return
        if fields.get(HeaderFields.member) == "ActionInvoked":
            self.pressed.emit(shown, str(rest[0]))
        elif fields.get(HeaderFields.member) == "NotificationClosed":
            del self._ids[shown]


def connect() -> Toasts | None:
    """Where this session has a server of notifications; asked once, for at most some seconds."""
    if sys.platform != "linux" or not importlib.util.find_spec("jeepney"):
        return None
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if not address.startswith("unix:"):
        return None
    return _quietly(_connect)


def _connect() -> Toasts | None:
    from jeepney import DBusAddress, MatchRule, MessageType, new_method_call
    from jeepney.bus_messages import message_bus
    from jeepney.io.blocking import Proxy, open_dbus_connection

    line = open_dbus_connection("SESSION", auth_timeout=_WAIT_S)
    try:
        bus = Proxy(message_bus, line, timeout=_WAIT_S)
        bus.AddMatch(MatchRule(type="signal", interface=NAME, path=PATH))
        ask = new_method_call(DBusAddress(PATH, NAME, NAME), "GetCapabilities")
        told = line.send_and_get_reply(ask, timeout=_WAIT_S)
        if told.header.message_type is not MessageType.method_return:
            line.close()
            return None
        return Toasts(line, frozenset(told.body[0]))
    except BaseException:
        line.close()
        raise


def _quietly(call: Callable[[], Toasts | None]) -> Toasts | None:
    """Whatever is wrong with a bus, the icon's balloon does."""
    try:
        return call()
    except Exception:  # noqa: BLE001 - a desktop's bus must not end ours
        return None
