"""The streams: the kinds of record kept in agreement. Values are the wire's ``type``."""

from __future__ import annotations

from enum import StrEnum


class Stream(StrEnum):
    """One kind of record. The order is the order of pushing: parents before children."""

    PRACTICE = "practice"
    PROVIDER = "provider"
    OPERATORY = "operatory"
    PROCEDURE_CODE = "procedure_code"
    REFERRAL_SOURCE = "referral_source"
    PATIENT = "patient"
    APPOINTMENT = "appointment"
    SCHEDULE_BLOCK = "schedule_block"
    RECALL = "recall"
    BALANCE = "balance"
    COVERAGE = "coverage"
    PROCEDURE = "procedure"
    CLAIM = "claim"
    PAYMENT = "payment"
    ADJUSTMENT = "adjustment"
    COMMUNICATION = "communication"
    CLINICAL_NOTE = "clinical_note"
    PERIO_EXAM = "perio_exam"
    LAB_CASE = "lab_case"


ESSENTIAL = frozenset(
    {Stream.PRACTICE, Stream.PROVIDER, Stream.OPERATORY, Stream.PATIENT, Stream.APPOINTMENT}
)
"""Nothing works without these; they are always sent."""
