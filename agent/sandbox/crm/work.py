"""What one transaction will write, gathered while a batch is judged. No I/O.

Imports this package's pure parts; the statements here are executed by ``intake``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from agent.sandbox.crm import extract as x


@dataclass(slots=True)
class Held:
    """The stored state of one record."""

    rid: int
    state: int
    journal: int
    epoch: int
    version: int
    hash: bytes
    seq: int
    event: bytes | None
    event_version: int
    arrived_us: int
    merged_into: str | None


@dataclass(slots=True)
class Work:
    """Rows one transaction will write, gathered while the batch is judged."""

    journal: int
    epoch: int
    at_us: int
    new: list[tuple[object, ...]] = field(default_factory=list)
    changed: list[tuple[object, ...]] = field(default_factory=list)
    bodies: list[tuple[int, str]] = field(default_factory=list)
    unbodied: list[tuple[int]] = field(default_factory=list)
    past: list[tuple[object, ...]] = field(default_factory=list)
    confirmed: list[tuple[int, int, int, int]] = field(default_factory=list)
    names: list[tuple[int, str, str]] = field(default_factory=list)
    slots: list[tuple[int, int, str]] = field(default_factory=list)
    unslotted: list[tuple[int]] = field(default_factory=list)
    unnamed: list[tuple[int]] = field(default_factory=list)
    kin: list[tuple[str, int, int]] = field(default_factory=list)
    touched: set[tuple[int, str]] = field(default_factory=set)


HELD_COLUMNS = (
    "rid, state, journal, epoch, version, hash, seq, event, event_version, arrived_us, merged_into"
)
INSERT_RECORD = (
    "INSERT INTO record(rid, type, key, bucket, state, journal, epoch, version, hash, seq, event,"
    " event_version, arrived_us, merged_into) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
UPDATE_RECORD = (
    "UPDATE record SET state=?, journal=?, epoch=?, version=?, hash=?, seq=?, event=?,"
    " event_version=?, arrived_us=?, merged_into=? WHERE rid=?"
)


def bucket_of(key: str) -> int:
    """The digest bucket of a key."""
    return sha256(key.encode()).digest()[0]


def read_held(row: Sequence[Any]) -> Held:
    rid, state, journal, epoch, version, digest, *rest = row
    return Held(rid, state, journal, epoch, version, digest or b"", *rest)


def index(work: Work, rid: int, type_id: int, found: x.Found, *, is_new: bool) -> None:
    if found.search is not None:
        work.names.append((rid, found.sort or "", found.search))
    if found.starts is not None:
        work.slots.append((rid, type_id, found.starts))
    elif not is_new and type_id in {x.APPOINTMENT, x.SCHEDULE_BLOCK}:
        work.unslotted.append((rid,))
    if found.kin is not None:
        work.kin.append((found.kin, type_id, rid))
