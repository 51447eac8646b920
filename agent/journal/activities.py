"""The activity as the window lists it: folded while it is written, filtered and paged when read.

Records that were sent are one line a stream and minute: bursts read as one, and a day of a busy
practice stays a few ten thousand lines. Lines carry counts and the practice's own numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from agent.journal.reader import Reader
from agent.journal.values import Row, fetch, from_micros, to_micros
from agent.journal.writer import Writer
from agent.model.activity import (
    LOADED,
    SENT,
    ActivityLine,
    ActivityPage,
    ListActivity,
    Outcome,
    Pulse,
    PulseBucket,
    kind_of,
)
from agent.model.reading import Key
from agent.model.streams import Stream

ACTIVITY_KEPT = 100_000
BUCKET = timedelta(minutes=5)
DAY = timedelta(hours=24)
_KEYS_KEPT = 40  # numbers of records a line remembers; a burst of more is a burst
_FOLD_LOOKS_BACK = 64  # lines: streams of one minute interleave

_Facts = dict[str, str | int | float]
_LINE = "SELECT number, at, code, stream, count, facts FROM activity WHERE "


class Activities(Writer):
    """The part of a turn that says what was done."""

    def tally(
        self,
        stream: Stream,
        keys: Sequence[Key],
        took_ms: float | None,
        *,
        first_load: bool = False,
    ) -> None:
        """The CRM took these records. Joins the line of the same stream and minute.

        ``took_ms``: from noticing the change; None where nobody's change was noticed as it was
        made (a first load, a find of the sweep).
        """
        code = LOADED if first_load else SENT
        minute = self._at - self._at % 60_000_000
        number = self._streams[stream]
        rows = fetch(
            self._db,
            "SELECT number, facts FROM activity"
            " WHERE number > (SELECT max(number) FROM activity) - ? AND at >= ? AND code = ?"
            " AND stream = ? ORDER BY number DESC LIMIT 1",
            (_FOLD_LOOKS_BACK, minute, code, number),
        )
        held: _Facts = msgspec.json.decode(rows[0][1]) if rows else {}
        facts = msgspec.json.encode(_folded(held, keys, took_ms)).decode()
        if rows:
            self._db.execute(
                "UPDATE activity SET count = count + ?, facts = ? WHERE number = ?",
                (len(keys), facts, rows[0][0]),
            )
        else:
            self._db.execute(
                "INSERT INTO activity(at, code, stream, count, facts) VALUES (?,?,?,?,?)",
                (self._at, code, number, len(keys), facts),
            )


def _folded(held: _Facts, keys: Sequence[Key], took_ms: float | None) -> _Facts:
    """``ms``: sum over ``timed`` batches, ``most_ms`` the slowest of them."""
    known = str(held.get("keys", "")).split()
    kept = dict.fromkeys((*known, *map(str, keys[:_KEYS_KEPT])))
    facts: _Facts = {**held, "keys": f" {' '.join(list(kept)[:_KEYS_KEPT])} "}
    if took_ms is not None:
        facts["ms"] = round(float(held.get("ms", 0.0)) + took_ms, 1)
        facts["timed"] = int(held.get("timed", 0)) + 1
        facts["most_ms"] = round(max(float(held.get("most_ms", 0.0)), took_ms), 1)
    return facts


class ActivityReads(Reader):
    """The reading face of the activity."""

    def activity_page(self, wish: ListActivity) -> ActivityPage:
        """Newest first; see ``ListActivity``."""
        with self._snapshot() as db:
            newest = fetch(db, "SELECT coalesce(max(number), 0) FROM activity")[0][0]
            codes = [row[0] for row in fetch(db, "SELECT DISTINCT code FROM activity")]
            where, bound = self._where(wish, codes, newest)
            total = fetch(db, f"SELECT count(*) FROM activity WHERE {where}", bound)[0][0]
            rows = fetch(
                db,
                f"{_LINE}{where} ORDER BY number DESC LIMIT ? OFFSET ?",
                (*bound, wish.limit, wish.offset),
            )
        return ActivityPage(tuple(self._line(row) for row in rows), total, newest)

    def last_activity(self) -> tuple[int, int]:
        """Number and count of the newest line: when either changes there is something to tell."""
        rows = self._rows("SELECT number, count FROM activity ORDER BY number DESC LIMIT 1")
        return (rows[0][0], rows[0][1]) if rows else (0, 0)

    def pulse(self, now: datetime) -> Pulse:
        """The 24 hours before ``now``; see ``agent.model.activity.Pulse``."""
        width = int(BUCKET / timedelta(microseconds=1))
        first = to_micros(now - DAY) // width + 1
        rows = self._rows(
            "SELECT at / ?1, code, sum(count), sum(json_extract(facts, '$.ms')),"
            " sum(json_extract(facts, '$.timed')), max(json_extract(facts, '$.most_ms'))"
            " FROM activity WHERE at >= ?2 GROUP BY 1, 2",
            (width, first * width),
        )
        found: dict[int, list[Row]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(row[1:])
        last = to_micros(now) // width
        buckets = [
            _bucket(from_micros(n * width), found.get(n, [])) for n in range(first, last + 1)
        ]
        sent = self._rows(
            "SELECT stream, max(at) FROM activity WHERE code IN (?, ?) GROUP BY stream",
            (SENT, LOADED),
        )
        names = self._names
        return Pulse(tuple(buckets), {names[stream]: from_micros(at) for stream, at in sent})

    def _where(self, wish: ListActivity, codes: list[str], newest: int) -> tuple[str, Row]:
        upto = newest if wish.upto is None else wish.upto
        parts = ["number <= ?", "number > ?"]
        bound: list[int | str] = [upto, wish.above]
        fitting = [code for code in codes if _fits(wish, code)]
        if len(fitting) < len(codes):
            parts.append(f"code IN ({','.join('?' * len(fitting))})")
            bound += fitting
        if wish.streams:
            parts.append(f"stream IN ({','.join('?' * len(wish.streams))})")
            bound += [self._streams[stream] for stream in wish.streams]
        if wish.key:
            parts.append("instr(json_extract(facts, '$.keys'), ?)")
            bound.append(f" {wish.key} ")
        for sign, moment in ((">=", wish.since), ("<", wish.until)):
            if moment is not None:
                parts.append(f"at {sign} ?")
                bound.append(to_micros(moment))
        return " AND ".join(parts), tuple(bound)

    def _line(self, row: Row) -> ActivityLine:
        number, at, code, stream, count, facts = row
        return ActivityLine(
            number=number,
            at=from_micros(at),
            code=code,
            stream=None if stream is None else self._names[stream],
            count=count,
            facts=msgspec.json.decode(facts, type=_Facts),
        )


def _fits(wish: ListActivity, code: str) -> bool:
    direction, outcome = kind_of(code)
    return (
        (not wish.directions or direction in wish.directions)
        and (not wish.outcomes or outcome in wish.outcomes)
        and (wish.codes is None or code in wish.codes)
    )


def _bucket(at: datetime, rows: list[Row]) -> PulseBucket:
    sent = received = refused = 0
    usual: float | None = None
    slowest: float | None = None
    for code, count, ms, timed, most_ms in rows:
        _, outcome = kind_of(code)
        if code in {SENT, LOADED}:
            sent += count
            usual, slowest = (ms / timed, most_ms) if timed else (usual, slowest)
        elif outcome is Outcome.REFUSED:
            refused += count
        elif code.startswith("command."):
            received += count
    return PulseBucket(at, sent, received, refused, usual, slowest)
