"""What deeds need in a vendor's layout: the connection, the office's clock, keys to pick from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from agent.model.streams import Stream
from agent.sandbox.practice.front import Outcome, Touch
from agent.sandbox.practice.vendors.db import Value, VendorDb

FIRST_MINUTE, LAST_MINUTE = 8 * 60, 17 * 60


class VendorFront:
    """One desk at work; keys of new rows count on from the highest."""

    def __init__(self, db: VendorDb, rng: Random, zone: str) -> None:
        self.db, self.rng = db, rng
        self._zone = ZoneInfo(zone)
        self._next: dict[str, int] = {}

    def some_visit(self) -> dict[str, Any] | None:
        """A visit still to come, on the schedule."""
        raise NotImplementedError

    def now(self) -> datetime:
        """The office's wall clock: naive local time."""
        return datetime.now(UTC).astimezone(self._zone).replace(tzinfo=None)

    def today(self) -> date:
        return self.now().date()

    def stamp(self) -> str:
        return self.now().isoformat(" ", "milliseconds")

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.random() * len(items))]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def key(self, table: str, column: str, floor: int = 0, ceiling: int = 2**31 - 1) -> int:
        """The next key of a table; ``ceiling``: keys from there on are another kind of row's."""
        if table not in self._next:
            found = self.db.rows(
                f"SELECT MAX({column}) FROM {{o}}{table} WHERE {column} < {ceiling}"
            )
            self._next[table] = max(int(found[0][0] or 0), floor)
        self._next[table] += 1
        return self._next[table]

    def some(self, sql: str, *params: Value) -> Any | None:
        """The first column of any row found; None where there is none."""
        found = self.db.rows(sql, *params)
        return self.pick(found)[0] if found else None

    def insert(self, table: str, row: dict[str, Value]) -> None:
        names, marks = ",".join(row), ",".join("?" * len(row))
        self.db.run(f"INSERT INTO {{o}}{table} ({names}) VALUES ({marks})", *row.values())

    def update(self, table: str, column: str, key: Value, changes: dict[str, Value]) -> int:
        sets = ",".join(f"{name}=?" for name in changes)
        return self.db.run(
            f"UPDATE {{o}}{table} SET {sets} WHERE {column}=?", *changes.values(), key
        )

    def delete(self, table: str, column: str, key: Value) -> int:
        return self.db.run(f"DELETE FROM {{o}}{table} WHERE {column}=?", key)

    def days_ahead(self) -> date:
        """A working day: mostly soon, sometimes in the coming weeks."""
        near = self.chance(0.6)
        day = self.today() + timedelta(days=int(self.rng.random() * (4 if near else 40)))
        return day if day.weekday() < 5 else day + timedelta(days=7 - day.weekday())

    def start_beside(self, taken: Sequence[tuple[int, int]], minutes: int) -> int | None:
        """A start (minute of the day) that overlaps none of ``taken`` (start, end)."""
        starts = [
            minute
            for minute in range(FIRST_MINUTE, LAST_MINUTE - minutes, 10)
            if all(minute + minutes <= start or minute >= end for start, end in taken)
        ]
        return int(self.pick(starts)) if starts else None


Desk = TypeVar("Desk", bound=VendorFront)


def on_a_visit(
    deed: Callable[[Desk, dict[str, Any]], Outcome | None],
) -> Callable[[Desk], Outcome | None]:
    """A deed on a visit still to come; nothing is done where there is none."""

    @functools.wraps(deed)
    def done_on_one(front: Desk) -> Outcome | None:
        visit = front.some_visit()
        return None if visit is None else deed(front, visit)

    return done_on_one


def done(
    stream: Stream,
    table: str,
    key: Any,
    *also: Touch,
    gone: bool = False,
    traceless: bool = False,
    values: Mapping[str, Value] | None = None,
) -> Outcome:
    """``traceless``: nothing the vendor keeps tells of it, only comparing does."""
    said = {name: str(value) for name, value in (values or {}).items()}
    return Outcome(Touch(stream, int(key), table, gone), also, said, traceless)
