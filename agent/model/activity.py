"""What was done, in lines without a word about anybody; what the log holds. Requests. A leaf."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from agent.model.asking import Done, Request
from agent.model.streams import Stream

SENT = "sent.records"  # the CRM took changes: folded by stream and minute
LOADED = "sent.loaded"  # … records of a first load


class Direction(StrEnum):
    """Which way something went."""

    TO_CRM = "to_crm"
    TO_PRACTICE = "to_practice"
    OWN = "own"  # the agent's own affairs, and what people switched


class Outcome(StrEnum):
    """What became of it."""

    DONE = "done"
    WAITS = "waits"  # for a person, or for something to end
    REFUSED = "refused"
    NOTICE = "notice"


# The first prefix that fits says it; what is new and unknown is a notice of our own.
_KINDS: tuple[tuple[str, Direction, Outcome], ...] = (
    ("sent.", Direction.TO_CRM, Outcome.DONE),
    ("crm.rejected", Direction.TO_CRM, Outcome.REFUSED),
    ("crm.", Direction.TO_CRM, Outcome.NOTICE),
    ("reconcile.", Direction.TO_CRM, Outcome.NOTICE),
    ("guard.", Direction.TO_CRM, Outcome.WAITS),
    ("pms.", Direction.TO_CRM, Outcome.WAITS),
    ("command.applied", Direction.TO_PRACTICE, Outcome.DONE),
    ("command.superseded", Direction.TO_PRACTICE, Outcome.NOTICE),
    ("command.conflict", Direction.TO_PRACTICE, Outcome.WAITS),
    ("command.task", Direction.TO_PRACTICE, Outcome.WAITS),
    ("command.unknown", Direction.TO_PRACTICE, Outcome.WAITS),
    ("command.", Direction.TO_PRACTICE, Outcome.REFUSED),
    ("envelope.", Direction.TO_PRACTICE, Outcome.REFUSED),
    ("booking.suspended", Direction.TO_PRACTICE, Outcome.WAITS),
    ("booking.", Direction.TO_PRACTICE, Outcome.DONE),
    ("load.", Direction.OWN, Outcome.DONE),
    ("alert.", Direction.OWN, Outcome.NOTICE),
    ("proof.full", Direction.OWN, Outcome.DONE),
)


def kind_of(code: str) -> tuple[Direction, Outcome]:
    """Where a line of this code went and what became of it."""
    for prefix, direction, outcome in _KINDS:
        if code.startswith(prefix):
            return direction, outcome
    return Direction.OWN, Outcome.NOTICE


class ActivityLine(msgspec.Struct, frozen=True):
    """``count`` records of one stream (None: not of a stream) within a minute, or one event.

    ``facts``: of the code's text. ``keys`` there: the practice's own numbers of up to 40 of the
    records, with spaces around each.
    """

    number: int
    at: datetime
    code: str
    stream: Stream | None
    count: int
    facts: dict[str, str | int | float] = {}


class ActivityPage(msgspec.Struct, frozen=True):
    """Newest first. ``total``: that fit, up to ``newest`` (the last line's number when asked)."""

    lines: tuple[ActivityLine, ...]
    total: int
    newest: int


class ListActivity(Request[ActivityPage], frozen=True):
    """A page of what fits. Empty filters fit everything.

    ``upto``: the list as it stood at that line, so that paging does not slip while it grows;
    ``above``: only newer lines. ``codes``: any of these; ``key``: a record's number.
    """

    method = "activity.list"
    offset: int = 0
    limit: int = 100
    upto: int | None = None
    above: int = 0
    streams: tuple[Stream, ...] = ()
    directions: tuple[Direction, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    codes: tuple[str, ...] | None = None
    key: str = ""
    since: datetime | None = None
    until: datetime | None = None


class PulseBucket(msgspec.Struct, frozen=True):
    """Five minutes. Counts of records; ``usual_ms``, ``slowest_ms``: from noticing a change until
    the CRM had it, None where nothing was sent live."""

    at: datetime
    sent: int = 0
    received: int = 0
    refused: int = 0
    usual_ms: float | None = None
    slowest_ms: float | None = None


class Pulse(msgspec.Struct, frozen=True):
    """The last 24 hours, oldest first, gaps filled with empty buckets; ``last_sent``: by stream."""

    buckets: tuple[PulseBucket, ...]
    last_sent: dict[Stream, datetime] = {}


class GetPulse(Request[Pulse], frozen=True):
    method = "pulse"


class CheckNow(Request[Done], frozen=True):
    """Send what waits and prove the busy part of the practice equal once more, at once."""

    method = "check.now"


# --- the agent's own log --------------------------------------------------------------------------

LEVELS = ("debug", "info", "warning", "error")


class LogLine(msgspec.Struct, frozen=True):
    """One redacted event. ``topic``: the module that noted it; ``place``: where it stands."""

    at: str
    level: str
    topic: str
    event: str
    facts: dict[str, Any] = {}
    place: str = ""


class LogPage(msgspec.Struct, frozen=True):
    """Oldest first. ``older`` / ``newer``: ask again with ``before`` / ``after`` these; ``older``
    "" = nothing before. ``scanned``: lines looked at."""

    lines: tuple[LogLine, ...]
    older: str
    newer: str
    scanned: int


class ReadLog(Request[LogPage], frozen=True):
    """The newest lines that fit; ``before``: older than that place, ``after``: newer, ``at``: from
    that moment on. ``level``: this and worse; ``topic``: begins so; ``text``: in the line."""

    method = "log.read"
    limit: int = 200
    level: str = "debug"
    topic: str = ""
    text: str = ""
    before: str = ""
    after: str = ""
    at: datetime | None = None
