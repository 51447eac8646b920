"""Very many old visits, cheaply: history as a practice that converted from another system has it.

Visits lie before the window of the lived-in rows, slot by slot, so no chair is booked twice; what
they cost is paid by one balance-forward payment per patient, so ledgers still add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from agent.sandbox.practice.office import Office, Pen
from agent.sandbox.practice.seeds import Cat

BULK_CODES = ("D0120", "D1110", "D0274", "D2391", "D1206")
_PATTERN = "//XXXX//"
_SLOTS = 12  # forty minutes each from 08:00


def bulk_history(
    office: Office,
    pen: Pen,
    patients: Sequence[int],
    n_appointments: int,
    n_procedures: int,
    tell: Callable[[int, int], None] | None = None,
) -> None:
    """Write that many completed appointments and procedures over the given PatNums."""
    rng = Random(f"bulk:{n_appointments}:{n_procedures}")
    wall, put, key = office.wall, pen.put, pen.key
    treatments = [office.treatments[c] for c in BULK_CODES]
    fees = [(t.num, t.fee / 100, t.fee) for t in treatments]
    descript = ", ".join(t.abbr for t in treatments[:2])
    confirmed = office.definition(Cat.CONFIRMED, "FrontDesk")
    clinic, user = office.clinics[0], office.users[0]
    owed: dict[int, int] = {}
    day, chair_at, slot, done_procs = office.first_day - 1, 0, 0, 0
    chairs = office.chairs
    many = len(patients)
    for number in range(max(n_appointments, 1)):
        chair = chairs[chair_at]
        minute = 480 + slot * 40
        text, stamp = wall.day(day), wall.stamp(day, minute)
        start = wall.moment(day, minute)
        patient = patients[int(rng.random() * many)]
        apt = 0
        if n_appointments:
            apt = key("appointment")
            put("appointment", {
                "AptNum": apt, "PatNum": patient, "AptStatus": 2, "Pattern": _PATTERN,
                "Confirmed": confirmed, "Op": chair.num, "ProvNum": chair.provider.num,
                "AptDateTime": start, "ProcDescript": descript, "ClinicNum": clinic,
                "Note": "", "DateTStamp": stamp, "DateTimeArrived": start,
                "DateTimeSeated": start, "DateTimeDismissed": start, "SecDateTEntry": start,
            })  # fmt: skip
        want = (number + 1) * n_procedures // max(n_appointments, 1)
        while done_procs < want:
            code, fee, cents = fees[done_procs % len(fees)]
            put("procedurelog", {
                "ProcNum": key("procedurelog"), "PatNum": patient, "AptNum": apt,
                "ProcDate": text, "ProcFee": fee, "Surf": "", "ToothNum": "", "ProcStatus": 2,
                "ProvNum": chair.provider.num, "DateEntryC": text, "ClinicNum": clinic,
                "CodeNum": code, "UnitQty": 1, "DateTP": text, "DateTStamp": stamp,
                "SecUserNumEntry": user, "SecDateEntry": start, "DateComplete": text,
            })  # fmt: skip
            owed[patient] = owed.get(patient, 0) + cents
            done_procs += 1
        slot += 1
        if slot == _SLOTS:
            slot, chair_at = 0, chair_at + 1
            if chair_at == len(chairs):
                chair_at, day = 0, day - 1
                while (day - 1) % 7 > 4:
                    day -= 1
        if tell is not None and number % 20_000 == 0:
            tell(number, n_appointments)
    text, stamp = wall.day(office.first_day), wall.stamp(office.first_day, 480)
    kind = office.definition(Cat.PAYMENT, "Check")
    provider = office.dentists[0].num
    for patient, cents in owed.items():
        pay = key("payment")
        put("payment", {
            "PayNum": pay, "PayType": kind, "PayDate": text, "PayAmt": cents / 100,
            "PayNote": "Balance forward", "PatNum": patient, "ClinicNum": clinic,
            "DateEntry": text, "Receipt": "", "SecUserNumEntry": user, "SecDateTEdit": stamp,
        })  # fmt: skip
        put("paysplit", {
            "SplitNum": key("paysplit"), "SplitAmt": cents / 100, "PatNum": patient,
            "ProcDate": text, "PayNum": pay, "ProvNum": provider, "DatePay": text,
            "DateEntry": text, "ClinicNum": clinic, "SecUserNumEntry": user,
            "SecDateTEdit": stamp,
        })  # fmt: skip
