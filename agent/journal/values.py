"""How values sit in columns: instants, keys, operations, streams. No SQL; imports only the model.

Instants are INTEGER microseconds since 1970 UTC, so that they compare in SQL and come back equal.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import apsw
import msgspec

from agent.journal.rows import Operation, Urgency
from agent.model.reading import Key
from agent.model.streams import Stream

Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

RANK_OF_STREAM = {stream: rank for rank, stream in enumerate(Stream)}
RANK_OF_URGENCY = {Urgency.LIVE: 0, Urgency.REPAIR: 1, Urgency.LOAD: 2}
URGENCY_OF_RANK = {rank: urgency for urgency, rank in RANK_OF_URGENCY.items()}

_pack = msgspec.msgpack.Encoder()
_unpack = msgspec.msgpack.Decoder(list[Operation])


def to_micros(at: datetime) -> int:
    """Aware datetime -> microseconds since 1970 UTC. A naive one is a bug of the caller."""
    if at.tzinfo is None:
        raise ValueError("naive datetime")
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def opt_from_micros(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def pack_operations(operations: Sequence[Operation]) -> bytes:
    return _pack.encode(list(operations))


def unpack_operations(packed: bytes) -> list[Operation]:
    return _unpack.decode(packed)


def bound_keys(keys: Sequence[Key]) -> Any:
    """Keys as one array parameter for ``carray(?)``; all of one type, at least one."""
    if isinstance(keys[0], int):
        return apsw.carray(array("q", keys))
    return apsw.carray(tuple(keys))


def range_clause(lo: Key | None, hi: Key | None) -> tuple[str, tuple[Key, ...]]:
    """SQL for ``lo < key <= hi``; None = open."""
    clause, bound = "", []
    if lo is not None:
        clause += " AND key > ?"
        bound.append(lo)
    if hi is not None:
        clause += " AND key <= ?"
        bound.append(hi)
    return clause, tuple(bound)


def fetch(db: apsw.Connection, sql: str, bound: Row = ()) -> list[Row]:
    """All rows of one statement, columns as SQLite has them."""
    rows: list[Row] = db.execute(sql, bound).fetchall()
    return rows
