"""S13: a proven chunk of the mirror is a state the practice really had when the proof began, or
later. Nothing of the sweep's own arithmetic is used: each record is held against its history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.sim.history import History
from tests.sim.kernel import SimClock, Violation
from tests.sim.ports import TABLE_OF

if TYPE_CHECKING:
    from tests.sim.agent import Process

_CHUNKS = "SELECT stream, lo, hi, verified_at FROM chunk WHERE verified_at IS NOT NULL"
#: what vanished and waits for its second look is left out of proofs
_RECORDS = """
SELECT key, CASE WHEN gone_at IS NULL THEN hash ELSE x'' END, missing_since FROM record
WHERE stream = ?
"""


def check_proofs(process: Process, history: History, clock: SimClock) -> None:
    db = process.journal._writer
    tables = {
        number: TABLE_OF[stream]
        for stream, number in process.journal._streams.items()
        if stream in TABLE_OF
    }
    mirror: dict[int, dict[int, bytes | None]] = {}
    for number, lo, hi, verified_at in db.execute(_CHUNKS).fetchall():
        table = tables[number]
        if number not in mirror:
            rows = db.execute(_RECORDS, (number,))
            mirror[number] = {key: held if away is None else None for key, held, away in rows}
        began = clock.passed_s(verified_at)
        for key in _within(lo, hi, {*mirror[number], *history.keys(table)}):
            held = mirror[number].get(key, b"")
            if held is not None and not history.had(table, key, held, began):
                raise Violation("S13", f"{table} {key} counts as proven and was otherwise by then")


def _within(lo: int | None, hi: int | None, keys: set[int]) -> Iterator[int]:
    return (k for k in sorted(keys) if (lo is None or k > lo) and (hi is None or k <= hi))
