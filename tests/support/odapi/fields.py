"""Custom fields: PatFields (GET, POST, PUT, DELETE), ApptFields (GET, PUT), and their definitions.

May import ``appointments``, ``call``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.appointments import appointment_of
from tests.support.odapi.call import Answer, Call, F, bad, checked_day, method, missing
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import Office
from tests.support.odapi.patients import patient_of

FIELD_EDIT = 80
PICK_LIST, DATE, CHECKBOX, CURRENCY, CARE_CREDIT = 1, 2, 3, 4, 6

PAT_FIELD = (
    F("PatFieldNum", int), F("PatNum", int), F("FieldName", formats.text),
    F("FieldValue", formats.text), F("SecDateTEdit", "moment"), F("SecDateEntry", "day"),
)  # fmt: skip
PAT_DEF = (
    F("PatFieldDefNum", int), F("FieldName", formats.text),
    F("FieldType", formats.PAT_FIELD_TYPE), F("PickList", str), F("IsHidden", formats.flag),
)  # fmt: skip
APPT_DEF = (
    F("ApptFieldDefNum", int), F("FieldName", formats.text),
    F("FieldType", formats.APPT_FIELD_TYPE), F("PickList", str),
)  # fmt: skip


def _exactly(office: Office, table: str, name: str) -> dict[str, Any] | None:
    """The definition of that name; the server compares without case, the API does not."""
    found = office.select(table, "t.FieldName=?", name)
    return next((row for row in found if str(row["FieldName"]) == name), None)


# --- patient fields ---------------------------------------------------------------------------


@method("GET", "patfields/{n}", "22.4")
def get_field(call: Call) -> Answer:
    row = call.office.one("patfield", call.key)
    if row is None:
        raise missing("PatField")
    return Answer(content=call.shape(row, PAT_FIELD))


@method("GET", "patfields", "21.1")
def get_fields(call: Call) -> Answer:
    where, values = ["1=1"], []
    patient, name = call.asked_number("PatNum"), call.asked("FieldName")
    if not call.has("22.4.5") and (patient is None or name is None):
        raise bad("PatNum and FieldName are required")
    stamp = call.asked_stamp("SecDateTEdit", "22.4.5")
    for column, sign, value in (
        ("PatNum", "=", patient), ("FieldName", "=", name),
        ("SecDateTEdit", ">", call.office.stamp_stored(stamp) if stamp else None),
    ):  # fmt: skip
        if value is not None:
            where.append(f"t.{column}{sign}?")
            values.append(value)
    rows = call.office.select(
        "patfield", " AND ".join(where), *values, limit=call.limit, offset=call.offset
    )
    shown = [call.shape(r, PAT_FIELD) for r in rows if name is None or r["FieldName"] == name]
    return Answer(content=shown)


def _definition(call: Call) -> dict[str, Any]:
    name = call.string("FieldName") or ""
    found = _exactly(call.office, "patfielddef", name)
    if found is None:
        raise missing("PatFieldDef")
    return found


def _value_for(call: Call, definition: dict[str, Any]) -> str:
    """The text to store, by the field's type; an unticked box or a blank is a deleted row."""
    value = call.string("FieldValue") or ""
    kind = int(definition["FieldType"])
    if kind == DATE:
        checked_day("FieldValue", value)
    elif kind == CHECKBOX and value != "1":
        raise bad('FieldValue must be "1" for a Checkbox')
    elif kind == CURRENCY and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        raise bad("FieldValue must be an amount")
    elif kind == PICK_LIST and value not in _choices(call.office, definition):
        raise bad("FieldValue is not in the pick list")
    return value


def _choices(office: Office, definition: dict[str, Any]) -> set[str]:
    """Choices are rows of their own since 24.1, lines of the definition before."""
    lines = set(str(definition["PickList"] or "").splitlines())
    if office.has_table("patfieldpickitem"):
        lines |= {
            str(name)
            for (name,) in office.desk.rows(
                "SELECT Name FROM patfieldpickitem WHERE PatFieldDefNum=? AND IsHidden=0",
                definition["PatFieldDefNum"],
            )
        }
    return lines


def _field_of(office: Office, patient: int, name: str) -> dict[str, Any] | None:
    found = office.select("patfield", "t.PatNum=? AND t.FieldName=?", patient, name)
    return next((row for row in found if str(row["FieldName"]) == name), None)


@method("POST", "patfields", "22.4", Permission.ALL_OTHERS)
def create_field(call: Call) -> Answer:
    office = call.office
    call.require("PatNum", "FieldName", "FieldValue")
    patient = int(patient_of(call, call.number("PatNum") or 0)["PatNum"])
    definition = _definition(call)
    if int(definition["IsHidden"]):
        raise bad("PatFieldDef is hidden")
    value, name = _value_for(call, definition), str(definition["FieldName"])
    if _field_of(office, patient, name) is not None:
        raise bad("PatField already exists")
    num = office.insert("patfield", {
        "PatNum": patient, "FieldName": name, "FieldValue": value,
        "SecUserNumEntry": office.signer.user, "SecDateEntry": f"{office.today()}",
    })  # fmt: skip
    office.log(FIELD_EDIT, patient, "Patient field created from the API.")
    return Answer(201, call.shape(office.one("patfield", num) or {}, PAT_FIELD))


@method("PUT", "patfields", "21.1", Permission.ALL_OTHERS)
def change_field(call: Call) -> Answer:
    """An existing one only; every refusal of this call is a 400."""
    office = call.office
    call.require("PatNum", "FieldName", "FieldValue")
    try:
        patient = int(patient_of(call, call.number("PatNum") or 0)["PatNum"])
        definition = _definition(call)
    except Exception as refusal:
        raise bad(getattr(refusal, "text", str(refusal))) from None
    old = _field_of(office, patient, str(definition["FieldName"]))
    if old is None:
        raise bad("PatField not found")
    changes = {"FieldValue": _value_for(call, definition)}
    if office.update("patfield", int(old["PatFieldNum"]), old, changes):
        office.log(FIELD_EDIT, patient, "Patient field edited from the API.")
    return Answer()


@method("DELETE", "patfields/{n}", "22.4", Permission.ALL_OTHERS)
def delete_field(call: Call) -> Answer:
    office = call.office
    old = office.one("patfield", call.key)
    if old is None:
        raise missing("PatField")
    definition = _exactly(office, "patfielddef", str(old["FieldName"]))
    if definition is not None and int(definition["FieldType"]) == CARE_CREDIT:
        raise bad("A CareCredit field cannot be deleted")
    office.desk.delete("patfield", "PatFieldNum", call.key)
    office.log(FIELD_EDIT, int(old["PatNum"]), "Patient field deleted from the API.")
    return Answer()


@method("GET", "patfielddefs", "22.4.9")
def get_field_definitions(call: Call) -> Answer:
    rows = call.office.select("patfielddef", limit=call.limit, offset=call.offset)
    return Answer(content=[call.shape(row, PAT_DEF) for row in rows])


# --- appointment fields -----------------------------------------------------------------------


@method("GET", "apptfields", "21.1")
def get_appointment_field(call: Call) -> Answer:
    """One value; an empty string where the appointment has none."""
    num, name = call.asked_number("AptNum"), call.asked("FieldName")
    if num is None or name is None:
        raise bad("AptNum and FieldName are required")
    value = call.office.value(
        "SELECT FieldValue FROM apptfield WHERE AptNum=? AND FieldName=? "
        "ORDER BY ApptFieldNum LIMIT 1",
        num, name,
    )  # fmt: skip
    return Answer(content={"FieldName": name, "AptNum": num, "FieldValue": formats.text(value)})


@method("PUT", "apptfields", "21.1", Permission.COMM)
def set_appointment_field(call: Call) -> Answer:
    office = call.office
    call.require("AptNum", "FieldName")
    if not call.given("FieldValue"):
        raise bad("FieldValue is required")
    num, name = call.number("AptNum") or 0, call.string("FieldName") or ""
    value = call.string("FieldValue") or ""
    appointment = appointment_of(call, num)
    patient_of(call, int(appointment["PatNum"]))
    definition = _exactly(office, "apptfielddef", name)
    if definition is None:
        raise bad("ApptFieldDef not found")
    choices = str(definition["PickList"] or "").splitlines()
    if int(definition["FieldType"]) == PICK_LIST and value not in choices:
        raise bad("FieldValue is not in the pick list")
    old = office.select("apptfield", "t.AptNum=? AND t.FieldName=?", num, name, limit=1)
    if old:
        office.update("apptfield", int(old[0]["ApptFieldNum"]), old[0], {"FieldValue": value})
    else:
        office.insert("apptfield", {"AptNum": num, "FieldName": name, "FieldValue": value})
    return Answer()


@method("GET", "apptfielddefs", "21.4")
def get_appointment_field_definitions(call: Call) -> Answer:
    rows = call.office.select("apptfielddef", limit=call.limit, offset=call.offset)
    return Answer(content=[call.shape(row, APPT_DEF) for row in rows])
