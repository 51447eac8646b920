"""Clock, guard and logs of a site read over ODBC. The database says local wall time, no zone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from agent.model.reading import Hint, ServerClock, SourceGuard, Tail
from drivers.base import Effort
from drivers.odbc import wire
from drivers.odbc.contract import Ask, LogDecl, Op
from drivers.odbc.keys import code_of_one
from drivers.odbc.session import OdbcSession
from drivers.odbc.site import Site
from drivers.odbc.statements import moment, tested

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - marks count local microseconds


class Observer:
    """For one probed site. ``zone``: the practice's, in which the database's times are read."""

    def __init__(self, site: Site, zone: ZoneInfo) -> None:
        self._site = site
        self.zone = zone

    def clock(self, session: OdbcSession) -> ServerClock:
        """Nobody tells a reader which statements are still open: the lanes overlap instead."""
        if not self._site.clock_sql:
            return ServerClock(datetime.now(UTC), None)
        said = session.rows(self._site.clock_sql)[0][0]
        wall = wall_time(str(said))
        return ServerClock(wall.replace(tzinfo=self.zone).astimezone(UTC), None)

    def guard(self, session: OdbcSession) -> SourceGuard:
        contract = self._site.contract
        return SourceGuard(
            identity=self.identity(session),
            version=self.version(session),
            update_running=False,
            corrupted=False,
            rebuilding=False,
            high_marks=self._highest(session, contract.sentinels),
            witnesses=self._highest(session, contract.witnesses),
        )

    def _highest(self, session: OdbcSession, names: Sequence[str]) -> dict[str, int]:
        marks: dict[str, int] = {}
        for name in names:
            table = self._site.tables.get(name)
            if table is None or table.coded:
                continue
            sql = f"SELECT MAX({table.real_key[0]}) FROM {table.real}"
            marks[name] = int(session.rows(sql, Effort.DIGEST)[0][0] or 0)
        return marks

    def version(self, session: OdbcSession) -> str:
        ask = self._site.contract.version
        return (self._answer(session, ask) or "") if ask is not None else ""

    def identity(self, session: OdbcSession) -> str:
        """A name for server, database and installation that says nothing about any of them."""
        told = [self._answer(session, ask) or "" for ask in self._site.contract.identity]
        # Before it is connected a session knows no place.
        session.connect()
        seed = "\n".join((session.place, *told))
        return hashlib.sha256(seed.encode()).hexdigest()[:32]

    def tail(self, session: OdbcSession, marks: Mapping[str, int], limit: int) -> Tail:
        hints: list[Hint] = []
        ends = dict(marks)
        for log in self._site.contract.logs:
            if not self._has(log):
                continue
            found, end = self._read_log(session, log, marks.get(log.table), limit)
            hints += found
            if end is not None:
                ends[log.table] = end
        return Tail(hints, ends)

    def _has(self, log: LogDecl) -> bool:
        table = self._site.tables.get(log.table)
        return table is not None and {log.mark, log.link}.issubset(table.columns)

    def _read_log(
        self, session: OdbcSession, log: LogDecl, mark: int | None, limit: int
    ) -> tuple[list[Hint], int | None]:
        table = self._site.tables[log.table]
        at = f"l.{table.columns[log.mark].real}"
        if mark is None:  # a log without a mark starts at its end
            top = session.rows(f"SELECT MAX({at}) FROM {table.real} l")[0][0]
            return [], _mark_of(top) if top is not None else 0
        deleted = log.deleted if log.deleted and log.deleted.column in table.columns else None
        said = f",l.{table.columns[deleted.column].real}" if deleted is not None else ""
        stamped = table.columns[log.mark].sql_type in {"datetime", "date", "varchar"}
        above: wire.Param = moment(_moment_of(mark)) if stamped else mark
        sql = (
            f"SELECT TOP {limit} {at},l.{table.columns[log.link].real}{said}"
            f" FROM {table.real} l WHERE {at}>? ORDER BY {at}"
        )
        hints, end = [], mark
        for row in session.rows(sql, params=(above,)):
            end = max(end, _mark_of(row[0]))
            key = code_of_one(row[1], fold=self._site.contract.fold_keys)
            if key:
                gone = deleted is not None and _holds(deleted.op, row[2], deleted.values)
                hints.append(Hint(log.stream, key, deleted=gone))
        return hints, end

    def _answer(self, session: OdbcSession, ask: Ask) -> str | None:
        table = self._site.tables.get(ask.table)
        column = table.columns.get(ask.column) if table is not None else None
        if table is None or column is None:
            return None
        where = tested(ask.where, table, "b")
        sql = f"SELECT TOP 1 b.{column.real} FROM {table.real} b{where}"
        rows = session.rows(sql, params=where.params)
        return None if not rows or rows[0][0] is None else str(rows[0][0])


def wall_time(said: str) -> datetime:
    """What a server's clock says, as wall time; an offset some drivers append is not the zone."""
    return datetime.fromisoformat(said.strip()).replace(tzinfo=None)


def _mark_of(value: object) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    if text.lstrip("-").isdigit():
        return int(text)
    since = wall_time(text) - _EPOCH
    return since.days * 86_400_000_000 + since.seconds * 1_000_000 + since.microseconds


def _moment_of(mark: int) -> datetime:
    seconds, micros = divmod(mark, 1_000_000)
    at = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return at.replace(microsecond=micros)


def _holds(op: Op, value: object, values: tuple[int | str, ...]) -> bool:
    said = {str(v).strip().lower() for v in values}
    text = "" if value is None else str(value).strip().lower()
    if op is Op.NE:
        return text not in said
    return text in said
