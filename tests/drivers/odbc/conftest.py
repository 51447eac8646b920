"""Servers and mini practices for the ODBC tests; one of each per run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers.odbc.layouts import CODED, PASSWORD, PLAIN, READER
from tests.drivers.odbc.offices import FileOffice, Office, PostgresOffice, VirtuosoOffice
from tests.support.servers import Postgres, Virtuoso
from tests.support.sqlgate import Gate, gated


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        running.run(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
        yield running


@pytest.fixture(scope="session")
def virtuoso() -> Iterator[Virtuoso]:
    with Virtuoso() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_plain(postgres: Postgres) -> Office:
    return PostgresOffice(postgres, PLAIN)


@pytest.fixture(scope="session")
def postgres_coded(postgres: Postgres) -> Office:
    return PostgresOffice(postgres, CODED)


@pytest.fixture(scope="session")
def virtuoso_plain(virtuoso: Virtuoso) -> Office:
    return VirtuosoOffice(virtuoso, PLAIN)


@pytest.fixture(scope="session")
def virtuoso_coded(virtuoso: Virtuoso) -> Office:
    return VirtuosoOffice(virtuoso, CODED)


OFFICES = [
    "postgres_plain",
    "postgres_coded",
    "sqlite_plain",
    # Virtuoso reads both vendors' layouts in the usual run (tests/drivers/test_every_driver.py).
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("virtuoso_plain", "virtuoso_coded", "sqlite_coded")
    ),
]


@pytest.fixture(params=OFFICES)
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """An empty practice of each layout on each engine."""
    if request.param.startswith("sqlite"):
        made: Office = FileOffice(
            tmp_path / "office.db", PLAIN if request.param.endswith("plain") else CODED
        )
    else:
        made = request.getfixturevalue(request.param)
        made.empty()
    yield made
    made.close_readers()
    if isinstance(made, FileOffice):
        made.link.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Every statement of every test here passes the SQL gate."""
    with gated() as standing:
        yield standing
