"""The desktop program: builds the line, the tray and the window, and does what is chosen there.

python -m gui [--home FOLDER] [--show TAB[:PLACE]] [--quit] [--no-tray]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QLocale, QObject, QTimer
from PySide6.QtWidgets import QApplication, QSystemTrayIcon

from agent import __version__
from agent.config.paths import Paths
from gui.i18n import PSEUDO, Texts, languages
from gui.link import Link
from gui.locale import QtFormat
from gui.prefs import Prefs
from gui.presenter.status import StatusView, status_view
from gui.shell import Shell
from gui.single import Single, call_first, session_name
from gui.theme import Scheme, Theme
from gui.tray import Tray
from gui.windows.window import Window

_TICK_MS = 1000


class Desktop(QObject):
    """Everything of the desktop, put together; owns the order of its end."""

    def __init__(self, app: QApplication, home: Path, *, prefs: Prefs | None = None) -> None:
        super().__init__()
        self._app = app
        self.prefs = prefs or Prefs()
        self.link = Link(Paths.locate(home).control_socket)
        self.theme = Theme(app, _scheme(self.prefs))
        self.texts = Texts(_language(self.prefs), QtFormat())
        self.shell = Shell(self.link, self.texts, self.theme, self.prefs)
        self.tray = Tray(self.shell)
        self._window: Window | None = None
        self.view: StatusView | None = None
        self.link.report_changed.connect(self.refresh)
        self.link.standing_changed.connect(self.refresh)
        # Ages grow and silence must be noticed though nothing is said.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(_TICK_MS)
        self.tray.wanted.connect(self.do)

    @property
    def window(self) -> Window:
        """Built when first wanted: a tray icon alone costs little."""
        if self._window is None:
            self._window = Window(self.shell)
            if self.view is not None:
                self._window.show_status(self.view)
        return self._window

    def start(self) -> None:
        self.link.start()
        self.refresh()

    def refresh(self) -> None:
        self.view = status_view(
            self.link.report,
            is_silent=self.link.is_silent,
            trouble=self.link.trouble,
            now=self.shell.now(),
            texts=self.texts,
        )
        self.tray.show_status(self.view)
        if self._window is not None:
            self._window.show_status(self.view)

    def do(self, wish: str) -> None:
        """A word of the menu, a click on the icon, or another start's wish."""
        match wish.partition(":"):
            case ("open" | "click" | "show", _, _):
                self.window.bring_up()
            case ("close" | "quit", _, _):
                self.close()
            case (tab, _, place):
                self.window.bring_up(tab, place)

    def take(self, do: str, tab: str, place: str) -> None:
        """Another start of this program in this session."""
        if do == "quit":
            self.close()
        else:
            self.window.bring_up(tab, place)

    def close(self) -> None:
        """The icon goes; the agent goes on."""
        self._timer.stop()
        self.tray.hide()
        if self._window is not None:
            self._window.close()
        self.link.close()
        self.prefs.save()
        self._app.quit()


def main(arguments: Sequence[str]) -> int:
    wish = _parser().parse_args(arguments)
    app = QApplication.instance() or QApplication(["bridgework"])
    assert isinstance(app, QApplication)
    app.setApplicationName("bridgework")
    app.setApplicationDisplayName("Bridgework")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("bridgework")
    app.setQuitOnLastWindowClosed(False)
    home = Paths.locate(wish.home).home
    name = session_name(str(home))
    tab, _, place = wish.show.partition(":")
    if call_first(name, "quit" if wish.quit else "show", tab, place) or wish.quit:
        return 0
    single = Single(name)
    desktop = Desktop(app, home)
    single.wanted.connect(desktop.take)
    desktop.start()
    if tab or wish.no_tray or not QSystemTrayIcon.isSystemTrayAvailable():
        desktop.window.bring_up(tab, place)
    if wish.no_tray:
        desktop.window.closed.connect(desktop.close)
    return app.exec()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bridgework tray", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="folder of the agent")
    parser.add_argument("--show", default="", metavar="TAB[:PLACE]", help="open the window there")
    parser.add_argument("--quit", action="store_true", help="end the one that runs")
    parser.add_argument("--no-tray", action="store_true", help="the window alone; ends with it")
    return parser


def _scheme(prefs: Prefs) -> Scheme | None:
    chosen = prefs.text("theme")
    return Scheme(chosen) if chosen in list(Scheme) else None


def _language(prefs: Prefs) -> str:
    """The person's choice, else the system's language where we speak it."""
    chosen = prefs.text("language") or os.environ.get("BRIDGEWORK_LANGUAGE", "")
    system = QLocale.system().name().partition("_")[0]
    known = {*languages(), PSEUDO}
    return next((each for each in (chosen, system) if each in known), "en")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
