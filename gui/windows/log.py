"""The tab Log: what the agent noted; by level, topic and words, followed live, read from a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QDateTime, QRegularExpression, Qt, QTimer
from PySide6.QtGui import QAction, QGuiApplication, QHideEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QDateTimeEdit,
    QFileDialog,
    QLineEdit,
)

from agent.errors import AgentError
from agent.model.activity import LEVELS, LogLine, LogPage, ReadLog
from gui import a11y
from gui.link import Asked
from gui.models.log import LogModel
from gui.models.rows import Column
from gui.presenter import log as words
from gui.shell import Shell
from gui.theme import set_tone
from gui.widgets.parts import button, column, label, row
from gui.widgets.table import table
from gui.windows.tab import Tab

_PAGE = 300
_FOLLOW_MS = 1000
_TYPED_MS = 300
_PAGES_AT_ONCE = 8  # asked for in one go while a pattern matches nothing


class Log(Tab):
    name = "log"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        texts = self.texts
        self._older = ""
        self._newer = ""
        self._asked: Asked | None = None
        self._pattern: QRegularExpression | None = None
        self.level = QComboBox()
        a11y.name(self.level, texts("log.level"))
        for level in LEVELS:
            self.level.addItem(texts(f"log.levels.{level}"), level)
        self.level.setCurrentIndex(LEVELS.index("info"))
        self.topic = QComboBox()
        a11y.name(self.topic, texts("log.topic"))
        self.topic.addItem(texts("log.all_topics"), "")
        for prefix, key in words.TOPICS.items():
            self.topic.addItem(texts(f"log.topics.{key}"), prefix)
        self.search = QLineEdit()
        self.search.setPlaceholderText(texts("log.search"))
        self.search.setClearButtonEnabled(True)
        a11y.name(self.search, texts("log.search"))
        self.is_pattern = QCheckBox(texts("log.pattern"))
        self.follow = QCheckBox(texts("log.follow"))
        self.follow.setChecked(True)
        self.moment = QDateTimeEdit(QDateTime.currentDateTime())
        self.moment.setButtonSymbols(QDateTimeEdit.ButtonSymbols.NoButtons)
        self.moment.setDisplayFormat("d MMM HH:mm")
        a11y.name(self.moment, texts("log.moment"))
        self.jump = button(texts("log.jump"), self._jump)
        self.copy = button(texts("log.copy"), self.copy_chosen)
        self.save = button(texts("log.save"), self._ask_where)
        self.model = LogModel(self._columns(), shell.theme.colour)
        self.table = table(self.model, texts("log.list"), stretch=3, widths={0: 165, 1: 96, 2: 150})
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.verticalHeader().setDefaultSectionSize(26)
        self.table.setProperty("kind", "dense")
        self._said = label("", "caption")
        first = row(self.search, self.is_pattern)
        first.setStretch(0, 1)
        second = row(self.level, self.topic, None, self._said)
        self.body.addLayout(column(first, second))
        self.body.addWidget(self.table, 1)
        self.body.addLayout(row(self.follow, None, self.moment, self.jump, self.copy, self.save))
        copying = QAction(texts("log.copy"), self.table)
        copying.setShortcut(QKeySequence.StandardKey.Copy)
        copying.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copying.triggered.connect(self.copy_chosen)
        self.table.addAction(copying)
        self._typed = self._timer(_TYPED_MS, self.reload, once=True)
        self._following = self._timer(_FOLLOW_MS, self._ask_newer)
        self.search.textChanged.connect(lambda _: self._typed.start())
        self.is_pattern.toggled.connect(lambda _: self.reload())
        self.level.currentIndexChanged.connect(lambda _: self.reload())
        self.topic.currentIndexChanged.connect(lambda _: self.reload())
        self.follow.toggled.connect(self._follow)
        self.table.verticalScrollBar().valueChanged.connect(self._scrolled)
        shell.theme.changed.connect(self.model.repaint)

    # -- asking -----------------------------------------------------------------------------------

    def woken(self) -> None:
        self.reload()
        self._following.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._following.stop()
        self._typed.stop()
        super().hideEvent(event)

    def reload(self) -> None:
        """The newest lines that fit."""
        self._typed.stop()
        if self._read_pattern():
            self._ask(self._wish(), self._begin)

    def _jump(self) -> None:
        """From that moment on; following would take it away again."""
        self.follow.setChecked(False)
        at = self.moment.dateTime().toPython()
        assert hasattr(at, "astimezone")
        self._ask(self._wish(at=at.astimezone()), self._begin_at)

    def _wish(self, **more: object) -> ReadLog:
        is_plain = not self.is_pattern.isChecked()
        return ReadLog(
            limit=_PAGE,
            level=str(self.level.currentData()),
            topic=str(self.topic.currentData()),
            text=self.search.text() if is_plain else "",
            **more,  # type: ignore[arg-type]
        )

    def _ask(self, wish: ReadLog, then: Callable[[LogPage], None]) -> None:
        if self._asked is not None:
            self._asked.cancel()
        self._asked = self.shell.link.ask(wish, then, failed=self._refused, owner=self)

    def _ask_newer(self) -> None:
        is_idle = self._asked is None or self._asked.is_over
        if self.follow.isChecked() and self._newer and is_idle:
            self._ask(self._wish(after=self._newer), self._append)

    def _scrolled(self, value: int) -> None:
        """The top asks for what is older, the bottom (of a jump) for what is newer."""
        if self._asked is not None and not self._asked.is_over:
            return
        if value == 0 and self._older and self.model.rowCount():
            self._ask(self._wish(before=self._older), self._prepend)
        elif value == self.table.verticalScrollBar().maximum() and not self.follow.isChecked():
            self._ask(self._wish(after=self._newer), self._append)

    # -- showing ----------------------------------------------------------------------------------

    def _begin(self, page: LogPage) -> None:
        self._older, self._newer = page.older, page.newer
        self.model.begin(self._matching(page))
        self.table.scrollToBottom()
        self._say()
        self._fill_up(_PAGES_AT_ONCE)

    def _begin_at(self, page: LogPage) -> None:
        self._older, self._newer = page.older, page.newer
        self.model.begin(self._matching(page))
        self.table.scrollToTop()
        self._say()

    def _append(self, page: LogPage) -> None:
        self._newer = page.newer
        bar = self.table.verticalScrollBar()
        was_at_end = bar.value() >= bar.maximum() - 4
        self.model.append(self._matching(page))
        if was_at_end and self.follow.isChecked():
            self.table.scrollToBottom()
        self._say()

    def _prepend(self, page: LogPage) -> None:
        """What was looked at stays where it was."""
        self._older = page.older
        found = self._matching(page)
        bar = self.table.verticalScrollBar()
        self.model.prepend(found)
        bar.setValue(bar.value() + len(found) * self.table.verticalHeader().defaultSectionSize())
        self._say()

    def _fill_up(self, pages: int) -> None:
        """A pattern is matched here: where it finds little, older lines are looked at too."""
        if self._pattern is None or not self._older or not pages or self.model.rowCount() >= _PAGE:
            return

        def then(page: LogPage) -> None:
            self._prepend(page)
            self._fill_up(pages - 1)

        self._ask(self._wish(before=self._older), then)

    def _matching(self, page: LogPage) -> list[LogLine]:
        if self._pattern is None:
            return list(page.lines)
        pattern = self._pattern
        return [line for line in page.lines if pattern.match(words.spelled(line)).hasMatch()]

    def _read_pattern(self) -> bool:
        """Qt's engine gives up on a pattern that would run for ever; Python's would not."""
        self._pattern = None
        text = self.search.text()
        set_tone(self.search, "")
        if not text or not self.is_pattern.isChecked():
            return True
        pattern = QRegularExpression(text, QRegularExpression.PatternOption.CaseInsensitiveOption)
        if not pattern.isValid():
            set_tone(self.search, "bad")
            self._said.setText(self.texts("log.bad_pattern", why=pattern.errorString()))
            return False
        self._pattern = pattern
        return True

    def _say(self) -> None:
        self._said.setText(self.texts("log.count", n=self.model.rowCount()))

    def _refused(self, error: AgentError) -> None:
        self._said.setText(self.texts.message(error.code, error.facts).title)

    def _follow(self, on: bool) -> None:
        if on:
            self.reload()

    # -- copying ----------------------------------------------------------------------------------

    def copy_chosen(self) -> None:
        """The chosen lines as text; all that are shown when none is chosen."""
        lines = self._chosen()
        QGuiApplication.clipboard().setText("\n".join(lines))
        self.shell.tell(self.texts("log.copied", n=len(lines)))

    def _chosen(self) -> list[str]:
        chosen = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        rows = chosen or range(self.model.rowCount())
        found = (self.model.row(at) for at in rows)
        return [words.spelled(line) for line in found if line is not None]

    def _ask_where(self) -> None:
        """The same lines into a file of the person's; asked without blocking."""
        lines = self._chosen()
        dialog = QFileDialog(self, self.texts("log.save"), "bridgework-log.txt")
        dialog.setObjectName("save-as")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.selectFile("bridgework-log.txt")
        dialog.fileSelected.connect(lambda path: self._write(Path(path), lines))
        dialog.open()

    def _write(self, path: Path, lines: list[str]) -> None:
        try:
            path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        except OSError as error:
            why = error.strerror or ""
            self.shell.tell(self.texts("settings.not_saved", why=why), "bad")
        else:
            self.shell.tell(self.texts("manual.out.saved", file=str(path)), "good")

    # -- parts ------------------------------------------------------------------------------------

    def _timer(self, ms: int, act: Callable[[], None], *, once: bool = False) -> QTimer:
        timer = QTimer(self)
        timer.setInterval(ms)
        timer.setSingleShot(once)
        timer.timeout.connect(act)
        return timer

    def _columns(self) -> list[Column[LogLine]]:
        def level(line: LogLine) -> str:
            name = self.texts(f"log.names.{line.level}") if line.level in LEVELS else line.level
            return f"{words.MARKS.get(line.level, '·')} {name}"

        def what(line: LogLine) -> str:
            return f"{line.event}   {words.details(line)}"

        def tone(line: LogLine) -> str:
            return words.TONES.get(line.level, "")

        title = {
            name: self.texts(f"log.column.{name}") for name in ("time", "level", "topic", "event")
        }
        return [
            Column(title["time"], words.local_time, tone=lambda _: "soft"),
            Column(title["level"], level, tone=tone),
            Column(title["topic"], words.topic, tone=lambda _: "soft"),
            Column(title["event"], what, tone=tone, tip=words.spelled),
        ]
