"""The statements that read one stream of a contract at one site. Pure text and parameters.

Portable core subset only (``tests/support/sqlgate.py`` proves it): names unquoted, every value a
parameter, limits as ``SELECT TOP n``. One record is one base row; 1:1 attachments are joined, 1:N
ones read by a statement of their own and put together in the child.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec

from agent.errors import PmsDrift
from agent.model.reading import Column
from agent.model.streams import Stream
from drivers.layout import BASE, Attachment, Join, Lane
from drivers.odbc import wire
from drivers.odbc.contract import Contract, Kind, Op, ServerHash, StreamDecl, Test, Window
from drivers.odbc.site import LiveColumn, LiveTable, applies
from drivers.odbc.values import LETTER

AMONG = 100  # keys in one IN list
PAIRS = 25  # composite keys in one OR
HASHED_SIZE = 255
TEXT_OF_MONEY = "CAST({value} AS VARCHAR(40))"

Params = tuple[wire.Param, ...]


class Where(msgspec.Struct, frozen=True):
    """Conditions, all of which hold, and their parameters in order."""

    tests: tuple[str, ...] = ()
    params: Params = ()

    def also(self, test: str, *params: wire.Param) -> Where:
        return Where((*self.tests, test), (*self.params, *params))

    def join(self, other: Where) -> Where:
        return Where((*self.tests, *other.tests), (*self.params, *other.params))

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self.tests)}" if self.tests else ""


class StreamPlan:
    """Statements that do not depend on the bound columns. Raises PmsDrift where the base is not."""

    def __init__(self, contract: Contract, stream: Stream, tables: Mapping[str, LiveTable]) -> None:
        self.stream = stream
        self.contract = contract
        self.decl: StreamDecl = contract.streams[stream]
        self.tables = tables
        table = tables.get(self.decl.table)
        if table is None:
            raise PmsDrift("pms.table_missing", table=self.decl.table, stream=stream.value)
        self.table = table
        self.keys = tuple(f"{BASE}.{name}" for name in table.real_key)
        self.records = tested(self.decl.where, table, BASE)

    @property
    def coded(self) -> bool:
        return self.table.coded

    @property
    def key(self) -> str:
        """The whole-number key; not of coded streams."""
        return self.keys[0]

    def within(self, lo: int | None, hi: int | None) -> Where:
        where = self.records
        if lo is not None:
            where = where.also(f"{self.key}>?", lo)
        if hi is not None:
            where = where.also(f"{self.key}<=?", hi)
        return where

    def among(self, natives: Sequence[Sequence[wire.Cell]]) -> Where:
        """Rows with these keys; at most ``AMONG`` (or ``PAIRS``) of them, filled up with the last
        so that the text, and what the server prepared for it, stays the same."""
        if not self.keys:
            return self.records
        if len(self.keys) == 1:
            values = [native[0] for native in natives]
            values += [values[-1]] * (AMONG - len(values))
            marks = ",".join("?" * len(values))
            return self.records.also(f"{self.key} IN ({marks})", *values)
        filled = [*natives, *[natives[-1]] * (PAIRS - len(natives))]
        pair = "(" + " AND ".join(f"{name}=?" for name in self.keys) + ")"
        params = [part for native in filled for part in native]
        return self.records.also("(" + " OR ".join([pair] * len(filled)) + ")", *params)

    def list_keys(self, where: Where, limit: int = 0, *, ordered: bool = True) -> wire.Keys:
        """Keys in order; of coded streams all, in any order, with the vendor's keys."""
        top = f"TOP {limit} " if limit else ""
        if not self.keys:
            # One row: that it is there at all is all there is to know.
            sql = f"SELECT COUNT(*) FROM {self.table.real} {BASE}{where}"
            return wire.Keys(sql, where.params, keys=0)
        order = f" ORDER BY {self.key}" if ordered and not self.coded else ""
        sql = f"SELECT {top}{','.join(self.keys)} FROM {self.table.real} {BASE}{where}{order}"
        return wire.Keys(
            sql,
            where.params,
            keys=len(self.keys),
            fold_keys=self.contract.fold_keys,
            natives=self.coded,
        )

    def max_key(self) -> tuple[str, Params]:
        sql = f"SELECT MAX({self.key}) FROM {self.table.real} {BASE}{self.records}"
        return sql, self.records.params

    def window(self, first: date, last: date) -> Where:
        """Records of these days, both included. Raises PmsDrift where the site has no window."""
        window = self.decl.window
        table = self.tables.get(window.table) if window is not None else None
        if window is None or table is None:
            raise PmsDrift("pms.window_missing", stream=self.stream.value)
        if window.table == self.decl.table and window.link in self.table.key:
            return self.records.join(days(window, table, BASE, first, last))
        inside = days(window, table, "w", first, last).join(tested(window.where, table, "w"))
        link = table.columns[window.link].real
        test = f"{self.key} IN (SELECT w.{link} FROM {table.real} w{inside})"
        return self.records.also(test, *inside.params)

    def lane(
        self, lane: Lane, where: Where, order: Sequence[str], limit: int
    ) -> tuple[str, Params]:
        """Rows ``(stamp, row, link)`` of the lane's table ``l`` in the order of these columns."""
        table = self.tables[lane.table]
        link, joins = f"l.{table.columns[lane.link].real}", ""
        for number, (hop, own, following) in enumerate(lane.hops):
            live, alias = self.tables[hop], f"h{number}"
            joins += f" LEFT JOIN {live.real} {alias} ON {alias}.{live.columns[own].real}={link}"
            link = f"{alias}.{live.columns[following].real}"
        stamp, row = (f"l.{table.columns[name].real}" for name in (lane.stamp, lane.row))
        by = ",".join(f"l.{table.columns[name].real}" for name in order)
        top = f"TOP {limit} " if limit else ""
        sql = f"SELECT {top}{stamp},{row},{link} FROM {table.real} l{joins}{where} ORDER BY {by}"
        return sql, where.params


class BoundPlan(StreamPlan):
    """Adds what reads and digests the bound columns. Raises PmsDrift on unknown ones."""

    def __init__(
        self,
        contract: Contract,
        stream: Stream,
        tables: Mapping[str, LiveTable],
        columns: Sequence[Column],
        *,
        server_hash: bool = False,
        money_as_text: bool = False,
    ) -> None:
        super().__init__(contract, stream, tables)
        self.columns = tuple(columns)
        self._money_as_text = money_as_text
        self._attached = {a.alias: a for a in self.decl.attached}
        self._joined: dict[str, Attachment] = {}
        self._values: list[tuple[str, LiveColumn]] = []  # in the order of the SELECT
        self._hidden: list[str] = []
        self._gathers: list[wire.Gather] = []
        self._gather_of: dict[str, int] = {}
        self._folded: dict[str, list[str]] = {}
        slots: list[wire.Slot | str] = [self._place(wanted) for wanted in columns]
        self._gather_all(columns)
        # Long text goes last in a statement: old drivers deliver it in order only.
        order = sorted(
            range(len(self._values)), key=lambda at: self._values[at][1].kind is Kind.NOTE
        )
        moved = {old: new for new, old in enumerate(order)}
        self._values = [self._values[at] for at in order]
        self._slots = tuple(
            self._folded_slot(slot, wanted)
            if isinstance(slot, str)
            else wire.Slot(moved[slot.at]) if slot.gather < 0 else slot
            for slot, wanted in zip(slots, columns, strict=True)
        )  # fmt: skip
        self._hash = (
            hash_sql(contract.server_hash, self.keys, self._values)
            if server_hash and contract.server_hash is not None and self._values
            else ""
        )
        joins = "".join(self._left_join(self._joined[a]) for a in self._attached
                        if a in self._joined)  # fmt: skip
        self._from = f" FROM {self.table.real} {BASE}{joins}"

    def fetch(
        self, where: Where, *, limit: int = 0, spread: bool = False, what: str = "rows"
    ) -> wire.Fetch:
        """A page, its digest, or its hashes. ``spread``: the keys lie far apart."""
        lean = bool(self._hash) and what != "rows"  # the server's hash stands for the values
        values = [] if lean else self._values
        items = [*self.keys, *([self._hash] if self._hash else []), *self._hidden,
                 *(expression for expression, _ in values)]  # fmt: skip
        order = "" if self.coded else f" ORDER BY {self.key}"
        top = f"TOP {limit} " if limit else ""
        listed = ",".join(items) or "1"
        return wire.Fetch(
            sql=f"SELECT {top}{listed}{self._from}{where}{order}",
            params=where.params,
            keys=len(self.keys),
            kinds="".join(LETTER[column.kind] for _, column in values),
            slots=tuple(s for s in self._slots if s.gather >= 0) if lean else self._slots,
            hidden=len(self._hidden),
            gathers=tuple(self._gathers),
            spread=spread or self.coded,
            server_hash=bool(self._hash),
            fold_keys=self.contract.fold_keys,
            what=what,
        )

    def _place(self, wanted: Column) -> wire.Slot | str:
        """Where a bound column comes from; the alias of a folded attachment, placed later."""
        if wanted.table == self.decl.table and wanted.name in self.table.columns:
            return self._value(BASE, self.table.columns[wanted.name])
        hung = self._attached.get(wanted.table)
        live = self.tables.get(hung.table) if hung is not None else None
        if hung is None or live is None or hung.own not in live.columns:
            raise self._unknown(wanted)
        if hung.join is Join.MANY:
            if wanted.name != hung.pseudo:
                raise self._unknown(wanted)
            return wire.Slot(0, self._gather(hung))
        if wanted.name not in live.columns:
            raise self._unknown(wanted)
        if hung.join is Join.FOLDED:
            self._folded.setdefault(hung.alias, []).append(wanted.name)
            return hung.alias
        self._need(hung, wanted)
        return self._value(hung.alias, live.columns[wanted.name])

    def _value(self, alias: str, column: LiveColumn) -> wire.Slot:
        self._values.append((self._said(f"{alias}.{column.real}", column), column))
        return wire.Slot(len(self._values) - 1)

    def _said(self, expression: str, column: LiveColumn) -> str:
        wrong = self._money_as_text and column.sql_type == "decimal"
        return TEXT_OF_MONEY.replace("{value}", expression) if wrong else expression

    def _need(self, hung: Attachment, wanted: Column) -> None:
        if hung.to != BASE:
            parent = self._attached.get(hung.to)
            if parent is None or parent.table not in self.tables:
                raise self._unknown(wanted)
            self._need(parent, wanted)
        if self._column_of(hung) is None:
            raise self._unknown(wanted)
        self._joined[hung.alias] = hung

    def _column_of(self, hung: Attachment) -> str | None:
        """The real column of ``to`` an attachment hangs on."""
        table = self.table if hung.to == BASE else self.tables[self._attached[hung.to].table]
        found = table.columns.get(hung.column)
        return None if found is None else found.real

    def _left_join(self, hung: Attachment) -> str:
        live = self.tables[hung.table]
        on = f"{hung.alias}.{live.columns[hung.own].real}={hung.to}.{self._column_of(hung)}"
        params = ""
        if hung.where is not None and hung.where[0] in live.columns:
            params = f" AND {hung.alias}.{live.columns[hung.where[0]].real}={int(hung.where[1])}"
        return f" LEFT JOIN {live.real} {hung.alias} ON {on}{params}"

    def _gather_all(self, columns: Sequence[Column]) -> None:
        for alias, names in self._folded.items():
            hung = self._attached[alias]
            self._gather_of[alias] = len(self._gathers)
            self._gathers.append(self._gathering(hung, names, hung.fold))

    def _folded_slot(self, alias: str, wanted: Column) -> wire.Slot:
        return wire.Slot(self._folded[alias].index(wanted.name), self._gather_of[alias])

    def _gather(self, hung: Attachment) -> int:
        if hung.alias not in self._gather_of:
            self._gather_of[hung.alias] = len(self._gathers)
            self._gathers.append(self._gathering(hung, hung.parts, ""))
        return self._gather_of[hung.alias]

    def _gathering(self, hung: Attachment, parts: Sequence[str], fold: str) -> wire.Gather:
        """A statement for the attachment's rows; a part the site lacks stays empty."""
        live = self.tables[hung.table]
        own = f"m.{live.columns[hung.own].real}"
        column = self._column_of(hung)
        if column is None:
            raise self._unknown(Column(hung.alias, hung.column))
        link = -1
        if (column,) != self.table.real_key:
            hidden = f"{BASE}.{column}"
            if hidden not in self._hidden:
                self._hidden.append(hidden)
            link = self._hidden.index(hidden)
        known = [live.columns.get(part) for part in parts]
        items = ",".join(
            "NULL" if part is None else self._said(f"m.{part.real}", part) for part in known
        )
        where = Where()
        if hung.where is not None and hung.where[0] in live.columns:
            where = where.also(f"m.{live.columns[hung.where[0]].real}=?", hung.where[1])
        by = ",".join(
            [own, *(f"m.{live.columns[n].real}" for n in hung.order if n in live.columns)]
        )
        head = f"SELECT {own},{items} FROM {live.real} m"
        marks = ",".join("?" * AMONG)
        comparable = live.columns[hung.own].sql_type in {"bigint", "decimal"}
        return wire.Gather(
            sql_range=(
                f"{head}{where.also(f'{own}>=?').also(f'{own}<=?')} ORDER BY {by}"
                if comparable
                else ""
            ),
            sql_among=f"{head}{where.also(f'{own} IN ({marks})')} ORDER BY {by}",
            width=AMONG,
            kinds="".join("a" if part is None else LETTER[part.kind] for part in known),
            link=link,
            fold=fold,
            params=where.params,
        )

    def _unknown(self, wanted: Column) -> PmsDrift:
        return PmsDrift(
            "pms.column_missing",
            stream=self.stream.value,
            table=wanted.table,
            column=wanted.name,
        )


def tested(tests: Iterable[Test], table: LiveTable, alias: str) -> Where:
    """Conditions on columns the site has; see ``contract.Test``."""
    where = Where()
    for test in tests:
        if not applies(test, table):
            continue
        name = f"{alias}.{table.columns[test.column].real}"
        match test.op:
            case Op.NULL | Op.NOT_NULL:
                where = where.also(f"{name} {test.op.value}")
            case Op.IN:
                marks = ",".join("?" * len(test.values))
                where = where.also(f"{name} IN ({marks})", *test.values)
            case _:
                where = where.also(f"{name}{test.op.value}?", test.values[0])
    return where


def days(window: Window, table: LiveTable, alias: str, first: date, last: date) -> Where:
    """Rows of these local days, both included."""
    column = table.columns[window.column]
    only = column.sql_type == "date"
    name = f"{alias}.{column.real}"
    after = last + timedelta(days=1)
    return (
        Where()
        .also(f"{name}>=?", wire.Moment(first.isoformat(), date_only=only))
        .also(f"{name}<?", wire.Moment(after.isoformat(), date_only=only))
    )


def moment(at: datetime) -> wire.Moment:
    """A local wall time as a parameter."""
    return wire.Moment(at.replace(tzinfo=None).isoformat(" "))


def hash_sql(how: ServerHash, keys: Sequence[str], values: Sequence[tuple[str, LiveColumn]]) -> str:
    """The server's hash over key and values: NULL marked, the length of each text before it."""
    pieces = [_hash_part(how, name, None) for name in keys]
    pieces += [_hash_part(how, expression, column) for expression, column in values]
    joined = f"{how.concat}'|'{how.concat}".join(pieces)
    return how.template.replace("{text}", joined)


def _hash_part(how: ServerHash, expression: str, column: LiveColumn | None) -> str:
    if column is not None and column.sql_type == "varchar":
        size = how.cast.replace("{value}", f"LENGTH({expression})").replace("{size}", "12")
        return f"COALESCE({size}{how.concat}':'{how.concat}{expression},'~')"
    cast = how.cast.replace("{value}", expression).replace("{size}", str(HASHED_SIZE))
    return f"COALESCE({cast},'~')"
