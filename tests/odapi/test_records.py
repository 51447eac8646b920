"""Communications, notes, perio, recalls, custom fields, documents, and the lists only read."""

from __future__ import annotations

import base64

import pytest

from tests.odapi.calling import Caller, local_now, tomorrow
from tests.support.odapi import formats

pytestmark = pytest.mark.mariadb


def procedure(caller: Caller, patient: int) -> int:
    caller.run(
        "INSERT INTO procedurelog (PatNum,CodeNum,ProcStatus,ProcDate,ProcFee,ToothNum,Surf) "
        f"VALUES ({patient},9001,2,'2024-01-02',130,'4','MO')"
    )
    (num,) = caller.row("SELECT MAX(ProcNum) FROM procedurelog")
    return int(num)


# --- communications and notes -----------------------------------------------------------------


def test_a_commlog_by_default_and_by_word(caller: Caller) -> None:
    patient = caller.patient()
    plain = caller.post("commlogs", PatNum=patient, Note="Left a message")
    spoken = caller.post(
        "commlogs", PatNum=patient, Note="Sure\r\nthing", commType="ApptRelated", Mode_="In Person",
        SentOrReceived="Received", CommDateTime="2022-01-01 11:19:00",
    )  # fmt: skip

    assert (plain.status_code, plain.headers.get("location")) == (201, None)
    first, second = plain.json(), spoken.json()
    assert (first["CommType"], first["commType"], first["Mode_"], first["SentOrReceived"]) == (
        "239", "Misc", "Phone", "Sent",
    )  # fmt: skip
    assert (second["CommType"], second["Mode_"], second["Note"]) == (
        "235", "In Person", "Sure thing",
    )  # fmt: skip
    assert caller.rows("SELECT CommSource, Mode_, Note FROM commlog ORDER BY CommlogNum") == [
        (7, 3, "Left a message"), (7, 4, "Sure\r\nthing"),
    ]  # fmt: skip
    listed = caller.get("commlogs", PatNum=patient).json()
    assert [row["CommlogNum"] for row in listed] == [first["CommlogNum"], second["CommlogNum"]]
    assert caller.rows("SELECT COUNT(*) FROM securitylog WHERE PermType=193") == [(2,)]
    assert caller.get("commlogs").status_code == 400
    caller.api.version = "23.3.6"
    assert caller.post("commlogs", PatNum=patient, Note="x").text == ""


@pytest.mark.parametrize(
    "wrong",
    [{"Note": ""}, {"Mode_": "InPerson"}, {"SentOrReceived": "sent"}, {"CommDateTime": "today"}],
    ids=str,
)
def test_a_wrong_commlog_is_refused(caller: Caller, wrong: dict[str, str]) -> None:
    body = {"PatNum": caller.patient(), "Note": "x", **wrong}

    assert caller.post("commlogs", **body).status_code == 400
    assert caller.rows("SELECT 1 FROM commlog") == []


def test_a_procedure_note_is_a_new_row_each_time(caller: Caller) -> None:
    patient = caller.patient()
    proc = procedure(caller, patient)
    first = caller.post("procnotes", PatNum=patient, ProcNum=proc, Note="Healing well")
    second = caller.post(
        "procnotes", PatNum=patient, ProcNum=proc, Note="Sutures out", doAppendNote="true",
        isSigned="true",
    )  # fmt: skip

    assert (first.status_code, first.json()["UserNum"], first.json()["isSigned"]) == (
        201, 0, "false",
    )  # fmt: skip
    assert second.json()["Note"] == "Healing well\r\n\r\nSutures out"
    listed = caller.get("procnotes", PatNum=patient, ProcNum=proc).json()
    assert [row["isSigned"] for row in listed] == ["true", "false"]
    assert caller.row("SELECT COUNT(*) FROM procnote") == (2,)
    other = caller.patient(FName="Robin")
    assert caller.post("procnotes", PatNum=other, ProcNum=proc, Note="x").status_code == 404


# --- perio ------------------------------------------------------------------------------------


def test_an_exams_strings_are_read_from_right_to_left(caller: Caller) -> None:
    patient = caller.patient()
    made = caller.post(
        "perioexams", PatNum=patient, UpperFacial="323b" + "4" * 21 + "567", LowerLingual="5bs6 7",
        Note="first",
    )  # fmt: skip

    assert made.status_code == 201
    exam = made.json()
    assert (exam["ProvNum"], exam["ExamDate"]) == (1, f"{local_now():%Y-%m-%d}")
    rows = {
        (row["SequenceType"], row["IntTooth"]): row
        for row in caller.get("periomeasures", PerioExamNum=exam["PerioExamNum"]).json()
    }
    one = rows["Probing", 1]
    assert (one["DBvalue"], one["Bvalue"], one["MBvalue"], one["Lvalue"]) == (3, 2, 3, -1)
    assert rows["BleedSupPlaqCalc", 1]["MBvalue"] == 1
    nine = rows["Probing", 9]  # beyond the middle the mesial side comes first
    assert (nine["MBvalue"], nine["Bvalue"], nine["DBvalue"]) == (5, 6, 7)
    assert ("Probing", 10) not in rows
    last = rows["Probing", 32]
    assert (last["DLvalue"], last["Lvalue"], last["MLvalue"]) == (5, 6, 7)
    assert rows["BleedSupPlaqCalc", 32]["DLvalue"] == 3
    assert caller.rows("SELECT FKeyType, FKey FROM signalod WHERE IType=104") == [
        ("Undefined", patient)
    ]
    assert caller.row("SELECT COUNT(*) FROM securitylog WHERE PermType=45") == (1,)


def test_missing_teeth_go_from_exam_to_exam_and_exams_go_with_their_measures(
    caller: Caller,
) -> None:
    patient = caller.patient()
    first = caller.post("perioexams", PatNum=patient, ExamDate="2024-01-01").json()
    num = first["PerioExamNum"]
    skip = caller.post(
        "periomeasures", PerioExamNum=num, SequenceType="SkipTooth", IntTooth=16, ToothValue=1
    )
    assert skip.status_code == 201
    second = caller.post("perioexams", PatNum=patient).json()["PerioExamNum"]
    carried = caller.get("periomeasures", PerioExamNum=second).json()
    assert [(m["SequenceType"], m["IntTooth"]) for m in carried] == [("SkipTooth", 16)]

    changed = caller.put(f"perioexams/{second}", Note="better", ProvNum=2)
    assert (changed.json()["Note"], changed.json()["ProvNum"]) == ("better", 2)
    assert caller.delete(f"perioexams/{second}").status_code == 200
    assert caller.get("periomeasures", PerioExamNum=second).json() == []
    assert caller.get(f"perioexams/{second}").status_code == 404
    assert [e["PerioExamNum"] for e in caller.get("perioexams", PatNum=patient).json()] == [num]


@pytest.mark.parametrize(
    ("measure", "status"),
    [
        ({"SequenceType": "Probing", "Bvalue": 3}, 201),
        ({"SequenceType": "Probing"}, 400),
        ({"SequenceType": "Probing", "Bvalue": 20}, 400),
        ({"SequenceType": "Probing", "Bvalue": 3, "ToothValue": 1}, 400),
        ({"SequenceType": "GingMargin", "Bvalue": 105}, 201),
        ({"SequenceType": "GingMargin", "Bvalue": 100}, 400),
        ({"SequenceType": "MGJ", "Lvalue": 3}, 400),
        ({"SequenceType": "Mobility", "ToothValue": 2}, 201),
        ({"SequenceType": "Mobility", "ToothValue": 2, "Bvalue": 1}, 400),
        ({"SequenceType": "BleedSupPlaqCalc", "Bvalue": 16}, 400),
        ({"SequenceType": "CAL", "Bvalue": 1}, 400),
        ({"SequenceType": "Bleeding", "Bvalue": 1}, 400),
        ({"SequenceType": "Probing", "Bvalue": 1, "IntTooth": 33}, 400),
    ],
    ids=str,
)
def test_a_measure_keeps_to_its_kind(
    caller: Caller, measure: dict[str, object], status: int
) -> None:
    exam = caller.post("perioexams", PatNum=caller.patient()).json()["PerioExamNum"]
    body = {"PerioExamNum": exam, "IntTooth": 8, **measure}

    made = caller.post("periomeasures", **body)

    assert made.status_code == status, made.text
    if status == 201:
        assert caller.post("periomeasures", **body).status_code == 400  # the same twice
        num = made.json()["PerioMeasureNum"]
        can_go = measure["SequenceType"] == "Mobility"
        assert caller.delete(f"periomeasures/{num}").status_code == (200 if can_go else 400)


def test_a_measure_is_changed_and_dates_its_exam(caller: Caller) -> None:
    exam = caller.post("perioexams", PatNum=caller.patient(), UpperFacial="323").json()
    caller.run("UPDATE perioexam SET DateTMeasureEdit='2001-01-01'")
    (measure,) = caller.get("periomeasures", PerioExamNum=exam["PerioExamNum"]).json()

    changed = caller.put(f"periomeasures/{measure['PerioMeasureNum']}", Bvalue=9)

    assert (changed.json()["Bvalue"], changed.json()["DBvalue"]) == (9, 3)
    edited = caller.get(f"perioexams/{exam['PerioExamNum']}").json()["DateTMeasureEdit"]
    assert edited > "2020"


# --- recalls ----------------------------------------------------------------------------------


def test_a_recall_is_made_once_per_type_and_changed(caller: Caller) -> None:
    patient = caller.patient()
    made = caller.post("recalls", PatNum=patient, RecallTypeNum=1, RecallInterval="0y6m0w1d")

    assert made.status_code == 200  # as its page says
    recall = made.json()
    assert (recall["RecallInterval"], recall["DateDue"]) == ("6m1d", "0001-01-01")
    assert caller.row("SELECT RecallInterval FROM recall") == (393217,)
    assert caller.post("recalls", PatNum=patient, RecallTypeNum=1).status_code == 400
    assert caller.post("recalls", PatNum=patient, RecallTypeNum=99).status_code == 404

    num = recall["RecallNum"]
    changed = caller.put(
        f"recalls/{num}", DateDue="2027-02-03", RecallStatus=142, IsDisabled="true", Note="later",
        Priority="ASAP",
    ).json()  # fmt: skip
    assert (changed["DateDue"], changed["recallStatus"], changed["IsDisabled"]) == (
        "2027-02-03", "Mailed Postcard", "true",
    )  # fmt: skip
    assert caller.get("recalls", PatNum=patient).json() == [changed]
    assert caller.put(f"recalls/{num}", RecallInterval="six months").status_code == 400
    assert caller.rows("SELECT FKey FROM securitylog WHERE PermType=156") == [(num,), (num,)]


def test_a_recall_status_writes_a_commlog(caller: Caller) -> None:
    patient = caller.patient()
    caller.post("recalls", PatNum=patient, RecallTypeNum=1)

    done = caller.put("recalls/Status", PatNum=patient, recallType="Prophy", RecallStatus=142)
    other = caller.put(
        "recalls/Status", PatNum=patient, recallType="Prophy", commlogMode="InPerson",
        commlogNote="said so",
    )  # fmt: skip
    unknown = caller.put("recalls/Status", PatNum=patient, recallType="Perio")

    assert (done.status_code, done.text, other.status_code, unknown.status_code) == (
        200, "", 200, 404,
    )  # fmt: skip
    assert caller.row("SELECT RecallStatus FROM recall") == (142,)
    kept = caller.rows("SELECT CommType, Mode_, Note FROM commlog ORDER BY CommlogNum")
    assert kept == [(238, 0, "Recall reminder: Mailed Postcard"), (238, 4, "said so")]


# --- fields and documents ---------------------------------------------------------------------


def test_patient_fields_by_type(caller: Caller) -> None:
    patient = caller.patient()
    caller.run(
        "INSERT INTO patfielddef (FieldName,FieldType,PickList,IsHidden) VALUES ('Ins',0,'',0),"
        "('Choice',1,'Yes\r\nNo',0),('Seen',2,'',0),('Box',3,'',0),('Old',0,'',1)"
    )

    def add(name: str, value: str) -> int:
        made = caller.post("patfields", PatNum=patient, FieldName=name, FieldValue=value)
        return made.status_code

    assert [add("Ins", "ok"), add("Ins", "ok"), add("ins", "ok"), add("Old", "x")] == [
        201, 400, 404, 400,
    ]  # fmt: skip
    tried = (("Choice", "Maybe"), ("Choice", "No"), ("Seen", "1/2/24"), ("Box", "0"))
    assert [add(*each) for each in tried] == [400, 201, 400, 400]
    changed = caller.put("patfields", PatNum=patient, FieldName="Ins", FieldValue="changed")
    absent = caller.put("patfields", PatNum=patient, FieldName="Seen", FieldValue="2024-01-02")
    assert (changed.status_code, changed.text, absent.status_code) == (200, "", 400)
    (field,) = caller.get("patfields", PatNum=patient, FieldName="Ins").json()
    assert field["FieldValue"] == "changed"
    assert caller.delete(f"patfields/{field['PatFieldNum']}").status_code == 200
    assert caller.get(f"patfields/{field['PatFieldNum']}").status_code == 404
    assert caller.rows("SELECT COUNT(*) FROM securitylog WHERE PermType=80") == [(4,)]


def test_appointment_fields_are_set_whether_there_or_not(caller: Caller) -> None:
    num = caller.visit(caller.patient(), tomorrow())
    caller.run("INSERT INTO apptfielddef (FieldName,FieldType,PickList) VALUES ('Verified',0,'')")

    def value() -> object:
        return caller.get("apptfields", AptNum=num, FieldName="Verified").json()["FieldValue"]

    assert value() == ""
    for text in ("Yes", "No", ""):
        done = caller.put("apptfields", AptNum=num, FieldName="Verified", FieldValue=text)
        assert (done.status_code, value()) == (200, text)
    assert caller.row("SELECT COUNT(*) FROM apptfield") == (1,)
    wrong = caller.put("apptfields", AptNum=num, FieldName="Other", FieldValue="x")
    assert wrong.status_code == 400


def test_an_uploaded_document_waits_in_its_note(caller: Caller) -> None:
    patient = caller.patient()
    raw = base64.b64encode(b"%PDF-1.4").decode()
    made = caller.post(
        "documents/Upload", PatNum=patient, rawBase64=raw, extension=".pdf", Description="Consent",
        DocCategory=136, ToothNumbers="1-3,8",
    )  # fmt: skip

    assert made.status_code == 201
    answer = made.json()
    assert (answer["docCategory"], answer["ImgType"], answer["ToothNumbers"]) == (
        "Letters", "Document", "1,2,3,8",
    )  # fmt: skip
    assert caller.row("SELECT Note FROM document") == (f"_rawBase64_:.pdf_{raw}",)
    (listed,) = caller.get("documents", PatNum=patient).json()
    assert (listed["DocNum"], listed["PatNum"], listed["Note"]) == (
        answer["DocNum"], str(patient), "",
    )  # fmt: skip
    for wrong in ({"rawBase64": "%%%"}, {"extension": "pdf"}, {"rawBase64": ""}):
        body = {"PatNum": patient, "rawBase64": raw, "extension": ".pdf", **wrong}
        assert caller.post("documents/Upload", **body).status_code == 400


# --- what is only read ------------------------------------------------------------------------


def test_the_lists_are_spelled_as_documented(caller: Caller) -> None:
    patient = caller.patient()
    num = caller.visit(patient, tomorrow())
    proc = procedure(caller, patient)

    assert caller.get("definitions", Category=2).json()[0] == {
        "DefNum": 19, "ItemName": "Not Called", "ItemValue": "NotCalled", "Category": 2,
        "category": "ApptConfirmed", "isHidden": "false",
    }  # fmt: skip
    (pref,) = caller.get("preferences", PrefName="PracticeDefaultProv").json()
    assert pref["ValueString"] == "1"
    assert [p["IsSecondary"] for p in caller.get("providers").json()[:2]] == ["false", "true"]
    assert caller.get("operatories/1").json()["Abbrev"] == "O1"
    assert [kind["DefaultInterval"] for kind in caller.get("recalltypes").json()] == ["6m", "4m"]
    assert caller.get("appointmenttypes").json()[0]["appointmentTypeColor"] == "0,255,0"
    (history,) = caller.get("histappointments", AptNum=num).json()
    assert (history["HistApptAction"], history["ApptSource"]) == ("Created", "OpenDentalAPIService")
    assert caller.get("histappointments", HistApptAction="Deleted").json() == []
    shown = caller.get(f"procedurelogs/{proc}").json()
    assert (shown["ProcFee"], shown["ProcStatus"], shown["procCode"]) == ("130.00", "C", "D0120")
    signals = caller.get("signalods", SigDateTime=f"{local_now():%Y-%m-%d} 00:00:00").json()
    assert {row["IType"] for row in signals} == {"Appointment"}


def test_dates_in_another_format_when_asked(caller: Caller) -> None:
    num = caller.patient(Birthdate="1976-05-24")
    asked = {"DateFormatString": "MM/dd/yyyy", "DateTimeFormatString": "dd.MM.yyyy HH:mm zzz"}

    shown = caller.get(f"patients/{num}", **asked).json()
    assert shown["Birthdate"] == "05/24/1976"
    assert shown["AdmitDate"] == "01/01/0001"
    assert shown["DateTStamp"].endswith(("-05:00", "-06:00"))
    assert caller.get("procnotes", **asked).json() == []


def test_emoji_become_what_the_program_writes(caller: Caller) -> None:
    patient = caller.patient()
    made = caller.post("commlogs", PatNum=patient, Note="see you \U0001f600 ☺")

    assert made.json()["Note"] == "see you � �"


@pytest.mark.parametrize(
    ("spoken", "number"),
    [("1y6m20d", 20 | 6 << 16 | 1 << 24), ("6m1d", 393217), ("2w", 512), ("", None), ("6", None)],
)
def test_intervals(spoken: str, number: int | None) -> None:
    assert formats.interval_number(spoken) == number
    if number is not None:
        assert formats.interval(number) == spoken
