"""The practice's database as the vendor's engine behaves: tables, stamps, logs, late statements.

MyISAM: one statement at a time per table, a stamp is the statement's start, nothing rolls back, a
record written by three statements can be seen half built. InnoDB: a transaction's rows become
visible at its commit with the stamps of their statements. Both: stamps of whole seconds that move
only when a value changes, keys that count up, gate tokens of whole seconds, logs only of what the
program itself logs. Facts: reference notes of the project on Open Dental and sync engines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.sim.kernel import Kernel

ZONE = "America/New_York"
FIRST_VERSION = "21.1.9.0"
Values = dict[str, str | None]

#: table -> column -> SQL type; the first is the key
SCHEMA: dict[str, dict[str, str]] = {
    "provider": {"ProvNum": "bigint", "Abbr": "varchar", "LName": "varchar", "IsHidden": "tinyint"},
    "operatory": {"OperatoryNum": "bigint", "OpName": "varchar", "Abbrev": "varchar",
                  "IsHidden": "tinyint", "ProvDentist": "bigint"},
    "patient": {"PatNum": "bigint", "LName": "varchar", "FName": "varchar", "PatStatus": "tinyint",
                "Birthdate": "date", "Guarantor": "bigint", "HmPhone": "varchar",
                "WirelessPhone": "varchar", "Email": "varchar", "Address": "varchar",
                "City": "varchar", "Zip": "varchar", "AddrNote": "text", "DateTStamp": "timestamp"},
    "appointment": {"AptNum": "bigint", "PatNum": "bigint", "AptStatus": "tinyint",
                    "AptDateTime": "datetime", "Pattern": "varchar", "ProvNum": "bigint",
                    "ProvHyg": "bigint", "Op": "bigint", "Confirmed": "bigint", "Note": "text",
                    "DateTStamp": "timestamp"},
    "recall": {"RecallNum": "bigint", "PatNum": "bigint", "DateDue": "date", "Note": "text"},
    "commlog": {"CommlogNum": "bigint", "PatNum": "bigint", "CommDateTime": "datetime",
                "CommType": "bigint", "Mode_": "tinyint", "SentOrReceived": "tinyint",
                "Note": "text", "DateTStamp": "timestamp"},
}  # fmt: skip
KEYS = {table: next(iter(columns)) for table, columns in SCHEMA.items()}
STAMPED = frozenset(table for table, columns in SCHEMA.items() if "DateTStamp" in columns)
LOG_OF = {"patient": "securitylog", "commlog": "securitylog", "appointment": "histappointment"}
LOGS = ("securitylog", "histappointment")


@dataclass(frozen=True, slots=True)
class Row:
    """``stamp``: whole seconds of the server's clock, None in tables without one."""

    values: Values
    stamp: int | None
    is_broken: bool = False  # bytes no character set knows
    hashes: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict, compare=False)

    def sums(self, columns: tuple[str, ...]) -> tuple[int, int]:
        """48 and 64 bits of the row's hash over these columns, as the server computes them."""
        found = self.hashes.get(columns)
        if found is None:
            told = repr([self.values.get(c) for c in columns]) + str(self.is_broken)
            digest = hashlib.blake2b(told.encode(), digest_size=14).digest()
            found = (
                int.from_bytes(digest[:6], "big"),
                int.from_bytes(digest[6:], "big", signed=True),
            )
            self.hashes[columns] = found
        return found


@dataclass
class Table:
    columns: dict[str, str]
    rows: dict[int, Row] = field(default_factory=dict)
    next_key: int = 1
    moved_at: int = 0  # whole seconds of the server's clock


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup brings back."""

    rows: dict[str, dict[int, Row]]
    next_keys: dict[str, int]
    logs: dict[str, list[tuple[str, int, bool]]]
    at: float


class Pms:
    """``office``: who else looks at what became visible (the oracles)."""

    def __init__(self, kernel: Kernel, start: datetime) -> None:
        self.kernel = kernel
        self.start = start
        self.zone = ZoneInfo(ZONE)
        self.offset_s = 0.0  # of the server's clock
        self.skew = 0.0  # seconds gained each second
        self.tables = {name: Table(dict(columns)) for name, columns in SCHEMA.items()}
        self.logs: dict[str, list[tuple[str, int, bool]]] = {name: [] for name in LOGS}
        self.log_base: dict[str, int] = dict.fromkeys(LOGS, 0)
        self.identity = "practice-1"
        self.version = FIRST_VERSION
        self.update_running = False
        self.rebuilding = False
        self.corrupted = False
        self.is_wrong = False  # not the true database just now: what it says may not be believed
        self.half_built: dict[int, float] = {}  # patients whose last statement is still to come
        self.deleted: set[tuple[str, int]] = set()
        self.hidden: set[str] = set()  # tables renamed away
        self.open_since: dict[int, int] = {}  # running statements and transactions: their start
        self.shows_open = True  # the login may see other connections
        self.is_innodb = False
        self._next_open = 0
        self.how = (True, True)  # (stamped, logged) of what becomes visible just now
        self.visible: list[Callable[[str, int, Row | None, Row | None, str], None]] = []
        self.restored: list[Callable[[Backup], None]] = []

    # -- clock ------------------------------------------------------------------------------------

    def now(self) -> datetime:
        seconds = self.kernel.now * (1.0 + self.skew) + self.offset_s
        return self.start + timedelta(seconds=seconds)

    def second(self) -> int:
        return int(self.now().timestamp())

    def local(self, at: datetime) -> str:
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S")

    def local_now(self) -> str:
        return self.local(self.now())

    @property
    def oldest_open(self) -> int | None:
        if not self.shows_open:
            return None
        return min(self.open_since.values(), default=None)

    # -- writing ----------------------------------------------------------------------------------

    def insert(
        self, table: str, values: Mapping[str, str | None], *, by: str, stamped: bool = True,
        logged: bool = True, at: int | None = None, key: int | None = None,
    ) -> int:  # fmt: skip
        held = self.tables[table]
        if key is None:
            key, held.next_key = held.next_key, held.next_key + 1
        made: Values = {name: self._default(table, name) for name in held.columns}
        made.update(values)
        made[KEYS[table]] = str(key)
        self._put(table, key, made, by, stamped=stamped, at=at, logged=logged)
        return key

    def update(
        self, table: str, key: int, values: Mapping[str, str | None], *, by: str,
        stamped: bool = True, logged: bool = True, at: int | None = None,
    ) -> bool:  # fmt: skip
        row = self.tables[table].rows.get(key)
        if row is None:
            return False
        made = {**row.values, **values}
        if made == row.values and not row.is_broken:
            return True  # ON UPDATE moves a stamp only when a value changes
        self._put(table, key, made, by, stamped=stamped, at=at, logged=logged, old=row)
        return True

    def delete(self, table: str, key: int, *, by: str, logged: bool = True) -> bool:
        held = self.tables[table]
        row = held.rows.pop(key, None)
        if row is None:
            return False
        held.moved_at = self.second()
        self.deleted.add((table, key))
        if logged:
            self._log(table, key, is_deleted=True)
        self.how = (False, logged and table in LOG_OF)
        self._tell(table, key, row, None, by)
        return True

    def touch(self, table: str) -> None:
        """A stamp storm: every row bumped, nothing changed."""
        held = self.tables[table]
        second = self.second()
        for key, row in list(held.rows.items()):
            held.rows[key] = Row(row.values, second, row.is_broken)
        held.moved_at = second

    def break_row(self, table: str, key: int) -> None:
        row = self.tables[table].rows.get(key)
        if row is not None:
            self._place(table, key, Row(row.values, self._stamp(table, None), is_broken=True))

    def mend_row(self, table: str, key: int) -> None:
        row = self.tables[table].rows.get(key)
        if row is not None and row.is_broken:
            self._place(table, key, Row(row.values, self._stamp(table, None)))

    def opens(self) -> tuple[int, int]:
        """A statement or transaction begins: its number and the second its rows are stamped."""
        self._next_open += 1
        second = self.second()
        self.open_since[self._next_open] = second
        return self._next_open, second

    def ends(self, number: int) -> None:
        self.open_since.pop(number, None)

    def _put(
        self, table: str, key: int, values: Values, by: str, *, stamped: bool, at: int | None,
        logged: bool, old: Row | None = None,
    ) -> None:  # fmt: skip
        stamp = self._stamp(table, at)
        if not stamped and old is not None:
            stamp = old.stamp
        row = Row(values, stamp)
        before = self.tables[table].rows.get(key)
        self._place(table, key, row)
        if logged:
            self._log(table, key, is_deleted=False)
        self.how = (stamped and stamp is not None, logged and table in LOG_OF)
        self._tell(table, key, before, row, by)

    def _place(self, table: str, key: int, row: Row) -> None:
        held = self.tables[table]
        held.rows[key] = row
        held.moved_at = self.second()

    def _stamp(self, table: str, at: int | None) -> int | None:
        if table not in STAMPED:
            return None
        return self.second() if at is None else at

    def _log(self, table: str, key: int, *, is_deleted: bool) -> None:
        log = LOG_OF.get(table)
        if log is not None:
            self.logs[log].append((table, key, is_deleted))

    def _tell(self, table: str, key: int, old: Row | None, new: Row | None, by: str) -> None:
        for hear in self.visible:
            hear(table, key, old, new, by)

    def _default(self, table: str, column: str) -> str | None:
        kind = SCHEMA[table].get(column, "varchar")
        if kind in ("bigint", "tinyint"):
            return "0"
        return "0001-01-01" if kind == "date" else ""

    # -- the whole database -----------------------------------------------------------------------

    def backup(self) -> Backup:
        return Backup(
            {name: dict(table.rows) for name, table in self.tables.items()},
            {name: table.next_key for name, table in self.tables.items()},
            {name: list(rows) for name, rows in self.logs.items()},
            self.kernel.now,
        )

    def restore(self, backup: Backup) -> None:
        """Everything as it was, keys to be given away again, stamps of then."""
        for name, table in self.tables.items():
            table.rows = dict(backup.rows[name])
            table.next_key = backup.next_keys[name]
            table.moved_at = self.second()
        self.logs = {name: list(rows) for name, rows in backup.logs.items()}
        for hear in self.restored:
            hear(backup)

    def marks(self) -> dict[str, int]:
        """Highest keys of the sentinel tables and of the logs."""
        patients = 0 if "patient" in self.hidden else max(self.tables["patient"].rows, default=0)
        return {"patient": patients, **{name: len(rows) for name, rows in self.logs.items()}}
