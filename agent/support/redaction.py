"""What may enter the log: an allow-list; all else is masked. Pure; imports only agent.errors.

Patient data arrives in logs as free text, as a long number (a phone), inside an exception's message
or inside a library's own line. So: free text only in fields named here and only in the shape
named here; numbers only when small or in a counting field; of an exception its type, its code and
our frames; of a library's line its logger and level.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Any

from agent.errors import AgentError

MASK = "[masked]"
_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
WORD = re.compile(r"[A-Za-z0-9_.:+-]{1,80}")
_HOST = re.compile(r"[A-Za-z0-9_.:\\\[\]-]{1,255}")
VERSION = re.compile(r"[A-Za-z0-9_.+~ ()-]{1,80}")
_DIGEST = re.compile(r"[0-9a-f-]{1,80}(:\d+)?|[0-9a-f-]{36}-\d+")
_SETTING = re.compile(r"[a-z_]+\.[a-z_]+")
_LONG_DIGITS = re.compile(r"\d{7,}")

# Field name -> the shape its text must have. Add a field only if the engine makes up its values.
TEXT_FIELDS: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys(
        (
            "action", "act", "auth", "cause", "chunk_tier", "class", "code", "column", "command",
            "decision", "direction", "engine", "error", "from_version", "function", "grant", "kind",
            "lane", "level", "log", "logger", "method", "mode", "module", "op", "outcome", "part",
            "phase", "place", "reason", "run", "severity", "shows", "signal", "sqlstate", "stage",
            "state", "status", "step", "stream", "table", "thread", "tier", "trigger", "type",
            "urgency", "verb", "why", "winner", "zone",
        ),
        WORD,
    ),
    **dict.fromkeys(("host", "proxy_host", "server_host"), _HOST),
    **dict.fromkeys(("agent_version", "pms_version", "server", "version"), VERSION),
    **dict.fromkeys(
        ("audit_head", "batch", "batch_id", "digest", "fingerprint", "hash", "identity",
         "journal", "journal_uuid", "lease", "op_id", "request_id"),
        _DIGEST,
    ),
    "setting": _SETTING,
}  # fmt: skip

# Text may be longer than a word here, for a digest is digits by nature.
_DIGIT_FIELDS = frozenset(name for name, shape in TEXT_FIELDS.items() if shape is _DIGEST)

# A number with more digits than this could be a phone or an identifier …
_SMALL = 10_000_000
# … unless the field counts or measures.
_COUNTING = re.compile(
    r".*(_ms|_s|_us|_ns|_bytes|_rows|_count|_rate|_share|_at|_lsn)"
    r"|bytes|count|items|lsn|number|pid|port|rows|mark|epoch|high_mark|rss|total"
)
_OUR_FRAMES = ("agent", "drivers", "gui")
_MAX_ITEMS = 20
_MAX_DEPTH = 3


def redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor; the last one before rendering. Returns a fresh, safe event."""
    safe: dict[str, Any] = {}
    for name, value in event.items():
        if name == "event":
            safe[name] = value if is_event_name(value) else "log.unnamed"
        elif name in {"exc_info", "exception"}:
            safe.update(describe_exception(value))
        elif name in {"stack", "stack_info"}:
            continue
        elif name == "timestamp":
            safe[name] = value
        elif name.startswith("_"):
            safe[name] = value  # structlog's own; removed before rendering
        else:
            safe[safe_name(name)] = safe_value(name, value)
    return safe


def is_event_name(value: object) -> bool:
    """``batch.settled``: dotted lower case words with at least one dot, no long digits."""
    return (
        isinstance(value, str)
        and len(value) <= 80
        and "." in value
        and _EVENT.fullmatch(value) is not None
        and _LONG_DIGITS.search(value) is None
    )


def safe_name(name: str) -> str:
    return name if re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) else "field"


def safe_value(name: str, value: object, depth: int = 0) -> Any:
    """The value, or a mask. ``name`` decides what text and how large a number may be."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str | int) else value.name.lower()
    if isinstance(value, int | float):
        return value if abs(value) < _SMALL or _COUNTING.fullmatch(name) else MASK
    if isinstance(value, datetime) and name.endswith("_at"):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return value if _is_safe_text(name, value) else MASK
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {
            safe_name(str(key)): safe_value(str(key), item, depth + 1)
            for key, item in list(value.items())[:_MAX_ITEMS]
        }
    if _is_list(value) and depth < _MAX_DEPTH:
        return [safe_value(name, item, depth + 1) for item in list(value)[:_MAX_ITEMS]]  # type: ignore[call-overload]
    return MASK  # bytes, dates (a birth date is one), paths, objects, exceptions


def describe_exception(given: object) -> dict[str, Any]:
    """Type, code, safe facts and our own frames; never the message, which may quote a row."""
    error = _exception_of(given)
    if error is None:
        return {}
    told: dict[str, Any] = {
        "error": type(error).__name__,
        "frames": our_frames(error.__traceback__),
    }
    if isinstance(error, AgentError):
        told["code"] = error.code
        told["facts"] = {n: safe_value(n, v) for n, v in error.facts.items()}
    cause = error.__cause__ or error.__context__
    if cause is not None:
        told["cause"] = type(cause).__name__
    return told


def our_frames(trace: TracebackType | None) -> list[str]:
    """``agent/sync/plan.py:42 decide`` for frames of ours, innermost last; at most 20."""
    frames = []
    for frame in traceback.extract_tb(trace):
        parts = PurePath(frame.filename).parts
        start = next((i for i in reversed(range(len(parts))) if parts[i] in _OUR_FRAMES), None)
        if start is not None and "site-packages" not in parts[start:]:
            frames.append(f"{'/'.join(parts[start:])}:{frame.lineno} {frame.name}")
    return frames[-_MAX_ITEMS:]


def _is_safe_text(name: str, value: str) -> bool:
    shape = TEXT_FIELDS.get(name)
    if shape is None or shape.fullmatch(value) is None:
        return False
    return name in _DIGIT_FIELDS or _LONG_DIGITS.search(value) is None


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence | frozenset | set) and not isinstance(
        value, bytes | bytearray
    )


def _exception_of(given: object) -> BaseException | None:
    if isinstance(given, BaseException):
        return given
    if given is True:
        return sys.exception()
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[1], BaseException):
        return given[1]
    return None
