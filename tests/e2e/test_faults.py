"""What goes wrong in an office, done to the real agent: lines, brakes, backups, bad rows."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.cli.stage import Stage
from agent.errors import ExitCode
from agent.model.status import State
from agent.model.streams import Stream
from agent.sandbox.crm.faults import Fault, FaultKind
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import Life
from agent.support.health import Report
from tests.support.until import until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, patients=60, settings={"sync.change_brake_share": 1.0}) as made:
        made.start_agent()
        made.wait_loaded(60)
        yield made


def said(stage: Stage) -> Report:
    report = until(stage.status)
    assert report is not None
    return report


def agree(stage: Stage, timeout_s: float = 45.0) -> None:
    found = stage.wait_agreed(timeout_s)
    assert found.agrees, found.table()


def effects(stage: Stage) -> int:
    """State-changing effects the CRM ever took."""
    return stage.watcher.effects()[0]


def command(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "agent", "--home", str(stage.paths.home), *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def run_sql(stage: Stage, sql: str) -> int:
    with closing(sqlite3.connect(stage.practice_file, timeout=10)) as practice:
        count = practice.execute(sql).rowcount
        practice.commit()
        return count


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(FaultKind.STATUS, times=4, status=503)],
        [Fault(FaultKind.STATUS, times=2, status=429, retry_after_s=1)],
        [Fault(FaultKind.RESET_AFTER, times=3), Fault(FaultKind.TRUNCATED, times=3)],
        [Fault(FaultKind.SILENT_AFTER, times=2, delay_s=0.3)],
        [Fault(FaultKind.RESET_BEFORE, times=3), Fault(FaultKind.SLOW, times=3, delay_s=0.3)],
    ],
    ids=["503", "429", "effect-then-cut", "effect-then-silence", "cut-and-slow"],
)
def test_faults_of_the_line_lose_and_double_nothing(stage: Stage, faults: list[Fault]) -> None:
    stage.crm.faults.arm(*faults)
    for _ in Life(stage.desk, seed=3).run(rate=20, changes=40):
        pass
    agree(stage)
    assert stage.crm.faults.fired
    assert stage.watcher.effects()[1] == 0


def test_one_refused_record_is_parked_and_nothing_else_waits(stage: Stage) -> None:
    life = Life(stage.desk, seed=4)
    stage.crm.faults.arm(Fault(FaultKind.ITEM, times=0, type="patient", key="5"))
    run_sql(
        stage,
        "UPDATE patient SET City='Ember Falls', DateTStamp=datetime('now') WHERE PatNum IN (5, 6)",
    )
    until(lambda: said(stage).snapshot.parked == 1)
    assert said(stage).state is State.NEEDS_REVIEW
    deed = life.step(DeedKind.COMMLOG)
    place = (deed.stream, deed.key)
    assert stage.watcher.wait([place], deed.at_wall, 5)
    found = stage.compare()
    assert [line.stream for line in found.streams if not line.agrees] == [Stream.PATIENT]
    assert found.of(Stream.PATIENT).different == 1
    # Its next content is accepted, and that releases it.
    stage.crm.faults.clear()
    run_sql(
        stage, "UPDATE patient SET City='Ember Hills', DateTStamp=datetime('now') WHERE PatNum=5"
    )
    until(lambda: said(stage).snapshot.parked == 0)
    agree(stage)


def test_a_stamp_storm_sends_nothing(stage: Stage) -> None:
    agree(stage)
    before = effects(stage)
    assert run_sql(stage, "UPDATE patient SET DateTStamp=datetime('now')") >= 60
    life = Life(stage.desk, seed=5)
    deed = life.step(DeedKind.COMMLOG)  # proves that the lane has passed the storm
    assert stage.watcher.wait([(deed.stream, deed.key)], deed.at_wall, 10)
    time.sleep(1)
    assert effects(stage) - before <= 1 + len(deed.also)


def test_mass_deletion_meets_the_brake_and_a_person_releases_it(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    count = run_sql(stage, "DELETE FROM commlog")
    assert count > 20
    until(lambda: said(stage).state is State.ACTION_NEEDED, 30)
    codes = {finding.code for finding in said(stage).snapshot.findings}
    assert "guard.mass_change" in codes
    # The CRM still holds every one of them; the rest of the practice goes on.
    extra = stage.compare().of(Stream.COMMUNICATION).extra
    assert extra == count
    record_property("deleted at once", count)
    record_property("held back until a person's word", extra)
    deed = Life(stage.desk, seed=6).step(DeedKind.BOOK)
    assert stage.watcher.wait([(deed.stream, deed.key)], deed.at_wall, 5)
    stage.stop_agent()
    done = command(stage, "sync", "--allow", "communication", "--timeout", "60", "--json")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    agree(stage, 5)


def test_a_restored_backup_is_fenced_until_a_person_accepts_it(
    stage: Stage, tmp_path: Path
) -> None:
    stage.stop_agent()
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(stage.practice_file)) as practice:
        practice.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(stage.practice_file, old)
    stage.start_agent()
    stage.wait_loaded(30)
    for _ in Life(stage.desk, seed=7).run(rate=50, changes=40):
        pass
    agree(stage)
    before = effects(stage)
    with (
        closing(sqlite3.connect(old)) as source,
        closing(sqlite3.connect(stage.practice_file, timeout=10)) as target,
    ):
        source.backup(target)
    until(lambda: said(stage).snapshot.pms_error == "pms.suspect_restored")
    assert said(stage).state is State.ACTION_NEEDED
    time.sleep(1)
    assert effects(stage) == before
    stage.stop_agent()
    refused = command(stage, "sync", "--timeout", "20", "--json")
    assert refused.returncode == ExitCode.ACTION, refused.stdout
    done = command(stage, "sync", "--accept-source", "--prove", "--timeout", "60", "--json")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    agree(stage, 5)


def test_an_update_of_the_practice_system_is_waited_for(stage: Stage) -> None:
    flag = "UPDATE preference SET ValueString='{}' WHERE PrefName='UpdateInProgressOnComputerName'"
    assert run_sql(stage, flag.format("SERVER1")) == 1
    until(lambda: said(stage).snapshot.pms_error == "pms.update_running")
    before = effects(stage)
    Life(stage.desk, seed=8).step(DeedKind.BOOK)
    time.sleep(1)
    assert effects(stage) == before
    run_sql(stage, flag.format(""))
    agree(stage)


def test_a_row_nobody_can_read_is_parked_alone(stage: Stage) -> None:
    run_sql(stage, "UPDATE recall SET DateDue='next spring' WHERE RecallNum=3")
    run_sql(stage, "UPDATE recall SET Note='call first' WHERE RecallNum=4")
    until(lambda: said(stage).snapshot.parked == 1, 40)
    found = stage.wait_agreed(1)
    assert found.of(Stream.RECALL).different == 1
    run_sql(stage, "UPDATE recall SET DateDue='2027-04-01' WHERE RecallNum=3")
    until(lambda: said(stage).snapshot.parked == 0, 40)
    agree(stage)


def test_the_crm_may_be_down_when_the_agent_starts(stage: Stage) -> None:
    stage.stop_agent()
    port = stage.crm.port
    stage.crm.stop()
    for _ in Life(stage.desk, seed=9).run(rate=100, changes=20):
        pass
    stage.start_agent()
    until(lambda: said(stage).snapshot.crm_error is not None)
    waiting = said(stage).snapshot.pending
    assert waiting > 0
    assert said(stage).state is not State.UP_TO_DATE
    stage.restart_crm(port)
    agree(stage)


def test_a_second_agent_is_refused_and_the_first_stops_in_time(stage: Stage) -> None:
    second = command(stage, "run", "--quiet", "--for", "1")
    assert second.returncode == ExitCode.BUSY
    began = time.monotonic()
    stage.stop_agent()
    assert time.monotonic() - began < 3.0
    asked = command(stage, "status", "--json")
    assert asked.returncode == ExitCode.FAILED  # not running is never green
    assert '"engine_unreachable"' in asked.stdout


def test_a_pause_stands_still_says_so_and_ends(stage: Stage) -> None:
    assert command(stage, "pause", "--for", "30").returncode == ExitCode.OK
    until(lambda: said(stage).state is State.PAUSED)
    time.sleep(0.5)
    before = effects(stage)
    for _ in Life(stage.desk, seed=11).run(rate=50, changes=10):
        pass
    time.sleep(1)
    assert effects(stage) == before
    assert command(stage, "resume").returncode == ExitCode.OK
    agree(stage)
