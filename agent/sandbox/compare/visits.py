"""Visits, schedule, recalls, procedures and clinical records: what their records must say.

Open Dental's tables and numbers as this package reads them (``open-dental.md`` 1 and 3), not as the
data map does. Imports only the comparer's own modules.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from agent.sandbox.compare.rules import (
    Held,
    Place,
    Stored,
    clock,
    day,
    flag,
    happened,
    key,
    key_text,
    label,
    lines,
    moment,
    moment_of_day,
    money,
    note,
    number,
    numbered,
    one_of,
    production,
    wall,
    words,
    zone_name,
)
from agent.sandbox.compare.shapes import (
    Join,
    Rows,
    StreamRules,
    columns,
    field,
    named_texts,
    parts,
    same_set,
)

_PRIORITY = one_of(numbered("normal", "asap"))
_PERIO_KINDS = numbered(
    "mobility",
    "furcation",
    "gingival_margin",
    "mucogingival_junction",
    "probing",
    "skipped_tooth",
    "bleeding",
    "attachment_level",
    "attached_gingiva",
)
_PERIO_SITES = ("mb", "b", "db", "ml", "l", "dl")


def _visit_start(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Unscheduled (3) and planned (6) visits have no time, whatever is left in the column."""
    if stored[1] in {"3", "6"} and name not in held:
        return True
    return moment(stored[:1], held, name, place)


def _visit_wall(stored: Stored, held: Held, name: str, place: Place) -> bool:
    if stored[1] in {"3", "6"} and name not in held:
        return True
    return wall(stored[:1], held, name, place)


def _visit_end(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Five minutes a sign of the pattern after the start, elapsed, also over a clock change."""
    start = held.get("start")
    if not isinstance(start, str) or not stored[0]:
        return name not in held
    total = _seconds(start) + 300 * len(stored[0])
    return isinstance(got := held.get(name), str) and _seconds(got) == total


def _seconds(utc: str) -> int:
    return int(datetime.fromisoformat(utc).timestamp())


def _pattern_minutes(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return (len(stored[0]) * 5 if stored[0] else None) == held.get(name)


def _chair(stored: Stored, held: Held, name: str, place: Place) -> bool:
    if stored[1] in {"3", "6"} and name not in held:
        return True
    return key(stored[:1], held, name, place)


def _confirmation(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Stock names have one meaning; a practice's own name may have any."""
    stock = {
        "not called": "unconfirmed", "unconfirmed": "unconfirmed",
        "appointment confirmed": "confirmed", "left msg": "contacted", "arrived": "arrived",
        "ready to go back": "ready", "in treatment room": "seated",
    }  # fmt: skip
    wanted = stock.get((words(stored[0]) or "").lower())
    got = held.get(name)
    return got == wanted if wanted else got is None or isinstance(got, str)


def _forbids(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Only a blockout can forbid booking: its type's value contains NS."""
    wanted = stored[0] == "2" and "NS" in (stored[1] or "").upper().replace(",", " ").split()
    return (held.get(name) is True) == wanted


def _period(stored: Stored, held: Held, name: str, place: Place) -> bool:
    packed = int(stored[0] or 0)
    shifts = ((24, "Y"), (16, "M"), (8, "W"), (0, "D"))
    text = "".join(f"{packed >> by & 255}{unit}" for by, unit in shifts if packed >> by & 255)
    return (f"P{text}" if text else None) == held.get(name)


def _limit(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """A limit of 0 is none."""
    return money(stored, held, name, place) or (float(stored[0] or 0) == 0 and name not in held)


def _perio(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
    """Every tooth of every sequence; -1 is not measured, a margin above 100 is negative."""
    got = held.get(name, [])
    if not isinstance(got, list) or len(got) != len(stored):
        return False

    def shown(part: Mapping[str, object]) -> tuple[object, ...]:
        sites = (part.get(site) for site in _PERIO_SITES)
        return (part.get("kind"), part.get("tooth"), part.get("tooth_value"), *sites)

    def millimetres(kind: str, value: str | None) -> int | None:
        size = int(value or 0)
        if value is None or size == -1:
            return None
        return 100 - size if kind == "gingival_margin" and size > 100 else size

    wanted = []
    for kind_number, tooth, tooth_value, *sites in stored:
        kind = _PERIO_KINDS.get(str(kind_number), "unknown")
        plain = None if tooth_value in {None, "-1"} else int(tooth_value or 0)
        wanted.append((kind, int(tooth or 0), plain, *(millimetres(kind, s) for s in sites)))
    return sorted(map(repr, wanted)) == sorted(repr(shown(part)) for part in got)


def _key_of(part: Held) -> object:
    return part.get("key")


APPOINTMENT = StreamRules(
    "appointment",
    "AptNum",
    (
        *columns(
            "patient_key PatNum, confirmation_key Confirmed, type_key AppointmentTypeNum, "
            "provider_key ProvNum, hygienist_key ProvHyg, assistant_key Assistant, "
            "clinic_key ClinicNum, planned_key NextAptNum, "
            "unscheduled_status_key UnschedStatus, plan_key InsPlan1, plan2_key InsPlan2",
            key,
        ),
        *columns(
            "is_new_patient IsNewPatient, is_hygiene IsHygiene, is_time_locked TimeLocked", flag
        ),
        *columns(
            "arrived DateTimeArrived, seated DateTimeSeated, dismissed DateTimeDismissed", happened
        ),
        *columns("created SecDateTEntry, asked_to_arrive DateTimeAskedToArrive", moment),
        *columns("procedures_text ProcDescript, pattern Pattern", label),
        field("note", note, "b.Note"),
        field("operatory_key", _chair, "b.Op", "b.AptStatus"),
        field("start", _visit_start, "b.AptDateTime", "b.AptStatus"),
        field("start_local", _visit_wall, "b.AptDateTime", "b.AptStatus"),
        field("end", _visit_end, "b.Pattern"),
        field("minutes", _pattern_minutes, "b.Pattern"),
        field("zone", zone_name, "b.AptNum"),
        field("priority", _PRIORITY, "b.Priority"),
        field(
            "status",
            one_of(
                numbered(
                    "none",
                    "scheduled",
                    "complete",
                    "unscheduled",
                    "asap",
                    "broken",
                    "planned",
                    "note",
                    "note_complete",
                )
            ),
            "b.AptStatus",
        ),
        field("confirmation", label, "d.ItemName"),
        field("confirmation_category", _confirmation, "d.ItemName"),
        field("unscheduled_status", label, "u.ItemName"),
        field("type", label, "t.AppointmentTypeName"),
    ),
    (
        Join("d", "definition", "d.DefNum=b.Confirmed"),
        Join("u", "definition", "u.DefNum=b.UnschedStatus"),
        Join("t", "appointmenttype", "t.AppointmentTypeNum=b.AppointmentTypeNum"),
    ),
    (
        Rows("custom", named_texts(lines), "apptfield", "AptNum", ("FieldName", "FieldValue")),
        Rows(
            "procedures",
            parts(_key_of, ("code_key", key, 1)),
            "procedurelog",
            "AptNum",
            ("ProcNum", "CodeNum"),
        ),
    ),
)

SCHEDULE_BLOCK = StreamRules(
    "schedule",
    "ScheduleNum",
    (
        *columns(
            "provider_key ProvNum, employee_key EmployeeNum, clinic_key ClinicNum, "
            "blockout_type_key BlockoutType",
            key,
        ),
        *columns("start_local StartTime, end_local StopTime", clock),
        field("date", day, "b.SchedDate"),
        field("start", moment_of_day, "b.SchedDate", "b.StartTime"),
        field("end", moment_of_day, "b.SchedDate", "b.StopTime"),
        field("zone", zone_name, "b.ScheduleNum"),
        field("note", note, "b.Note"),
        field(
            "kind",
            one_of(numbered("practice", "provider_hours", "blockout", "employee", "web_asap")),
            "b.SchedType",
        ),
        field("status", one_of(numbered("open", "closed", "holiday")), "b.Status"),
        field("blockout_type", label, "d.ItemName"),
        field("forbids_booking", _forbids, "b.SchedType", "d.ItemValue"),
    ),
    (Join("d", "definition", "d.DefNum=b.BlockoutType"),),
    (Rows("operatory_keys", same_set(key_text), "scheduleop", "ScheduleNum", ("OperatoryNum",)),),
)

RECALL = StreamRules(
    "recall",
    "RecallNum",
    (
        *columns("patient_key PatNum, type_key RecallTypeNum, status_key RecallStatus", key),
        *columns(
            "due DateDue, due_calculated DateDueCalc, previous DatePrevious, "
            "scheduled DateScheduled, disabled_until DisableUntilDate",
            day,
        ),
        field("type", label, "t.Description"),
        field("status", label, "d.ItemName"),
        field("interval", _period, "b.RecallInterval"),
        field("time_pattern", label, "b.TimePatternOverride"),
        field("is_disabled", flag, "b.IsDisabled"),
        field("disabled_until_balance", _limit, "b.DisableUntilBalance"),
        field("priority", _PRIORITY, "b.Priority"),
        field("note", note, "b.Note"),
    ),
    (
        Join("t", "recalltype", "t.RecallTypeNum=b.RecallTypeNum"),
        Join("d", "definition", "d.DefNum=b.RecallStatus"),
    ),
)

PROCEDURE = StreamRules(
    "procedurelog",
    "ProcNum",
    (
        *columns(
            "patient_key PatNum, appointment_key AptNum, planned_appointment_key PlannedAptNum, "
            "code_key CodeNum, provider_key ProvNum, clinic_key ClinicNum, site_key SiteNum, "
            "priority_key Priority, diagnosis_key Dx, prognosis_key Prognosis, "
            "lab_procedure_key ProcNumLab",
            key,
        ),
        *columns(
            "date ProcDate, date_planned DateTP, date_completed DateComplete, "
            "date_entered DateEntryC, created SecDateEntry, prosthesis_date DateOriginalProsth",
            day,
        ),
        *columns(
            "fee ProcFee, discount Discount, discount_plan_amount DiscountPlanAmt, tax TaxAmt",
            money,
        ),
        *columns("unit_quantity UnitQty, base_units BaseUnits", number),
        *columns(
            "tooth ToothNum, surface Surf, tooth_range ToothRange, medical_code MedicalCode, "
            "diagnostic_code DiagnosticCode, diagnostic_code2 DiagnosticCode2, "
            "diagnostic_code3 DiagnosticCode3, diagnostic_code4 DiagnosticCode4",
            label,
        ),
        *columns("billing_note BillingNote, claim_note ClaimNote", note),
        field("amount", production, "b.ProcFee", "b.UnitQty", "b.BaseUnits"),
        field("is_locked", flag, "b.IsLocked"),
        field("prosthesis", label, "b.Prosthesis"),
        field(
            "status",
            one_of(
                numbered(
                    "",
                    "treatment_planned",
                    "completed",
                    "existing_current",
                    "existing_other",
                    "referred",
                    "deleted",
                    "condition",
                    "inactive_plan",
                )
            ),
            "b.ProcStatus",
        ),
        field("code", label, "k.ProcCode"),
        field("description", label, "k.Descript"),
    ),
    (Join("k", "procedurecode", "k.CodeNum=b.CodeNum"),),
)

COMMUNICATION = StreamRules(
    "commlog",
    "CommlogNum",
    (
        *columns(
            "patient_key PatNum, type_key CommType, user_key UserNum, program_key ProgramNum, "
            "referral_source_key ReferralNum",
            key,
        ),
        *columns("at CommDateTime, ended DateTimeEnd, created DateTEntry", moment),
        field("zone", zone_name, "b.CommlogNum"),
        field("type", label, "d.ItemName"),
        field("type_auto", label, "d.ItemValue"),
        field("note", note, "b.Note"),
        field(
            "mode",
            one_of(
                numbered(
                    "none",
                    "email",
                    "mail",
                    "phone",
                    "in_person",
                    "text",
                    "email_and_text",
                    "phone_and_text",
                    "fax",
                )
            ),
            "b.Mode_",
        ),
        field("direction", one_of(numbered("neither", "sent", "received")), "b.SentOrReceived"),
        field(
            "source",
            one_of(
                numbered(
                    "user",
                    "web_sched",
                    "program",
                    "reminder",
                    "eservices",
                    "backup",
                    "thank_you",
                    "api",
                    "new_patient_thank_you",
                    "payment_request",
                    "mass_email",
                )
            ),
            "b.CommSource",
        ),
    ),
    (Join("d", "definition", "d.DefNum=b.CommType"),),
)

CLINICAL_NOTE = StreamRules(
    "procnote",
    "ProcNoteNum",
    (
        *columns("patient_key PatNum, procedure_key ProcNum, user_key UserNum", key),
        field("at", moment, "b.EntryDateTime"),
        field("zone", zone_name, "b.ProcNoteNum"),
        field("note", note, "b.Note"),
    ),
)

PERIO_EXAM = StreamRules(
    "perioexam",
    "PerioExamNum",
    (
        *columns("patient_key PatNum, provider_key ProvNum", key),
        field("date", day, "b.ExamDate"),
        field("measured", moment, "b.DateTMeasureEdit"),
        field("zone", zone_name, "b.PerioExamNum"),
        field("note", note, "b.Note"),
    ),
    (),
    (
        Rows(
            "measures",
            _perio,
            "periomeasure",
            "PerioExamNum",
            (
                "SequenceType",
                "IntTooth",
                "ToothValue",
                "MBvalue",
                "Bvalue",
                "DBvalue",
                "MLvalue",
                "Lvalue",
                "DLvalue",
            ),
        ),
    ),
)

LAB_CASE = StreamRules(
    "labcase",
    "LabCaseNum",
    (
        *columns(
            "patient_key PatNum, laboratory_key LaboratoryNum, appointment_key AptNum, "
            "planned_appointment_key PlannedAptNum, provider_key ProvNum",
            key,
        ),
        *columns(
            "due DateTimeDue, created DateTimeCreated, sent DateTimeSent, "
            "received DateTimeRecd, checked DateTimeChecked",
            moment,
        ),
        field("laboratory", label, "l.Description"),
        field("zone", zone_name, "b.LabCaseNum"),
        field("instructions", note, "b.Instructions"),
        field("fee", money, "b.LabFee"),
        field("invoice_number", label, "b.InvoiceNum"),
    ),
    (Join("l", "laboratory", "l.LaboratoryNum=b.LaboratoryNum"),),
)
