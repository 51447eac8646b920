"""A screen in memory with a window manager and a panel that has a tray: where the icon is seen."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.until import until

SIZE = "900x600x24"
_UP_WITHIN_S = 45.0  # two programs start on a machine that runs all the other tests


class Panel:
    """``with Panel() as panel:``; ``panel.environ`` for programs that come there."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []
        self._panel: subprocess.Popen[bytes] | None = None
        self.environ: dict[str, str] = {}

    def __enter__(self) -> Self:
        reading, writing = os.pipe()
        # -noreset: a server that starts anew when its last client leaves (xwininfo, while the panel
        # is still on its way) turned the panel away, now and then.
        screen = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", SIZE, "-nolisten", "tcp",
             "-noreset"],
            pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._running.append(screen)
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        self.environ = {
            **os.environ, "DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:", "XDG_SESSION_ID": f"test-{number}",
        }  # fmt: skip
        self._start("openbox")
        self.start_panel()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._running):
            _end(process)

    def start_panel(self) -> None:
        """A white one at the foot, 40 pixels high."""
        self._panel = self._start(
            "trayer", "--edge", "bottom", "--align", "right", "--widthtype", "request",
            "--height", "40", "--iconspacing", "6", "--margin", "8", "--tint", "0xffffff",
            "--transparent", "true", "--alpha", "0",
        )  # fmt: skip

    def start_toasts(self, address: str) -> None:
        """A real server of notifications on the session bus there."""
        self.environ["DBUS_SESSION_BUS_ADDRESS"] = address
        self._start("dunst", "-follow", "none")

    def toasts(self) -> int:
        """How many it shows now; -1 while it does not answer yet."""
        try:
            return int(self.run("dunstctl", "count", "displayed"))
        except (subprocess.CalledProcessError, ValueError):
            return -1

    def stop_panel(self) -> None:
        assert self._panel is not None
        _end(self._panel)
        self._running.remove(self._panel)

    def icons(self) -> int:
        """How many icons sit in the tray: windows inside the panel's; -1 where a window went away
        while they were listed (xwininfo gives up then)."""
        try:
            listed = self.run("xwininfo", "-root", "-tree")
        except subprocess.CalledProcessError:
            return -1
        inside, depth = 0, -1
        for line in listed.splitlines():
            indent = len(line) - len(line.lstrip())
            if '"panel"' in line or '"trayer"' in line.lower():
                depth = indent
            elif depth >= 0 and indent > depth and " 1x1" not in line:
                inside += "bridgework" in line.lower()
            elif depth >= 0 and indent <= depth:
                depth = -1
        return inside

    def wait_icons(self, count: int, within_s: float = _UP_WITHIN_S) -> None:
        """AssertionError with what the screen shows when they are not there in time."""
        until(
            lambda: self.icons() == count, within_s, every_s=0.2,
            said=lambda: self.run("xwininfo", "-root", "-tree"),
        )  # fmt: skip

    def wait_program(self) -> None:
        """The desktop program has come to this screen, with an icon or without."""
        said = 'Qt Selection Owner for bridgework"'
        until(lambda: said in self.run("xwininfo", "-root", "-tree"), _UP_WITHIN_S, every_s=0.2)

    def picture(self, path: Path) -> None:
        """The whole screen."""
        taking = (
            "import sys; from PySide6.QtGui import QGuiApplication as A; a = A([]);"
            " a.primaryScreen().grabWindow(0).save(sys.argv[1])"
        )
        self.run(sys.executable, "-c", taking, str(path))

    def run(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=True, timeout=30
        ).stdout

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command, env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._running.append(process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
    if process.poll() is None:
        process.kill()
