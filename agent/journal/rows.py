"""Rows and values the journal takes and gives. No SQL here."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import Verb


class Held(msgspec.Struct, frozen=True):
    """What the journal holds of one record: local tree, agreed tree and where its work stands."""

    hash: bytes  # content last read from the PMS; b"" once gone
    sum48: int
    xor64: int
    seen_lsn: int
    agreed: (
        bytes | None
    )  # content both sides were seen to hold; b"" = agreed deletion; None = never
    batch: int | None  # the outgoing batch that carries this content, until settled
    missing_since: datetime | None  # first validated read that did not find it
    gone: bool
    parked: bool


class Seen(msgspec.Struct, frozen=True):
    """A record as just read. ``canon`` is kept (sealed) for two-way streams only, else None."""

    key: Key
    hash: bytes
    sum48: int
    xor64: int
    canon: bytes | None = None


class Operation(msgspec.Struct, frozen=True, array_like=True):
    """One change inside an outgoing batch, in wire order."""

    key: Key
    op_id: bytes
    verb: Verb
    hash: bytes  # b"" for a delete


class Urgency(StrEnum):
    """Which outgoing batches leave first."""

    LIVE = "live"
    REPAIR = "repair"
    LOAD = "load"


class Outgoing(msgspec.Struct, frozen=True):
    """A batch to send: its exact wire bytes and the operations they carry."""

    stream: Stream
    urgency: Urgency
    body: bytes
    operations: list[Operation]


class Batch(msgspec.Struct, frozen=True):
    """An outgoing batch as stored. ``id`` is the idempotency key and never changes."""

    number: int
    id: str
    stream: Stream
    urgency: Urgency
    body: bytes
    operations: list[Operation]
    attempts: int
    planned_at: datetime


class Tier(StrEnum):
    """How often a chunk is proven equal; the engine turns it into a due time."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class Chunk(msgspec.Struct, frozen=True):
    """A key range ``lo < key <= hi`` (None = open). ``loaded`` is False until its first full read.

    ``number`` is never used again: a chunk that was split or replanned matches nothing any more.
    """

    stream: Stream
    number: int
    lo: Key | None
    hi: Key | None
    loaded: bool
    verified_at: datetime | None
    due_at: datetime


class ParkClass(StrEnum):
    """Why a record is in quarantine."""

    VALIDATION = "validation"
    DECODE = "decode"
    TOO_BIG = "too_big"
    SCHEMA = "schema"
    UNKNOWN_OUTCOME = "unknown_outcome"
    IGNORED = "ignored"  # a person said so; counts no more and is not tried until it changes


class Parked(msgspec.Struct, frozen=True):
    """One record in quarantine; nothing else waits. ``reason`` is a code, never patient text."""

    stream: Stream
    key: Key
    why: ParkClass
    reason: str
    content_hash: bytes
    tries: int
    since: datetime
    due_at: datetime


class Activity(msgspec.Struct, frozen=True):
    """A line in the user's words: code + counts, rendered by the catalogue. PHI-free."""

    at: datetime
    code: str
    stream: Stream | None
    count: int
    facts: dict[str, str | int | float] = {}
    number: int = 0  # pages backwards: ``recent_activity(before=number)``


class Numbers(msgspec.Struct, frozen=True):
    """The honest numbers. ``None`` means nothing of the kind exists."""

    oldest_unsent_at: datetime | None
    oldest_unverified_at: datetime | None  # over all chunks; an unloaded one counts from its plan
    pending_batches: int
    pending_operations: int
    open_conflicts: int
    parked: int
    chunks: int
    chunks_unloaded: int
    chunks_overdue: int
    commands_waiting: int = 0  # not ended, whatever they wait for
    tasks_open: int = 0
    suspects: int = 0  # contacts whose link a person decides
    effects_unknown: int = 0  # writes that may have happened; a person decides
    conflict_records: int = 0  # records the open conflicts are of


class StreamCount(msgspec.Struct, frozen=True):
    """Per stream: records present, of these agreed (sides equal), carried by a batch, parked."""

    stream: Stream
    present: int
    agreed: int
    waiting: int
    parked: int
    gone: int = 0  # tombstones kept


class OutageRow(msgspec.Struct, frozen=True):
    """A time in which ``side`` ("pms", "crm", "agent") could not be reached. ``waited``: how much
    waited at its end; ``sent_at``: when all of that had left (None: not yet)."""

    number: int
    side: str
    code: str
    started_at: datetime
    ended_at: datetime | None
    waited: int
    last_batch: int | None
    sent_at: datetime | None


class IntakeRow(msgspec.Struct, frozen=True):
    """A file a person brought in. ``digest``: of its bytes; ``state``: running, done, cancelled,
    broken; ``counts``: rows by what became of them."""

    number: int
    at: datetime
    actor: str
    kind: str
    digest: str
    counts: dict[str, int]
    state: str
    ended_at: datetime | None


class StatusSnapshot(msgspec.Struct, frozen=True):
    """What another process may read of a journal without disturbing its writer."""

    uuid: str
    epoch: int
    lsn: int
    schema: int
    clean_shutdown: bool
    audit_head: str
    numbers: Numbers
    streams: list[StreamCount]
    marks: dict[str, str]
    source: tuple[str, str, dict[str, int]] | None
    activity: list[Activity]
    commands: dict[str, int] = {}  # kept in each state
