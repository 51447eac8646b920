"""Patients: GET one, GET Simple, GET (search), POST, PUT.

A new patient is several statements, as in the program: INSERT (Guarantor 0), SecurityHash, phone
numbers, audit line, custreference, and only then Guarantor; a reader may see it half-built.
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.call import Answer, Call, F, bad, method, missing
from tests.support.odapi.formats import NO_DATE, NO_DATETIME
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import BILLING_CATEGORY, Office, patient_hash

DELETED = 4
PATIENT_CREATE, PATIENT_EDIT = 106, 108

_HEAD = (
    F("PatNum", int), F("LName", formats.text), F("FName", formats.text),
    F("MiddleI", formats.text), F("Preferred", formats.text),
    F("PatStatus", formats.PATIENT_STATUS),
)  # fmt: skip
_PLACE = (
    F("Address", formats.text), F("Address2", formats.text), F("City", formats.text),
    F("State", formats.text), F("Zip", formats.text), F("HmPhone", formats.text),
    F("WkPhone", formats.text), F("WirelessPhone", formats.text),
)  # fmt: skip
PATIENT = (
    *_HEAD, F("Gender", formats.GENDER), F("Position", formats.POSITION), F("Birthdate", "day"),
    F("SSN", formats.text), *_PLACE, F("Guarantor", int), F("Email", formats.text),
    F("EstBalance", float), F("PriProv", int), F("priProvAbbr", formats.text), F("SecProv", int),
    F("secProvAbbr", formats.text), F("BillingType", formats.text, "", "billingType"),
    F("ImageFolder", formats.text), F("FamFinUrgNote", formats.text),
    F("ChartNumber", formats.text), F("MedicaidID", formats.text), F("BalTotal", float),
    F("EmployerNum", int), F("DateFirstVisit", "day"), F("ClinicNum", int),
    F("clinicAbbr", formats.text), F("Ward", formats.text),
    F("PreferConfirmMethod", formats.CONTACT), F("PreferContactMethod", formats.CONTACT),
    F("PreferRecallMethod", formats.CONTACT), F("Language", formats.text), F("AdmitDate", "day"),
    F("siteDesc", formats.text), F("DateTStamp", "moment"), F("SuperFamily", int),
    F("TxtMsgOk", formats.YES_NO), F("SecDateEntry", "day"),
)  # fmt: skip
SELECTED = (
    *_HEAD, F("Birthdate", "day"), F("SSN", formats.text), *_PLACE, F("Email", formats.text),
    F("priProvAbbr", formats.text), F("secProvAbbr", formats.text),
    F("BillingType", formats.text, "", "billingType"), F("ChartNumber", formats.text),
    F("ClinicNum", int), F("clinicAbbr", formats.text), F("siteDesc", formats.text),
    F("TxtMsgOk", formats.YES_NO),
)  # fmt: skip
EXTRA = {
    "priProvAbbr": "(SELECT Abbr FROM provider WHERE ProvNum=t.PriProv)",
    "secProvAbbr": "(SELECT Abbr FROM provider WHERE ProvNum=t.SecProv)",
    "billingType": "(SELECT ItemName FROM definition WHERE DefNum=t.BillingType)",
    "clinicAbbr": "(SELECT Abbr FROM clinic WHERE ClinicNum=t.ClinicNum)",
}


def patient_of(call: Call, num: int, *, alive: bool = True) -> dict[str, Any]:
    """The row, or 404; 400 when nothing may be attached to it because it was deleted."""
    row = call.office.one("patient", num, EXTRA)
    if row is None:
        raise missing("Patient")
    if alive and int(row["PatStatus"]) == DELETED:
        raise bad("Patient has been deleted")
    return row


@method("GET", "patients/{n}", "21.1")
def get_patient(call: Call) -> Answer:
    return Answer(content=call.shape(patient_of(call, call.key, alive=False), PATIENT))


@method("GET", "patients/Simple", "21.2")
def get_simple(call: Call) -> Answer:
    where, values = _partly(call, ("LName", "FName"))
    birthdate, stamp = call.asked_day("Birthdate"), call.asked_stamp("DateTStamp")
    if birthdate:
        where.append("t.Birthdate=?")
        values.append(birthdate)
    if stamp:
        where.append("t.DateTStamp>?")
        values.append(call.office.stamp_stored(stamp))
    for name, since in (
        ("ClinicNum", ""), ("PriProv", "21.3"), ("Guarantor", "22.4.19"),
        ("SuperFamily", "22.4.38"), ("EmployerNum", "24.3.30"),
    ):  # fmt: skip
        number = call.asked_number(name, since)
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    for name, words, since in (
        ("PatStatus", formats.PATIENT_STATUS, ""), ("Gender", formats.GENDER, "22.3.6"),
        ("Position", formats.POSITION, "22.3.6"),
    ):  # fmt: skip
        number = call.asked_enum(name, words, since)
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    rows = call.office.select(
        "patient", " AND ".join(where), *values, extra=EXTRA, limit=call.limit, offset=call.offset
    )
    now = call.now()
    return Answer(content=[{"serverDateTime": now, **call.shape(row, PATIENT)} for row in rows])


@method("GET", "patients", "21.1")
def search(call: Call) -> Answer:
    """The patient select window: deleted patients never, archived ones when asked for."""
    where, values = _partly(
        call,
        ("LName", "FName", "Address", "City", "State", "SSN", "ChartNumber", "Email", "Country"),
    )
    phone = call.asked("Phone")
    if phone:
        where.append("(t.HmPhone LIKE ? OR t.WkPhone LIKE ? OR t.WirelessPhone LIKE ?)")
        digits = re.sub(r"\D", "", phone)
        values += [f"%{'%'.join(digits)}%"] * 3
    birthdate = call.asked_day("Birthdate")
    if birthdate:
        where.append("t.Birthdate=?")
        values.append(birthdate)
    clinics = call.asked("clinicNums")
    if clinics:
        numbers = [int(part) for part in clinics.split(",") if part.strip().isdigit()]
        where.append(f"t.ClinicNum IN ({','.join(map(str, numbers)) or '-1'})")
    hidden = {DELETED}
    if call.asked("hideInactive") == "true":
        hidden.add(2)
    if call.asked("showArchived") != "true":
        hidden.add(3)
    where.append(f"t.PatStatus NOT IN ({','.join(map(str, sorted(hidden)))})")
    if call.asked("guarOnly") == "true":
        where.append("t.Guarantor=t.PatNum")
    rows = call.office.select(
        "patient", " AND ".join(where), *values, extra=EXTRA, order="t.LName, t.FName, t.PatNum",
        limit=call.limit, offset=call.offset,
    )  # fmt: skip
    return Answer(content=[call.shape(row, SELECTED) for row in rows])


def _partly(call: Call, names: tuple[str, ...]) -> tuple[list[str], list[Any]]:
    where, values = ["1=1"], []
    for name in names:
        value = call.asked(name)
        if value:
            where.append(f"t.{name} LIKE ?")
            values.append(f"%{value}%")
    return where, values


# --- writing ----------------------------------------------------------------------------------


def _fields(call: Call) -> dict[str, Any]:
    """The columns the body sets, checked; Guarantor and SuperFamily are left to the caller."""
    row: dict[str, Any] = {}
    for name in ("LName", "FName"):
        value = call.string(name)
        if value is not None and value.strip():
            row[name] = formats.capitalised(value.strip())
    for name, since in (
        ("MiddleI", ""), ("Preferred", ""), ("Address", ""), ("Address2", ""), ("City", ""),
        ("Email", ""), ("Language", ""), ("MedicaidID", "24.4.13"), ("Ward", "24.1.12"),
        ("FamFinUrgNote", "23.2.5"),
    ):  # fmt: skip
        value = call.string(name, since)
        if value is not None:
            row[name] = value
    for name, rule in (
        ("SSN", r"\d{9}|"), ("State", r"[A-Z]{2}|"), ("ChartNumber", r".{0,15}"),
        ("Zip", r"\d{5}|\d{5}-\d{4}|\d{9}|[A-Z]\d[A-Z] \d[A-Z]\d|"),
    ):  # fmt: skip
        value = call.string(name)
        if value is not None:
            if not re.fullmatch(rule, value):
                raise bad(f"{name} is invalid")
            row[name] = value
    for name in ("HmPhone", "WkPhone", "WirelessPhone"):
        value = call.string(name)
        if value is not None:
            row[name] = formats.phone(value)[:30]
    for name, words, since in (
        ("PatStatus", formats.PATIENT_STATUS, ""), ("Gender", formats.GENDER, ""),
        ("Position", formats.POSITION, ""), ("TxtMsgOk", formats.YES_NO, ""),
        ("PreferConfirmMethod", formats.CONTACT, ""), ("PreferContactMethod", formats.CONTACT, ""),
        ("PreferRecallMethod", formats.CONTACT, "22.2"),
    ):  # fmt: skip
        number = call.enum(name, words, since)
        if number is not None:
            row[name] = number
    for name, since in (("Birthdate", ""), ("DateFirstVisit", "22.4.42"), ("AdmitDate", "24.1.12")):
        if call.given(name, since):
            row[name] = NO_DATE if call.body[name] == "" else call.day(name)
    for name, table, what in (
        ("PriProv", "provider", "PriProv"), ("SecProv", "provider", "SecProv"),
        ("ClinicNum", "clinic", "ClinicNum"),
    ):  # fmt: skip
        number = call.number(name)
        if number is not None:
            if number and not call.office.exists(table, number):
                raise missing(what)
            row[name] = number
    employer = call.number("EmployerNum", "24.3.30")
    if employer is not None:
        row["EmployerNum"] = employer
    billing = call.string("BillingType")
    if billing is not None:
        found = call.office.definition_by("ItemName", BILLING_CATEGORY, billing)
        if found is None:
            raise missing("BillingType")
        row["BillingType"] = found
    return row


def _family(call: Call) -> tuple[int | None, int | None]:
    guarantor, family = call.number("Guarantor"), call.number("SuperFamily", "22.4.38")
    if guarantor is not None and family is not None:
        raise bad("Only one of Guarantor or SuperFamily is allowed")
    return guarantor, family


def _refuse_duplicate(office: Office, row: dict[str, Any]) -> None:
    """Same names and birth date, and an e-mail address or a telephone number in common."""
    numbers = {
        formats.digits_of(str(row.get(name) or ""))
        for name in ("HmPhone", "WkPhone", "WirelessPhone")
    } - {""}
    email = str(row.get("Email") or "").strip().lower()
    for other in office.select(
        "patient", "t.LName=? AND t.FName=? AND t.Birthdate=? AND t.PatStatus<>4",
        row["LName"], row["FName"], row.get("Birthdate", NO_DATE),
    ):  # fmt: skip
        theirs = {
            formats.digits_of(str(other[name] or ""))
            for name in ("HmPhone", "WkPhone", "WirelessPhone")
        }
        if numbers & theirs or (email and email == str(other["Email"] or "").strip().lower()):
            raise bad("Patient already exists")


@method("POST", "patients", "21.1", Permission.PATIENTS)
def create(call: Call) -> Answer:
    office = call.office
    call.require("LName", "FName")
    fields = _fields(call)
    guarantor, super_family = _family(call)
    if guarantor:
        head = patient_of(call, guarantor)
        if int(head["Guarantor"]) != guarantor:
            raise bad("Guarantor is not the guarantor of their family")
    if fields.get("FamFinUrgNote") and guarantor:
        raise bad("FamFinUrgNote can only be set for a guarantor")
    if super_family:
        patient_of(call, super_family)
    _refuse_duplicate(office, fields)
    today = f"{office.today()}"
    row: dict[str, Any] = {
        "PatStatus": 0, "Gender": 2, "Position": 0, "Birthdate": NO_DATE,
        "Guarantor": 0, "FeeSched": 0, "PriProv": office.pref_number("PracticeDefaultProv"),
        "BillingType": _billing_type(office, fields.get("ClinicNum", 0)), "BillingCycleDay": 1,
        "DateFirstVisit": NO_DATE, "AdmitDate": NO_DATE, "DateTimeDeceased": NO_DATETIME,
        "SecUserNumEntry": office.signer.user, "SecDateEntry": today, **fields,
        "SuperFamily": super_family or 0,
    }  # fmt: skip
    if not row["PriProv"]:
        row["PriProv"] = office.pref_number("PracticeDefaultProv")
    num = office.insert("patient", row)
    office.desk.update("patient", num, {"SecurityHash": patient_hash(num)})
    _phone_numbers(office, num, row)
    office.log(PATIENT_CREATE, num, "Patient created from the API.")
    office.insert("custreference", {"PatNum": num, "DateMostRecent": NO_DATE, "Note": ""})
    folder = re.sub(r"[^A-Za-z]", "", f"{row['LName']}{row['FName']}") + str(num)
    office.desk.update("patient", num, {"Guarantor": guarantor or num})
    office.desk.update("patient", num, {"ImageFolder": folder[:100]})
    made = call.shape(patient_of(call, num), PATIENT)
    return Answer(201, made, f"patients/{num}")


def _billing_type(office: Office, clinic: int) -> int:
    if clinic and office.has_table("clinicpref"):
        own = office.value(
            "SELECT ValueString FROM clinicpref WHERE ClinicNum=? AND PrefName=?",
            clinic, "PracticeDefaultBillType",
        )  # fmt: skip
        if own and str(own).isdigit():
            return int(own)
    return office.pref_number("PracticeDefaultBillType")


def _phone_numbers(office: Office, num: int, row: dict[str, Any]) -> None:
    """The searchable copies, deleted and written again, where the office uses that table."""
    if office.pref("PatientPhoneUsePhonenumberTable") != "1":
        return
    office.desk.run("DELETE FROM phonenumber WHERE PatNum=? AND PhoneType<>0", num)
    for kind, column in ((1, "HmPhone"), (2, "WkPhone"), (3, "WirelessPhone")):
        number = str(row.get(column) or "")
        if number:
            office.insert("phonenumber", {
                "PatNum": num, "PhoneNumberVal": number,
                "PhoneNumberDigits": formats.digits_of(number), "PhoneType": kind,
            })  # fmt: skip


@method("PUT", "patients/{n}", "21.2", Permission.PATIENTS)
def update(call: Call) -> Answer:
    office, old = call.office, patient_of(call, call.key)
    changes = _fields(call)
    guarantor, super_family = _family(call)
    is_head = int(old["Guarantor"]) == call.key
    if "FamFinUrgNote" in changes and not is_head:
        raise bad("FamFinUrgNote can only be set for a guarantor")
    if guarantor is not None and guarantor != int(old["Guarantor"]):
        _new_guarantor(call, old, guarantor, is_head=is_head)
        old = patient_of(call, call.key)
    if super_family is not None:
        changes["SuperFamily"] = super_family
    moved = office.update("patient", call.key, old, changes)
    if moved.keys() & {"HmPhone", "WkPhone", "WirelessPhone"}:
        _phone_numbers(office, call.key, {**old, **moved})
    if moved:
        office.log(PATIENT_EDIT, call.key, "Patient edited from the API.")
    return Answer(content=call.shape(patient_of(call, call.key), PATIENT))


def _new_guarantor(call: Call, old: dict[str, Any], guarantor: int, *, is_head: bool) -> None:
    office, target = call.office, patient_of(call, guarantor)
    if int(target["Guarantor"]) == int(old["Guarantor"]):
        if not is_head:
            raise bad("Guarantor can only be changed by updating the family's current guarantor")
        for member in office.select("patient", "t.Guarantor=?", call.key):
            office.desk.update("patient", int(member["PatNum"]), {"Guarantor": guarantor})
        return
    if int(target["Guarantor"]) != guarantor:
        raise bad("Guarantor is not the guarantor of their family")
    others = office.select("patient", "t.Guarantor=? AND t.PatNum<>?", call.key, call.key)
    if is_head and others:
        raise bad("A guarantor with family members cannot be moved")
    office.desk.update("patient", call.key, {"Guarantor": guarantor})
