"""Rows of the pull direction, as the journal takes and gives them. No SQL here.

Payloads (command bodies, images, contacts, evidence) are sealed in the file and plain here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from agent.model.commands import Command, CommandOutcome, Contact
from agent.model.effects import Effect
from agent.model.reading import Key
from agent.model.streams import Stream


class CommandState(StrEnum):
    """Where a command stands here. DONE carries a terminal outcome."""

    RECEIVED = "received"
    WAITING = "waiting"  # tried, and due again later (PMS or its writer unavailable)
    WORKING = "working"  # an effect was begun
    UNKNOWN = "unknown"  # an effect may have happened; probed, else a person
    CONFLICT = "conflict"  # some field waits for a person
    TASK = "task"  # the front desk was asked
    DONE = "done"


class CommandRow(msgspec.Struct, frozen=True):
    """``reported``: the CRM acknowledged ``outcome`` as it stands."""

    command: Command
    state: CommandState
    received_at: datetime
    due_at: datetime
    tries: int
    outcome: CommandOutcome | None
    reported: bool


class EffectState(StrEnum):
    INTENT = "intent"  # durable; may or may not have left
    WRITTEN = "written"  # the PMS said yes; not read back yet
    VERIFIED = "verified"  # read back and equal
    FAILED = "failed"  # certainly not done
    UNKNOWN = "unknown"  # ambiguous after a probe: a person


class UndoState(StrEnum):
    ARMED = "armed"
    USED = "used"
    BLOCKED = "blocked"  # no inverse exists, or the fields moved on
    EXPIRED = "expired"


class EffectRow(msgspec.Struct, frozen=True):
    """One write to the PMS: intent, pre-image and undo image, committed before anything leaves.

    ``before``/``after``: the touched fields' canonical values before and as they shall be (None =
    empty). ``floor``: where a probe begins to look: the stream's highest key before a create, the
    newest of the copies the PMS keeps before a change. ``group``: what is undone together (the
    command's id, or a resolution's).
    ``undoes``: the effect this one is the inverse of.
    """

    number: int
    op_id: bytes
    command_id: str | None
    group: str
    effect: Effect
    before: dict[str, Any]
    after: dict[str, Any]
    inverse: Effect | None
    state: EffectState
    undo: UndoState
    key: Key | None
    floor: Key | None
    actor: str
    planned_at: datetime
    settled_at: datetime | None
    why: str
    undoes: int | None


class ConflictState(StrEnum):
    OPEN = "open"
    AUTO = "auto"  # resolved by policy; the loser is kept
    RESOLVED = "resolved"
    UNDONE = "undone"


class ConflictKind(StrEnum):
    EDIT_EDIT = "edit_edit"
    EDIT_DELETE = "edit_delete"
    CREATE_CREATE = "create_create"
    NO_BASE = "no_base"
    LOOP = "loop"  # the same field went back and forth


class Winner(StrEnum):
    PMS = "pms"
    CRM = "crm"
    MERGED = "merged"
    VALUE = "value"  # a person typed a third value


class ConflictRow(msgspec.Struct, frozen=True):
    """A field both sides changed. Values are canonical JSON values; ``result`` is what held or
    shall hold. ``told``: the CRM acknowledged this state."""

    number: int
    stream: Stream
    key: Key
    field: str
    kind: ConflictKind
    policy: str
    base: Any
    pms: Any
    crm: Any
    result: Any
    winner: Winner | None
    state: ConflictState
    actor: str
    at: datetime
    command_id: str | None
    told: bool


class TaskState(StrEnum):
    OPEN = "open"
    DONE = "done"
    CANNOT = "cannot"
    TIMED_OUT = "timed_out"


class TaskRow(msgspec.Struct, frozen=True):
    """Work only a person can do in the PMS. ``reason``: message code of why not we. ``key``: of the
    record it was done on, once it is known to be done."""

    number: int
    command_id: str
    effect: Effect
    reason: str
    state: TaskState
    opened_at: datetime
    due_at: datetime
    actor: str
    note: str
    key: Key | None = None


class ContactState(StrEnum):
    NEW = "new"
    LINKED = "linked"
    UNLINKED = "unlinked"
    SUSPECT = "suspect"
    MERGED = "merged"


class ContactRow(msgspec.Struct, frozen=True):
    """The remote tree of a person: what the CRM last said, and whom we hold them for.

    ``candidates``: the approval queue's evidence, one entry a PMS key. ``told``: the CRM
    acknowledged this state.
    """

    contact: Contact
    state: ContactState
    key: Key | None
    candidates: list[dict[str, Any]]
    rejected: list[Key]  # a person said: not this one
    seen_at: datetime
    told: bool


class PolicyRow(msgspec.Struct, frozen=True):
    """A decision a person asked to remember: for this field, this side wins from now on."""

    stream: Stream
    field: str
    winner: Winner
    actor: str
    at: datetime
