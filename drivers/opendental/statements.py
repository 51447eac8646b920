"""The statements that read one stream, built once when its columns are bound. Pure text.

One record is one base row with what hangs on it. Where a 1:N value is bound, the values are
computed in a derived table first so that the row hash does not compute them a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from agent.errors import PmsDrift
from agent.model.reading import Column, Key
from agent.model.streams import Stream
from drivers.opendental.streams import (
    BASE,
    PRACTICE,
    STREAMS,
    Attachment,
    Join,
    Lane,
    StreamSpec,
)
from drivers.sqltext import (
    ColumnShape,
    Dialect,
    Kind,
    TableShape,
    column,
    date_literal,
    quoted,
    stamp_literal,
    text_literal,
)

LIST = ColumnShape("list", Kind.LIST)
_PRACTICE_PREFERENCES = {
    "Description": "PracticeTitle",
    "Abbr": "PracticeTitle",
    "Address": "PracticeAddress",
    "Address2": "PracticeAddress2",
    "City": "PracticeCity",
    "State": "PracticeST",
    "Zip": "PracticeZip",
    "Phone": "PracticePhone",
}
_EVERYWHERE = {"Title": "PracticeTitle", "DateLastAging": "DateLastAging"}
PRACTICE_COLUMNS = (*_PRACTICE_PREFERENCES, "TimeZone", "IsHidden", *_EVERYWHERE)


def practice_shape() -> TableShape:
    """The pseudo table: key 0 is the practice, the others its clinics when clinics are on."""
    shapes = {name: ColumnShape("text", Kind.TEXT) for name in PRACTICE_COLUMNS}
    shapes["ClinicNum"] = ColumnShape("bigint", Kind.FIXED, nullable=False)
    shapes["IsHidden"] = ColumnShape("tinyint", Kind.FIXED, nullable=False)
    return TableShape(PRACTICE, shapes, primary="", rows=1)


def _preference(name: str) -> str:
    return f"(SELECT MAX(`ValueString`) FROM `preference` WHERE `PrefName`={text_literal(name)})"


def practice_source(tables: Mapping[str, TableShape]) -> str:
    """A derived table ``b`` with the columns of ``practice_shape``."""
    everywhere = ",".join(f"{_preference(p)} AS {quoted(c)}" for c, p in _EVERYWHERE.items())
    own = ",".join(f"{_preference(p)} AS {quoted(c)}" for c, p in _PRACTICE_PREFERENCES.items())
    rows = f"SELECT 0 AS `ClinicNum`,{own},'' AS `TimeZone`,0 AS `IsHidden`,{everywhere}"
    clinic = tables.get("clinic")
    if clinic is not None:
        names = (*_PRACTICE_PREFERENCES, "TimeZone", "IsHidden")
        given = ",".join(
            quoted(n) if n in clinic.columns else ("0" if n == "IsHidden" else "''") for n in names
        )
        off = _preference("EasyNoClinics")
        rows += f" UNION ALL SELECT `ClinicNum`,{given},{everywhere} FROM `clinic` WHERE {off}<>'1'"
    return f"({rows}) b"


class StreamText:
    """Statements of one stream that do not depend on the bound columns."""

    def __init__(self, stream: Stream, dialect: Dialect, tables: Mapping[str, TableShape]) -> None:
        self.stream = stream
        self.spec: StreamSpec = STREAMS[stream]
        self.dialect = dialect
        self.tables = tables
        self.key = column(BASE, self.spec.key)
        if self.spec.table == PRACTICE:
            self.shape = practice_shape()
            self.source = practice_source(tables)
        else:
            shape = tables.get(self.spec.table)
            if shape is None or self.spec.key not in shape.columns:
                raise PmsDrift("pms.table_missing", table=self.spec.table, stream=stream.value)
            self.shape = shape
            walk = shape.primary == self.spec.key
            self.source = (
                dialect.range_source(shape.name) if walk else f"{quoted(shape.name)} {BASE}"
            )

    def within(self, lo: Key | None, hi: Key | None) -> str:
        tests = []
        if lo is not None:
            tests.append(f"{self.key}>{int(lo)}")
        if hi is not None:
            tests.append(f"{self.key}<={int(hi)}")
        return f" WHERE {' AND '.join(tests)}" if tests else ""

    def among(self, keys: Sequence[Key]) -> str:
        return f" WHERE {self.key} IN ({','.join(str(int(k)) for k in keys)})"

    def keys(self, where: str, limit: int, skip: int = 0) -> str:
        offset = f" OFFSET {skip}" if skip else ""
        ordered = f" ORDER BY {self.key} LIMIT {limit}{offset}"
        return f"SELECT {self.key} FROM {self.source}{where}{ordered}"

    def max_key(self) -> str:
        source = self.source if self.spec.table == PRACTICE else f"{quoted(self.shape.name)} b"
        return f"SELECT MAX({self.key}) FROM {source}"

    def key_digest(self, where: str) -> str:
        return self.dialect.key_digest(self.source, self.key) + where

    def window(self, first: date, last: date, after: Key | None, limit: int) -> str:
        """Keys of records dated first..last, in key order.

        The derived table makes the server find them by date: asked for key order and a limit at
        once, it would rather walk all keys and drop what is out of the window.
        """
        more = f" AND {self.key}>{int(after)}" if after is not None else ""
        found = (
            f"SELECT {self.key} AS k FROM {quoted(self.shape.name)} {BASE}"
            f"{self.dated(first, last)}{more}{self.dialect.no_limit}"
        )
        return f"SELECT d.k FROM ({found}) d ORDER BY d.k LIMIT {limit}"

    def dated(self, first: date, last: date) -> str:
        at = column(BASE, self.spec.window)
        until = f"'{last.isoformat()} 23:59:59'"
        return f" WHERE {at}>={date_literal(first)} AND {at}<={until}"

    def lane(self, lane: Lane, since: datetime, after: tuple[int, int] | None, limit: int) -> str:
        """Rows ``(stamp, row, key or NULL)`` in order; the limit counts the lane's own rows."""
        stamp, row = quoted(lane.stamp), quoted(lane.row)
        test = f"{stamp}>={stamp_literal(since)}"
        if after is not None:
            at = stamp_literal(datetime.fromtimestamp(after[0], tz=since.tzinfo))
            test = f"{stamp}>={at} AND ({stamp}>{at} OR {row}>{int(after[1])})"
        epoch = self.dialect.epoch(stamp)
        rows = (
            f"SELECT {epoch} AS s,{row} AS r,{quoted(lane.link)} AS l FROM {quoted(lane.table)}"
            f" WHERE {test} ORDER BY {stamp},{row} LIMIT {limit}"
        )
        if not lane.hops:
            return rows
        joins, link = "", "d.l"
        for number, (table, own, following) in enumerate(lane.hops):
            alias = f"h{number}"
            joins += f" LEFT JOIN {quoted(table)} {alias} ON {column(alias, own)}={link}"
            link = column(alias, following)
        return f"SELECT d.s,d.r,{link} FROM ({rows}) d{joins} ORDER BY d.s,d.r,{link}"


class BoundStream(StreamText):
    """Adds what reads and digests the bound columns. Raises PmsDrift on unknown ones."""

    def __init__(
        self,
        stream: Stream,
        columns: Sequence[Column],
        dialect: Dialect,
        tables: Mapping[str, TableShape],
    ) -> None:
        super().__init__(stream, dialect, tables)
        self.columns = tuple(columns)
        attached = {a.alias: a for a in self.spec.attached}
        joined: dict[str, Attachment] = {}
        values: list[tuple[str, ColumnShape]] = []
        self._twice = False
        for wanted in columns:
            if wanted.table == self.spec.table and wanted.name in self.shape.columns:
                expression = column(BASE, wanted.name)
                values.append((expression, self.shape.columns[wanted.name]))
                continue
            hung = attached.get(wanted.table)
            if hung is None or hung.table not in tables:
                raise self._unknown(wanted)
            values.append(self._attached(hung, wanted))
            if hung.join is Join.ONE:
                self._need(hung, attached, joined)
            else:
                self._twice = True
        self._joins = "".join(self._left_join(joined[a]) for a in attached if a in joined)
        self._from = f" FROM {self.source}{self._joins}"
        key = (self.key, ColumnShape("bigint", Kind.FIXED, nullable=False))
        self._hash = dialect.row_hash([key, *values])
        self._build_read(values)

    def _build_read(self, values: list[tuple[str, ColumnShape]]) -> None:
        dialect = self.dialect
        if not self._twice:
            items = "".join(f",{dialect.text(e, s)}" for e, s in values)
            self._read = f"SELECT {dialect.key(self.key)},{self._hash}{items}{self._from}"
            self._read_end = ""
            return
        inner = "".join(f",{e} AS c{n}" for n, (e, _) in enumerate(values))
        named = [(f"v.c{n}", shape) for n, (_, shape) in enumerate(values)]
        key = ("v.k", ColumnShape("bigint", Kind.FIXED, nullable=False))
        items = "".join(f",{dialect.text(e, s)}" for e, s in named)
        self._read = (
            f"SELECT {dialect.key('v.k')},{dialect.row_hash([key, *named])}{items}"
            f" FROM (SELECT {self.key} AS k{inner}{self._from}"
        )
        self._read_end = ") v"

    def read(self, where: str, limit: int) -> str:
        """Rows ``(key, hash, *values)``; in key order but for what a derived table may do to it."""
        return f"{self._read}{where} ORDER BY {self.key} LIMIT {limit}{self._read_end}"

    def digest(self, where: str) -> str:
        return self.dialect.digest(f"SELECT {self._hash} AS h{self._from}{where}")

    def hashes(self, first: date, last: date) -> str:
        """Rows ``(key, hash)`` of the window; found by date, as ``window`` does."""
        found = f" FROM {quoted(self.shape.name)} {BASE}{self._joins}{self.dated(first, last)}"
        return f"SELECT {self.dialect.key(self.key)},{self._hash}{found} ORDER BY {self.key}"

    def _need(
        self, hung: Attachment, attached: Mapping[str, Attachment], joined: dict[str, Attachment]
    ) -> None:
        if hung.to != BASE:
            self._need(attached[hung.to], attached, joined)
        joined[hung.alias] = hung

    def _left_join(self, hung: Attachment) -> str:
        on = f"{column(hung.alias, hung.own)}={column(hung.to, hung.column)}"
        return f" LEFT JOIN {quoted(hung.table)} {quoted(hung.alias)} ON {on}"

    def _attached(self, hung: Attachment, wanted: Column) -> tuple[str, ColumnShape]:
        shape = self.tables[hung.table]
        match = f"{column('m', hung.own)}={column(hung.to, hung.column)}"
        if hung.where is not None:
            match += f" AND {column('m', hung.where[0])}={hung.where[1]}"
        if hung.join is Join.MANY:
            if wanted.name != hung.pseudo:
                raise self._unknown(wanted)
            parts = [
                (column("m", name), shape.columns[name]) if name in shape.columns else None
                for name in hung.parts
            ]
            return self.dialect.gathered(hung.table, match, parts, hung.order), LIST
        found = shape.columns.get(wanted.name)
        if found is None:
            raise self._unknown(wanted)
        if hung.join is Join.FOLDED:
            value = f"{hung.fold}({column('m', wanted.name)})"
            return f"(SELECT {value} FROM {quoted(hung.table)} m WHERE {match})", LIST
        # A LEFT JOIN makes every column nullable.
        nullable = ColumnShape(found.sql_type, found.kind, True, found.charset)
        return column(hung.alias, wanted.name), nullable

    def _unknown(self, wanted: Column) -> PmsDrift:
        return PmsDrift(
            "pms.column_missing",
            stream=self.stream.value,
            table=wanted.table,
            column=wanted.name,
        )
