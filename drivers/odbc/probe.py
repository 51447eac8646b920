"""Hold a contract against a live database: which places, columns, keys, rights are really there.

Everything a site can differ in is asked and recorded; nothing is assumed. Reads only; the largest
statements are one COUNT(*) a table and one MAX of its stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from agent.errors import PmsDrift, PmsError, PmsRefused, PmsSetup, PmsUnavailable
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream
from drivers.base import Effort, RowTrouble
from drivers.odbc.contract import Certainty, Contract, Kind, Place, TableDecl
from drivers.odbc.observe import wall_time
from drivers.odbc.session import Door, OdbcSession
from drivers.odbc.site import LiveColumn, LiveTable, Site
from drivers.odbc.spelling import RowLimit
from drivers.odbc.statements import TEXT_OF_MONEY, moment

TYPE_WORDS: dict[int, str] = {
    **dict.fromkeys((1, 12, -1, -8, -9, -10, -11), "varchar"),
    **dict.fromkeys((4, 5, -5, -6), "bigint"),
    **dict.fromkeys((2, 3), "decimal"),
    **dict.fromkeys((6, 7, 8), "double"),
    **dict.fromkeys((9, 91), "date"),
    **dict.fromkeys((10, 92), "time"),
    **dict.fromkeys((11, 93), "datetime"),
    -7: "bit",
    **dict.fromkeys((-2, -3, -4), "blob"),
}
"""SQL type numbers (ODBC 2 and 3) -> words of the data map. 9 and 10, 11 are ODBC 2's dates."""

_PYTHON_WORDS = {
    "str": "varchar", "int": "bigint", "Decimal": "decimal", "float": "double", "date": "date",
    "datetime": "datetime", "time": "time", "bool": "bit", "bytes": "blob", "bytearray": "blob",
}  # fmt: skip

_Fact = str | int | float | None


def probe_site(session: OdbcSession, door: Door, contract: Contract) -> Site:
    """Raises the Pms errors; what is odd but workable comes back as findings."""
    return _Probe(session, door, contract).run()


class _Probe:
    def __init__(self, session: OdbcSession, door: Door, contract: Contract) -> None:
        self._session = session
        self._door = door
        self._contract = contract
        self._findings: list[Finding] = []
        self._owner = ""

    def run(self) -> Site:
        server = self._session.connect()
        self._check_engine(server.dbms)
        for code in server.left_out:
            self._find(code, Severity.NOTE)
        self._owner = self._find_owner()
        self._door.row_limit = RowLimit.TOP
        tables = {}
        for decl in self._contract.tables:
            live = self._table(decl)
            if live is not None:
                tables[decl.name] = live
        if not tables:
            denied = [f for f in self._findings if f.code == "pms.right_missing"]
            if denied:
                raise PmsRefused("pms.right_missing", table=denied[0].facts["table"])
            raise PmsDrift("pms.not_this_kind", kind=self._contract.kind)
        readable = tuple(
            stream for stream, decl in self._contract.streams.items()
            if decl.table in tables and not self._lacks_strict(stream, tables)
        )  # fmt: skip
        return Site(
            contract=self._contract,
            server=server,
            tables=tables,
            readable=readable,
            owner=self._owner,
            clock_sql=self._find_clock(tables),
            hashes=self._try_hash(tables),
            money_as_text=self._has_wrong_decimals(tables),
            unordered=frozenset(self._unordered(tables)),
            findings=tuple(self._findings),
        )

    def _check_engine(self, dbms: str) -> None:
        known = self._contract.engines
        if known and not any(part.lower() in dbms.lower() for part in known):
            self._find("pms.engine_unexpected", Severity.NOTE, engine=dbms)

    def _find_owner(self) -> str:
        """The schema of the first table any owner has; "" where the server wants none."""
        first = self._contract.tables[0]
        for place in _places(first):
            for owner in self._contract.owners:
                if self._columns(owner, place.table):
                    return owner
            for row in self._session.catalogue("tables", place.table).rows:
                # TABLE_CAT, TABLE_SCHEM, TABLE_NAME, ...
                if str(row[2]).lower() == place.table.lower():
                    return str(row[1] or "")
        return ""

    def _table(self, decl: TableDecl) -> LiveTable | None:
        refused: PmsRefused | None = None
        for place in _places(decl):
            real = f"{self._owner}.{place.table}" if self._owner else place.table
            try:
                found = self._columns(self._owner, place.table) or self._shape(real)
                columns = self._matched(decl, place, found)
                if columns is None:
                    continue
                return self._live(decl, place, real, columns)
            except PmsRefused as error:
                if error.code != "pms.right_missing":
                    raise
                refused = error
            except (PmsUnavailable, PmsSetup):
                raise
            except PmsError:  # not there, or not to be read, in one server's words or another's
                continue
        if refused is not None:
            self._find("pms.right_missing", Severity.ERROR, table=decl.name)
        else:
            streams = [s for s, d in self._contract.streams.items() if d.table == decl.name]
            severity = Severity.WARNING if streams else Severity.NOTE
            self._find("pms.table_missing", severity, table=decl.name,
                       stream=", ".join(streams))  # fmt: skip
        return None

    def _live(
        self, decl: TableDecl, place: Place, real: str, columns: dict[str, LiveColumn]
    ) -> LiveTable:
        """Raises PmsRefused or PmsDrift when it cannot be read after all."""
        named = columns[decl.key[0]].real if decl.key else next(iter(columns.values())).real
        self._look(f"SELECT TOP 1 {named} FROM {real}")
        counted = self._session.rows(f"SELECT COUNT(*) FROM {real}", Effort.PROBE)
        by_real = {column.real.lower(): name for name, column in columns.items()}
        leads = frozenset(by_real[n] for n in self._leads(place.table) if n in by_real)
        return LiveTable(decl.name, real, decl.key, columns, leads, int(counted[0][0] or 0))

    def _look(self, sql: str) -> None:
        """The first statement with a limit also finds out how the server spells one."""
        if self._door.row_limit is not RowLimit.TOP:
            self._session.rows(sql, Effort.PROBE)
            return
        for how in (RowLimit.TOP, RowLimit.LIMIT, RowLimit.FETCH):
            self._door.row_limit = how
            try:
                self._session.rows(sql, Effort.PROBE)
            except (PmsRefused, RowTrouble):
                self._door.row_limit = RowLimit.TOP
                raise
            except PmsError:
                if how is RowLimit.FETCH:
                    self._door.row_limit = RowLimit.TOP
                    raise
                continue
            if how is not RowLimit.TOP:
                self._find("pms.row_limit", Severity.NOTE, spelled=how.value)
            return

    def _columns(self, owner: str, table: str) -> dict[str, str]:
        """Real name -> type word, by the catalogue; empty when the table is not there or hidden."""
        for spelling in dict.fromkeys((table, table.upper(), table.lower())):
            told = self._session.catalogue("columns", spelling, owner).rows
            found = {
                str(row[3]): TYPE_WORDS.get(int(row[4] or 0), "other")
                for row in told
                if str(row[2]).lower() == table.lower()
                and (not owner or str(row[1] or "").lower() == owner.lower())
            }
            if found:
                return found
        return {}

    def _shape(self, real: str) -> dict[str, str]:
        """The same from an empty result: works with any driver. Raises PmsDrift, PmsRefused."""
        told = self._session.catalogue("shape", real).rows
        return {str(name): _PYTHON_WORDS.get(str(kind), "other") for name, kind in told}

    def _matched(
        self, decl: TableDecl, place: Place, found: Mapping[str, str]
    ) -> dict[str, LiveColumn] | None:
        """Declared columns by logical name; None when a required one is not there."""
        live = {real.lower(): (real, word) for real, word in found.items()}
        columns = {}
        lacking = []
        for column in decl.columns:
            here = live.get(place.real(column.name).lower())
            if here is not None and column.name not in place.lacks:
                columns[column.name] = LiveColumn(here[0], here[1], column.kind)
                continue
            needed = column.certainty is Certainty.REQUIRED or column.name in decl.key
            if needed:
                self._find("pms.column_required", Severity.WARNING, table=decl.name,
                           place=place.table, column=column.name)  # fmt: skip
                return None
            lacking.append(column)
        for column in lacking:
            unverified = column.certainty is Certainty.UNVERIFIED
            code = "pms.column_unverified" if unverified else "pms.column_absent"
            self._find(code, Severity.NOTE, table=decl.name, column=column.name)
        return columns

    def _leads(self, table: str) -> set[str]:
        """Columns that lead an index, lower case; what a driver cannot tell is left out."""
        try:
            told = self._session.catalogue("indexes", table, self._owner)
        except (PmsError, RowTrouble):
            return set()
        places = {name.lower(): at for at, name in enumerate(told.names)}
        position, column = places.get("ordinal_position", 7), places.get("column_name", 8)
        return {
            str(row[column]).lower()
            for row in told.rows
            if len(row) > column and row[column] and str(row[position]) == "1"
        }

    def _lacks_strict(self, stream: Stream, tables: Mapping[str, LiveTable]) -> bool:
        decl = self._contract.streams[stream]
        return any(
            test.strict and test.column not in tables[decl.table].columns for test in decl.where
        )

    def _find_clock(self, tables: Mapping[str, LiveTable]) -> str:
        """A statement that tells the server's time, or "" (this computer's is taken then)."""
        smallest = min(
            (table for table in tables.values() if table.rows), key=lambda t: t.rows, default=None
        )
        tried = list(self._contract.clock)
        if smallest is not None:
            tried.append(f"SELECT TOP 1 {{fn NOW()}} FROM {smallest.real}")
        for sql in tried:
            told = self._tried(lambda sql=sql: self._session.rows(sql, Effort.PROBE))  # type: ignore[misc]
            if told and told[0][0] is not None:
                return sql
        self._find("pms.clock_unknown", Severity.WARNING)
        return ""

    def _try_hash(self, tables: Mapping[str, LiveTable]) -> bool:
        """Does the server hash text as it should? MD5 of "abc", RFC 1321."""
        how = self._contract.server_hash
        table = next((table for table in tables.values() if table.rows), None)
        if how is None or table is None:
            return False
        asked = how.template.replace("{text}", f"'a'{how.concat}'bc'")
        told = self._tried(
            lambda: self._session.rows(f"SELECT TOP 1 {asked} FROM {table.real}", Effort.PROBE)
        )
        right = bool(told) and str(told[0][0]).lower() == "900150983cd24fb0d6963f7d28e17f72"
        self._find("pms.server_hash" if right else "pms.no_server_hash", Severity.NOTE)
        return right

    def _has_wrong_decimals(self, tables: Mapping[str, LiveTable]) -> bool:
        """The canary: one amount, once as the driver reads DECIMAL and once as the server's text.

        A driver with a weak SQL_NUMERIC path gives wrong money without any error.
        """
        for table in tables.values():
            for name, column in table.columns.items():
                if column.kind is not Kind.MONEY or column.sql_type != "decimal":
                    continue
                text = TEXT_OF_MONEY.replace("{value}", column.real)
                sql = f"SELECT TOP 1 {column.real},{text} FROM {table.real} WHERE {column.real}<>0"
                told = self._tried(lambda sql=sql: self._session.rows(sql, Effort.PROBE))  # type: ignore[misc]
                if not told or None in told[0]:
                    continue
                if same_amount(str(told[0][0]), str(told[0][1])):
                    return False
                self._find("pms.decimals_by_text", Severity.WARNING, table=table.name, column=name)
                return True
        return False

    def _unordered(self, tables: Mapping[str, LiveTable]) -> Iterator[str]:
        """Tables with stamps that no moment can be compared to: a server that keeps some of them
        with a zone compares them otherwise than it shows them."""
        lanes = {
            (lane.table, lane.stamp)
            for decl in self._contract.streams.values()
            for lane in decl.lanes
        }
        for name, stamp in sorted(lanes):
            if name in tables and stamp in tables[name].columns:
                found = self._after_the_newest(tables[name].real, tables[name].columns[stamp].real)
                if found:
                    self._find("pms.stamps_unordered", Severity.WARNING, table=name)
                    yield name

    def _after_the_newest(self, table: str, column: str) -> bool:
        """Whether a row is said to be stamped after the newest stamp; also where that is none."""
        newest = f"SELECT MAX({column}) FROM {table}"
        said = self._tried(lambda: self._session.rows(newest, Effort.PROBE))
        if not said or said[0][0] is None:
            return False
        try:
            after = moment(wall_time(str(said[0][0])) + timedelta(seconds=1))
        except (ValueError, OverflowError):
            return True
        later = f"SELECT TOP 1 {column} FROM {table} WHERE {column}>=?"
        return bool(self._tried(lambda: self._session.rows(later, Effort.PROBE, [after])))

    @staticmethod
    def _tried(ask: Callable[[], list[tuple[object, ...]]]) -> list[tuple[object, ...]]:
        try:
            return ask()
        except (PmsError, RowTrouble):
            return []

    def _find(self, code: str, severity: Severity, **facts: _Fact) -> None:
        kept: dict[str, _Fact] = {
            name: value for name, value in facts.items() if value not in {None, ""}
        }
        self._findings.append(Finding(code, severity, kept))


def same_amount(driver: str, server: str) -> bool:
    try:
        return Decimal(driver.strip()) == Decimal(server.strip())
    except ArithmeticError:
        return False


def _places(decl: TableDecl) -> tuple[Place, ...]:
    return decl.places or (Place(decl.name),)
