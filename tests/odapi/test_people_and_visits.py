"""Patients and appointments: the documented answers, and the rows the program writes beside."""

from __future__ import annotations

import pytest

from tests.odapi.calling import Caller, local_now, tomorrow
from tests.support.odapi.office import appointment_hash, log_hash

pytestmark = pytest.mark.mariadb
both_engines = pytest.mark.parametrize("engine", ["MyISAM", "InnoDB"])


def stamps(caller: Caller, table: str, key: str, num: int) -> tuple[object, ...]:
    return caller.row(f"SELECT DateTStamp FROM {table} WHERE {key}={num}")


def histories(caller: Caller, num: int) -> list[int]:
    found = caller.rows(
        f"SELECT HistApptAction FROM histappointment WHERE AptNum={num} ORDER BY HistApptNum"
    )
    return [int(action) for (action,) in found]


def log_kinds(caller: Caller, num: int) -> list[int]:
    found = caller.rows(
        f"SELECT PermType FROM securitylog WHERE FKey={num} ORDER BY SecurityLogNum"
    )
    return [int(kind) for (kind,) in found]


# --- patients ---------------------------------------------------------------------------------


@both_engines
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
    assert answer["SecDateEntry"] == f"{local_now():%Y-%m-%d}"
    assert caller.get(f"patients/{num}").json() == answer
    assert caller.row(f"SELECT COUNT(*) FROM custreference WHERE PatNum={num}") == (1,)
    kind, source = caller.row(f"SELECT PermType, LogSource FROM securitylog WHERE PatNum={num}")
    assert (kind, source) == (106, 23)
    assert caller.row(f"SELECT LENGTH(SecurityHash) > 20 FROM patient WHERE PatNum={num}") == (1,)


def test_a_new_patient_is_built_in_the_programs_order(caller: Caller) -> None:
    caller.run("SET GLOBAL log_output='TABLE'")
    caller.run("TRUNCATE mysql.general_log")
    caller.run("SET GLOBAL general_log=ON")
    caller.patient()
    caller.run("SET GLOBAL general_log=OFF")

    written = [
        str(sql.decode() if isinstance(sql, bytes) else sql)
        for (sql,) in caller.rows(
            "SELECT argument FROM mysql.general_log WHERE command_type='Query' AND "
            "(argument LIKE 'INSERT INTO `%' OR argument LIKE 'UPDATE `%')"
        )
    ]
    steps = [
        "INSERT INTO `patient`", "UPDATE `patient` SET `SecurityHash`", "INSERT INTO `securitylog`",
        "INSERT INTO `securityloghash`", "INSERT INTO `custreference`",
        "UPDATE `patient` SET `Guarantor`", "UPDATE `patient` SET `ImageFolder`",
    ]  # fmt: skip
    assert [step for sql, step in zip(written, steps, strict=True) if sql.startswith(step)] == steps


def test_the_same_person_twice_is_refused(caller: Caller) -> None:
    same = {"LName": "Ash", "FName": "Rowan", "Birthdate": "1990-01-02"}
    caller.patient(**same, WirelessPhone="(503)555-0101", Email="rowan@example.org")

    by_phone = caller.post("patients", **same, HmPhone="1-503-555-0101")
    by_email = caller.post("patients", **same, Email="ROWAN@example.org")
    nothing_shared = caller.post("patients", **same, Email="other@example.org")
    twin = caller.post("patients", LName="Ash", FName="Robin", Birthdate="1990-01-02",
                       HmPhone="(503)555-0101")  # fmt: skip

    assert [r.status_code for r in (by_phone, by_email, nothing_shared, twin)] == [
        400, 400, 201, 201,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"FName": ""}, {"State": "oregon"}, {"Zip": "123"}, {"SSN": "123-45-6789"},
        {"Gender": "female"}, {"PatStatus": "Deleted"}, {"Birthdate": "5/24/1976"},
        {"TxtMsgOk": True}, {"ChartNumber": "1234567890123456"},
        {"Guarantor": 1, "SuperFamily": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_patient_the_pages_do_not_allow_is_refused(
    caller: Caller, wrong: dict[str, object]
) -> None:
    made = caller.post("patients", **{"LName": "Ash", "FName": "Rowan", **wrong})

    assert made.status_code == 400
    assert isinstance(made.json(), str)
    assert caller.rows("SELECT PatNum FROM patient") == []


def test_a_patient_put_writes_what_differs(caller: Caller) -> None:
    caller.pref("PatientPhoneUsePhonenumberTable", "1")
    num = caller.patient(HmPhone="5035550101", Email="a@example.org", MiddleI="Q")
    caller.run(f"UPDATE patient SET DateTStamp='2001-01-01' WHERE PatNum={num}")
    caller.run("DELETE FROM securitylog")
    before = stamps(caller, "patient", "PatNum", num)

    same = caller.put(f"patients/{num}", HmPhone="(503)555-0101", LName="")
    assert same.status_code == 200
    assert same.json()["LName"] == "Ash"
    assert stamps(caller, "patient", "PatNum", num) == before
    assert caller.rows("SELECT 1 FROM securitylog") == []

    changed = caller.put(f"patients/{num}", HmPhone="5035550202", MiddleI="", Email="")
    assert changed.json()["HmPhone"] == "(503)555-0202"
    assert (changed.json()["MiddleI"], changed.json()["Email"]) == ("", "")
    assert stamps(caller, "patient", "PatNum", num) != before
    assert caller.rows("SELECT PermType FROM securitylog") == [(108,)]
    numbers = caller.rows(f"SELECT PhoneNumberDigits FROM phonenumber WHERE PatNum={num}")
    assert numbers == [("5035550202",)]
    caller.pref("PatientPhoneUsePhonenumberTable", "0")


def test_deleted_patients_cannot_be_touched(caller: Caller) -> None:
    num = caller.patient()
    caller.run(f"UPDATE patient SET PatStatus=4 WHERE PatNum={num}")

    refused = (
        caller.put(f"patients/{num}", City="Salem"),
        caller.post("appointments", PatNum=num, Op=1, AptDateTime=tomorrow()),
        caller.post("commlogs", PatNum=num, Note="x"),
    )

    assert [r.status_code for r in refused] == [400, 400, 400]
    assert caller.get(f"patients/{num}").json()["PatStatus"] == "Deleted"
    assert caller.put("patients/999999", City="Salem").status_code == 404


def test_only_the_guarantor_hands_over_a_family(caller: Caller) -> None:
    head = caller.patient()
    child = caller.patient(FName="Robin", Guarantor=head)

    assert caller.put(f"patients/{child}", Guarantor=child).status_code == 400
    assert caller.put(f"patients/{head}", Guarantor=child).status_code == 200
    assert caller.rows("SELECT DISTINCT Guarantor FROM patient") == [(child,)]


def test_simple_finds_what_changed_since(caller: Caller) -> None:
    old, new = caller.patient(FName="Old"), caller.patient(FName="Newer")
    caller.run("SET time_zone='-06:00'")
    caller.run(f"UPDATE patient SET DateTStamp='2020-05-05 05:05:05' WHERE PatNum={old}")

    found = caller.get("patients/Simple", DateTStamp="2020-05-05 05:05:05").json()
    assert [p["PatNum"] for p in found] == [new]
    assert found[0]["serverDateTime"][:13] == f"{local_now():%Y-%m-%d %H}"
    assert [p["FName"] for p in caller.get("patients/Simple", FName="ewe").json()] == ["Newer"]
    assert caller.get("patients", FName="old").json()[0]["PatNum"] == old
    assert "DateTStamp" not in caller.get("patients", FName="old").json()[0]


# --- appointments -----------------------------------------------------------------------------


@both_engines
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
    assert caller.row(f"SELECT SecurityHash FROM appointment WHERE AptNum={num}") == (
        appointment_hash({"AptStatus": 1, "Confirmed": 19, "AptDateTime": tomorrow()}),
    )


def test_two_appointments_may_lie_on_each_other(caller: Caller) -> None:
    patient = caller.patient()

    assert caller.visit(patient, tomorrow()) != caller.visit(patient, tomorrow())


def test_no_signal_for_a_day_nobody_looks_at(caller: Caller) -> None:
    patient = caller.patient()
    caller.visit(patient, tomorrow(days=5))
    assert caller.rows("SELECT 1 FROM signalod") == []

    caller.pref("ApptAutoRefreshRange", "-1")
    caller.visit(patient, tomorrow(days=50))
    assert len(caller.rows("SELECT 1 FROM signalod")) == 3
    caller.pref("ApptAutoRefreshRange", "4")


@both_engines
def test_a_type_brings_procedures_and_dates_the_recall(caller: Caller) -> None:
    patient = caller.patient()
    caller.run(f"INSERT INTO recall (PatNum,RecallTypeNum,Note) VALUES ({patient},1,'')")
    caller.run(
        "INSERT INTO procedurelog (PatNum,CodeNum,ProcStatus,ProcDate,Surf)"
        f" VALUES ({patient},9002,1,'2020-01-01','')"
    )

    made = caller.post(
        "appointments", PatNum=patient, Op=1, AptDateTime=tomorrow(), AppointmentTypeNum=5,
        IsNewPatient="true",
    ).json()  # fmt: skip

    assert (made["Pattern"], made["PatternSecondary"]) == ("//XXXX//", "////////")
    assert made["colorOverride"] == "0,255,0"
    assert made["ProcDescript"] == "Pro, PerEx"
    attached = caller.rows("SELECT CodeNum, AptNum, ProcStatus FROM procedurelog ORDER BY CodeNum")
    assert attached == [(9001, made["AptNum"], 1), (9002, made["AptNum"], 1)]
    day = tomorrow()[:10]
    assert caller.row("SELECT CAST(DateScheduled AS CHAR) FROM recall") == (day,)
    assert caller.row("SELECT CAST(DateFirstVisit AS CHAR) FROM patient") == (day,)

    caller.put(f"appointments/{made['AptNum']}/Break", sendToUnscheduledList="true")
    assert caller.row("SELECT CAST(DateScheduled AS CHAR) FROM recall") == ("0001-01-01",)


@both_engines
def test_a_move_rehashes_and_tells_both_days(caller: Caller) -> None:
    num = caller.visit(caller.patient(), tomorrow())
    caller.run("DELETE FROM signalod")

    moved = caller.put(f"appointments/{num}", AptDateTime=tomorrow("14:30:00", 2), Op=2)

    assert moved.status_code == 200
    assert moved.json()["AptDateTime"] == tomorrow("14:30:00", 2)
    assert moved.json()["DateTStamp"] == "0001-01-01 00:00:00"
    assert histories(caller, num) == [0, 1]
    told = caller.rows("SELECT CAST(DateViewing AS CHAR), FKey FROM signalod "
                       "WHERE FKeyType='Operatory' ORDER BY 1")  # fmt: skip
    assert told == [(tomorrow()[:10], 1), (tomorrow(days=2)[:10], 2)]
    assert log_kinds(caller, num) == [25, 26]
    assert caller.row("SELECT SecurityHash FROM appointment") == (
        appointment_hash({"AptStatus": 1, "Confirmed": 19, "AptDateTime": tomorrow("14:30:00", 2)}),
    )


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"PatNum": 999999}, 404), ({"Op": 99}, 404), ({"ProvNum": 99}, 404),
        ({"AptDateTime": "tomorrow"}, 400), ({"AptStatus": "Broken"}, 400),
        ({"Pattern": "XXoXX"}, 400), ({"IsHygiene": True}, 400), ({"Confirmed": 40}, 404),
        ({"PatternSecondary": "//"}, 400), ({"Op": None}, 400), ({"colorOverride": "red"}, 400),
    ],
    ids=str,
)  # fmt: skip
def test_an_appointment_the_pages_do_not_allow_is_refused(
    caller: Caller, wrong: dict[str, object], status: int
) -> None:
    body = {"PatNum": caller.patient(), "Op": 1, "AptDateTime": tomorrow(), **wrong}

    assert caller.post("appointments", **body).status_code == status
    assert caller.rows("SELECT 1 FROM appointment UNION SELECT 1 FROM histappointment") == []


def test_breaking_follows_the_offices_preferences(caller: Caller) -> None:
    patient = caller.patient()
    first, second = (caller.visit(patient, tomorrow(f"{h}:00:00")) for h in ("09", "10"))

    refused = caller.put(
        f"appointments/{first}/Break", sendToUnscheduledList="false", breakType="Missed"
    )
    assert refused.status_code == 400
    assert caller.put(f"appointments/{first}/Break").status_code == 400

    caller.pref("BrokenApptProcedure", "3")
    caller.pref("BrokenApptCommLog", "1")
    broken = caller.put(
        f"appointments/{first}/Break", sendToUnscheduledList="false", breakType="Missed"
    )
    listed = caller.put(f"appointments/{second}/Break", sendToUnscheduledList="true")
    caller.pref("BrokenApptProcedure", "0")
    caller.pref("BrokenApptCommLog", "0")

    assert (broken.status_code, broken.text, listed.status_code) == (200, "", 200)
    assert caller.rows("SELECT AptStatus, Op FROM appointment ORDER BY AptNum") == [(5, 1), (3, 0)]
    assert (histories(caller, first), histories(caller, second)) == ([0, 2], [0, 1])
    done = caller.rows("SELECT CodeNum, AptNum, ProcStatus FROM procedurelog")
    assert done == [(9003, first, 2)]
    assert caller.rows("SELECT CommType FROM commlog") == [(235,), (235,)]
    assert (log_kinds(caller, first), log_kinds(caller, second)) == ([25, 27], [25, 26])
    again = caller.put(f"appointments/{first}/Break", sendToUnscheduledList="true")
    assert again.status_code == 400


def test_confirming_by_word_or_number_and_arriving(caller: Caller) -> None:
    num = caller.visit(caller.patient(), tomorrow())

    assert caller.put(f"appointments/{num}/Confirm", confirmVal="Confirmed").status_code == 200
    assert caller.row("SELECT Confirmed FROM appointment") == (21,)
    assert caller.put(f"appointments/{num}/Confirm", defNum=22).status_code == 200
    answer = caller.get(f"appointments/{num}").json()
    assert answer["confirmed"] == "Arrived"
    assert answer["DateTimeArrived"][:10] == f"{local_now():%Y-%m-%d}"
    assert log_kinds(caller, num) == [25, 120, 120]
    assert caller.row("SELECT SecurityHash FROM appointment") == (
        appointment_hash({"AptStatus": 1, "Confirmed": 22, "AptDateTime": tomorrow()}),
    )
    for wrong in ({}, {"confirmVal": "Confirmed", "defNum": 21}, {"confirmVal": "yes"}):
        assert caller.put(f"appointments/{num}/Confirm", **wrong).status_code == 400


def test_a_note_is_appended_on_a_line_of_its_own(caller: Caller) -> None:
    num = caller.visit(caller.patient(), tomorrow(), Note="one")

    assert caller.put(f"appointments/{num}/Note", Note="two").status_code == 200
    assert caller.row("SELECT Note FROM appointment") == ("one\r\ntwo",)
    assert caller.get(f"appointments/{num}").json()["Note"] == "one two"


def test_slots_are_the_open_stretches_of_a_provider(caller: Caller) -> None:
    day = tomorrow()[:10]
    caller.run(
        "INSERT INTO schedule (ScheduleNum,SchedDate,StartTime,StopTime,SchedType,ProvNum,Note)"
        f" VALUES (1,'{day}','08:00:00','12:00:00',1,1,'')"
    )
    caller.run("INSERT INTO scheduleop (ScheduleNum,OperatoryNum) VALUES (1,2)")
    caller.visit(caller.patient(), f"{day} 09:00:00", Op=2, Pattern="XXXXXX")

    found = caller.get("appointments/Slots", date=day, ProvNum=1, OpNum=2).json()

    assert [(s["DateTimeStart"][11:], s["DateTimeEnd"][11:], s["OpNum"]) for s in found] == [
        ("08:00:00", "09:00:00", 2), ("09:30:00", "12:00:00", 2),
    ]  # fmt: skip
    longer = caller.get("appointments/Slots", date=day, ProvNum=1, OpNum=2, lengthMinutes=90)
    assert len(longer.json()) == 1
    assert caller.get("appointments/Slots", date=day, ProvNum=1, OpNum=1).json() == []
    assert caller.get("appointments/Slots", date="2020-01-01").status_code == 400


def test_the_list_filters_by_day_and_by_change(caller: Caller) -> None:
    patient = caller.patient()
    first, second = caller.visit(patient, tomorrow()), caller.visit(patient, tomorrow(days=3))
    day, later = tomorrow()[:10], tomorrow(days=3)[:10]

    def nums(**query: object) -> list[int]:
        return [row["AptNum"] for row in caller.get("appointments", **query).json()]

    assert nums(date=day) == [first]
    assert nums(dateStart=day, dateEnd=later) == [first, second]
    assert nums(PatNum=patient, AptStatus="Scheduled", Op=1) == [first, second]
    assert nums(DateTStamp=f"{local_now():%Y-%m-%d} 00:00:00", date=later) == [second]
    assert nums(DateTStamp=tomorrow()) == []
    assert nums(Limit=1, Offset=1) == [second]
