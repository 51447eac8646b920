"""Procedure, procedure code, clinical note, perio exam, lab case, communication.

A leaf of ``agent.model``.
"""

from __future__ import annotations

import msgspec

from agent.model.entities.base import Part, Record
from agent.model.entities.words import (
    CommunicationMode,
    CommunicationSource,
    Direction,
    PerioKind,
    ProcedureStatus,
    TreatmentArea,
)


class ProcedureCode(Record, frozen=True):
    """An entry of the practice's procedure list; ``code`` is the CDT code or a local one."""

    code: str | None = None
    description: str | None = None
    abbr: str | None = None
    layman_term: str | None = None
    category_key: str | None = None
    category: str | None = None
    area: TreatmentArea | None = None
    area_raw: str | None = None
    is_hygiene: bool | None = None
    is_prosthetic: bool | None = None
    is_radiology: bool | None = None
    is_multi_visit: bool | None = None
    not_billed_to_insurance: bool | None = None
    base_units: int | None = None
    time_pattern: str | None = None
    medical_code: str | None = None
    substitution_code: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Procedure(Record, frozen=True):
    """Work planned, done or charted. ``amount`` = fee x (unit_quantity + base_units)."""

    patient_key: str | None = None
    appointment_key: str | None = None
    planned_appointment_key: str | None = None
    status: ProcedureStatus | None = None
    status_raw: str | None = None
    code_key: str | None = None
    code: str | None = None
    description: str | None = None
    date: str | None = None  # of service
    date_planned: str | None = None
    date_completed: str | None = None
    date_entered: str | None = None
    created: str | None = None  # date
    fee: str | None = None
    unit_quantity: int | None = None
    base_units: int | None = None
    amount: str | None = None
    discount: str | None = None
    discount_plan_amount: str | None = None
    tax: str | None = None
    tooth: str | None = None  # US numbering: 1-32, A-T, supernumerary 51-82 and AS-TS
    surface: str | None = None
    tooth_range: str | None = None
    provider_key: str | None = None
    clinic_key: str | None = None
    site_key: str | None = None
    priority_key: str | None = None
    diagnosis_key: str | None = None
    prognosis_key: str | None = None
    diagnostic_code: str | None = None
    diagnostic_code2: str | None = None
    diagnostic_code3: str | None = None
    diagnostic_code4: str | None = None
    medical_code: str | None = None
    prosthesis: str | None = None
    prosthesis_date: str | None = None
    lab_procedure_key: str | None = None
    is_locked: bool | None = None
    billing_note: str | None = None
    claim_note: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class ClinicalNote(Record, frozen=True):
    """One version of a procedure's note: never edited; the newest per procedure is the text."""

    patient_key: str | None = None
    procedure_key: str | None = None
    at: str | None = None
    zone: str | None = None
    user_key: str | None = None
    note: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class PerioMeasure(Part, frozen=True):
    """One tooth in one sequence. Sites in mm, null = not measured; gingival margin is negative
    for hyperplasia (stored above 100 by Open Dental); ``tooth_value`` for mobility and skips."""

    kind: PerioKind
    tooth: int
    tooth_value: int | None = None
    mb: int | None = None
    b: int | None = None
    db: int | None = None
    ml: int | None = None
    l: int | None = None  # noqa: E741 - the site's name in dentistry
    dl: int | None = None
    kind_raw: str | None = None


class PerioExam(Record, frozen=True):
    patient_key: str | None = None
    provider_key: str | None = None
    date: str | None = None
    measured: str | None = None
    zone: str | None = None
    note: str | None = None
    measures: tuple[PerioMeasure, ...] = ()
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class LabCase(Record, frozen=True):
    patient_key: str | None = None
    laboratory_key: str | None = None
    laboratory: str | None = None
    appointment_key: str | None = None
    planned_appointment_key: str | None = None
    provider_key: str | None = None
    due: str | None = None
    created: str | None = None
    sent: str | None = None
    received: str | None = None
    checked: str | None = None
    zone: str | None = None
    instructions: str | None = None
    fee: str | None = None
    invoice_number: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Communication(Record, frozen=True):
    """A contact with a patient as the office logged it. ``type_auto``: the PMS's own tag of the
    type (APPT, FIN, RECALL, MISC, TEXT ...)."""

    patient_key: str | None = None
    at: str | None = None
    ended: str | None = None
    created: str | None = None
    zone: str | None = None
    type_key: str | None = None
    type: str | None = None
    type_auto: str | None = None
    mode: CommunicationMode | None = None
    mode_raw: str | None = None
    direction: Direction | None = None
    direction_raw: str | None = None
    source: CommunicationSource | None = None
    source_raw: str | None = None
    note: str | None = None
    user_key: str | None = None
    program_key: str | None = None
    referral_source_key: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)
