"""What every deed at the front desk needs: the connection, the office's facts, people to pick from.

``Front`` reads the facts once, keeps pools of keys, and writes the rows that go with each action
(audit line, history copy, signals). Decides nothing about what to do next. May import ``desk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any

import msgspec

from agent.model.streams import Stream
from agent.sandbox.practice.desk import Desk
from agent.sandbox.practice.office import security_hash
from agent.sandbox.practice.schema import NO_DATE
from agent.sandbox.practice.seeds import Cat
from agent.sandbox.practice.stores import Value

POOL = 20_000
COMPUTER = "FRONT1"


class DeedKind(StrEnum):
    BOOK = "book"
    MOVE = "move"
    CONFIRM = "confirm"
    BREAK = "break"
    COMPLETE = "complete"
    DELETE_APPOINTMENT = "delete_appointment"
    NEW_PATIENT = "new_patient"
    DEMOGRAPHICS = "demographics"
    PAYMENT = "payment"
    ADJUSTMENT = "adjustment"
    COMMLOG = "commlog"
    NOTE = "note"
    RECALL = "recall"
    FIELD = "field"
    CLAIM_RECEIVED = "claim_received"
    AGING = "aging"
    SILENT_EDIT = "silent_edit"
    HARD_DELETE = "hard_delete"
    SCHEDULE_DAY = "schedule_day"
    PARK = "park"  # off the schedule by a trick of the office: pinboard, parking column


class Touch(msgspec.Struct, frozen=True):
    """A record whose rows a deed changed; ``gone`` when it no longer exists."""

    stream: Stream
    key: int
    table: str
    gone: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What a deed did: the record it was about, others it changed, values to look for."""

    main: Touch
    also: tuple[Touch, ...] = ()
    values: dict[str, str] = {}
    traceless: bool = False


class Seat(msgspec.Struct, frozen=True):
    op: int
    dentist: int
    hygienist: int
    hygiene: bool
    clinic: int

    @property
    def provider(self) -> int:
        return self.hygienist if self.hygiene and self.hygienist else self.dentist


class Patient(msgspec.Struct, frozen=True):
    num: int
    guarantor: int
    pri_prov: int
    sec_prov: int
    clinic: int
    first_visit: str


class Front:
    """Facts and pools of one practice. Create once per life."""

    def __init__(self, desk: Desk, rng: Random) -> None:
        self.desk, self.rng = desk, rng
        self._prefs = {
            str(n): str(v or "")
            for n, v in desk.rows("SELECT PrefName, ValueString FROM preference")
        }
        self.random_keys = self._prefs.get("RandomPrimaryKeys") == "1"
        self.phone_table = self._prefs.get("PatientPhoneUsePhonenumberTable") == "1"
        self._definitions: dict[tuple[int, str], int] = {}
        for num, category, name, value in desk.rows(
            "SELECT DefNum, Category, ItemName, ItemValue FROM definition WHERE IsHidden=0 "
            "ORDER BY Category, ItemOrder, DefNum"
        ):
            for key in ("", str(name or ""), str(value or "")):
                self._definitions.setdefault((int(category), key), int(num))
        self.users = tuple(int(u) for (u,) in desk.rows("SELECT UserNum FROM userod")) or (0,)
        self.seats = tuple(
            Seat(int(o), int(d), int(h), bool(i), int(c))
            for o, d, h, i, c in desk.rows(
                "SELECT OperatoryNum, ProvDentist, ProvHygienist, IsHygiene, ClinicNum "
                "FROM operatory WHERE IsHidden=0 ORDER BY OperatoryNum"
            )
            if d or h
        )
        self.codes = {
            str(code): (int(num), str(abbr or ""))
            for num, code, abbr in desk.rows(
                "SELECT CodeNum, ProcCode, AbbrDesc FROM procedurecode"
            )
        }
        self.fees = {
            int(c): float(a)
            for c, a in desk.rows("SELECT CodeNum, Amount FROM fee ORDER BY FeeNum DESC")
        }
        self.patients = self._keys("patient", "PatNum", "PatStatus=0")
        today = f"{self.today():%Y-%m-%d}"
        self.scheduled = self._keys(
            "appointment", "AptNum", f"AptStatus=1 AND AptDateTime>='{today}'"
        )
        self.open_claims = self._keys("claim", "ClaimNum", "ClaimStatus='S'")

    def _keys(self, table: str, column: str, where: str) -> list[int]:
        found = self.desk.rows(
            f"SELECT {column} FROM {table} WHERE {where} ORDER BY {column} LIMIT {POOL}"
        )
        return [int(k) for (k,) in found]

    # --- facts --------------------------------------------------------------------------------

    def now_text(self) -> str:
        return f"{self.desk.now():%Y-%m-%d %H:%M:%S}"

    def today(self) -> date:
        return self.desk.now().date()

    def pref_int(self, name: str, default: int) -> int:
        try:
            return int(self._prefs.get(name, ""))
        except ValueError:
            return default

    def definition(self, category: int, name: str) -> int:
        found = self._definitions.get((category, name))
        return found if found is not None else self._definitions.get((category, ""), 0)

    def confirmed_states(self) -> list[int]:
        return sorted({n for (c, _), n in self._definitions.items() if c == Cat.CONFIRMED})

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.random() * len(items))]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    # --- picking ------------------------------------------------------------------------------

    def some_patient(self) -> Patient | None:
        """A random active patient that still exists."""
        for _ in range(20):
            if not self.patients:
                return None
            at = int(self.rng.random() * len(self.patients))
            found = self.desk.rows(
                "SELECT PatNum, Guarantor, PriProv, SecProv, ClinicNum, DateFirstVisit "
                "FROM patient WHERE PatNum=? AND PatStatus=0",
                self.patients[at],
            )
            if found:
                num, guarantor, pri, sec, clinic, first = found[0]
                return Patient(
                    int(num), int(guarantor), int(pri), int(sec), int(clinic), date_text(first)
                )
            _drop(self.patients, at)
        return None

    def some_appointment(self, *, today_first: bool = False) -> dict[str, Any] | None:
        """All columns of a random scheduled appointment of the pool, or None."""
        if today_first and self.chance(0.7):
            today = self.today()
            found = self.desk.rows(
                "SELECT AptNum FROM appointment WHERE AptDateTime>=? AND AptDateTime<? "
                "AND AptStatus=1 LIMIT 50",
                f"{today}",
                f"{today + timedelta(days=1)}",
            )
            if found:
                row = self.appointment(int(self.pick(found)[0]))
                if row is not None and int(row["AptStatus"]) == 1:
                    return row
        for _ in range(20):
            if not self.scheduled:
                return None
            at = int(self.rng.random() * len(self.scheduled))
            row = self.appointment(self.scheduled[at])
            if row is not None and int(row["AptStatus"]) == 1:
                return row
            _drop(self.scheduled, at)
        return None

    def appointment(self, num: int) -> dict[str, Any] | None:
        """The row as the program would hold it, dates as text."""
        names = list(self.desk.columns("appointment"))
        found = self.desk.rows(f"SELECT {','.join(names)} FROM appointment WHERE AptNum=?", num)
        return {n: plain(v) for n, v in zip(names, found[0], strict=True)} if found else None

    def free_slot(self, clinic: int, units: int, *, hygiene: bool) -> tuple[Seat, str] | None:
        """A chair and a start inside its provider's hours that nobody holds: SELECT, then hope."""
        seats = [s for s in self.seats if s.clinic == clinic and s.hygiene is hygiene]
        seats = seats or [s for s in self.seats if s.hygiene is hygiene] or list(self.seats)
        for _ in range(14):
            if not seats:
                return None
            near = self.chance(0.4)
            day = self.today() + timedelta(
                days=int(self.rng.random() * 5) if near else 5 + int(self.rng.random() * 60)
            )
            seat = self.pick(seats)
            start = self._gap(seat, day, units)
            if start is not None:
                return seat, f"{day} {start // 60:02d}:{start % 60:02d}:00"
        return None

    def _gap(self, seat: Seat, day: date, units: int) -> int | None:
        hours = self.desk.rows(
            "SELECT StartTime, StopTime FROM schedule WHERE SchedDate=? AND SchedType=1 "
            "AND ProvNum=?",
            f"{day}",
            seat.provider,
        )
        taken = [
            (minute_of(start), minute_of(start) + 5 * int(length))
            for start, length in self.desk.rows(
                "SELECT AptDateTime, LENGTH(Pattern) FROM appointment WHERE AptDateTime>=? "
                "AND AptDateTime<? AND Op=? AND AptStatus IN (1,2,5)",
                f"{day}",
                f"{day + timedelta(days=1)}",
                seat.op,
            )
        ]
        starts = [
            minute
            for begin, end in hours
            for minute in range(minute_of(begin), minute_of(end) - units * 5 + 1, 10)
            if all(minute + units * 5 <= s or minute >= e for s, e in taken)
        ]
        return int(self.pick(starts)) if starts else None

    # --- rows that go with an action ------------------------------------------------------------

    def insert(self, table: str, primary: str, row: dict[str, Value]) -> int:
        """Insert with the next key, or a random one where the site draws them so."""
        if self.random_keys:
            row = {primary: self.rng.getrandbits(62) or 1, **row}
        return self.desk.insert(table, row)

    def log(self, permission: int, patient: int, fkey: int, text: str) -> None:
        """Audit line and its hash row."""
        now, user = self.now_text(), self.pick(self.users)
        num = self.insert("securitylog", "SecurityLogNum", {
            "PermType": permission, "UserNum": user, "LogDateTime": now, "LogText": text,
            "PatNum": patient, "CompName": COMPUTER, "FKey": fkey, "LogSource": 0, "DefNum": 0,
            "DefNumError": 0, "DateTPrevious": NO_DATE + " 00:00:00",
        })  # fmt: skip
        self.insert("securityloghash", "SecurityLogHashNum", {
            "SecurityLogNum": num, "LogHash": security_hash(permission, user, now, text, patient),
        })  # fmt: skip

    def signal(self, kind: int, day: str, pairs: Sequence[tuple[str, int]]) -> None:
        """Rows other workstations poll; only for days near enough to be on screen."""
        span = self.pref_int("ApptAutoRefreshRange", 4)
        viewed = date.fromisoformat(day[:10])
        ahead = (viewed - self.today()).days
        if viewed.year < 1880 or ahead < 0 or (span >= 0 and ahead > span):
            return
        for key_type, fkey in pairs:
            if fkey > 0:
                self.insert("signalod", "SignalNum", {
                    "DateViewing": day[:10], "SigDateTime": self.now_text(), "FKey": fkey,
                    "FKeyType": key_type, "IType": kind, "RemoteRole": 0, "MsgValue": "",
                })  # fmt: skip

    def appointment_signals(self, row: dict[str, Any]) -> None:
        self.signal(68, str(row["AptDateTime"]), (
            ("Provider", int(row["ProvNum"])), ("Provider", int(row["ProvHyg"])),
            ("Operatory", int(row["Op"])), ("PatNum", int(row["PatNum"])),
        ))  # fmt: skip

    def history(self, action: int, row: dict[str, Any]) -> None:
        """Copy the appointment as it is now into its history."""
        copy: dict[str, Value] = {
            n: v for n, v in row.items() if n in self.desk.columns("histappointment")
        }
        copy.pop("DateTStamp", None)
        self.insert("histappointment", "HistApptNum", {
            "HistUserNum": self.pick(self.users), "HistDateTStamp": self.now_text(),
            "HistApptAction": action, "ApptSource": 0, **copy,
        })  # fmt: skip


def _drop(pool: list[int], at: int) -> None:
    pool[at] = pool[-1]
    pool.pop()


def plain(value: Any) -> Any:
    """Dates and times as the text a statement takes; zero dates arrive as text already."""
    if isinstance(value, datetime):
        # strftime does not pad years below 1000
        return value.isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
    return value


def date_text(value: Any) -> str:
    return str(plain(value))[:10]


def minute_of(value: Any) -> int:
    """Minutes since midnight of a time or datetime in any driver's form."""
    text = str(plain(value))[-8:]
    return int(text[:2]) * 60 + int(text[3:5])
