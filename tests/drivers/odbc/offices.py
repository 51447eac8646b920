"""The mini practice on an engine: rows written by the vendor's own client, read over ODBC."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from agent.model.reading import Column, SourceFacts
from agent.model.streams import Stream
from drivers.layout import Join
from drivers.odbc.contract import Contract
from drivers.odbc.login import OdbcLogin
from drivers.odbc.reader import OdbcReader
from drivers.odbc.session import Limits
from drivers.odbc.source import OdbcSource
from tests.drivers.odbc.layouts import (
    EMPTIED,
    OWNER,
    PASSWORD,
    PLAIN,
    READER,
    TABLES,
    ZONE,
    native,
    number,
    tables,
)
from tests.support.servers import Postgres, Virtuoso, driver

LIMITS = Limits(page_s=5.0, digest_s=5.0, probe_s=10.0, grace_s=3.0)


class Office:
    """The office's side. ``p``: owner and dot, before every table of a statement."""

    engine = ""
    p = f"{OWNER}."

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.readers: list[OdbcReader] = []

    def run(self, *statements: str) -> None:
        raise NotImplementedError

    def login(self, **changed: Any) -> OdbcLogin:
        raise NotImplementedError

    def source(self, *, limits: Limits = LIMITS, **changed: Any) -> OdbcSource:
        return OdbcSource(self.contract, self.login(**changed), zone=ZONE, limits=limits)

    def reader(self, **changed: Any) -> OdbcReader:
        """A reader with every stream bound to every column it could have."""
        source = self.source(**changed)
        bind_all(source, source.probe())
        reader = source.open()
        assert isinstance(reader, OdbcReader)
        self.readers.append(reader)
        return reader

    def close_readers(self) -> None:
        while self.readers:
            self.readers.pop().close()

    # -- what people at the office do -----------------------------------------------------------

    def empty(self) -> None:
        self.run(*(f"DELETE FROM {self.p}{table}" for table in EMPTIED))

    def key(self, patient: int) -> int:
        return number(self.contract, patient)

    def register(self, *patients: int) -> None:
        for patient in patients:
            stamp = ", '2026-05-01 10:00:00'" if self.contract is PLAIN else ""
            self.run(
                f"INSERT INTO {self.p}person VALUES ({self._id(patient)}, 'Ohm {patient}',"
                f" {self._date('1980-02-29')}, 12.50, 1{self._stamp(stamp)})"
            )

    def book(
        self,
        *visits: int,
        patient: int | None = 1,
        at: str = "2031-03-09 10:30:00",
        stamp: str = "2026-05-01 10:00:00",
    ) -> None:
        who = "NULL" if patient is None else self._id(patient)
        stamped = self._stamp(f", '{stamp}'") if self.contract is PLAIN else ""
        self.run(
            *(
                f"INSERT INTO {self.p}visit VALUES ({visit}, {who}, {self._moment(at)}, 'OP-1',"
                f" 'visit'{stamped})"
                for visit in visits
            )
        )

    def plan(self, visit: int, *steps: int) -> None:
        self.run(
            *(
                f"INSERT INTO {self.p}step VALUES ({step}, {visit}, 'D{step}', {step}.50)"
                for step in steps
            )
        )

    def note(self, visit: int, text: str | None) -> None:
        said = "NULL" if text is None else f"'{text}'"
        self.run(f"UPDATE {self.p}visit SET note={said} WHERE vid={visit}")

    def _id(self, patient: int) -> str:
        found = native(self.contract, patient)
        return str(found) if isinstance(found, int) else f"'{found}'"

    def _stamp(self, text: str) -> str:
        return text

    def _date(self, day: str) -> str:
        return f"'{day}'"

    def _moment(self, at: str) -> str:
        return f"'{at}'"


class PostgresOffice(Office):
    engine = "postgres"

    def __init__(self, server: Postgres, contract: Contract) -> None:
        super().__init__(contract)
        self.server = server
        self.database = contract.kind
        server.run(f"CREATE DATABASE {self.database}")
        self.run(
            f"CREATE SCHEMA {OWNER}",
            *tables(self.engine, contract, self.p),
            f"GRANT USAGE ON SCHEMA {OWNER} TO {READER}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {OWNER} TO {READER}",
        )

    def run(self, *statements: str) -> None:
        self.server.run(*statements, database=self.database)

    def login(self, **changed: Any) -> OdbcLogin:
        reach = {name: changed.pop(name) for name in ("host", "port") if name in changed}
        password = changed.pop("password", PASSWORD)
        user = changed.pop("user", READER)
        return OdbcLogin(
            connection=self.server.connection(user, password, self.database, **reach),
            login_timeout_s=3.0,
            **changed,
        )


class VirtuosoOffice(Office):
    engine = "virtuoso"

    def __init__(self, server: Virtuoso, contract: Contract) -> None:
        super().__init__(contract)
        self.server = server
        # Each layout has an owner of its own: one server, one database.
        self.owner = f"{OWNER}_{contract.kind}"
        self.reader_name = f"{READER}_{contract.kind}"
        self.p = f"DB.{self.owner}."
        server.run(
            f"DB.DBA.USER_CREATE('{self.owner}', '{PASSWORD}', vector('SQL_ENABLE', 1))",
            f"DB.DBA.USER_CREATE('{self.reader_name}', '{PASSWORD}', vector('SQL_ENABLE', 1))",
            *tables(self.engine, contract, self.p),
            *(f"GRANT SELECT ON {self.p}{table} TO {self.reader_name}" for table in TABLES),
        )

    def run(self, *statements: str) -> None:
        self.server.run(*statements)

    def login(self, **changed: Any) -> OdbcLogin:
        reach = {name: changed.pop(name) for name in ("host", "port") if name in changed}
        password = changed.pop("password", PASSWORD)
        return OdbcLogin(
            connection=self.server.connection(self.reader_name, password, **reach),
            encoding="utf-8",
            login_timeout_s=3.0,
            **changed,
        )

    def source(self, *, limits: Limits = LIMITS, **changed: Any) -> OdbcSource:
        import msgspec

        own = msgspec.structs.replace(self.contract, owners=(self.owner,))
        return OdbcSource(own, self.login(**changed), zone=ZONE, limits=limits)

    def _date(self, day: str) -> str:
        return f"stringdate('{day}')"

    def _moment(self, at: str) -> str:
        return f"stringdate('{at}')"

    def _stamp(self, text: str) -> str:
        return f", stringdate({text[2:]})" if text else ""


class FileOffice(Office):
    """No server: the smoke. SQLite's types and SQLSTATEs say little."""

    engine = "sqlite"
    p = ""

    def __init__(self, path: Path, contract: Contract) -> None:
        super().__init__(contract)
        self.path = path
        self.link = sqlite3.connect(path, isolation_level=None)
        self.run(*tables(self.engine, contract, ""))

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.link.execute(statement)

    def login(self, **changed: Any) -> OdbcLogin:
        library = driver("libsqlite3odbc.so")
        return OdbcLogin(
            connection=f"DRIVER={library};DATABASE={self.path};Timeout=2000", **changed
        )


def bind_all(source: OdbcSource, facts: SourceFacts) -> None:
    for stream, found in facts.streams.items():
        if found.readable:
            source.bind(stream, every_column(source, stream))


def every_column(source: OdbcSource, stream: Stream) -> list[Column]:
    """Every column the driver could attach, keys and stamps left out as the map does."""
    decl = source.contract.streams[stream]
    live = source.site.tables
    base = live[decl.table]
    stamps = {lane.stamp for lane in decl.lanes}
    found = [
        Column(decl.table, name)
        for name in base.columns
        if name not in base.key and name not in stamps
    ]
    for hung in decl.attached:
        if hung.table not in live:
            continue
        if hung.join is Join.MANY:
            found.append(Column(hung.alias, hung.pseudo))
        else:
            found += [Column(hung.alias, n) for n in live[hung.table].columns if n not in stamps]
    return found
