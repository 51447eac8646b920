"""Balances, coverage, claims, payments and adjustments: what their records must say.

Open Dental's tables and numbers as this package reads them (``open-dental.md`` 1 and 3), not as the
data map does. Imports only the comparer's own modules.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

from agent.sandbox.compare.rules import (
    Held,
    Place,
    Stored,
    day,
    day_text,
    flag,
    flag_off,
    key,
    label,
    money,
    note,
    number,
    numbered,
    one_of,
    phone,
)
from agent.sandbox.compare.shapes import (
    Join,
    Rows,
    StreamRules,
    columns,
    field,
    parts,
)

_CLAIM_LINE = one_of(
    numbered(
        "not_received",
        "received",
        "preauthorization",
        "adjustment",
        "supplemental",
        "cap_claim",
        "estimate",
        "cap_complete",
        "cap_estimate",
        "history",
    )
)


def _own_key(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return held.get(name) is (stored[0] == stored[1])


def _on_guarantor(stored: Stored, held: Held, name: str, place: Place) -> bool:
    """Family money stands on the guarantor's record only."""
    is_head = stored[1] == stored[2]
    return money(stored[:1], held, name, place) if is_head else name not in held


def _key_of(part: Held) -> object:
    return part.get("key")


def _day_part(stored: Stored, held: Held, name: str, place: Place) -> bool:
    return day_text(stored[0]) == held.get(name)


BALANCE = StreamRules(
    "patient",
    "PatNum",
    (
        field("guarantor_key", key, "b.Guarantor"),
        field("is_guarantor", _own_key, "b.PatNum", "b.Guarantor"),
        field("individual", money, "b.EstBalance"),
        *(
            field(name, _on_guarantor, f"b.{column}", "b.PatNum", "b.Guarantor")
            for name, column in (
                ("family_total", "BalTotal"),
                ("family_insurance_estimate", "InsEst"),
                ("family_0_30", "Bal_0_30"),
                ("family_31_60", "Bal_31_60"),
                ("family_61_90", "Bal_61_90"),
                ("family_over_90", "BalOver90"),
                ("family_payment_plan_due", "PayPlanDue"),
            )
        ),
    ),
)

COVERAGE = StreamRules(
    "patplan",
    "PatPlanNum",
    (
        *columns("patient_key PatNum, subscription_key InsSubNum", key),
        field("ordinal", number, "b.Ordinal"),
        field("is_pending", flag, "b.IsPending"),
        field("patient_id", label, "b.PatID"),
        field(
            "relationship",
            one_of(
                numbered(
                    "self",
                    "spouse",
                    "child",
                    "employee",
                    "handicapped_dependent",
                    "significant_other",
                    "injured_plaintiff",
                    "life_partner",
                    "dependent",
                )
            ),
            "b.Relationship",
        ),
        field("subscriber_key", key, "s.Subscriber"),
        field("subscriber_id", label, "s.SubscriberID"),
        field("date_effective", day, "s.DateEffective"),
        field("date_term", day, "s.DateTerm"),
        field("assigns_benefits", flag, "s.AssignBen"),
        field("plan_key", key, "s.PlanNum"),
        field("group_name", label, "p.GroupName"),
        field("group_number", label, "p.GroupNum"),
        field("plan_type", label, "p.PlanType"),
        field("is_medical", flag, "p.IsMedical"),
        field("is_plan_hidden", flag, "p.IsHidden"),
        field("employer_key", key, "p.EmployerNum"),
        field("carrier_key", key, "p.CarrierNum"),
        field("carrier", label, "r.CarrierName"),
        field("carrier_phone", phone, "r.Phone"),
        field("electronic_id", label, "r.ElectID"),
    ),
    (
        Join("s", "inssub", "s.InsSubNum=b.InsSubNum"),
        Join("p", "insplan", "p.PlanNum=s.PlanNum"),
        Join("r", "carrier", "r.CarrierNum=p.CarrierNum"),
    ),
)

CLAIM = StreamRules(
    "claim",
    "ClaimNum",
    (
        *columns(
            "patient_key PatNum, plan_key PlanNum, subscription_key InsSubNum, "
            "plan2_key PlanNum2, treating_provider_key ProvTreat, "
            "billing_provider_key ProvBill, clinic_key ClinicNum, tracking_key CustomTracking",
            key,
        ),
        *columns(
            "date_service DateService, date_sent DateSent, date_first_sent DateSentOrig, "
            "date_resent DateResent, date_received DateReceived",
            day,
        ),
        *columns(
            "fee ClaimFee, insurance_estimate InsPayEst, insurance_paid InsPayAmt, "
            "write_off WriteOff, deductible DedApplied",
            money,
        ),
        *columns("claim_identifier ClaimIdentifier, preauthorization_number PreAuthString", label),
        *columns("note ClaimNote, reason_underpaid ReasonUnderPaid, narrative Narrative", note),
        field(
            "status",
            one_of(
                {
                    "U": "unsent",
                    "H": "hold_for_primary",
                    "W": "waiting",
                    "S": "sent",
                    "R": "received",
                    "I": "hold_for_procedures",
                    "P": "obsolete",
                    "A": "obsolete",
                }
            ),
            "b.ClaimStatus",
        ),
        field(
            "type",
            one_of(
                {
                    "P": "primary",
                    "S": "secondary",
                    "PreAuth": "preauthorization",
                    "Other": "other",
                    "Cap": "capitation",
                }
            ),
            "b.ClaimType",
        ),
        field("group_name", label, "p.GroupName"),
        field("group_number", label, "p.GroupNum"),
        field("carrier", label, "r.CarrierName"),
        field("electronic_id", label, "r.ElectID"),
    ),
    (
        Join("p", "insplan", "p.PlanNum=b.PlanNum"),
        Join("r", "carrier", "r.CarrierNum=p.CarrierNum"),
    ),
    (
        Rows(
            "lines",
            parts(
                _key_of,
                ("procedure_key", key, 1),
                ("status", _CLAIM_LINE, 2),
                ("fee_billed", money, 3),
                ("insurance_estimate", money, 4),
                ("insurance_paid", money, 5),
                ("write_off", money, 6),
                ("deductible", money, 7),
                ("date", _day_part, 8),
            ),
            "claimproc",
            "ClaimNum",
            (
                "ClaimProcNum",
                "ProcNum",
                "Status",
                "FeeBilled",
                "InsPayEst",
                "InsPayAmt",
                "WriteOff",
                "DedApplied",
                "DateCP",
            ),
        ),
    ),
)

PAYMENT = StreamRules(
    "payment",
    "PayNum",
    (
        *columns("patient_key PatNum, type_key PayType, clinic_key ClinicNum", key),
        *columns("date PayDate, date_entered DateEntry", day),
        *columns("amount PayAmt, merchant_fee MerchantFee", money),
        field("type", label, "d.ItemName"),
        field("is_transfer", flag_off, "b.PayType"),
        field("is_split", flag, "b.IsSplit"),
        field("process", one_of(numbered("office", "online", "online_pending")), "b.ProcessStatus"),
        field("source_code", number, "b.PaymentSource"),
        field("note", note, "b.PayNote"),
    ),
    (Join("d", "definition", "d.DefNum=b.PayType"),),
    (
        Rows(
            "splits",
            parts(
                _key_of,
                ("patient_key", key, 1),
                ("procedure_key", key, 2),
                ("provider_key", key, 3),
                ("amount", money, 4),
                ("date", _day_part, 5),
                ("unearned_type_key", key, 6),
                ("clinic_key", key, 7),
            ),
            "paysplit",
            "PayNum",
            (
                "SplitNum",
                "PatNum",
                "ProcNum",
                "ProvNum",
                "SplitAmt",
                "DatePay",
                "UnearnedType",
                "ClinicNum",
            ),
        ),
    ),
)

ADJUSTMENT = StreamRules(
    "adjustment",
    "AdjNum",
    (
        *columns(
            "patient_key PatNum, procedure_key ProcNum, provider_key ProvNum, "
            "clinic_key ClinicNum, statement_key StatementNum, type_key AdjType",
            key,
        ),
        *columns("date AdjDate, procedure_date ProcDate, date_entered DateEntry", day),
        field("amount", money, "b.AdjAmt"),
        field("type", label, "d.ItemName"),
        field("sign", label, "d.ItemValue"),
        field("note", note, "b.AdjNote"),
    ),
    (Join("d", "definition", "d.DefNum=b.AdjType"),),
)
