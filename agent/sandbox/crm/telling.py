"""The activity people read: one line per change when few arrive, one per type when many do.

Imports apsw and this package's pure parts. Lines keep what they need to be told in plain words
later (the fields that were different before); names are looked up when the page asks.
"""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Final

import apsw
import msgspec

from agent.sandbox.crm.extract import APPOINTMENT
from agent.sandbox.crm.wire import Item, Op

_ONE_BY_ONE: Final = 25
_KEPT: Final = 20_000
_TOLD_FIELDS: Final = ("start", "status", "confirmation", "operatory_key", "arrived", "seated")


class Telling:
    """Collects the effects of a batch and writes their lines with it."""

    def __init__(self, store: apsw.Connection) -> None:
        self._db = store
        self._notes: list[tuple[int, Item, bool]] = []
        self._was: dict[int, str] = {}

    def note(self, rid: int, item: Item, *, is_new: bool) -> None:
        self._notes.append((rid, item, is_new))

    def forget(self) -> None:
        self._notes.clear()
        self._was.clear()

    def before(self, _at_us: int, _batch_id: str) -> None:
        """Called before the batch is written: the last moment to see what was there."""
        if len(self._notes) > _ONE_BY_ONE:
            return
        for rid, item, is_new in self._notes:
            if not is_new:
                self._was[rid] = self._before(rid, item)

    def after(self, at_us: int, batch_id: str) -> None:
        """Write the lines and forget the batch."""
        made_us = made_at(batch_id)
        if 0 < len(self._notes) <= _ONE_BY_ONE:
            rows: list[tuple[object, ...]] = [
                (at_us, made_us, item.type_id, int(item.op), rid, 1, int(is_new),
                 self._was.get(rid))
                for rid, item, is_new in self._notes
            ]  # fmt: skip
        else:
            grouped = Counter(
                (item.type_id, int(item.op), int(new)) for _, item, new in self._notes
            )
            rows = [
                (at_us, made_us, type_id, op, None, count, is_new, None)
                for (type_id, op, is_new), count in grouped.items()
            ]
        if rows:
            self._db.executemany(
                "INSERT INTO activity(at_us, made_us, type, op, rid, count, is_new, was)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._db.execute(
                "DELETE FROM activity WHERE id <= (SELECT max(id) FROM activity) - ?", (_KEPT,)
            )
        self.forget()

    def _before(self, rid: int, item: Item) -> str:
        """JSON: the names of the fields that differ, and the old values of those worth telling."""
        row = self._db.execute("SELECT json FROM body WHERE rid = ?", (rid,)).fetchone()
        old = msgspec.json.decode(str(row[0])) if row is not None else {}
        if item.op is not Op.UPSERT:
            name = " ".join(str(old[n]) for n in ("first_name", "last_name") if old.get(n))
            start = {"start": old["start"]} if old.get("start") else {}
            gone = {"patient_key": old.get("patient_key"), "name": name, "was": start}
            return msgspec.json.encode(gone).decode()
        new = msgspec.json.decode(item.data)
        fields = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        told = {}
        if item.type_id == APPOINTMENT:
            told = {k: old.get(k) for k in _TOLD_FIELDS if k in fields}
        return msgspec.json.encode({"fields": fields[:40], "was": told}).decode()


def made_at(batch_id: str) -> int | None:
    """Microseconds since 1970 when the agent made the batch, if its id is a UUID version 7."""
    try:
        made = uuid.UUID(batch_id)
    except ValueError:
        return None
    return (made.int >> 80) * 1000 if made.version == 7 else None
