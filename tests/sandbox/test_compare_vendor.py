"""The comparer of the vendors' layouts finds what differs: every field of every stream is broken.

The CRM's side is filled through the agent's own map and ODBC reader, so agreement is real; then one
value at a time is spoilt in the CRM, and the comparer must name it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.model.streams import Stream
from agent.sandbox.compare import Report
from agent.sandbox.compare.vendor_rules import code
from agent.sandbox.compare.vendor_walk import RULES_OF, compare_vendor
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.vendors.create import LAYOUTS, SITE_SAYS, create_vendor_practice
from agent.sandbox.practice.vendors.db import SqliteDb
from agent.sync.datamap import load_map
from drivers.odbc.keys import code_of_one
from drivers.registry import SourceSettings, make_source
from tests.support.servers import driver

ZONE = "America/New_York"
pytestmark = [pytest.mark.odbc, pytest.mark.xdist_group("odbc")]


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def sides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(layout, practice file, CRM file) that agree."""
    layout = str(request.param)
    folder = tmp_path_factory.mktemp(layout)
    practice, crm = folder / "practice.db", folder / "crm.db"
    with closing(SqliteDb(practice, LAYOUTS[layout].owner)) as db:
        create_vendor_practice(db, layout, PracticePlan(patients=40, years=1, seed=3))
    connection = f"DRIVER={driver('libsqlite3odbc.so')};DATABASE={practice};Timeout=2000"
    source = make_source(SourceSettings(kind=layout, odbc_connection=connection, zone=ZONE))
    values = dict(SITE_SAYS[layout])
    compiled = load_map(layout, None, values).compile(source.probe(), zone=ZONE)
    with closing(sqlite3.connect(crm)) as link:
        link.execute("CREATE TABLE records(type TEXT, key TEXT, state TEXT, data TEXT)")
        for stream, mapped in compiled.streams.items():
            source.bind(stream, mapped.columns)
        reader = source.open()
        for stream, mapped in compiled.streams.items():
            page = reader.read_range(stream, None, None, 100_000)
            observed, bad = mapped.observe(page)
            assert (bad, page.unreadable) == ([], ())
            link.executemany(
                "INSERT INTO records VALUES (?,?,'live',?)",
                [(stream.value, str(o.key), o.canon.decode()) for o in observed],
            )
        reader.close()
        link.commit()
    return layout, practice, crm


def compared(layout: str, practice: Path, crm: Path) -> Report:
    with closing(sqlite3.connect(practice)) as link:
        return compare_vendor(link, crm, layout=layout, zone=ZONE, owner="")


def spoilt(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case list():
            return [*value, "x"] if value else ["x"]
        case dict():
            return {name: f"{text}x" for name, text in value.items()} or {"x": "x"}
        case _:
            return f"{value}x" if value else "x"


def fields(layout: str) -> Iterator[tuple[Stream, str]]:
    for stream, rules in RULES_OF[layout].items():
        for name in dict.fromkeys(field.name for field in rules.fields):
            yield stream, name


def test_both_sides_agree_and_every_spoilt_field_is_named(sides: tuple[str, Path, Path]) -> None:
    layout, practice, crm = sides
    clean = compared(layout, practice, crm)
    assert clean.agrees, clean.table()
    assert clean.total > 500
    with closing(sqlite3.connect(crm)) as link:
        for stream, name in fields(layout):
            row = link.execute(
                "SELECT rowid, data FROM records WHERE type=? AND data LIKE ? LIMIT 1",
                (stream.value, f'%"{name}":%'),
            ).fetchone()
            if row is None:
                continue  # nobody in so small an office has it
            record = json.loads(row[1])
            record[name] = spoilt(record[name])
            link.execute("UPDATE records SET data=? WHERE rowid=?", (json.dumps(record), row[0]))
            link.commit()
            line = compared(layout, practice, crm).of(stream)
            assert (line.different, name in line.fields) == (1, True), (stream, name, line)
            link.execute("UPDATE records SET data=? WHERE rowid=?", (row[1], row[0]))
            link.commit()


def test_a_missing_and_an_extra_record_are_named(sides: tuple[str, Path, Path]) -> None:
    layout, practice, crm = sides
    with closing(sqlite3.connect(crm)) as link:
        before = link.execute("SELECT * FROM records WHERE type='appointment' LIMIT 1").fetchone()
        link.execute("DELETE FROM records WHERE type='appointment' AND key=?", (before[1],))
        link.execute("INSERT INTO records VALUES ('lab_case','1','live','{\"key\":\"1\"}')")
        link.commit()
        found = compared(layout, practice, crm)
        assert found.of(Stream.APPOINTMENT).missing_keys == (before[1],)
        assert found.of(Stream.LAB_CASE).extra == 1
        link.execute("DELETE FROM records WHERE type='lab_case'")
        link.execute("INSERT INTO records VALUES (?,?,?,?)", before)
        link.commit()


@pytest.mark.parametrize("key", ["7", "0", "DDS1", "OP 12", "a", "007", "Zoë", "~GRP~", "x" * 10])
def test_both_number_keys_alike(key: str) -> None:
    assert code(key) == str(code_of_one(key))
