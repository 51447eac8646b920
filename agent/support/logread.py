"""The log as a command line reads it: of the agent, the commands and the window together.

``logview`` reads one file and its elders; here their lines are merged by time and searched by a
regular expression. Imports agent.model only.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agent.errors import AgentError
from agent.model.activity import LEVELS, LogLine, ReadLog
from agent.support.logview import LogView

SOURCES = {"bridgework": "agent", "bridgework-cli": "command", "bridgework-gui": "window"}
MOST = 5000
_PAGE = 500


class LogError(AgentError):
    """``log.bad_pattern``: the regular expression is none."""

    code = "log.bad_pattern"


class Found(NamedTuple):
    """A line and who wrote it: agent, command or window."""

    source: str
    line: LogLine


class Wanted(msgspec.Struct, frozen=True):
    """The newest ``limit`` lines that fit. ``level``: at least this; ``topic``: beginning of the
    event or a part of the module's name; ``grep``: a regular expression over the whole line."""

    limit: int = 200
    level: str = "info"
    topic: str = ""
    grep: str = ""
    since: datetime | None = None
    until: datetime | None = None


def read_log(folder: Path, wish: Wanted) -> list[Found]:
    """Oldest first. LogError."""
    fits = _filter(wish)
    newest_first = heapq.merge(
        *(_back(folder / f"{stem}.log", source, wish.level) for stem, source in SOURCES.items()),
        key=lambda found: found.line.at,
        reverse=True,
    )
    since = _spelled(wish.since)
    kept: list[Found] = []
    for found in newest_first:
        if (since and found.line.at < since) or len(kept) >= min(max(wish.limit, 1), MOST):
            break
        if fits(found.line):
            kept.append(found)
    return kept[::-1]


def shown(line: LogLine) -> str:
    """The line as people read and search it."""
    facts = " ".join(f"{name}={_short(value)}" for name, value in line.facts.items())
    return f"{line.event} {facts}".rstrip()


def log_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(source, file), of each source the newest first."""
    for stem, source in SOURCES.items():
        first = folder / f"{stem}.log"
        older = sorted(
            (p for p in folder.glob(f"{stem}.log.*") if p.suffix[1:].isdigit()),
            key=lambda p: int(p.suffix[1:]),
        )
        yield from ((source, p) for p in (first, *older) if p.exists())


def _back(file: Path, source: str, level: str) -> Iterator[Found]:
    view, before = LogView(file), ""
    while True:
        page = view.page(ReadLog(limit=_PAGE, level=level, before=before))
        yield from (Found(source, line) for line in reversed(page.lines) if line.at and line.event)
        if not page.older:
            return
        before = page.older


def _filter(wish: Wanted) -> Callable[[LogLine], bool]:
    if wish.level not in LEVELS:
        raise LogError(level=wish.level)
    try:
        pattern = re.compile(wish.grep, re.IGNORECASE) if wish.grep else None
    except re.error:
        raise LogError from None
    until = _spelled(wish.until)

    def fits(line: LogLine) -> bool:
        if until and line.at > until:
            return False
        if wish.topic and not (
            line.event.startswith(wish.topic) or wish.topic in line.topic.split(".")
        ):
            return False
        return pattern is None or pattern.search(shown(line)) is not None

    return fits


def _spelled(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" if at else ""


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
