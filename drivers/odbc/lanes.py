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

from agent.errors import PmsDrift
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
    at = earliest_wall(since, zone).replace(microsecond=0)
    if after is not None:
        at = wall_of(datetime.fromtimestamp(after[0], UTC), zone)
        found += walk.second(at, after[1])
        at += timedelta(seconds=1)  # reached only when that second was read to its end
    while len(found) < limit:
        records, at, done = walk.onwards(at)
        found += records
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

    def onwards(self, at: datetime) -> tuple[list[Stamped], datetime, bool]:
        """Whole seconds from ``at``: the records, where to go on, whether that was all."""
        where = Where().also(f"{self._stamp}>=?", moment(at))
        hits = self._hits(where, (self._lane.stamp, self._lane.row), self._limit, at)
        if len(hits) < self._limit:
            return named(hits), at, True
        last = hits[-1][0]
        whole = [hit for hit in hits if hit[0] < last]
        second = wall_of(datetime.fromtimestamp(last, UTC), self._zone)
        if not whole:
            return self.second(second, None), second + timedelta(seconds=1), False
        return named(whole), second, False

    def second(self, at: datetime, above: int | None) -> list[Stamped]:
        """Records stamped within this second, above a row: all, or at least ``limit``."""
        found: list[Stamped] = []
        end = at + timedelta(seconds=1)
        while True:
            where = (
                Where().also(f"{self._stamp}>=?", moment(at)).also(f"{self._stamp}<?", moment(end))
            )
            if above is not None:
                where = where.also(f"{self._row}>?", above)
            hits = self._hits(where, (self._lane.row,), self._limit, at)
            if len(hits) < self._limit:
                return found + named(hits)
            last = hits[-1][1]
            whole = [hit for hit in hits if hit[1] < last]
            if not whole:  # one row that names more keys than a page holds
                only = where.also(f"{self._row}=?", last)
                whole = self._hits(only, (self._lane.row,), 0, at)
            found += named(whole)
            above = whole[-1][1]
            if len(found) >= self._limit:
                return found

    def _hits(self, where: Where, order: Sequence[str], limit: int, floor: datetime) -> list[Hit]:
        """Rows stamped at or after ``floor``."""
        sql, params = self._plan.lane(self._lane, where, order, limit)
        fold = self._plan.contract.fold_keys
        found = []
        for stamp, row, link in self._session.rows(sql, params=params):
            wall = datetime.fromisoformat(str(stamp)).replace(tzinfo=self._zone)
            found.append((int(wall.timestamp()), int(row), code_of_one(link, fold=fold)))
        found.sort(key=lambda hit: (hit[0], hit[1]))
        if found and found[0][0] < int(floor.replace(tzinfo=self._zone).timestamp()):
            # A server that compares times with a zone to times without answers anything.
            raise PmsDrift("pms.stamps_unordered", table=self._lane.table)
        return found


def named(hits: Sequence[Hit]) -> list[Stamped]:
    """Hits that name a record."""
    return [Stamped(key, stamp, row) for stamp, row, key in hits if key]


def wall_of(at: datetime, zone: ZoneInfo) -> datetime:
    """Local wall time of an instant."""
    return at.astimezone(zone).replace(tzinfo=None)


def earliest_wall(at: datetime, zone: ZoneInfo) -> datetime:
    """As early as any stamp set at or after ``at`` can read: where the clocks go back within the
    hour that follows, they show that hour twice."""
    then, soon = at.astimezone(zone), (at + timedelta(hours=1)).astimezone(zone)
    back = max((then.utcoffset() or timedelta()) - (soon.utcoffset() or timedelta()), timedelta())
    return then.replace(tzinfo=None) - back
