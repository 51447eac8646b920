"""From a page of text to canonical records, their bytes and hashes: the hot loop. Pure; no I/O.

A page is turned into columns once, every field is one pass over its column, records are built by
``map(RecordType, *columns)`` and encoded in one call. If any of it fails, the page is halved until
the rows at fault stand alone; they come back as BadRow and the others are not held up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec

from agent.model.entities import RECORD_OF, Record
from agent.model.reading import BadRow, Column, Key, Page
from agent.model.streams import Stream
from agent.sync.transforms import Enumeration, Run, Same

_ENCODER = msgspec.json.Encoder(order="deterministic")
_MOST_SHAPES = 32  # record types of a stream
_WORTH_A_SHAPE = 500  # rows
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
    first: Callable[[Sequence[Any]], Sequence[Any]] | None = None  # see ``Transform.first``


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

    ``columns``: what the reader must deliver, in order. ``fields``: those of the record this site
    can fill. ``merges``: some field may be changed on either side, so the mirror keeps the record
    itself, the base of a merge, and not only its hash.
    """

    def __init__(
        self,
        stream: Stream,
        columns: Sequence[Column],
        steps: Sequence[Step],
        gathered: Sequence[Gathered],
        enums: dict[str, Enumeration],
        *,
        merges: bool,
    ) -> None:
        self.stream = stream
        self.columns = tuple(columns)
        self.merges = merges
        self.record_type: type[Record] = RECORD_OF[stream]
        self._enums = enums
        places = {name: at for at, name in enumerate(self.record_type.__struct_fields__)}
        parts: list[Step | Gathered] = [*steps, *gathered]
        self.fields = frozenset(part.field for part in parts)
        #: (place of the field in the record, how to fill it), in the record's order
        self._plan = sorted(((places[part.field], part) for part in parts), key=itemgetter(0))
        self._defaults = _defaults_of(self.record_type)
        self._shapes: dict[tuple[int, ...], type[msgspec.Struct]] = {}

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

    def _records(self, columns: list[tuple[Any, ...]]) -> list[Any]:
        count = len(columns[0])
        keys: Sequence[Any] = list(map(str, columns[0]))
        # Source columns: the values, then at NO_COLUMN and OWN_KEY, from the end.
        page = _Columns([*columns[_FIRST_VALUE:], (None,) * count, keys], count)
        columns_of: dict[int, Iterable[Any]] = {}
        for at, part in self._plan:
            try:
                made = page.run(part) if isinstance(part, Step) else _gather(part, page, count)
            except _READ_ERRORS:
                raise _Unmappable(part.field) from None  # the cause may quote the value
            if not isinstance(made, Same):
                columns_of[at] = made
            elif made.value != self._defaults[at]:
                columns_of[at] = repeat(made.value, count)
        shape = self._shape(tuple(columns_of), count)
        if shape is not None:
            return list(map(shape, *columns_of.values()))
        defaults = enumerate(self._defaults)
        whole = [columns_of.get(at) or repeat(value, count) for at, value in defaults]
        return list(map(self.record_type, *whole))

    def _shape(self, filled: tuple[int, ...], count: int) -> type[msgspec.Struct] | None:
        """A record type with only the fields this page fills, or None to use the whole one.

        A field at its default all over the page would be left out of the JSON anyway: the bytes are
        the same (tests compare), building and encoding are cheaper. Making a type costs about a
        millisecond, so only large pages ask for one, and not for ever new ones.
        """
        shape = self._shapes.get(filled)
        if shape is None and count >= _WORTH_A_SHAPE and len(self._shapes) < _MOST_SHAPES:
            shape = self._shapes[filled] = _narrowed(self.record_type, filled)
        return shape

    @staticmethod
    def _encode(records: list[Any]) -> list[bytes]:
        try:
            # One call for the page; a line feed inside a value is escaped in JSON.
            lines = _ENCODER.encode_lines(records).split(b"\n")
        except (UnicodeError, msgspec.EncodeError):
            raise _Unmappable("text") from None
        lines.pop()
        return lines


_READ_ERRORS = (ValueError, LookupError, ArithmeticError, TypeError)


class _Columns:
    """The page's columns, and which of them hold one value throughout (very common, and cheap)."""

    __slots__ = ("_columns", "_count", "_firsts", "_same")

    def __init__(self, columns: list[Sequence[Any]], count: int) -> None:
        self._columns = columns
        self._count = count
        self._same: dict[int, bool] = {OWN_KEY: count == 1, NO_COLUMN: True}
        self._firsts: dict[tuple[Any, int], Sequence[Any]] = {}

    def run(self, step: Step) -> Iterable[Any] | Same:
        sources = [self._columns[index] for index in step.sources]
        if all(map(self._is_constant, step.sources)):
            sources = [column[:1] for column in sources]
            if step.first is not None:
                sources[0] = step.first(sources[0])
            made = step.run(*sources)
            return made if isinstance(made, Same) else Same(*made)
        if step.first is not None:
            place = (step.first, step.sources[0])
            found = self._firsts.get(place)
            if found is None:
                found = self._firsts[place] = step.first(sources[0])
            sources[0] = found
        return step.run(*sources)

    def _is_constant(self, index: int) -> bool:
        same = self._same.get(index)
        if same is None:
            same = self._same[index] = self._is_same(self._columns[index])
        return same

    def _is_same(self, column: Sequence[Any]) -> bool:
        first = column[0]
        return bool(
            first == column[-1]
            and first == column[self._count // 2]
            and column.count(first) == self._count
        )


def _gather(part: Gathered, page: _Columns, count: int) -> Iterable[Any]:
    def column(step: Step) -> Iterable[Any]:
        made = page.run(step)
        return repeat(made.value, count) if isinstance(made, Same) else made

    names = part.names
    columns = [column(step) for step in part.steps]
    if part.base is None:
        return [
            {name: value for name, value in zip(names, row, strict=True) if value}
            for row in zip(*columns, strict=False)
        ]
    return [
        dict(sorted([*held.items(), *((n, v) for n, v in zip(names, row, strict=True) if v)]))
        for held, *row in zip(column(part.base), *columns, strict=False)
    ]


@cache
def _defaults_of(record: type[Record]) -> tuple[Any, ...]:
    """Default of each field; the key has none and is never left out. Kept: to ask a class for its
    fields takes longer than the rest of a map's making."""
    return tuple(
        field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        for field in msgspec.structs.fields(record)
    )


def _narrowed(record: type[Record], filled: tuple[int, ...]) -> type[msgspec.Struct]:
    fields = msgspec.structs.fields(record)
    kept: list[Any] = []
    for at in filled:
        field = fields[at]
        if field.required:
            kept.append((field.name, Any))
        elif field.default_factory is not msgspec.NODEFAULT:
            kept.append((field.name, Any, msgspec.field(default_factory=field.default_factory)))
        else:
            kept.append((field.name, Any, field.default))
    return msgspec.defstruct(record.__name__, kept, frozen=True, omit_defaults=True, gc=False)
