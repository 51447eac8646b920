"""The created practice: repeatable, whole, believable, the same on every engine."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.practice.create import (
    MariaDbStore,
    PracticePlan,
    Progress,
    SqliteStore,
    create_practice,
)
from agent.sandbox.practice.schema import Engine
from agent.sandbox.practice.tables import TABLES
from tests.sandbox.practice import checks
from tests.sandbox.practice.conftest import TODAY, make
from tests.support.mariadb import MariaDb
from tests.support.odschema import dump_path


def fingerprint(link: sqlite3.Connection) -> dict[str, str]:
    return {
        name: hashlib.sha256(
            repr(link.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()).encode()
        ).hexdigest()
        for (name,) in link.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        if not name.startswith("sqlite_")
    }


def columns_of(link: sqlite3.Connection, table: str) -> set[str]:
    return {r[1] for r in link.execute(f"PRAGMA table_info({table})")}


def one(link: sqlite3.Connection, sql: str) -> Any:
    return link.execute(sql).fetchone()[0]


def test_the_same_seed_and_day_give_the_same_rows(link: sqlite3.Connection, tmp_path: Path) -> None:
    first = fingerprint(link)
    with closing(sqlite3.connect(make(tmp_path / "again.db"))) as again:
        assert fingerprint(again) == first
    with closing(sqlite3.connect(make(tmp_path / "other.db", seed=8))) as other:
        differing = {t for t, h in fingerprint(other).items() if h != first[t]}
    assert {"patient", "appointment", "procedurelog", "payment"} <= differing


def test_as_many_patients_as_asked_in_whole_families(link: sqlite3.Connection) -> None:
    assert one(link, "SELECT COUNT(*) FROM patient") == 200
    assert checks.guarantors_astray(lambda q: link.execute(q).fetchall()) == 0
    assert one(link, "SELECT COUNT(*) FROM patient WHERE Guarantor<>PatNum") > 60


def test_every_reference_resolves(link: sqlite3.Connection) -> None:
    found = checks.dangling(lambda q: link.execute(q).fetchall(), lambda t: columns_of(link, t))
    assert found == {}


def test_money_adds_up(link: sqlite3.Connection) -> None:
    def ask(sql: str) -> list[tuple[Any, ...]]:
        return link.execute(sql).fetchall()

    assert checks.unbalanced_payments(ask) == []
    assert checks.wrong_balances(ask) == []
    assert one(link, "SELECT COUNT(*) FROM patient WHERE BalTotal>0") > 5
    # hardly anybody pays more than they owe: insurance and discounts come off first
    assert one(link, "SELECT COUNT(*) FROM patient WHERE BalTotal<0") < 8
    assert one(link, "SELECT COUNT(*) FROM payment") > 100
    assert not ask(
        "SELECT c.ClaimNum FROM claim c JOIN claimproc p ON p.ClaimNum=c.ClaimNum "
        "GROUP BY c.ClaimNum HAVING ABS(MAX(c.InsPayAmt)-SUM(p.InsPayAmt))>0.001 "
        "OR ABS(MAX(c.ClaimFee)-SUM(p.FeeBilled))>0.001"
    )
    assert not ask(
        "SELECT p.ClaimPaymentNum FROM claimpayment p JOIN claimproc c "
        "ON c.ClaimPaymentNum=p.ClaimPaymentNum GROUP BY p.ClaimPaymentNum "
        "HAVING ABS(MAX(p.CheckAmt)-SUM(c.InsPayAmt))>0.001"
    )


def test_nobody_sits_in_a_taken_chair_or_outside_hours(link: sqlite3.Connection) -> None:
    def ask(sql: str) -> list[tuple[Any, ...]]:
        return link.execute(sql).fetchall()

    assert checks.overlaps(ask) == []
    assert checks.outside_hours(ask) == 0


def test_past_and_future_are_on_the_right_side_of_today(link: sqlite3.Connection) -> None:
    day = f"{TODAY}"
    assert (
        one(link, f"SELECT COUNT(*) FROM appointment WHERE AptStatus=1 AND AptDateTime<'{day}'")
        == 0
    )
    assert (
        one(link, f"SELECT COUNT(*) FROM appointment WHERE AptStatus=2 AND AptDateTime>='{day}'")
        == 0
    )
    assert (
        one(link, f"SELECT COUNT(*) FROM procedurelog WHERE ProcStatus=2 AND ProcDate>='{day}'")
        == 0
    )
    assert one(link, f"SELECT COUNT(*) FROM payment WHERE PayDate>='{day}'") == 0
    for shape in TABLES.values():
        if shape.stamp and shape.name != "securitylog":
            late = one(
                link, f"SELECT COUNT(*) FROM {shape.name} WHERE {shape.stamp}>='{day} 12:00:00'"
            )
            assert late == 0, shape.name


def test_everything_an_office_has_is_there(link: sqlite3.Connection) -> None:
    at_least = {
        "SELECT COUNT(DISTINCT AptStatus) FROM appointment": 4,
        "SELECT COUNT(DISTINCT HistApptAction) FROM histappointment": 5,
        "SELECT COUNT(*) FROM histappointment h LEFT JOIN appointment a USING(AptNum) "
        "WHERE h.HistApptAction=4 AND a.AptNum IS NULL": 3,
        "SELECT COUNT(*) FROM appointment WHERE Priority=1": 1,
        "SELECT COUNT(DISTINCT PatStatus) FROM patient": 4,
        "SELECT COUNT(*) FROM patient WHERE DateTimeDeceased>'0001-01-02'": 1,
        "SELECT COUNT(*) FROM procedurelog WHERE ProcStatus=1 AND AptNum=0": 10,
        "SELECT COUNT(*) FROM procedurelog WHERE ProcStatus=6": 1,
        "SELECT COUNT(*) FROM claim WHERE ClaimStatus='R'": 50,
        "SELECT COUNT(*) FROM claim WHERE ClaimStatus='S'": 2,
        "SELECT COUNT(*) FROM patplan WHERE Ordinal=2": 1,
        "SELECT COUNT(*) FROM recall WHERE DateScheduled>'0001-01-02'": 20,
        f"SELECT COUNT(*) FROM recall WHERE DateDue<'{TODAY}' AND DateDue>'0001-01-02'": 10,
        "SELECT COUNT(*) FROM schedule WHERE SchedType=2": 50,
        "SELECT COUNT(*) FROM schedule WHERE Status=2": 5,
        "SELECT COUNT(*) FROM periomeasure WHERE SequenceType=4": 100,
        "SELECT COUNT(*)-COUNT(DISTINCT ProcNum) FROM procnote": 5,
        "SELECT COUNT(*) FROM patfield": 20,
        "SELECT COUNT(*) FROM refattach": 20,
        "SELECT COUNT(*) FROM labcase": 1,
        "SELECT COUNT(*)-COUNT(DISTINCT WirelessPhone) FROM patient": 10,
        "SELECT COUNT(*) FROM patient WHERE DateFirstVisit='0001-01-01'": 1,
    }
    short = {q: one(link, q) for q, least in at_least.items() if one(link, q) < least}
    assert short == {}
    assert one(link, "SELECT COUNT(*) FROM securitylog") == one(
        link, "SELECT COUNT(*) FROM securityloghash"
    )


def test_numbers_and_addresses_are_fictional(link: sqlite3.Connection) -> None:
    free = re.compile(r"\D*(\d{3})\D*555\D*01\d\d( x\d+)?|\+44 20 7946 0\d{3}|none")
    rows = link.execute("SELECT HmPhone, WkPhone, WirelessPhone, Email FROM patient").fetchall()
    for *numbers, mail in rows:
        for number in filter(None, numbers):
            assert free.fullmatch(re.sub(r"^1", "", number)), number
        for part in filter(None, re.split(r"[;,]", mail)):
            assert re.search(r"@($|(mail\.)?example\.(com|org|net)$)", part.strip().lower()), mail
    assert sum(1 for *_, mail in rows if mail) > 100


def test_clinics_random_keys_and_later_version(tmp_path: Path) -> None:
    path = make(tmp_path / "p.db", clinics=3, random_keys=True, version="24.3", patients=80)
    with closing(sqlite3.connect(path)) as link:
        assert one(link, "SELECT COUNT(*) FROM clinic") == 3
        assert one(link, "SELECT COUNT(DISTINCT ClinicNum) FROM patient") == 3
        assert one(link, "SELECT ValueString FROM preference WHERE PrefName='EasyNoClinics'") == "0"
        assert one(link, "SELECT MAX(PatNum) FROM patient") > 2**53
        keys = [k for (k,) in link.execute("SELECT AptNum FROM appointment ORDER BY SecDateTEntry")]
        assert keys != sorted(keys)
        assert one(link, "SELECT COUNT(*) FROM appointment WHERE SecurityHash=''") == 0
        found = checks.dangling(lambda q: link.execute(q).fetchall(), lambda t: columns_of(link, t))
        assert found == {}


def test_progress_is_told_and_ends(tmp_path: Path) -> None:
    told: list[Progress] = []
    with closing(SqliteStore(tmp_path / "p.db")) as store:
        made = create_practice(store, PracticePlan(patients=30, today=TODAY), told.append)
    assert told[-1].stage == "done"
    assert [p.rows for p in told] == sorted(p.rows for p in told)
    assert made.rows == told[-1].rows
    assert made.patients == made.counts["patient"] == 30


def test_bulk_history_keeps_the_book_and_the_ledger_true(tmp_path: Path) -> None:
    path = make(tmp_path / "p.db", patients=40, bulk_appointments=2000, bulk_procedures=5000)
    with closing(sqlite3.connect(path)) as link:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return link.execute(sql).fetchall()

        assert one(link, "SELECT COUNT(*) FROM appointment") > 2000
        assert one(link, "SELECT COUNT(*) FROM procedurelog") > 5000
        assert checks.overlaps(ask) == []
        assert checks.wrong_balances(ask) == []
        assert checks.unbalanced_payments(ask) == []


# --- MariaDB --------------------------------------------------------------------------------------


def store_at(server: MariaDb, database: str, engine: Engine) -> MariaDbStore:
    return MariaDbStore(
        host="127.0.0.1", port=server.port, user="root", password="", database=database,
        engine=engine,
    )  # fmt: skip


@pytest.mark.mariadb
@pytest.mark.parametrize("engine", list(Engine))
def test_mariadb_holds_the_same_practice(
    server: MariaDb, engine: Engine, link: sqlite3.Connection
) -> None:
    plan = PracticePlan(patients=200, years=2, seed=7, today=TODAY)
    with closing(store_at(server, f"own_{engine.lower()}", engine)) as store:
        made = create_practice(store, plan)
        for name, count in made.counts.items():
            assert count == one(link, f"SELECT COUNT(*) FROM {name}"), name
        engines = store.rows(
            "SELECT DISTINCT ENGINE FROM information_schema.tables WHERE TABLE_SCHEMA=?",
            store.database,
        )
        assert engines == [(engine.value,)]
        keys = store.rows(
            "SELECT COUNT(DISTINCT INDEX_NAME) FROM information_schema.statistics "
            "WHERE TABLE_SCHEMA=? AND TABLE_NAME='procedurelog' AND COALESCE(COMMENT,'')=''",
            store.database,
        )
        expected = sum(k.in_version((21, 1, 9)) for k in TABLES["procedurelog"].keys) + 1
        assert keys == [(expected,)]
        theirs = store.rows(
            "SELECT PatNum, LName, FName, Birthdate, HmPhone, Email, BalTotal, DateTStamp "
            "FROM patient ORDER BY PatNum"
        )
        ours = link.execute(
            "SELECT PatNum, LName, FName, Birthdate, HmPhone, Email, BalTotal, DateTStamp "
            "FROM patient ORDER BY PatNum"
        ).fetchall()
        assert [(*r[:3], str(r[3]), *r[4:7], str(r[7])) for r in theirs] == ours
        assert checks.wrong_balances(store.rows) == []
        assert checks.unbalanced_payments(store.rows) == []


@pytest.mark.mariadb
@pytest.mark.slow
def test_a_published_schema_is_kept_and_filled(server: MariaDb) -> None:
    dump = dump_path()
    if dump is None:
        pytest.skip("no published schema beside the project")
    plan = PracticePlan(patients=200, seed=7, today=TODAY, schema_dump=dump, clinics=2)
    with closing(store_at(server, "published", Engine.MYISAM)) as store:
        create_practice(store, plan)
        tables = store.rows(
            "SELECT COUNT(*) FROM information_schema.tables WHERE TABLE_SCHEMA='published'"
        )
        assert tables[0][0] == 379
        assert store.rows("SELECT COUNT(*) FROM preference")[0][0] > 900
        assert store.rows("SELECT LName FROM provider WHERE ProvNum=1") == [("Albert",)]
        assert store.rows("SELECT COUNT(*) FROM patient") == [(200,)]
        assert store.rows("SELECT COUNT(*) FROM patient WHERE LName IS NULL OR Email IS NULL") == [
            (0,)
        ]
        lost = checks.dangling(store.rows, lambda t: set(store.columns(t)))
        assert set(lost) <= {"recalltrigger.CodeNum"}  # so published
        assert checks.wrong_balances(store.rows) == []
        assert checks.overlaps(store.rows) == []
