"""What must hold in any practice, whatever made it, asked in plain SQL through ``ask(sql)``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from agent.sandbox.practice.tables import TABLES

Ask = Callable[[str], list[tuple[Any, ...]]]

# 0 is "none" everywhere; the others are documented exceptions or columns pointing at history.
EXEMPT = {("refattach", "ProvNum"), ("histappointment", "AptNum"), ("histappointment", "PatNum")}


def dangling(ask: Ask, columns: Callable[[str], set[str]]) -> dict[str, int]:
    """Non-zero references that resolve to nothing, by "table.column"."""
    found = {}
    for shape in TABLES.values():
        live = columns(shape.name)
        for column in shape.columns:
            if column.refers is None or column.name not in live:
                continue
            if (shape.name, column.name) in EXEMPT or not columns(column.refers):
                continue
            target = TABLES[column.refers]
            lost = ask(
                f"SELECT COUNT(*) FROM {shape.name} a LEFT JOIN {target.name} b "
                f"ON b.{target.primary}=a.{column.name} "
                f"WHERE a.{column.name}<>0 AND b.{target.primary} IS NULL"
            )[0][0]
            if lost:
                found[f"{shape.name}.{column.name}"] = int(lost)
    return found


def guarantors_astray(ask: Ask) -> int:
    return int(
        ask(
            "SELECT COUNT(*) FROM patient p LEFT JOIN patient g ON g.PatNum=p.Guarantor "
            "WHERE g.PatNum IS NULL OR g.Guarantor<>g.PatNum"
        )[0][0]
    )


def unbalanced_payments(ask: Ask) -> list[tuple[Any, ...]]:
    return ask(
        "SELECT p.PayNum, MAX(p.PayAmt), SUM(s.SplitAmt) FROM payment p "
        "LEFT JOIN paysplit s ON s.PayNum=p.PayNum GROUP BY p.PayNum "
        "HAVING ABS(MAX(p.PayAmt)-COALESCE(SUM(s.SplitAmt), 1e9))>0.001"
    )


def overlaps(ask: Ask) -> list[tuple[str, str, str]]:
    """Pairs of scheduled or completed visits in the same chair at the same time."""
    by_chair: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for op, start, pattern in ask(
        "SELECT Op, AptDateTime, Pattern FROM appointment WHERE AptStatus IN (1,2) AND Op<>0"
    ):
        text = str(start)
        minute = int(text[11:13]) * 60 + int(text[14:16])
        by_chair[int(op), text[:10]].append((minute, minute + 5 * len(str(pattern))))
    return [
        (str(chair), str(a), str(b))
        for chair, spans in by_chair.items()
        for a, b in zip(sorted(spans), sorted(spans)[1:], strict=False)
        if b[0] < a[1]
    ]


def outside_hours(ask: Ask) -> int:
    """Scheduled visits not inside one of the hours of the chair's provider that day."""
    hours: dict[tuple[int, str], list[tuple[str, str]]] = defaultdict(list)
    for op, day, start, stop in ask(
        "SELECT o.OperatoryNum, s.SchedDate, s.StartTime, s.StopTime FROM schedule s "
        "JOIN scheduleop o ON o.ScheduleNum=s.ScheduleNum WHERE s.SchedType=1"
    ):
        hours[int(op), str(day)].append((str(start)[-8:].zfill(8), str(stop)[-8:].zfill(8)))
    lost = 0
    for op, moment, pattern in ask(
        "SELECT Op, AptDateTime, Pattern FROM appointment WHERE AptStatus=1 AND Op<>0"
    ):
        text = str(moment)
        begin = text[11:19]
        minute = int(begin[:2]) * 60 + int(begin[3:5]) + 5 * len(str(pattern))
        end = f"{minute // 60:02d}:{minute % 60:02d}:00"
        spans = hours[int(op), text[:10]]
        lost += not any(start <= begin and end <= stop for start, stop in spans)
    return lost


def ledger(ask: Ask) -> dict[int, int]:
    """PatNum -> cents by the vendor's arithmetic: charges, insurance, adjustments, splits."""
    sums: dict[int, int] = defaultdict(int)
    for sign, sql in (
        (1, "SELECT PatNum, ProcFee*(UnitQty+BaseUnits) FROM procedurelog WHERE ProcStatus=2"),
        (1, "SELECT PatNum, AdjAmt FROM adjustment"),
        (-1, "SELECT PatNum, SplitAmt FROM paysplit"),
        (-1, "SELECT c.PatNum, c.InsPayAmt+c.WriteOff FROM claimproc c "
             "LEFT JOIN procedurelog p ON p.ProcNum=c.ProcNum WHERE c.Status IN (1,4,5,7) "
             "AND (c.ProcNum=0 OR p.ProcStatus=2)"),
    ):  # fmt: skip
        for patient, amount in ask(sql):
            sums[int(patient)] += sign * round(float(amount) * 100)
    return sums


def wrong_balances(ask: Ask) -> list[tuple[int, str]]:
    """Patients whose EstBalance, and guarantors whose family figures, are not the ledger's."""
    sums = ledger(ask)
    expected: dict[int, int] = defaultdict(int)
    for patient, amount in ask(
        "SELECT c.PatNum, c.InsPayEst+c.WriteOff FROM claimproc c "
        "JOIN procedurelog p ON p.ProcNum=c.ProcNum WHERE c.Status=0 AND p.ProcStatus=2"
    ):
        expected[int(patient)] += round(float(amount) * 100)
    rows = ask(
        "SELECT PatNum, Guarantor, EstBalance, BalTotal, "
        "Bal_0_30+Bal_31_60+Bal_61_90+BalOver90, InsEst FROM patient"
    )
    family: dict[int, int] = defaultdict(int)
    estimates: dict[int, int] = defaultdict(int)
    for num, guarantor, *_ in rows:
        family[int(guarantor)] += sums[int(num)]
        estimates[int(guarantor)] += expected[int(num)]
    wrong = []
    for num, guarantor, own, total, buckets, estimate in rows:
        if round(float(own) * 100) != sums[int(num)]:
            wrong.append((int(num), "EstBalance"))
        leads = int(num) == int(guarantor)
        if round(float(total) * 100) != (family[int(num)] if leads else 0):
            wrong.append((int(num), "BalTotal"))
        if round(float(total) * 100) != round(float(buckets) * 100):
            wrong.append((int(num), "buckets"))
        if round(float(estimate) * 100) != (estimates[int(num)] if leads else 0):
            wrong.append((int(num), "InsEst"))
    return wrong
