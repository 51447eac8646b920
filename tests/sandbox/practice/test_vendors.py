"""The sample office in the layouts of Dentrix and Eaglesoft: the same people, alive, in a file."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli.practice_cmd import practice as command
from agent.errors import PmsError
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.vendors.create import LAYOUTS, create_vendor_practice
from agent.sandbox.practice.vendors.db import SqliteDb
from agent.sandbox.practice.vendors.dentrix_life import ACTIONS as DENTRIX
from agent.sandbox.practice.vendors.eaglesoft_life import ACTIONS as EAGLESOFT
from agent.sandbox.practice.vendors.life import VendorLife
from agent.sandbox.practice.vendors.tables import Engine, ddl

PLAN = PracticePlan(patients=60, years=1, seed=5, today=date(2026, 6, 1))
ACTIONS = {"dentrix": DENTRIX, "eaglesoft": EAGLESOFT}


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vendor") / f"{request.param}.db"
    with closing(SqliteDb(path, LAYOUTS[request.param].owner)) as db:
        create_vendor_practice(db, request.param, PLAN)
    return path


def column(path: Path, sql: str) -> list[object]:
    with closing(sqlite3.connect(path)) as link:
        return [row[0] for row in link.execute(sql)]


def test_both_layouts_hold_one_office(tmp_path: Path) -> None:
    names = {}
    for layout, sql in (
        ("dentrix", "SELECT last_name || ', ' || first_name FROM v_patient ORDER BY patient_id"),
        ("eaglesoft", "SELECT substr(last_name,1,60) || ', ' || first_name FROM patient"
                      " ORDER BY CAST(patient_id AS INTEGER)"),
    ):  # fmt: skip
        path = tmp_path / layout
        with closing(SqliteDb(path, "x")) as db:
            create_vendor_practice(db, layout, PLAN)
        names[layout] = column(path, sql)
    assert len(names["dentrix"]) >= 55
    assert names["dentrix"] == names["eaglesoft"]


def test_a_second_making_replaces_the_first(made: Path, tmp_path: Path) -> None:
    layout = made.stem
    with closing(SqliteDb(tmp_path / "again.db", "x")) as db:
        first = create_vendor_practice(db, layout, PLAN).counts
        assert create_vendor_practice(db, layout, PLAN).counts == first


@pytest.mark.parametrize("made", ["dentrix"], indirect=True)
def test_dentrix_has_what_a_reader_must_cope_with(made: Path) -> None:
    codes = set(column(made, "SELECT DISTINCT status FROM appt"))
    assert {150, -106} <= codes
    assert column(made, "SELECT COUNT(*) FROM appt WHERE automodifiedtimestamp IS NULL")[0]
    assert column(made, "SELECT COUNT(*) FROM appt WHERE patid=0 AND patname<>''")[0]
    assert column(made, "SELECT COUNT(*) FROM address WHERE ptrcount>1")[0]


@pytest.mark.parametrize("made", ["eaglesoft"], indirect=True)
def test_eaglesoft_has_what_a_reader_must_cope_with(made: Path) -> None:
    assert column(made, "SELECT COUNT(*) FROM appointment WHERE location_id=90")[0]
    assert column(made, "SELECT COUNT(*) FROM appointment WHERE patient_id IS NULL")[0]
    assert column(made, "SELECT COUNT(*) FROM transactions_header WHERE status='D'")[0]
    assert column(
        made, "SELECT MIN(amount) < 0 AND MAX(amount) <= 0 FROM transactions_header WHERE type='P'"
    ) == [1]


def test_every_deed_of_a_layout_can_be_done(made: Path, tmp_path: Path) -> None:
    layout = made.stem
    with closing(SqliteDb(tmp_path / "live.db", "x")) as db:
        create_vendor_practice(db, layout, PracticePlan(patients=60, years=1, seed=5))
        life = VendorLife(db, layout, zone="America/New_York", seed=2)
        done = {kind: life.step(kind) for kind in ACTIONS[layout]}
        assert all(deed.statements for deed in done.values())
        assert done[DeedKind.DELETE_APPOINTMENT].gone
        assert done[DeedKind.SILENT_EDIT].traceless
        kinds = Counter(life.step().kind for _ in range(200))
        assert len(kinds) >= 10
        absent = next(kind for kind in DeedKind if kind not in ACTIONS[layout])
        with pytest.raises(PmsError):
            life.step(absent)


def test_dentrix_stamps_what_its_program_writes_and_nothing_else(tmp_path: Path) -> None:
    with closing(SqliteDb(tmp_path / "live.db", "x")) as db:
        create_vendor_practice(db, "dentrix", PracticePlan(patients=60, years=1, seed=5))
        life = VendorLife(db, "dentrix", zone="America/New_York", seed=2)

        def stamp(key: int) -> object:
            return db.rows("SELECT automodifiedtimestamp FROM appt WHERE apptid=?", key)[0][0]

        before = dict(db.rows("SELECT apptid, automodifiedtimestamp FROM appt"))
        moved = life.step(DeedKind.CONFIRM)
        assert stamp(moved.key) != before[moved.key]
        gone = life.step(DeedKind.DELETE_APPOINTMENT)
        flags = db.rows("SELECT deletedflag FROM appthist WHERE apptid=?", gone.key)
        assert (1,) in flags


@pytest.mark.parametrize("engine", list(Engine))
def test_every_engine_has_a_text_for_every_table(made: Path, engine: Engine) -> None:
    layout = LAYOUTS[made.stem]
    texts = list(ddl(layout, engine))
    assert len([t for t in texts if t.startswith("CREATE TABLE")]) == len(layout.tables)
    owned = f" {layout.owner}." in " ".join(texts)
    assert owned is (engine is not Engine.SQLITE)


def test_the_command_makes_and_lives(tmp_path: Path) -> None:
    path = str(tmp_path / "office.db")
    runner = CliRunner()
    where = ["--layout", "eaglesoft", "--path", path]
    made = runner.invoke(command, ["create", *where, "--patients", "40", "--years", "1"],
                         standalone_mode=False)  # fmt: skip
    assert made.exception is None, made.output
    assert "pms.kind eaglesoft" in made.output
    assert "pms.excluded_chairs 90" in made.output
    lived = runner.invoke(command, ["live", *where, "--changes", "5", "--rate", "100", "--json"],
                          standalone_mode=False)  # fmt: skip
    assert lived.exception is None, lived.output
    assert '"deeds":5' in lived.output
    for wrong in (["--into", "mariadb"], ["--into", "odbc"]):
        refused = runner.invoke(command, ["create", "--layout", "dentrix", *wrong])
        assert refused.exit_code == 2, refused.output
    odbc = runner.invoke(command, ["create", "--into", "odbc"])
    assert odbc.exit_code == 2
