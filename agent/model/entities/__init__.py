"""Canonical records, one type per stream. A leaf: no I/O, imports only ``agent.model``.

Conventions (units, nulls, raw fields) stand in ``base``.
"""

from __future__ import annotations

from agent.model.entities.base import Part, Record
from agent.model.entities.clinical import (
    ClinicalNote,
    Communication,
    LabCase,
    PerioExam,
    PerioMeasure,
    Procedure,
    ProcedureCode,
)
from agent.model.entities.finance import (
    Adjustment,
    Balance,
    Claim,
    ClaimLine,
    Coverage,
    Payment,
    PaymentSplit,
)
from agent.model.entities.people import (
    Operatory,
    Patient,
    Practice,
    Provider,
    ReferralSource,
)
from agent.model.entities.scheduling import (
    Appointment,
    ProcedureRef,
    Recall,
    ScheduleBlock,
)
from agent.model.streams import Stream

RECORD_OF: dict[Stream, type[Record]] = {
    Stream.PRACTICE: Practice,
    Stream.PROVIDER: Provider,
    Stream.OPERATORY: Operatory,
    Stream.PROCEDURE_CODE: ProcedureCode,
    Stream.REFERRAL_SOURCE: ReferralSource,
    Stream.PATIENT: Patient,
    Stream.APPOINTMENT: Appointment,
    Stream.SCHEDULE_BLOCK: ScheduleBlock,
    Stream.RECALL: Recall,
    Stream.BALANCE: Balance,
    Stream.COVERAGE: Coverage,
    Stream.PROCEDURE: Procedure,
    Stream.CLAIM: Claim,
    Stream.PAYMENT: Payment,
    Stream.ADJUSTMENT: Adjustment,
    Stream.COMMUNICATION: Communication,
    Stream.CLINICAL_NOTE: ClinicalNote,
    Stream.PERIO_EXAM: PerioExam,
    Stream.LAB_CASE: LabCase,
}
"""The record type of every stream."""

__all__ = [
    "RECORD_OF",
    "Adjustment",
    "Appointment",
    "Balance",
    "Claim",
    "ClaimLine",
    "ClinicalNote",
    "Communication",
    "Coverage",
    "LabCase",
    "Operatory",
    "Part",
    "Patient",
    "Payment",
    "PaymentSplit",
    "PerioExam",
    "PerioMeasure",
    "Practice",
    "Procedure",
    "ProcedureCode",
    "ProcedureRef",
    "Provider",
    "Recall",
    "Record",
    "ReferralSource",
    "ScheduleBlock",
]
