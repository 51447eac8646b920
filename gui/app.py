"""The desktop program: builds the line, the tray and the window, and does what is chosen there.

python -m gui [--home FOLDER] [--show TAB[:PLACE]] [--quit] [--no-tray]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import shiboken6
from PySide6.QtCore import QLocale, QObject, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QSystemTrayIcon

from agent import __version__
from agent.config.paths import LANGUAGE_ENV, Paths, is_single_user
from agent.model.activity import CheckNow
from agent.model.desk import Pause, Resume
from agent.model.status import State
from gui import autostart, engine
from gui.collecting import Collector
from gui.helppages import open_help
from gui.i18n import PSEUDO, Texts, languages
from gui.link import Link, Standing
from gui.locale import QtFormat
from gui.notify import Notifier
from gui.prefs import Prefs
from gui.presenter.notices import RESULT, Notice, Notices
from gui.presenter.offer import Offer
from gui.presenter.status import StatusView, status_view
from gui.reportpdf import PRINT
from gui.reportpdf import main as print_main
from gui.shell import Shell
from gui.single import Single, call_first, name_to_windows, session_name
from gui.theme import Scheme, Theme
from gui.tray import Tray
from gui.windows.settings import About, Settings
from gui.windows.tabs import TABS
from gui.windows.window import OWN_WINDOWS, Window
from gui.wizard.window import Wizard

_TICK_MS = 1000
_STARTED_WITHIN_MS = 20_000
_OWN_AFTER_MS = 2_000  # in single-user mode; one that runs has answered by then
_MORNING_HOUR = 7
_PRACTICE_LANGUAGE = "practice/language"  # as the agent said last


class Desktop(QObject):
    """Everything of the desktop, put together; owns the order of its end."""

    def __init__(self, app: QApplication, home: Path, *, prefs: Prefs | None = None) -> None:
        super().__init__()
        self._app = app
        self._home = home
        self.prefs = prefs or Prefs()
        self.link = Link(Paths.locate(home).control_socket)
        self.theme = Theme(app, _scheme(self.prefs))
        self.texts = Texts(_language(self.prefs), QtFormat())
        self.shell = Shell(self.link, self.texts, self.theme, self.prefs)
        self.shell.may_start = True
        self.shell.tabs = frozenset({*(tab.name for tab in TABS), *OWN_WINDOWS})
        self.tray = Tray(self.shell)
        self.notifier = Notifier(self.tray, lambda go: self.do(":".join(go)))
        self._notices = Notices(time.monotonic())
        self._window: Window | None = None
        self._wizard: Wizard | None = None
        self._dialog: QDialog | None = None
        self.ends_with_window = False  # there is no icon to come back by
        self.view: StatusView | None = None
        self.link.report_changed.connect(self._reported)
        self.link.standing_changed.connect(self.refresh)
        # Ages grow and silence must be noticed though nothing is said.
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(_TICK_MS)
        self.tray.wanted.connect(self.do)
        self.tray.pressed.connect(self.notifier.press)
        self.prefs.changed.connect(self._preferred)
        self.shell.going.connect(self._gone)
        self.shell.starting.connect(self.start_agent)
        self.shell.telling.connect(self._told)

    @property
    def window(self) -> Window:
        """Built when first wanted: a tray icon alone costs little."""
        if self._window is None:
            self._window = Window(self.shell)
            if self.ends_with_window:
                self._window.closed.connect(self.close)
        return self._window

    @property
    def wizard(self) -> Wizard:
        """Kept once built, so that what was typed is still there."""
        if self._wizard is None:
            self._wizard = Wizard(self.shell)
        return self._wizard

    @property
    def dialog(self) -> QDialog | None:
        """Settings or About, while shown."""
        shown = self._dialog
        return shown if shown is not None and shiboken6.isValid(shown) else None

    def start(self) -> None:
        self.link.start()
        self.refresh()
        if is_single_user():
            QTimer.singleShot(_OWN_AFTER_MS, self, self._start_own)

    def _reported(self) -> None:
        """The practice's language holds for who chose none, from the next time on as well."""
        report = self.link.report
        if report is not None:
            self.prefs.put(_PRACTICE_LANGUAGE, report.snapshot.language)
        self.refresh()

    def refresh(self) -> None:
        now = self.shell.now()
        self.view = status_view(
            self.link.report,
            is_silent=self.link.is_silent,
            trouble=self.link.trouble,
            now=now,
            texts=self.texts,
        )
        self.tray.show_status(self.view)
        self.shell.show_status(self.view)
        turn = self._notices.step(
            self.view, now=now, mono=time.monotonic(), may=self._may_notify, texts=self.texts,
            tabs=self.shell.tabs,
        )  # fmt: skip
        for kind in turn.withdraw:
            self.notifier.withdraw(kind)
        for notice in turn.show:
            self.notifier.show(notice)

    # -- what is chosen ---------------------------------------------------------------------------

    def do(self, wish: str) -> None:
        """A word of the menu, a click on the icon, or another start's wish."""
        match wish.partition(":"):
            case ("open" | "show", _, _):
                self.window.bring_up()
            case ("click", _, _):
                self.window.bring_up(self._meant())
            case ("setup", _, place):
                self.wizard.bring_up(place)
            case ("sync", _, _):
                self.link.ask(CheckNow(), owner=self)
            case ("pause", _, span) if span:
                self.link.ask(Pause(_until(span, self.shell.now())), owner=self)
            case ("resume", _, _):
                self.link.ask(Resume(), owner=self)
            case ("snooze", _, span):
                now = self.shell.now()
                self.prefs.put("notify/snoozed", now if span == "off" else _until(span, now))
            case ("do", _, "start"):
                self.start_agent()
            case ("settings" | "about", _, _):
                self._open(wish)
            case ("help", _, page):
                open_help(page, self.texts.language)
            case ("support", _, _):
                self.window.bring_up("support", "bundle")
            case ("close" | "quit", _, _):
                self.close()
            case (tab, _, place):
                self.window.bring_up(tab, place)

    def take(self, do: str, tab: str, place: str) -> None:
        """Another start of this program in this session."""
        self.do("quit" if do == "quit" else f"{tab or 'open'}:{place}")

    def start_agent(self) -> None:
        """Where no service does it. What comes of it is seen by the line."""
        if not engine.start(self._home):
            self.shell.tell(self.texts("shell.not_started"), "bad")
            return
        self.shell.tell(self.texts("shell.starting"))
        QTimer.singleShot(_STARTED_WITHIN_MS, self, self._look_started)

    def _start_own(self) -> None:
        """No service does it, and it did not outlive the last session."""
        if self.link.standing is not Standing.UP:
            self.start_agent()

    def close(self) -> None:
        """The icon goes; the agent goes on."""
        self._timer.stop()
        self.notifier.close()
        self.tray.hide()
        for window in (self._window, self._wizard, self.dialog):
            if window is not None:
                window.close()
        self.link.close()
        self.prefs.save()
        self._app.quit()

    # -- parts ------------------------------------------------------------------------------------

    def _meant(self) -> str:
        """A click on the icon means what the icon says."""
        is_review = self.view is not None and self.view.state is State.NEEDS_REVIEW
        return "review" if is_review and self.view is not None and self.view.to_review else ""

    def _gone(self, tab: str, place: str) -> None:
        """What has a window of its own, and what the wizard sends here."""
        if tab == "setup" and place == "notify":
            said = self.texts("wizard.done.tested")
            here = ("open", "")
            button, title = self.texts("notices.look"), self.texts("shell.product")
            self.notifier.show(Notice(RESULT, title, said, "", button, here, here))
        elif tab == "setup":
            self.wizard.bring_up(place)
        elif self._wizard is not None and self._wizard.isVisible():
            self.window.bring_up(tab, place)

    def _told(self, text: str, tone: str, offer: Offer | None) -> None:
        """The end of something started and walked away from."""
        is_away = self._window is None or not self._window.isActiveWindow()
        if is_away and tone in {"good", "bad"} and self._may_notify(RESULT):
            button, go = self.texts("notices.look"), ("open", "")
            if offer is not None:
                button, go = offer.label, offer.go
            title = self.texts("shell.product")
            self.notifier.show(Notice(RESULT, title, text, tone, button, go, ("open", "")))

    def _preferred(self, name: str) -> None:
        if name in {"language", _PRACTICE_LANGUAGE}:
            if _language(self.prefs) == self.texts.language:
                return
            # Not in the middle of the choice: the box it was made in goes away.
            QTimer.singleShot(0, self, self.speak)
        else:
            self.tray.refresh()

    def speak(self) -> None:
        """The language as chosen, at once: what is open is built anew where it stood."""
        self.texts = self.shell.texts = Texts(_language(self.prefs), QtFormat())
        old, place, wizard = self._window, "", self._wizard
        page = wizard.page.name if wizard is not None and wizard.isVisible() else ""
        has_settings = isinstance(self.dialog, Settings)
        if old is not None:
            place = old.tab.name if old.tab is not None else ""
            old.keep_place()
        was_shown = old is not None and old.isVisible()
        for part in (old, wizard):
            if part is not None:
                part.hide()
                part.deleteLater()
        self._window = self._wizard = None
        self.refresh()
        if was_shown:
            self.window.bring_up(place)
        if page:
            self.wizard.bring_up(page)
        if has_settings:
            self._open("settings")

    def _may_notify(self, kind: str) -> bool:
        snoozed = self.prefs.moment("notify/snoozed")
        is_muted = snoozed is not None and snoozed > self.shell.now()
        return not is_muted and self.prefs.flag(f"notify/{kind}", default=True)

    def _open(self, name: str) -> None:
        if self.dialog is not None:
            self.dialog.close()
        shell, above = self.shell, self.window
        dialog = Settings(shell, self._home, above) if name == "settings" else About(shell, above)
        self._dialog = dialog
        self.window.bring_up()
        dialog.open()

    def _look_started(self) -> None:
        if self.link.standing is not Standing.UP:
            self.shell.tell(self.texts("shell.not_started"), "bad")


def _until(span: str, now: datetime) -> datetime:
    """Minutes from now, or ``tomorrow``: the next morning of this computer."""
    if span != "tomorrow":
        return now + timedelta(minutes=int(span))
    morning = now.astimezone() + timedelta(days=1)
    return morning.replace(hour=_MORNING_HOUR, minute=0, second=0, microsecond=0)


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == [PRINT]:
        return print_main(list(arguments[1:]))  # a report to PDF: no icon, no window
    wish = _parser().parse_args(arguments)
    name_to_windows()
    app = QApplication.instance() or QApplication(["bridgework"])
    assert isinstance(app, QApplication)
    app.setApplicationName("bridgework")
    app.setApplicationDisplayName("Bridgework")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("bridgework")
    app.setQuitOnLastWindowClosed(False)
    home = Paths.locate(wish.home).home
    if wish.autostart and not Prefs().flag("autostart", default=True):
        return 0  # the installer starts it for everybody; this person said no
    name = session_name(str(home))
    tab, _, place = wish.show.partition(":")
    if call_first(name, "quit" if wish.quit else "show", tab, place) or wish.quit:
        return 0
    Collector(app)
    single = Single(name)
    desktop = Desktop(app, home)
    single.wanted.connect(desktop.take)
    desktop.ends_with_window = wish.no_tray
    desktop.start()
    # At sign-in the panel may come a little later than we do.
    is_bare = not wish.autostart and not QSystemTrayIcon.isSystemTrayAvailable()
    if tab == "setup":
        desktop.wizard.bring_up(place)
    elif tab or wish.no_tray or is_bare:
        desktop.window.bring_up(tab, place)
    return app.exec()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bridgework tray", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="folder of the agent")
    parser.add_argument("--show", default="", metavar="TAB[:PLACE]", help="open the window there")
    parser.add_argument("--quit", action="store_true", help="end the one that runs")
    parser.add_argument(
        autostart.FLAG, action="store_true", help="as at sign-in: unless switched off"
    )
    parser.add_argument("--no-tray", action="store_true", help="the window alone; ends with it")
    return parser


def _scheme(prefs: Prefs) -> Scheme | None:
    chosen = prefs.text("theme")
    return Scheme(chosen) if chosen in list(Scheme) else None


def _language(prefs: Prefs) -> str:
    """The person's choice, else this session's, the practice's, the system's, where we speak it."""
    own = prefs.text("language") or os.environ.get(LANGUAGE_ENV, "")
    system = QLocale.system().name().partition("_")[0]
    known = {*languages(), PSEUDO}
    wished = (own, prefs.text(_PRACTICE_LANGUAGE), system)
    return next((each for each in wished if each in known), "en")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
