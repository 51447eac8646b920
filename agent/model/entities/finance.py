"""Claim, payment, adjustment, coverage, balance. A leaf of ``agent.model``."""

from __future__ import annotations

import msgspec

from agent.model.entities.base import Part, Record
from agent.model.entities.words import (
    ClaimLineStatus,
    ClaimStatus,
    ClaimType,
    PaymentProcess,
    Relationship,
)


class ClaimLine(Part, frozen=True):
    key: str
    procedure_key: str | None = None
    status: ClaimLineStatus | None = None
    status_raw: str | None = None
    fee_billed: str | None = None
    insurance_estimate: str | None = None
    insurance_paid: str | None = None
    write_off: str | None = None
    deductible: str | None = None
    date: str | None = None


class Claim(Record, frozen=True):
    patient_key: str | None = None
    status: ClaimStatus | None = None
    status_raw: str | None = None
    type: ClaimType | None = None
    type_raw: str | None = None
    date_service: str | None = None
    date_sent: str | None = None
    date_first_sent: str | None = None
    date_resent: str | None = None
    date_received: str | None = None
    fee: str | None = None
    insurance_estimate: str | None = None
    insurance_paid: str | None = None
    write_off: str | None = None
    deductible: str | None = None
    plan_key: str | None = None
    subscription_key: str | None = None
    plan2_key: str | None = None
    group_name: str | None = None
    group_number: str | None = None
    carrier: str | None = None
    electronic_id: str | None = None
    treating_provider_key: str | None = None
    billing_provider_key: str | None = None
    clinic_key: str | None = None
    preauthorization_number: str | None = None
    claim_identifier: str | None = None
    tracking_key: str | None = None
    note: str | None = None
    reason_underpaid: str | None = None
    narrative: str | None = None
    lines: tuple[ClaimLine, ...] = ()
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class PaymentSplit(Part, frozen=True):
    """Only splits move balances; a split may belong to another patient than the payment."""

    key: str
    patient_key: str | None = None
    procedure_key: str | None = None
    provider_key: str | None = None
    amount: str | None = None
    date: str | None = None
    unearned_type_key: str | None = None
    clinic_key: str | None = None


class Payment(Record, frozen=True):
    """Money from a patient. ``is_transfer``: an income transfer that nets to zero, not income."""

    patient_key: str | None = None
    type_key: str | None = None
    type: str | None = None
    date: str | None = None
    date_entered: str | None = None
    amount: str | None = None
    is_transfer: bool | None = None
    is_split: bool | None = None
    process: PaymentProcess | None = None
    process_raw: str | None = None
    source_code: int | None = None  # the PMS's number of the card terminal or portal, 0 none
    merchant_fee: str | None = None
    clinic_key: str | None = None
    note: str | None = None
    splits: tuple[PaymentSplit, ...] = ()
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Adjustment(Record, frozen=True):
    """``amount`` is signed: a credit is negative. ``sign``: the type's own + or -."""

    patient_key: str | None = None
    procedure_key: str | None = None
    provider_key: str | None = None
    clinic_key: str | None = None
    statement_key: str | None = None
    type_key: str | None = None
    type: str | None = None
    sign: str | None = None
    amount: str | None = None
    date: str | None = None
    procedure_date: str | None = None
    date_entered: str | None = None
    note: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Coverage(Record, frozen=True):
    """A patient covered by a subscriber's plan; ``ordinal`` 1 is primary."""

    patient_key: str | None = None
    ordinal: int | None = None
    is_pending: bool | None = None
    relationship: Relationship | None = None
    relationship_raw: str | None = None
    patient_id: str | None = None  # the carrier's id of the patient where it differs
    subscription_key: str | None = None
    subscriber_key: str | None = None
    subscriber_id: str | None = None
    date_effective: str | None = None
    date_term: str | None = None
    assigns_benefits: bool | None = None
    plan_key: str | None = None
    group_name: str | None = None
    group_number: str | None = None
    plan_type: str | None = None
    is_medical: bool | None = None
    is_plan_hidden: bool | None = None
    employer_key: str | None = None
    carrier_key: str | None = None
    carrier: str | None = None
    carrier_phone: str | None = None
    carrier_phone_raw: str | None = None
    electronic_id: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Balance(Record, frozen=True):
    """What a patient owes, as the PMS's ageing last computed it (``Practice.balances_as_of``).

    ``individual`` is the patient's own; family amounts stand on the guarantor's record only.
    """

    guarantor_key: str | None = None
    is_guarantor: bool | None = None
    individual: str | None = None
    family_total: str | None = None
    family_insurance_estimate: str | None = None
    family_0_30: str | None = None
    family_31_60: str | None = None
    family_61_90: str | None = None
    family_over_90: str | None = None
    family_payment_plan_due: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)
