"""The live lane where no stamp says what moved: a real engine over a polled schedule.

The mini practice with text keys on PostgreSQL; the CRM is one in memory. What a receptionist does
reaches the CRM within about a second; what vanished is believed only when it was missed twice; a
schedule that is suddenly empty is doubted.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.config import PayloadSeal
from agent.journal.journal import Journal
from agent.model.streams import Stream
from agent.runtime.clock import SystemClock
from agent.sync import polling
from agent.sync.datamap import DataMap
from agent.sync.engine import Engine
from agent.sync.session import Tuning
from drivers.odbc.session import OdbcSession
from tests.drivers.odbc.layouts import ZONE
from tests.drivers.odbc.offices import Office
from tests.sync.rig import MemoryCrm

pytestmark = [pytest.mark.odbc, pytest.mark.usefixtures("gate")]

MAP = DataMap.load(
    """\
stream,crm_field,crm_type,source_table,source_column,source_type,transform,direction,owner,\
on_conflict,trigger,required,since,note
patient,key,key,person,pid,bigint,id,to_crm,pms,pms,sweep,yes,,
patient,last_name,text,person,name,varchar,name,to_crm,pms,pms,sweep,,,
appointment,key,key,visit,vid,bigint,id,to_crm,pms,pms,sweep,yes,,
appointment,patient_key,key,visit,pid,bigint,key,to_crm,pms,pms,sweep,,,
appointment,note,text,visit,note,varchar,text,to_crm,pms,pms,sweep,,,
""",
    origin="mini",
)
SOON_S = 3.0
SURE_S = 1.5  # here; what it is for an office is ``agent.sync.polling``'s
VISITS = range(1, 61)


class Running:
    """An engine with its lanes in threads."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office = office
        self.crm = MemoryCrm()
        clock = SystemClock()
        self.journal = Journal.open(folder / "journal.db", seal=PayloadSeal(b"k" * 32), clock=clock)
        tuning = Tuning(zone=ZONE, load_duty=1.0, settle_s=0.1)
        self.engine = Engine(
            office.source(), self.crm, self.journal, MAP, clock, tuning, lambda: 0.5
        )
        lanes = (
            self.engine.watch,
            self.engine.bulk,
            lambda: self.engine.dispatcher.run(self.engine.stopping),
        )
        self._threads = [threading.Thread(target=lane, daemon=True) for lane in lanes]
        for thread in self._threads:
            thread.start()

    def visit(self, key: int) -> dict[str, Any] | None:
        return self.crm.record(Stream.APPOINTMENT, key)

    def note(self, key: int) -> str | None:
        found = self.visit(key)
        return None if found is None else found.get("note")

    def until(self, true: Callable[[], object], within_s: float = SOON_S) -> float:
        """Seconds until it was so."""
        began = time.monotonic()
        while not true():
            took = time.monotonic() - began
            assert took < within_s, "did not happen in time"
            time.sleep(0.01)
        return time.monotonic() - began

    def close(self) -> None:
        self.engine.stop()
        for thread in self._threads:
            thread.join(10)
        self.engine.dispatcher._pool.shutdown()
        session = self.engine.session
        if session is not None:
            session.load._reads.shutdown()
        self.journal.close()


def local(days: int = 0) -> str:
    return (datetime.now(ZoneInfo(ZONE)) + timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")


@pytest.fixture
def running(
    postgres_coded: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    monkeypatch.setattr(polling, "SURE_GONE_S", SURE_S)
    office = postgres_coded
    office.empty()
    office.register(1, 2)
    office.book(*VISITS, at=local(1))
    made = Running(office, tmp_path)
    try:
        made.until(lambda: len(made.crm.canons(Stream.APPOINTMENT)) == len(VISITS), 20)
        made.until(
            lambda: made.engine.session is not None and made.engine.session.load.progress.done
        )
        yield made
    finally:
        made.close()


def test_what_the_front_desk_does_is_with_the_crm_in_a_moment(running: Running) -> None:
    office = running.office
    took = []
    for round_ in range(5):
        office.note(7, f"said {round_}")
        took.append(running.until(lambda r=round_: running.note(7) == f"said {r}"))
    office.book(100, at=local(2), patient=2)
    took.append(running.until(lambda: running.visit(100)))
    booked = running.visit(100)
    assert booked is not None
    assert booked["patient_key"] == str(office.key(2))
    office.run(f"UPDATE {office.p}person SET name='Renamed' WHERE pid='P2x'")
    took.append(
        running.until(lambda: "Renamed" in str(running.crm.record(Stream.PATIENT, office.key(2))))
    )
    assert sorted(took)[len(took) // 2] < 1.5, took


def test_a_deleted_visit_is_missed_twice_before_it_is_believed(running: Running) -> None:
    office = running.office
    office.run(f"DELETE FROM {office.p}visit WHERE vid=9")
    took = running.until(lambda: running.visit(9) is None, 12)
    assert took > SURE_S  # seen missing once is not enough
    office.run(f"UPDATE {office.p}visit SET start_at='2040-01-01' WHERE vid=8")
    time.sleep(2 * SURE_S + 1)
    assert running.visit(8) is not None  # moved out of the window, not gone


def test_a_schedule_suddenly_empty_is_doubted(running: Running) -> None:
    office = running.office
    office.run(f"DELETE FROM {office.p}visit")
    running.until(lambda: running.engine.pms.code == "pms.suspect_restored", 10)
    time.sleep(SURE_S + 1)
    assert len(running.crm.canons(Stream.APPOINTMENT)) == len(VISITS)
    office.book(*range(200, 203), at=local(1))  # refilled with other numbers
    time.sleep(1.5)
    assert running.engine.pms.code == "pms.suspect_restored"
    assert running.visit(200) is None


def test_many_deletions_at_once_stop_at_the_brake(running: Running) -> None:
    office = running.office
    office.book(99, at=local(1))  # the highest number stays: only the brake is left to ask
    running.until(lambda: running.visit(99))
    office.run(f"DELETE FROM {office.p}visit WHERE vid<=40")
    running.until(lambda: Stream.APPOINTMENT in running.engine.brakes.on, 15)
    assert all(running.visit(key) is not None for key in range(1, 41))


@pytest.mark.slow
def test_a_stopped_child_costs_a_moment(running: Running) -> None:
    pids = set()
    honest = OdbcSession.ask

    def ask(self: OdbcSession, *args: Any, **more: Any) -> Any:
        if self.child_pid is not None:
            pids.add(self.child_pid)
        return honest(self, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OdbcSession, "ask", ask)
        running.until(lambda: pids)
    for pid in list(pids):
        os.kill(pid, signal.SIGKILL)
    running.office.note(5, "after the crash")
    assert running.until(lambda: running.note(5) == "after the crash", 6) < 6
