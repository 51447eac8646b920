"""Deeds about people and days: new patients, demographics, notes, calls, recalls, fields, hours.

Also the two nasty ones: an edit that leaves the change stamp alone and a delete without a trace.
May import ``front`` and the commlog writer beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from agent.model.streams import Stream
from agent.sandbox.practice.front import Front, Outcome, Touch, minute_of
from agent.sandbox.practice.life_visits import write_commlog
from agent.sandbox.practice.names import Phone, address, email, first_name, last_name, phone
from agent.sandbox.practice.office import security_hash
from agent.sandbox.practice.schema import NO_DATE
from agent.sandbox.practice.seeds import Cat
from agent.sandbox.practice.stores import Value

CALLS = ("Reminder sent", "Left a message", "Asked for an earlier time", "Wants x-rays sent",
         "Señora llamó, vuelve mañana", "Benefits checked")  # fmt: skip
_PHONES = (("HmPhone", 1), ("WkPhone", 2), ("WirelessPhone", 3))


def _patient(
    num: int, values: Mapping[str, Value], also: Sequence[Touch] = (), *, traceless: bool = False
) -> Outcome:
    return Outcome(
        Touch(Stream.PATIENT, num, "patient"), tuple(also), {k: str(v) for k, v in values.items()},
        traceless,
    )  # fmt: skip


def new_patient(front: Front) -> Outcome | None:
    """INSERT, then the hash, then the guarantor: a reader may see any of the three states."""
    if not front.seats:
        return None
    rng = front.rng
    female = rng.random() < 0.5
    first, last = first_name(rng, female), last_name(rng)[:100]
    mobile = phone(rng)
    seat = front.pick(front.seats)
    street, second, city, state, zip_code = address(rng)
    mail = email(rng, first, last)
    born = f"{1940 + int(rng.random() * 80)}-05-1{int(rng.random() * 9)}"
    num = front.insert("patient", "PatNum", {
        "LName": last[:1].upper() + last[1:], "FName": first[:1].upper() + first[1:],
        "PatStatus": 0, "Gender": 2, "Birthdate": born,
        "BillingType": front.definition(Cat.BILLING, "Standard Account"), "PriProv": seat.dentist,
        "SecProv": seat.hygienist, "ClinicNum": seat.clinic, "WirelessPhone": mobile.stored,
        "Email": mail[:100], "Address": street, "Address2": second, "City": city, "State": state,
        "Zip": zip_code, "BillingCycleDay": 1, "SecUserNumEntry": front.pick(front.users),
        "SecDateEntry": f"{front.today()}", "Guarantor": 0, "TxtMsgOk": front.pick((0, 1, 2)),
        "SchoolName": "", "DateFirstVisit": NO_DATE,
    })  # fmt: skip
    front.desk.update("patient", num, {"SecurityHash": security_hash("patient", num)})
    _phone_rows(front, num, {"WirelessPhone": mobile})
    front.log(106, num, 0, "Patient created")
    front.insert("custreference", "CustReferenceNum", {"PatNum": num, "Note": "", "IsBadRef": 0})
    guarantor = num
    if front.chance(0.3):
        other = front.some_patient()
        guarantor = other.guarantor if other is not None and other.guarantor else num
    front.desk.update("patient", num, {"Guarantor": guarantor})
    front.patients.append(num)
    also = Touch(Stream.BALANCE, num, "patient")
    return _patient(num, {"LName": last[:1].upper() + last[1:], "Guarantor": guarantor}, [also])


def _phone_rows(front: Front, patient: int, numbers: dict[str, Phone]) -> None:
    """The program deletes and re-inserts a patient's numbers at every save."""
    if not front.phone_table:
        return
    kinds = dict(_PHONES)
    for row, kind in front.desk.rows(
        "SELECT PhoneNumberNum, PhoneType FROM phonenumber WHERE PatNum=?", patient
    ):
        if int(kind) in {kinds[c] for c in numbers}:
            front.desk.delete("phonenumber", "PhoneNumberNum", int(row))
    for column, number in numbers.items():
        front.insert("phonenumber", "PhoneNumberNum", {
            "PatNum": patient, "PhoneNumberVal": number.stored, "PhoneNumberDigits": number.digits,
            "PhoneType": kinds[column],
        })  # fmt: skip


def demographics(front: Front) -> Outcome | None:
    patient = front.some_patient()
    if patient is None:
        return None
    rng, num = front.rng, patient.num
    roll = rng.random()
    changes: dict[str, Value] = {}
    also: list[Touch] = []
    if roll < 0.35:
        column = front.pick(_PHONES)[0]
        number = phone(rng)
        changes[column] = number.stored
        front.desk.update("patient", num, changes)
        _phone_rows(front, num, {column: number})
    elif roll < 0.6:
        changes["Email"] = email(rng, first_name(rng, female=True), last_name(rng))[:100]
        front.desk.update("patient", num, changes)
    elif roll < 0.8:
        street, second, city, state, zip_code = address(rng)
        changes = {
            "Address": street, "Address2": second, "City": city, "State": state, "Zip": zip_code,
        }  # fmt: skip
        for (member,) in front.desk.rows(
            "SELECT PatNum FROM patient WHERE Guarantor=? AND PatStatus<>4", patient.guarantor
        ):
            front.desk.update("patient", int(member), changes)  # "same for the whole family"
            if int(member) != num:
                also.append(Touch(Stream.PATIENT, int(member), "patient"))
        front.desk.update("patient", num, changes)
    elif roll < 0.9:
        before = front.desk.rows(
            "SELECT TxtMsgOk, PreferContactMethod FROM patient WHERE PatNum=?", num
        )
        ways = [pair for pair in itertools.product((0, 1, 2), (0, 4, 5, 8)) if pair not in before]
        changes = dict(zip(("TxtMsgOk", "PreferContactMethod"), front.pick(ways), strict=True))
        front.desk.update("patient", num, changes)
    else:
        changes = {"LName": last_name(rng)[:100], "Preferred": first_name(rng, female=False)[:100]}
        front.desk.update("patient", num, changes)
    front.log(108, num, 0, "Patient edited")
    return _patient(num, changes, also)


def commlog(front: Front) -> Outcome | None:
    """A new call, or an old one whose text is edited in place."""
    patient = front.some_patient()
    if patient is None:
        return None
    text = f"{front.pick(CALLS)} {int(front.rng.random() * 1e6)}"
    if front.chance(0.35):
        found = front.desk.rows(
            "SELECT CommlogNum FROM commlog WHERE PatNum=? LIMIT 5", patient.num
        )
        if found:
            num = int(front.pick(found)[0])
            front.desk.update("commlog", num, {"Note": text})
            front.log(43, patient.num, num, "Commlog edited")
            return Outcome(Touch(Stream.COMMUNICATION, num, "commlog"), (), {"Note": text})
    made = write_commlog(front, patient.num, front.pick(("MISC", "APPT", "FIN", "RECALL")), text)
    front.log(193, patient.num, made.key, "Commlog created")
    return Outcome(made, (), {"Note": text})


def note(front: Front) -> Outcome | None:
    """A progress note, or its edit: always another row."""
    for _ in range(12):
        patient = front.some_patient()
        found = patient and front.desk.rows(
            "SELECT ProcNum FROM procedurelog WHERE PatNum=? AND ProcStatus=2 LIMIT 20", patient.num
        )
        if patient is not None and found:
            break
    else:
        return None
    text = f"Note {int(front.rng.random() * 1e6)}.\r\nPatient comfortable."
    num = front.insert("procnote", "ProcNoteNum", {
        "PatNum": patient.num, "ProcNum": int(front.pick(found)[0]),
        "EntryDateTime": front.now_text(), "UserNum": front.pick(front.users), "Note": text,
        "SigIsTopaz": 0, "Signature": "",
    })  # fmt: skip
    front.log(53, patient.num, 0, "Procedure note")
    return Outcome(Touch(Stream.CLINICAL_NOTE, num, "procnote"), (), {"Note": text})


def recall(front: Front) -> Outcome | None:
    for _ in range(12):
        patient = front.some_patient()
        found = patient and front.desk.rows(
            "SELECT RecallNum FROM recall WHERE PatNum=?", patient.num
        )
        if patient is not None and found:
            break
    else:
        return None
    num = int(front.pick(found)[0])
    due = front.today() + timedelta(days=int(front.rng.random() * 400) - 120)
    changes: dict[str, Value] = {
        "DateDue": f"{due}", "Note": front.pick(("", "Call after six", "Prefers Fridays")),
        "RecallStatus": front.definition(
            Cat.RECALL_STATUS, front.pick(("Left Msg", "Sent Email", "CallBak", "Texted"))
        ),
    }  # fmt: skip
    front.desk.update("recall", num, changes)
    front.log(156, patient.num, num, "Recall edited")
    return Outcome(Touch(Stream.RECALL, num, "recall"), (), {k: str(v) for k, v in changes.items()})


def field(front: Front) -> Outcome | None:
    """Set a custom field; blanking it deletes the row."""
    patient = front.some_patient()
    names = front.desk.rows("SELECT FieldName FROM patfielddef WHERE FieldType=0")
    if patient is None or not names:
        return None
    name = str(front.pick(names)[0])
    found = front.desk.rows(
        "SELECT PatFieldNum FROM patfield WHERE PatNum=? AND FieldName=?", patient.num, name
    )
    value = f"Value {int(front.rng.random() * 1e6)}"
    if found and front.chance(0.4):
        front.desk.delete("patfield", "PatFieldNum", int(found[0][0]))
        value = ""
    elif found:
        front.desk.update("patfield", int(found[0][0]), {"FieldValue": value})
    else:
        front.insert("patfield", "PatFieldNum", {
            "PatNum": patient.num, "FieldName": name, "FieldValue": value,
            "SecUserNumEntry": front.pick(front.users), "SecDateEntry": f"{front.today()}",
        })  # fmt: skip
    front.log(80, patient.num, 0, "Patient field edited")
    return _patient(patient.num, {name: value})


def silent_edit(front: Front) -> Outcome | None:
    """A third party's UPDATE that keeps the stamp where it was."""
    roll = front.rng.random()
    text = f"silent {int(front.rng.random() * 1e6)}"
    if roll < 0.5:
        patient = front.some_patient()
        if patient is None:
            return None
        front.desk.update("patient", patient.num, {"MedUrgNote": text}, silent=True)
        return _patient(patient.num, {"MedUrgNote": text}, traceless=True)
    if roll < 0.8:
        row = front.some_appointment()
        if row is None:
            return None
        num = int(row["AptNum"])
        front.desk.update("appointment", num, {"Note": text}, silent=True)
        main = Touch(Stream.APPOINTMENT, num, "appointment")
        return Outcome(main, (), {"Note": text}, traceless=True)
    num = 0
    for _ in range(12):
        patient = front.some_patient()
        found = patient and front.desk.rows(
            "SELECT CommlogNum FROM commlog WHERE PatNum=? LIMIT 5", patient.num
        )
        if found:
            num = int(found[0][0])
            break
    else:
        return None
    front.desk.update("commlog", num, {"Note": text}, silent=True)
    return Outcome(Touch(Stream.COMMUNICATION, num, "commlog"), (), {"Note": text}, traceless=True)


_DELETABLE = (
    (Stream.COMMUNICATION, "commlog", "CommlogNum"),
    (Stream.ADJUSTMENT, "adjustment", "AdjNum"),
    (Stream.RECALL, "recall", "RecallNum"),
    (Stream.PATIENT, "patfield", "PatFieldNum"),
)


def hard_delete(front: Front) -> Outcome | None:
    """A row that simply is not there any more: no log, no tombstone, no stamp."""
    for _ in range(8):
        patient = front.some_patient()
        if patient is None:
            return None
        stream, table, key = front.pick(_DELETABLE)
        found = front.desk.rows(f"SELECT {key} FROM {table} WHERE PatNum=? LIMIT 5", patient.num)
        if not found:
            continue
        num = int(found[0][0])
        front.desk.delete(table, key, num)
        if stream is Stream.PATIENT:  # a custom field belongs to its patient's record
            return Outcome(Touch(stream, patient.num, table), (), {}, traceless=True)
        return Outcome(Touch(stream, num, table, gone=True), (), {}, traceless=True)
    return None


def schedule_day(front: Front) -> Outcome | None:
    """A provider's day is edited: its rows go and new ones come, with the operatories."""
    day, found = front.today(), []
    for _ in range(12):
        day = front.today() + timedelta(days=1 + int(front.rng.random() * 90))
        found = front.desk.rows(
            "SELECT ScheduleNum, ProvNum, StartTime, StopTime, ClinicNum FROM schedule "
            "WHERE SchedDate=? AND SchedType=1 ORDER BY ScheduleNum",
            f"{day}",
        )
        if found:
            break
    else:
        return None
    provider = int(front.pick(found)[1])
    gone, made = [], []
    for num, _, start, stop, clinic in (r for r in found if int(r[1]) == provider):
        ops = [
            int(o)
            for (o,) in front.desk.rows(
                "SELECT OperatoryNum FROM scheduleop WHERE ScheduleNum=?", int(num)
            )
        ]
        front.desk.delete("scheduleop", "ScheduleNum", int(num))
        front.desk.delete("schedule", "ScheduleNum", int(num))
        gone.append(Touch(Stream.SCHEDULE_BLOCK, int(num), "schedule", gone=True))
        made.append(
            _shift(front, day, provider, minute_of(start), minute_of(stop), ops, int(clinic))
        )
    front.signal(85, f"{day}", (("Provider", provider),))
    return Outcome(made[0], (*made[1:], *gone))


def _shift(
    front: Front, day: date, provider: int, start: int, stop: int, ops: list[int], clinic: int
) -> Touch:
    late = start + 10 * int(front.rng.random() * 4)
    new = front.insert("schedule", "ScheduleNum", {
        "SchedDate": f"{day}", "StartTime": f"{late // 60:02d}:{late % 60:02d}:00",
        "StopTime": f"{stop // 60:02d}:{stop % 60:02d}:00", "SchedType": 1, "ProvNum": provider,
        "BlockoutType": 0, "Note": "", "Status": 0, "EmployeeNum": 0, "ClinicNum": clinic,
    })  # fmt: skip
    for op in ops:
        front.insert("scheduleop", "ScheduleOpNum", {"ScheduleNum": new, "OperatoryNum": op})
    return Touch(Stream.SCHEDULE_BLOCK, new, "schedule")
