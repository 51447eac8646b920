"""Hours of the practice on a real server: rows that go unannounced, operatories without a stamp."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from agent.model.streams import Stream
from agent.model.writing import Verb
from agent.sync.polling import SURE_GONE_S
from tests.sync.rig import TUNING, Office, Site

pytestmark = [pytest.mark.mariadb, pytest.mark.xdist_group("mariadb")]

Open = Callable[..., Site]
HOURS = Stream.SCHEDULE_BLOCK
MANY = 2 * TUNING.brake_rows


@pytest.fixture
def block(office: Office) -> int:
    """Hours of tomorrow, in one operatory."""
    number = office.add("schedule", SchedDate=office.one("SELECT CURDATE() + INTERVAL 1 DAY"),
                        StartTime="08:00:00", StopTime="12:00:00", SchedType=1, ProvNum=1,
                        Note="")  # fmt: skip
    office.add("scheduleop", ScheduleNum=number, OperatoryNum=1)
    return number


def test_hours_taken_away_are_gone_in_seconds(office: Office, open_site: Open, block: int) -> None:
    site = open_site(HOURS)
    site.load()
    office.run(f"DELETE FROM schedule WHERE ScheduleNum={block}")
    site.tick()
    held = site.held(HOURS, block)
    assert held is not None
    assert held.missing_since is not None
    assert site.has(HOURS, block)  # one look is not believed
    site.wait(SURE_GONE_S)
    site.tick()
    assert not site.has(HOURS, block)
    site.agree()


def test_hours_that_come_back_were_never_gone(office: Office, open_site: Open, block: int) -> None:
    site = open_site(HOURS)
    site.load()
    (row,) = office.rows(f"SELECT SchedDate, DateTStamp FROM schedule WHERE ScheduleNum={block}")
    office.run(f"DELETE FROM schedule WHERE ScheduleNum={block}")
    site.tick()
    office.add("schedule", ScheduleNum=block, SchedDate=row[0], StartTime="08:00:00",
               StopTime="12:00:00", SchedType=1, ProvNum=1, Note="",
               DateTStamp=row[1])  # fmt: skip
    site.wait(SURE_GONE_S)
    site.tick()
    site.tick()
    assert site.has(HOURS, block)
    assert all(change.verb is not Verb.DELETE for change in site.crm.changes)
    site.agree()


def test_another_operatory_is_seen_though_nothing_is_stamped(
    office: Office, open_site: Open, block: int
) -> None:
    site = open_site(HOURS)
    site.load()
    assert site.record(HOURS, block)["operatory_keys"] == ["1"]
    office.run(f"UPDATE scheduleop SET OperatoryNum=2 WHERE ScheduleNum={block}")
    site.tick()
    assert site.record(HOURS, block)["operatory_keys"] == ["2"]


def test_nothing_is_compared_while_no_table_moves(
    office: Office, open_site: Open, block: int
) -> None:
    site = open_site(HOURS, gates=True)
    site.load()
    office.until(lambda: _compared(site) == 0)
    time.sleep(1.1)  # gates count whole seconds of the true clock
    office.run(f"DELETE FROM scheduleop WHERE ScheduleNum={block}")
    office.until(lambda: _compared(site) > 0)
    assert "operatory_keys" not in site.record(HOURS, block)  # an empty list is not said


def test_days_that_leave_the_window_are_not_gone(
    office: Office, open_site: Open, block: int
) -> None:
    site = open_site(HOURS)
    site.load()
    for _ in range(4):
        site.wait(86_400)
        site.tick()
        site.wait(SURE_GONE_S)
        site.tick()
    assert all(change.verb is not Verb.DELETE for change in site.crm.changes)
    assert site.has(HOURS, block)
    site.agree()


def test_a_week_that_is_entered_anew_pulls_no_brake(office: Office, open_site: Open) -> None:
    site = _week_goes(office, open_site, anew=MANY)
    assert not site.engine.brakes.on
    site.agree()


def test_a_week_that_only_goes_pulls_the_brake(office: Office, open_site: Open) -> None:
    site = _week_goes(office, open_site, anew=0)
    assert site.engine.brakes.on == {HOURS}
    assert all(change.verb is not Verb.DELETE for change in site.crm.changes)


def _week_goes(office: Office, open_site: Open, *, anew: int) -> Site:
    """More blocks than may go unattended go, so many come; both are looked at long enough."""
    _enter(office, MANY)
    site = open_site(HOURS)
    site.load()
    office.run("DELETE FROM schedule WHERE Note='week'")
    _enter(office, anew)
    for _ in range(3):
        site.tick()
        site.wait(SURE_GONE_S)
    return site


def _enter(office: Office, blocks: int) -> None:
    tomorrow = office.one("SELECT CURDATE() + INTERVAL 1 DAY")
    for _ in range(blocks):
        office.add("schedule", SchedDate=tomorrow, StartTime="08:00:00", StopTime="12:00:00",
                   SchedType=1, ProvNum=1, Note="week")  # fmt: skip


def _compared(site: Site) -> int:
    """How many windows five rounds compare."""
    before = len(site.reader.asked("hashes_in_window"))
    for _ in range(5):
        site.tick()
    return len(site.reader.asked("hashes_in_window")) - before
