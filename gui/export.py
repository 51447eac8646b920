"""Saving a list of the agent's as CSV, page by page, so that a long one neither blocks nor fails
half-way: the file appears when it is whole."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TextIO

import msgspec
from PySide6.QtCore import QObject, Signal

from agent.errors import AgentError
from agent.model.activity import ActivityPage, ListActivity
from agent.model.asking import MOST
from gui.link import Asked
from gui.presenter.activity import export_header, export_row
from gui.shell import Shell
from gui.widgets.progress import Progress


class ActivityExport(QObject):
    """``start`` once; ``ended`` in any case."""

    ended = Signal()

    def __init__(self, shell: Shell, wish: ListActivity, path: Path, progress: Progress) -> None:
        super().__init__(progress)
        self._shell = shell
        self._wish = wish
        self._path = path
        self._draft = path.with_name(f"{path.name}.part")
        self._progress = progress
        self._file: TextIO | None = None
        self._asked: Asked | None = None
        self._done = 0
        self._upto: int | None = None
        progress.cancelled.connect(self.cancel)

    def start(self) -> None:
        try:
            # With a mark at the front, for a spreadsheet takes the text for UTF-8 only then.
            self._file = self._draft.open("w", encoding="utf-8-sig", newline="")
            csv.writer(self._file).writerow(export_header(self._shell.texts))
        except OSError as error:
            self._failed(error.strerror or "")
            return
        self._say(0)
        self._next()

    def cancel(self) -> None:
        if self._file is not None:
            if self._asked is not None:
                self._asked.cancel()
            self._end(self._shell.texts("activity.cancelled"))

    def _next(self) -> None:
        wish = msgspec.structs.replace(self._wish, offset=self._done, limit=MOST, upto=self._upto)
        self._asked = self._shell.link.ask(wish, self._take, failed=self._refused, owner=self)

    def _take(self, page: ActivityPage) -> None:
        assert self._file is not None
        self._upto = self._upto or page.newest
        try:
            csv.writer(self._file).writerows(
                export_row(line, self._shell.texts) for line in page.lines
            )
            self._done += len(page.lines)
            if page.lines and self._done < page.total:
                self._say(page.total)
                self._next()
                return
            self._file.close()
            self._draft.replace(self._path)
        except OSError as error:
            self._failed(error.strerror or "")
            return
        told = self._shell.texts("activity.exported", n=self._done, file=str(self._path))
        self._end(told, "good")

    def _say(self, total: int) -> None:
        texts = self._shell.texts
        text = texts("activity.exporting", done=self._done, total=total)
        self._progress.show_at(self._done, total, text)

    def _refused(self, error: AgentError) -> None:
        self._failed(self._shell.texts.message(error.code, error.facts).title)

    def _failed(self, why: str) -> None:
        self._end(self._shell.texts("activity.not_exported", why=why), "bad")

    def _end(self, told: str, tone: str = "") -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._draft.unlink(missing_ok=True)
        self._progress.cancelled.disconnect(self.cancel)
        self._progress.end()
        self._shell.tell(told, tone)
        self.ended.emit()
