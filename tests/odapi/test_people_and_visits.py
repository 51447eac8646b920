from __future__ import annotations

import pytest

from tests.odapi.calling import Caller, tomorrow
from tests.support.odapi.office import log_hash

pytestmark = pytest.mark.mariadb


def test_a_new_patient_has_the_documented_answer_and_rows(caller: Caller) -> None:
    made = caller.post(
        "patients", LName="birch", FName="Jane", Birthdate="1976-05-24", Gender="Female",
        WirelessPhone="536-987-4822", Email="jane@example.org", TxtMsgOk="Yes",
    )  # fmt: skip

    assert made.status_code == 201
    answer = made.json()
    num = answer["PatNum"]
    assert made.headers["location"] == f"{caller.api.url}/patients/{num}"
    assert answer["LName"] == "Birch"
    assert answer["WirelessPhone"] == "(536)987-4822"
    assert answer["Guarantor"] == num
    assert (answer["Gender"], answer["TxtMsgOk"], answer["PatStatus"]) == (
        "Female", "Yes", "Patient",
    )  # fmt: skip
    assert (answer["PriProv"], answer["BillingType"]) == (1, "Standard Account")
    assert caller.get(f"patients/{num}").json() == answer
    assert caller.row(f"SELECT COUNT(*) FROM custreference WHERE PatNum={num}") == (1,)
    kind, source = caller.row(f"SELECT PermType, LogSource FROM securitylog WHERE PatNum={num}")
    assert (kind, source) == (106, 23)
    assert caller.row(f"SELECT LENGTH(SecurityHash) > 20 FROM patient WHERE PatNum={num}") == (1,)


def test_an_appointment_has_the_documented_answer_and_every_row_beside_it(caller: Caller) -> None:
    patient = caller.patient()
    made = caller.post("appointments", PatNum=patient, Op=1, AptDateTime=tomorrow())

    assert made.status_code == 201
    answer = made.json()
    num = answer["AptNum"]
    assert made.headers["location"].endswith(f"/api/v1/appointments/{num}")
    assert answer["AptStatus"] == "Scheduled"
    assert answer["Pattern"] == "/XX/"
    assert answer["confirmed"] == "Not Called"
    assert answer["IsNewPatient"] == "false"
    assert answer["colorOverride"] == "0,0,0"
    assert answer["DateTimeArrived"] == "0001-01-01 00:00:00"
    assert answer["PatternSecondary"] == "////"
    assert "serverDateTime" not in answer
    assert caller.get(f"appointments/{num}").json()["serverDateTime"]
    history = caller.rows(
        f"SELECT HistApptAction, ApptSource, AptStatus FROM histappointment WHERE AptNum={num}"
    )
    assert history == [(0, 6, 1)]
    signals = caller.rows("SELECT FKeyType, FKey FROM signalod WHERE IType=68 ORDER BY FKeyType")
    assert signals == [("Operatory", 1), ("PatNum", patient), ("Provider", 1)]
    names = ("PermType", "UserNum", "LogDateTime", "LogText", "PatNum", "DateTPrevious")
    logged = dict(
        zip(
            names,
            caller.row(
                "SELECT PermType, UserNum, CAST(LogDateTime AS CHAR), LogText, PatNum, "
                f"CAST(DateTPrevious AS CHAR) FROM securitylog WHERE FKey={num} AND PermType=25"
            ),
            strict=True,
        )
    )
    assert (log_hash(logged),) in caller.rows("SELECT LogHash FROM securityloghash")
    assert caller.row(f"SELECT FKeyType FROM entrylog WHERE FKey={num}") == (0,)


def test_two_appointments_may_lie_on_each_other(caller: Caller) -> None:
    patient = caller.patient()

    assert caller.visit(patient, tomorrow()) != caller.visit(patient, tomorrow())
