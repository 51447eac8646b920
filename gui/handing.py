"""Files and long work from the window: send, fetch, follow a job; nothing of it blocks.

Sender(link, path, then=self._look, failed=self._sorry, parent=self)
Fetcher(link, token, path, then=self._saved, failed=self._sorry, parent=self)
Follower(link, job, step=self._show, over=self._done, parent=self)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec
from PySide6.QtCore import QObject, QTimer

from agent.errors import AgentError
from agent.model.asking import Done
from agent.model.longwork import (
    PART_BYTES,
    CancelJob,
    DropFile,
    FetchPart,
    Job,
    JobState,
    OpenUpload,
    Part,
    SendPart,
    ShowJob,
    Upload,
)
from gui.link import Link

_LOOK_MS = 200
Failed = Callable[[AgentError], None]


class NotRead(AgentError):
    """The person's own file could not be opened or written."""

    code = "files.not_read"


class Sender(QObject):
    """A file of the person's to the agent, a part at a time."""

    def __init__(
        self, link: Link, path: Path, then: Callable[[str], None], failed: Failed, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._link = link
        self._then = then
        self._failed = failed
        self._token = ""
        self._at = 0
        self._file: BinaryIO | None = None
        try:
            self._file = path.open("rb")
            size = path.stat().st_size
        except OSError:
            failed(NotRead())
            return
        link.ask(OpenUpload(path.name, size), self._begin, failed=self._stop, owner=self)

    def _begin(self, upload: Upload) -> None:
        self._token = upload.token
        self._next(None)

    def _next(self, _: Done | None) -> None:
        assert self._file is not None
        part = self._file.read(PART_BYTES)
        if not part:
            self._file.close()
            self._then(self._token)
            self.deleteLater()
            return
        wish = SendPart(self._token, self._at, part)
        self._at += len(part)
        self._link.ask(wish, self._next, failed=self._stop, owner=self)

    def _stop(self, error: AgentError) -> None:
        if self._file is not None:
            self._file.close()
        self._failed(error)
        self.deleteLater()


class Fetcher(QObject):
    """A file of the agent's to where the person wants it, readable by this person only."""

    def __init__(
        self,
        link: Link,
        token: str,
        path: Path,
        then: Callable[[Path], None],
        failed: Failed,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._link = link
        self._token = token
        self._path = path
        self._then = then
        self._failed = failed
        self._at = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "wb")
        except OSError:
            failed(NotRead())
            return
        link.ask(FetchPart(token, 0), self._take, failed=self._stop, owner=self)

    def _take(self, part: Part) -> None:
        try:
            self._file.write(part.content)
        except OSError:
            self._stop(NotRead())
            return
        self._at += len(part.content)
        if self._at < part.total and part.content:
            self._link.ask(
                FetchPart(self._token, self._at), self._take, failed=self._stop, owner=self
            )
            return
        self._file.close()
        self._link.ask(DropFile(self._token))
        self._then(self._path)
        self.deleteLater()

    def _stop(self, error: AgentError) -> None:
        self._file.close()
        self._failed(error)
        self.deleteLater()


class Follower(QObject):
    """Looks at a job until it is over. ``cancel`` asks it to end."""

    def __init__(
        self,
        link: Link,
        job: Job,
        step: Callable[[Job], None],
        over: Callable[[Job], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._link = link
        self._job = job
        self._number = job.number
        self._step = step
        self._over = over
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look)
        self._take(job)

    def cancel(self) -> None:
        self._link.ask(CancelJob(self._number), owner=self)

    def _look(self) -> None:
        self._link.ask(ShowJob(self._number), self._take, failed=self._lost, owner=self)

    def _take(self, job: Job) -> None:
        self._job = job
        self._step(job)
        if job.is_over:
            self._over(job)
            self.deleteLater()
        else:
            self._timer.start(_LOOK_MS)

    def _lost(self, error: AgentError) -> None:
        """The agent was restarted: the job went with it, and whoever waits for it hears so."""
        lost = msgspec.structs.replace(
            self._job, state=JobState.FAILED, code=error.code, facts=dict(error.facts)
        )
        self._over(lost)
        self.deleteLater()
