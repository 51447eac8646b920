"""Bucket digests of everything held, kept up to date with every write.

Imports apsw and this package's schema. Definition of the numbers: ``DigestList`` in the contract.
``recompute`` derives the same numbers from the stored rows: tests compare the two. ``recount`` goes
down to the contents, so that a store changed behind the API is found out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

import apsw

from agent.sandbox.crm.schema import State
from agent.sandbox.crm.work import bucket_of

DIGEST_BYTES = 16
_PIECES = Struct(">IH2xq").unpack  # the first 6 bytes as 4 + 2, the last 8 signed


@dataclass(slots=True)
class _Sum:
    count: int = 0
    sum48: int = 0
    xor64: int = 0

    def add(self, digest: bytes) -> None:
        high, low, tail = _PIECES(digest)
        self.count += 1
        self.sum48 += high << 16 | low
        self.xor64 ^= tail

    def remove(self, digest: bytes) -> None:
        high, low, tail = _PIECES(digest)
        self.count -= 1
        self.sum48 -= high << 16 | low
        self.xor64 ^= tail


class Wrong(NamedTuple):
    """A row whose kept hash or bucket is not that of its content and key. ``is_counted``: the kept
    hash is one, and so part of the sums."""

    rid: int
    bucket: int
    kept: bytes | None
    is_counted: bool
    true: bytes
    true_bucket: int


@dataclass(slots=True)
class Recount:
    """One type as it is stored, of one moment. ``off``: by bucket, what the kept sums lack (or have
    too much) of the rows' kept hashes."""

    wrong: list[Wrong] = field(default_factory=list)
    off: dict[int, tuple[int, int, int]] = field(default_factory=dict)


class Digests:
    """Counts and sums by (type, bucket); ``flush`` writes what moved, inside the caller's
    transaction."""

    def __init__(self, store: apsw.Connection) -> None:
        self._db = store
        self._sums: dict[tuple[int, int], _Sum] = {}
        self._moved: set[tuple[int, int]] = set()
        self.reload()

    def reload(self) -> None:
        self._moved.clear()
        self._sums = {
            (row[0], row[1]): _Sum(row[2], row[3], row[4])
            for row in self._db.execute("SELECT type, bucket, count, sum48, xor64 FROM digest")
        }

    def add(self, type_id: int, bucket: int, digest: bytes) -> None:
        place = (type_id, bucket)
        entry = self._sums.get(place)
        if entry is None:
            entry = self._sums[place] = _Sum()
        entry.add(digest)
        self._moved.add(place)

    def remove(self, type_id: int, bucket: int, digest: bytes) -> None:
        place = (type_id, bucket)
        self._sums[place].remove(digest)
        self._moved.add(place)

    def shift(self, type_id: int, bucket: int, off: tuple[int, int, int]) -> None:
        """Put a sum right by what a recount found it to be off."""
        entry = self._sums.setdefault((type_id, bucket), _Sum())
        entry.count += off[0]
        entry.sum48 += off[1]
        entry.xor64 ^= off[2]
        self._moved.add((type_id, bucket))

    def flush(self) -> None:
        rows = []
        for place in self._moved:
            entry = self._sums[place]
            rows.append((*place, entry.count, entry.sum48, entry.xor64))
        if rows:
            self._db.executemany("INSERT OR REPLACE INTO digest VALUES(?, ?, ?, ?, ?)", rows)
        self._moved.clear()

    def of_type(self, type_id: int) -> list[dict[str, int]]:
        """All 256 buckets, in order."""
        empty = _Sum()
        return [
            {"bucket": bucket, "count": s.count, "sum48": s.sum48, "xor64": s.xor64}
            for bucket in range(256)
            for s in (self._sums.get((type_id, bucket), empty),)
        ]

    def counts(self) -> dict[int, int]:
        """Live records by type."""
        totals: dict[int, int] = {}
        for (type_id, _), entry in self._sums.items():
            totals[type_id] = totals.get(type_id, 0) + entry.count
        return totals


def recompute(store: apsw.Connection) -> dict[tuple[int, int], tuple[int, int, int]]:
    """(type, bucket) → (count, sum48, xor64), from the rows themselves."""
    sums: dict[tuple[int, int], _Sum] = {}
    for type_id, bucket, digest in _live_rows(store):
        entry = sums.setdefault((type_id, bucket), _Sum())
        entry.count += 1
        entry.sum48 += int.from_bytes(digest[:6], "big")
        entry.xor64 ^= int.from_bytes(digest[8:], "big", signed=True)
    return {place: (s.count, s.sum48, s.xor64) for place, s in sums.items()}


def recount(store: apsw.Connection, type_id: int) -> Recount:
    """Hash every stored content of a type again, inside the caller's snapshot."""
    found = Recount()
    rows: dict[int, _Sum] = {}
    for rid, bucket, key, digest, content in store.execute(
        "SELECT r.rid, r.bucket, r.key, r.hash, b.json"
        " FROM record r LEFT JOIN body b ON b.rid = r.rid WHERE r.type = ? AND r.state = ?",
        (type_id, int(State.LIVE)),
    ):
        assert isinstance(rid, int)
        assert isinstance(bucket, int)
        kept = digest if isinstance(digest, bytes) else None
        is_counted = kept is not None and len(kept) == DIGEST_BYTES
        if kept is not None and is_counted:
            rows.setdefault(bucket, _Sum()).add(kept)
        true = sha256(str(content or "").encode()).digest()[:DIGEST_BYTES]
        at = bucket_of(str(key))
        if kept != true or bucket != at:
            found.wrong.append(Wrong(rid, bucket, kept, is_counted, true, at))
    for bucket, count, sum48, xor64 in store.execute(
        "SELECT bucket, count, sum48, xor64 FROM digest WHERE type = ?", (type_id,)
    ):
        entry = rows.setdefault(int(str(bucket)), _Sum())
        entry.count -= int(str(count))
        entry.sum48 -= int(str(sum48))
        entry.xor64 ^= int(str(xor64))
    found.off = {
        bucket: (s.count, s.sum48, s.xor64)
        for bucket, s in rows.items()
        if s.count or s.sum48 or s.xor64
    }
    return found


def _live_rows(store: apsw.Connection) -> Iterator[tuple[int, int, bytes]]:
    for type_id, bucket, digest in store.execute(
        "SELECT type, bucket, hash FROM record WHERE state = ?", (int(State.LIVE),)
    ):
        assert isinstance(type_id, int)
        assert isinstance(bucket, int)
        assert isinstance(digest, bytes)
        yield type_id, bucket, digest
