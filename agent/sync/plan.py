"""Compare what was just read with what the journal holds and say what follows. Pure; no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from agent.journal.rows import Held, Operation, Seen
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import Change, Verb
from agent.sync.streammap import Observation


@dataclass(frozen=True, slots=True)
class PagePlan:
    """What one page means. ``changed`` leaves; ``touched`` only refreshes the mirror."""

    changed: Sequence[Observation]
    touched: list[tuple[Key, int, int]] = field(default_factory=list)
    released: list[Key] = field(default_factory=list)  # if parked: readable, or other content now
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    overtaken: int = 0  # a newer read was committed while this page was under way
    resent: int = 0  # of the updated: nothing changed, they are only sent again


def plan_page(
    observed: Sequence[Observation],
    held: Mapping[Key, Held],
    *,
    read_lsn: int,
    force: bool = False,
) -> PagePlan:
    """Derive changes by comparing trees; no clock, no timestamps.

    ``read_lsn`` is the journal's lsn when the page's read began: a record committed since then was
    read later by another lane and wins. ``force`` sends records again although nothing changed
    (repair after the CRM lost them).
    """
    if not held:
        released = [row.key for row in observed]
        return PagePlan(changed=observed, released=released, created=len(observed))
    changed: list[Observation] = []
    touched: list[tuple[Key, int, int]] = []
    released = []
    created = updated = unchanged = overtaken = resent = 0
    get = held.get
    for row in observed:
        was = get(row.key)
        if was is None:
            changed.append(row)
            released.append(row.key)  # one never readable before may be parked
            created += 1
        elif was.seen_lsn > read_lsn:
            overtaken += 1
        elif was.gone:
            changed.append(row)
            created += 1
        elif was.hash != row.hash or force:
            changed.append(row)
            updated += 1
            resent += was.hash == row.hash
            if was.parked:
                released.append(row.key)
        else:
            unchanged += 1
            if was.sum48 != row.sum48 or was.xor64 != row.xor64 or was.missing_since is not None:
                touched.append((row.key, row.sum48, row.xor64))
    return PagePlan(changed, touched, released, created, updated, unchanged, overtaken, resent)


def absent_keys(
    asked: Collection[Key], present: Collection[Key], held: Mapping[Key, Held], *, read_lsn: int
) -> list[Key]:
    """Keys we asked for, hold as present, and did not get (and nobody re-read meanwhile)."""
    return [
        key
        for key in asked
        if key not in present
        and (was := held.get(key)) is not None
        and not was.gone
        and was.seen_lsn <= read_lsn
    ]


def refused_deletions(
    asked: Collection[Key], present: Collection[Key], held: Mapping[Key, Held]
) -> list[Key]:
    """Records that are gone and whose deletion the CRM would not take: to be told it again."""
    return [
        key
        for key in asked
        if key not in present and (was := held.get(key)) is not None and was.gone and was.parked
    ]


def operation_prefix(journal_uuid: str, stream: Stream, lsn: int) -> bytes:
    """First 8 bytes shared by all operation ids one turn gives a stream.

    The pair (journal, lsn) names a committed turn for ever, so the ids of its operations are stable
    across crashes: the turn committed with them, or it never happened and the number is free.
    """
    text = f"{journal_uuid}|{stream.value}|{lsn}"
    return hashlib.sha256(text.encode()).digest()[:8]


def make_changes(
    stream: Stream, rows: Sequence[Observation], *, prefix: bytes, lsn: int, first: int = 0
) -> list[Change]:
    """Upserts for ``rows``; the n-th operation of the turn gets ``prefix`` + n."""
    return [
        Change(
            op_id=prefix + number.to_bytes(8, "big"),
            stream=stream,
            key=row.key,
            verb=Verb.UPSERT,
            version=lsn,
            content_hash=row.hash,
            canon=row.canon,
        )
        for number, row in enumerate(rows, first)
    ]


def make_deletions(
    stream: Stream, keys: Sequence[Key], *, prefix: bytes, lsn: int, first: int = 0
) -> list[Change]:
    return [
        Change(
            op_id=prefix + number.to_bytes(8, "big"),
            stream=stream,
            key=key,
            verb=Verb.DELETE,
            version=lsn,
            content_hash=b"",
            canon=b"",
        )
        for number, key in enumerate(keys, first)
    ]


def operations_of(changes: Sequence[Change]) -> list[Operation]:
    return [Operation(c.key, c.op_id, c.verb, c.content_hash) for c in changes]


def seen_of(rows: Sequence[Observation], *, keep_canon: bool) -> list[Seen]:
    if keep_canon:
        return [Seen(r.key, r.hash, r.sum48, r.xor64, r.canon) for r in rows]
    return [Seen(r.key, r.hash, r.sum48, r.xor64) for r in rows]


def split_by_size(
    changes: Sequence[Change], *, max_items: int, max_bytes: int
) -> list[list[Change]]:
    """Cut into batches the CRM takes; a record larger than ``max_bytes`` travels alone."""
    parts: list[list[Change]] = []
    current: list[Change] = []
    size = 0
    for change in changes:
        weight = len(change.canon) + 160  # envelope of one change: ids, hashes, names
        if current and (len(current) >= max_items or size + weight > max_bytes):
            parts.append(current)
            current, size = [], 0
        current.append(change)
        size += weight
    if current:
        parts.append(current)
    return parts
