"""What has been read and proven: chunks (key ranges) and spans (timestamp coverage).

Functions over the writer's open transaction, called by ``turn``; they never commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import apsw

from agent.journal.rows import Chunk, Tier
from agent.journal.values import Row, from_micros, opt_from_micros, to_micros
from agent.model.reading import Key
from agent.model.streams import Stream

CHUNK_COLUMNS = "number, lo, hi, loaded, verified_at, due_at"


def chunk_of(stream: Stream, row: Row) -> Chunk:
    number, lo, hi, loaded, verified_at, due_at = row
    return Chunk(
        stream, number, lo, hi, bool(loaded), opt_from_micros(verified_at), from_micros(due_at)
    )


class _Piece:
    """A chunk being planned: what the chunks it overlaps prove about it."""

    __slots__ = ("hi", "lo", "loaded", "since", "verified_at")

    def __init__(self, lo: Key | None, hi: Key | None, now: int) -> None:
        self.lo, self.hi = lo, hi
        self.loaded = False
        self.verified_at: int | None = None
        self.since = now

    def inherit(self, olds: Sequence[Row]) -> None:
        """A range is loaded or verified only where every part of it was; its age is the oldest."""
        self.loaded = all(loaded for _, _, loaded, _, _ in olds)
        stamps = [verified for _, _, _, verified, _ in olds]
        self.verified_at = None if None in stamps else min(stamps)
        self.since = min(since for *_, since in olds)


def _below(left: Key | None, right: Key | None) -> bool:
    """left (an upper bound, None = +inf) <= right (a lower bound, None = -inf)."""
    return left is not None and right is not None and left <= right  # type: ignore[operator]


def plan(
    db: apsw.Connection,
    stream: int,
    boundaries: Sequence[Key],
    tier: Tier,
    *,
    now: int,
    due_at: int,
    keep: bool,
) -> None:
    edges: list[Key | None] = [None, *boundaries, None]
    if any(a >= b for a, b in pairwise(boundaries)):  # type: ignore[operator]
        raise ValueError("chunk boundaries must grow")
    pieces = [_Piece(lo, hi, now) for lo, hi in pairwise(edges)]
    olds: list[Row] = list(
        db.execute(
            "SELECT lo, hi, loaded, verified_at, since FROM chunk WHERE stream = ? ORDER BY lo",
            (stream,),
        )
    )
    if keep and olds:
        first = 0
        for piece in pieces:
            while _below(olds[first][1], piece.lo):
                first += 1
            last = first
            while last < len(olds) and not _below(piece.hi, olds[last][0]):
                last += 1
            piece.inherit(olds[first:last])
    db.execute("DELETE FROM chunk WHERE stream = ?", (stream,))
    db.executemany(
        "INSERT INTO chunk(stream, lo, hi, tier, loaded, verified_at, since, due_at)"
        " VALUES (?,?,?,?,?,?,?,?)",
        [
            (stream, p.lo, p.hi, tier.value, int(p.loaded), p.verified_at, p.since, due_at)
            for p in pieces
        ],
    )


def split(db: apsw.Connection, chunk: Chunk, stream: int, at: Key) -> tuple[Chunk, Chunk]:
    """Cut at ``at``: (lo, at], (at, hi]; both halves keep age, proof and due time."""
    inside = not _below(at, chunk.lo) and not _below(chunk.hi, at)
    if not inside:
        raise ValueError("split key outside the chunk")
    halves: list[Chunk] = []
    for lo, hi in ((chunk.lo, at), (at, chunk.hi)):
        row = next(
            db.execute(
                "INSERT INTO chunk(stream, lo, hi, tier, loaded, verified_at, since, due_at)"
                " SELECT stream, ?, ?, tier, loaded, verified_at, since, due_at"
                f" FROM chunk WHERE number = ? AND stream = ? RETURNING {CHUNK_COLUMNS}",
                (lo, hi, chunk.number, stream),
            ),
            None,
        )
        if row is None:
            raise ValueError("chunk is not in the ledger any more")
        halves.append(chunk_of(chunk.stream, row))
    db.execute("DELETE FROM chunk WHERE number = ?", (chunk.number,))
    return halves[0], halves[1]


def cover(
    db: apsw.Connection,
    stream: int,
    lane: str,
    lo: datetime,
    hi: datetime,
    *,
    server_now: datetime,
    oldest_open: datetime | None,
    lsn: int,
) -> None:
    """Add [lo, hi) to the lane's coverage, melting spans it touches into one."""
    first, last = to_micros(lo), to_micros(hi)
    if last < first:
        raise ValueError("span ends before it starts")
    touched = list(
        db.execute(
            "SELECT lo, hi FROM span WHERE stream = ? AND lane = ? AND lo <= ? AND hi >= ?",
            (stream, lane, last, first),
        )
    )
    db.executemany(
        "DELETE FROM span WHERE stream = ? AND lane = ? AND lo = ?",
        [(stream, lane, row[0]) for row in touched],
    )
    db.execute(
        "INSERT INTO span(stream, lane, lo, hi, server_now, oldest_open, closed_lsn)"
        " VALUES (?,?,?,?,?,?,?)",
        (
            stream,
            lane,
            min([first, *(row[0] for row in touched)]),
            max([last, *(row[1] for row in touched)]),
            to_micros(server_now),
            None if oldest_open is None else to_micros(oldest_open),
            lsn,
        ),
    )
