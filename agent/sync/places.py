"""Places on the schedule, judged on a fresh read: before writing, and once more after.

Reads through ``Looks``; the rules are ``slots``'s. Rooms and providers change rarely and are kept
for a minute; appointments and blocks are read each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec

from agent.journal.pulled import EffectRow, TaskRow
from agent.journal.reads import Reads
from agent.model.commands import Reason, Slot
from agent.model.effects import Effect
from agent.model.entities import Appointment, Operatory, Patient, Provider, ScheduleBlock
from agent.model.entities.words import BlockKind
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock
from agent.sync import slots
from agent.sync.effects import PLACE, takes_place
from agent.sync.looks import HeldBack, Looks
from agent.sync.plans import PlaceWish, Refuse

ROOMS_KEPT_S = 60.0
HOURS_KEPT_S = 600.0
RENEWED_AT = 0.8  # of their life, when there is nothing else to do
HOURS_LOOK_DAYS = 14
OFFER_DAYS = 7  # how far from the wished day others are offered
MOST_OFFERS = 5
_AS_READ: Mapping[Key, Mapping[str, Any]] = MappingProxyType({})


class Places:
    """Used by the apply lane's thread only. ``journal``: its open desk tasks hold their places."""

    def __init__(self, clock: Clock, zone: Callable[[], str], journal: Reads) -> None:
        self._clock = clock
        self._zone = zone
        self._journal = journal
        self._tasks: dict[int, _Claim | None] = {}  # open ones; None: it takes no place
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

    def check(
        self,
        wish: PlaceWish,
        looks: Looks,
        pending: Sequence[EffectRow],
        instead: Mapping[Key, Mapping[str, Any]] = _AS_READ,
    ) -> slots.Verdict:
        """Free, as of a read just now: who it is with. Raises Refuse with other places to offer.

        ``pending``: writes that may yet turn up on the schedule; their places count as taken, and
        so do those the front desk was asked to enter and has not answered for. ``instead``: fields
        of visits as they will be by then.
        """
        request = _request(wish)
        facts = self._facts(wish, looks, self._days(wish, looks), pending, instead)
        verdict = slots.judge(request, facts)
        if verdict.reason is None:
            return verdict
        raise Refuse(
            verdict.reason,
            verdict.code,
            key=wish.own,
            alternatives=self._offers(wish, verdict.reason, looks, pending, instead),
        )

    def offers(
        self, wish: PlaceWish, looks: Looks, pending: Sequence[EffectRow]
    ) -> tuple[Slot, ...]:
        return self._offers(wish, Reason.SLOT_TAKEN, looks, pending)

    def lost(self, key: Key, fields: Mapping[str, Any], looks: Looks) -> bool:
        """After the read-back: whether another appointment holds the place as well. Raises
        Unreadable where one of that day cannot be read, HeldBack where this one is not among them:
        it has just left, or the table is being emptied and others are missing, too."""
        mine = _visit(fields)
        if mine.start is None:
            return False
        day = looks.local_date(datetime.fromisoformat(mine.start))
        held = looks.day(day)
        if key not in held:
            raise HeldBack
        others = [_visit(f) for k, f in held.items() if k != key]
        return slots.lost_race(mine, others) is not None

    # -- facts ------------------------------------------------------------------------------------

    def _offers(
        self,
        wish: PlaceWish,
        reason: Reason,
        looks: Looks,
        pending: Sequence[EffectRow],
        instead: Mapping[Key, Mapping[str, Any]] = _AS_READ,
    ) -> tuple[Slot, ...]:
        if reason not in (Reason.SLOT_TAKEN, Reason.OUTSIDE_HOURS, Reason.OPERATORY_INVALID):
            return ()
        first = looks.local_date(wish.start)
        days = [first + timedelta(days=n) for n in range(OFFER_DAYS)]
        facts = self._facts(wish, looks, days, pending, instead)
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
        instead: Mapping[Key, Mapping[str, Any]],
    ) -> slots.DayFacts:
        rooms, providers = self._rooms_now(looks)
        held = looks.window(Stream.APPOINTMENT, days[0], days[-1])
        visits = [_visit({**f, **instead.get(key, {})}) for key, f in held.records.items()]
        claimed, claims_blind = self._claimed(pending, held.records, looks)
        blocks = looks.window(Stream.SCHEDULE_BLOCK, days[0], days[-1])
        blind = held.blind | claims_blind | blocks.blind
        patient = msgspec.convert({"key": "0", **wish.patient}, type=Patient)
        restricted = {str(_request(wish).patient_key)} if patient.is_restricted else set()
        return slots.DayFacts(
            zone=self._zone(),
            now=self._clock.now(),
            operatories=rooms,
            providers=providers,
            blocks=[msgspec.convert(b, type=ScheduleBlock) for b in blocks.records.values()],
            appointments=visits + claimed,
            blind_days=frozenset(day.isoformat() for day in blind),
            patient=patient,
            restricted_patients=frozenset(restricted),
            default_provider_key=patient.primary_provider_key,
            needs_hours=self._keeps_hours(looks),
        )

    def _claimed(
        self,
        pending: Sequence[EffectRow],
        held: Mapping[Key, Mapping[str, Any]],
        looks: Looks,
    ) -> tuple[list[Appointment], set[date]]:
        """Visits that are not on the schedule yet, at the places they may turn up at. Of one that
        cannot be read only the day is known."""
        claims = [_claim(f"effect-{r.number}", r.effect) for r in pending if takes_place(r.effect)]
        claims += self._asked_of_desk()
        moved = {claim.own for claim in claims if claim.own is not None}
        records, unread = looks.read(Stream.APPOINTMENT, sorted(moved - held.keys(), key=str))
        now = {**held, **records}
        visits = [
            _visit({**({} if c.own is None else _place_in(now.get(c.own, {}))), **c.fields})
            for c in claims
        ]
        starts = [c.fields["start"] for c in claims if c.own in unread and "start" in c.fields]
        return visits, {looks.local_date(datetime.fromisoformat(start)) for start in starts}

    def _asked_of_desk(self) -> list[_Claim]:
        numbers = self._journal.tasks_open()
        self._tasks = {
            number: self._tasks[number]
            if number in self._tasks
            else _claim_of(self._journal.task(number))
            for number in numbers
        }
        return [claim for claim in self._tasks.values() if claim is not None]

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
            kept = any(b.get("kind") == BlockKind.PROVIDER_HOURS for b in blocks.records.values())
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


@dataclass(frozen=True, slots=True)
class _Claim:
    """A place asked for. ``own``: the visit that is to go there, whose own fields fill the rest;
    under its own key it is never in its own way."""

    own: Key | None
    fields: dict[str, Any]


def _claim(name: str, effect: Effect) -> _Claim:
    key = name if effect.key is None else str(effect.key)
    return _Claim(effect.key, {"key": key, **_place_in(effect.fields)})


def _claim_of(task: TaskRow | None) -> _Claim | None:
    if task is None or not takes_place(task.effect):
        return None
    return _claim(f"task-{task.number}", task.effect)


def _place_in(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in PLACE if fields.get(name) is not None}
