"""One MariaDB for the whole package, with the same small practice on MyISAM and on InnoDB."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.practice.create import MariaDbStore, PracticePlan, create_practice
from agent.sandbox.practice.schema import Engine
from agent.sandbox.practice.tables import tables_of
from drivers.opendental.streams import known_tables
from tests.support.mariadb import MariaDb
from tests.support.odschema import _only, dump_path
from tests.sync.rig import PASSWORD, READER, SEER, ZONE, Office, Site

PATIENTS = 24


def needed_tables(folder: Path) -> Path | None:
    """The vendor's dump with the tables that are read or filled; None on a machine without it."""
    dump = dump_path()
    if dump is None:
        return None
    wanted = {*known_tables(), *(shape.name for shape in tables_of("21.1.9"))}
    with gzip.open(dump) as packed:
        (folder / "dump.sql").write_bytes(_only(packed.read(), wanted))
    return folder / "dump.sql"


def furnish(server: MariaDb, database: str, engine: str, dump: Path | None) -> Office:
    store = MariaDbStore(
        host="127.0.0.1", port=server.port, user="root", password="", database=database,
        engine=Engine(engine),
    )  # fmt: skip
    plan = PracticePlan(patients=PATIENTS, years=1, seed=11, clinics=2, zone=ZONE, schema_dump=dump)
    create_practice(store, plan)
    # A year of chair hours would be most of every load.
    store.run("DELETE FROM schedule WHERE ABS(DATEDIFF(SchedDate,CURDATE()))>7")
    store.run("DELETE o FROM scheduleop o LEFT JOIN schedule s USING (ScheduleNum)"
              " WHERE s.ScheduleNum IS NULL")  # fmt: skip
    store.run(f"GRANT SELECT ON `{database}`.* TO '{READER}'@'%','{SEER}'@'%'")
    store.close()
    return Office(server, database, engine)


@pytest.fixture(scope="package")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Office]]:
    with MariaDb(options=("--max-allowed-packet=4M",)) as server:
        link = server.connect()
        with link.cursor() as cursor:
            for name in (READER, SEER):
                cursor.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{PASSWORD}'")
                cursor.execute(f"CREATE USER '{name}'@'localhost' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute(f"GRANT PROCESS ON *.* TO '{SEER}'@'%','{SEER}'@'localhost'")
        link.close()
        dump = needed_tables(tmp_path_factory.mktemp("dump"))
        made = {
            "MyISAM": furnish(server, "od_m", "MyISAM", dump),
            "InnoDB": furnish(server, "od_i", "InnoDB", dump),
        }
        yield made
        for office in made.values():
            office.close()


@pytest.fixture(params=["MyISAM", "InnoDB"])
def office(request: pytest.FixtureRequest, offices: dict[str, Office]) -> Iterator[Office]:
    found = offices[request.param]
    found.shift_s = 0.0
    yield found
    found.run("UNLOCK TABLES")


@pytest.fixture
def open_site(office: Office, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """``open_site(*streams, **options)``: an agent that knows nothing yet, or what ``folder``
    holds; closed with the test."""
    opened: list[Site] = []

    def build(*streams: Any, folder: Path | None = None, **options: Any) -> Site:
        opened.append(Site(office, folder or tmp_path / f"site{len(opened)}", *streams, **options))
        return opened[-1]

    yield build
    for site in opened:
        if not site.journal._closed:
            site.close()
