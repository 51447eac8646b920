"""``bridgework diagnose`` and ``map check`` at a site read over ODBC, without any server."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli.root import main
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.vendors.create import LAYOUTS, create_vendor_practice
from agent.sandbox.practice.vendors.db import SqliteDb
from tests.support.servers import driver

pytestmark = [pytest.mark.odbc, pytest.mark.xdist_group("odbc")]

# Columns with something a patient could be known by, in either layout.
PRIVATE = {
    "dentrix": ("v_patient.last_name", "v_patient.home_phone", "v_patient.address_line1",
                "v_patient.birth_date", "v_patient.social_sec_num", "contact.title",
                "clinicalnote.notetext", "appt.patname"),
    "eaglesoft": ("patient.last_name", "patient.cell_phone", "patient.address_1",
                  "patient.birth_date", "patient.social_security", "patient.password",
                  "patient.email_address", "operatory_notes.description"),
}  # fmt: skip
Run = Callable[..., Result]


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def practice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / f"{request.param}.db"
    with closing(SqliteDb(path, "x")) as db:
        create_vendor_practice(db, request.param, PracticePlan(patients=40, years=1, seed=6))
    return path


@pytest.fixture
def run(practice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.setenv(
        "BRIDGEWORK_PMS_ODBC_CONNECTION",
        f"DRIVER={driver('libsqlite3odbc.so')};DATABASE={practice};PWD=very-secret",
    )
    monkeypatch.setenv("BRIDGEWORK_PRACTICE_ZONE", "America/New_York")
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(main, ["--home", str(tmp_path / "home"), *words])

    return invoke


def private_values(practice: Path) -> set[str]:
    found: set[str] = set()
    with closing(sqlite3.connect(practice)) as link:
        for place in PRIVATE[practice.stem]:
            table, _, column = place.partition(".")
            for (value,) in link.execute(f"SELECT DISTINCT {column} FROM {table}"):
                if len(str(value or "").strip()) > 4:
                    found.add(str(value).strip())
    return found


def test_one_page_and_one_file_without_a_patient_in_it(
    practice: Path, run: Run, tmp_path: Path
) -> None:
    kind = practice.stem
    done = run("diagnose", "--pms", kind)
    assert done.exit_code == 0, done.output
    file = tmp_path / f"bridgework-diagnose-{kind}.json"
    told = json.loads(file.read_text())
    assert told["kind"] == kind
    assert told["canary"]["rows"] > 0
    assert told["canary"]["wrong"] == 0
    assert told["streaming"]["rows"] > 100
    assert 0 <= told["streaming"]["grown_mb"] < 100
    assert f"the reader grew by {told['streaming']['grown_mb']:.1f} MB" in done.output
    assert told["unreadable"] == []
    assert [line["taken_for"] for line in told["mistakes"]] == ["pms.schema_drift"] * 2
    assert "NOT understood" not in done.output
    assert {"appointment", "patient"} <= set(told["streams"])
    assert all(line["page_ms"] >= 0 for line in told["tables"])
    assert max(line["rows"] for line in told["tables"]) > 100
    columns = {codes["column"] for codes in told["codes"]}
    wanted = {"dentrix": "appt.apptlen", "eaglesoft": "patient.receives_sms"}
    assert wanted[kind] in columns
    asked = {  # what the office must say
        "dentrix": ("pms.length_unit_min: 5", "pms.int_time: minutes"),
        "eaglesoft": ("pms.excluded_chairs", "90: "),
    }
    assert all(text in done.output for text in asked[kind])
    values = private_values(practice)
    assert len(values) > 100
    for text in (done.output, file.read_text()):
        assert {value for value in values if value in text} == set()
        assert "very-secret" not in text


@pytest.mark.parametrize("practice", ["eaglesoft"], indirect=True)
def test_for_scripts(practice: Path, run: Run, tmp_path: Path) -> None:
    done = run("--set", f"pms.kind={practice.stem}", "diagnose", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["kind"] == practice.stem
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize("practice", ["dentrix"], indirect=True)
def test_a_table_that_is_gone_is_said(practice: Path, run: Run, tmp_path: Path) -> None:
    name = {"dentrix": "aging", "eaglesoft": "chairs"}[practice.stem]
    with closing(sqlite3.connect(practice)) as link:
        link.execute(f"ALTER TABLE {name} RENAME TO away")
        done = run("diagnose", "--pms", practice.stem)
        link.execute(f"ALTER TABLE away RENAME TO {name}")
    assert done.exit_code == 1
    assert "not there, or not granted" in done.output
    assert "Cannot be read" in done.output


@pytest.mark.parametrize("practice", ["eaglesoft"], indirect=True)
def test_errors_named_in_a_drivers_own_way_are_said(
    practice: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver whose SQLSTATEs nobody knows: a reader of ours that changes what is said."""
    reader = tmp_path / "reader"
    reader.write_text(
        f"#!{sys.executable}\n"
        "from drivers.odbc import child, link, wire\n"
        "told = link.failed\n"
        "def failed(phase, args, kind):\n"
        "    if 'bridgework_asks' in str(args):\n"
        "        return wire.Failed(phase, 'I9999', -20000, 'odd', kind)\n"
        "    return told(phase, args, kind)\n"
        "link.failed = failed\n"
        "child.main()\n"
    )
    reader.chmod(0o755)
    monkeypatch.setenv("BRIDGEWORK_PMS_ODBC_READER", str(reader))
    done = run("diagnose", "--pms", practice.stem)
    assert "table missing: I9999 -20000, NOT understood" in done.output
    assert "names a missing column in its own way (I9999)" in done.output


@pytest.mark.parametrize("practice", ["dentrix"], indirect=True)
def test_a_driver_that_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGEWORK_PMS_ODBC_CONNECTION", "DRIVER={No Such Driver};PWD=very-secret")
    done = run("diagnose", "--pms", "dentrix", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["findings"][0]["code"] == "pms.driver_missing"
    assert "very-secret" not in done.output


@pytest.mark.parametrize("practice", ["eaglesoft"], indirect=True)
def test_an_engine_that_is_stopped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = f"DRIVER={driver('psqlodbcw.so')};SERVER=127.0.0.1;PORT=1;DATABASE=x;UID=x"
    monkeypatch.setenv("BRIDGEWORK_PMS_ODBC_CONNECTION", closed)
    done = run("diagnose", "--pms", "eaglesoft", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["findings"][0]["code"] == "pms.engine_stopped"
    doctor = run("--set", "pms.kind=dentrix", "doctor", "--json")
    told = {check["topic"]: check for check in json.loads(doctor.stdout)["checks"]}
    assert [finding["code"] for finding in told["pms"]["findings"]] == ["pms.engine_stopped"]


@pytest.mark.parametrize("practice", ["eaglesoft"], indirect=True)
def test_nothing_says_where(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRIDGEWORK_PMS_ODBC_CONNECTION")
    done = run("diagnose", "--pms", "eaglesoft")
    assert done.exit_code == 2
    assert "config.odbc_place_missing" in done.output
    assert run("diagnose").exit_code == 2  # pms.kind is Open Dental: which one is meant?


@pytest.mark.parametrize("practice", ["dentrix"], indirect=True)
def test_doctor_looks_at_the_driver_and_the_tables(practice: Path, run: Run) -> None:
    done = run("--set", f"pms.kind={practice.stem}", "doctor", "--json")
    told = {check["topic"]: check for check in json.loads(done.stdout)["checks"]}
    codes = [finding["code"] for finding in told["pms"]["findings"]]
    assert "pms.odbc_connected" in codes
    assert told["map"]["result"] != "error", told["map"]
    assert told["writing"]["result"] in {"note", "warning"}


@pytest.mark.parametrize("practice", ["eaglesoft"], indirect=True)
def test_the_map_says_what_is_not_sure(practice: Path, run: Run) -> None:
    done = run("--set", f"pms.kind={practice.stem}", "map", "check", "--notes")
    assert done.exit_code == 0, done.output
    assert "Every stream can be read." in done.output
    assert "to look at" in done.output
    assert "map.column_unsure" in done.output
    exported = run("--set", f"pms.kind={practice.stem}", "map", "export")
    assert exported.output.splitlines()[0].endswith("note,certainty")
