"""One ODBC connection inside the child: runs what it is asked and turns it into replies.

The only import of pyodbc. Facts about drivers (decimals, pooling, time-outs, encodings): measured
here on psqlodbc, Virtuoso, MariaDB and SQLite, and pyodbc's own issues.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from drivers.odbc import wire
from drivers.odbc.login import redacted
from drivers.odbc.page import Assembly, found
from drivers.odbc.values import text_of

FETCH_ROWS = 200
PART_ROWS = 400  # each part wakes the parent
MAX_TEXT = 2000
_NATIVE = re.compile(r"\((-?\d+)\)")
_STATE = re.compile(r"^[A-Z0-9]{5}$")
_VALUE_ERRORS = (ValueError, OverflowError, ArithmeticError, TypeError)  # decimal's too


class Trouble(Exception):
    """A request that failed, as it is sent."""

    def __init__(self, failed: wire.Failed) -> None:
        self.failed = failed
        super().__init__(failed.state or failed.kind)


class Link:
    """Not thread-safe; a driver may abort the process when two threads use one connection.

    ``tell``: takes the parts of a page as they are ready; without it a reply is always whole.
    """

    def __init__(self, tell: Callable[[wire.Records], None] | None = None) -> None:
        self._tell = tell
        self._connection: Any = None
        self._pyodbc: Any = None
        self._limits_statements = True

    def answer(self, request: wire.Request) -> wire.Reply:
        """Raises Trouble."""
        match request:
            case wire.Open():
                return self._open(request)
            case wire.Query():
                return self._query(request)
            case wire.Fetch():
                return self._fetch(request)
            case wire.Keys():
                return self._keys(request)
            case wire.Catalogue():
                return self._catalogue(request)
            case wire.Act():
                return self._act(request)

    # -- connecting -----------------------------------------------------------------------------

    def _open(self, wanted: wire.Open) -> wire.Opened:
        try:
            import pyodbc
        except ImportError as error:
            text = redacted(str(error))[:MAX_TEXT]
            raise Trouble(wire.Failed("import", text=text, kind="ImportError")) from None
        self._pyodbc = pyodbc
        pyodbc.pooling = False  # a pooled connection comes back dead, or with another's options
        with self._said("connect"):
            self._connection = pyodbc.connect(
                wanted.connection,
                autocommit=True,  # an idle reader holds no transaction open
                timeout=wanted.login_timeout_s,
                readonly=wanted.reads_only,  # a hint; rights are the real guard
            )
        self._prepare(wanted)
        left_out = []
        for sql, needed, code in wanted.settings:
            try:
                with self._said("setting"):
                    self._connection.execute(sql).close()
            except Trouble:
                if needed:
                    raise
                left_out.append(code or "pms.setting_unknown")
        return self._told(tuple(left_out))

    def _prepare(self, wanted: wire.Open) -> None:
        link, odbc = self._connection, self._pyodbc
        if hasattr(link, "decimal_mode"):
            link.decimal_mode = "text"  # a weak SQL_NUMERIC path gives wrong money without an error
        if wanted.encoding:
            link.setdecoding(odbc.SQL_CHAR, encoding=wanted.encoding, ctype=odbc.SQL_CHAR)
            link.setdecoding(odbc.SQL_WCHAR, encoding=wanted.encoding, ctype=odbc.SQL_CHAR)
            link.setencoding(encoding=wanted.encoding, ctype=odbc.SQL_CHAR)
        if wanted.isolation:
            # Refused by some drivers (one offers two levels of four): the default then stays.
            with contextlib.suppress(odbc.Error):
                link.set_attr(odbc.SQL_ATTR_TXN_ISOLATION, wanted.isolation)

    def _told(self, left_out: tuple[str, ...]) -> wire.Opened:
        odbc = self._pyodbc
        return wire.Opened(
            dbms=self._info(odbc.SQL_DBMS_NAME),
            dbms_version=self._info(odbc.SQL_DBMS_VER),
            driver=self._info(odbc.SQL_DRIVER_NAME),
            driver_version=self._info(odbc.SQL_DRIVER_VER),
            odbc_version=self._info(odbc.SQL_DRIVER_ODBC_VER),
            database=self._info(odbc.SQL_DATABASE_NAME),
            server=self._info(odbc.SQL_SERVER_NAME),
            user=self._info(odbc.SQL_USER_NAME),
            left_out=left_out,
            bits=struct.calcsize("P") * 8,
            python=sys.version.split()[0],
            protocol=wire.PROTOCOL,
        )

    def _info(self, what: int) -> str:
        try:
            return str(self._connection.getinfo(what)).replace("\0", "").strip()
        except (self._pyodbc.Error, UnicodeError, *_VALUE_ERRORS):
            return ""

    # -- reading --------------------------------------------------------------------------------

    def _query(self, wanted: wire.Query) -> wire.Rows:
        with self._executed(wanted.sql, wanted.params, wanted.timeout_s) as cursor:
            described = cursor.description or ()
            rows = self._fetched(cursor, wanted.limit) if described else []
        with self._said("value"):
            told = [tuple(map(text_of, row)) for row in rows]
        names = tuple(str(column[0]) for column in described)
        return wire.Rows(told, names, tuple(column[1].__name__ for column in described))

    def _fetch(self, wanted: wire.Fetch) -> wire.Reply:
        assembly = Assembly(wanted)
        with self._executed(wanted.sql, wanted.params, wanted.timeout_s) as cursor:
            for rows in self._pieces(cursor, wanted.limit):
                with self._said("value"):
                    assembly.take(rows)
                    part = assembly.part(PART_ROWS) if self._tell is not None else None
                if self._tell is not None and part is not None:
                    self._tell(part)
        for gather, sql, params in assembly.asks():
            with self._executed(sql, params, wanted.timeout_s) as cursor:
                hung = self._fetched(cursor, 0)
            with self._said("value"):
                assembly.hang(gather, hung)
        with self._said("value"):
            return assembly.reply()

    def _keys(self, wanted: wire.Keys) -> wire.Reply:
        with self._executed(wanted.sql, wanted.params, wanted.timeout_s) as cursor:
            rows = self._fetched(cursor, wanted.limit)
        with self._said("value"):
            return found(wanted, rows)

    def _catalogue(self, wanted: wire.Catalogue) -> wire.Rows:
        schema = wanted.schema or None
        table = wanted.table or None
        with self._said("execute"):
            cursor = self._connection.cursor()
        with contextlib.closing(cursor), self._said("execute"):
            match wanted.what:
                case "tables":
                    cursor.tables(table=table, schema=schema)
                case "columns":
                    cursor.columns(table=table, schema=schema)
                case "keys":
                    cursor.primaryKeys(table=wanted.table, schema=schema)
                case "indexes":
                    cursor.statistics(table=wanted.table, schema=schema, unique=False, quick=True)
                case "procedures":
                    cursor.procedures(procedure=table, schema=schema)
                case _:
                    cursor.execute(f"SELECT * FROM {wanted.table} WHERE 1=0")
                    shape: list[tuple[wire.Cell, ...]] = [
                        (str(column[0]), column[1].__name__) for column in cursor.description
                    ]
                    return wire.Rows(shape, ("column_name", "type_name"))
            names = tuple(str(column[0]) for column in cursor.description)
            rows = self._fetched(cursor, 0)
        return wire.Rows([tuple(map(text_of, row)) for row in rows], names)

    @contextlib.contextmanager
    def _executed(self, sql: str, params: Sequence[wire.Param], timeout_s: int) -> Iterator[Any]:
        """A cursor with the statement run; closed at once, so that no result set stays open."""
        if self._connection is None:
            raise Trouble(wire.Failed("connect", "08003"))
        self._limit(timeout_s)
        with self._said("execute"):
            cursor = self._connection.cursor()
        try:
            with self._said("execute"):
                cursor.execute(sql, *map(_bound, params))
            yield cursor
        finally:
            with contextlib.suppress(self._pyodbc.Error):
                cursor.close()

    def _limit(self, timeout_s: int) -> None:
        """Ask the driver to limit the statement; the parent's watchdog does not rely on it."""
        if not timeout_s or not self._limits_statements:
            return
        try:
            if self._connection.timeout != timeout_s:
                self._connection.timeout = timeout_s
        except (self._pyodbc.Error, *_VALUE_ERRORS):
            self._limits_statements = False

    def _fetched(self, cursor: Any, limit: int) -> list[Sequence[Any]]:
        rows: list[Sequence[Any]] = []
        for some in self._pieces(cursor, limit):
            rows += some
        return rows

    def _pieces(self, cursor: Any, limit: int) -> Iterator[list[Sequence[Any]]]:
        """All rows, or the first ``limit``, a few at a time."""
        seen = 0
        while not limit or seen < limit:
            with self._said("fetch"):
                some = cursor.fetchmany(min(FETCH_ROWS, limit - seen) if limit else FETCH_ROWS)
            if not some:
                return
            seen += len(some)
            yield some

    # -- writing --------------------------------------------------------------------------------

    def _act(self, wanted: wire.Act) -> wire.Reply:
        link = self._connection
        if link is None:
            raise Trouble(wire.Failed("connect", "08003"))
        self._limit(wanted.timeout_s)
        touched: list[int] = []
        rows: list[tuple[wire.Cell, ...]] = []
        link.autocommit = False
        try:
            for at, (sql, params, expected) in enumerate(wanted.statements):
                with self._said("execute"):
                    cursor = link.execute(sql, *map(_bound, params))
                    count = cursor.rowcount
                    rows = (
                        [tuple(map(text_of, row)) for row in cursor.fetchall()]
                        if cursor.description
                        else []
                    )
                    cursor.close()
                touched.append(count)
                if expected >= 0 and count != expected:
                    with self._said("execute"):
                        link.rollback()
                    return wire.Undone(at, count)
            with self._said("commit"):
                link.commit()
        except Trouble:
            # A rollback may fail, or even succeed, on a link that is long dead.
            with contextlib.suppress(self._pyodbc.Error):
                link.rollback()
            raise
        finally:
            with contextlib.suppress(self._pyodbc.Error):
                link.autocommit = True
        return wire.Done(tuple(touched), rows)

    # -- errors ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _said(self, phase: str) -> Iterator[None]:
        """Whatever the driver or a value raises, as Trouble."""
        try:
            yield
        except self._pyodbc.Error as error:
            raise Trouble(failed(phase, error.args, type(error).__name__)) from None
        except (UnicodeError, *_VALUE_ERRORS) as error:
            # The text may quote the value: only its class leaves.
            raise Trouble(wire.Failed(phase, kind=type(error).__name__)) from None


def failed(phase: str, args: Sequence[object], kind: str) -> wire.Failed:
    """SQLSTATE and native number out of what pyodbc raised. Shapes: ``(state, message)`` from the
    driver, ``(message, "HY000")`` or ``(message,)`` from pyodbc itself."""
    texts = [str(part).replace("\0", "") for part in args]
    state = next((t for t in texts if _STATE.match(t) and any(c.isdigit() for c in t)), "")
    text = max(texts, key=len, default="")
    if args and texts[0] != state:
        state = ""  # pyodbc's own complaint, not the driver's
    numbers = _NATIVE.findall(text.split(" (SQL", maxsplit=1)[0]) or _NATIVE.findall(text)
    native = int(numbers[-1]) if numbers else 0
    return wire.Failed(phase, state, native, redacted(text)[:MAX_TEXT], kind)


def _bound(param: wire.Param) -> object:
    if isinstance(param, wire.Moment):
        moment = dt.datetime.fromisoformat(param.text)
        return moment.date() if param.date_only else moment
    if isinstance(param, wire.Money):
        return Decimal(param.text)
    return param
