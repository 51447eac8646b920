"""A page put together in the child: key numbers, values as text, what hangs on them, the row hash.

Pure: rows in, replies out; ``drivers.odbc.link`` runs the statements. Works column by column.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from drivers.odbc import wire
from drivers.odbc.keys import code_of, code_of_one
from drivers.odbc.keys import text_of as key_text
from drivers.odbc.values import ITEM, converters, folded, hashed, item

_MASK48 = (1 << 48) - 1

Row = Sequence[Any]
Column = Sequence[Any]


class Assembly:
    """One ``wire.Fetch`` under way: ``take`` the page piece by piece, run what it ``asks`` and
    ``hang`` it on. A ``part`` may leave before the page is whole."""

    def __init__(self, wanted: wire.Fetch) -> None:
        self._wanted = wanted
        self._convert = converters(wanted.fold_keys)
        self._sent: list[int] = []
        self._codes: list[int] = []  # of rows not sent yet, as are the next two
        self._values: list[list[Any]] = [[] for _ in wanted.kinds]
        self._server_hashes: list[Any] = []
        self._links: list[list[Any]] = [[] for _ in wanted.gathers]  # native, one column a gather
        self._natives: list[tuple[int, tuple[wire.Cell, ...]]] = []
        self._hung: list[list[Column]] = []
        self._seen = 0
        self._keyless = 0

    def take(self, rows: Sequence[Row]) -> None:
        """Some rows of the page, in order. A few hundred at a time stay in the processor's cache,
        which is worth more than anything done to them."""
        wanted = self._wanted
        self._seen += len(rows)
        codes = codes_of(rows, wanted.keys, wanted.fold_keys)
        if None in codes:
            whole = [(code, row) for code, row in zip(codes, rows, strict=True) if code is not None]
            self._keyless += len(rows) - len(whole)
            codes, rows = [code for code, _ in whole], [row for _, row in whole]
        if not rows:
            return
        self._codes += codes  # type: ignore[arg-type]
        self._natives += natives_of(codes, rows, wanted.keys)
        columns: list[Column] = list(zip(*rows, strict=True))
        at = wanted.keys
        if wanted.server_hash:
            self._server_hashes += columns[at]
            at += 1
        hidden = columns[at : at + wanted.hidden]
        for kind, held, column in zip(
            wanted.kinds, self._values, columns[at + wanted.hidden :], strict=True
        ):
            held.extend(self._convert[kind](column))
        for gather, links in zip(wanted.gathers, self._links, strict=True):
            links.extend(hidden[gather.link] if gather.link >= 0 else columns[0])

    def asks(self) -> Iterator[tuple[int, str, tuple[wire.Param, ...]]]:
        """(gather, statement, parameters) still to be run for this page."""
        for number, gather in enumerate(self._wanted.gathers):
            if not self._codes:
                return
            links = {own for own in map(_plain, self._links[number]) if own is not None}
            owns = sorted(links, key=lambda own: (isinstance(own, str), own))
            if not owns:
                continue
            near = gather.sql_range and not self._wanted.spread and gather.link < 0
            if near and all(isinstance(own, int) for own in owns):
                yield number, gather.sql_range, (*gather.params, owns[0], owns[-1])
                continue
            for start in range(0, len(owns), gather.width):
                some = owns[start : start + gather.width]
                # Always as many markers: one statement text, prepared once.
                some += [some[-1]] * (gather.width - len(some))
                yield number, gather.sql_among, (*gather.params, *some)

    def hang(self, gather: int, rows: Sequence[Row]) -> None:
        while len(self._hung) <= gather:
            self._hung.append([])
        self._hung[gather].extend(rows)

    def part(self, least: int = 1) -> wire.Records | None:
        """The rows taken since the last part, for the parent to unpack while more are fetched.
        None while they are fewer than ``least``, and where something must still hang on them."""
        wanted = self._wanted
        if wanted.gathers or wanted.what != "rows" or len(self._codes) < least:
            return None
        told = self._told([])
        self._sent += self._codes
        self._codes, self._server_hashes = [], []
        self._values = [[] for _ in wanted.kinds]
        return wire.Records(told, 0, more=True)

    def reply(self) -> wire.Reply:
        wanted = self._wanted
        gathered = [self._gathered(number) for number in range(len(wanted.gathers))]
        if wanted.what == "digest":
            sums = self._sums(gathered)
            return wire.Sum(
                len(sums),
                sum(top for top, _ in sums),
                functools.reduce(operator.xor, (last for _, last in sums), 0),
            )
        told = self._told(gathered)
        codes = self._sent + self._codes
        mixed = not all(map(operator.lt, codes, codes[1:]))
        twice = tuple(c for c, n in Counter(codes).items() if n > 1) if mixed else ()
        whole = wire.Records(told, self._seen, self._keyless, twice, self._natives, mixed=mixed)
        return whole if self._sent else wire.joined([], whole)

    def _told(self, gathered: Sequence[Sequence[Column]]) -> list[tuple[wire.Cell, ...]]:
        sums = self._sums(gathered)
        if not sums:
            return []
        tops, lasts = zip(*sums, strict=True)
        columns = self._columns(gathered) if self._wanted.what != "hashes" else []
        return list(zip(self._codes, tops, lasts, *columns, strict=True))

    def _columns(self, gathered: Sequence[Sequence[Column]]) -> list[Column]:
        return [
            self._values[slot.at] if slot.gather < 0 else gathered[slot.gather][slot.at]
            for slot in self._wanted.slots
        ]

    def _sums(self, gathered: Sequence[Sequence[Column]]) -> list[tuple[int, int]]:
        wanted = self._wanted
        if not wanted.server_hash:
            return hashed(zip(self._codes, *self._columns(gathered), strict=True))
        # What the server hashed stays unread; what hangs on is hashed with it.
        hung = [gathered[s.gather][s.at] for s in wanted.slots if s.gather >= 0]
        return hashed(zip(self._codes, self._server_hashes, *hung, strict=True))

    def _gathered(self, number: int) -> list[Column]:
        """The attachment's value columns, in the page's order."""
        gather = self._wanted.gathers[number]
        rows = self._hung[number] if number < len(self._hung) else []
        parts: list[Column] = []
        if rows:
            columns = list(zip(*rows, strict=True))
            parts = [
                list(self._convert[kind](column))
                for kind, column in zip(gather.kinds, columns[1:], strict=True)
            ]
            owns = list(map(_plain, columns[0]))
        else:
            owns = []
        links = list(map(_plain, self._links[number]))
        if gather.fold:
            return [self._fold(gather.fold, owns, column, links) for column in parts] or [
                [None] * len(links) for _ in gather.kinds
            ]
        lists: dict[Any, list[str]] = {}
        for own, values in zip(owns, zip(*parts, strict=True), strict=True):
            lists.setdefault(own, []).append(item(values))
        return [[ITEM.join(lists[link]) if link in lists else None for link in links]]

    @staticmethod
    def _fold(how: str, owns: Column, column: Column, links: Column) -> Column:
        held: dict[Any, list[wire.Cell]] = {}
        for own, value in zip(owns, column, strict=True):
            held.setdefault(own, []).append(value)
        return [folded(how, held.get(link, ())) for link in links]


def codes_of(rows: Sequence[Row], keys: int, fold: bool) -> list[int | None]:
    """The key numbers of rows whose first ``keys`` values are the key; 0 for the one row."""
    if keys == 1:
        column = [row[0] for row in rows]
        if set(map(type, column)) <= {int}:
            return column
        return [code_of_one(_plain(value), fold=fold) for value in column]
    if not keys:
        return [0] * min(len(rows), 1)
    return [code_of([_plain(v) for v in row[:keys]], fold=fold) for row in rows]


def natives_of(
    codes: Sequence[int | None], rows: Sequence[Row], keys: int
) -> list[tuple[int, tuple[wire.Cell, ...]]]:
    """The vendor's keys, padding and all, of those numbers that do not say them exactly."""
    if keys == 1:
        if set(map(type, map(operator.itemgetter(0), rows))) <= {int}:
            return []
        return [
            (code, (row[0],))
            for code, row in zip(codes, rows, strict=True)
            if code is not None and isinstance(row[0], str) and row[0] != key_text(code)
        ]
    return [
        (code, tuple(_native(value) for value in row[:keys]))
        for code, row in zip(codes, rows, strict=False)
        if code is not None and keys
    ]


def found(wanted: wire.Keys, rows: Sequence[Row]) -> wire.Reply:
    if wanted.keys:
        codes = [c for c in codes_of(rows, wanted.keys, wanted.fold_keys) if c is not None]
    else:
        codes = [0] if rows and rows[0][0] else []  # a count of the one row
    if wanted.digest:
        total = sum(code & _MASK48 for code in codes)
        return wire.Sum(len(codes), total, functools.reduce(operator.xor, codes, 0))
    if wanted.last:
        return wire.Found(codes[-1:], len(rows))
    natives = (
        natives_of(codes_of(rows, wanted.keys, wanted.fold_keys), rows, wanted.keys)
        if wanted.natives
        else []
    )
    return wire.Found(codes, len(rows), natives)


def _native(value: Any) -> int | str | None:
    return value if isinstance(value, str) else _plain(value)


def _plain(value: Any) -> int | str | None:
    """A key part as int or text without its padding: drivers give NUMERIC keys as Decimal."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, str):
        return value.rstrip(" \0")
    return int(value) if value == int(value) else str(value)
