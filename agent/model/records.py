"""Records that wait for a person, whole: what is parked, and whose record it is. A leaf.

Names stand only in the answers to managers, and in lists only as the practice chose to show them
(the setting practice.names_in_lists).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from agent.model.asking import Request, Role, Settlement
from agent.model.reading import Key
from agent.model.review import ConflictView
from agent.model.streams import Stream


class Place(msgspec.Struct, frozen=True):
    """A record by its address."""

    stream: Stream
    key: Key


# --- a record with conflicts --------------------------------------------------------------------


class RecordView(msgspec.Struct, frozen=True):
    """All that waits on one record, side by side. ``matching``: fields both sides hold alike, by
    name, as last read."""

    place: Place
    who: str
    conflicts: tuple[ConflictView, ...]
    matching: dict[str, Any]


class ShowRecord(Request[RecordView], frozen=True):
    method = "conflicts.record"
    role = Role.MANAGER
    place: Place


class Views(msgspec.Struct, frozen=True):
    """In the order asked; numbers nobody knows are left out."""

    conflicts: tuple[ConflictView, ...]


class ShowConflicts(Request[Views], frozen=True):
    """Several at once, to be looked through before one decision is made for all."""

    method = "conflicts.views"
    role = Role.MANAGER
    numbers: tuple[int, ...]


# --- whose records ------------------------------------------------------------------------------


class Named(msgspec.Struct, frozen=True):
    """In the order asked; "" where the name is not known or not to be shown."""

    records: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


class NameThem(Request[Named], frozen=True):
    """Names for lines of a list: records by place, contacts by id, tasks by number."""

    method = "review.names"
    role = Role.MANAGER
    records: tuple[Place, ...] = ()
    contacts: tuple[str, ...] = ()
    tasks: tuple[int, ...] = ()


# --- parked records -----------------------------------------------------------------------------


class ParkedLine(msgspec.Struct, frozen=True):
    """``reason``: message code, or what the CRM called it. ``ignored``: a person said that it may
    stay as it is; it counts no more until the record changes."""

    place: Place
    reason: str
    tries: int
    since: datetime
    due_at: datetime
    ignored: bool


class ParkedPage(msgspec.Struct, frozen=True):
    """The oldest first. ``more``: there are more than asked for."""

    parked: tuple[ParkedLine, ...]
    more: bool
    ignored: int = 0


class ListParked(Request[ParkedPage], frozen=True):
    method = "parked.list"
    limit: int = 100
    ignored: bool = False


class RetryParked(Request[Settlement], frozen=True):
    """Read and send them again now; ignored ones count again."""

    method = "parked.retry"
    role = Role.MANAGER
    places: tuple[Place, ...]


class IgnoreParked(Request[Settlement], frozen=True):
    """Leave them as they are until they change. ``note``: why, for the audit."""

    method = "parked.ignore"
    role = Role.MANAGER
    places: tuple[Place, ...]
    note: str = ""


class HeedParked(Request[Settlement], frozen=True):
    """Take an ``IgnoreParked`` back."""

    method = "parked.heed"
    role = Role.MANAGER
    places: tuple[Place, ...]
