"""``bridgework doctor``: every step named, each failure with its remedy, nothing changed."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.cli.stage import Stage
from agent.errors import ExitCode
from agent.runtime.sources import config_file_findings
from agent.sandbox.practice.create import MariaDbStore, PracticePlan, create_practice
from agent.sandbox.practice.schema import Engine
from tests.cli.conftest import Bridgework
from tests.support.mariadb import MariaDb, free_port
from tests.support.odapi import Database, StandIn

USER, PASSWORD = "reader", "pencil-7"
STEPS = ["host", "port", "login", "database", "version", "rights", "engine", "index"]


def findings_of(told: dict[str, Any], topic: str) -> list[dict[str, Any]]:
    check = next(c for c in told["checks"] if c["topic"] == topic)
    found: list[dict[str, Any]] = check["findings"]
    return found


def codes_of(told: dict[str, Any], topic: str) -> set[str]:
    return {f["code"] for f in findings_of(told, topic)}


# --- on the sample practice -----------------------------------------------------------------------


def test_all_well_says_so_and_changes_nothing(stage: Stage, bridgework: Bridgework) -> None:
    before = sorted(p for p in stage.paths.home.rglob("*") if p.suffix != ".log")
    done = bridgework("doctor")
    assert done.exit_code == ExitCode.OK, done.output
    lines = done.stdout.splitlines()
    assert "ok    Practice system" in lines
    assert "      ok    file  The sample practice's file is there and whole." in lines
    assert any(line.startswith("      ok    The CRM at 127.0.0.1 knows") for line in lines)
    assert "FAIL" not in done.stdout
    after = sorted(p for p in stage.paths.home.rglob("*") if p.suffix != ".log")
    assert after == before  # above all: no journal is made by looking


def test_json_has_a_line_per_check_and_the_exit_code(bridgework: Bridgework) -> None:
    told = json.loads(bridgework("doctor", "--json").stdout)
    assert told["exit_code"] == 0
    topics = [check["topic"] for check in told["checks"]]
    assert topics == [
        "machine", "program", "update", "agent", "settings", "secrets", "pms", "server", "map",
        "writing", "signer", "crm", "journal",
    ]  # fmt: skip
    for check in told["checks"]:
        assert check["result"] in {"ok", "note", "warning"}
        assert check["title"]
    disk = findings_of(told, "machine")[0]
    assert disk["code"] == "disk.ok"
    assert disk["facts"]["free_gb"] > 0
    assert disk["text"].endswith("GB are free.")


def test_beside_a_running_agent_and_with_its_record(stage: Stage, bridgework: Bridgework) -> None:
    stage.start_agent()
    stage.wait_loaded(60)
    told = json.loads(bridgework("doctor", "--json").stdout)
    assert told["exit_code"] == 0
    assert codes_of(told, "journal") == {"journal.whole"}
    assert stage.status() is not None  # it runs on


def test_a_missing_practice_skips_what_hangs_on_it(stage: Stage, bridgework: Bridgework) -> None:
    stage.desk.close()  # Windows renames no file that somebody has open
    stage.practice_file.rename(stage.folder / "gone.db")
    done = bridgework("doctor")
    assert done.exit_code == ExitCode.PMS
    assert "--    Data map: not looked at, for 'Practice system' failed" in done.stdout
    assert "Next: Make one: bridgework practice create --into sqlite" in done.stdout
    assert "1 of 13 checks failed." in done.stdout


def test_a_changed_record_needs_a_person(stage: Stage, bridgework: Bridgework) -> None:
    assert bridgework("sync").exit_code == ExitCode.OK
    with closing(sqlite3.connect(stage.paths.journal_file(stage.paths.journal_dir))) as link:
        link.execute("UPDATE audit SET at = at + 1 WHERE seq = (SELECT min(seq) + 1 FROM audit)")
        link.commit()
    told = json.loads(bridgework("doctor", "--json").stdout)
    assert told["exit_code"] == ExitCode.ACTION
    assert codes_of(told, "journal") == {"journal.audit_broken"}
    verified = bridgework("journal", "verify")
    assert verified.exit_code == ExitCode.FAILED
    assert "was changed after it was written" in verified.stdout


def test_a_crm_that_is_down(stage: Stage, bridgework: Bridgework) -> None:
    stage.crm.__exit__(None, None, None)
    done = bridgework("doctor")
    assert done.exit_code == ExitCode.CRM
    assert "FAIL  CRM" in done.stdout
    assert "[crm.unreachable]" in done.stdout
    assert "ok    Practice system" in done.stdout


def test_keys_the_api_refuses(stage: Stage, bridgework: Bridgework) -> None:
    with StandIn(Database(file=stage.practice_file, zone="America/New_York")) as api:
        settings = {
            "pms.writer": "api", "pms.api_url": api.url,
            "pms.api_developer_key": api.developer_key, "pms.api_customer_key": "pencil-9",
        }  # fmt: skip
        flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        done = bridgework(*flags, "doctor")
        assert done.exit_code == ExitCode.PMS
        assert "FAIL  Writing to the practice system" in done.stdout
        assert "The Open Dental API refuses our keys (127.0.0.1)." in done.stdout
        assert "pencil-9" not in done.output
        assert "ok    CRM" in done.stdout
        assert len(api.seen) == 1


def test_a_fresh_installation_learns_its_next_steps() -> None:
    told = json.loads(_run("--set", f"pms.port={free_port()}", "doctor", "--json").stdout)
    assert told["exit_code"] == ExitCode.PMS
    assert "pms.port_closed" in codes_of(told, "pms")
    assert next(c for c in told["checks"] if c["topic"] == "map")["result"] == "skipped"
    crm = findings_of(told, "crm")[0]
    assert "bridgework pair" in crm["next"]


# --- Open Dental's own file -----------------------------------------------------------------------

DIRECT = (
    "<ConnectionSettings><DatabaseConnection><ComputerName>SRV1:3307</ComputerName>"
    "<Database>od_live</Database><User>root</User><Password></Password>"
    "</DatabaseConnection></ConnectionSettings>"
)
MIDDLE = "<ConnectionSettings><ServerConnection><URI>http://srv/</URI></ServerConnection></ConnectionSettings>"


def test_a_found_file_is_named_but_not_used(tmp_path: Path, settings_with: Any) -> None:
    (tmp_path / "FreeDentalConfig.xml").write_text(DIRECT)
    (found,) = config_file_findings(settings_with(), [str(tmp_path)])
    assert (found.code, found.severity.value) == ("pms.config_found", "note")
    assert (found.facts["host"], found.facts["database"]) == ("SRV1", "od_live")
    said = settings_with(**{"pms.host": "SRV9"})
    assert config_file_findings(said, [str(tmp_path)]) == []  # IT has decided


def test_a_found_middle_tier_file_stops_nothing(tmp_path: Path, settings_with: Any) -> None:
    (tmp_path / "FreeDentalConfig.xml").write_text(MIDDLE)
    (found,) = config_file_findings(settings_with(), [str(tmp_path)])
    assert (found.code, found.severity.value) == ("pms.middle_tier", "note")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (MIDDLE, "pms.middle_tier"),
        ("<html/>", "pms.config_invalid"),
        ("<ConnectionSettings/>", "pms.config_incomplete"),
        (None, "pms.config_unreadable"),
    ],
)
def test_a_named_file_that_does_not_do_is_a_failed_step(
    tmp_path: Path, content: str | None, code: str
) -> None:
    file = tmp_path / "FreeDentalConfig.xml"
    if content is not None:
        file.write_text(content)
    told = json.loads(_run("--set", f"pms.config_file={file}", "doctor", "--json").stdout)
    assert told["exit_code"] == ExitCode.PMS
    assert code in codes_of(told, "pms")


# --- on a real server -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    with MariaDb() as db:
        link = db.connect()
        with link.cursor() as cursor:
            cursor.execute("CREATE DATABASE od CHARACTER SET utf8mb3")
            for user, right in ((USER, "SELECT"), ("blind", ""), ("half", "half")):
                for host in ("%", "localhost"):
                    cursor.execute(f"CREATE USER '{user}'@'{host}' IDENTIFIED BY '{PASSWORD}'")
                    if right == "SELECT":
                        cursor.execute(f"GRANT SELECT ON od.* TO '{user}'@'{host}'")
        store = MariaDbStore(
            host="127.0.0.1", port=db.port, user="root", password="", database="od",
            engine=Engine.MYISAM,
        )  # fmt: skip
        create_practice(store, PracticePlan(patients=20, years=1))
        store.close()
        with link.cursor() as cursor:
            for host in ("%", "localhost"):
                cursor.execute(f"GRANT SELECT ON od.preference TO 'half'@'{host}'")
                cursor.execute(f"GRANT INSERT ON od.patient TO 'half'@'{host}'")
        link.close()
        yield db


def _run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), catch_exceptions=False)


def _look(db: MariaDb, *words: str, **changed: object) -> tuple[dict[str, Any], Result]:
    """``doctor`` on the server, as JSON and as text."""
    settings = {
        "pms.port": db.port, "pms.database": "od", "pms.user": USER, "pms.password": PASSWORD,
        **{f"pms.{name}": value for name, value in changed.items()},
    }  # fmt: skip
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    told = json.loads(_run(*flags, "doctor", "--json").stdout)
    return told, _run(*flags, "doctor", *words)


def _failed(told: dict[str, Any]) -> list[tuple[str, str]]:
    """(step, code) of what failed in the practice system."""
    return [
        (f["facts"].get("step", ""), f["code"])
        for f in findings_of(told, "pms")
        if f["severity"] == "error"
    ]


@pytest.mark.mariadb
def test_a_server_that_is_well_names_every_step(server: MariaDb) -> None:
    told, shown = _look(server)
    assert _failed(told) == []
    assert [f["facts"]["step"] for f in findings_of(told, "pms") if "step" in f["facts"]] == STEPS
    assert codes_of(told, "map") >= {"map.streams"}
    assert "      ok    version   The practice system is version 21.1.9.0." in shown.stdout
    assert told["exit_code"] == ExitCode.CRM  # only the CRM is not linked yet


@pytest.mark.mariadb
def test_a_wrong_port(server: MariaDb) -> None:
    told, shown = _look(server, port=free_port())
    assert _failed(told) == [("port", "pms.port_closed")]
    assert told["exit_code"] == ExitCode.PMS
    assert "Next: Start the database server" in shown.stdout


@pytest.mark.mariadb
def test_a_name_nobody_knows(server: MariaDb) -> None:
    told, _ = _look(server, host="no-such-host.invalid")
    assert _failed(told) == [("host", "pms.host_unresolved")]


@pytest.mark.mariadb
def test_a_wrong_password_is_tried_once_and_never_shown(server: MariaDb) -> None:
    def refusals() -> int:
        link = server.connect()
        with link.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Access_denied_errors'")
            count = int(cursor.fetchall()[0][1])
        link.close()
        return count

    before = refusals()
    told, shown = _look(server, password="wrong-guess")
    assert refusals() - before == 2  # one for each of the two runs
    assert _failed(told) == [("login", "pms.login_refused")]
    assert "refused the login 'reader'" in shown.stdout
    assert "wrong-guess" not in shown.output + json.dumps(told)


@pytest.mark.mariadb
def test_a_wrong_database(server: MariaDb) -> None:
    told, shown = _look(server, database="demo")
    assert _failed(told) == [("database", "pms.database_missing")]
    assert "no such database (demo)" in shown.stdout
    assert "Next: Check pms.database" in shown.stdout


@pytest.mark.mariadb
def test_no_rights_at_all_and_rights_to_one_table_and_to_write(server: MariaDb) -> None:
    told, _ = _look(server, user="blind")
    assert _failed(told) == [("database", "pms.database_missing")]  # the server says no more
    told, shown = _look(server, user="half")
    assert _failed(told) == [("rights", "pms.right_missing"), ("rights", "pms.tables_unseen")]
    rights = {f["code"]: f["facts"] for f in findings_of(told, "pms")}
    assert rights["pms.right_missing"]["table"] == "patient"  # seen, for it may be written to
    assert rights["pms.can_write"]["rights"] == "INSERT"
    assert rights["pms.tables_unseen"]["tables"] == 16
    assert "Next: Grant the login SELECT on the whole database." in shown.stdout


@pytest.mark.mariadb
def test_another_database_than_open_dentals(server: MariaDb) -> None:
    told, _ = _look(server, database="mysql", user="root", password="")
    assert _failed(told) == [("version", "pms.not_open_dental")]


def test_a_server_that_never_speaks_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepts the connection and stays silent: another program on the port, or a dying server."""
    monkeypatch.setattr("drivers.opendental.session.CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr("drivers.opendental.session.GRACE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        done = _run("--set", f"pms.port={port}", "doctor", "--json")
    told = json.loads(done.stdout)
    assert _failed(told) == [("login", "pms.unreachable")]
