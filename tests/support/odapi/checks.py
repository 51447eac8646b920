"""What a real office would notice: rows that do not belong together, read straight from its tables.

``problems(office)`` looks at the whole database, or at what was made since ``mark(office)``.
Independent of the stand-in: works on any database with Open Dental's layout that these helpers or
the sample practice wrote (hashes are the stand-in's and the sample's, not the vendor's).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.support.odapi.office import (
    LOG_SOURCE_API,
    Office,
    appointment_hash,
    log_hash,
    patient_hash,
)

KEYS = {
    "appointment": "AptNum", "patient": "PatNum", "securitylog": "SecurityLogNum",
    "histappointment": "HistApptNum", "procedurelog": "ProcNum",
}  # fmt: skip
MIRRORED = (
    "PatNum", "AptStatus", "Pattern", "Confirmed", "Op", "Note", "ProvNum", "ProvHyg",
    "AptDateTime", "ClinicNum", "Priority",
)  # fmt: skip


class Problem(NamedTuple):
    kind: str
    table: str
    key: int
    detail: str = ""


def mark(office: Office) -> dict[str, int]:
    """The highest key of each table now."""
    return {
        table: int(office.value(f"SELECT MAX({key}) FROM {table}") or 0)
        for table, key in KEYS.items()
    }


def problems(office: Office, above: Mapping[str, int] | None = None) -> list[Problem]:
    """Everything wrong with rows above the mark; overlaps are looked for in the whole book."""
    floors = dict.fromkeys(KEYS, 0) | dict(above or {})
    return [
        *_histories(office, floors),
        *_logs(office, floors),
        *overlaps(office),
        *_patients(office, floors),
        *_procedures(office, floors),
    ]


def _histories(office: Office, floors: Mapping[str, int]) -> Iterator[Problem]:
    """Every appointment has a Created row, and its newest copy says what the book says."""
    hashed = "SecurityHash" in office.desk.columns("appointment")
    for row in office.select("appointment", "t.AptNum>?", floors["appointment"]):
        num = int(row["AptNum"])
        copies = office.select("histappointment", "t.AptNum=?", num)
        if not any(int(copy["HistApptAction"]) == 0 for copy in copies):
            yield Problem("no_created_history", "appointment", num)
        elif copies:
            last = copies[-1]
            off = [name for name in MIRRORED if str(last[name]) != str(row[name])]
            if off:
                yield Problem("history_behind", "appointment", num, ",".join(off))
        if hashed and str(row["SecurityHash"]) != appointment_hash(row):
            yield Problem("hash_wrong", "appointment", num)


def _logs(office: Office, floors: Mapping[str, int]) -> Iterator[Problem]:
    """Every audit line has one hash row; those of the API carry the documented hash."""
    hashes: dict[int, list[str]] = {}
    for num, text in office.desk.rows(
        "SELECT SecurityLogNum, LogHash FROM securityloghash WHERE SecurityLogNum>?",
        floors["securitylog"],
    ):
        hashes.setdefault(int(num), []).append(str(text))
    for row in office.select("securitylog", "t.SecurityLogNum>?", floors["securitylog"]):
        num = int(row["SecurityLogNum"])
        found = hashes.get(num, [])
        if len(found) != 1:
            yield Problem("log_hash_rows", "securitylog", num, str(len(found)))
        elif int(row["LogSource"]) == LOG_SOURCE_API and found[0] != log_hash(row):
            yield Problem("log_hash_wrong", "securitylog", num)


def overlaps(office: Office) -> list[Problem]:
    """Scheduled appointments that lie on each other in one chair, each pair once."""
    by_chair: dict[int, list[tuple[datetime, datetime, int]]] = {}
    for row in office.select("appointment", "t.AptStatus=1 AND t.Op>0"):
        start = datetime.fromisoformat(str(row["AptDateTime"]))
        end = start + timedelta(minutes=5 * len(str(row["Pattern"])))
        by_chair.setdefault(int(row["Op"]), []).append((start, end, int(row["AptNum"])))
    found = []
    for chair, visits in by_chair.items():
        visits.sort()
        for at, (_, end, num) in enumerate(visits):
            for other_start, _, other in visits[at + 1 :]:
                if other_start >= end:
                    break
                found.append(Problem("overlap", "appointment", other, f"on {num} in chair {chair}"))
    return found


def _patients(office: Office, floors: Mapping[str, int]) -> Iterator[Problem]:
    hashed = "SecurityHash" in office.desk.columns("patient")
    heads: dict[int, Any] = {
        int(num): head for num, head in office.desk.rows("SELECT PatNum, Guarantor FROM patient")
    }
    for row in office.select("patient", "t.PatNum>?", floors["patient"]):
        num, head = int(row["PatNum"]), int(row["Guarantor"])
        if int(heads.get(head, 0)) != head or not head:
            yield Problem("guarantor", "patient", num, str(head))
        if hashed and str(row["SecurityHash"]) != patient_hash(num):
            yield Problem("hash_wrong", "patient", num)
        if not int(row["PriProv"]):
            yield Problem("no_provider", "patient", num)


def _procedures(office: Office, floors: Mapping[str, int]) -> Iterator[Problem]:
    for (num,) in office.desk.rows(
        "SELECT p.ProcNum FROM procedurelog p LEFT JOIN appointment a ON a.AptNum=p.AptNum "
        "WHERE p.ProcNum>? AND p.AptNum<>0 AND a.AptNum IS NULL",
        floors["procedurelog"],
    ):
        yield Problem("appointment_gone", "procedurelog", int(num))
