"""Files on their way between a person and the agent: a private folder, emptied soon."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from agent.config.paths import make_private_dir
from agent.errors import AgentError
from agent.model.longwork import MOST_BYTES, PART_BYTES, Part

KEPT_S = 3600.0
MOST_FILES = 40


class FilesError(AgentError):
    """What was asked of a file cannot be done. ``files.gone|too_large|out_of_order|too_many``."""

    code = "files.gone"


@dataclass(slots=True)
class _Held:
    name: str
    size: int  # as announced; of what we made: as it is
    touched: float


class Files:
    """Thread-safe. What an earlier run left is thrown away at the start: it is patient data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        shutil.rmtree(folder, ignore_errors=True)

    def open(self, name: str, size: int) -> str:
        """Room for a file that will be sent; its token."""
        if not 0 <= size <= MOST_BYTES:
            raise FilesError("files.too_large", most_mb=MOST_BYTES // 1_000_000)
        return self._add(name, size)

    def make(self, name: str) -> tuple[str, Path]:
        """Room for a file of ours: token and place to write to."""
        token = self._add(name, 0)
        return token, self._path(token)

    def _add(self, name: str, size: int) -> str:
        self.sweep()
        with self._lock:
            if len(self._held) >= MOST_FILES:
                raise FilesError("files.too_many")
            make_private_dir(self._folder)
            token = secrets.token_hex(16)
            self._held[token] = _Held(Path(name).name[:120], size, time.monotonic())
            path = self._folder / token
            path.touch(mode=0o600)
        return token

    def send(self, token: str, at: int, content: bytes) -> None:
        path = self.path(token)
        if path.stat().st_size != at:
            raise FilesError("files.out_of_order")
        if at + len(content) > self._held[token].size:
            raise FilesError("files.too_large", most_mb=MOST_BYTES // 1_000_000)
        with path.open("ab") as file:
            file.write(content)

    def fetch(self, token: str, at: int) -> Part:
        path = self.path(token)
        with path.open("rb") as file:
            file.seek(max(at, 0))
            return Part(file.read(PART_BYTES), path.stat().st_size)

    def read(self, token: str) -> BinaryIO:
        """The whole file as it was sent; FilesError when a part is missing."""
        path = self.path(token)
        if path.stat().st_size != self._held[token].size:
            raise FilesError("files.out_of_order")
        return path.open("rb")

    def name(self, token: str) -> str:
        self.path(token)
        return self._held[token].name

    def drop(self, token: str) -> None:
        with self._lock:
            self._held.pop(token, None)
        if token.isalnum():
            self._path(token).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Forget what nobody asked about for an hour."""
        old = time.monotonic() - KEPT_S
        for token, held in list(self._held.items()):
            if held.touched < old:
                self.drop(token)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def path(self, token: str) -> Path:
        held = self._held.get(token)
        if held is None or not self._path(token).exists():
            raise FilesError("files.gone")
        held.touched = time.monotonic()
        return self._path(token)

    def _path(self, token: str) -> Path:
        return self._folder / token
