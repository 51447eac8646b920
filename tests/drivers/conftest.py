"""A small practice, three times: MyISAM and InnoDB on one real MariaDB, and the sample's SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.practice.schema import sqlite_ddl, sqlite_indexes
from agent.sandbox.practice.tables import tables_of
from drivers.base import TableReader, TableSource
from drivers.opendental.session import Login
from drivers.opendental.source import OpenDentalSource
from drivers.opendental.streams import known_tables
from drivers.sample.source import SampleSource
from tests.support.mariadb import MariaDb
from tests.support.odschema import SEEDS, load_schema

USER = "reader"
PASSWORD = "pencil-7"


class Practice:
    """The office's side: writes rows as Open Dental would, and hands out sources that read them."""

    kind = ""

    def run(self, *statements: str) -> None:
        raise NotImplementedError

    def source(self) -> TableSource:
        raise NotImplementedError

    def reader(self, *, everything: bool = True) -> TableReader:
        """A reader with every stream bound to every column it could have."""
        source = self.source()
        facts = source.probe()
        for stream, found in facts.streams.items():
            if found.readable and everything:
                source.bind(stream, all_columns(facts, stream))
        reader = source.open()
        assert isinstance(reader, TableReader)
        return reader


class ServerPractice(Practice):
    def __init__(self, server: MariaDb, database: str, engine: str) -> None:
        self.kind = engine.lower()
        self.server = server
        self.database = database
        self.engine = engine

    def run(self, *statements: str) -> None:
        link = self.server.connect(self.database)
        with link.cursor() as cursor:
            for statement in ("SET time_zone='+00:00'", *statements):
                cursor.execute(statement)
        link.close()

    def login(self, **changed: Any) -> Login:
        fields: dict[str, Any] = {
            "port": self.server.port,
            "database": self.database,
            "user": USER,
            "password": PASSWORD,
        }
        return Login(**{**fields, **changed})

    def source(self) -> OpenDentalSource:
        return OpenDentalSource(self.login(), statement_limit_ms=1000, zone="America/Chicago")


class FilePractice(Practice):
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.link = sqlite3.connect(path, isolation_level=None)
        self.link.execute("PRAGMA journal_mode=WAL")
        for shape in tables_of("21.1.9"):
            self.link.execute(sqlite_ddl(shape, "21.1.9"))
            for statement in sqlite_indexes(shape, "21.1.9"):
                self.link.execute(statement)
        self.run(*SEEDS)

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.link.execute(statement)

    def source(self) -> SampleSource:
        return SampleSource(self.path, statement_limit_ms=1000)


def all_columns(facts: Any, stream: Any) -> list[Any]:
    """Every column the driver could attach, the key and the stamps left out as the map does."""
    from agent.model.reading import Column
    from drivers.opendental.streams import STREAMS, Join

    spec = STREAMS[stream]
    stamps = {"DateTStamp", "SecDateTEdit"}
    own = [
        Column(spec.table, name)
        for name in facts.tables[spec.table].columns
        if name != spec.key and name not in stamps and not _pseudo(facts, spec.table, name)
    ]
    for hung in spec.attached:
        table = facts.tables.get(hung.table)
        if table is None:
            continue
        if hung.join is Join.MANY:
            own.append(Column(hung.alias, hung.pseudo))
        else:
            own += [
                Column(hung.alias, name)
                for name in table.columns
                if name not in stamps and not _pseudo(facts, hung.table, name)
            ]
    return own


def _pseudo(facts: Any, table: str, name: str) -> bool:
    return bool(facts.tables[table].columns[name] == "list")


@pytest.fixture(scope="session")
def server() -> Iterator[MariaDb]:
    # A server that lives in another zone than UTC, as the office's does.
    options = ("--max-allowed-packet=4M", "--default-time-zone=-07:00")
    with MariaDb(options=options) as running:
        link = running.connect()
        with link.cursor() as cursor:
            cursor.execute(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute(f"CREATE USER '{USER}'@'localhost' IDENTIFIED BY '{PASSWORD}'")
        link.close()
        yield running


def make_practice(server: MariaDb, database: str, engine: str, *, later: bool) -> ServerPractice:
    load_schema(server, database, engine=engine, later=later, tables=known_tables())
    link = server.connect()
    with link.cursor() as cursor:
        for host in ("%", "localhost"):
            cursor.execute(f"GRANT SELECT ON `{database}`.* TO '{USER}'@'{host}'")
    link.close()
    return ServerPractice(server, database, engine)


@pytest.fixture(scope="session")
def myisam(server: MariaDb) -> ServerPractice:
    return make_practice(server, "od_m", "MyISAM", later=False)


@pytest.fixture(scope="session")
def innodb(server: MariaDb) -> ServerPractice:
    return make_practice(server, "od_i", "InnoDB", later=True)


KINDS = [
    pytest.param("myisam", marks=pytest.mark.mariadb),
    pytest.param("innodb", marks=pytest.mark.mariadb),
    "sqlite",
]

CLEARED = (
    "patient", "patientnote", "commoptout", "patfield", "patientlink", "refattach", "referral",
    "appointment", "apptfield", "schedule", "scheduleop", "recall", "procedurelog", "claim",
    "claimproc", "insplan", "carrier", "inssub", "patplan", "payment", "paysplit", "adjustment",
    "commlog", "procnote", "perioexam", "periomeasure", "labcase", "clinic", "histappointment",
    "securitylog", "signalod",
)  # fmt: skip


@pytest.fixture(params=KINDS)
def practice(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Practice]:
    """An empty practice of each kind, with the vendor's reference rows."""
    if request.param == "sqlite":
        made: Practice = FilePractice(tmp_path / "practice.db")
    else:
        made = request.getfixturevalue(request.param)
        made.run(*(f"DELETE FROM {table}" for table in CLEARED))
        made.run("UPDATE preference SET ValueString='1' WHERE PrefName='EasyNoClinics'")
    yield made
    if isinstance(made, FilePractice):
        made.link.close()
