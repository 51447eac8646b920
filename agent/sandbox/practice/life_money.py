"""Deeds about money: payments with splits, adjustments, claims received, aging.

``family_balances`` is the vendor's ledger arithmetic over a family's rows, in whole cents.
May import ``front`` only.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

import msgspec

from agent.model.streams import Stream
from agent.sandbox.practice.front import Front, Outcome, Touch, date_text
from agent.sandbox.practice.office import security_hash
from agent.sandbox.practice.schema import NO_DATE
from agent.sandbox.practice.seeds import Cat
from agent.sandbox.practice.stores import Value

AGING_FAMILIES = 40


class FamilyBalances(msgspec.Struct, frozen=True):
    """Cents. ``buckets``: 0-30, 31-60, 61-90 and over 90 days; ``each``: PatNum -> EstBalance."""

    guarantor: int
    buckets: tuple[int, int, int, int]
    ins_estimate: int
    each: dict[int, int]

    def columns(self) -> dict[str, Value]:
        names = ("Bal_0_30", "Bal_31_60", "Bal_61_90", "BalOver90")
        row: dict[str, Value] = {n: c / 100 for n, c in zip(names, self.buckets, strict=True)}
        return row | {"InsEst": self.ins_estimate / 100, "BalTotal": sum(self.buckets) / 100}


def _cents(value: Any) -> int:
    return round(float(value or 0) * 100)


def family_balances(front: Front, guarantor: int, as_of: date) -> FamilyBalances:
    """Charges less insurance, adjustments and splits; credits pay the oldest charges first."""
    rows = front.desk.rows
    members = [int(n) for (n,) in rows("SELECT PatNum FROM patient WHERE Guarantor=?", guarantor)]
    marks = ",".join("?" * len(members)) or "0"
    each: dict[int, int] = dict.fromkeys(members, 0)
    charges: list[tuple[str, int]] = []
    paid_in = estimate = 0
    for pat, day, amount in rows(
        "SELECT PatNum, ProcDate, ProcFee*(UnitQty+BaseUnits) FROM procedurelog "
        f"WHERE PatNum IN ({marks}) AND ProcStatus=2",
        *members,
    ):
        each[int(pat)] += _cents(amount)
        charges.append((date_text(day), _cents(amount)))
    for pat, status, paid, expected, write_off in rows(
        "SELECT c.PatNum, c.Status, c.InsPayAmt, c.InsPayEst, c.WriteOff FROM claimproc c "
        f"LEFT JOIN procedurelog p ON p.ProcNum=c.ProcNum WHERE c.PatNum IN ({marks}) "
        "AND c.Status IN (0,1,4,5,7) AND (c.ProcNum=0 OR p.ProcStatus=2)",
        *members,
    ):
        if int(status) == 0:
            estimate += _cents(expected) + _cents(write_off)
        else:
            each[int(pat)] -= _cents(paid) + _cents(write_off)
            paid_in += _cents(paid) + _cents(write_off)
    for pat, day, amount in rows(
        f"SELECT PatNum, AdjDate, AdjAmt FROM adjustment WHERE PatNum IN ({marks})", *members
    ):
        cents = _cents(amount)
        each[int(pat)] += cents
        if cents > 0:
            charges.append((date_text(day), cents))
        paid_in -= min(cents, 0)
    for pat, amount in rows(
        f"SELECT PatNum, SplitAmt FROM paysplit WHERE PatNum IN ({marks})", *members
    ):
        each[int(pat)] -= _cents(amount)
        paid_in += _cents(amount)
    buckets = _buckets(charges, paid_in, as_of)
    return FamilyBalances(guarantor, buckets, estimate, each)


def _buckets(
    charges: list[tuple[str, int]], paid_in: int, as_of: date
) -> tuple[int, int, int, int]:
    limits = [f"{as_of - timedelta(days=d)}" for d in (30, 60, 90)]
    sums: dict[int, int] = defaultdict(int)
    for day, cents in sorted(charges):
        paid = max(min(paid_in, cents), 0)
        paid_in -= paid
        slot = next((i for i, limit in enumerate(limits) if day >= limit), 3)
        sums[slot] += cents - paid
    sums[0] -= paid_in
    return sums[0], sums[1], sums[2], sums[3]


def age_family(front: Front, guarantor: int) -> list[Touch]:
    """Refresh the cached balances of a family now, as the program does after a payment."""
    balances = family_balances(front, guarantor, front.today())
    touched = []
    for patient, cents in balances.each.items():
        changes: dict[str, Value] = {"EstBalance": cents / 100}
        if patient == guarantor:
            changes |= balances.columns()
        front.desk.update("patient", patient, changes)
        touched.append(Touch(Stream.BALANCE, patient, "patient"))
    return touched


def payment(front: Front) -> Outcome | None:
    patient = front.some_patient()
    if patient is None:
        return None
    rng, today = front.rng, f"{front.today()}"
    family = [
        int(n)
        for (n,) in front.desk.rows(
            "SELECT PatNum FROM patient WHERE Guarantor=? AND PatStatus=0", patient.guarantor
        )
    ] or [patient.num]
    splits = [
        (front.pick(family), 500 + int(rng.random() * 20_000))
        for _ in range(1 + int(rng.random() * 3))
    ]
    user = front.pick(front.users)
    total = sum(c for _, c in splits)
    pay = front.insert("payment", "PayNum", {
        "PayType": front.definition(Cat.PAYMENT, front.pick(("Check", "Cash", "Credit Card"))),
        "PayDate": today, "PayAmt": total / 100, "PayNote": "", "IsSplit": int(len(splits) > 1),
        "PatNum": patient.num, "ClinicNum": patient.clinic, "DateEntry": today, "DepositNum": 0,
        "Receipt": "", "IsRecurringCC": 0, "SecUserNumEntry": user, "PaymentSource": 0,
        "ProcessStatus": 0, "RecurringChargeDate": NO_DATE, "ExternalId": "", "PaymentStatus": 0,
        "IsCcCompleted": 0, "MerchantFee": 0.0,
    })  # fmt: skip
    for member, cents in splits:
        front.insert("paysplit", "SplitNum", {
            "SplitAmt": cents / 100, "PatNum": member, "ProcDate": today, "PayNum": pay,
            "ProvNum": patient.pri_prov, "DatePay": today, "ProcNum": 0, "DateEntry": today,
            "UnearnedType": 0, "ClinicNum": patient.clinic, "SecUserNumEntry": user,
            "SecurityHash": security_hash(member, cents, today),
        })  # fmt: skip
    front.log(15, patient.num, pay, "Payment entered")
    also = age_family(front, patient.guarantor)
    return Outcome(
        Touch(Stream.PAYMENT, pay, "payment"), tuple(also), {"PayAmt": f"{total / 100:.2f}"}
    )


def adjustment(front: Front) -> Outcome | None:
    patient = front.some_patient()
    if patient is None:
        return None
    today = f"{front.today()}"
    cents = -500 - int(front.rng.random() * 4000) if front.chance(0.7) else 3500
    kind = "Professional Discount" if cents < 0 else "NSF fee"
    num = front.insert("adjustment", "AdjNum", {
        "AdjDate": today, "AdjAmt": cents / 100, "PatNum": patient.num,
        "AdjType": front.definition(Cat.ADJUSTMENT, kind), "ProvNum": patient.pri_prov,
        "AdjNote": "", "ProcDate": today, "ProcNum": 0, "DateEntry": today,
        "ClinicNum": patient.clinic, "SecUserNumEntry": front.pick(front.users),
        "StatementNum": 0, "TaxTransID": 0,
    })  # fmt: skip
    also = age_family(front, patient.guarantor)
    return Outcome(
        Touch(Stream.ADJUSTMENT, num, "adjustment"), tuple(also), {"AdjAmt": f"{cents / 100:.2f}"}
    )


def claim_received(front: Front) -> Outcome | None:
    """Insurance answers: the check, every line of the claim, then the claim itself."""
    today = f"{front.today()}"
    while front.open_claims:
        at = int(front.rng.random() * len(front.open_claims))
        num = front.open_claims[at]
        front.open_claims[at] = front.open_claims[-1]
        front.open_claims.pop()
        found = front.desk.rows(
            "SELECT PatNum, ClinicNum, ClaimFee FROM claim WHERE ClaimNum=? AND ClaimStatus='S'",
            num,
        )
        if not found:
            continue
        pat, clinic, fee = int(found[0][0]), int(found[0][1]), _cents(found[0][2])
        lines = front.desk.rows(
            "SELECT ClaimProcNum, InsPayEst FROM claimproc WHERE ClaimNum=? AND Status=0 "
            "ORDER BY ClaimProcNum",
            num,
        )
        total = sum(_cents(e) for _, e in lines)
        check = front.insert("claimpayment", "ClaimPaymentNum", {
            "CheckDate": today, "CheckAmt": total / 100, "CheckNum": "", "Note": "",
            "ClinicNum": clinic, "CarrierName": "", "DateIssued": NO_DATE,
            "PayType": front.definition(Cat.INS_PAYMENT, "Check"), "SecDateEntry": today,
            "SecUserNumEntry": front.pick(front.users),
        })  # fmt: skip
        for line, expected in lines:
            front.desk.update("claimproc", int(line), {
                "Status": 1, "InsPayAmt": _cents(expected) / 100, "DateCP": today,
                "DateEntry": today, "ClaimPaymentNum": check,
                "SecurityHash": security_hash(num, 1, expected),
            })  # fmt: skip
        front.desk.update("claim", num, {
            "ClaimStatus": "R", "DateReceived": today, "InsPayAmt": total / 100,
            "SecurityHash": security_hash(fee, "R", total),
        })  # fmt: skip
        also: tuple[Touch, ...] = ()
        family = front.desk.rows("SELECT Guarantor FROM patient WHERE PatNum=?", pat)
        if family:
            also = tuple(age_family(front, int(family[0][0])))
        main = Touch(Stream.CLAIM, num, "claim")
        return Outcome(main, also, {"ClaimStatus": "R", "InsPayAmt": f"{total / 100:.2f}"})
    return None


def aging(front: Front) -> Outcome | None:
    """Many families at once through ``famaging``: stamps of patients move, only balances change.

    Aged as of some day of the coming month, so that open charges wander between the buckets.
    """
    as_of = front.today() + timedelta(days=int(front.rng.random() * 31))
    families: dict[int, FamilyBalances] = {}
    for _ in range(AGING_FAMILIES):
        patient = front.some_patient()
        if patient is not None and patient.guarantor and patient.guarantor not in families:
            families[patient.guarantor] = family_balances(front, patient.guarantor, as_of)
    if not families:
        return None
    front.desk.run("DELETE FROM famaging")
    names = ("Bal_0_30", "Bal_31_60", "Bal_61_90", "BalOver90", "InsEst", "BalTotal")
    touched = []
    for guarantor, balances in families.items():
        columns = balances.columns()
        before = front.desk.rows(f"SELECT {','.join(names)} FROM patient WHERE PatNum=?", guarantor)
        if before and [_cents(v) for v in before[0]] != [_cents(columns[n]) for n in names]:
            front.desk.insert("famaging", {"PatNum": guarantor, **columns, "PayPlanDue": 0.0})
            touched.append(Touch(Stream.BALANCE, guarantor, "patient"))
    if not touched:
        return None
    if front.desk.dialect == "mariadb":
        sets = ", ".join(f"p.{n}=f.{n}" for n in names)
        front.desk.run(f"UPDATE patient p INNER JOIN famaging f ON p.PatNum=f.PatNum SET {sets}")
    else:
        for touch in touched:
            front.desk.update("patient", touch.key, families[touch.key].columns())
    return Outcome(touched[0], tuple(touched[1:]))
