"""Places on the schedule, judged on a fresh read: before writing, and once more after.

Reads through ``Looks``; the rules are ``slots``'s. Rooms and providers change rarely and are kept
for a minute; appointments and blocks are read each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from agent.journal.pulled import EffectRow
from agent.model.commands import Reason, Slot
from agent.model.entities import Appointment, Operatory, Patient, Provider, ScheduleBlock
from agent.model.entities.words import BlockKind
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync import slots
from agent.sync.effects import takes_place
from agent.sync.looks import Looks
from agent.sync.plans import PlaceWish, Refuse

ROOMS_KEPT_S = 60.0
HOURS_KEPT_S = 600.0
RENEWED_AT = 0.8  # of their life, when there is nothing else to do
HOURS_LOOK_DAYS = 14
OFFER_DAYS = 7  # how far from the wished day others are offered
MOST_OFFERS = 5


class Places:
    """Used by the apply lane's thread only."""

    def __init__(self, clock: Clock, zone: Callable[[], str]) -> None:
        self._clock = clock
        self._zone = zone
        self._rooms: tuple[float, dict[str, Operatory], dict[str, Provider]] | None = None
        self._hours: tuple[float, bool] | None = None

    def prepare(self, looks: Looks) -> None:
        """Renew what is kept before it runs out, so that no booking has to wait for it."""
        now = self._clock.mono()
        if self._rooms is None or now - self._rooms[0] >= ROOMS_KEPT_S * RENEWED_AT:
            self._rooms = None
            self._rooms_now(looks)
        if self._hours is None or now - self._hours[0] >= HOURS_KEPT_S * RENEWED_AT:
            self._hours = None
            self._keeps_hours(looks)

    def check(self, wish: PlaceWish, looks: Looks, pending: Sequence[EffectRow]) -> slots.Verdict:
        """Free, as of a read just now: who it is with. Raises Refuse with other places to offer.

        ``pending``: writes that may yet turn up on the schedule; their places count as taken.
        """
        request = _request(wish)
        facts = self._facts(wish, looks, self._days(wish, looks), pending)
        verdict = slots.judge(request, facts)
        if verdict.reason is None:
            return verdict
        raise Refuse(
            verdict.reason,
            verdict.code,
            key=wish.own,
            alternatives=self._offers(wish, verdict.reason, looks, pending),
        )

    def offers(
        self, wish: PlaceWish, looks: Looks, pending: Sequence[EffectRow]
    ) -> tuple[Slot, ...]:
        return self._offers(wish, Reason.SLOT_TAKEN, looks, pending)

    def lost(self, key: Key, fields: Mapping[str, Any], looks: Looks) -> bool:
        """After the read-back: whether another appointment holds the place as well."""
        mine = _visit(fields)
        if mine.start is None:
            return False
        day = looks.local_date(datetime.fromisoformat(mine.start))
        others = [_visit(f) for k, f in looks.day(day).items() if k != key]
        return slots.lost_race(mine, others) is not None

    # -- facts ------------------------------------------------------------------------------------

    def _offers(
        self, wish: PlaceWish, reason: Reason, looks: Looks, pending: Sequence[EffectRow]
    ) -> tuple[Slot, ...]:
        if reason not in (Reason.SLOT_TAKEN, Reason.OUTSIDE_HOURS, Reason.OPERATORY_INVALID):
            return ()
        first = looks.local_date(wish.start)
        days = [first + timedelta(days=n) for n in range(OFFER_DAYS)]
        facts = self._facts(wish, looks, days, pending)
        return slots.alternatives(_request(wish), facts, MOST_OFFERS)

    def _days(self, wish: PlaceWish, looks: Looks) -> list[date]:
        first = looks.local_date(wish.start)
        last = looks.local_date(wish.start + timedelta(minutes=wish.minutes))
        return [first] if first == last else [first, last]

    def _facts(
        self,
        wish: PlaceWish,
        looks: Looks,
        days: Sequence[date],
        pending: Sequence[EffectRow],
    ) -> slots.DayFacts:
        rooms, providers = self._rooms_now(looks)
        held = looks.window(Stream.APPOINTMENT, days[0], days[-1])
        visits = [_visit(fields) for fields in held.values()]
        visits += [_pending(row) for row in pending if takes_place(row.effect)]
        blocks = looks.window(Stream.SCHEDULE_BLOCK, days[0], days[-1])
        patient = msgspec.convert({"key": "0", **wish.patient}, type=Patient)
        restricted = {str(_request(wish).patient_key)} if patient.is_restricted else set()
        return slots.DayFacts(
            zone=self._zone(),
            now=self._clock.now(),
            operatories=rooms,
            providers=providers,
            blocks=[msgspec.convert(b, type=ScheduleBlock) for b in blocks.values()],
            appointments=visits,
            patient=patient,
            restricted_patients=frozenset(restricted),
            default_provider_key=patient.primary_provider_key,
            needs_hours=self._keeps_hours(looks),
        )

    def _rooms_now(self, looks: Looks) -> tuple[dict[str, Operatory], dict[str, Provider]]:
        now = self._clock.mono()
        if self._rooms is None or now - self._rooms[0] >= ROOMS_KEPT_S:
            rooms = [msgspec.convert(r, type=Operatory) for r in looks.all_of(Stream.OPERATORY)]
            staff = [msgspec.convert(p, type=Provider) for p in looks.all_of(Stream.PROVIDER)]
            self._rooms = (now, {r.key: r for r in rooms}, {p.key: p for p in staff})
        return self._rooms[1], self._rooms[2]

    def _keeps_hours(self, looks: Looks) -> bool:
        """Whether the practice keeps a schedule of hours at all: without one, none forbids."""
        now = self._clock.mono()
        if self._hours is None or now - self._hours[0] >= HOURS_KEPT_S:
            today = looks.local_date(self._clock.now())
            span = timedelta(days=HOURS_LOOK_DAYS)
            blocks = looks.window(Stream.SCHEDULE_BLOCK, today - span, today + span)
            kept = any(b.get("kind") == BlockKind.PROVIDER_HOURS for b in blocks.values())
            self._hours = (now, kept)
        return self._hours[1]


def _request(wish: PlaceWish) -> slots.SlotRequest:
    return slots.SlotRequest(
        start=wish.start,
        minutes=wish.minutes,
        operatory_key=wish.operatory_key,
        provider_key=wish.provider_key,
        hygienist_key=wish.hygienist_key,
        patient_key=wish.patient.get("key"),
        appointment_key=None if wish.own is None else str(wish.own),
    )


def _visit(fields: Mapping[str, Any]) -> Appointment:
    return msgspec.convert(dict(fields), type=Appointment)


def _pending(row: EffectRow) -> Appointment:
    after = {name: value for name, value in row.after.items() if value is not None}
    known = {n: v for n, v in {**row.before, **after}.items() if n in _PLACED and v is not None}
    return msgspec.convert({"key": f"effect-{row.number}", **known}, type=Appointment)


_PLACED = frozenset({"start", "minutes", "operatory_key", "provider_key", "hygienist_key"})
