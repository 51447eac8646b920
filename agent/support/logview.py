"""Reading the agent's own log, newest first and never all of it. Imports agent.model only.

The file and its rotated elders (``bridgework.log``, ``.1`` … oldest last) are one long text; a
place in it is ``first-bytes-digest:offset``, which stays true when the files are rotated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.model.activity import LEVELS, LogLine, LogPage, ReadLog

_BLOCK = 65_536
_HEAD = 200  # bytes that tell one file from another: a first line has its microseconds
_MOST_SCANNED = 50_000  # lines looked at for one answer; the next goes on from there
_KNOWN = frozenset({"timestamp", "level", "logger", "event"})


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    ident: str
    size: int
    written: float  # s since 1970


class LogView:
    """``LogView(paths.agent_log).page(ReadLog(level="warning"))``."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def page(self, wish: ReadLog) -> LogPage:
        """ValueError for a place that is none; one whose file is gone is the oldest there is."""
        files = self._files()
        if wish.after or wish.at is not None:
            return self._forward(files, wish)
        return self._backward(files, wish)

    def _files(self) -> list[_File]:
        """Oldest first."""
        elders = sorted(
            self._file.parent.glob(f"{self._file.name}.*"),
            key=lambda path: int(path.suffix[1:]) if path.suffix[1:].isdigit() else 0,
            reverse=True,
        )
        found = []
        for path in (*elders, self._file):
            try:
                with path.open("rb") as file:
                    head = file.read(_HEAD)
                facts = path.stat()
                ident = hashlib.sha256(head).hexdigest()[:10]
                found.append(_File(path, ident, facts.st_size, facts.st_mtime))
            except OSError:
                continue  # rotated away under our hands, or not written yet
        return found

    def _backward(self, files: list[_File], wish: ReadLog) -> LogPage:
        at, upto = _place(files, wish.before) if wish.before else (len(files) - 1, None)
        newer = _spelled(files, at, upto)
        lines: list[LogLine] = []
        scanned = 0
        while at >= 0:
            for offset, text in _lines_back(files[at], upto):
                line = parse_line(text, f"{files[at].ident}:{offset}")
                scanned += 1
                if line is not None and _fits(line, text, wish):
                    lines.append(line)
                if len(lines) == wish.limit or scanned == _MOST_SCANNED:
                    older = "" if offset == 0 and at == 0 else f"{files[at].ident}:{offset}"
                    return LogPage(tuple(reversed(lines)), older, newer, scanned)
            at, upto = at - 1, None
        return LogPage(tuple(reversed(lines)), "", newer, scanned)

    def _forward(self, files: list[_File], wish: ReadLog) -> LogPage:
        at, start = _place(files, wish.after) if wish.after else (_first_at(files, wish.at), 0)
        older = _spelled(files, at, start)
        lines: list[LogLine] = []
        scanned, end = 0, start or 0
        moment = f"{wish.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" if wish.at is not None else ""
        while 0 <= at < len(files):
            for offset, text in _lines_on(files[at], start or 0):
                end = offset + len(text) + 1
                line = parse_line(text, f"{files[at].ident}:{offset}")
                scanned += 1
                if line is not None and line.at >= moment and _fits(line, text, wish):
                    if not lines:
                        older = line.place
                    lines.append(line)
                if len(lines) == wish.limit:
                    return LogPage(tuple(lines), older, f"{files[at].ident}:{end}", scanned)
            at, start = at + 1, 0
            end = end if at == len(files) else 0
        newer = f"{files[-1].ident}:{end}" if files else ""
        return LogPage(tuple(lines), older, newer, scanned)


def _first_at(files: list[_File], moment: datetime | None) -> int:
    """The first file that was still written to then."""
    since = moment.timestamp() if moment is not None else 0.0
    for at, file in enumerate(files):
        if file.written >= since:
            return at
    return max(len(files) - 1, 0)


def parse_line(text: bytes, place: str) -> LogLine | None:
    """None for what is no event: a torn line."""
    try:
        event: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    return LogLine(
        at=str(event.get("timestamp", "")),
        level=str(event.get("level", "info")),
        topic=str(event.get("logger", "")),
        event=str(event.get("event", "")),
        facts={name: value for name, value in event.items() if name not in _KNOWN},
        place=place,
    )


def _fits(line: LogLine, text: bytes, wish: ReadLog) -> bool:
    rank = LEVELS.index(line.level) if line.level in LEVELS else len(LEVELS)
    return (
        rank >= LEVELS.index(wish.level)
        and line.topic.startswith(wish.topic)
        and (not wish.text or wish.text.casefold() in text.decode(errors="replace").casefold())
    )


def _lines_back(file: _File, upto: int | None) -> Iterator[tuple[int, bytes]]:
    """(offset, line) from ``upto`` (a line's start) backwards; a last line without end is whole."""
    end = file.size if upto is None else min(upto, file.size)
    tail = b""  # of a line whose beginning is not read yet
    with file.path.open("rb") as source:
        while end > 0:
            start = max(end - _BLOCK, 0)
            source.seek(start)
            text = source.read(end - start) + tail
            cut = text.find(b"\n") + 1 if start else 0
            if start and not cut:
                tail, end = text, start
                continue
            tail, text = text[:cut], text[cut:]
            offset, found = start + cut, []
            for line in text.split(b"\n"):
                if line:
                    found.append((offset, line))
                offset += len(line) + 1
            yield from reversed(found)
            end = start


def _lines_on(file: _File, start: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of whole lines from ``start`` on."""
    with file.path.open("rb") as source:
        source.seek(start)
        offset = start
        for text in source:
            if text.endswith(b"\n"):
                if text.strip():
                    yield offset, text[:-1]
                offset += len(text)


def _place(files: list[_File], text: str) -> tuple[int, int | None]:
    ident, _, offset = text.partition(":")
    if not offset.isdigit():
        raise ValueError(text)
    for at, file in enumerate(files):
        if file.ident == ident:
            return at, int(offset)
    return 0, 0


def _spelled(files: list[_File], at: int, offset: int | None) -> str:
    if not files or at < 0:
        return ""
    return f"{files[at].ident}:{files[at].size if offset is None else offset}"
