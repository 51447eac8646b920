"""Timestamp lanes over local wall time: who was stamped since a moment, in whole seconds UTC.

Both vendors stamp in the server's local time, with fractions a driver may cut, without a zone. A
lane is ordered by (second, row) for the engine; the server orders by (stamp, row). So a page that
is full gives its last second back, unless it holds nothing else: then that second is read by row.
NULL stamps (converted rows) are in no lane: the sweep proves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.model.reading import Stamped
from drivers.layout import Lane
from drivers.odbc.keys import code_of_one
from drivers.odbc.session import OdbcSession
from drivers.odbc.statements import StreamPlan, Where, moment

Hit = tuple[int, int, int | None]  # second, row, key


def stamped_since(
    session: OdbcSession,
    plan: StreamPlan,
    lane: Lane,
    zone: ZoneInfo,
    since: datetime,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Stamped]:
    """As ``PmsReader.keys_since``."""
    walk = _Walk(session, plan, lane, zone, limit)
    found: list[Stamped] = []
    at = earliest_wall(since, zone, datetime.now(UTC)).replace(microsecond=0)
    if after is not None:
        at = wall_of(datetime.fromtimestamp(after[0], UTC), zone)
        hits = walk.second(at, after[1])
        found += walk.named(hits)
        if len(found) >= limit:
            return found
        at += timedelta(seconds=1)
    while len(found) < limit:
        hits, at, done = walk.onwards(at)
        found += walk.named(hits)
        if done:
            break
    return found


class _Walk:
    def __init__(
        self, session: OdbcSession, plan: StreamPlan, lane: Lane, zone: ZoneInfo, limit: int
    ) -> None:
        self._session = session
        self._plan = plan
        self._lane = lane
        self._zone = zone
        self._limit = limit
        table = plan.tables[lane.table]
        self._stamp = f"l.{table.columns[lane.stamp].real}"
        self._row = f"l.{table.columns[lane.row].real}"

    def onwards(self, at: datetime) -> tuple[list[Hit], datetime, bool]:
        """Whole seconds from ``at``: the hits, where to go on, whether that was all."""
        where = Where().also(f"{self._stamp}>=?", moment(at))
        hits = self._hits(where, (self._lane.stamp, self._lane.row), self._limit)
        if len(hits) < self._limit:
            return hits, at, True
        last = hits[-1][0]
        whole = [hit for hit in hits if hit[0] < last]
        second = wall_of(datetime.fromtimestamp(last, UTC), self._zone)
        if not whole:
            whole = self.second(second, None)
            second += timedelta(seconds=1)
        return whole, second, False

    def second(self, at: datetime, above: int | None) -> list[Hit]:
        """Rows stamped within this second, above a row; all of them."""
        found: list[Hit] = []
        end = at + timedelta(seconds=1)
        while True:
            where = (
                Where().also(f"{self._stamp}>=?", moment(at)).also(f"{self._stamp}<?", moment(end))
            )
            if above is not None:
                where = where.also(f"{self._row}>?", above)
            hits = self._hits(where, (self._lane.row,), self._limit)
            if len(hits) < self._limit:
                return found + hits
            last = hits[-1][1]
            whole = [hit for hit in hits if hit[1] < last]
            if not whole:  # one row that names more keys than a page holds
                only = where.also(f"{self._row}=?", last)
                whole = self._hits(only, (self._lane.row,), 0)
            found += whole
            above = whole[-1][1]
            if len(found) >= self._limit:
                return found

    def named(self, hits: Sequence[Hit]) -> list[Stamped]:
        """Hits that name a record."""
        return [Stamped(key, stamp, row) for stamp, row, key in hits if key]

    def _hits(self, where: Where, order: Sequence[str], limit: int) -> list[Hit]:
        sql, params = self._plan.lane(self._lane, where, order, limit)
        fold = self._plan.contract.fold_keys
        found = []
        for stamp, row, link in self._session.rows(sql, params=params):
            wall = datetime.fromisoformat(str(stamp)).replace(tzinfo=self._zone)
            found.append((int(wall.timestamp()), int(row), code_of_one(link, fold=fold)))
        found.sort(key=lambda hit: (hit[0], hit[1]))
        return found


def wall_of(at: datetime, zone: ZoneInfo) -> datetime:
    """Local wall time of an instant."""
    return at.astimezone(zone).replace(tzinfo=None)


def earliest_wall(at: datetime, zone: ZoneInfo, now: datetime) -> datetime:
    """As early as any stamp set between ``at`` and ``now`` can read: when the clocks were put back
    in between, an hour before what they showed then."""
    then, today = at.astimezone(zone).utcoffset(), now.astimezone(zone).utcoffset()
    back = max((then or timedelta()) - (today or timedelta()), timedelta())
    return wall_of(at, zone) - (back if now > at else timedelta())
