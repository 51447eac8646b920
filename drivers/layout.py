"""How a stream is put together from tables: what hangs on a base row, and which stamps name it.

Facts in this shape are what a driver knows of its vendor's tables. Must not import a database
library.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

BASE = "b"  # alias of the base table in every statement


class Join(StrEnum):
    ONE = "one"  # LEFT JOIN on a unique key
    FOLDED = "folded"  # at most one row by convention, not by a key: folded by an aggregate
    MANY = "many"  # gathered into one text value


class Attachment(msgspec.Struct, frozen=True):
    """A table hung onto a base row: its ``own`` equals ``column`` of ``to`` (alias or BASE)."""

    alias: str
    table: str
    join: Join
    own: str
    to: str
    column: str
    pseudo: str = ""  # MANY: the name of the gathered column
    parts: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    where: tuple[str, int] | None = None  # extra condition on an own column
    fold: str = "MAX"


class Lane(msgspec.Struct, frozen=True):
    """Rows of ``table`` stamped lately name keys of the stream.

    ``link`` is the column of ``table`` that holds the stream's key, or, with ``hops``, the start of
    a path of ``(table, column equal to the last link, next link)`` whose last link is the key.
    """

    name: str
    table: str
    stamp: str
    row: str  # primary key of ``table``
    link: str
    hops: tuple[tuple[str, str, str], ...] = ()
