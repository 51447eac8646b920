"""Results of a lane that is too long for one sitting, kept as they come: the same command goes on
where the last one stopped. One file a commit, a line of JSON each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

import msgspec

R = TypeVar("R")


class Kept(Generic[R]):
    """``told``: what is known of a commit, by ``name``. Of other code than that it is worth
    nothing: a ``commit`` ending in "+" (changed files) starts anew."""

    def __init__(
        self, folder: Path, commit: str, kind: type[R], name: Callable[[R], object]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{commit}.jsonl"
        self._kind = kind
        self._name = name
        if commit.endswith("+"):
            self.path.unlink(missing_ok=True)
        self.told = {name(told): told for told in self._read()}

    def _read(self) -> Iterator[R]:
        """A last line cut short by a kill is passed over."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                yield msgspec.json.decode(line, type=self._kind, dec_hook=_made)
            except msgspec.DecodeError:
                continue

    @contextmanager
    def adding(self) -> Iterator[Callable[[R], None]]:
        with self.path.open("ab") as file:
            if file.tell() and not self.path.read_bytes().endswith(b"\n"):
                file.write(b"\n")
            yield lambda told: self._add(file, told)

    def _add(self, file: IO[bytes], told: R) -> None:
        file.write(msgspec.json.encode(told) + b"\n")
        file.flush()
        self.told[self._name(told)] = told


def _made(kind: Any, value: Any) -> Any:
    """What msgspec does not make by itself: a Counter of a mapping."""
    return kind(value)


def cache_folder(lane: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "bridgework" / lane
