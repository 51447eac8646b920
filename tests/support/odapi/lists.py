"""What is only read: definitions, preferences, providers, chairs, hours, types, histories, logs.

May import ``appointments``, ``call``, ``formats`` and ``office`` beside it.
"""

from __future__ import annotations

from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.appointments import APPOINTMENT, PLANNED_ORDER, date_range
from tests.support.odapi.appointments import EXTRA as APPOINTMENT_EXTRA
from tests.support.odapi.call import Answer, Call, F, bad, method, missing
from tests.support.odapi.formats import Enum

DEFINITION = (
    F("DefNum", int), F("ItemName", formats.text), F("ItemValue", formats.text),
    F("Category", int), F("category", formats.DEF_CATEGORY, "", "Category"),
    F("isHidden", formats.flag, "", "IsHidden"),
)  # fmt: skip
PREFERENCE = (F("PrefNum", int), F("PrefName", formats.text), F("ValueString", formats.text))
PROVIDER = (
    F("ProvNum", int), F("Abbr", formats.text), F("LName", formats.text),
    F("FName", formats.text), F("MI", formats.text), F("Suffix", formats.text),
    F("FeeSched", int), F("Specialty", int), F("SSN", formats.text),
    F("StateLicense", formats.text), F("IsSecondary", formats.flag),
    F("provColor", formats.colour, "", "ProvColor"), F("IsHidden", formats.flag),
    F("UsingTIN", formats.flag), F("SigOnFile", formats.flag), F("NationalProvID", formats.text),
    F("DateTStamp", "moment"), F("IsNotPerson", formats.flag),
    F("ProvStatus", formats.PROVIDER_STATUS), F("IsHiddenReport", formats.flag),
    F("Birthdate", "day"), F("SchedNote", formats.text), F("PreferredName", formats.text),
)  # fmt: skip
OPERATORY = (
    F("OperatoryNum", int), F("OpName", formats.text), F("Abbrev", formats.text),
    F("ItemOrder", int), F("IsHidden", formats.flag), F("ProvDentist", int),
    F("ProvHygienist", int), F("IsHygiene", formats.flag), F("ClinicNum", int),
    F("SetProspective", formats.flag), F("IsWebSched", formats.flag),
)  # fmt: skip
CHAIR_KIND = (F("OperatoryType", int), F("operatoryType", formats.text))
SCHEDULE_TYPE = Enum(
    dict(enumerate(("Practice", "Provider", "Blockout", "Employee", "WebSchedASAP")))
)
SCHEDULE = (
    F("ScheduleNum", str), F("SchedDate", "day"), F("StartTime", str), F("StopTime", str),
    F("SchedType", SCHEDULE_TYPE), F("ProvNum", str), F("BlockoutType", str),
    F("blockoutType", formats.text), F("Note", formats.text), F("operatories", formats.text),
    F("EmployeeNum", str),
)  # fmt: skip
APPOINTMENT_TYPE = (
    F("AppointmentTypeNum", int), F("AppointmentTypeName", formats.text),
    F("appointmentTypeColor", formats.colour, "", "AppointmentTypeColor"),
    F("IsHidden", formats.flag), F("Pattern", formats.text), F("CodeStr", formats.text),
)  # fmt: skip
HISTORY = (
    F("HistApptNum", int), F("HistUserNum", int), F("HistDateTStamp", "moment"),
    F("HistApptAction", formats.HIST_ACTION), F("ApptSource", formats.APPT_SOURCE),
    *(field for field in APPOINTMENT if field.name != "SecDateTEntry"), PLANNED_ORDER,
)  # fmt: skip
PROCEDURE = (
    F("ProcNum", int), F("PatNum", int), F("AptNum", int), F("ProcDate", "day"),
    F("ProcFee", lambda fee: f"{float(fee or 0):.2f}"), F("Surf", formats.text),
    F("ToothNum", formats.text), F("ToothRange", formats.text), F("Priority", int),
    F("priority", formats.text), F("ProcStatus", formats.PROC_STATUS), F("ProvNum", int),
    F("provAbbr", formats.text), F("Dx", int), F("dxName", formats.text),
    F("PlannedAptNum", int), F("Prosthesis", formats.text), F("DateOriginalProsth", "day"),
    F("ClinicNum", int), F("CodeNum", int), F("procCode", formats.text),
    F("descript", formats.text), F("UnitQty", int), F("BaseUnits", int),
    F("DateTStamp", "moment"), F("IsDateProsthEst", formats.flag),
)  # fmt: skip
PROCEDURE_EXTRA = {
    "priority": "(SELECT ItemName FROM definition WHERE DefNum=t.Priority)",
    "provAbbr": "(SELECT Abbr FROM provider WHERE ProvNum=t.ProvNum)",
    "dxName": "(SELECT ItemName FROM definition WHERE DefNum=t.Dx)",
    "procCode": "(SELECT ProcCode FROM procedurecode WHERE CodeNum=t.CodeNum)",
    "descript": "(SELECT Descript FROM procedurecode WHERE CodeNum=t.CodeNum)",
}
INVALID_TYPE = Enum({
    5: "Prefs", 14: "Defs", 22: "Providers", 27: "Operatories", 37: "PatFields",
    60: "SmsTextMsgReceivedUnreadCount", 68: "Appointment", 72: "AlertItems", 85: "Schedules",
    97: "TPModule", 102: "AccModule", 104: "PerioExams",
})  # fmt: skip
SIGNAL = (
    F("SignalNum", int), F("DateViewing", "day"), F("SigDateTime", "moment"), F("FKey", int),
    F("FKeyType", lambda kind: str(kind or "Undefined")), F("IType", INVALID_TYPE),
    F("RemoteRole", lambda _: "ClientDirect"), F("MsgValue", formats.text),
)  # fmt: skip


def _where(call: Call, *numbers: tuple[str, str]) -> tuple[list[str], list[Any]]:
    """Equality filters by number: (name, since)."""
    where, values = ["1=1"], []
    for name, since in numbers:
        number = call.asked_number(name, since)
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    return where, values


@method("GET", "definitions", "21.1")
def definitions(call: Call) -> Answer:
    where, values = _where(call, ("Category", ""))
    if call.asked("includeHidden") != "true":
        where.append("t.IsHidden=0")
    rows = call.office.select(
        "definition", " AND ".join(where), *values, order="t.Category, t.ItemOrder, t.DefNum",
        limit=call.limit, offset=call.offset,
    )  # fmt: skip
    return Answer(content=[call.shape(row, DEFINITION) for row in rows])


@method("GET", "preferences", "21.1")
def preferences(call: Call) -> Answer:
    name = call.asked("PrefName")
    where, values = ("1=1", ()) if name is None else ("t.PrefName=?", (name,))
    rows = call.office.select(
        "preference", where, *values, order="t.PrefNum", limit=call.limit, offset=call.offset
    )
    return Answer(content=[call.shape(row, PREFERENCE) for row in rows])


@method("GET", "providers/{n}", "24.4.17")
def provider(call: Call) -> Answer:
    row = call.office.one("provider", call.key)
    if row is None:
        raise missing("Provider")
    return Answer(content={**call.shape(row, PROVIDER), "serverDateTime": call.now()})


@method("GET", "providers", "21.1")
def providers(call: Call) -> Answer:
    where, values = ["1=1"], []
    stamp = call.asked_stamp("DateTStamp", "21.3")
    if stamp:
        where.append("t.DateTStamp>?")
        values.append(call.office.stamp_stored(stamp))
    by_clinic = call.asked_number("ClinicNum") is not None
    if by_clinic:
        where.append("t.IsHidden=0")
    rows = call.office.select(
        "provider", " AND ".join(where), *values, limit=call.limit, offset=call.offset
    )
    now = "" if by_clinic else call.now()
    return Answer(content=[{**call.shape(row, PROVIDER), "serverDateTime": now} for row in rows])


def _chair_fields(call: Call) -> tuple[F, ...]:
    has_kind = "OperatoryType" in call.office.desk.columns("operatory")
    return (*OPERATORY, *CHAIR_KIND) if has_kind else OPERATORY


def _chair_extra(call: Call) -> dict[str, str]:
    if len(_chair_fields(call)) == len(OPERATORY):
        return {}
    return {"operatoryType": "(SELECT ItemName FROM definition WHERE DefNum=t.OperatoryType)"}


@method("GET", "operatories/{n}", "24.1.10")
def operatory(call: Call) -> Answer:
    row = call.office.one("operatory", call.key, _chair_extra(call))
    if row is None:
        raise missing("Operatory")
    return Answer(content=call.shape(row, _chair_fields(call)))


@method("GET", "operatories", "21.1")
def operatories(call: Call) -> Answer:
    where, values = _where(call, ("ClinicNum", ""))
    rows = call.office.select(
        "operatory", " AND ".join(where), *values, extra=_chair_extra(call),
        order="t.ItemOrder, t.OperatoryNum", limit=call.limit, offset=call.offset,
    )  # fmt: skip
    fields = _chair_fields(call)
    return Answer(content=[call.shape(row, fields) for row in rows])


_BLOCKOUT = {"blockoutType": "(SELECT ItemName FROM definition WHERE DefNum=t.BlockoutType)"}


def _with_chairs(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    chairs = call.office.desk.rows(
        "SELECT OperatoryNum FROM scheduleop WHERE ScheduleNum=? ORDER BY OperatoryNum",
        row["ScheduleNum"],
    )
    return call.shape({**row, "operatories": ",".join(str(n) for (n,) in chairs)}, SCHEDULE)


@method("GET", "schedules/{n}", "22.1")
def schedule(call: Call) -> Answer:
    row = call.office.one("schedule", call.key, _BLOCKOUT)
    if row is None:
        raise missing("Schedule")
    return Answer(content=_with_chairs(call, row))


@method("GET", "schedules", "22.1")
def schedules(call: Call) -> Answer:
    where, values = _where(call, ("ProvNum", ""), ("EmployeeNum", ""))
    ranged, days = date_range(call, "t.SchedDate")
    if not ranged:
        ranged, days = ["t.SchedDate=?"], [f"{call.office.today()}"]
    kind, blockout = (
        call.asked_enum("SchedType", SCHEDULE_TYPE),
        call.asked_number("BlockoutDefNum"),
    )
    for column, number in (("SchedType", kind), ("BlockoutType", blockout)):
        if number is not None:
            where.append(f"t.{column}=?")
            values.append(number)
    rows = call.office.select(
        "schedule", " AND ".join([*where, *ranged]), *values, *days, extra=_BLOCKOUT,
        order="t.StartTime, t.ScheduleNum", limit=call.limit, offset=call.offset,
    )  # fmt: skip
    return Answer(content=[_with_chairs(call, row) for row in rows])


@method("GET", "appointmenttypes", "22.4.10")
def appointment_types(call: Call) -> Answer:
    rows = call.office.select(
        "appointmenttype", order="t.ItemOrder, t.AppointmentTypeNum", limit=call.limit,
        offset=call.offset,
    )  # fmt: skip
    return Answer(content=[call.shape(row, APPOINTMENT_TYPE) for row in rows])


@method("GET", "histappointments", "23.1.30")
def histories(call: Call) -> Answer:
    """``date`` filters the copied AptDateTime: of which date the page speaks is not verified."""
    where, values = _where(call, ("AptNum", ""), ("PatNum", ""), ("ClinicNum", ""))
    for name, words in (
        ("HistApptAction", formats.HIST_ACTION), ("AptStatus", formats.APPT_STATUS),
    ):  # fmt: skip
        number = call.asked_enum(name, words)
        if number is not None:
            where.append(f"t.{name}=?")
            values.append(number)
    ranged, days = date_range(call, "t.AptDateTime")
    rows = call.office.select(
        "histappointment", " AND ".join([*where, *ranged]), *values, *days,
        extra=APPOINTMENT_EXTRA, limit=call.limit, offset=call.offset,
    )  # fmt: skip
    return Answer(content=[call.shape(row, HISTORY) for row in rows])


@method("GET", "procedurelogs/{n}", "23.3.13")
def procedure(call: Call) -> Answer:
    row = call.office.one("procedurelog", call.key, PROCEDURE_EXTRA)
    if row is None:
        raise missing("Procedure")
    return Answer(content={**call.shape(row, PROCEDURE), "serverDateTime": call.now()})


@method("GET", "procedurelogs", "21.1")
def procedures(call: Call) -> Answer:
    where, values = _where(
        call, ("PatNum", ""), ("AptNum", "22.3.32"), ("PlannedAptNum", "24.4.5"),
        ("ClinicNum", "23.3.13"),
    )  # fmt: skip
    stamp = call.asked_stamp("DateTStamp")
    if stamp:
        where.append("t.DateTStamp>=?")  # "on or after", unlike the other lists
        values.append(call.office.stamp_stored(stamp))
    rows = call.office.select(
        "procedurelog", " AND ".join(where), *values, extra=PROCEDURE_EXTRA, limit=call.limit,
        offset=call.offset,
    )  # fmt: skip
    now = call.now()
    return Answer(content=[{**call.shape(row, PROCEDURE), "serverDateTime": now} for row in rows])


@method("GET", "signalods", "21.2")
def signals(call: Call) -> Answer:
    since = call.asked_stamp("SigDateTime")
    if since is None:
        raise bad("SigDateTime is required")
    rows = call.office.select(
        "signalod", "t.SigDateTime>?", since, limit=call.limit, offset=call.offset
    )
    now = call.now()
    return Answer(content=[{**call.shape(row, SIGNAL), "serverDateTime": now} for row in rows])
