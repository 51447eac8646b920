"""The log as support reads it: newest lines that fit, of the agent, the commands and the window.

Files are read from their end, so a question about the last minutes costs little however long they
are. Lines were redacted when they were written. Imports agent.errors only.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from agent.errors import AgentError

SOURCES = {"bridgework": "agent", "bridgework-cli": "command", "bridgework-gui": "window"}
LEVELS = ("debug", "info", "warning", "error", "critical")
MOST = 5000
_BLOCK = 64 * 1024
_decoder = msgspec.json.Decoder(dict[str, Any])


class LogLine(msgspec.Struct, frozen=True):
    """A line of the log. ``fields``: everything else it says, redacted when it was written."""

    at: str
    level: str
    event: str
    logger: str = ""
    source: str = ""
    fields: dict[str, Any] = {}


class Wanted(msgspec.Struct, frozen=True):
    """The newest ``limit`` lines that fit. ``level``: at least this; ``topic``: beginning of the
    event or a part of the logger's name; ``grep``: a regular expression over the whole line."""

    limit: int = 200
    level: str = "info"
    topic: str = ""
    grep: str = ""
    since: datetime | None = None
    until: datetime | None = None


class LogError(AgentError):
    """``log.bad_pattern``: the regular expression is none."""

    code = "log.bad_pattern"


def read_log(folder: Path, wish: Wanted) -> list[LogLine]:
    """Oldest first. LogError."""
    fits = _filter(wish)
    sources = [_lines_back(folder, stem, name) for stem, name in SOURCES.items()]
    newest_first = heapq.merge(*sources, key=lambda line: line.at, reverse=True)
    since = f"{wish.since:%Y-%m-%dT%H:%M:%S.%fZ}" if wish.since else ""
    found = []
    for line in newest_first:
        if since and line.at < since:
            break
        if fits(line):
            found.append(line)
            if len(found) >= min(max(wish.limit, 1), MOST):
                break
    return found[::-1]


def log_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(source, file), of each source the newest first."""
    for stem, name in SOURCES.items():
        for path in _rotated(folder, stem):
            yield name, path


def parse_line(text: bytes, source: str) -> LogLine | None:
    """None for what is no line of ours."""
    try:
        told = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    at = told.pop("timestamp", None)
    event = told.pop("event", None)
    if not isinstance(at, str) or not isinstance(event, str):
        return None
    level = str(told.pop("level", "info"))
    return LogLine(at, level, event, str(told.pop("logger", "")), source, told)


def _filter(wish: Wanted) -> Any:
    least = LEVELS.index(wish.level) if wish.level in LEVELS else 1
    try:
        pattern = re.compile(wish.grep, re.IGNORECASE) if wish.grep else None
    except re.error:
        raise LogError from None
    until = f"{wish.until:%Y-%m-%dT%H:%M:%S.%fZ}" if wish.until else ""

    def fits(line: LogLine) -> bool:
        if until and line.at > until:
            return False
        if line.level in LEVELS and LEVELS.index(line.level) < least:
            return False
        if wish.topic and not (
            line.event.startswith(wish.topic)
            or wish.topic in line.logger.split(".")
            or line.logger.startswith(wish.topic)
        ):
            return False
        return pattern is None or pattern.search(shown(line)) is not None

    return fits


def shown(line: LogLine) -> str:
    """The line as people read and search it."""
    fields = " ".join(f"{name}={_short(value)}" for name, value in line.fields.items())
    return f"{line.event} {fields}".rstrip()


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def _rotated(folder: Path, stem: str) -> list[Path]:
    first = folder / f"{stem}.log"
    older = sorted(
        (p for p in folder.glob(f"{stem}.log.*") if p.suffix[1:].isdigit()),
        key=lambda p: int(p.suffix[1:]),
    )
    return [p for p in (first, *older) if p.exists()]


def _lines_back(folder: Path, stem: str, source: str) -> Iterator[LogLine]:
    for path in _rotated(folder, stem):
        for text in _back(path):
            line = parse_line(text, source)
            if line is not None:
                yield line


def _back(path: Path) -> Iterator[bytes]:
    """Lines of a file, the last first."""
    try:
        with path.open("rb") as file:
            at = file.seek(0, 2)
            held = b""
            while at > 0:
                size = min(_BLOCK, at)
                at -= size
                file.seek(at)
                lines = (file.read(size) + held).split(b"\n")
                held = lines[0]
                yield from (line for line in reversed(lines[1:]) if line)
            if held:
                yield held
    except OSError:
        return


def tail(folder: Path, wish: Wanted, seen: set[tuple[str, str, str]]) -> list[LogLine]:
    """Lines that fit and are not in ``seen``, which takes them up; for following."""
    found = []
    for line in islice(read_log(folder, wish), MOST):
        mark = (line.at, line.source, shown(line))
        if mark not in seen:
            seen.add(mark)
            found.append(line)
    return found
