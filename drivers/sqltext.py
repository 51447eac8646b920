"""SQL text in two dialects, and the shape of live tables the text depends on.

Pure: builds strings, never runs them. Everything that differs between MariaDB/MySQL and SQLite is
here; statements are put together in ``drivers.opendental.statements``. Must not import a database
library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Protocol

import msgspec

ITEM = "\x1e"  # between the items of a gathered 1:N value
PART = "\x1f"  # between the parts of one item
UTF8 = frozenset({"utf8", "utf8mb3", "utf8mb4", "ascii", ""})
_INTEGERS = re.compile(r"(tiny|small|medium|big)?int(eger)?\b", re.IGNORECASE)
_BINARY = re.compile(r"(tiny|medium|long)?blob\b|(var)?binary\b|bit\b", re.IGNORECASE)
_FIXED = re.compile(
    r"double|float|real|decimal|numeric|date|time|year|" + _INTEGERS.pattern, re.IGNORECASE
)


class Kind(StrEnum):
    """How a value enters the row hash, and how it leaves as text."""

    FIXED = "fixed"  # numbers, dates, times: their text can hold no separator
    TEXT = "text"
    BINARY = "binary"  # leaves as hexadecimal
    LIST = "list"  # a gathered 1:N value: evaluated once, so hashed on its own


class ColumnShape(msgspec.Struct, frozen=True):
    """A live column. ``charset`` is "" for what is not text."""

    sql_type: str
    kind: Kind
    nullable: bool = True
    charset: str = ""


class TableShape(msgspec.Struct, frozen=True):
    """A live table: columns by exact name, columns that lead an index, key column or ""."""

    name: str
    columns: dict[str, ColumnShape]
    leads: frozenset[str] = frozenset()
    primary: str = ""
    engine: str = ""
    rows: int = 0


def kind_of(sql_type: str) -> Kind:
    if _BINARY.match(sql_type):
        return Kind.BINARY
    return Kind.FIXED if _FIXED.match(sql_type) else Kind.TEXT


def quoted(name: str) -> str:
    """A backquoted identifier; both dialects take it."""
    return "`" + name.replace("`", "``") + "`"


def column(alias: str, name: str) -> str:
    return f"{quoted(alias)}.{quoted(name)}"


def text_literal(text: str) -> str:
    """For names from our own tables or the live schema; backslashes have no business there."""
    if "\\" in text:
        raise ValueError("a literal must not hold a backslash")
    return "'" + text.replace("'", "''") + "'"


def stamp_literal(moment: datetime) -> str:
    """An aware instant as the UTC text both dialects compare whole-second stamps with."""
    return f"'{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}'"


def date_literal(day: date) -> str:
    return f"'{day.isoformat()}'"


class Dialect(Protocol):
    """What differs. Expressions in, expressions out."""

    no_limit: str

    def key(self, expression: str) -> str:
        """The key so that it arrives as an int."""

    def text(self, expression: str, shape: ColumnShape) -> str:
        """The value so that it arrives as text."""

    def plain(self, expression: str, shape: ColumnShape) -> str:
        """The value for use inside other expressions, text in UTF-8."""

    def row_hash(self, parts: Sequence[tuple[str, ColumnShape]]) -> str:
        """32 hex digits of MD5 over the parts, unambiguous: lengths before text, NULL marked."""

    def gathered(
        self,
        table: str,
        match: str,
        parts: Sequence[tuple[str, ColumnShape] | None],
        order: Sequence[str],
    ) -> str:
        """A scalar subquery over rows ``m`` of ``table``: items in order; a None part is empty."""

    def epoch(self, expression: str) -> str:
        """Whole epoch seconds of a UTC stamp."""

    def digest(self, hashes: str) -> str:
        """Count, sum of the first 48 bits, xor of the last 64 (unsigned) of hashes ``h``."""

    def key_digest(self, source: str, key: str) -> str: ...
    def range_source(self, table: str) -> str:
        """``table`` as a base table whose key index must be walked."""


class MariaDbText:
    """MariaDB and MySQL from 5.6. Expects ``character_set_results = NULL`` (bytes as stored)."""

    no_limit = " LIMIT 18446744073709551615"

    def key(self, expression: str) -> str:
        # Open Dental has no DECIMAL columns: the client turns that type, and only it, into int.
        return f"CAST({expression} AS DECIMAL(20,0))"

    def text(self, expression: str, shape: ColumnShape) -> str:
        if shape.kind is Kind.BINARY:
            return f"HEX({expression})"
        if shape.sql_type.lower().startswith(("decimal", "numeric")):
            return f"CAST({expression} AS CHAR)"
        return self.plain(expression, shape)

    def plain(self, expression: str, shape: ColumnShape) -> str:
        if shape.kind is Kind.TEXT and shape.charset.lower() not in UTF8:
            return f"CONVERT({expression} USING utf8mb4)"
        return expression

    def row_hash(self, parts: Sequence[tuple[str, ColumnShape]]) -> str:
        return f"MD5(CONCAT_WS('|',{','.join(self._part(e, s) for e, s in parts)}))"

    def _part(self, expression: str, shape: ColumnShape) -> str:
        if shape.kind in (Kind.LIST, Kind.BINARY):
            return f"IFNULL(MD5({expression}),'~')"
        if shape.kind is Kind.TEXT:
            value = self.plain(expression, shape)
            if not shape.nullable:
                return f"LENGTH({value}),{value}"
            return f"IFNULL(LENGTH({value}),'~'),IFNULL({value},'')"
        return f"IFNULL({expression},'~')" if shape.nullable else expression

    def gathered(
        self,
        table: str,
        match: str,
        parts: Sequence[tuple[str, ColumnShape] | None],
        order: Sequence[str],
    ) -> str:
        item = ",".join("''" if part is None else self._item(*part) for part in parts)
        by = ",".join(column("m", name) for name in order)
        return (
            f"(SELECT GROUP_CONCAT(CONCAT_WS('{PART}',{item}) ORDER BY {by} SEPARATOR '{ITEM}')"
            f" FROM {quoted(table)} m WHERE {match})"
        )

    def _item(self, expression: str, shape: ColumnShape) -> str:
        value = self.plain(expression, shape)
        if shape.kind is Kind.TEXT:
            value = f"REPLACE(REPLACE({value},'{ITEM}',' '),'{PART}',' ')"
        return f"IFNULL({value},'')" if shape.nullable else value

    def epoch(self, expression: str) -> str:
        return f"UNIX_TIMESTAMP({expression})"

    def digest(self, hashes: str) -> str:
        # The limit keeps the server from merging the derived table and computing each hash twice.
        return (
            "SELECT COUNT(*),SUM(CAST(CONV(LEFT(d.h,12),16,10) AS UNSIGNED)),"
            "BIT_XOR(CAST(CONV(RIGHT(d.h,16),16,10) AS UNSIGNED))"
            f" FROM ({hashes}{self.no_limit}) d"
        )

    def key_digest(self, source: str, key: str) -> str:
        return f"SELECT COUNT(*),SUM({key} & 281474976710655),BIT_XOR({key}) FROM {source}"

    def range_source(self, table: str) -> str:
        return f"{quoted(table)} b FORCE INDEX (PRIMARY)"


class SqliteText:
    """SQLite with the functions ``row_md5`` and ``BIT_OR`` of ``drivers.sample.session``."""

    no_limit = ""

    def key(self, expression: str) -> str:
        return expression

    def text(self, expression: str, shape: ColumnShape) -> str:
        if shape.kind is Kind.BINARY:
            return f"HEX({expression})"
        return f"CAST({expression} AS TEXT)"

    def plain(self, expression: str, shape: ColumnShape) -> str:
        return expression

    def row_hash(self, parts: Sequence[tuple[str, ColumnShape]]) -> str:
        joined = "||'|'||".join(piece for e, shape in parts for piece in self._part(e, shape))
        return f"row_md5(CAST({joined} AS BLOB))"

    def _part(self, expression: str, shape: ColumnShape) -> tuple[str, ...]:
        # SQLite columns hold any type, so everything but an integer carries its length.
        if shape.kind is Kind.FIXED and _INTEGERS.match(shape.sql_type):
            return (f"IFNULL({expression},'~')",)
        if shape.kind is Kind.LIST:
            return (f"IFNULL(row_md5(CAST({expression} AS BLOB)),'~')",)
        return (f"IFNULL(LENGTH(CAST({expression} AS BLOB)),'~')", f"IFNULL({expression},'')")

    def gathered(
        self,
        table: str,
        match: str,
        parts: Sequence[tuple[str, ColumnShape] | None],
        order: Sequence[str],
    ) -> str:
        item = f"||'{PART}'||".join("''" if part is None else self._item(*part) for part in parts)
        by = ",".join(column("m", name) for name in order)
        return (
            f"(SELECT group_concat(i,'{ITEM}') FROM (SELECT {item} AS i"
            f" FROM {quoted(table)} m WHERE {match} ORDER BY {by}))"
        )

    def _item(self, expression: str, shape: ColumnShape) -> str:
        if shape.kind is Kind.TEXT:
            return f"REPLACE(REPLACE(IFNULL({expression},''),'{ITEM}',' '),'{PART}',' ')"
        return f"IFNULL({expression},'')"

    def epoch(self, expression: str) -> str:
        return f"CAST(strftime('%s',{expression}) AS INTEGER)"

    def digest(self, hashes: str) -> str:
        return f"SELECT COUNT(*),hash_sum(h),hash_xor(h) FROM ({hashes})"

    def key_digest(self, source: str, key: str) -> str:
        return f"SELECT COUNT(*),key_sum({key}),key_xor({key}) FROM {source}"

    def range_source(self, table: str) -> str:
        return f"{quoted(table)} b"
