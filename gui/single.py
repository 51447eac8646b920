"""One tray icon per signed-in session: the second start hands its wish to the first and ends.

A local socket named after account and session takes one JSON line a call:
``{"version": 1, "do": "show", "tab": "review", "place": ""}``; ``"do": "quit"`` is the installer's
(upgrade, uninstall). Only the same account can call it.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import sys

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

VERSION = 1
APP_ID = "Bridgework.Tray"
_WAIT_MS = 2000
_MOST_BYTES = 4096


def session_name(home: str) -> str:
    """The same for every start in this session on this installation; no two sessions share it."""
    parts = (getpass.getuser(), _session(), home)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return f"bridgework-tray-{digest}"


def name_to_windows() -> None:
    """Taskbar and notifications take us for the installed program, whichever way we were started;
    its shortcut says the same name (installer/tables.py)."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.shell32.SetCurrentProcessExplicitAppUserModelID(APP_ID)


def call_first(name: str, do: str, tab: str = "", place: str = "") -> bool:
    """Tell the running one; False when none runs."""
    socket = QLocalSocket()
    socket.connectToServer(name)
    if not socket.waitForConnected(_WAIT_MS):
        return False
    wish = {"version": VERSION, "do": do, "tab": tab, "place": place}
    socket.write(json.dumps(wish).encode() + b"\n")
    socket.waitForBytesWritten(_WAIT_MS)
    # Its goodbye says the wish was read.
    socket.waitForDisconnected(_WAIT_MS)
    return True


class Single(QObject):
    """The first one's ear."""

    wanted = Signal(str, str, str)  # do, tab, place

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._greet)
        self.listens = self._listen(name)

    def close(self) -> None:
        self._server.close()

    def _listen(self, name: str) -> bool:
        if self._server.listen(name):
            return True
        # What a killed one left lies in the way; whoever called made sure that nobody answers.
        QLocalServer.removeServer(name)
        return self._server.listen(name)

    def _greet(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            # No closure: it would hold us until the socket ends, and our end ends the socket.
            socket.readyRead.connect(self._hear)
            socket.disconnected.connect(socket.deleteLater)
            if socket.bytesAvailable():
                self._read(socket)

    def _hear(self) -> None:
        socket = self.sender()
        if isinstance(socket, QLocalSocket):
            self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        if socket.bytesAvailable() > _MOST_BYTES:
            socket.abort()
        elif socket.canReadLine():
            line = bytes(socket.readLine().data())
            socket.disconnectFromServer()
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            wish = json.loads(line)
        except ValueError:
            return
        if isinstance(wish, dict) and wish.get("version") == VERSION:
            told = [wish.get(name) for name in ("do", "tab", "place")]
            do, tab, place = (part if isinstance(part, str) else "" for part in told)
            self.wanted.emit(do, tab, place)


def _session() -> str:
    if sys.platform == "win32":
        import ctypes

        number = ctypes.c_ulong()
        ctypes.windll.kernel32.ProcessIdToSessionId(os.getpid(), ctypes.byref(number))
        return str(number.value)
    return os.environ.get("XDG_SESSION_ID") or os.environ.get("DISPLAY", "")
