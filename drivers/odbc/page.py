"""A page put together in the child: key numbers, values as text, what hangs on them, the row hash.

Pure: rows in, replies out; ``drivers.odbc.link`` runs the statements. Works column by column.
"""

from __future__ import annotations

import functools
import itertools
import operator
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
    """One ``wire.Fetch`` under way: ``take`` the page, run what it ``asks`` and ``hang`` it on."""

    def __init__(self, wanted: wire.Fetch) -> None:
        self._wanted = wanted
        self._convert = converters(wanted.fold_keys)
        self._codes: list[int] = []
        self._natives: list[tuple[int, tuple[wire.Cell, ...]]] = []
        self._values: list[Column] = []
        self._links: list[Column] = []  # native, one column a gather
        self._server_hashes: Column = ()
        self._hung: list[list[Column]] = []
        self._seen = 0
        self._keyless = 0

    def take(self, rows: Sequence[Row]) -> None:
        wanted = self._wanted
        self._seen = len(rows)
        codes = codes_of(rows, wanted.keys, wanted.fold_keys)
        if None in codes:
            whole = [(code, row) for code, row in zip(codes, rows, strict=True) if code is not None]
            self._keyless = len(rows) - len(whole)
            codes, rows = [code for code, _ in whole], [row for _, row in whole]
        self._codes = codes  # type: ignore[assignment]
        self._natives = natives_of(self._codes, rows, wanted.keys)
        columns: list[Column] = list(zip(*rows, strict=True)) if rows else []
        if not columns:
            return
        at = wanted.keys
        if wanted.server_hash:
            self._server_hashes = columns[at]
            at += 1
        hidden = columns[at : at + wanted.hidden]
        self._values = [
            list(self._convert[kind](column))
            for kind, column in zip(wanted.kinds, columns[at + wanted.hidden :], strict=True)
        ]
        self._links = [
            hidden[gather.link] if gather.link >= 0 else columns[0] for gather in wanted.gathers
        ]

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

    def reply(self) -> wire.Reply:
        wanted = self._wanted
        if not self._codes:
            if wanted.what == "digest":
                return wire.Sum(0, 0, 0)
            return wire.Records([], self._seen, self._keyless)
        gathered = [self._gathered(number) for number in range(len(wanted.gathers))]
        columns = [
            self._values[slot.at] if slot.gather < 0 else gathered[slot.gather][slot.at]
            for slot in wanted.slots
        ]
        rows: list[tuple[wire.Cell, ...]] = list(zip(self._codes, *columns, strict=True))
        if wanted.server_hash:
            # What the server hashed stays unread; what hangs on is hashed with it.
            hung = [gathered[s.gather][s.at] for s in wanted.slots if s.gather >= 0]
            sums = hashed(zip(self._codes, self._server_hashes, *hung, strict=True))
        else:
            sums = hashed(rows)
        if wanted.what == "digest":
            return wire.Sum(
                len(sums),
                sum(top for top, _ in sums),
                functools.reduce(operator.xor, (last for _, last in sums), 0),
            )
        if wanted.what == "hashes":
            columns = []
        tops, lasts = zip(*sums, strict=True)
        told: list[tuple[wire.Cell, ...]] = list(
            zip(self._codes, tops, lasts, *columns, strict=True)
        )
        if not all(map(operator.lt, self._codes, self._codes[1:])):
            told.sort(key=operator.itemgetter(0))
        twice = _twice(told) if len(set(self._codes)) < len(told) else set()
        if twice:
            told = [row for row in told if row[0] not in twice]
        return wire.Records(told, self._seen, self._keyless, tuple(twice), self._natives)

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


def _twice(told: Sequence[tuple[wire.Cell, ...]]) -> set[int]:
    """Keys that more than one row has: two text keys with one number, or a join that is no 1:1."""
    return {
        int(row[0])  # type: ignore[arg-type]
        for row, following in itertools.pairwise(told)
        if row[0] == following[0]
    }
