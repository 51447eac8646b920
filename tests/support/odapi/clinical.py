"""ProcNotes, PerioExams, PerioMeasures: reading, adding, and what may be changed.

May import ``call``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.call import Answer, Call, F, bad, method, missing
from tests.support.odapi.formats import Enum
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import Office
from tests.support.odapi.patients import patient_of

PERIO_EDIT, PERIO_SIGNAL = 45, 104
SITES = ("MBvalue", "Bvalue", "DBvalue", "MLvalue", "Lvalue", "DLvalue")
MOBILITY, FURCATION, GING_MARGIN, MGJ, PROBING, SKIP_TOOTH, BLEEDING = range(7)
FLAGS = {"b": 1, "s": 2, "p": 4, "c": 8}


def _as_is(stored: Any) -> str:
    """This page's example keeps the carriage returns the others lose."""
    return str(stored or "")


def _is_signed(stored: Any) -> str:
    return "true" if stored else "false"


PROCNOTE = (
    F("ProcNoteNum", int), F("PatNum", int), F("ProcNum", int), F("EntryDateTime", "moment"),
    F("UserNum", int), F("Note", _as_is), F("SigIsTopaz", formats.flag),
    F("isSigned", _is_signed, "", "Signature"),
)  # fmt: skip
EXAM = (
    F("PerioExamNum", int), F("PatNum", int), F("ExamDate", "day"), F("ProvNum", int),
    F("DateTMeasureEdit", "moment"), F("Note", formats.text),
)  # fmt: skip


def _measure_fields(call: Call) -> tuple[F, ...]:
    return (
        F("PerioMeasureNum", int), F("PerioExamNum", int), F("SequenceType", _sequence(call)),
        F("IntTooth", int), F("ToothValue", int), *(F(site, int) for site in SITES),
        F("SecDateTEdit", "moment"),
    )  # fmt: skip


def _sequence(call: Call) -> Enum:
    return formats.PERIO_SEQUENCE if call.has("24.1") else formats.PERIO_SEQUENCE_23


# --- procedure notes --------------------------------------------------------------------------


@method("GET", "procnotes", "24.2.29")
def get_notes(call: Call) -> Answer:
    where, values = ["1=1"], []
    for name in ("PatNum", "ProcNum"):
        number = call.asked_number(name)
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    rows = call.office.select(
        "procnote", " AND ".join(where), *values,
        order="t.EntryDateTime DESC, t.ProcNoteNum DESC", limit=call.limit, offset=call.offset,
    )  # fmt: skip
    return Answer(content=[call.shape(row, PROCNOTE) for row in rows])


@method("POST", "procnotes", "22.2", Permission.ALL_OTHERS)
def add_note(call: Call) -> Answer:
    """Always a new row; UserNum 0. Fifty and more blank lines in a row are taken out."""
    office = call.office
    call.require("PatNum", "ProcNum", "Note")
    patient, procedure = call.number("PatNum") or 0, call.number("ProcNum") or 0
    patient_of(call, patient)
    row = office.one("procedurelog", procedure)
    if row is None or int(row["PatNum"]) != patient:
        raise missing("Procedure")
    note = re.sub(r"(?:\r?\n[ \t]*){51,}", "\r\n", call.string("Note") or "")
    if call.flag("doAppendNote", "24.2.29"):
        before = office.value(
            "SELECT Note FROM procnote WHERE ProcNum=? "
            "ORDER BY EntryDateTime DESC, ProcNoteNum DESC LIMIT 1",
            procedure,
        )
        note = f"{before}\r\n\r\n{note}" if before else note
    signed = call.flag("isSigned", "24.2.29")
    num = office.insert("procnote", {
        "PatNum": patient, "ProcNum": procedure, "EntryDateTime": office.now(), "UserNum": 0,
        "Note": note, "SigIsTopaz": 0,
        "Signature": f"Signed through the API {office.now()}" if signed else "",
    })  # fmt: skip
    return Answer(201, call.shape(office.one("procnote", num) or {}, PROCNOTE))


# --- perio exams ------------------------------------------------------------------------------


def _exam_of(call: Call, num: int) -> dict[str, Any]:
    row = call.office.one("perioexam", num)
    if row is None:
        raise missing("PerioExam")
    return row


@method("GET", "perioexams/{n}", "22.4.36")
def get_exam(call: Call) -> Answer:
    return Answer(content=call.shape(_exam_of(call, call.key), EXAM))


@method("GET", "perioexams", "22.4.36")
def get_exams(call: Call) -> Answer:
    where, values = ["1=1"], []
    patient, since = call.asked_number("PatNum"), call.asked_day("ExamDate")
    if patient is not None:
        where.append("t.PatNum=?")
        values.append(patient)
    if since is not None:
        where.append("t.ExamDate>=?")
        values.append(since)  # type: ignore[arg-type]
    rows = call.office.select(
        "perioexam", " AND ".join(where), *values, limit=call.limit, offset=call.offset
    )
    return Answer(content=[call.shape(row, EXAM) for row in rows])


@method("POST", "perioexams", "23.1.20", Permission.ALL_OTHERS)
def add_exam(call: Call) -> Answer:
    office = call.office
    call.require("PatNum")
    patient = patient_of(call, call.number("PatNum") or 0)
    num = int(patient["PatNum"])
    provider = call.number("ProvNum", "23.3.27")
    if provider is not None and not office.exists("provider", provider):
        raise missing("Provider")
    arches = {name: call.string(name) or "" for name in ARCHES}
    exam = office.insert("perioexam", {
        "PatNum": num, "ExamDate": call.day("ExamDate", "23.3.27") or f"{office.today()}",
        "ProvNum": int(patient["PriProv"]) if provider is None else provider,
        "DateTMeasureEdit": office.now(), "Note": call.string("Note", "23.3.27") or "",
    })  # fmt: skip
    _copy_skipped(office, num, exam)
    for (sequence, tooth), values in sorted(_measured(arches).items()):
        _insert_measure(office, exam, sequence, tooth, values)
    _touched(office, exam, num)
    return Answer(201, call.shape(_exam_of(call, exam), EXAM))


@method("PUT", "perioexams/{n}", "23.3.27", Permission.ALL_OTHERS)
def change_exam(call: Call) -> Answer:
    office, old = call.office, _exam_of(call, call.key)
    patient_of(call, int(old["PatNum"]))
    provider = call.number("ProvNum")
    if provider is not None and not office.exists("provider", provider):
        raise missing("Provider")
    changes = {"ExamDate": call.day("ExamDate"), "ProvNum": provider, "Note": call.string("Note")}
    office.update("perioexam", call.key, old, {k: v for k, v in changes.items() if v is not None})
    _touched(office, call.key, int(old["PatNum"]))
    return Answer(content=call.shape(_exam_of(call, call.key), EXAM))


@method("DELETE", "perioexams/{n}", "23.3.27", Permission.ALL_OTHERS)
def delete_exam(call: Call) -> Answer:
    office, old = call.office, _exam_of(call, call.key)
    patient_of(call, int(old["PatNum"]))
    office.desk.delete("periomeasure", "PerioExamNum", call.key)
    office.desk.delete("perioexam", "PerioExamNum", call.key)
    office.log(PERIO_EDIT, int(old["PatNum"]), "Perio exam deleted from the API.")
    office.signal(PERIO_SIGNAL, key_type="Undefined", fkey=int(old["PatNum"]))
    return Answer()


ARCHES = {
    # name: (teeth from the patient's right to the left, outer side)
    "UpperFacial": (range(1, 17), True),
    "UpperLingual": (range(1, 17), False),
    "LowerLingual": (range(32, 16, -1), False),
    "LowerFacial": (range(32, 16, -1), True),
}


def _surfaces(name: str) -> Iterator[tuple[int, str]]:
    """The sites of one side of one arch, in the order a hand moves: right to left."""
    teeth, facial = ARCHES[name]
    middle = "Bvalue" if facial else "Lvalue"
    mesial, distal = ("MBvalue", "DBvalue") if facial else ("MLvalue", "DLvalue")
    for tooth in teeth:
        is_right = tooth <= 8 or tooth >= 25
        order = (distal, middle, mesial) if is_right else (mesial, middle, distal)
        for site in order:
            yield tooth, site


def _measured(arches: dict[str, str]) -> dict[tuple[int, int], dict[str, int]]:
    """(sequence, tooth) -> site values, from the strings of digits and flags."""
    found: dict[tuple[int, int], dict[str, int]] = {}
    for name, spoken in arches.items():
        sites, at = _surfaces(name), None
        for char in spoken:
            if char.isdigit():
                at = next(sites, None)
                if at is None:
                    break
                found.setdefault((PROBING, at[0]), {})[at[1]] = int(char)
            elif char in FLAGS and at is not None:
                marks = found.setdefault((BLEEDING, at[0]), dict.fromkeys(SITES, 0))
                marks[at[1]] |= FLAGS[char]
    return found


def _insert_measure(
    office: Office, exam: int, sequence: int, tooth: int, values: dict[str, int]
) -> int:
    return office.insert("periomeasure", {
        "PerioExamNum": exam, "SequenceType": sequence, "IntTooth": tooth,
        **dict.fromkeys(("ToothValue", *SITES), -1), **values, "SecDateTEntry": office.now(),
    })  # fmt: skip


def _copy_skipped(office: Office, patient: int, exam: int) -> None:
    """Missing teeth are carried over from the latest other exam."""
    last = office.value(
        "SELECT PerioExamNum FROM perioexam WHERE PatNum=? AND PerioExamNum<>? "
        "ORDER BY ExamDate DESC, PerioExamNum DESC LIMIT 1",
        patient, exam,
    )  # fmt: skip
    if last is None:
        return
    for row in office.select(
        "periomeasure", "t.PerioExamNum=? AND t.SequenceType=?", int(last), SKIP_TOOTH
    ):
        _insert_measure(office, exam, SKIP_TOOTH, int(row["IntTooth"]), {"ToothValue": 1})


def _touched(office: Office, exam: int, patient: int) -> None:
    office.desk.update("perioexam", exam, {"DateTMeasureEdit": office.now()})
    office.log(PERIO_EDIT, patient, "Perio exam edited from the API.")
    office.signal(PERIO_SIGNAL, key_type="Undefined", fkey=patient)


# --- perio measures ---------------------------------------------------------------------------


@method("GET", "periomeasures", "22.4.32")
def get_measures(call: Call) -> Answer:
    exam = call.asked_number("PerioExamNum")
    where, values = ("1=1", ()) if exam is None else ("t.PerioExamNum=?", (exam,))
    rows = call.office.select("periomeasure", where, *values, limit=call.limit, offset=call.offset)
    fields = _measure_fields(call)
    return Answer(content=[call.shape(row, fields) for row in rows])


@method("POST", "periomeasures", "22.4.37", Permission.ALL_OTHERS)
def add_measure(call: Call) -> Answer:
    office = call.office
    call.require("PerioExamNum", "SequenceType", "IntTooth")
    exam = _exam_of(call, call.number("PerioExamNum") or 0)
    num, tooth = int(exam["PerioExamNum"]), call.number("IntTooth") or 0
    patient_of(call, int(exam["PatNum"]))
    sequence = call.enum("SequenceType", _sequence(call))
    if not 1 <= tooth <= 32:
        raise bad("IntTooth is invalid")
    assert sequence is not None
    values = dict.fromkeys(("ToothValue", *SITES), -1)
    values.update(_given_values(call))
    _check(sequence, tooth, values)
    if office.select(
        "periomeasure", "t.PerioExamNum=? AND t.SequenceType=? AND t.IntTooth=?", num, sequence,
        tooth,
    ):  # fmt: skip
        raise bad("PerioMeasure already exists")
    made = _insert_measure(office, num, sequence, tooth, values)
    _touched(office, num, int(exam["PatNum"]))
    return Answer(201, call.shape(office.one("periomeasure", made) or {}, _measure_fields(call)))


@method("PUT", "periomeasures/{n}", "22.4.37", Permission.ALL_OTHERS)
def change_measure(call: Call) -> Answer:
    office = call.office
    old = office.one("periomeasure", call.key)
    if old is None:
        raise missing("PerioMeasure")
    exam = _exam_of(call, int(old["PerioExamNum"]))
    patient_of(call, int(exam["PatNum"]))
    changes = _given_values(call)
    values = {name: int(old[name]) for name in ("ToothValue", *SITES)} | changes
    _check(int(old["SequenceType"]), int(old["IntTooth"]), values)
    office.update("periomeasure", call.key, old, changes)
    _touched(office, int(old["PerioExamNum"]), int(exam["PatNum"]))
    return Answer(
        content=call.shape(office.one("periomeasure", call.key) or {}, _measure_fields(call))
    )


@method("DELETE", "periomeasures/{n}", "23.3.27", Permission.ALL_OTHERS)
def delete_measure(call: Call) -> Answer:
    office = call.office
    old = office.one("periomeasure", call.key)
    if old is None:
        raise missing("PerioMeasure")
    if int(old["SequenceType"]) not in {MOBILITY, SKIP_TOOTH}:
        raise bad("Only Mobility and SkipTooth measures can be deleted")
    exam = _exam_of(call, int(old["PerioExamNum"]))
    patient_of(call, int(exam["PatNum"]))
    office.desk.delete("periomeasure", "PerioMeasureNum", call.key)
    _touched(office, int(old["PerioExamNum"]), int(exam["PatNum"]))
    return Answer()


def _given_values(call: Call) -> dict[str, int]:
    found = {name: call.number(name) for name in ("ToothValue", *SITES)}
    return {name: value for name, value in found.items() if value is not None}


def _check(sequence: int, tooth: int, values: dict[str, int]) -> None:
    """The ranges each kind of measure may hold."""
    sites = [values[site] for site in SITES]
    own = values["ToothValue"]
    if sequence in {MOBILITY, SKIP_TOOTH}:
        if any(site != -1 for site in sites):
            raise bad("Surface values must be -1 for this SequenceType")
        if not (own == 1 if sequence == SKIP_TOOTH else 0 <= own <= 19):
            raise bad("ToothValue is invalid")
        return
    if own != -1:
        raise bad("ToothValue must be -1 for this SequenceType")
    if all(site == -1 for site in sites):
        raise bad("At least one surface value is required")
    top = 15 if sequence == BLEEDING else 19
    for site in sites:
        recession = sequence == GING_MARGIN and 101 <= site <= 119
        if not (-1 <= site <= top or recession):
            raise bad("Surface value is invalid")
    if sequence == MGJ and tooth <= 16 and any(site != -1 for site in sites[3:]):
        raise bad("Lingual values must be -1 for MGJ on upper teeth")
