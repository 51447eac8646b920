"""Failure periods: noticed by looking at each status, kept in the journal, told as activity.

A side that cannot be reached for longer than a hiccup opens a period, back-dated to when it began.
Its end says how much had waited; the period is closed once all of that has left. A computer that
slept or an agent that did not run shows as a gap between two looks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from agent.journal.journal import Journal
from agent.journal.rows import OutageRow
from agent.model.sheets import OutageLine
from agent.model.status import Snapshot

HICCUP_S = 5.0
GAP_S = 30.0  # a look comes every second
ALIVE_EVERY_S = 60.0
ALIVE = "alive:at"  # a mark: when this agent last looked
STOPPED = "alive:stopped"  # … and that it then ended on purpose
_AGENT = "agent"


class Heard(Protocol):
    """The line on which the CRM is polled (``agent.sync.pull.Pull``)."""

    @property
    def error(self) -> str | None: ...
    @property
    def is_answered(self) -> bool: ...


class OutageBook:
    """Used by the status chore's thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._last: datetime | None = None
        self._said: datetime | None = None
        self._open: dict[str, OutageRow] = {}
        self._unsent: list[OutageRow] = []
        self._most: dict[str, int] = {}  # that waited so far in the outage of a side
        self._first: dict[str, datetime] = {}  # when a side's present trouble was first seen
        self._reload()

    def look(self, snapshot: Snapshot, now: datetime, *, heard: Heard) -> None:
        """Once a second. JournalError."""
        self._gap(now)
        crm_code = snapshot.crm_error or heard.error
        crm_s = snapshot.crm_error_s if snapshot.crm_error else 0.0
        read_at = snapshot.last_read_at
        for side, code, since_s, is_back in (
            ("pms", snapshot.pms_error, snapshot.pms_error_s, read_at is not None),
            ("crm", crm_code, crm_s, heard.is_answered or snapshot.last_write_at is not None),
        ):
            held = self._open.get(side)
            if code is None:
                self._first.pop(side, None)
                if held is not None and is_back:  # only a success ends it
                    self._end(held, snapshot, now)
                continue
            if held is not None:
                self._most[side] = max(self._most.get(side, 0), self._waiting(side, snapshot, now))
            began = min(self._first.setdefault(side, now), now - timedelta(seconds=since_s))
            if held is None and (now - began).total_seconds() >= HICCUP_S:
                with self._journal.turn() as turn:
                    turn.open_outage(side, code, began)
                    turn.note(
                        f"outage.began_{side}", None, 1, {"from": _clock(began), "cause": code}
                    )
                self._reload()
            elif held is not None and held.code != code:
                with self._journal.turn() as turn:
                    turn.outage_cause(held.number, code)
                self._reload()
        self._settle(now)

    def stopping(self, now: datetime) -> None:
        """The agent ends on purpose: the time until its next start is no failure."""
        with self._journal.turn() as turn:
            turn.set_mark(ALIVE, now.isoformat())
            turn.set_mark(STOPPED, "1")

    def _gap(self, now: datetime) -> None:
        last, was_stopped = self._last, False
        if last is None:  # the first look of this run
            marks = self._journal.marks("alive:")
            last = datetime.fromisoformat(marks[ALIVE]) if ALIVE in marks else None
            was_stopped = marks.get(STOPPED) == "1"
            code, longest = "agent.not_running", 2 * ALIVE_EVERY_S
        else:
            code, longest = "pc.asleep", GAP_S
        if last is not None and not was_stopped and (now - last).total_seconds() > longest:
            with self._journal.turn() as turn:
                number = turn.open_outage(_AGENT, code, last)
                turn.end_outage(number, now, 0)
                turn.note(f"outage.ended_{_AGENT}", None, 1, _facts(code, last, now, 0))
        self._last = now
        if self._said is None or (now - self._said).total_seconds() >= ALIVE_EVERY_S:
            self._said = now
            with self._journal.turn() as turn:
                turn.set_mark(ALIVE, now.isoformat())
                turn.set_mark(STOPPED, "0")

    def _end(self, held: OutageRow, snapshot: Snapshot, now: datetime) -> None:
        # The side is back when something got through, so of what waited some has left already.
        waited = max(self._most.pop(held.side, 0), self._waiting(held.side, snapshot, now))
        with self._journal.turn() as turn:
            turn.end_outage(held.number, now, waited)
            if not waited:
                facts = _facts(held.code, held.started_at, now, 0)
                turn.note(f"outage.ended_{held.side}", None, 1, facts)
        self._reload()

    def _waiting(self, side: str, snapshot: Snapshot, now: datetime) -> int:
        return snapshot.pending if side == "crm" else self._journal.numbers(now).commands_waiting

    def _settle(self, now: datetime) -> None:
        for held in self._unsent:
            if held.side == "crm":
                oldest = self._journal.oldest_batch()
                is_sent = oldest is None or oldest > (held.last_batch or 0)
            else:
                is_sent = not self._journal.commands_due(now, 1)
            if is_sent and held.ended_at is not None:
                with self._journal.turn() as turn:
                    turn.outage_sent(held.number)
                    facts = _facts(held.code, held.started_at, held.ended_at, held.waited)
                    turn.note(f"outage.ended_{held.side}", None, 1, facts)
                self._reload()

    def _reload(self) -> None:
        rows = self._journal.outages_open()
        self._open = {row.side: row for row in rows if row.ended_at is None}
        self._unsent = [row for row in rows if row.ended_at is not None]


def _facts(code: str, start: datetime, end: datetime, waited: int) -> dict[str, str | int | float]:
    same_day = start.astimezone().date() == end.astimezone().date()
    until = f"{end.astimezone():%H:%M}" if same_day else _clock(end)
    return {"cause": code, "from": _clock(start), "to": until, "waited": waited}


def _clock(at: datetime) -> str:
    """As the clock on this computer's wall: it stands in the practice."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def outage_line(row: OutageRow) -> OutageLine:
    return OutageLine(
        row.number, row.side, row.code, row.started_at, row.ended_at, row.waited, row.sent_at
    )
