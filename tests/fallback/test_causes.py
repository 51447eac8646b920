"""The doctor's usual causes, each brought about for real where this computer can.

Sleep settings and Windows' restart keys cannot: they stand behind ``Machine`` and are stood in for.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.config import Paths
from agent.config.settings import Settings
from agent.crm.signer import look
from agent.errors import CrmUnavailable
from agent.model.reading import Finding
from agent.runtime import causes
from agent.runtime.checks import all_checks
from agent.support.doctor import run_checks
from agent.support.machine import FILE_LIST, LocalMachine
from agent.support.messages import Catalogue
from drivers.opendental.faults import consequence
from tests.crm.rawserver import RawServer, make_authority
from tests.desk import office
from tests.support.until import until

SettingsWith = Callable[..., Settings]


@dataclass
class Stood:
    """A computer as a test says."""

    sleeps: bool | None = None
    restart: bool | None = False
    missing: Sequence[str] | None = ()
    backups: Sequence[str] = ()
    at_work: list[tuple[int, Path | None]] = field(default_factory=list)

    def may_sleep(self) -> bool | None:
        return self.sleeps

    def restart_pending(self) -> bool | None:
        return self.restart

    def missing_files(self) -> Sequence[str] | None:
        return self.missing

    def backups_running(self) -> Sequence[str]:
        return self.backups

    def agents(self) -> Sequence[tuple[int, Path | None]]:
        return self.at_work


def codes(findings: Sequence[Finding]) -> list[str]:
    """Each has a text, and every fact the text names."""
    catalogue = Catalogue.load()
    for finding in findings:
        assert finding.code in catalogue.codes
        assert catalogue.fields(finding.code) <= finding.facts.keys(), finding.code
    return [finding.code for finding in findings]


# --- the computer ---------------------------------------------------------------------------------


def test_a_computer_that_may_sleep_and_one_that_slept(
    paths: Paths, settings_with: SettingsWith
) -> None:
    settings = settings_with()
    assert codes(causes.machine_findings(Stood(sleeps=True), settings, paths)) == ["pc.may_sleep"]
    journal = office.open_journal(paths)
    at = datetime.now(UTC) - timedelta(hours=9)
    with journal.turn() as turn:
        turn.end_outage(turn.open_outage("agent", "pc.asleep", at), at + timedelta(hours=8), 0)
    journal.close()
    assert codes(causes.machine_findings(Stood(), settings, paths)) == ["pc.slept"]


def test_a_restart_that_an_update_waits_for(tmp_path: Path) -> None:
    mark = tmp_path / "reboot-required"
    machine = LocalMachine(reboot_files=[mark])
    assert machine.restart_pending() is False
    mark.touch()
    assert machine.restart_pending() is True


def test_a_program_file_that_somebody_removed(tmp_path: Path) -> None:
    for name in ("agent/one.py", "drivers/two.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("pass")
    (tmp_path / FILE_LIST).write_text(json.dumps({"agent/one.py": 4, "drivers/two.py": 4}))
    machine = LocalMachine(root=tmp_path)
    assert codes(causes.program_findings(machine)) == ["program.whole"]
    (tmp_path / "drivers/two.py").unlink()
    [finding] = causes.program_findings(machine)
    assert codes([finding]) == ["program.files_missing"]
    assert finding.facts["files"] == "drivers/two.py"


def test_a_wheel_knows_its_files_without_a_list(tmp_path: Path) -> None:
    record = tmp_path / "bridgework-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("agent/one.py,sha256=x,4\nagent/one.pyc,,\n")
    assert LocalMachine(root=tmp_path).missing_files() == ["agent/one.py"]


def test_a_backup_at_work(tmp_path: Path) -> None:
    program = tmp_path / "mysqldump"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    running = subprocess.Popen([program, "300"])
    try:
        until(lambda: "mysqldump" in LocalMachine().backups_running())
    finally:
        running.kill()
        running.wait()


def test_a_full_disk(paths: Paths, settings_with: SettingsWith, tmp_path: Path) -> None:
    """A file system of one megabyte, where this account may mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this account may not mount a file system")
    try:
        checks = all_checks(settings_with(), Paths.locate(small / "home"), Stood())
        [computer] = [check for check in checks if check.topic == "machine"]
        assert codes(list(computer.run())) == ["disk.low"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_second_agent_for_the_same_practice(tmp_path: Path, settings_with: SettingsWith) -> None:
    """A real process with the words of an agent; another practice's is none of our business."""
    own, other = Paths.locate(tmp_path / "home"), Paths.locate(tmp_path / "other")
    for paths, host in ((own, "SRV1"), (other, "SRV1")):
        paths.prepare()
        paths.config_file.write_text(f'[pms]\nhost = "{host}"\n')
    program = tmp_path / "bridgework"
    program.write_text("import time; time.sleep(300)")
    second = subprocess.Popen([sys.executable, program, "--home", other.home, "run"])
    try:
        until(lambda: (second.pid, other.home) in LocalMachine().agents())
        found = LocalMachine().agents()
        machine = Stood(at_work=[one for one in found if one[1] == other.home])
        assert machine.at_work
        settings = settings_with(**{"pms.host": "SRV1"})
        assert codes(causes.agent_findings(machine, settings, own)) == ["agent.second"]
        elsewhere = settings_with(**{"pms.host": "SRV2"})
        assert codes(causes.agent_findings(machine, elsewhere, own)) == ["agent.not_running"]
    finally:
        second.kill()
        second.wait()


# --- the practice ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1820, 1862])
def test_an_expired_password_has_a_name_of_its_own(number: int) -> None:
    assert getattr(consequence(number), "code", "") == "pms.password_expired"


# --- the line to the CRM --------------------------------------------------------------------------


@pytest.fixture
def inspected(tmp_path: Path) -> Iterator[RawServer]:
    """A TLS server whose certificate an authority signed that no computer knows: what a proxy that
    looks into secure traffic shows."""
    _, context = make_authority(tmp_path)

    def script(conn: socket.socket, _n: int) -> None:
        with suppress(OSError):
            conn.recv(100)

    with RawServer(script, context) as server:
        yield server


def test_a_proxy_that_looks_into_secure_traffic(
    inspected: RawServer, settings_with: SettingsWith
) -> None:
    [finding] = causes.signer_findings(settings_with(**{"crm.url": inspected.url}))
    assert codes([finding]) == ["net.tls_inspected"]
    assert finding.facts["by"] == "Test office CA"


def test_an_authority_that_it_has_named_is_no_alarm(
    inspected: RawServer, settings_with: SettingsWith, tmp_path: Path
) -> None:
    settings = settings_with(**{"crm.url": inspected.url, "crm.ca_file": str(tmp_path / "ca.pem")})
    assert codes(causes.signer_findings(settings)) == ["net.tls_own"]


def test_nobody_there_is_not_an_inspection(settings_with: SettingsWith) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(CrmUnavailable):
        look(f"https://127.0.0.1:{port}", 2.0)
    assert causes.signer_findings(settings_with(**{"crm.url": "http://127.0.0.1:1"})) == []


# --- the doctor as a whole ------------------------------------------------------------------------


def test_steps_are_told_as_they_finish(paths: Paths, settings_with: SettingsWith) -> None:
    checks = all_checks(settings_with(**{"pms.kind": "sample"}), paths, Stood())
    seen: list[tuple[int, str]] = []
    results, _ = run_checks(checks, lambda done, title: seen.append((len(done), title)))
    assert [count for count, _ in seen] == list(range(len(checks) + 1))
    assert seen[-1] == (len(checks), "")
    assert {result.topic for result in results} >= {
        "machine", "program", "agent", "settings", "secrets", "pms", "server", "signer", "crm",
    }  # fmt: skip
