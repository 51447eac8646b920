"""The family's ledger: claims, what insurance pays, payments with splits, adjustments, balances.

All arithmetic is in whole cents; rows carry dollars. What ``settle_family`` puts on the guarantor
is exactly what the vendor's ledger arithmetic gives for the rows it writes. May import clinical and
people beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from agent.sandbox.practice.clinical import Charge
from agent.sandbox.practice.office import Office, Pen, security_hash
from agent.sandbox.practice.people import Coverage, Household, Person, entry_security
from agent.sandbox.practice.seeds import Cat


@dataclass(slots=True)
class Owed:
    """What the patient still owes of one charge."""

    charge: Charge
    cents: int


@dataclass(slots=True)
class Ledger:
    """Running sums of a family while its rows are written."""

    office: Office
    pen: Pen
    rng: Random
    home: Household
    credits: int = 0
    estimate: int = 0


def settle_family(
    office: Office, pen: Pen, rng: Random, home: Household, charges: Sequence[Charge]
) -> None:
    """Write the ledger rows of a family and leave the balances on ``home`` and its members."""
    ledger = Ledger(office, pen, rng, home)
    by_visit: dict[tuple[int, int], list[Charge]] = defaultdict(list)
    for charge in charges:
        by_visit[charge.day, charge.visit].append(charge)
        charge.person.balance += charge.fee
    used: dict[tuple[int, int, int], int] = {}
    open_items: list[Owed] = []
    extra: list[tuple[int, int]] = []  # charges that are no procedures: (day, cents)
    for (day, _), visit_charges in sorted(by_visit.items()):
        owed = _insurance(ledger, visit_charges, used)
        _discount(ledger, owed)
        if rng.random() < 0.004:
            extra.append((day, _fee_adjustment(ledger, visit_charges[0])))
        paid_now = rng.random() < 0.55
        if paid_now:
            _pay(ledger, day, [o for o in owed if o.cents > 0], visit_charges[0].person)
        open_items += [o for o in owed if o.cents > 0]
        due = [o for o in open_items if day - o.charge.day > 25]
        if due and rng.random() < 0.8:
            _pay(ledger, day, due, home.head)
            open_items = [o for o in open_items if o.cents > 0]
    late = [o for o in open_items if office.today - o.charge.day > 45]
    if late and rng.random() < 0.85:
        when = min(late[-1].charge.day + 30 + int(rng.random() * 20), office.today - 1)
        _pay(ledger, when, late, home.head)
    if charges and rng.random() < 0.01:
        _prepay(ledger, charges[-1])
    if charges and rng.random() < 0.006:
        _transfer(ledger, charges[-1])
    _age(ledger, charges, extra)


def _insurance(
    ledger: Ledger, charges: list[Charge], used: dict[tuple[int, int, int], int]
) -> list[Owed]:
    """Claim a visit with the primary, then the secondary; what is left is the patient's."""
    owed = [Owed(c, c.fee) for c in charges]
    person = charges[0].person
    for rank, cover in enumerate(person.coverage):
        if rank == 1 and not any(o.cents > 2000 for o in owed):
            break
        _claim(ledger, owed, person, cover, rank, used)
    return owed


def _claim(
    ledger: Ledger,
    owed: list[Owed],
    person: Person,
    cover: Coverage,
    rank: int,
    used: dict[tuple[int, int, int], int],
) -> None:
    office, pen, rng, wall = ledger.office, ledger.pen, ledger.rng, ledger.office.wall
    day = owed[0].charge.day
    age = office.today - day
    sent = day + (0 if rng.random() < 0.7 else 1)
    answered = sent + 6 + int(rng.random() * 34)
    received = answered < office.today and (age > 70 or rng.random() < 0.8)
    status = "R" if received else "S" if sent < office.today else "W"
    if not received and age > 200 and rng.random() < 0.97:
        received, status, answered = True, "R", min(sent + 90, office.today - 1)
    claim, payment = pen.key("claim"), 0
    year = day // 365
    lines = []
    for item in owed:
        charge = item.charge
        write_off = charge.fee * cover.plan.write_off // 100 if rank == 0 else 0
        allowed = charge.fee - write_off if rank == 0 else item.cents
        pays = allowed * (charge.treatment.covered if rank == 0 else 50) // 100
        left = cover.plan.yearly_max - used.get((person.num, cover.plan.num, year), 0)
        pays = max(0, min(pays, left, item.cents - write_off))
        used[person.num, cover.plan.num, year] = cover.plan.yearly_max - left + pays
        lines.append((item, pays, write_off))
    total_pays = sum(p for _, p, _ in lines)
    total_off = sum(w for _, _, w in lines)
    changed = answered if received else min(sent, office.today - 1)
    if received and total_pays:
        payment = pen.key("claimpayment")
        pen.put("claimpayment", {
            "ClaimPaymentNum": payment, "CheckDate": wall.day(answered),
            "CheckAmt": total_pays / 100, "CheckNum": f"{int(rng.random() * 1e7):07d}", "Note": "",
            "ClinicNum": person.clinic, "CarrierName": cover.plan.carrier,
            "PayType": office.definition(Cat.INS_PAYMENT, "Check"),
            "SecDateEntry": wall.day(answered), "SecDateTEdit": wall.stamp(answered, 660),
        })  # fmt: skip
    fee = sum(i.charge.fee for i, _, _ in lines)
    pen.put("claim", {
        "ClaimNum": claim, "PatNum": person.num, "DateService": wall.day(day),
        "DateSent": wall.day(sent if status != "W" else 0), "ClaimStatus": status,
        "DateReceived": wall.day(answered if received else 0), "PlanNum": cover.plan.num,
        "ProvTreat": owed[0].charge.provider, "ProvBill": person.dentist.num,
        "ClaimFee": fee / 100, "InsPayEst": total_pays / 100,
        "InsPayAmt": total_pays / 100 if received else 0.0, "WriteOff": total_off / 100,
        "ClaimType": "P" if rank == 0 else "S", "PatRelat": cover.relation,
        "ClinicNum": person.clinic, "InsSubNum": cover.sub_num, "ClaimNote": "",
        "ClaimIdentifier": f"{person.num % 10**7}/{claim % 10**7}", "SecDateEntry": wall.day(day),
        "SecDateTEdit": wall.stamp(changed, 665), "DateSentOrig": wall.day(sent),
        "SecUserNumEntry": office.users[-1], "Narrative": "",
        "SecurityHash": security_hash(fee, status, total_pays, received),
    })  # fmt: skip
    for line, (item, pays, write_off) in enumerate(lines, start=1):
        charge = item.charge
        pen.put("claimproc", {
            "ClaimProcNum": pen.key("claimproc"), "ProcNum": charge.proc, "ClaimNum": claim,
            "PatNum": person.num, "ProvNum": charge.provider, "FeeBilled": charge.fee / 100,
            "InsPayEst": pays / 100, "Status": 1 if received else 0,
            "InsPayAmt": pays / 100 if received else 0.0, "Remarks": "",
            "ClaimPaymentNum": payment, "PlanNum": cover.plan.num,
            "DateCP": wall.day(answered if received else day), "WriteOff": write_off / 100,
            "CodeSent": charge.treatment.code[:5], "AllowedOverride": -1.0,
            "Percentage": charge.treatment.covered, "BaseEst": pays / 100,
            "ProcDate": wall.day(day), "DateEntry": wall.day(answered if received else 0),
            "LineNumber": line, "InsEstTotal": pays / 100, "InsSubNum": cover.sub_num,
            "ClinicNum": person.clinic, "SecDateEntry": wall.day(day),
            "SecDateTEdit": wall.stamp(changed, 665), "WriteOffEst": write_off / 100,
            "SecurityHash": security_hash(claim, received, pays),
        })  # fmt: skip
        item.cents -= pays + write_off
        if received:
            person.balance -= pays + write_off
            ledger.credits += pays + write_off
        else:
            ledger.estimate += pays + write_off
    if received:
        person.touched = max(person.touched, min(answered, office.today - 1))


def _discount(ledger: Ledger, owed: list[Owed]) -> None:
    rng, office = ledger.rng, ledger.office
    target = owed[0]
    if rng.random() > 0.04 or target.cents < 500:
        return
    cents = target.cents // 10
    charge = target.charge
    kind = "Professional Discount" if rng.random() < 0.6 else "Cash Discount"
    _adjustment(
        ledger, charge.person, charge.day, -cents, office.definition(Cat.ADJUSTMENT, kind),
        charge.provider, charge.proc,
    )  # fmt: skip
    target.cents -= cents
    charge.person.balance -= cents
    ledger.credits += cents


def _fee_adjustment(ledger: Ledger, charge: Charge) -> int:
    cents = 3500
    kind = ledger.office.definition(Cat.ADJUSTMENT, "NSF fee")
    _adjustment(ledger, charge.person, charge.day, cents, kind, charge.provider, 0)
    charge.person.balance += cents
    return cents


def _adjustment(
    ledger: Ledger, person: Person, day: int, cents: int, kind: int, provider: int, proc: int
) -> None:
    wall = ledger.office.wall
    ledger.pen.put("adjustment", {
        "AdjNum": ledger.pen.key("adjustment"), "AdjDate": wall.day(day), "AdjAmt": cents / 100,
        "PatNum": person.num, "AdjType": kind, "ProvNum": provider, "AdjNote": "",
        "ProcDate": wall.day(day), "ProcNum": proc, "DateEntry": wall.day(day),
        "ClinicNum": person.clinic, "SecUserNumEntry": ledger.office.users[-1],
        "SecDateTEdit": wall.stamp(day, 1000),
    })  # fmt: skip


def _pay(ledger: Ledger, day: int, items: list[Owed], payer: Person) -> None:
    """One payment whose splits cover the open parts of these charges exactly."""
    total = sum(o.cents for o in items)
    if total <= 0:
        return
    splits = [(o.charge.person, o.cents, o.charge.proc, o.charge.provider, 0) for o in items]
    for item in items:
        item.cents = 0
    names = ("Check", "Cash", "Credit Card", "Credit Card", "Credit Card")
    kind = ledger.office.definition(Cat.PAYMENT, names[int(ledger.rng.random() * 5)])
    write_payment(ledger, day, payer, kind, splits)


def write_payment(
    ledger: Ledger,
    day: int,
    payer: Person,
    kind: int,
    splits: Sequence[tuple[Person, int, int, int, int]],
) -> None:
    """``splits``: (patient, cents, procedure, provider, unearned type)."""
    pen, wall, office = ledger.pen, ledger.office.wall, ledger.office
    pay = pen.key("payment")
    total = sum(cents for _, cents, *_ in splits)
    minute = 500 + int(ledger.rng.random() * 480)
    stamp = wall.stamp(day, minute)
    pen.put("payment", {
        "PayNum": pay, "PayType": kind, "PayDate": wall.day(day), "PayAmt": total / 100,
        "CheckNum": "", "PayNote": "", "IsSplit": int(len(splits) > 1), "PatNum": payer.num,
        "ClinicNum": payer.clinic, "DateEntry": wall.day(day), "Receipt": "",
        "SecUserNumEntry": office.users[-1], "SecDateTEdit": stamp,
    })  # fmt: skip
    for person, cents, proc, provider, unearned in splits:
        pen.put("paysplit", {
            "SplitNum": pen.key("paysplit"), "SplitAmt": cents / 100, "PatNum": person.num,
            "ProcDate": wall.day(day), "PayNum": pay, "ProvNum": provider,
            "DatePay": wall.day(day), "ProcNum": proc, "DateEntry": wall.day(day),
            "UnearnedType": unearned, "ClinicNum": person.clinic,
            "SecUserNumEntry": office.users[-1], "SecDateTEdit": stamp,
            "SecurityHash": security_hash(person.num, cents, day),
        })  # fmt: skip
        person.balance -= cents
        person.touched = max(person.touched, day)
        ledger.credits += cents
    entry_security(office, pen, 15, payer.num, pay, day, minute, "Payment entered")


def _prepay(ledger: Ledger, charge: Charge) -> None:
    kind = ledger.office.definition(Cat.PAYMENT, "Credit Card")
    unearned = ledger.office.definition(Cat.UNEARNED, "Prepayment")
    splits = [(charge.person, 10000, 0, charge.provider, unearned)]
    write_payment(ledger, charge.day, ledger.home.head, kind, splits)


def _transfer(ledger: Ledger, charge: Charge) -> None:
    """An income transfer: payment type 0, nets to zero between two providers."""
    other = charge.person.hygienist.num
    splits = [
        (charge.person, -2500, 0, charge.provider, 0), (charge.person, 2500, 0, other, 0),
    ]  # fmt: skip
    write_payment(ledger, charge.day, ledger.home.head, 0, splits)


def _age(ledger: Ledger, charges: Sequence[Charge], extra: list[tuple[int, int]]) -> None:
    """Credits pay the oldest charges first; what is left is sorted by age at yesterday's aging.

    Members who are their own guarantor (deleted rows) carry no charges, so the family is one.
    """
    left = ledger.credits
    buckets = [0, 0, 0, 0]
    for day, cents in sorted([(c.day, c.fee) for c in charges] + extra):
        paid = min(left, cents)
        left -= paid
        age = ledger.office.today - 1 - day
        slot = 0 if age <= 30 else 1 if age <= 60 else 2 if age <= 90 else 3
        buckets[slot] += cents - paid
    buckets[0] -= left  # a credit balance
    ledger.home.buckets = (buckets[0], buckets[1], buckets[2], buckets[3])
    ledger.home.ins_estimate = ledger.estimate
