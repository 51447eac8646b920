"""``bridgework practice``: what it prints, where it writes, how it fails."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.errors import ExitCode
from drivers.sample.source import SampleSource
from tests.support.mariadb import MariaDb, free_port


def bridgework(*words: object) -> Result:
    return CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)


def test_create_then_live_in_a_file(tmp_path: Path) -> None:
    path, report = tmp_path / "new" / "p.db", tmp_path / "deeds.jsonl"
    made = bridgework(
        "practice", "create", "--path", path, "--patients", 40, "--today", "2026-03-11", "--json"
    )
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)
    assert told["patients"] == told["counts"]["patient"] == 40
    done = bridgework(
        "practice", "live", "--path", path, "--rate", 500, "--changes", 12, "--report", report,
        "--only", "commlog", "--only", "demographics", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["deeds"] == 12
    deeds = [json.loads(line) for line in report.read_text().splitlines()]
    assert [d["number"] for d in deeds] == list(range(1, 13))
    assert {d["kind"] for d in deeds} == {"commlog", "demographics"}
    with closing(sqlite3.connect(path)) as link:
        last = [d for d in deeds if d["table"] == "commlog"][-1]
        note = link.execute(
            "SELECT Note FROM commlog WHERE CommlogNum=?", (last["key"],)
        ).fetchone()
    assert note == (last["values"]["Note"],)


def test_failures_are_one_line_and_a_code(tmp_path: Path) -> None:
    missing = bridgework("practice", "live", "--path", tmp_path / "nowhere.db")
    assert missing.exit_code == ExitCode.PMS
    assert missing.stderr.count("\n") == 1
    dump = tmp_path / "dump.sql"
    dump.write_text("-- nothing")
    refused = bridgework("practice", "create", "--path", tmp_path / "p.db", "--schema-dump", dump)
    assert refused.exit_code == ExitCode.USAGE
    assert not (tmp_path / "p.db").exists()
    silent = bridgework("practice", "create", "--into", "mariadb", "--port", free_port())
    assert silent.exit_code == ExitCode.PMS
    assert "Traceback" not in silent.output


@pytest.mark.mariadb
def test_create_and_live_in_mariadb(server: MariaDb) -> None:
    target = ("--into", "mariadb", "--port", server.port, "--database", "by_command")
    made = bridgework(
        "practice", "create", *target, "--patients", 40, "--engine", "InnoDB", "--clinics", 2,
        "--version", "24.3",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    assert "40 patients" in made.stdout
    assert "bridgework config set practice.zone America/New_York" in made.stdout
    done = bridgework("practice", "live", *target, "--rate", 500, "--changes", 15)
    assert done.exit_code == 0, done.output
    assert "15 deeds" in done.stdout
    denied = bridgework("practice", "live", *target, "--user", "nobody", "--password", "wrong")
    assert denied.exit_code == ExitCode.PMS
    assert "pms.auth_refused" in denied.stderr


def test_the_reader_takes_the_zone_the_practice_was_made_with(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    zone = "America/Anchorage"
    made = bridgework("practice", "create", "--path", path, "--patients", 5, "--zone", zone)
    assert made.exit_code == 0, made.output
    assert f"bridgework config set pms.sqlite_path {path}" in made.stdout
    assert SampleSource(path).probe().zone == zone
    assert SampleSource(path, zone="America/Denver").probe().zone == "America/Denver"


def test_a_zone_nobody_knows_is_a_wrong_option(tmp_path: Path) -> None:
    refused = bridgework("practice", "create", "--path", tmp_path / "p.db", "--zone", "Mars/Base")
    assert refused.exit_code == ExitCode.USAGE
    assert "Mars/Base" in refused.stderr
    assert not (tmp_path / "p.db").exists()
