"""The rows Open Dental writes beside every change: audit line and hash, history, signals, recalls.

``Scribe`` holds one change: its steps, the office, the moment. Source: what the program does on
each action, as collected for this project (read in 24.3). Must not import a database library.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from agent.model.commands import Reason
from agent.model.effects import Effect
from drivers.opendental.direct.pen import Row, Steps, Value
from drivers.opendental.logs import OUR_COMPUTER
from drivers.opendental.office import Office
from drivers.opendental.spelling import NO_DATE, NO_MOMENT, key_of, refused, unsupported

NOBODY = 0  # userod.UserNum of automatic entries

# EnumPermType
APPOINTMENT_CREATE, APPOINTMENT_MOVE, APPOINTMENT_EDIT, CONFIRM_EDIT = 25, 26, 27, 120
PATIENT_CREATE, PATIENT_EDIT, FIELD_EDIT = 106, 108, 80
COMMLOG_CREATE, NOTE_FULL, PERIO_EDIT, RECALL_EDIT = 193, 53, 45, 156
CREATED, CHANGED = 0, 1  # HistAppointmentAction
SIGNAL_APPOINTMENT, SIGNAL_PERIO = 68, 104  # InvalidType
SCHEDULED, COMPLETE, UNSCHEDULED, ASAP, BROKEN = 1, 2, 3, 4, 5

_NEVER = "1880"  # any year before it means "no date"


def target(effect: Effect) -> int:
    if effect.key is None:
        raise refused("write.key_missing")
    return key_of(effect.key)


def only(fields: Mapping[str, Any], *allowed: str) -> None:
    """Nothing is dropped in silence."""
    if not set(fields) <= set(allowed):
        raise unsupported()


def number(row: Row, column: str) -> int:
    return int(row[column] or 0)


class Scribe:
    """One change being written. ``now``: the practice's wall time, from the server's clock."""

    def __init__(self, steps: Steps, office: Office, now: str) -> None:
        self.steps = steps
        self.office = office
        self.now = now

    @property
    def today(self) -> str:
        return self.now[:10]

    # --- looking ----------------------------------------------------------------------------

    def need(self, table: str, key: int, reason: Reason, code: str) -> Row:
        """The row, or the refusal that says what is not there."""
        found = self.steps.row(table, key) if key else None
        if found is None:
            raise refused(code, reason)
        return found

    def patient(self, key: int) -> Row:
        found = self.need("patient", key, Reason.PATIENT_NOT_FOUND, "write.patient_gone")
        if found["PatStatus"] == "4":  # deleted: kept in the table, on no list
            raise refused("write.patient_gone", Reason.PATIENT_NOT_FOUND)
        return found

    def appointment(self, key: int) -> Row:
        return self.need("appointment", key, Reason.VERSION_CONFLICT, "write.record_gone")

    def provider(self, key: int) -> int:
        if key:
            self.need("provider", key, Reason.PROVIDER_NOT_FOUND, "write.provider_gone")
        return key

    def has_completed(self, patient: int) -> bool:
        return bool(
            self.steps.select(
                "SELECT ProcNum FROM procedurelog WHERE PatNum=? AND ProcStatus=2 LIMIT 1", patient
            )
        )

    # --- rows beside ------------------------------------------------------------------------

    def log(self, permission: int, patient: int, text: str, fkey: int = 0) -> None:
        """An audit line and the hash that keeps it from being shown in red."""
        row: dict[str, Value] = {
            "PermType": permission, "UserNum": NOBODY, "LogDateTime": self.now, "LogText": text,
            "PatNum": patient, "CompName": OUR_COMPUTER, "FKey": fkey, "LogSource": 0, "DefNum": 0,
            "DefNumError": 0, "DateTPrevious": NO_MOMENT,
        }  # fmt: skip
        number = self.steps.insert("securitylog", row)
        if self.steps.has("securityloghash"):
            self.steps.insert(
                "securityloghash", {"SecurityLogNum": number, "LogHash": log_hash(row)}
            )

    def entry(self, appointment: int) -> None:
        """The log line of who entered an appointment."""
        if self.steps.has("entrylog"):
            self.steps.insert("entrylog", {
                "UserNum": NOBODY, "FKeyType": 0, "FKey": appointment, "LogSource": 0,
                "EntryDateTime": self.now,
            })  # fmt: skip

    def history(self, action: int, row: Row) -> None:
        """A copy of the appointment as it is now."""
        copied = {name: value for name, value in row.items() if name != "DateTStamp"}
        self.steps.insert("histappointment", {
            **copied, "HistUserNum": NOBODY, "HistDateTStamp": self.now, "HistApptAction": action,
            "ApptSource": 0,
        })  # fmt: skip

    def signal(self, kind: int, day: str, key_type: str, fkey: int) -> None:
        self.steps.insert("signalod", {
            "DateViewing": day, "SigDateTime": self.now, "FKey": fkey, "FKeyType": key_type,
            "IType": kind, "RemoteRole": 0, "MsgValue": "",
        })  # fmt: skip

    def appointment_signals(self, *states: Mapping[str, Any]) -> None:
        """Who looks at that day, that provider, that chair, before and after; only for days near
        enough to be on a workstation's screen."""
        first = date.fromisoformat(self.today)
        last = first + timedelta(days=self.office.preference_number("ApptAutoRefreshRange"))
        told: dict[tuple[str, str, int], None] = {}
        for row in states:
            day = str(row["AptDateTime"])[:10]
            if day < _NEVER or not first <= date.fromisoformat(day) <= last:
                continue
            for key_type, column in (("Provider", "ProvNum"), ("Provider", "ProvHyg"),
                                     ("Operatory", "Op"), ("PatNum", "PatNum")):  # fmt: skip
                if int(row[column] or 0) > 0:
                    told[(day, key_type, int(row[column]))] = None
        for day, key_type, fkey in told:
            self.signal(SIGNAL_APPOINTMENT, day, key_type, fkey)

    def first_visit(self, appointment: Row) -> None:
        """A new patient's appointment dates the first visit while nothing has been done yet."""
        patient = int(appointment["PatNum"] or 0)
        if appointment["IsNewPatient"] != "1" or self.has_completed(patient):
            return
        day = str(appointment["AptDateTime"])[:10]
        self.steps.update("patient", patient, {"DateFirstVisit": day if day > _NEVER else NO_DATE})

    def synch_recalls(self, patient: int) -> None:
        """recall.DateScheduled: the next scheduled visit with a procedure that satisfies it."""
        active = self.steps.select("SELECT PatStatus FROM patient WHERE PatNum=?", patient)
        if not active or active[0]["PatStatus"] != "0":
            return
        for recall in self.steps.select(
            "SELECT RecallNum,RecallTypeNum FROM recall WHERE PatNum=?", patient
        ):
            found = self.steps.select(
                "SELECT MIN(a.AptDateTime) AS at FROM appointment a"
                " JOIN procedurelog p ON p.AptNum=a.AptNum"
                " JOIN recalltrigger t ON t.CodeNum=p.CodeNum"
                " WHERE a.PatNum=? AND a.AptStatus=? AND a.AptDateTime>=? AND t.RecallTypeNum=?",
                patient, SCHEDULED, self.today, int(recall["RecallTypeNum"] or 0),
            )  # fmt: skip
            ahead = found[0]["at"]
            self.steps.update("recall", int(recall["RecallNum"] or 0), {
                "DateScheduled": str(ahead)[:10] if ahead else NO_DATE
            })  # fmt: skip


def log_hash(row: Mapping[str, Value]) -> str:
    """Base64 of SHA-256 over the UTF-16 text of type, user, time, text, patient and, where there
    is one, the time before (the program's own recipe for securityloghash)."""
    parts = [str(row[name]) for name in ("PermType", "UserNum", "LogDateTime", "LogText", "PatNum")]
    if str(row["DateTPrevious"]) > _NEVER:
        parts.append(str(row["DateTPrevious"]))
    return base64.b64encode(hashlib.sha256("".join(parts).encode("utf-16-le")).digest()).decode()


def ends_at(start: str, pattern: str) -> datetime:
    return datetime.fromisoformat(start) + timedelta(minutes=5 * len(pattern))
