"""The desk's answers about whole records: parked ones, names for lists, conflicts side by side.

A part of ``agent.runtime.desk``, which checks nothing twice: roles are the channel's to check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.control.server import Caller
from agent.journal.pulled import ConflictState
from agent.journal.turn import Turn
from agent.model import records as ask
from agent.model.asking import MOST, Settled, Settlement
from agent.model.streams import Stream
from agent.runtime import desk_views as views
from agent.runtime.desk_rooms import Answers, DeskError, Rooms, found, needed

MOST_VIEWS = 100


class RecordsDesk:
    """Thread-safe as far as its rooms are."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._journal = rooms.journal
        self.answers: Answers = {
            ask.ShowRecord: self._show_record,
            ask.ShowConflicts: self._show_conflicts,
            ask.NameThem: self._name_them,
            ask.ListParked: self._list_parked,
            ask.RetryParked: self._retry,
            ask.IgnoreParked: self._ignore,
            ask.HeedParked: self._heed,
        }

    def _show_record(self, wish: ask.ShowRecord, _: Caller) -> ask.RecordView:
        stream, key = wish.place.stream, wish.place.key
        rows = [
            row
            for row in self._journal.conflicts_on(stream, key)
            if row.state is ConflictState.OPEN
        ]
        found(rows or None, "conflict", str(key))
        differing = {row.field.partition(".")[0] for row in rows}
        held = views.fields_held(self._journal, stream, key)
        matching = {
            name: value
            for name, value in held.items()
            if name not in differing and name != "key" and value not in (None, "", [], {})
        }
        shown = tuple(views.conflict_view(self._journal, row) for row in rows)
        return ask.RecordView(wish.place, views.who(self._journal, stream, key), shown, matching)

    def _show_conflicts(self, wish: ask.ShowConflicts, _: Caller) -> ask.Views:
        if len(wish.numbers) > MOST_VIEWS:
            raise DeskError("desk.bad_value", name="numbers", allowed=f"at most {MOST_VIEWS}")
        rows = [self._journal.conflict(number) for number in wish.numbers]
        return ask.Views(
            tuple(views.conflict_view(self._journal, row) for row in rows if row is not None)
        )

    def _name_them(self, wish: ask.NameThem, _: Caller) -> ask.Named:
        journal, how = self._journal, self._rooms.names
        if len(wish.records) + len(wish.contacts) + len(wish.tasks) > MOST:
            raise DeskError("desk.bad_value", name="records", allowed=f"at most {MOST} of them")
        if how == "none":
            return ask.Named(
                ("",) * len(wish.records), ("",) * len(wish.contacts), ("",) * len(wish.tasks)
            )
        records = tuple(
            views.named(views.person_behind(journal, place.stream, place.key), how)
            for place in wish.records
        )
        contacts = []
        for cloud_id in wish.contacts:
            row = journal.contact(cloud_id)
            contacts.append("" if row is None else views.named(views.contact_person(row), how))
        tasks = []
        for number in wish.tasks:
            task = journal.task(number)
            told: Mapping[str, Any] = {} if task is None else task.effect.fields
            person = (
                {}
                if task is None
                else views.person_behind(journal, task.effect.stream, task.effect.key, told)
            )
            tasks.append(views.named(person, how))
        return ask.Named(records, tuple(contacts), tuple(tasks))

    # -- parked -----------------------------------------------------------------------------------

    def _list_parked(self, wish: ask.ListParked, _: Caller) -> ask.ParkedPage:
        limit = max(1, min(wish.limit, MOST))
        rows = self._journal.parked(limit + 1, ignored=wish.ignored)
        lines = tuple(
            ask.ParkedLine(
                ask.Place(row.stream, row.key), row.reason, row.tries, row.since, row.due_at,
                wish.ignored,
            )
            for row in rows[:limit]
        )  # fmt: skip
        return ask.ParkedPage(lines, len(rows) > limit, self._journal.parked_ignored())

    def _retry(self, wish: ask.RetryParked, caller: Caller) -> Settlement:
        def retry(turn: Turn, stream: Stream, keys: Sequence[Any]) -> set[Any]:
            return turn.retry_parked(stream, keys)

        return self._move(wish.places, retry, caller, "desk.park_retried")

    def _ignore(self, wish: ask.IgnoreParked, caller: Caller) -> Settlement:
        def ignore(turn: Turn, stream: Stream, keys: Sequence[Any]) -> set[Any]:
            return turn.ignore_parked(stream, keys)

        return self._move(wish.places, ignore, caller, "desk.park_ignored", wish.note[:200])

    def _heed(self, wish: ask.HeedParked, caller: Caller) -> Settlement:
        def heed(turn: Turn, stream: Stream, keys: Sequence[Any]) -> set[Any]:
            return turn.heed_parked(stream, keys)

        return self._move(wish.places, heed, caller, "desk.park_heeded")

    def _move(
        self,
        places: Sequence[ask.Place],
        act: Callable[[Turn, Stream, Sequence[Any]], set[Any]],
        caller: Caller,
        audited: str,
        note: str = "",
    ) -> Settlement:
        """One turn for all; a place that is not (any more) what it must be is told as such."""
        if not 1 <= len(places) <= MOST:
            raise DeskError("desk.bad_value", name="places", allowed=f"1 to {MOST} of them")
        by_stream: dict[Stream, list[Any]] = {}
        for place in dict.fromkeys(places):
            by_stream.setdefault(place.stream, []).append(place.key)
        moved: dict[Stream, set[Any]] = {}
        with needed(self._rooms.turn)() as turn:
            for stream, keys in by_stream.items():
                moved[stream] = act(turn, stream, keys)
                for key in sorted(moved[stream], key=str):
                    facts = {"actor": caller.name, "stream": stream.value, "key": str(key)}
                    turn.audit(audited, {**facts, "note": note} if note else facts)
        return Settlement(
            tuple(
                Settled(
                    f"{place.stream.value} {place.key}",
                    "" if place.key in moved[place.stream] else "desk.not_open",
                )
                for place in dict.fromkeys(places)
            )
        )
