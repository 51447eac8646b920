"""Data-quality rules: each check on what it is for, the practice's own file, a real run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.cli.stage import Stage
from agent.config import load_settings
from agent.errors import ExitCode
from agent.runtime.host import build
from agent.support.quality import OWN_FILE, BadRule, Rule, is_broken, load_rules, parse_rule
from tests.support.until import until

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 5, 4)


def rule(check: str, field: str, **more: str) -> Rule:
    usual = {"code": "a_rule", "stream": "appointment", "title": "T"}
    return parse_rule({**usual, "check": check, "field": field, **more})


def test_our_own_rules_are_rules(tmp_path: Path) -> None:
    rules, problems = load_rules(tmp_path)
    assert problems == []
    lines = (ROOT / "assets/rules/quality.csv").read_text(encoding="utf-8").splitlines()
    assert len(rules) == len(lines) - 1 >= 20
    assert all(set(each.titles) == {"en", "es"} for each in rules)
    assert len({each.code for each in rules}) == len(rules)


@pytest.mark.parametrize(
    ("made", "broken", "fine"),
    [
        (rule("missing", "patient_key"), {"patient_key": ""}, {"patient_key": "1"}),
        (rule("missing", "provider_key|hygienist_key"), {}, {"hygienist_key": "1"}),
        (rule("missing", "procedures"), {"procedures": []}, {"procedures": [{"key": "1"}]}),
        (rule("is", "status", value="unknown|x"), {"status": "unknown"}, {"status": "complete"}),
        (
            rule("outside", "start", value="1980-01-01..today+30"),
            {"start": "1979-12-31T10:00:00Z"},
            {"start": "2026-06-03T10:00:00Z"},
        ),
        (
            rule("outside", "start", value="..today+30"),
            {"start": "2026-06-04T10:00:00Z"},
            {"start": None},
        ),
        (
            rule("late", "received", value="30", other="created", stream="lab_case"),
            {"created": "2026-03-01", "received": None},
            {"created": "2026-03-01", "received": "2026-03-31"},
        ),
        (
            rule("late", "received", value="30", other="created", stream="lab_case"),
            {"created": "2026-03-01", "received": "2026-04-01"},
            {"created": None, "received": None},
        ),
    ],
)
def test_each_check(made: Rule, broken: dict[str, object], fine: dict[str, object]) -> None:
    assert is_broken(made, broken, TODAY)
    assert not is_broken(made, fine, TODAY)


def test_where_limits_a_rule() -> None:
    made = rule("missing", "operatory_key", where="status=scheduled|asap;note!=ignore")
    assert made.applies({"status": "scheduled"})
    assert not made.applies({"status": "complete"})
    assert not made.applies({"status": "asap", "note": "ignore"})


@pytest.mark.parametrize(
    "cells",
    [
        {"check": "missing", "field": "no_such_field"},
        {"check": "missing", "field": ""},
        {"check": "guess", "field": "status"},
        {"check": "is", "field": "status"},
        {"check": "outside", "field": "start", "value": "yesterday..today"},
        {"check": "orphan", "field": "patient_key", "other": "person"},
        {"check": "late", "field": "start", "value": "soon", "other": "end"},
        {"check": "missing", "field": "status", "where": "status"},
        {"check": "missing", "field": "status", "code": "No Code"},
        {"check": "missing", "field": "status", "stream": "people"},
    ],
)
def test_a_line_that_is_no_rule_says_why(cells: dict[str, str]) -> None:
    with pytest.raises(BadRule) as caught:
        parse_rule({"code": "a_rule", "stream": "appointment", **cells})
    assert str(caught.value)


def test_what_is_wrong_in_a_practice_is_listed_by_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Stage(tmp_path / "stage", patients=25) as stage:
        own = stage.paths.home / OWN_FILE
        own.write_text(
            "code,stream,check,field,value,other,where,title\n"
            "patient_no_way_to_reach,patient,off,,,,,\n"
            "patient_no_zip,patient,missing,postal_code,,,,Patients without a postal code\n"
            "broken_one,patient,missing,nothing_such,,,,\n"
        )
        with closing(sqlite3.connect(stage.practice_file)) as practice, practice:
            practice.execute("UPDATE patient SET Birthdate = '0001-01-01' WHERE PatNum = 3")
            practice.execute("UPDATE patient SET Zip = '' WHERE PatNum IN (4, 5)")
            practice.execute(
                "UPDATE claim SET PatNum = 999999"
                " WHERE ClaimNum = (SELECT min(ClaimNum) FROM claim)"
            )
        host = build(load_settings((), home=stage.paths.home), stage.paths)
        host.start()
        try:
            until(
                lambda: host.report().snapshot.load is None and not host.journal.batches_waiting(),
                60,
            )

            def ask(*words: str) -> tuple[int, str]:
                command = ["--home", str(stage.paths.home), "audit", "quality", *words]
                done = CliRunner().invoke(main, command)
                return done.exit_code, done.stdout

            code, out = ask("--json")
            told = json.loads(out)
            found = {r["code"]: r for r in told["rules"]}
            assert code == ExitCode.FAILED
            assert told["skipped"] == []
            assert found["patient_no_birthdate"]["keys"] == ["3"]
            assert found["patient_no_zip"]["keys"] == ["4", "5"]
            assert found["claim_patient_gone"]["count"] == 1
            assert "patient_no_way_to_reach" not in found
            assert [p["facts"]["line"] for p in told["problems"]] == [4]
            code, out = ask("--rule", "patient_no_zip")
            assert "2  Patients without a postal code" in out
            assert "patient 4, 5" in out
        finally:
            host.stop()
        code, out = ask("--json")  # from the journal alone: what it keeps
        assert "claim" in json.loads(out)["skipped"]
