"""What the practice said and when: every visible state of every record, in canonical form.

Canonical forms come from the product's own map (normalising is tested elsewhere); order, time and
how a change could be noticed are recorded here, so that a push can be held against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

from agent.model.reading import Page, SourceFacts, StreamFacts, TableFacts
from agent.model.streams import Stream
from agent.model.writing import Change, Verb
from agent.sync.streammap import StreamMap
from tests.sim.agent import site_map
from tests.sim.kernel import Violation
from tests.sim.pms import SCHEMA, ZONE, Row
from tests.sim.ports import STREAM_OF, TABLE_OF

HINTED_S = 15.0  # a logged or freshly stamped change reaches the CRM within (nothing being wrong)
LATE_S = 95.0  # one that became visible late, or that only the key sets show
GONE_S = 0.8  # share of the second look's delay before a deletion nobody logged may leave


@cache
def maps() -> dict[Stream, StreamMap]:
    tables = {name: TableFacts(dict(columns)) for name, columns in SCHEMA.items()}
    streams = {
        stream: StreamFacts(table, next(iter(SCHEMA[table])), 0, (table,), (), False, "hot")
        for stream, table in TABLE_OF.items()
    }
    facts = SourceFacts("opendental", "21.1", "", "", ZONE, tables, streams)
    return site_map().compile(facts, zone=ZONE).streams


@cache
def columns_of(table: str) -> tuple[str, ...]:
    return tuple(column.name for column in maps()[STREAM_OF[table]].columns)


def canonical(table: str, key: int, row: Row) -> bytes:
    return _canonical(table, key, tuple(map(row.values.get, columns_of(table))))


@lru_cache(maxsize=4096)
def _canonical(table: str, key: int, values: tuple[str | None, ...]) -> bytes:
    observed, _ = maps()[STREAM_OF[table]].observe(Page([(key, 0, 0, *values)]))
    return observed[0].hash if observed else b"?"


@dataclass(slots=True)
class State:
    """One visible state of a record. ``hash`` b"": it is not there."""

    hash: bytes
    at: float


class History:
    """``is_plain``: false once something (a backup, other columns) has made the order moot."""

    def __init__(self, confirm_delete_s: float) -> None:
        self.is_plain = True
        self._states: dict[tuple[str, int], list[State]] = {}
        self._by_table: dict[str, dict[int, None]] = {}
        self._landed: dict[tuple[str, int], int] = {}
        self._logged: set[tuple[str, int]] = set()
        self._confirm_s = confirm_delete_s
        self.due: dict[tuple[str, int], tuple[float, float, int]] = {}  # since, until, which state

    def seen(self, table: str, key: int, row: Row | None, now: float) -> None:
        place = (table, key)
        made = b"" if row is None else canonical(table, key, row)
        states = self._states.setdefault(place, [])
        self._by_table.setdefault(table, {})[key] = None
        if not states or states[-1].hash != made:
            landed = self._landed.get(place)
            there = None if landed is None else states[landed].hash
            if there in (made, states[-1].hash if states else b"") or not made:
                # Taken back before anybody looked, now or a while ago; or gone, and what can be
                # noticed of that is asked for next.
                self.due.pop(place, None)
            states.append(State(made, now))

    def keys(self, table: str) -> list[int]:
        """Of all records there ever were."""
        return list(self._by_table.get(table, {}))

    def had(self, table: str, key: int, hash_: bytes, since: float) -> bool:
        """Whether a record read so at that time or at any later one."""
        states = self._states.get((table, key), [State(b"", 0.0)])
        later = [state for state in states if state.at > since]
        before = states[: len(states) - len(later)][-1:] or [State(b"", 0.0)]
        return any(state.hash == hash_ for state in (*before, *later))

    def was_gone(self, table: str, key: int, by: float) -> bool:
        """Whether a record had vanished, once at least, by that time."""
        return any(not state.hash and state.at <= by for state in self._states[table, key])

    def logged_gone(self, table: str, key: int) -> None:
        self._logged.add((table, key))

    def expect(self, table: str, key: int, now: float, within: float) -> None:
        """The record's present state, or a later one, is to be there by then."""
        since, until, _ = self.due.get((table, key), (now, now + within, 0))
        latest = len(self._states[table, key]) - 1
        self.due[table, key] = (since, max(until, now + within), latest)

    def landed(self, change: Change, now: float) -> None:
        """Raises Violation when the CRM is told what the practice did not say, or old news after
        newer."""
        table = TABLE_OF[change.stream]
        place = (table, int(change.key))
        states = self._states.get(place)
        if not self.is_plain or states is None:
            self.due.pop(place, None)
            return
        told = b"" if change.verb is Verb.DELETE else change.content_hash
        floor = self._landed.get(place, 0)
        # The earliest state it can be, after what landed before: states may come back.
        found = next((n for n in range(floor, len(states)) if states[n].hash == told), None)
        if found is None:
            was_said = any(state.hash == told for state in states)
            rule, what = ("E2", "old news after newer") if was_said else ("S5", "never said so")
            raise Violation(rule, f"{table} {place[1]}: {what}")
        self._landed[place] = found
        if states[-1].hash == told or (place in self.due and found >= self.due[place][2]):
            self.due.pop(place, None)
        if told == b"":
            self._check_deletion(place, states, found, now)

    def _check_deletion(
        self, place: tuple[str, int], states: list[State], found: int, now: float
    ) -> None:
        if place in self._logged:
            return
        if now - states[found].at < self._confirm_s * GONE_S:
            raise Violation("S10", f"{place[0]} {place[1]} was buried without a second look")

    def overdue(self, now: float) -> str | None:
        for place, (_, until, _) in list(self.due.items()):
            if now <= until:
                continue
            states, landed = self._states[place], self._landed.get(place)
            there = b"" if landed is None else states[landed].hash
            if states[-1].hash != there:
                return f"{place[0]} {place[1]}"
            del self.due[place]  # taken back before anybody looked
        return None
