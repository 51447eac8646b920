"""Bucket digests of everything held, kept up to date with every write.

Imports apsw and this package's schema. Definition of the numbers: ``DigestList`` in the contract.
``recompute`` derives the same numbers from the stored rows: tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

import apsw

from agent.sandbox.crm.schema import State

_PIECES = Struct(">IH2xq").unpack  # the first 6 bytes as 4 + 2, the last 8 signed


@dataclass(slots=True)
class _Sum:
    count: int = 0
    sum48: int = 0
    xor64: int = 0


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
        high, low, tail = _PIECES(digest)
        entry.count += 1
        entry.sum48 += high << 16 | low
        entry.xor64 ^= tail
        self._moved.add(place)

    def remove(self, type_id: int, bucket: int, digest: bytes) -> None:
        place = (type_id, bucket)
        entry = self._sums[place]
        high, low, tail = _PIECES(digest)
        entry.count -= 1
        entry.sum48 -= high << 16 | low
        entry.xor64 ^= tail
        self._moved.add(place)

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


def _live_rows(store: apsw.Connection) -> Iterator[tuple[int, int, bytes]]:
    for type_id, bucket, digest in store.execute(
        "SELECT type, bucket, hash FROM record WHERE state = ?", (int(State.LIVE),)
    ):
        assert isinstance(type_id, int)
        assert isinstance(bucket, int)
        assert isinstance(digest, bytes)
        yield type_id, bucket, digest
