"""Each deed writes what the program is documented to write; life keeps its pace and its books."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from agent.errors import PmsError, PmsUnavailable
from agent.model.streams import Stream
from agent.sandbox.practice.create import (
    MariaDbStore,
    PracticePlan,
    SqliteStore,
    create_practice,
)
from agent.sandbox.practice.desk import Desk, MariaDesk, SqliteDesk
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import ACTIONS, USUAL_MIX, Life
from agent.sandbox.practice.schema import Engine, SchemaVersion
from tests.sandbox.practice import checks
from tests.support.mariadb import MariaDb

MARIADB = [
    pytest.param(("mariadb", Engine.MYISAM), marks=pytest.mark.mariadb, id="myisam"),
    pytest.param(("mariadb", Engine.INNODB), marks=pytest.mark.mariadb, id="innodb"),
]


@pytest.fixture(scope="module", params=[pytest.param(("sqlite", None), id="sqlite"), *MARIADB])
def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """A living practice of today, one per engine; each test looks only at what it did itself."""
    kind, engine = request.param
    plan = PracticePlan(patients=150, years=1, seed=5, version=SchemaVersion.V24_3)
    if kind == "sqlite":
        path = tmp_path_factory.mktemp("life") / "life.db"
        with closing(SqliteStore(path)) as store:
            create_practice(store, plan)
        opened: Desk = SqliteDesk(path)
    else:
        server: MariaDb = request.getfixturevalue("server")
        name = f"life_{engine.lower()}"
        with closing(
            MariaDbStore(
                host="127.0.0.1",
                port=server.port,
                user="root",
                password="",
                database=name,
                engine=engine,
            )
        ) as maria:
            create_practice(maria, plan)
        opened = MariaDesk(server.connect(name))
    with closing(opened):
        yield opened


@pytest.fixture
def life(desk: Desk) -> Life:
    return Life(desk, seed=11)


class Watch:
    """New rows of the log tables, and old rows' stamps, around one deed."""

    LOGS = (
        ("histappointment", "HistApptNum"),
        ("signalod", "SignalNum"),
        ("securitylog", "SecurityLogNum"),
        ("securityloghash", "SecurityLogHashNum"),
    )

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._marks = {t: self._top(t, k) for t, k in self.LOGS}

    def _top(self, table: str, key: str) -> int:
        return int(self._desk.rows(f"SELECT COALESCE(MAX({key}),0) FROM {table}")[0][0])

    def new(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        key = dict(self.LOGS)[table]
        return self._desk.rows(
            f"SELECT {columns} FROM {table} WHERE {key}>? ORDER BY {key}", self._marks[table]
        )

    def logged(self) -> set[int]:
        lines = self.new("securitylog", "PermType")
        assert len(lines) == len(self.new("securityloghash", "SecurityLogNum"))
        return {int(p) for (p,) in lines}

    def actions(self, apt: int) -> list[int]:
        return [
            int(a) for a, n in self.new("histappointment", "HistApptAction, AptNum") if n == apt
        ]


def row(desk: Desk, table: str, key_column: str, key: int, columns: str) -> tuple[Any, ...] | None:
    found = desk.rows(f"SELECT {columns} FROM {table} WHERE {key_column}=?", key)
    return found[0] if found else None


def test_booking_writes_visit_history_signal_log_procedures_and_recall(
    desk: Desk, life: Life
) -> None:
    seen: Counter[str] = Counter()
    for _ in range(30):
        watch = Watch(desk)
        deed = life.step(DeedKind.BOOK)
        found = row(
            desk, "appointment", "AptNum", deed.key,
            "AptStatus, ProcDescript, Op, AptDateTime, SecurityHash, PatNum",
        )  # fmt: skip
        assert found is not None
        status, descript, op, start, hashed, patient = found
        assert (status, descript, str(start)) == (
            1, deed.values["ProcDescript"], deed.values["AptDateTime"],
        )  # fmt: skip
        assert op
        assert hashed
        assert watch.actions(deed.key) == [0]
        assert watch.logged() == {25}
        signals = watch.new("signalod", "IType, FKeyType, FKey, DateViewing")
        assert {int(s[0]) for s in signals} <= {68}
        if signals:
            seen["signals"] += 1
            assert {"Provider", "Operatory", "PatNum"} == {s[1] for s in signals}
            assert ("PatNum", patient) in {(s[1], s[2]) for s in signals}
            assert {str(s[3]) for s in signals} == {str(start)[:10]}
        procs = [t.key for t in deed.also if t.stream is Stream.PROCEDURE]
        assert procs
        for proc in procs:
            assert row(desk, "procedurelog", "ProcNum", proc, "AptNum") == (deed.key,)
        for touch in deed.also:
            if touch.stream is Stream.RECALL:
                seen["recalls"] += 1
                scheduled = row(desk, "recall", "RecallNum", touch.key, "DateScheduled")
                assert scheduled is not None
                assert str(scheduled[0]) == str(start)[:10]
    assert seen["signals"] > 3
    assert seen["recalls"] > 3
    assert seen["signals"] < 30  # far days raise none
    assert checks.overlaps(desk.rows) == []


def test_moving_and_confirming(desk: Desk, life: Life) -> None:
    watch = Watch(desk)
    moved = life.step(DeedKind.MOVE)
    assert watch.actions(moved.key) == [1]
    assert watch.logged() == {26}
    found = row(desk, "appointment", "AptNum", moved.key, "AptDateTime, Op")
    assert found is not None
    assert (str(found[0]), str(found[1])) == (moved.values["AptDateTime"], moved.values["Op"])
    timed = 0
    arrived = {"22": "DateTimeArrived", "25": "DateTimeSeated", "246": "DateTimeDismissed"}
    for _ in range(25):
        watch = Watch(desk)
        deed = life.step(DeedKind.CONFIRM)
        assert watch.actions(deed.key) == [1]
        assert watch.logged() == {120}
        state = deed.values["Confirmed"]
        if state in arrived:
            timed += 1
            when = row(desk, "appointment", "AptNum", deed.key, arrived[state])
            assert when is not None
            assert str(when[0])[:10] == f"{desk.now():%Y-%m-%d}"
            assert str(when[0])[11:] != "00:00:00"
    assert timed


def test_breaking_goes_to_the_list_or_stays_and_is_charted(desk: Desk, life: Life) -> None:
    statuses = set()
    for _ in range(15):
        watch = Watch(desk)
        deed = life.step(DeedKind.BREAK)
        found = row(desk, "appointment", "AptNum", deed.key, "AptStatus, Op")
        assert found is not None
        statuses.add(int(found[0]))
        assert (int(found[0]) == 3) is (int(found[1]) == 0)
        codes = desk.rows(
            "SELECT c.ProcCode FROM procedurelog p JOIN procedurecode c ON c.CodeNum=p.CodeNum "
            "WHERE p.AptNum=? AND p.ProcStatus=2",
            deed.key,
        )
        action = {"D9986": 2, "D9987": 3}[codes[-1][0]]
        assert watch.actions(deed.key) == [action]
        assert 27 in watch.logged()
    assert statuses == {3, 5}


def test_completing_completes_procedures_recall_and_first_visit(desk: Desk, life: Life) -> None:
    today = f"{desk.now():%Y-%m-%d}"
    streams: set[Stream] = set()
    for _ in range(15):
        deed = life.step(DeedKind.COMPLETE)
        assert row(desk, "appointment", "AptNum", deed.key, "AptStatus") == (2,)
        assert desk.rows(
            "SELECT COUNT(*) FROM procedurelog WHERE AptNum=? AND ProcStatus=1", deed.key
        ) == [(0,)]
        for touch in deed.also:
            streams.add(touch.stream)
            if touch.stream is Stream.PROCEDURE:
                found = row(desk, "procedurelog", "ProcNum", touch.key, "ProcStatus, ProcDate")
                assert found is not None
                assert (int(found[0]), str(found[1])) == (2, today)
        patient = row(
            desk, "appointment a JOIN patient p ON p.PatNum=a.PatNum", "AptNum", deed.key,
            "p.DateFirstVisit",
        )  # fmt: skip
        assert patient is not None
        assert str(patient[0]) != "0001-01-01"
    assert {Stream.PROCEDURE, Stream.RECALL, Stream.CLINICAL_NOTE} <= streams


def test_deleting_a_visit_leaves_only_history(desk: Desk, life: Life) -> None:
    for (apt,) in desk.rows("SELECT AptNum FROM appointment WHERE AptStatus=1"):
        desk.insert("apptfield", {"AptNum": apt, "FieldName": "Escort", "FieldValue": "aunt"})
    for _ in range(5):
        watch = Watch(desk)
        deed = life.step(DeedKind.DELETE_APPOINTMENT)
        assert deed.gone
        assert row(desk, "appointment", "AptNum", deed.key, "AptNum") is None
        assert watch.actions(deed.key) == [4]
        for table in ("procedurelog", "labcase", "apptfield"):
            assert desk.rows(f"SELECT COUNT(*) FROM {table} WHERE AptNum=?", deed.key) == [(0,)]
        assert desk.rows(
            "SELECT COUNT(*) FROM securitylog WHERE FKey=? AND PermType IN (25,26,27)", deed.key
        ) == [(0,)]


def test_a_new_patient_comes_in_three_statements(desk: Desk, life: Life) -> None:
    guarantors = []
    real = desk.update

    def spy(table: str, key: int, changes: Any, *, silent: bool = False) -> int:
        if table == "patient":
            guarantors.append(row(desk, "patient", "PatNum", key, "Guarantor"))
        return real(table, key, changes, silent=silent)

    desk.update = spy  # type: ignore[method-assign]
    try:
        watch = Watch(desk)
        deed = life.step(DeedKind.NEW_PATIENT)
    finally:
        del desk.update  # type: ignore[attr-defined]
    assert guarantors == [(0,), (0,)]  # seen half-made before the hash and before the guarantor
    found = row(desk, "patient", "PatNum", deed.key, "Guarantor, SecurityHash, LName")
    assert found is not None
    assert found[0]
    assert found[1]
    assert found[2] == deed.values["LName"]
    assert watch.logged() == {106}
    assert desk.rows("SELECT COUNT(*) FROM phonenumber WHERE PatNum=?", deed.key)[0][0] == 1


def test_demographics_keep_the_phone_table_in_step(desk: Desk, life: Life) -> None:
    phones = 0
    for _ in range(25):
        watch = Watch(desk)
        deed = life.step(DeedKind.DEMOGRAPHICS)
        assert watch.logged() == {108}
        columns = ", ".join(deed.values)
        found = row(desk, "patient", "PatNum", deed.key, columns)
        assert found is not None
        assert [str(v) for v in found] == list(deed.values.values())
        for column, kind in (("HmPhone", 1), ("WkPhone", 2), ("WirelessPhone", 3)):
            if column in deed.values:
                phones += 1
                numbers = desk.rows(
                    "SELECT PhoneNumberVal FROM phonenumber WHERE PatNum=? AND PhoneType=?",
                    deed.key,
                    kind,
                )
                assert numbers == [(deed.values[column],)]
    assert phones


def test_payments_claims_and_aging_leave_true_balances(desk: Desk, life: Life) -> None:
    for kind in (DeedKind.PAYMENT, DeedKind.CLAIM_RECEIVED, DeedKind.ADJUSTMENT):
        deed = life.step(kind)
        sums = checks.ledger(desk.rows)
        touched = [t.key for t in deed.also if t.stream is Stream.BALANCE]
        assert touched, kind
        for patient in touched:
            found = row(desk, "patient", "PatNum", patient, "EstBalance")
            assert found is not None
            assert round(float(found[0]) * 100) == sums[patient]
        family = {
            p for p, what in checks.wrong_balances(desk.rows) if what in {"InsEst", "BalTotal"}
        }
        assert not family & set(touched)
    assert checks.unbalanced_payments(desk.rows) == []
    claim = life.step(DeedKind.CLAIM_RECEIVED)
    assert row(desk, "claim", "ClaimNum", claim.key, "ClaimStatus") == ("R",)
    assert desk.rows(
        "SELECT COUNT(*) FROM claimproc WHERE ClaimNum=? AND (Status<>1 OR ClaimPaymentNum=0)",
        claim.key,
    ) == [(0,)]


def test_aging_touches_only_balances(desk: Desk, life: Life) -> None:
    columns = "PatNum, LName, WirelessPhone, Email, EstBalance, BalTotal"
    before = desk.rows(f"SELECT {columns} FROM patient ORDER BY PatNum")
    buckets = dict(desk.rows("SELECT PatNum, Bal_0_30 FROM patient"))
    deed = life.step(DeedKind.AGING)
    aged = {deed.key, *(t.key for t in deed.also)}
    assert len(aged) > 1
    after = desk.rows(f"SELECT {columns} FROM patient ORDER BY PatNum")
    # completing visits above left balances for aging to catch up with: names never move
    assert [r[:4] for r in before] == [r[:4] for r in after]
    changed = {
        int(p)
        for p, value in desk.rows("SELECT PatNum, Bal_0_30 FROM patient")
        if buckets[p] != value
    }
    assert changed
    assert changed <= aged


def test_a_silent_edit_moves_no_stamp_and_no_log(desk: Desk, life: Life) -> None:
    stamps = {
        "patient": ("PatNum", "DateTStamp"), "appointment": ("AptNum", "DateTStamp"),
        "commlog": ("CommlogNum", "DateTStamp"),
    }  # fmt: skip
    before = {
        table: dict(desk.rows(f"SELECT {key}, {stamp} FROM {table}"))
        for table, (key, stamp) in stamps.items()
    }
    edited = set()
    for _ in range(8):
        watch = Watch(desk)
        deed = life.step(DeedKind.SILENT_EDIT)
        edited.add(deed.table)
        assert deed.traceless
        assert watch.logged() == set()
        key, _ = stamps[deed.table]
        ((column, value),) = deed.values.items()
        assert row(desk, deed.table, key, deed.key, column) == (value,)
    assert len(edited) > 1
    for table, (key, stamp) in stamps.items():
        assert dict(desk.rows(f"SELECT {key}, {stamp} FROM {table}")) == before[table]


def test_a_hard_delete_leaves_no_trace(desk: Desk, life: Life) -> None:
    tables = ("commlog", "adjustment", "recall", "patfield")
    counts = {t: desk.rows(f"SELECT COUNT(*) FROM {t}")[0][0] for t in tables}
    watch = Watch(desk)
    deeds = [life.step(DeedKind.HARD_DELETE) for _ in range(6)]
    assert watch.logged() == set()
    assert watch.new("signalod", "SignalNum") == []
    assert all(d.traceless for d in deeds)
    lost = {t: counts[t] - desk.rows(f"SELECT COUNT(*) FROM {t}")[0][0] for t in tables}
    assert lost == {t: Counter(d.table for d in deeds)[t] for t in tables}
    for deed in deeds:
        assert deed.gone is (deed.table != "patfield")  # a field is part of its patient


def test_a_day_of_the_schedule_is_replaced(desk: Desk, life: Life) -> None:
    deed = life.step(DeedKind.SCHEDULE_DAY)
    gone = [t.key for t in deed.also if t.gone]
    made = [deed.key, *(t.key for t in deed.also if not t.gone)]
    assert len(gone) == len(made) >= 1
    for num in gone:
        assert row(desk, "schedule", "ScheduleNum", num, "ScheduleNum") is None
        assert desk.rows("SELECT COUNT(*) FROM scheduleop WHERE ScheduleNum=?", num) == [(0,)]
    for num in made:
        assert row(desk, "schedule", "ScheduleNum", num, "SchedType") == (1,)
        assert desk.rows("SELECT COUNT(*) FROM scheduleop WHERE ScheduleNum=?", num)[0][0] > 0


def test_fields_notes_and_calls(desk: Desk, life: Life) -> None:
    blanked = 0
    for _ in range(60):
        deed = life.step(DeedKind.FIELD)
        ((name, value),) = deed.values.items()
        found = desk.rows(
            "SELECT FieldValue FROM patfield WHERE PatNum=? AND FieldName=?", deed.key, name
        )
        assert found == ([(value,)] if value else [])
        blanked += not value
    assert blanked
    notes = desk.rows("SELECT COUNT(*) FROM procnote")[0][0]
    note = life.step(DeedKind.NOTE)
    assert desk.rows("SELECT COUNT(*) FROM procnote")[0][0] == notes + 1
    assert row(desk, "procnote", "ProcNoteNum", note.key, "Note") == (note.values["Note"],)
    permissions = set()
    for _ in range(20):
        watch = Watch(desk)
        call = life.step(DeedKind.COMMLOG)
        permissions |= watch.logged()
        assert row(desk, "commlog", "CommlogNum", call.key, "Note") == (call.values["Note"],)
    assert permissions == {43, 193}
    watch = Watch(desk)
    recall = life.step(DeedKind.RECALL)
    assert watch.logged() == {156}
    due = row(desk, "recall", "RecallNum", recall.key, "DateDue")
    assert due is not None
    assert str(due[0]) == recall.values["DateDue"]


def test_stamps_move_only_when_a_value_changes(desk: Desk) -> None:
    (num,) = desk.rows("SELECT MIN(PatNum) FROM patient")[0]

    def stamp() -> str:
        return str(desk.rows("SELECT DateTStamp FROM patient WHERE PatNum=?", num)[0][0])

    # Stamps count whole seconds: an earlier test may have moved this one within the current one.
    desk.run("UPDATE patient SET DateTStamp='2020-01-01 00:00:00' WHERE PatNum=?", num)
    old = stamp()
    desk.update("patient", num, {"City": "Elsewhere"}, silent=True)
    assert stamp() == old
    desk.update("patient", num, {"City": "Elsewhere"})
    assert stamp() == old  # equal values: nothing moved
    desk.update("patient", num, {"City": "Somewhere"})
    assert stamp() > old


def test_a_mixed_life_breaks_nothing(desk: Desk) -> None:
    life = Life(desk, seed=22)
    deeds = [life.step() for _ in range(150)]
    assert checks.overlaps(desk.rows) == []
    assert checks.unbalanced_payments(desk.rows) == []
    assert checks.guarantors_astray(desk.rows) == 0
    assert checks.dangling(desk.rows, lambda t: set(desk.columns(t))) == {}
    assert len({d.kind for d in deeds}) > 8
    assert [d.number for d in deeds] == list(range(1, 151))
    assert all(d.statements > 0 and d.at_monotonic >= d.began_monotonic for d in deeds)


# --- pacing, mix, errors: one engine is enough ----------------------------------------------------


@pytest.fixture
def own_desk(tmp_path: Path) -> Iterator[SqliteDesk]:
    path = tmp_path / "own.db"
    with closing(SqliteStore(path)) as store:
        create_practice(store, PracticePlan(patients=60, years=1, seed=3))
    with closing(SqliteDesk(path)) as opened:
        yield opened


class StoppedClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_pace_is_kept_and_bounds_end_it(own_desk: SqliteDesk) -> None:
    clock = StoppedClock()
    life = Life(own_desk, clock=clock, sleep=clock.sleep)
    deeds = list(life.run(rate=20, duration_s=2))
    assert len(deeds) == 40
    assert [round(d.at_monotonic - 100, 3) for d in deeds[:3]] == [0.0, 0.05, 0.1]
    assert len(list(life.run(rate=20, changes=7))) == 7


def test_a_slow_deed_is_caught_up_with(own_desk: SqliteDesk) -> None:
    clock = StoppedClock()
    life = Life(own_desk, clock=clock, sleep=clock.sleep)
    times = []
    for number, _ in enumerate(life.run(rate=10, changes=12)):
        times.append(clock.at)
        if number == 2:
            clock.at += 0.5  # somebody held a table
    assert times[3] == times[4] == times[5]
    assert times[-1] == pytest.approx(101.1)


def test_stopping_ends_a_waiting_life(own_desk: SqliteDesk) -> None:
    stop = threading.Event()
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    began = time.monotonic()
    deeds = list(Life(own_desk).run(rate=0.05, stop=stop))  # the second would be due after 20 s
    timer.join()
    assert len(deeds) == 1
    assert time.monotonic() - began < 10


def test_the_same_seed_does_the_same_deeds(tmp_path: Path) -> None:
    told = []
    for name in ("a.db", "b.db"):
        with closing(SqliteStore(tmp_path / name)) as store:
            create_practice(store, PracticePlan(patients=60, years=1, seed=3))
        with closing(SqliteDesk(tmp_path / name)) as opened:
            life = Life(opened, seed=4)
            told.append([(d.kind, d.stream, d.key) for d in (life.step() for _ in range(60))])
    assert told[0] == told[1]


def test_the_mix_decides_what_is_done(own_desk: SqliteDesk) -> None:
    life = Life(own_desk, mix={DeedKind.COMMLOG: 3, DeedKind.RECALL: 1, DeedKind.BOOK: 0})
    counts = Counter(life.step().kind for _ in range(80))
    assert set(counts) == {DeedKind.COMMLOG, DeedKind.RECALL}
    assert counts[DeedKind.COMMLOG] > counts[DeedKind.RECALL]
    assert set(ACTIONS) == set(USUAL_MIX) == set(DeedKind) - {DeedKind.PARK}


def test_random_keys_are_drawn_where_the_site_does(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with closing(SqliteStore(path)) as store:
        create_practice(store, PracticePlan(patients=60, years=1, seed=3, random_keys=True))
    with closing(SqliteDesk(path)) as opened:
        life = Life(opened)
        keys = [life.step(DeedKind.BOOK).key for _ in range(6)]
    assert keys != sorted(keys)
    assert max(keys) > 2**53


def test_an_empty_practice_and_a_missing_file_are_said(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    with closing(SqliteStore(path)) as store:
        store.create_tables("21.1.9")
    with closing(SqliteDesk(path)) as opened, pytest.raises(PmsError) as told:
        Life(opened).step()
    assert told.value.code == "practice.nothing_to_do"
    with pytest.raises(PmsUnavailable):
        SqliteDesk(tmp_path / "nowhere.db")


def test_desks_bind_every_value(own_desk: SqliteDesk) -> None:
    rng = Random(1)
    nasty = "O'Brien\\\"; DROP TABLE patient; -- " + str(rng.random())
    num = own_desk.insert("patient", {"LName": nasty, "Guarantor": 0})
    assert own_desk.rows("SELECT LName FROM patient WHERE PatNum=?", num) == [(nasty,)]
