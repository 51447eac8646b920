"""Deeds about appointments: book, move, confirm, break, complete, delete.

Each writes the statements the program writes, in its order, every one its own commit. A deed that
finds nothing to act on returns None. Facts: Open Dental's documented behaviour, as collected.
May import ``front`` only.
"""

from __future__ import annotations

from typing import Any

from agent.model.streams import Stream
from agent.sandbox.practice.front import Front, Outcome, Patient, Touch, date_text
from agent.sandbox.practice.office import security_hash
from agent.sandbox.practice.schema import NO_DATE
from agent.sandbox.practice.seeds import Cat
from agent.sandbox.practice.stores import Value

APPOINTMENT_NOTES = (
    "",
    "",
    "Call when early",
    "Prefers the window",
    "Übergabe: Röntgen",
    "Kids too",
)


def _hash(row: dict[str, Any]) -> str:
    return security_hash(row["AptStatus"], row["Confirmed"], row["AptDateTime"])


def _touched(num: int, *also: Touch, gone: bool = False, **values: object) -> Outcome:
    return Outcome(
        Touch(Stream.APPOINTMENT, num, "appointment", gone), also,
        {name: str(value) for name, value in values.items()},
    )  # fmt: skip


def _procs_of(front: Front, apt: int) -> list[tuple[int, int, int]]:
    """(ProcNum, CodeNum, ProcStatus) of the procedures attached to an appointment."""
    found = front.desk.rows(
        "SELECT ProcNum, CodeNum, ProcStatus FROM procedurelog WHERE AptNum=? ORDER BY ProcNum", apt
    )
    return [(int(p), int(c), int(s)) for p, c, s in found]


def _describe(front: Front, apt: int) -> str:
    abbreviations = dict(front.codes.values())
    names = [abbreviations.get(code, "") for _, code, _ in _procs_of(front, apt)]
    return ", ".join(n for n in names if n)[:255]


def set_recall(front: Front, patient: int, scheduled: str) -> list[Touch]:
    """Keep recall.DateScheduled in step; the recall types are those a cleaning triggers."""
    touched = []
    for num, was in front.desk.rows(
        "SELECT RecallNum, DateScheduled FROM recall WHERE PatNum=? ORDER BY RecallNum LIMIT 1",
        patient,
    ):
        if date_text(was) != scheduled:
            front.desk.update("recall", int(num), {"DateScheduled": scheduled})
            touched.append(Touch(Stream.RECALL, int(num), "recall"))
    return touched


def add_procedure(
    front: Front, patient: Patient, code: str, apt: int, *, complete: bool, provider: int
) -> int:
    """One procedurelog row, treatment-planned or completed today; 0 when the code is unknown."""
    if code not in front.codes:
        return 0
    num, _ = front.codes[code]
    today = f"{front.today()}"
    return front.insert("procedurelog", "ProcNum", {
        "PatNum": patient.num, "AptNum": apt, "ProcDate": today,
        "ProcFee": front.fees.get(num, 0.0),
        "Surf": "", "ToothNum": "", "ProcStatus": 2 if complete else 1, "ProvNum": provider,
        "PlannedAptNum": 0, "ClinicNum": patient.clinic, "CodeNum": num, "UnitQty": 1,
        "DateTP": today, "DateEntryC": today if complete else NO_DATE,
        "DateComplete": today if complete else NO_DATE, "SecUserNumEntry": front.pick(front.users),
        "SecDateEntry": front.now_text() if _is_datetime(front) else today,
    })  # fmt: skip


def _is_datetime(front: Front) -> bool:
    return "SecurityHash" in front.desk.columns("paysplit")


def book(front: Front) -> Outcome | None:
    patient = front.some_patient()
    if patient is None:
        return None
    hygiene = front.chance(0.6)
    units = 12 if hygiene else 8
    slot = front.free_slot(patient.clinic, units, hygiene=hygiene)
    if slot is None:
        return None
    seat, start = slot
    now = front.now_text()
    new = patient.first_visit == NO_DATE
    row: dict[str, Value] = {
        "PatNum": patient.num, "AptStatus": 1, "Pattern": "//" + "X" * (units - 4) + "//",
        "Confirmed": front.definition(Cat.CONFIRMED, "NotCalled"), "TimeLocked": 0, "Op": seat.op,
        "Note": front.pick(APPOINTMENT_NOTES), "ProvNum": seat.dentist or patient.pri_prov,
        "ProvHyg": seat.hygienist if seat.hygiene else 0, "AptDateTime": start, "NextAptNum": 0,
        "UnschedStatus": 0, "IsNewPatient": int(new), "ProcDescript": "", "Assistant": 0,
        "ClinicNum": seat.clinic or patient.clinic, "IsHygiene": int(seat.hygiene),
        "DateTimeArrived": start[:10] + " 00:00:00", "DateTimeSeated": start[:10] + " 00:00:00",
        "DateTimeDismissed": start[:10] + " 00:00:00", "InsPlan1": 0, "InsPlan2": 0,
        "ProcsColored": "", "ColorOverride": 0, "AppointmentTypeNum": 0,
        "SecUserNumEntry": front.pick(front.users), "SecDateTEntry": now, "Priority": 0,
        "ProvBarText": "", "PatternSecondary": "", "ItemOrderPlanned": 0,
    }  # fmt: skip
    row["SecurityHash"] = _hash(row)
    apt = front.insert("appointment", "AptNum", row)
    full = front.appointment(apt)
    if full is None:
        return None
    front.history(0, full)
    front.appointment_signals(full)
    also = _attach(front, patient, apt, hygiene=hygiene, provider=seat.provider)
    descript = _describe(front, apt)
    if descript:
        front.desk.update("appointment", apt, {
            "ProcDescript": descript, "ProcsColored": f'<span color="-1">{descript}</span>',
        })  # fmt: skip
    if hygiene:
        also += set_recall(front, patient.num, start[:10])
    front.log(25, patient.num, apt, "Appointment created")
    front.insert("entrylog", "EntryLogNum", {
        "UserNum": front.pick(front.users), "FKeyType": 0, "FKey": apt, "LogSource": 0,
        "EntryDateTime": now,
    })  # fmt: skip
    front.scheduled.append(apt)
    return _touched(apt, *also, AptDateTime=start, ProcDescript=descript)


def _attach(
    front: Front, patient: Patient, apt: int, *, hygiene: bool, provider: int
) -> list[Touch]:
    """Attach what is treatment-planned, or plan what such a visit is for."""
    waiting = front.desk.rows(
        "SELECT ProcNum FROM procedurelog WHERE PatNum=? AND ProcStatus=1 AND AptNum=0 "
        "ORDER BY ProcNum LIMIT 2",
        patient.num,
    )
    if waiting and not hygiene:
        nums = [int(n) for (n,) in waiting]
        for num in nums:
            front.desk.update("procedurelog", num, {"AptNum": apt, "ProvNum": provider})
    else:
        codes = ("D0120", "D1110") if hygiene else ("D0140",)
        made = (
            add_procedure(front, patient, c, apt, complete=False, provider=provider) for c in codes
        )
        nums = [n for n in made if n]
    return [Touch(Stream.PROCEDURE, n, "procedurelog") for n in nums]


def move(front: Front) -> Outcome | None:
    row = front.some_appointment()
    if row is None:
        return None
    units = max(len(str(row["Pattern"])), 2)
    hygiene = bool(int(row["IsHygiene"]))
    slot = front.free_slot(int(row["ClinicNum"]), units, hygiene=hygiene)
    if slot is None:
        return None
    seat, start = slot
    old = dict(row)
    midnight = start[:10] + " 00:00:00"
    changes: dict[str, Value] = {
        "AptDateTime": start, "Op": seat.op, "ProvNum": seat.dentist or int(row["ProvNum"]),
        "ProvHyg": seat.hygienist if seat.hygiene else 0, "DateTimeArrived": midnight,
        "DateTimeSeated": midnight, "DateTimeDismissed": midnight,
    }  # fmt: skip
    row.update(changes)
    changes["SecurityHash"] = _hash(row)
    apt = int(row["AptNum"])
    front.desk.update("appointment", apt, changes)
    front.history(1, row)
    front.appointment_signals(row)
    front.appointment_signals(old)
    also = set_recall(front, int(row["PatNum"]), start[:10]) if hygiene else []
    front.log(26, int(row["PatNum"]), apt, "Appointment moved")
    return _touched(apt, *also, AptDateTime=start, Op=seat.op)


def confirm(front: Front) -> Outcome | None:
    row = front.some_appointment(today_first=True)
    if row is None:
        return None
    states = [s for s in front.confirmed_states() if s != int(row["Confirmed"])]
    state = int(front.pick(states))
    changes: dict[str, Value] = {"Confirmed": state}
    for name, column in (("Arrived", "DateTimeArrived"), ("Seated", "DateTimeSeated"),
                         ("Dismissed", "DateTimeDismissed")):  # fmt: skip
        if state == front.pref_int(f"AppointmentTime{name}Trigger", 0):
            changes[column] = front.now_text()
    row.update(changes)
    changes["SecurityHash"] = _hash(row)
    apt = int(row["AptNum"])
    front.desk.update("appointment", apt, changes)
    front.appointment_signals(row)
    front.history(1, row)
    front.log(120, int(row["PatNum"]), apt, "Confirmation status changed")
    return _touched(apt, Confirmed=state)


def break_(front: Front) -> Outcome | None:
    """Missed or cancelled: broken in place or put on the unscheduled list, and charted."""
    row = front.some_appointment()
    if row is None:
        return None
    apt, pat = int(row["AptNum"]), int(row["PatNum"])
    missed = front.chance(0.5)
    old = dict(row)
    changes: dict[str, Value] = {"AptStatus": 5}
    if front.chance(0.4):
        changes = {
            "AptStatus": 3, "Op": 0,
            "UnschedStatus": front.definition(Cat.RECALL_STATUS, "CallUs"),
        }  # fmt: skip
    row.update(changes)
    changes["SecurityHash"] = _hash(row)
    front.desk.update("appointment", apt, changes)
    front.appointment_signals(old)
    also = []
    patient = Patient(pat, 0, int(row["ProvNum"]), 0, int(row["ClinicNum"]), "")
    proc = add_procedure(
        front, patient, "D9986" if missed else "D9987", apt, complete=True,
        provider=int(row["ProvNum"]),
    )  # fmt: skip
    if proc:
        also.append(Touch(Stream.PROCEDURE, proc, "procedurelog"))
    front.history((2 if missed else 3) if proc else 1, row)
    if int(row["IsHygiene"]):
        also += set_recall(front, pat, NO_DATE)
    if front.chance(0.3):
        also.append(write_commlog(front, pat, "APPT", "Broke the appointment"))
    front.log(27, pat, apt, "Appointment broken")
    return _touched(apt, *also, AptStatus=row["AptStatus"])


def write_commlog(front: Front, patient: int, kind: str, note: str) -> Touch:
    now = front.now_text()
    num = front.insert("commlog", "CommlogNum", {
        "PatNum": patient, "CommDateTime": now, "CommType": front.definition(Cat.COMMLOG, kind),
        "Note": note, "Mode_": front.pick((0, 1, 3, 4, 5)), "SentOrReceived": front.pick((1, 2)),
        "UserNum": front.pick(front.users), "Signature": "", "SigIsTopaz": 0, "CommSource": 0,
        "ProgramNum": 0, "DateTimeEnd": NO_DATE + " 00:00:00", "DateTEntry": now,
        "ReferralNum": 0, "CommReferralBehavior": 0,
    })  # fmt: skip
    return Touch(Stream.COMMUNICATION, num, "commlog")


def complete(front: Front) -> Outcome | None:
    row = front.some_appointment(today_first=True)
    if row is None:
        return None
    apt, pat, today = int(row["AptNum"]), int(row["PatNum"]), f"{front.today()}"
    row["AptStatus"] = 2
    front.desk.update("appointment", apt, {"AptStatus": 2, "SecurityHash": _hash(row)})
    front.appointment_signals(row)
    front.history(1, row)
    also = []
    first_proc = 0
    for proc, _, status in _procs_of(front, apt):
        if status != 1:
            continue
        first_proc = first_proc or proc
        front.desk.update("procedurelog", proc, {
            "ProcStatus": 2, "ProcDate": today, "DateEntryC": today, "DateComplete": today,
        })  # fmt: skip
        also.append(Touch(Stream.PROCEDURE, proc, "procedurelog"))
        front.log(23, pat, proc, "Procedure completed")
    found = front.desk.rows("SELECT DateFirstVisit FROM patient WHERE PatNum=?", pat)
    if found and date_text(found[0][0]) == NO_DATE:
        front.desk.update("patient", pat, {"DateFirstVisit": today})
        also.append(Touch(Stream.PATIENT, pat, "patient"))
    if int(row["IsHygiene"]):
        also += _recall_done(front, pat)
    if first_proc:
        note = front.insert("procnote", "ProcNoteNum", {
            "PatNum": pat, "ProcNum": first_proc, "EntryDateTime": front.now_text(),
            "UserNum": front.pick(front.users), "Note": "Completed.\r\nNext visit: recall.",
            "SigIsTopaz": 0, "Signature": "",
        })  # fmt: skip
        also.append(Touch(Stream.CLINICAL_NOTE, note, "procnote"))
    front.log(27, pat, apt, "Appointment set complete")
    return _touched(apt, *also, AptStatus=2)


def _recall_done(front: Front, patient: int) -> list[Touch]:
    today = front.today()
    month = today.month + 6
    due = f"{today.year + (month - 1) // 12}-{(month - 1) % 12 + 1:02d}-{min(today.day, 28):02d}"
    for (num,) in front.desk.rows(
        "SELECT RecallNum FROM recall WHERE PatNum=? ORDER BY RecallNum LIMIT 1", patient
    ):
        front.desk.update("recall", int(num), {
            "DatePrevious": f"{today}", "DateDueCalc": due, "DateDue": due, "RecallStatus": 0,
            "Note": "", "DateScheduled": NO_DATE,
        })  # fmt: skip
        return [Touch(Stream.RECALL, int(num), "recall")]
    return []


def delete_appointment(front: Front) -> Outcome | None:
    """Detach everything that points here, then the row itself goes; history and signals remain."""
    row = front.some_appointment()
    if row is None:
        return None
    apt, pat, desk = int(row["AptNum"]), int(row["PatNum"]), front.desk
    also = [Touch(Stream.PROCEDURE, p, "procedurelog") for p, _, _ in _procs_of(front, apt)]
    for proc in also:
        desk.update("procedurelog", proc.key, {"AptNum": 0})
    for (planned,) in desk.rows("SELECT ProcNum FROM procedurelog WHERE PlannedAptNum=?", apt):
        desk.update("procedurelog", int(planned), {"PlannedAptNum": 0})
        also.append(Touch(Stream.PROCEDURE, int(planned), "procedurelog"))
    for (lab,) in desk.rows("SELECT LabCaseNum FROM labcase WHERE AptNum=?", apt):
        desk.update("labcase", int(lab), {"AptNum": 0})
        also.append(Touch(Stream.LAB_CASE, int(lab), "labcase"))
    for (next_one,) in desk.rows("SELECT AptNum FROM appointment WHERE NextAptNum=?", apt):
        desk.update("appointment", int(next_one), {"NextAptNum": 0})
        also.append(Touch(Stream.APPOINTMENT, int(next_one), "appointment"))
    desk.delete("apptfield", "AptNum", apt)
    desk.run("UPDATE securitylog SET FKey=0 WHERE FKey=? AND PermType IN (25,26,27,120)", apt)
    desk.delete("appointment", "AptNum", apt)
    front.history(4, row)
    front.appointment_signals(row)
    if int(row["IsHygiene"]):
        also += set_recall(front, pat, NO_DATE)
    if int(row["IsNewPatient"]):
        done = desk.rows("SELECT 1 FROM procedurelog WHERE PatNum=? AND ProcStatus=2 LIMIT 1", pat)
        if not done and desk.update("patient", pat, {"DateFirstVisit": NO_DATE}):
            also.append(Touch(Stream.PATIENT, pat, "patient"))
    front.log(237, pat, 0, "Appointment deleted")
    return _touched(apt, *also, gone=True)
