"""Appointments beyond writing the row: PUT Break, PUT Confirm, PUT Note, GET Slots.

May import ``appointments``, ``call``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from tests.support.odapi.appointments import (
    APPOINTMENT_EDIT,
    APPOINTMENT_MOVE,
    appointment_of,
    chart,
    save,
)
from tests.support.odapi.call import Answer, Call, bad, method, missing
from tests.support.odapi.formats import NO_DATETIME
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import (
    BROKEN,
    CANCELLED,
    CHANGED,
    CONFIRMED_CATEGORY,
    MISSED,
    SCHEDULED,
    UNSCHEDULED,
    Office,
)
from tests.support.odapi.patients import patient_of

CONFIRM_EDIT = 120
BREAK_CODES = {"Missed": ("D9986", MISSED), "Cancelled": ("D9987", CANCELLED)}
CONFIRM_PREFS = {
    "Sent": "ApptEConfirmStatusSent",
    "Confirmed": "ApptEConfirmStatusAccepted",
    "Not Accepted": "ApptEConfirmStatusDeclined",
    "Failed": "ApptEConfirmStatusSendFailed",
}
TRIGGERS = (
    ("AppointmentTimeArrivedTrigger", "DateTimeArrived"),
    ("AppointmentTimeSeatedTrigger", "DateTimeSeated"),
    ("AppointmentTimeDismissedTrigger", "DateTimeDismissed"),
)


@method("PUT", "appointments/{n}/Break", "21.3", Permission.COMM)
def break_appointment(call: Call) -> Answer:
    office, old = call.office, appointment_of(call, call.key)
    patient_of(call, int(old["PatNum"]))
    call.require("sendToUnscheduledList")
    to_list = call.flag("sendToUnscheduledList")
    kind = call.string("breakType")
    if kind is not None and kind not in BREAK_CODES:
        raise bad("breakType is invalid")
    if int(old["AptStatus"]) != SCHEDULED:
        raise bad("Only scheduled appointments can be broken")
    action, code = CHANGED, None
    if kind is not None:
        if office.pref_number("BrokenApptProcedure") == 0:
            raise bad("breakType is not enabled for this office")
        name, action = BREAK_CODES[kind]
        code = office.value("SELECT CodeNum FROM procedurecode WHERE ProcCode=?", name)
        if code is None:
            raise bad(f"Procedure code {name} not found")
    new = save(office, old, {"AptStatus": UNSCHEDULED if to_list else BROKEN}, action)
    if code is not None:
        chart(office, new, int(code), status=2, links={"AptNum": call.key})
    if office.pref("BrokenApptCommLog") == "1":
        now = office.now()
        office.insert("commlog", {
            "PatNum": new["PatNum"], "CommDateTime": now, "CommType": office.comm_type("APPT"),
            "Note": f"Broken appointment for {old['AptDateTime']}", "Mode_": 0,
            "SentOrReceived": 0, "UserNum": office.signer.user, "Signature": "", "SigIsTopaz": 0,
            "DateTimeEnd": NO_DATETIME, "CommSource": 0, "ProgramNum": 0, "DateTEntry": now,
        })  # fmt: skip
    office.synch_recalls(int(new["PatNum"]))
    office.log(
        APPOINTMENT_MOVE if to_list else APPOINTMENT_EDIT, int(new["PatNum"]),
        f"{old['AptDateTime']}, appointment broken from the API.", call.key,
        str(old["DateTStamp"]),
    )  # fmt: skip
    office.entry(call.key)
    return Answer()


@method("PUT", "appointments/{n}/Confirm", "21.1", Permission.COMM)
def confirm(call: Call) -> Answer:
    office, old = call.office, appointment_of(call, call.key)
    patient_of(call, int(old["PatNum"]))
    spoken, number = call.string("confirmVal"), call.number("defNum", "21.2")
    if (spoken is None) == (number is None):
        raise bad("Either confirmVal or defNum is required")
    if spoken is not None:
        number = _confirmed_as(office, spoken)
    assert number is not None
    if not office.is_definition(number, CONFIRMED_CATEGORY):
        raise missing("defNum")
    changes: dict[str, Any] = {"Confirmed": number}
    for pref, column in TRIGGERS:
        if office.pref_number(pref) == number:
            changes[column] = office.now()
    save(office, old, changes)
    office.log(
        CONFIRM_EDIT, int(old["PatNum"]), "Appointment confirmation status changed from the API.",
        call.key, str(old["DateTStamp"]),
    )  # fmt: skip
    office.entry(call.key)
    return Answer()


def _confirmed_as(office: Office, spoken: str) -> int:
    if spoken == "None":
        return office.first_definition(CONFIRMED_CATEGORY)
    if spoken not in CONFIRM_PREFS:
        raise bad("confirmVal is invalid")
    return office.pref_number(CONFIRM_PREFS[spoken])


@method("PUT", "appointments/{n}/Note", "21.1", Permission.COMM)
def append_note(call: Call) -> Answer:
    office, old = call.office, appointment_of(call, call.key)
    patient_of(call, int(old["PatNum"]))
    call.require("Note")
    before, added = str(old["Note"] or ""), call.string("Note") or ""
    save(office, old, {"Note": f"{before}\r\n{added}" if before else added})
    office.log(
        APPOINTMENT_EDIT, int(old["PatNum"]), "Appointment note appended from the API.", call.key,
        str(old["DateTStamp"]),
    )  # fmt: skip
    office.entry(call.key)
    return Answer()


# --- free slots -------------------------------------------------------------------------------


@method("GET", "appointments/Slots", "21.1")
def slots(call: Call) -> Answer:
    """Whole open stretches of a provider's schedule without appointments; blockouts count not."""
    office = call.office
    today = office.today()
    single = call.asked_day("date")
    first = date.fromisoformat(single or call.asked_day("dateStart") or f"{today}")
    last = date.fromisoformat(
        single or call.asked_day("dateEnd") or f"{first + timedelta(days=13)}"
    )
    if first < today:
        raise bad("date must be today or a future date")
    provider = call.asked_number("ProvNum") or office.pref_number("PracticeDefaultProv")
    chair, least = call.asked_number("OpNum", "22.1"), call.asked_number("lengthMinutes") or 0
    if not office.exists("provider", provider):
        raise missing("Provider")
    if chair is not None and not office.exists("operatory", chair):
        raise missing("Operatory")
    found = []
    for row in office.select(
        "schedule", "t.SchedType=1 AND t.ProvNum=? AND t.SchedDate>=? AND t.SchedDate<=? "
        "AND t.Status<>2", provider, f"{first}", f"{last}",
        order="t.SchedDate, t.StartTime",
    ):  # fmt: skip
        chairs = _chairs(office, int(row["ScheduleNum"]), provider)
        if chair is not None and chair not in chairs:
            continue
        seat = chair if chair is not None else (chairs or [0])[0]
        opens = _at(row["SchedDate"], row["StartTime"])
        closes = _at(row["SchedDate"], row["StopTime"])
        taken = _taken(office, str(row["SchedDate"]), provider, [seat] if chair else chairs)
        for start, end in _gaps(opens, closes, taken):
            if (end - start).total_seconds() >= max(least, 5) * 60:
                found.append({
                    "DateTimeStart": f"{start:%Y-%m-%d %H:%M:%S}",
                    "DateTimeEnd": f"{end:%Y-%m-%d %H:%M:%S}", "ProvNum": provider, "OpNum": seat,
                })  # fmt: skip
    return Answer(content=found[call.offset : call.offset + call.limit])


def _chairs(office: Office, schedule: int, provider: int) -> list[int]:
    """The chairs a provider's hours apply to: named ones, else those assigned to the provider."""
    named = [
        int(num)
        for (num,) in office.desk.rows(
            "SELECT OperatoryNum FROM scheduleop WHERE ScheduleNum=? ORDER BY OperatoryNum",
            schedule,
        )
    ]
    return named or [
        int(num)
        for (num,) in office.desk.rows(
            "SELECT OperatoryNum FROM operatory WHERE IsHidden=0 AND "
            "((IsHygiene=0 AND ProvDentist=?) OR (IsHygiene=1 AND ProvHygienist=?)) "
            "ORDER BY ItemOrder, OperatoryNum",
            provider,
            provider,
        )
    ]


def _taken(
    office: Office, day: str, provider: int, chairs: list[int]
) -> list[tuple[datetime, datetime]]:
    following = date.fromisoformat(day) + timedelta(days=1)
    seats = ",".join(map(str, chairs)) or "-1"
    return sorted(
        (start := datetime.fromisoformat(str(row["AptDateTime"])),
         start + timedelta(minutes=5 * len(str(row["Pattern"]))))
        for row in office.select(
            "appointment", "t.AptDateTime>=? AND t.AptDateTime<? AND t.AptStatus IN (1,2) "
            f"AND (t.Op IN ({seats}) OR t.ProvNum=? OR t.ProvHyg=?)",
            day, f"{following}", provider, provider,
        )
    )  # fmt: skip


def _gaps(
    opens: datetime, closes: datetime, taken: list[tuple[datetime, datetime]]
) -> list[tuple[datetime, datetime]]:
    gaps, free_from = [], opens
    for start, end in taken:
        if start > free_from:
            gaps.append((free_from, min(start, closes)))
        free_from = max(free_from, end)
    gaps.append((free_from, closes))
    return [(start, end) for start, end in gaps if end > start]


def _at(day: Any, clock: Any) -> datetime:
    return datetime.fromisoformat(f"{day} {str(clock)[:8]}")
