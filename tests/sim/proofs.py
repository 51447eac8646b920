"""What the journal says of the past, held against what was.

S13: a proven chunk of the mirror is a state the practice really had when the proof began, or later.
S10: nothing counts as missing since before it vanished, whatever befell the clock. Nothing of the
product's own arithmetic is used: each record is held against its history.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.journal.waits import STEP_S
from tests.sim.faults import Kind
from tests.sim.history import History
from tests.sim.kernel import SimClock, Violation
from tests.sim.ports import TABLE_OF

if TYPE_CHECKING:
    from tests.sim.agent import Process

#: what, once it has struck, leaves no history to hold a proof against (rows that change without a
#: deed, other columns)
MOOT = frozenset({Kind.DDL, Kind.PMS_RESTORED, Kind.TABLE_AWAY, Kind.WIPED})

_MISSING = "SELECT stream, key, missing_since FROM record WHERE missing_since IS NOT NULL"
_CHUNKS = "SELECT stream, lo, hi, verified_at FROM chunk WHERE verified_at IS NOT NULL"
#: what vanished and waits for its second look, and what cannot be read, is left out of proofs
_RECORDS = """
SELECT key, CASE WHEN gone_at IS NULL THEN hash ELSE x'' END, missing_since IS NOT NULL
FROM record WHERE stream = ?1
UNION ALL SELECT key, x'', 1 FROM park WHERE stream = ?1 AND class = 'decode'
"""


def check_missing(process: Process, history: History, clock: SimClock) -> None:
    wall = process.journal._wall
    if abs(clock.now().timestamp() - clock.mono() - wall._ahead_s) >= STEP_S:
        return  # the clock was set a moment ago, and the journal has not written since
    tables = _tables(process)
    for number, key, since in process.journal._writer.execute(_MISSING):
        if not history.was_gone(tables[number], key, clock.passed_s(since) + 1.0):
            raise Violation("S10", f"{tables[number]} {key} is missing since before it vanished")


def check_proofs(process: Process, history: History, clock: SimClock) -> None:
    db, tables = process.journal._writer, _tables(process)
    mirror: dict[int, dict[int, bytes | None]] = {}
    for number, lo, hi, verified_at in db.execute(_CHUNKS).fetchall():
        table = tables[number]
        if number not in mirror:
            rows = db.execute(_RECORDS, (number,))
            mirror[number] = {key: None if is_out else held for key, held, is_out in rows}
        began = clock.passed_s(verified_at)
        for key in _within(lo, hi, {*mirror[number], *history.keys(table)}):
            held = mirror[number].get(key, b"")
            if held is not None and not history.had(table, key, held, began):
                raise Violation("S13", f"{table} {key} counts as proven and was otherwise by then")


def _tables(process: Process) -> dict[int, str]:
    streams = process.journal._streams.items()
    return {number: TABLE_OF[stream] for stream, number in streams if stream in TABLE_OF}


def _within(lo: int | None, hi: int | None, keys: set[int]) -> Iterator[int]:
    return (k for k in sorted(keys) if (lo is None or k > lo) and (hi is None or k <= hi))
