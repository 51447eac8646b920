"""Appointments written directly: book, move, confirm, status, break, note.

A visit is never set complete here: that charts and bills its procedures, which only the program
can do. Procedures are not attached and no fee is charged. Must not import a database library.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.model.commands import Reason
from agent.model.effects import Effect, Written
from drivers.opendental import spelling as spell
from drivers.opendental.direct import trail
from drivers.opendental.direct.pen import Row, Value
from drivers.opendental.direct.records import write_commlog
from drivers.opendental.direct.trail import Scribe, ends_at, number, only, target
from drivers.opendental.office import COMM_TYPE, CONFIRMED
from drivers.opendental.spelling import NO_MOMENT, key_of, refused, unsupported

_TAKEN = (trail.SCHEDULED, trail.COMPLETE, trail.ASAP)
_LONGEST = timedelta(hours=9)


def book(scribe: Scribe, effect: Effect) -> Written:
    fields = effect.fields
    only(fields, "patient_key", "start", "minutes", "operatory_key", "provider_key", "status",
         "hygienist_key", "type_key", "note", "is_new_patient", "is_hygiene", "priority",
         "confirmation_category", "confirmation_key")  # fmt: skip
    if fields.get("status", "scheduled") != "scheduled":
        raise unsupported()
    patient = scribe.patient(key_of(fields.get("patient_key")))
    chair = _chair(scribe, fields.get("operatory_key"))
    start = scribe.office.clock.wall(fields.get("start"))
    kind = _type(scribe, fields.get("type_key"))
    pattern = _pattern(kind, fields.get("minutes"))
    _check_free(scribe, number(chair, "OperatoryNum"), start, pattern, 0)
    patient_key = number(patient, "PatNum")
    new = fields.get("is_new_patient")
    if new is None:
        first = str(patient["DateFirstVisit"])
        new = first < "1880" and not scribe.has_completed(patient_key)
    hygiene = fields.get("is_hygiene")
    row: dict[str, Value] = {
        "PatNum": patient_key,
        "AptStatus": trail.SCHEDULED,
        "Pattern": pattern,
        "Confirmed": _confirmation(scribe, fields),
        "TimeLocked": scribe.office.preference_number("AppointmentTimeIsLocked"),
        "Op": number(chair, "OperatoryNum"),
        "Note": spell.text_of(fields.get("note")),
        "ProvNum": _dentist(scribe, fields.get("provider_key"), chair, patient),
        "ProvHyg": _hygienist(scribe, fields.get("hygienist_key"), chair, patient),
        "AptDateTime": start,
        "IsNewPatient": int(bool(new)),
        "ClinicNum": number(chair, "ClinicNum") or number(patient, "ClinicNum"),
        "IsHygiene": number(chair, "IsHygiene") if hygiene is None else int(bool(hygiene)),
        **_not_yet(start),
        "DateTimeAskedToArrive": _asked_to_arrive(start, patient),
        "AppointmentTypeNum": number(kind, "AppointmentTypeNum") if kind else 0,
        "ColorOverride": number(kind, "AppointmentTypeColor") if kind else 0,
        "SecUserNumEntry": trail.NOBODY,
        "SecDateTEntry": scribe.now,
        "Priority": spell.number_of(spell.PRIORITY, fields.get("priority") or "normal"),
        **_plans(scribe, patient_key),
    }
    key = scribe.steps.insert("appointment", row)
    made = scribe.appointment(key)
    scribe.history(trail.CREATED, made)
    scribe.appointment_signals(made)
    scribe.first_visit(made)
    scribe.synch_recalls(patient_key)
    scribe.log(trail.APPOINTMENT_CREATE, patient_key, "Appointment created by Bridgework", key)
    scribe.entry(key)
    return Written(key)


def _chair(scribe: Scribe, key: Any) -> Row:
    code = "write.operatory_invalid"
    found = scribe.need("operatory", key_of(key), Reason.OPERATORY_INVALID, code)
    if found["IsHidden"] == "1":
        raise refused(code, Reason.OPERATORY_INVALID)
    return found


def _type(scribe: Scribe, key: Any) -> Row | None:
    if key is None:
        return None
    return scribe.need(
        "appointmenttype", key_of(key), Reason.VALIDATION_FAILED, "write.value_invalid"
    )


def _pattern(kind: Row | None, minutes: Any) -> str:
    plain = spell.pattern_of(minutes)
    own = str(kind["Pattern"] or "") if kind else ""
    return own if len(own) == len(plain) else plain


def _dentist(scribe: Scribe, key: Any, chair: Row, patient: Row) -> int:
    """Who was asked for, else the chair's dentist, the patient's, the practice's."""
    return scribe.provider(
        key_of(key)
        or number(chair, "ProvDentist")
        or number(patient, "PriProv")
        or scribe.office.preference_number("PracticeDefaultProv")
    )


def _hygienist(scribe: Scribe, key: Any, chair: Row, patient: Row) -> int:
    return scribe.provider(
        key_of(key) or number(chair, "ProvHygienist") or number(patient, "SecProv")
    )


def _confirmation(scribe: Scribe, fields: Mapping[str, Any]) -> int:
    """Asked for by key or meaning; a new visit's is the first of the office's list."""
    if fields.get("confirmation_key") is not None:
        key = key_of(fields["confirmation_key"])
        if key not in {d.number for d in scribe.office.definitions(CONFIRMED)}:
            raise refused("write.no_such_confirmation")
        return key
    if fields.get("confirmation_category") is not None:
        return scribe.office.confirmation(str(fields["confirmation_category"]))
    return scribe.office.first_definition(CONFIRMED)


def _not_yet(start: str) -> dict[str, Value]:
    """The day's midnight says "has not happened"."""
    midnight = f"{start[:10]} 00:00:00"
    return dict.fromkeys(("DateTimeArrived", "DateTimeSeated", "DateTimeDismissed"), midnight)


def _asked_to_arrive(start: str, patient: Row) -> str:
    early = number(patient, "AskToArriveEarly")
    if early <= 0:
        return NO_MOMENT
    return (datetime.fromisoformat(start) - timedelta(minutes=early)).isoformat(" ")


def _plans(scribe: Scribe, patient: int) -> dict[str, Value]:
    found = scribe.steps.select(
        "SELECT s.PlanNum AS plan FROM patplan p JOIN inssub s ON s.InsSubNum=p.InsSubNum"
        " WHERE p.PatNum=? ORDER BY p.Ordinal LIMIT 2",
        patient,
    )
    plans = [int(row["plan"] or 0) for row in found] + [0, 0]
    return {"InsPlan1": plans[0], "InsPlan2": plans[1]}


def _check_free(scribe: Scribe, chair: int, start: str, pattern: str, own: int) -> None:
    """Nobody else holds the chair then. The program's own look is no more: without transactions
    two bookings within the same instant still pass it."""
    if scribe.office.preference("ApptsAllowOverlap") == "1":
        return
    begin, end = datetime.fromisoformat(start), ends_at(start, pattern)
    marks = ",".join("?" * len(_TAKEN))
    for other in scribe.steps.select(
        "SELECT AptNum,AptDateTime,Pattern FROM appointment WHERE Op=? AND AptDateTime>=?"
        f" AND AptDateTime<? AND AptStatus IN ({marks})",
        chair, (begin - _LONGEST).isoformat(" "), end.isoformat(" "), *_TAKEN,
    ):  # fmt: skip
        their_end = ends_at(str(other["AptDateTime"]), other["Pattern"] or "")
        if number(other, "AptNum") != own and their_end > begin:
            raise refused("write.slot_taken", Reason.SLOT_TAKEN)


# --- changes to one that is there -------------------------------------------------------------


def _changed(scribe: Scribe, old: Row, changes: Mapping[str, Value]) -> Row:
    """The row with the changes, and what follows every change."""
    new = scribe.steps.update("appointment", number(old, "AptNum"), changes)
    scribe.history(trail.CHANGED, new)
    scribe.appointment_signals(new, old)
    return new


def move(scribe: Scribe, effect: Effect) -> Written:
    key, fields = target(effect), effect.fields
    only(fields, "start", "minutes", "operatory_key", "provider_key", "hygienist_key", "status")
    old = scribe.appointment(key)
    changes: dict[str, Value] = {}
    if "status" in fields:
        if fields["status"] != "scheduled":
            raise unsupported()
        changes["AptStatus"] = trail.SCHEDULED
    if "start" in fields:
        start = scribe.office.clock.wall(fields["start"])
        changes["AptDateTime"] = start
        if str(old["AptDateTime"])[:10] != start[:10]:
            changes |= {
                name: midnight
                for name, midnight in _not_yet(start).items()
                if str(old[name]).endswith("00:00:00")
            }
    if "minutes" in fields:
        changes["Pattern"] = spell.stretched(str(old["Pattern"] or ""), fields["minutes"])
        if old.get("PatternSecondary"):
            second = str(old["PatternSecondary"])
            changes["PatternSecondary"] = spell.stretched(second, fields["minutes"])
    if "operatory_key" in fields:
        changes |= _other_chair(scribe, fields["operatory_key"])
    for name, column in (("provider_key", "ProvNum"), ("hygienist_key", "ProvHyg")):
        if name in fields:
            changes[column] = scribe.provider(key_of(fields[name]))
    after = {**old, **{n: str(v) for n, v in changes.items()}}
    if number(after, "Op") and number(after, "AptStatus") in _TAKEN:
        _check_free(scribe, number(after, "Op"), str(after["AptDateTime"]),
                    str(after["Pattern"] or ""), key)  # fmt: skip
    new = _changed(scribe, old, changes)
    patient = number(old, "PatNum")
    scribe.first_visit(new)
    scribe.synch_recalls(patient)
    scribe.log(trail.APPOINTMENT_MOVE, patient, "Appointment moved by Bridgework", key)
    scribe.entry(key)
    return Written(key)


def _other_chair(scribe: Scribe, key: Any) -> dict[str, Value]:
    if key is None:
        return {"Op": 0}
    chair = _chair(scribe, key)
    changes: dict[str, Value] = {"Op": number(chair, "OperatoryNum")}
    if number(chair, "ClinicNum"):
        changes["ClinicNum"] = number(chair, "ClinicNum")
    return changes


_TRIGGERS = (("Arrived", "DateTimeArrived"), ("Seated", "DateTimeSeated"),
             ("Dismissed", "DateTimeDismissed"))  # fmt: skip


def confirm(scribe: Scribe, effect: Effect) -> Written:
    key = target(effect)
    only(effect.fields, "confirmation_key", "confirmation_category")
    old = scribe.appointment(key)
    status = _confirmation(scribe, effect.fields)
    changes: dict[str, Value] = {"Confirmed": status}
    for name, column in _TRIGGERS:
        if status == scribe.office.preference_number(f"AppointmentTime{name}Trigger"):
            changes[column] = scribe.now
    _changed(scribe, old, changes)
    patient = number(old, "PatNum")
    scribe.log(trail.CONFIRM_EDIT, patient, "Confirmation set by Bridgework", key)
    return Written(key)


_SETTABLE = {"scheduled": trail.SCHEDULED, "unscheduled": trail.UNSCHEDULED,
             "broken": trail.BROKEN}  # fmt: skip


def set_status(scribe: Scribe, effect: Effect) -> Written:
    key = target(effect)
    only(effect.fields, "status")
    status = _SETTABLE.get(str(effect.fields.get("status")))
    old = scribe.appointment(key)
    if status is None or number(old, "AptStatus") not in (*_SETTABLE.values(), trail.ASAP):
        raise unsupported()
    if status == trail.SCHEDULED and number(old, "Op"):
        _check_free(scribe, number(old, "Op"), str(old["AptDateTime"]),
                    str(old["Pattern"] or ""), key)  # fmt: skip
    changes: dict[str, Value] = {"AptStatus": status}
    if status == trail.UNSCHEDULED:
        changes["Op"] = 0
    _changed(scribe, old, changes)
    patient = number(old, "PatNum")
    scribe.synch_recalls(patient)
    scribe.log(trail.APPOINTMENT_EDIT, patient, "Appointment status set by Bridgework", key)
    scribe.entry(key)
    return Written(key)


def break_(scribe: Scribe, effect: Effect) -> Written:
    """Broken in place or put on the unscheduled list. No missed or cancelled procedure is charted
    (it carries a fee), so the history says Changed, as the program's own does then."""
    key = target(effect)
    old = scribe.appointment(key)
    if number(old, "AptStatus") != trail.SCHEDULED:
        raise refused("write.not_accepted")
    to_list = effect.options.get("to_unscheduled") == "yes"
    changes: dict[str, Value] = {"AptStatus": trail.UNSCHEDULED if to_list else trail.BROKEN}
    if to_list:
        changes["Op"] = 0
    _changed(scribe, old, changes)
    patient = number(old, "PatNum")
    if scribe.office.preference("BrokenApptCommLog") == "1":
        kind = scribe.office.tagged(COMM_TYPE, "APPT")
        write_commlog(scribe, patient, kind, "Broken appointment", scribe.now)
    scribe.synch_recalls(patient)
    permission = trail.APPOINTMENT_MOVE if to_list else trail.APPOINTMENT_EDIT
    scribe.log(permission, patient, "Appointment broken by Bridgework", key)
    scribe.entry(key)
    return Written(key)


def note_appointment(scribe: Scribe, effect: Effect) -> Written:
    key = target(effect)
    only(effect.fields, "note")
    added = spell.text_of(effect.fields.get("note"))
    if not added:
        raise refused("write.value_invalid")
    old = scribe.appointment(key)
    held = (old["Note"] or "").rstrip()
    _changed(scribe, old, {"Note": f"{held}\r\n{added}" if held else added})
    scribe.log(trail.APPOINTMENT_EDIT, number(old, "PatNum"), "Appointment note by Bridgework", key)
    scribe.entry(key)
    return Written(key)
