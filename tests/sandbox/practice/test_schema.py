"""The notation, and that our tables are the shape of the real ones."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from agent.sandbox.practice.create import read_dump
from agent.sandbox.practice.schema import (
    Engine,
    SchemaVersion,
    mariadb_ddl,
    sqlite_ddl,
    sqlite_indexes,
    table,
    version_of,
)
from agent.sandbox.practice.tables import TABLES, tables_of
from tests.support.odschema import dump_path

# Widened or retyped after the version of the dump: we keep the later type for all.
KNOWN_DIFFERENCES = {
    ("patient", "ChartNumber"), ("provider", "WebSchedDescript"), ("securitylog", "PermType"),
    ("procedurelog", "SecDateEntry"), ("document", "DegreesRotated"),
}  # fmt: skip


def test_notation_gives_types_defaults_references_and_versions() -> None:
    shape = table(
        "thing",
        "ThingNum pk, PatNum bi*>patient, Note txt?, Share dbl=-1, Edited ts, Late vc9 @24.3",
        "PatNum, pair(PatNum Note(10)) @24.3",
    )
    ddl = mariadb_ddl(shape, Engine.MYISAM, "24.3")
    assert "`PatNum` bigint(20) NOT NULL," in ddl
    assert "`Note` text DEFAULT NULL" in ddl
    assert "`Share` double NOT NULL DEFAULT '-1'" in ddl
    assert "ON UPDATE current_timestamp()" in ddl
    assert "KEY `pair` (`PatNum`,`Note`(10))" in ddl
    assert ddl.endswith("ENGINE=MyISAM DEFAULT CHARSET=utf8mb3")
    assert shape.columns[1].refers == "patient"
    early = mariadb_ddl(shape, Engine.INNODB, "21.1.9")
    assert "Late" not in early
    assert "pair" not in early


@pytest.mark.parametrize("text", ["ThingNum", "Thing-Num bi", "ThingNum bi**"])
def test_a_wrong_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a column"):
        table("thing", text)


def test_every_table_has_one_primary_key_and_keys_name_its_columns() -> None:
    for shape in TABLES.values():
        names = {c.name for c in shape.columns}
        assert [c.kind for c in shape.columns].count("pk") == 1, shape.name
        for key in shape.keys:
            assert {c.split("(")[0] for c in key.columns} <= names, f"{shape.name}.{key.name}"
        assert {c.refers for c in shape.columns} - {None} <= set(TABLES), shape.name


@pytest.mark.parametrize("version", list(SchemaVersion))
def test_sqlite_takes_every_table_and_fills_defaults(version: str) -> None:
    with closing(sqlite3.connect(":memory:")) as link:
        for shape in tables_of(version):
            link.execute(sqlite_ddl(shape, version))
            for statement in sqlite_indexes(shape, version):
                link.execute(statement)
            link.execute(f"INSERT INTO {shape.name} DEFAULT VALUES")
        assert link.execute("SELECT Birthdate, Guarantor FROM patient").fetchone() == (
            "0001-01-01", 0,
        )  # fmt: skip


def test_later_versions_have_the_later_columns() -> None:
    appointment = TABLES["appointment"]
    at = {
        v: {c.name for c in appointment.columns if c.in_version(version_of(v))}
        for v in ("21.1.9", "24.3")
    }
    assert at["24.3"] - at["21.1.9"] == {"SecurityHash", "ItemOrderPlanned"}
    keys = {k.name for k in TABLES["paysplit"].keys if k.in_version(version_of("21.1.9"))}
    assert "SecDateTEditPN" not in keys


def test_our_tables_are_the_shape_of_the_published_ones() -> None:
    dump = dump_path()
    if dump is None:
        pytest.skip("no published schema beside the project")
    text = read_dump(dump).replace("\r\n", "\n")
    bodies = {
        m[1]: m[2] for m in re.finditer(r"CREATE TABLE `(\w+)` \((.*?)\n\) ", text, re.DOTALL)
    }
    differing = []
    for shape in tables_of("21.1.9"):
        theirs = _columns(bodies[shape.name])
        ours = _columns(mariadb_ddl(shape, Engine.MYISAM, "21.1.9"))
        differing += [
            (shape.name, name)
            for name in sorted(set(theirs) | set(ours))
            if theirs.get(name) != ours.get(name) and (shape.name, name) not in KNOWN_DIFFERENCES
        ]
    assert differing == []


def _columns(body: str) -> dict[str, tuple[str, bool]]:
    """Name -> (type without display width, may it be null)."""
    found = {}
    for name, rest in re.findall(r"^\s+`(\w+)` (.*?),?$", body, re.MULTILINE):
        kind = rest.split()[0]
        if not kind.startswith(("varchar", "char")):
            kind = re.sub(r"\(\d+\)", "", kind)
        found[name] = (kind, "NOT NULL" not in rest)
    return found
