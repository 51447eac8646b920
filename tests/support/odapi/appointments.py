"""Appointments: GET one and many, POST, PUT. Break, Confirm, Note, Slots are in ``visits``.

POST does not look for an overlap: the vendor's page mentions no such refusal. Nothing is locked.
May import ``call``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.call import Answer, Call, F, bad, checked_day, method, missing
from tests.support.odapi.formats import NO_DATE, NO_DATETIME, UNITS_MAX
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import (
    CHANGED,
    CONFIRMED_CATEGORY,
    CREATED,
    PLANNED,
    RECALL_CATEGORY,
    SCHEDULED,
    UNSCHEDULED,
    Office,
    appointment_hash,
)
from tests.support.odapi.patients import patient_of

APPOINTMENT_CREATE, APPOINTMENT_MOVE, APPOINTMENT_EDIT = 25, 26, 27

APPOINTMENT = (
    F("AptNum", int), F("PatNum", int), F("AptStatus", formats.APPT_STATUS),
    F("Pattern", formats.text), F("Confirmed", int), F("confirmed", formats.text),
    F("TimeLocked", formats.flag), F("Op", int), F("Note", formats.text), F("ProvNum", int),
    F("provAbbr", formats.text), F("ProvHyg", int), F("AptDateTime", "moment"),
    F("NextAptNum", int), F("UnschedStatus", int), F("unschedStatus", formats.text),
    F("IsNewPatient", formats.flag), F("ProcDescript", formats.text), F("ClinicNum", int),
    F("IsHygiene", formats.flag), F("DateTStamp", "moment"), F("DateTimeArrived", "moment"),
    F("DateTimeSeated", "moment"), F("DateTimeDismissed", "moment"), F("InsPlan1", int),
    F("InsPlan2", int), F("DateTimeAskedToArrive", "moment"),
    F("colorOverride", formats.colour, "", "ColorOverride"), F("AppointmentTypeNum", int),
    F("SecDateTEntry", "moment"), F("Priority", formats.PRIORITY),
    F("PatternSecondary", formats.text, "23.3.17"),
)  # fmt: skip
PLANNED_ORDER = F("ItemOrderPlanned", lambda value: int(value or 0), "24.2.1")
EXTRA = {
    "confirmed": "(SELECT ItemName FROM definition WHERE DefNum=t.Confirmed)",
    "provAbbr": "(SELECT Abbr FROM provider WHERE ProvNum=t.ProvNum)",
    "unschedStatus": "(SELECT ItemName FROM definition WHERE DefNum=t.UnschedStatus)",
}
POSTED = ("Scheduled", "Complete", "UnschedList", "PtNote", "PtNoteCompleted")
PUT_STATUSES = (*POSTED, "Broken", "Planned")


def appointment_of(call: Call, num: int) -> dict[str, Any]:
    row = call.office.one("appointment", num, EXTRA)
    if row is None:
        raise missing("Appointment")
    return row


def date_range(call: Call, column: str) -> tuple[list[str], list[Any]]:
    """``date``, or ``dateStart`` and ``dateEnd`` with both days included."""
    single = call.asked_day("date")
    first, last = single or call.asked_day("dateStart"), single or call.asked_day("dateEnd")
    where, values = [], []
    if first:
        where.append(f"{column}>=?")
        values.append(first)
    if last:
        following = datetime.fromisoformat(checked_day("dateEnd", last)) + timedelta(days=1)
        where.append(f"{column}<?")
        values.append(f"{following:%Y-%m-%d}")
    return where, values


@method("GET", "appointments/{n}", "21.1")
def get_one(call: Call) -> Answer:
    shown = call.shape(appointment_of(call, call.key), (*APPOINTMENT, PLANNED_ORDER))
    return Answer(content={"serverDateTime": call.now(), **shown})


@method("GET", "appointments", "21.1")
def get_many(call: Call) -> Answer:
    where, values = date_range(call, "t.AptDateTime")
    status = call.asked_enum("AptStatus", formats.APPT_STATUS, "22.4.28")
    for name, number in (
        ("PatNum", call.asked_number("PatNum", "21.4")), ("AptStatus", status),
        ("Op", call.asked_number("Op", "23.2.27")), ("ClinicNum", call.asked_number("ClinicNum")),
        ("AppointmentTypeNum", call.asked_number("AppointmentTypeNum", "24.4.22")),
    ):  # fmt: skip
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    stamp = call.asked_stamp("DateTStamp")
    if stamp:
        where.append("t.DateTStamp>?")
        values.append(call.office.stamp_stored(stamp))
    return _listing(call, where, values)


@method("GET", "appointments/ASAP", "21.1")
def get_asap(call: Call) -> Answer:
    where, values = ["t.Priority=1"], []
    clinic = call.asked_number("ClinicNum")
    if clinic is None and call.office.pref("EasyNoClinics", "1") == "0":
        raise bad("ClinicNum is required")
    for name, number in (("ClinicNum", clinic), ("ProvNum", call.asked_number("ProvNum"))):
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    return _listing(call, where, values)


def _listing(call: Call, where: list[str], values: list[Any]) -> Answer:
    rows = call.office.select(
        "appointment", " AND ".join(where) or "1=1", *values, extra=EXTRA, limit=call.limit,
        offset=call.offset,
    )  # fmt: skip
    now, fields = call.now(), (*APPOINTMENT, PLANNED_ORDER)
    return Answer(content=[{"serverDateTime": now, **call.shape(row, fields)} for row in rows])


# --- writing ----------------------------------------------------------------------------------


def _status(call: Call, allowed: tuple[str, ...]) -> int | None:
    word = call.string("AptStatus")
    if word is None:
        return None
    if word not in allowed:
        raise bad("AptStatus is invalid")
    return formats.APPT_STATUS.number(word)


def pattern_of(call: Call, name: str, since: str = "") -> str | None:
    """Five-minute units of X and /, cut to nine hours."""
    value = call.string(name, since)
    if value is None or value == "":
        return None
    if not re.fullmatch(r"[X/]+", value):
        raise bad(f"{name} may only contain X and /")
    return value[:UNITS_MAX]


def _fields(call: Call) -> dict[str, Any]:
    """What POST and PUT share, checked. Absent fields are absent."""
    row: dict[str, Any] = {}
    for name, table, what in (
        ("Op", "operatory", "Operatory"), ("ProvNum", "provider", "Provider"),
        ("ProvHyg", "provider", "Provider"), ("ClinicNum", "clinic", "Clinic"),
    ):  # fmt: skip
        number = call.number(name)
        if number is not None:
            if (number or name in {"Op", "ProvNum"}) and not call.office.exists(table, number):
                raise missing(what)
            row[name] = number
    confirmed = call.number("Confirmed")
    if confirmed is not None:
        if not call.office.is_definition(confirmed, CONFIRMED_CATEGORY):
            raise missing("Confirmed definition")
        row["Confirmed"] = confirmed
    note = call.string("Note")
    if note is not None:
        row["Note"] = note
    for name, since in (("IsHygiene", ""), ("IsNewPatient", "21.3")):
        value = call.flag(name, since)
        if value is not None:
            row[name] = value
    priority = call.enum("Priority", formats.PRIORITY, "22.1")
    if priority is not None:
        row["Priority"] = priority
    start = call.moment("AptDateTime")
    if start is not None:
        row["AptDateTime"] = start
    spoken = call.string("colorOverride", "22.3.9")
    if spoken is not None:
        number = formats.colour_number(spoken)
        if number is None:
            raise bad("colorOverride must be in R,G,B format")
        row["ColorOverride"] = number
    pattern = pattern_of(call, "Pattern")
    if pattern is not None:
        row["Pattern"] = pattern
    return row


def _type_of(call: Call) -> dict[str, Any] | None:
    """The appointment type the body names; an empty one for 0 ("None"); None when not named."""
    number = call.number("AppointmentTypeNum", "22.1")
    if number is None:
        return None
    if number == 0:
        return {"AppointmentTypeNum": 0, "Pattern": "", "AppointmentTypeColor": 0, "CodeStr": ""}
    kind = call.office.one("appointmenttype", number)
    if kind is None:
        raise missing("AppointmentType")
    return kind


def _secondary(call: Call, pattern: str) -> str | None:
    value = pattern_of(call, "PatternSecondary", "23.3.17")
    if value is not None and len(value) != len(pattern):
        raise bad("PatternSecondary must match the length of Pattern")
    return value


@method("POST", "appointments", "21.1", Permission.APPOINTMENTS)
def create(call: Call) -> Answer:
    office = call.office
    call.require("PatNum", "Op", "AptDateTime")
    patient = patient_of(call, call.number("PatNum") or 0)
    status = _status(call, POSTED)
    fields, kind = _fields(call), _type_of(call)
    chair = office.one("operatory", fields["Op"]) or {}
    if kind is not None:
        fields["AppointmentTypeNum"] = int(kind["AppointmentTypeNum"])
        fields.setdefault("ColorOverride", int(kind["AppointmentTypeColor"]))
        if kind["Pattern"]:
            fields.setdefault("Pattern", str(kind["Pattern"]))
    pattern = fields.setdefault("Pattern", "/XX/")
    secondary = _secondary(call, pattern)
    start = fields["AptDateTime"]
    primary, second = office.insurance(int(patient["PatNum"]))
    row: dict[str, Any] = {
        "PatNum": int(patient["PatNum"]), "AptStatus": SCHEDULED if status is None else status,
        "Confirmed": office.first_definition(CONFIRMED_CATEGORY),
        "TimeLocked": office.pref_number("AppointmentTimeIsLocked"), "Note": "",
        "ProvNum": int(patient["PriProv"]) or office.pref_number("PracticeDefaultProv"),
        "ProvHyg": 0, "NextAptNum": 0, "UnschedStatus": 0, "IsNewPatient": 0, "ProcDescript": "",
        "Assistant": 0, "ClinicNum": int(chair["ClinicNum"]) or int(patient["ClinicNum"]),
        "IsHygiene": 0, "DateTimeArrived": NO_DATETIME, "DateTimeSeated": NO_DATETIME,
        "DateTimeDismissed": NO_DATETIME, "InsPlan1": primary, "InsPlan2": second,
        "DateTimeAskedToArrive": _asked_to_arrive(start, int(patient["AskToArriveEarly"])),
        "ProcsColored": "", "ColorOverride": 0, "AppointmentTypeNum": 0,
        "SecUserNumEntry": office.signer.user, "SecDateTEntry": office.now(), "Priority": 0,
        "ProvBarText": "", "PatternSecondary": secondary or "/" * len(pattern),
        "ItemOrderPlanned": 0, **fields,
    }  # fmt: skip
    if row["AptStatus"] == UNSCHEDULED:
        row["Op"] = 0
    row["SecurityHash"] = appointment_hash(row)
    num = office.insert("appointment", row)
    office.history(CREATED, office.one("appointment", num) or {})
    office.appointment_signals(row)
    if kind is not None and kind["CodeStr"]:
        _attach(office, num, row, str(kind["CodeStr"]))
    describe(office, num)
    if row["IsNewPatient"]:
        office.first_visit(row["PatNum"], start)
    office.synch_recalls(row["PatNum"])
    office.log(APPOINTMENT_CREATE, row["PatNum"], f"{start}, appointment created from the API.",
               num)  # fmt: skip
    office.entry(num)
    shown = call.shape(appointment_of(call, num), (*APPOINTMENT, PLANNED_ORDER))
    return Answer(201, shown, f"appointments/{num}")


def _asked_to_arrive(start: str, minutes_early: int) -> str:
    if minutes_early <= 0:
        return NO_DATETIME
    return f"{datetime.fromisoformat(start) - timedelta(minutes=minutes_early):%Y-%m-%d %H:%M:%S}"


def _attach(office: Office, num: int, row: dict[str, Any], codes: str) -> None:
    """The procedures of an appointment type: planned ones of the patient, else new ones."""
    for code in (part.strip() for part in codes.split(",") if part.strip()):
        found = office.select("procedurecode", "t.ProcCode=?", code, limit=1)
        if not found:
            continue
        kind, column = (
            int(found[0]["CodeNum"]),
            ("PlannedAptNum" if int(row["AptStatus"]) == PLANNED else "AptNum"),
        )
        waiting = office.value(
            f"SELECT ProcNum FROM procedurelog WHERE PatNum=? AND CodeNum=? AND ProcStatus=1 "
            f"AND {column}=0 ORDER BY ProcNum LIMIT 1",
            row["PatNum"], kind,
        )  # fmt: skip
        if waiting is not None:
            office.desk.update("procedurelog", int(waiting), {
                column: num, "ProvNum": row["ProvNum"], "ClinicNum": row["ClinicNum"],
                "ProcDate": str(row["AptDateTime"])[:10],
            })  # fmt: skip
            continue
        chart(office, row, kind, status=1, links={column: num})


def chart(
    office: Office, appointment: dict[str, Any], code: int, *, status: int, links: dict[str, int]
) -> int:
    """A new procedure on an appointment's day by its provider, with the provider's fee."""
    day = str(appointment["AptDateTime"])[:10]
    fee = office.value(
        "SELECT f.Amount FROM fee f JOIN provider p ON p.FeeSched=f.FeeSched "
        "WHERE p.ProvNum=? AND f.CodeNum=? ORDER BY f.ClinicNum, f.FeeNum LIMIT 1",
        appointment["ProvNum"], code,
    )  # fmt: skip
    done = day if status == 2 else NO_DATE
    return office.insert("procedurelog", {
        "PatNum": appointment["PatNum"], "AptNum": 0, "PlannedAptNum": 0, "ProcDate": day,
        "ProcFee": max(float(fee or 0), 0.0), "ProcStatus": status,
        "ProvNum": appointment["ProvNum"], "ClinicNum": appointment["ClinicNum"],
        "CodeNum": code, "DateOriginalProsth": NO_DATE, "DateEntryC": done, "DateComplete": done,
        "DateTP": f"{office.today()}", "UnitQty": 1, "ProcTime": "00:00:00",
        "ProcTimeEnd": "00:00:00", "SecUserNumEntry": office.signer.user,
        "SecDateEntry": office.now(), "DiscountPlanAmt": -1, **links,
    })  # fmt: skip


def describe(office: Office, num: int) -> None:
    """Rebuild ProcDescript from the attached procedures: a statement of its own, after the row."""
    names = [
        str(abbr or code)
        for abbr, code in office.desk.rows(
            "SELECT c.AbbrDesc, c.ProcCode FROM procedurelog p "
            "JOIN procedurecode c ON c.CodeNum=p.CodeNum "
            "WHERE (p.AptNum=? OR p.PlannedAptNum=?) AND p.ProcStatus<>6 ORDER BY p.ProcNum",
            num, num,
        )
    ]  # fmt: skip
    row = office.one("appointment", num)
    if row is not None:
        office.update("appointment", num, row, {"ProcDescript": ", ".join(names)[:255]})


def save(
    office: Office, old: dict[str, Any], changes: dict[str, Any], action: int = CHANGED
) -> dict[str, Any]:
    """Write an appointment's changed columns with a fresh hash, its history and its signals."""
    num = int(old["AptNum"])
    if int({**old, **changes}["AptStatus"]) == UNSCHEDULED:
        changes = {**changes, "Op": 0}
    changes["SecurityHash"] = appointment_hash({**old, **changes})
    moved = office.update("appointment", num, old, changes)
    new = office.one("appointment", num) or {}
    if moved.keys() - {"SecurityHash"} or action != CHANGED:
        office.history(action, new)
        office.appointment_signals(new, old)
    return new


@method("PUT", "appointments/{n}", "21.1", Permission.APPOINTMENTS)
def update(call: Call) -> Answer:
    office, old = call.office, appointment_of(call, call.key)
    patient_of(call, int(old["PatNum"]))
    status, fields, kind = _status(call, PUT_STATUSES), _fields(call), _type_of(call)
    if status is not None:
        fields["AptStatus"] = status
    unscheduled = call.number("UnschedStatus", "22.2")
    if unscheduled is not None:
        if unscheduled and not office.is_definition(unscheduled, RECALL_CATEGORY):
            raise missing("UnschedStatus definition")
        fields["UnschedStatus"] = unscheduled
    if kind is not None:
        fields["AppointmentTypeNum"] = int(kind["AppointmentTypeNum"])
        fields.setdefault("ColorOverride", int(kind["AppointmentTypeColor"]))
        if kind["Pattern"]:
            fields.setdefault("Pattern", str(kind["Pattern"]))
    pattern = str(fields.get("Pattern", old["Pattern"]))
    secondary = _secondary(call, pattern)
    if secondary is not None:
        fields["PatternSecondary"] = secondary
    elif len(str(old.get("PatternSecondary") or "")) != len(pattern):
        fields["PatternSecondary"] = "/" * len(pattern)
    new = save(office, old, fields)
    if (
        kind is not None
        and kind["CodeStr"]
        and new["AppointmentTypeNum"] != old["AppointmentTypeNum"]
    ):
        _attach(office, call.key, new, str(kind["CodeStr"]))
    describe(office, call.key)
    if int(new["IsNewPatient"]) and (
        new["AptDateTime"] != old["AptDateTime"] or not int(old["IsNewPatient"])
    ):
        office.first_visit(int(new["PatNum"]), str(new["AptDateTime"]))
    office.synch_recalls(int(new["PatNum"]))
    has_moved = any(new[name] != old[name] for name in ("AptDateTime", "Op"))
    office.log(
        APPOINTMENT_MOVE if has_moved else APPOINTMENT_EDIT, int(new["PatNum"]),
        f"{new['AptDateTime']}, appointment changed from the API.", call.key,
        str(old["DateTStamp"]),
    )  # fmt: skip
    office.entry(call.key)
    # The page's own example of this answer has no stamp and no planned order.
    shown = call.shape({**appointment_of(call, call.key), "DateTStamp": NO_DATETIME}, APPOINTMENT)
    return Answer(content=shown)
