"""The checks find every kind of damage, and none in what the stand-in did; audit hash; SQLite."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent.sandbox.practice.stores import SqliteStore
from tests.odapi.calling import ZONE, Caller, tomorrow
from tests.support.odapi import Database, Office, StandIn, mark, problems
from tests.support.odapi.office import log_hash


@pytest.fixture
def office(caller: Caller) -> Iterator[Office]:
    borrowed = caller.api.borrow()
    yield borrowed
    caller.api.give_back(borrowed, broken=False)


def kinds(office: Office) -> set[str]:
    return {found.kind for found in problems(office)}


@pytest.mark.mariadb
def test_what_the_api_did_has_no_problems(caller: Caller, office: Office) -> None:
    patient = caller.patient()
    num = caller.visit(patient, tomorrow(), AppointmentTypeNum=5)
    caller.put(f"appointments/{num}", AptDateTime=tomorrow("10:00:00"), Note="moved")
    caller.put(f"appointments/{num}/Confirm", defNum=21)
    caller.put(f"appointments/{num}/Note", Note="more")
    caller.put(f"appointments/{num}/Break", sendToUnscheduledList="true")
    caller.put(f"patients/{patient}", City="Salem")

    assert problems(office) == []


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("UPDATE appointment SET AptDateTime='2030-01-01 09:00:00'", "hash_wrong"),
        ("UPDATE appointment SET Note='by hand'", "history_behind"),
        ("DELETE FROM histappointment", "no_created_history"),
        ("UPDATE securitylog SET LogText='other'", "log_hash_wrong"),
        ("DELETE FROM securityloghash LIMIT 1", "log_hash_rows"),
        ("UPDATE patient SET Guarantor=0", "guarantor"),
        ("UPDATE patient SET SecurityHash=''", "hash_wrong"),
        ("UPDATE patient SET PriProv=0", "no_provider"),
        ("UPDATE procedurelog SET AptNum=77", "appointment_gone"),
        ("UPDATE appointment SET Op=1, AptDateTime='2030-01-01 09:00:00'", "overlap"),
    ],
)  # fmt: skip
def test_each_kind_of_damage_is_found(
    caller: Caller, office: Office, damage: str, kind: str
) -> None:
    patient = caller.patient()
    caller.visit(patient, tomorrow(), AppointmentTypeNum=5)
    caller.visit(patient, tomorrow("11:00:00"))
    assert problems(office) == []

    caller.run(damage)

    assert kind in kinds(office)


def test_an_audit_lines_hash_is_sha256_of_its_fields_in_utf_16() -> None:
    line: dict[str, object] = {
        "PermType": 25, "UserNum": 0, "LogDateTime": "2026-01-02 03:04:05", "LogText": "été",
        "PatNum": 7, "DateTPrevious": "0001-01-01 00:00:00",
    }  # fmt: skip
    joined = "2502026-01-02 03:04:05été7"
    earlier = "2026-01-01 00:00:00"

    def digest(text: str) -> str:
        pairs = b"".join(bytes((ord(char) & 255, ord(char) >> 8)) for char in text)
        return base64.b64encode(hashlib.sha256(pairs).digest()).decode()

    assert log_hash(line) == digest(joined)
    assert log_hash({**line, "DateTPrevious": earlier}) == digest(joined + earlier)


@pytest.mark.mariadb
def test_only_what_is_above_the_mark_is_looked_at(caller: Caller, office: Office) -> None:
    caller.visit(caller.patient(), tomorrow())
    caller.run("UPDATE appointment SET Note='by hand'")
    before = mark(office)
    caller.visit(caller.patient(FName="Robin"), tomorrow("11:00:00"))

    assert problems(office, before) == []
    assert problems(office) != []


@pytest.mark.mariadb
def test_random_keys_where_the_office_draws_them(caller: Caller) -> None:
    caller.pref("RandomPrimaryKeys", "1")
    num = caller.visit(caller.patient(), tomorrow())
    caller.pref("RandomPrimaryKeys", "0")

    assert num > 1 << 40
    assert caller.get(f"appointments/{num}").json()["AptNum"] == num


def test_the_sample_practices_file_serves_too(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "sample.db")
    store.create_tables("24.3")
    store.begin_bulk([])
    store.run("INSERT INTO preference (PrefName,ValueString) VALUES ('PracticeDefaultProv','1')")
    store.run("INSERT INTO provider (ProvNum,Abbr) VALUES (1,'DOC')")
    store.run("INSERT INTO operatory (OperatoryNum,OpName) VALUES (1,'OP-1')")
    store.run("INSERT INTO definition (DefNum,Category,ItemName) VALUES (19,2,'Not Called')")
    store.end_bulk()
    store.close()
    with StandIn(Database(file=tmp_path / "sample.db", zone=ZONE)) as api:
        head = {"Authorization": api.authorization, "Content-Type": "application/json"}
        with httpx.Client(base_url=api.url + "/", headers=head) as http:
            patient = http.post("patients", json={"LName": "Ash", "FName": "Rowan"}).json()
            made = http.post(
                "appointments",
                json={"PatNum": patient["PatNum"], "Op": 1, "AptDateTime": tomorrow()},
            )
            found = http.get("appointments", params={"DateTStamp": tomorrow(days=-1)}).json()
        assert made.status_code == 201
        assert [row["AptNum"] for row in found] == [made.json()["AptNum"]]
        assert found[0]["DateTStamp"] <= found[0]["serverDateTime"]
        office = api.borrow()
        assert problems(office) == []
        api.give_back(office, broken=False)
        assert not api.crashes
