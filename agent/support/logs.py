"""Set-up of the log: JSON lines in a rotating file, readable lines on the console, both redacted.

Called once by the command line. Must not import drivers, runtime or gui.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from collections.abc import MutableMapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import structlog

from agent.support.redaction import MASK, redact_event

_FILE_BYTES = 10_000_000
_FILES_KEPT = 5
_TURN_AGAIN_S = 60.0


class LogFile(logging.handlers.RotatingFileHandler):
    """Opened at the first line, so a command that has nothing to say leaves no folder behind.

    Windows renames no file that somebody has open, be it another command of ours or a viewer. Then
    this one grows on and is turned later; no line is lost, and no older file moves up for nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._grows_until = 0.0
        super().__init__(
            path, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8", delay=True
        )

    def _open(self) -> TextIOWrapper:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return super()._open()

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
        return time.monotonic() >= self._grows_until and bool(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802
        if self.stream is not None:
            self.stream.close()
            self.stream = None
        try:
            Path(self.baseFilename).replace(self._aside)
        except OSError:
            self._grows_until = time.monotonic() + _TURN_AGAIN_S
            self.stream = self._open()
            return
        super().doRollover()

    def rotate(self, _source: str, dest: str) -> None:
        self._aside.replace(dest)

    @property
    def _aside(self) -> Path:
        return Path(f"{self.baseFilename}.full")

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not stop the agent, nor print a record's content to the console."""


def configure(
    *,
    level: str = "info",
    file: Path | None = None,
    console: TextIO | None = None,
    console_level: str | None = None,
    console_json: bool = False,
) -> None:
    """Replace whatever logging there was. Levels: debug, info, warning, error.

    ``console`` defaults to stderr, for stdout belongs to a command's answer.
    """
    out = sys.stderr if console is None else console
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handlers: list[logging.Handler] = [
        _console_handler(out, (console_level or level).upper(), shared, as_json=console_json)
    ]
    if file is not None:
        keeper = LogFile(file)
        keeper.setLevel(level.upper())
        keeper.setFormatter(_formatter(shared, structlog.processors.JSONRenderer()))
        handlers.append(keeper)
    # A handler that fails must not print the record it failed on.
    logging.raiseExceptions = False
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old, LogFile) or getattr(old, "is_bridgework", False):
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(min(handler.level for handler in handlers))
    for chatty in ("httpx", "httpcore", "asyncio", "apscheduler", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _console_handler(
    out: TextIO, level: str, shared: list[structlog.types.Processor], *, as_json: bool
) -> logging.Handler:
    handler: logging.Handler = logging.StreamHandler(out)
    handler.setLevel(level)
    handler.is_bridgework = True  # type: ignore[attr-defined]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if as_json else _render_line
    )
    handler.setFormatter(_formatter(shared, renderer))
    return handler


def _formatter(
    shared: list[structlog.types.Processor], renderer: structlog.types.Processor
) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, _foreign_line],
        processors=[
            redact_event,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            renderer,
        ],
        # Else the standard formatter appends the exception as text after our chain has run.
        keep_exc_info=False,
        keep_stack_info=False,
    )


def _foreign_line(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A library's line keeps its logger, level and exception type; its words may quote anything."""
    event["event"] = "library.log"
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["module"] = record.module
        event["line"] = record.lineno
        event["exc_info"] = record.exc_info
    return event


def _render_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """``10:41:02 info    batch.settled stream=patient rows=12``"""
    time = str(event.pop("timestamp", ""))[11:19]
    level = str(event.pop("level", ""))
    name = str(event.pop("event", ""))
    event.pop("logger", None)
    fields = " ".join(f"{k}={v}" for k, v in event.items() if v is not None and v != MASK)
    return f"{time} {level:<7} {name} {fields}".rstrip()
