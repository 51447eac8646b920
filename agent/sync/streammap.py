"""From a page of text to canonical records, their bytes and hashes: the hot loop. Pure; no I/O.

A page is turned into columns once, every field is one pass over its column, records are built by
``map(RecordType, *columns)`` and encoded in one call. If any of it fails, the page is halved until
the rows at fault stand alone; they come back as BadRow and the others are not held up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat
from typing import Any

import msgspec

from agent.model.entities import RECORD_OF, Record
from agent.model.reading import BadRow, Column, Key, Page
from agent.model.streams import Stream
from agent.sync.transforms import KEY, Enumeration, Run

_ENCODER = msgspec.json.Encoder(order="deterministic")
_FIRST_VALUE = 3  # rows are (key, sum48, xor64, *values)


class Observation(msgspec.Struct, frozen=True, gc=False):
    """A record as just read: ``sum48``/``xor64`` of the server's row hash, ``canon`` the canonical
    JSON, ``hash`` the first 16 bytes of its SHA-256."""

    key: Key
    sum48: int
    xor64: int
    canon: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """One field of the record. ``sources`` index the page's value columns; OWN_KEY, NO_COLUMN."""

    field: str
    run: Run
    sources: tuple[int, ...]


OWN_KEY = -1
NO_COLUMN = -2  # a further source the site lacks: a column of nulls


@dataclass(frozen=True, slots=True)
class Gathered:
    """Fields collected into a name -> text mapping (``custom`` or ``extra``), names sorted."""

    field: str
    names: tuple[str, ...]
    steps: tuple[Step, ...]
    base: Step | None = None  # a mapping to add to (the PMS's own custom fields)


class _Unmappable(Exception):
    """A field of some row of the page cannot be read."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class StreamMap:
    """A stream's part of the data map, bound to the columns of one site. Thread-safe.

    ``columns``: what the reader must deliver, in order. ``two_way``: some field may be written
    back, so the mirror keeps the record itself and not only its hash.
    """

    def __init__(
        self,
        stream: Stream,
        columns: Sequence[Column],
        steps: Sequence[Step],
        gathered: Sequence[Gathered],
        enums: dict[str, Enumeration],
        *,
        two_way: bool,
    ) -> None:
        self.stream = stream
        self.columns = tuple(columns)
        self.two_way = two_way
        self.record_type: type[Record] = RECORD_OF[stream]
        self._enums = enums
        fields = self.record_type.__struct_fields__
        made: dict[str, Step | Gathered] = {step.field: step for step in steps}
        made.update({part.field: part for part in gathered})
        last = max((fields.index(name) for name in made), default=0)
        #: The record's leading fields: a step, or the default of a field the site does not fill.
        self._plan: tuple[Step | Gathered | _Default, ...] = tuple(
            made.get(name) or _Default(_default_of(self.record_type, name))
            for name in fields[: last + 1]
        )

    def observe(self, page: Page) -> tuple[list[Observation], list[BadRow]]:
        """Every row of the page as an observation or as a BadRow ``map.unreadable:<field>``."""
        bad: list[BadRow] = []
        return self._observe(page.rows, bad), bad

    @property
    def strangers(self) -> dict[str, frozenset[str]]:
        """Values seen so far that an enumeration has no word for, by field."""
        return {
            field: frozenset(enumeration.strangers)
            for field, enumeration in self._enums.items()
            if enumeration.strangers
        }

    def _observe(self, rows: list[tuple[Any, ...]], bad: list[BadRow]) -> list[Observation]:
        if not rows:
            return []
        try:
            return self._map(rows)
        except _Unmappable as unmappable:
            if len(rows) == 1:
                bad.append(BadRow(rows[0][0], f"map.unreadable:{unmappable.field}"))
                return []
        middle = len(rows) // 2
        return self._observe(rows[:middle], bad) + self._observe(rows[middle:], bad)

    def _map(self, rows: list[tuple[Any, ...]]) -> list[Observation]:
        columns = list(zip(*rows, strict=True))
        if len(columns) != _FIRST_VALUE + len(self.columns):
            raise ValueError("page does not have the columns the stream was bound to")
        canons = self._encode(self._records(columns))
        hashes = [digest.digest()[:16] for digest in map(sha256, canons)]
        return list(map(Observation, columns[0], columns[1], columns[2], canons, hashes))

    def _records(self, columns: list[tuple[Any, ...]]) -> list[Record]:
        count = len(columns[0])
        keys: Sequence[Any] = list(map(str, columns[0]))
        # Source columns by index from the end of this list: values, nulls, own keys.
        page = _Columns([*columns[_FIRST_VALUE:], (None,) * count, keys], count)
        out: list[Iterable[Any]] = []
        for part in self._plan:
            if isinstance(part, _Default):
                out.append(repeat(part.value, count))
                continue
            try:
                out.append(page.run(part) if isinstance(part, Step) else _gather(part, page))
            except _READ_ERRORS:
                raise _Unmappable(part.field) from None  # the cause may quote the value
        return list(map(self.record_type, *out))

    @staticmethod
    def _encode(records: list[Record]) -> list[bytes]:
        try:
            # One call for the page; a line feed inside a value is escaped in JSON.
            lines = _ENCODER.encode_lines(records).split(b"\n")
        except (UnicodeError, msgspec.EncodeError):
            raise _Unmappable("text") from None
        lines.pop()
        return lines


_READ_ERRORS = (ValueError, LookupError, ArithmeticError, TypeError)


@dataclass(frozen=True, slots=True)
class _Default:
    value: Any


class _Columns:
    """The page's columns, and which of them hold one value throughout (very common, and cheap)."""

    __slots__ = ("_columns", "_count", "_same")

    def __init__(self, columns: list[Sequence[Any]], count: int) -> None:
        self._columns = columns
        self._count = count
        self._same: dict[int, bool] = {OWN_KEY: count == 1, NO_COLUMN: True}

    def run(self, step: Step) -> Iterable[Any]:
        sources = [self._columns[index] for index in step.sources]
        for index in step.sources:
            same = self._same.get(index)
            if same is None:
                same = self._same[index] = self._is_same(self._columns[index])
            if not same:
                return step.run(*sources)
        (value,) = step.run(*[column[:1] for column in sources])
        return repeat(value, self._count)

    def _is_same(self, column: Sequence[Any]) -> bool:
        first = column[0]
        return bool(
            first == column[-1]
            and first == column[self._count // 2]
            and column.count(first) == self._count
        )


def _gather(part: Gathered, page: _Columns) -> Iterable[Any]:
    columns = [page.run(step) for step in part.steps]
    names = part.names
    if part.base is None:
        return [
            {name: value for name, value in zip(names, row, strict=True) if value}
            for row in zip(*columns, strict=True)
        ]
    return [
        dict(sorted([*held.items(), *((n, v) for n, v in zip(names, row, strict=True) if v)]))
        for held, *row in zip(page.run(part.base), *columns, strict=True)
    ]


def _default_of(record: type[Record], name: str) -> Any:
    field = next(f for f in msgspec.structs.fields(record) if f.name == name)
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


__all__ = ["KEY", "NO_COLUMN", "OWN_KEY", "Gathered", "Observation", "Step", "StreamMap"]
