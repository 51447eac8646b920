"""A writing connection, and how what it wrote is taken back.

On tables with transactions a change stands or falls as one. On MyISAM every statement is final, so
each step's inverse is kept, and run in reverse order when a later one fails. Must not import a
database library: pens do (``mariadb``, ``drivers.sample.pen``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

Value = str | int | None
Row = dict[str, str | None]


class PenColumn(msgspec.Struct, frozen=True):
    """A live column. ``filler``: what the program writes where it has nothing to say; None where
    the database fills it itself. ``width``: most signs of a text, None for no bound."""

    filler: Value = None
    width: int | None = None


class PenTable(msgspec.Struct, frozen=True):
    primary: str
    columns: dict[str, PenColumn]
    is_atomic: bool


class PenBroken(Exception):
    """The connection was lost: the last statement may or may not have been carried out."""


class StepRefused(Exception):
    """The database refused the statement; nothing of it was done. ``code`` is a message code."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class RowMoved(Exception):
    """Somebody else changed the row between our look and our step."""


class Pen(Protocol):
    """One connection, one statement at a time, values always as parameters (``?``)."""

    def table(self, name: str) -> PenTable | None:
        """Its shape, None when the site has no such table."""

    def utc_now(self) -> str:
        """The server's clock, ``YYYY-MM-DDTHH:MM:SS+00:00``."""

    def select(self, sql: str, *values: Value) -> list[Row]:
        """Rows as text by column name."""

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        """The new row's key. ``row`` is whole: ``Steps`` has filled it up."""

    def update(
        self, table: str, key: int, changes: Mapping[str, Value], held: Mapping[str, Value]
    ) -> bool:
        """Change one row by key, only while it still holds ``held``; False when it does not."""

    def delete(self, table: str, key: int) -> None: ...
    def begin(self) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...


class Steps:
    """The steps of one change. ``atomic``: the database takes them back, not we. ``held``: rows as
    they stood before, by table and key: what is replaced of them must still be that."""

    def __init__(
        self,
        pen: Pen,
        *,
        atomic: bool,
        random_key: Callable[[], int] | None,
        held: Mapping[tuple[str, int], Row] | None = None,
    ) -> None:
        self._pen = pen
        self._atomic = atomic
        self._random_key = random_key
        self._held = dict(held or {})
        self._inverses: list[Callable[[], None]] = []

    @property
    def any_done(self) -> bool:
        return bool(self._inverses)

    def select(self, sql: str, *values: Value) -> list[Row]:
        return self._pen.select(sql, *values)

    def row(self, table: str, key: int) -> Row | None:
        """A whole row by key."""
        shape = self._shape(table)
        names = ",".join(f"`{name}`" for name in shape.columns)
        found = self._pen.select(f"SELECT {names} FROM `{table}` WHERE `{shape.primary}`=?", key)
        return found[0] if found else None

    def has(self, table: str) -> bool:
        return self._pen.table(table) is not None

    def insert(self, table: str, row: Mapping[str, Value]) -> int:
        """Columns the site lacks are left out; columns nobody names get what the program writes."""
        shape = self._shape(table)
        known = {name: value for name, value in row.items() if name in shape.columns}
        for name, column in shape.columns.items():
            if name not in known and column.filler is not None:
                known[name] = column.filler
        _check_widths(shape, known)
        if self._random_key is not None and shape.primary not in known:
            known[shape.primary] = self._unused_key(table)
        key = self._pen.insert(table, known)
        self._inverses.append(lambda: self._pen.delete(table, key))
        return key

    def update(self, table: str, key: int, changes: Mapping[str, Value]) -> Row:
        """Change what differs; the row as it now is. Raises RowMoved."""
        shape = self._shape(table)
        before = self._held.pop((table, key), None) or self.row(table, key)
        if before is None:
            raise RowMoved
        known = {
            name: value
            for name, value in changes.items()
            if name in shape.columns and not _same(before[name], value)
        }
        if not known:
            return before
        _check_widths(shape, known)
        held = {name: before[name] for name in known}
        if not self._pen.update(table, key, known, held):
            raise RowMoved
        self._inverses.append(lambda: self._restore(table, key, held, known))
        return {**before, **{n: None if v is None else str(v) for n, v in known.items()}}

    def delete(self, table: str, key: int) -> None:
        before = self.row(table, key)
        if before is None:
            return
        self._pen.delete(table, key)
        self._inverses.append(lambda: _put_back(self._pen, table, before))

    def take_back(self) -> None:
        """Undo every step, last first. Raises PenBroken, RowMoved or StepRefused half-way."""
        if self._atomic:
            self._pen.rollback()
            self._inverses.clear()
            return
        while self._inverses:
            self._inverses[-1]()
            self._inverses.pop()

    def _restore(
        self, table: str, key: int, held: Mapping[str, Value], ours: Mapping[str, Value]
    ) -> None:
        # Somebody may have gone on from what we wrote: then it is theirs.
        if not self._pen.update(table, key, held, ours):
            raise RowMoved

    def _unused_key(self, table: str) -> int:
        assert self._random_key is not None
        while True:
            key = self._random_key()
            if self.row(table, key) is None:
                return key

    def _shape(self, table: str) -> PenTable:
        shape = self._pen.table(table)
        if shape is None:
            raise StepRefused("pms.schema_drift")
        return shape


def _put_back(pen: Pen, table: str, row: Row) -> None:
    pen.insert(table, dict(row))


def _check_widths(shape: PenTable, row: Mapping[str, Value]) -> None:
    for name, value in row.items():
        width = shape.columns[name].width
        if width is not None and isinstance(value, str) and len(value) > width:
            raise StepRefused("write.text_too_long")


def _same(held: str | None, wished: Value) -> bool:
    return (held or "") == ("" if wished is None else str(wished))
