"""What a person chooses for their own window; the agent's settings are not here. Never blocks."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QComboBox, QDialog, QGridLayout, QWidget

from agent import __version__
from gui import a11y, autostart
from gui.i18n import languages
from gui.presenter.notices import KINDS
from gui.shell import Shell
from gui.theme import Scheme
from gui.widgets.parts import EDGE, GAP, button, column, label, row


class Settings(QDialog):
    """Every choice holds at once; there is nothing to save."""

    def __init__(self, shell: Shell, home: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shell = shell
        self._home = home
        texts, prefs = shell.texts, shell.prefs
        self.setWindowTitle(texts("settings.title"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.theme = QComboBox()
        self.theme.addItem(texts("settings.theme.system"), "")
        for scheme in Scheme:
            self.theme.addItem(texts(f"settings.theme.{scheme.value}"), scheme.value)
        self.theme.setCurrentIndex(max(self.theme.findData(prefs.text("theme")), 0))
        self.theme.currentIndexChanged.connect(self._choose_theme)
        self.language = QComboBox()
        self.language.addItem(texts("settings.language.system"), "")
        for code in languages():
            self.language.addItem(texts(f"settings.language.{code}"), code)
        self.language.setCurrentIndex(max(self.language.findData(prefs.text("language")), 0))
        self.language.currentIndexChanged.connect(self._choose_language)
        grid = QGridLayout()
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(GAP // 2)
        grid.setColumnStretch(1, 1)
        for at, (name, field) in enumerate((("theme", self.theme), ("language", self.language))):
            title = label(texts(f"settings.{name}.title"))
            grid.addWidget(title, at, 0)
            grid.addWidget(field, at, 1)
            a11y.buddy(title, field)
        self.notices = {kind: self._switch(kind) for kind in KINDS}
        self.autostart = QCheckBox(texts("settings.autostart"))
        self.autostart.setChecked(autostart.is_on(wanted=prefs.flag("autostart", default=True)))
        self.autostart.toggled.connect(self._choose_autostart)
        close = button(texts("settings.close"), self.close, "primary")
        page = column(
            label(texts("settings.title"), "title"),
            grid,
            GAP // 2,
            label(texts("settings.notices"), "subtitle"),
            *self.notices.values(),
            GAP // 2,
            label(texts("settings.start"), "subtitle"),
            self.autostart,
            None,
            row(None, close),
            gap=GAP // 2,
        )
        page.setContentsMargins(EDGE, EDGE, EDGE, EDGE)
        self.setLayout(page)
        self.setMinimumWidth(460)

    def _switch(self, kind: str) -> QCheckBox:
        made = QCheckBox(self._shell.texts(f"notices.kinds.{kind}"))
        made.setChecked(self._shell.prefs.flag(f"notify/{kind}", default=True))
        made.toggled.connect(lambda on: self._shell.prefs.put(f"notify/{kind}", bool(on)))
        return made

    def _choose_theme(self, _: int) -> None:
        chosen = str(self.theme.currentData())
        self._shell.prefs.put("theme", chosen)
        self._shell.theme.choose(Scheme(chosen) if chosen else None)

    def _choose_language(self, _: int) -> None:
        self._shell.prefs.put("language", str(self.language.currentData()))

    def _choose_autostart(self, on: bool) -> None:
        self._shell.prefs.put("autostart", on)
        try:
            autostart.switch(self._home, on=on)
        except OSError as error:
            why = error.strerror or ""
            self._shell.tell(self._shell.texts("settings.not_saved", why=why), "bad")


class About(QDialog):
    """Name, versions, licence."""

    def __init__(self, shell: Shell, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        texts = shell.texts
        self.setWindowTitle(texts("menu.about"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        mark = label()
        mark.setPixmap(shell.theme.icon("bridgework").pixmap(56, 56))
        a11y.name(mark, texts("shell.product"))
        welcome = shell.link.welcome
        agent = welcome.agent_version if welcome is not None else texts("format.unknown")
        words = column(
            label(texts("shell.product"), "title"),
            label(texts("settings.about.purpose"), "", wrap=True),
            label(texts("settings.about.window", version=__version__), "soft"),
            label(texts("settings.about.agent", version=agent), "soft"),
            label(texts("settings.about.licence"), "caption", wrap=True),
            gap=6,
        )
        head = row(mark, words, gap=GAP)
        head.setStretch(1, 1)
        page = column(head, row(None, button(texts("settings.close"), self.close, "primary")))
        page.setContentsMargins(EDGE, EDGE, EDGE, EDGE)
        page.setSpacing(GAP)
        self.setLayout(page)
        self.setMinimumWidth(460)
