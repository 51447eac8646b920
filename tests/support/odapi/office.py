"""The office's database as the program works on it: single statements, each its own commit.

Holds one connection and writes the rows that go with every action: audit lines with their hash,
signals for the other workstations, copies of appointments. Imports the sample practice's desk
connections (MariaDB and SQLite) and its table shapes; knows nothing of HTTP.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from agent.sandbox.practice.desk import MariaDesk, SqliteDesk
from agent.sandbox.practice.front import plain
from agent.sandbox.practice.office import security_hash
from agent.sandbox.practice.tables import TABLES as SHAPES
from tests.support.odapi.formats import NO_DATE, NO_DATETIME

LOG_SOURCE_API = 23
COMPUTER = "OD-STANDIN"

SCHEDULED, COMPLETE, UNSCHEDULED, BROKEN, PLANNED = 1, 2, 3, 5, 6
CREATED, CHANGED, MISSED, CANCELLED = 0, 1, 2, 3
CONFIRMED_CATEGORY, BILLING_CATEGORY, RECALL_CATEGORY, COMM_CATEGORY = 2, 4, 13, 27

TABLES = (
    "appointment", "appointmenttype", "apptfield", "apptfielddef", "clinic", "commlog",
    "custreference", "definition", "document", "entrylog", "fee", "histappointment", "inssub",
    "operatory", "patfield", "patfielddef", "patient", "patplan", "perioexam", "periomeasure",
    "phonenumber", "preference", "procedurecode", "procedurelog", "procnote", "provider", "recall",
    "recalltrigger", "recalltype", "schedule", "scheduleop", "securitylog", "securityloghash",
    "signalod", "userod",
)  # fmt: skip
"""What the stand-in reads or writes; ``load_schema(..., tables=TABLES)`` is enough for it."""


class Signer(msgspec.Struct, frozen=True):
    """As whom rows are signed: ``user`` userod.UserNum, ``source`` histappointment.ApptSource."""

    user: int = 0
    source: int = 6


def log_hash(row: Mapping[str, Any]) -> str:
    """The hash of an audit line: Base64 of SHA-256 over UTF-16LE of its fields, joined."""
    parts = [row["PermType"], row["UserNum"], row["LogDateTime"], row["LogText"], row["PatNum"]]
    if str(row["DateTPrevious"]) > "1880":
        parts.append(row["DateTPrevious"])
    joined = "".join(str(part) for part in parts)
    return base64.b64encode(hashlib.sha256(joined.encode("utf-16-le")).digest()).decode()


def appointment_hash(row: Mapping[str, Any]) -> str:
    """Stands in for the vendor's salted hash, over the same columns."""
    return security_hash(int(row["AptStatus"]), int(row["Confirmed"]), row["AptDateTime"])


def patient_hash(num: int) -> str:
    return security_hash("patient", num)


class Office:
    """One connection to one office. Not thread-safe."""

    def __init__(self, desk: MariaDesk | SqliteDesk, zone: str | None, signer: Signer) -> None:
        self.desk = desk
        self.signer = signer
        self._zone = ZoneInfo(zone) if zone else None
        self._is_file = isinstance(desk, SqliteDesk)
        if self._zone is not None and not self._is_file:
            # The server of a real office stands in the office's zone.
            minutes = int(self.utc_offset().total_seconds()) // 60
            sign = "-" if minutes < 0 else "+"
            desk.run(f"SET time_zone='{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}'")

    def close(self) -> None:
        self.desk.close()

    # --- time ---------------------------------------------------------------------------------

    def utc_offset(self) -> timedelta:
        if self._zone is not None:
            return datetime.now(self._zone).utcoffset() or timedelta()
        local = datetime.fromisoformat(self.now())
        return timedelta(
            minutes=round((local - datetime.now(UTC).replace(tzinfo=None)).total_seconds() / 60)
        )

    def now(self) -> str:
        """Server now, whole seconds, the office's wall time."""
        if self._zone is not None:
            return datetime.now(self._zone).strftime("%Y-%m-%d %H:%M:%S")
        return str(plain(self.desk.rows("SELECT NOW()")[0][0]))

    def today(self) -> date:
        return date.fromisoformat(self.now()[:10])

    def stamp_stored(self, wall: str) -> str:
        """A wall time as the change stamps of this database hold it."""
        if not self._is_file or self._zone is None:
            return wall
        at = datetime.fromisoformat(wall).replace(tzinfo=self._zone)
        return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")

    def _stamp_shown(self, stored: Any) -> str:
        text = str(plain(stored))
        if not self._is_file or self._zone is None or text < "1970":
            return text
        at = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return at.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S")

    # --- rows ---------------------------------------------------------------------------------

    def has_table(self, table: str) -> bool:
        try:
            return bool(self.desk.columns(table))
        except Exception:
            return False

    def select(
        self,
        table: str,
        where: str = "1=1",
        *values: Any,
        extra: Mapping[str, str] | None = None,
        order: str = "",
        limit: int = 0,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Rows of ``table`` (alias ``t``), dates as text; ``extra``: names and their SQL."""
        names = list(self.desk.columns(table))
        parts = [f"t.{name}" for name in names]
        if extra:
            parts += list(extra.values())
            names += list(extra)
        sql = f"SELECT {','.join(parts)} FROM {table} t WHERE {where}"
        sql += f" ORDER BY {order or 't.' + SHAPES[table].primary}"
        if limit:
            sql += f" LIMIT {limit} OFFSET {offset}"
        stamp = SHAPES[table].stamp
        found = []
        for row in self.desk.rows(sql, *values):
            taken = {name: plain(value) for name, value in zip(names, row, strict=True)}
            if stamp in taken:
                taken[stamp] = self._stamp_shown(taken[stamp])
            found.append(taken)
        return found

    def one(
        self, table: str, key: int, extra: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        found = self.select(table, f"t.{SHAPES[table].primary}=?", key, extra=extra)
        return found[0] if found else None

    def value(self, sql: str, *values: Any) -> Any:
        """First column of the first row, or None."""
        found = self.desk.rows(sql, *values)
        return plain(found[0][0]) if found else None

    def insert(self, table: str, row: Mapping[str, Any]) -> int:
        primary = SHAPES[table].primary
        if primary not in row and self.pref("RandomPrimaryKeys") == "1":
            row = {primary: random.getrandbits(62) | 1 << 40, **row}
        return self.desk.insert(table, row)

    def update(
        self, table: str, key: int, old: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write only the columns whose value differs from ``old``; what was written."""
        moved = {
            name: value
            for name, value in changes.items()
            if name in old and str(old[name] if old[name] is not None else "") != str(value)
        }
        if moved:
            self.desk.update(table, key, moved)
        return moved

    # --- preferences and definitions ----------------------------------------------------------

    def pref(self, name: str, default: str = "") -> str:
        found = self.value("SELECT ValueString FROM preference WHERE PrefName=?", name)
        return default if found is None else str(found)

    def pref_number(self, name: str, default: int = 0) -> int:
        try:
            return int(self.pref(name))
        except ValueError:
            return default

    def first_definition(self, category: int) -> int:
        found = self.value(
            "SELECT DefNum FROM definition WHERE Category=? AND IsHidden=0 "
            "ORDER BY ItemOrder, DefNum LIMIT 1",
            category,
        )
        return int(found or 0)

    def definition_by(self, column: str, category: int, value: str) -> int | None:
        found = self.value(
            f"SELECT DefNum FROM definition WHERE Category=? AND {column}=? "
            "ORDER BY IsHidden, ItemOrder LIMIT 1",
            category,
            value,
        )
        return None if found is None else int(found)

    def is_definition(self, num: int, category: int) -> bool:
        return (
            self.value("SELECT 1 FROM definition WHERE DefNum=? AND Category=?", num, category)
            is not None
        )

    def comm_type(self, usage: str) -> int:
        """The communication type for one automatic use, else the first of the category."""
        found = self.definition_by("ItemValue", COMM_CATEGORY, usage)
        return self.first_definition(COMM_CATEGORY) if found is None else found

    def exists(self, table: str, num: int) -> bool:
        primary = SHAPES[table].primary
        return self.value(f"SELECT 1 FROM {table} WHERE {primary}=?", num) is not None

    # --- rows that go with an action ----------------------------------------------------------

    def log(
        self, permission: int, patient: int, text: str, fkey: int = 0, previous: str = NO_DATETIME
    ) -> int:
        """An audit line, its hash row, and an entry row where it is about an appointment."""
        now = self.now()
        row = {
            "PermType": permission, "UserNum": self.signer.user, "LogDateTime": now,
            "LogText": text, "PatNum": patient, "CompName": COMPUTER, "FKey": fkey,
            "LogSource": LOG_SOURCE_API, "DefNum": 0, "DefNumError": 0, "DateTPrevious": previous,
        }  # fmt: skip
        num = self.insert("securitylog", row)
        self.insert("securityloghash", {"SecurityLogNum": num, "LogHash": log_hash(row)})
        return num

    def entry(self, appointment: int) -> None:
        self.insert("entrylog", {
            "UserNum": self.signer.user, "FKeyType": 0, "FKey": appointment,
            "LogSource": LOG_SOURCE_API, "EntryDateTime": self.now(),
        })  # fmt: skip

    def signal(self, kind: int, day: str = NO_DATE, key_type: str = "", fkey: int = 0) -> None:
        self.insert("signalod", {
            "DateViewing": day[:10], "SigDateTime": self.now(), "FKey": fkey,
            "FKeyType": key_type, "IType": kind, "RemoteRole": 0, "MsgValue": "",
        })  # fmt: skip

    def appointment_signals(self, *states: Mapping[str, Any]) -> None:
        """For each state of an appointment (after, before): who looks at that day, that provider,
        that chair. Only for days near enough to be on a screen."""
        span, today = self.pref_number("ApptAutoRefreshRange", 4), self.today()
        told: set[tuple[str, str, int]] = set()
        for row in states:
            day = str(row["AptDateTime"])[:10]
            ahead = (date.fromisoformat(day) - today).days
            if day < "1880" or ahead < 0 or (span >= 0 and ahead > span):
                continue
            told.update((day, kind, int(row[column])) for kind, column in (
                ("Provider", "ProvNum"), ("Provider", "ProvHyg"), ("Operatory", "Op"),
                ("PatNum", "PatNum"),
            ))  # fmt: skip
        for day, kind, fkey in sorted(told):
            if fkey > 0:
                self.signal(68, day, kind, fkey)

    def history(self, action: int, row: Mapping[str, Any]) -> None:
        """Copy the appointment as it is now into its history."""
        columns = self.desk.columns("histappointment")
        copy = {name: value for name, value in row.items() if name in columns}
        copy.pop("DateTStamp", None)
        self.insert("histappointment", {
            "HistUserNum": self.signer.user, "HistDateTStamp": self.now(),
            "HistApptAction": action, "ApptSource": self.signer.source, **copy,
        })  # fmt: skip

    def insurance(self, patient: int) -> tuple[int, int]:
        """PlanNum of the primary and the secondary plan, 0 where there is none."""
        found = [
            int(plan)
            for (plan,) in self.desk.rows(
                "SELECT s.PlanNum FROM patplan p JOIN inssub s ON s.InsSubNum=p.InsSubNum "
                "WHERE p.PatNum=? ORDER BY p.Ordinal LIMIT 2",
                patient,
            )
        ]
        return (*found, 0, 0)[0], (*found, 0, 0)[1]

    def has_completed(self, patient: int) -> bool:
        return (
            self.value(
                "SELECT 1 FROM procedurelog WHERE PatNum=? AND ProcStatus=2 LIMIT 1", patient
            )
            is not None
        )

    def first_visit(self, patient: int, start: str) -> None:
        """A new-patient appointment dates the first visit, unless something was completed."""
        if not self.has_completed(patient):
            self.desk.update("patient", patient, {"DateFirstVisit": start[:10]})

    def synch_recalls(self, patient: int) -> None:
        """recall.DateScheduled: the first scheduled visit ahead with a triggering procedure."""
        status = self.value("SELECT PatStatus FROM patient WHERE PatNum=?", patient)
        if status is None or int(status):
            return
        today = f"{self.today()}"
        for recall in self.select("recall", "t.PatNum=?", patient):
            found = self.value(
                "SELECT MIN(a.AptDateTime) FROM appointment a "
                "JOIN procedurelog p ON p.AptNum=a.AptNum "
                "JOIN recalltrigger g ON g.CodeNum=p.CodeNum "
                "WHERE a.PatNum=? AND a.AptStatus=1 AND a.AptDateTime>=? AND g.RecallTypeNum=?",
                patient, today, recall["RecallTypeNum"],
            )  # fmt: skip
            ahead = str(found)[:10] if found else NO_DATE
            self.update("recall", int(recall["RecallNum"]), recall, {"DateScheduled": ahead})


def missing_tables(office: Office, tables: Iterable[str] = TABLES) -> list[str]:
    return [table for table in tables if not office.has_table(table)]
