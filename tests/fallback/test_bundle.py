"""Canaries: whatever is planted wherever a bundle looks, nothing of it leaves."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import structlog
from click.testing import CliRunner

from agent.cli import main
from agent.config import Paths, open_secrets
from agent.config.settings import Settings
from agent.journal.snapshot import visiting
from agent.model.helping import MakeBundle
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream
from agent.runtime.helping import fill_bundle
from agent.support import programs
from agent.support.bundle import Bundle, drop_old
from agent.support.logs import configure
from agent.support.scrub import Pseudonyms, Scrub, scrub_note
from tests.desk import office
from tests.support.until import until

NAMES = ("Zaphod", "Testperson", "Beeblebrox")
CANARIES = (
    *NAMES,
    "555-014-2233",
    "5550142233",
    "zaphod@example.test",
    "1984-02-29",
    "tooth ache since May",
    "90210-4711",
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0",
    "hunter2hunter2",
    "mysql://reader:hunter2hunter2@srv1/opendental",
    "Driver={MariaDB};Server=SMITHDENTAL;Uid=reader;Pwd=hunter2hunter2",
    "SMITHDENTAL",
    "1234567890123",
)


def plant(folder: Path) -> None:
    """In every way a line gets into a log file: ours, with tracebacks, a library's, Qt's, foreign
    bytes."""
    configure(level="debug", file=folder / "bridgework.log")
    log = structlog.get_logger("agent.sync.push")
    for canary in CANARIES:
        log.info("batch.settled", stream=Stream.PATIENT, who=canary, host=canary, code=canary)
        log.warning(canary, key=canary, command=canary)
        try:
            raise ValueError(canary)
        except ValueError:
            log.exception("push.failed", reason=canary)
    for handler in logging.getLogger().handlers:
        handler.flush()
    with (folder / "bridgework.log").open("a", encoding="utf-8") as file:
        for canary in CANARIES:
            # A line as if the first sieve had let it through, and lines that are none of ours.
            told = {"timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "level": "info",
                    "event": "batch.settled", "key": canary, "host": canary, "user": canary,
                    "code": canary, "state": canary, "frames": [canary], "facts": {"x": canary},
                    canary: 1, "practice": canary, "path": canary}  # fmt: skip
            file.write(json.dumps(told) + "\n")
            file.write(f"QWidget::setLabel: cannot show '{canary}'\n")
            file.write(json.dumps({"message": canary}) + "\n")
    (folder / "bridgework-gui.log").write_text(
        "".join(f"qt.svg: cannot open {canary}\n" for canary in CANARIES), encoding="utf-8"
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of an agent, of a practice whose name is a secret too."""
    paths = Paths.locate(tmp_path / "home")
    paths.prepare()
    journal = office.open_journal(paths)
    office.fill(journal)
    journal.close()
    paths.log_dir.mkdir()
    plant(paths.log_dir)
    return paths.home


def made(home: Path, settings: Settings, to: Path) -> dict[str, bytes]:
    paths = Paths.locate(home)
    secrets = open_secrets(paths)
    secrets.set("pms.password", "hunter2hunter2")

    def report() -> object:
        told = office.report()
        findings = tuple(
            Finding("pms.unreachable", Severity.ERROR, {"host": c, "file": c, "n": c})
            for c in CANARIES
        )
        return msgspec.structs.replace(
            told, snapshot=msgspec.structs.replace(told.snapshot, findings=findings)
        )

    note = "It stopped. " + " ".join(
        c for c in CANARIES if c not in (*NAMES, "SMITHDENTAL") and " " not in c
    )
    wish = MakeBundle(days=3, note=note)
    with visiting(paths.journal_file()) as (_, visitor):
        bundle = fill_bundle(settings, paths, secrets, visitor, report, wish)
    assert bundle.trouble == []
    bundle.write(to)
    with zipfile.ZipFile(to) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_no_canary_survives_in_any_part(
    home: Path, tmp_path: Path, settings_with: Callable[..., Settings]
) -> None:
    settings = settings_with(**{"pms.host": "SMITHDENTAL", "pms.user": "Zaphod",
                                "crm.url": "https://smithdental.example"})  # fmt: skip
    parts = made(home, settings, tmp_path / "b.zip")
    assert parts.keys() >= {
        "manifest.json", "status.json", "doctor.json", "settings.json", "journal.json",
        "environment.json", "programs.json", "schema.json", "logs/bridgework.log", "note.txt",
    }  # fmt: skip
    for name, content in parts.items():
        text = content.decode("utf-8").lower()
        found = [canary for canary in CANARIES if canary.lower() in text]
        assert found == [], name
    # And it is worth something: lines, codes, counts.
    assert b'"event":"batch.settled"' in parts["logs/bridgework.log"]
    assert b'"event":"push.failed"' in parts["logs/bridgework.log"]
    assert b'"error":"ValueError"' in parts["logs/bridgework.log"]
    assert json.loads(parts["journal.json"])["numbers"]["open_conflicts"] > 0
    assert set(json.loads(parts["programs.json"])) == {"antivirus", "odbc_drivers"}
    told = {line["setting"]: line for line in json.loads(parts["settings.json"])}
    assert told["pms.password"]["state"] == "set"
    assert told["pms.host"]["value"] == "[changed]"


def test_the_manifest_says_what_is_in_it_and_why(
    home: Path, tmp_path: Path, settings_with: Callable[..., Settings]
) -> None:
    parts = made(home, settings_with(), tmp_path / "b.zip")
    manifest = json.loads(parts.pop("manifest.json"))
    assert {one["file"] for one in manifest["files"]} == parts.keys()
    for one in manifest["files"]:
        assert one["sha256"] == hashlib.sha256(parts[one["file"]]).hexdigest()
        assert one["why"]
        assert one["rules"] or one["file"] == "environment.json"


def test_pseudonyms_are_the_same_within_a_bundle_and_mean_nothing_outside() -> None:
    scrub = Scrub(Pseudonyms(), ())
    first, again = scrub.value("key", 4711), scrub.value("key", "4711")
    assert first == again
    assert first.startswith("rec-")
    assert "4711" not in first
    assert Scrub(Pseudonyms(), ()).value("key", 4711) != first
    assert scrub.value("patient_key", 4711) != first


def test_a_note_keeps_its_words_and_loses_what_is_no_word() -> None:
    note = "At 14:05 the booking of 1984-02-29 for a@b.example (555) 014-2233 failed; pwd=x1y2z3"
    told = scrub_note(note)
    assert told.startswith("At 14:05 the booking of ")
    for gone in ("1984", "a@b", "014", "x1y2z3"):
        assert gone not in told


def test_a_part_that_cannot_be_made_does_not_cost_the_others() -> None:
    bundle = Bundle(())

    def broken() -> None:
        raise RuntimeError("Zaphod")

    bundle.tree("status.json", "why", broken)
    bundle.screenshot(b"MZ no picture")
    bundle.note("it stopped")
    assert [part.name for part in bundle.parts] == ["note.txt"]
    assert bundle.trouble == ["status.json: RuntimeError", "screenshot.png: not a picture"]


def test_the_command_previews_and_writes(home: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    previewed = runner.invoke(main, ["--home", str(home), "bundle", "--preview", "--json"])
    assert previewed.exit_code == 0, previewed.output
    names = {part["name"] for part in json.loads(previewed.stdout)["parts"]}
    assert "logs/bridgework.log" in names
    assert not (home / "bundles").exists()
    written = runner.invoke(main, ["--home", str(home), "bundle", "--note", "x", "--json"])
    path = Path(json.loads(written.stdout)["path"])
    assert path.parent == home / "bundles"
    if os.name == "posix":  # elsewhere the rights are the folder's
        assert path.stat().st_mode & 0o777 == 0o600
    later = datetime.fromtimestamp(path.stat().st_mtime + 8 * 86_400, UTC)
    assert drop_old(path.parent, later) == 1


def test_the_log_command_filters_and_refuses_a_bad_pattern(home: Path) -> None:
    runner = CliRunner()

    def logs(*words: str) -> list[dict[str, object]]:
        done = runner.invoke(main, ["--home", str(home), "logs", "--json", *words])
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    assert {line["event"] for line in logs("--topic", "push")} >= {"push.failed"}
    assert {line["level"] for line in logs("--level", "error")} == {"error"}
    assert all("settled" in str(line["event"]) for line in logs("--grep", "batch.settl.d"))
    assert logs("--since", "2099-01-01") == []
    assert runner.invoke(main, ["--home", str(home), "logs", "--grep", "("]).exit_code == 1


def test_programs_beside_ours(home: Path, tmp_path: Path) -> None:
    """A process by that name stands for the antivirus; a driver somebody named after the practice
    loses what is no maker's word."""
    program = tmp_path / "clamd"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "300"]) as running:
        try:
            until(lambda: "ClamAV" in programs.antivirus())
        finally:
            running.kill()
    names = ["MariaDB ODBC 3.1 Driver", "SMITHDENTAL SQL Anywhere 17", "PostgreSQL Unicode(x64)"]
    assert programs.shareable(names) == [
        "MariaDB ODBC 3.1 Driver", "[other] SQL Anywhere 17", "PostgreSQL Unicode x64",
    ]  # fmt: skip


def test_the_layouts_that_were_read_are_fingerprints(
    home: Path, tmp_path: Path, settings_with: Callable[..., Settings]
) -> None:
    paths = Paths.locate(home)
    journal = office.open_journal(paths)
    with journal.turn() as turn:
        turn.remember_schema("24.1.7", f"patient:{'0a' * 16}", "mapped")
    journal.close()
    schema = json.loads(made(home, settings_with(), tmp_path / "b.zip")["schema.json"])
    (line,) = [line for line in schema if line["fingerprint"] == "0a" * 16]
    assert (line["stream"], line["version"], line["decision"]) == ("patient", "24.1.7", "mapped")
