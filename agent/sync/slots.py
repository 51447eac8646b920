"""May this visit be put there? The slot rules at the moment of writing. Pure; no I/O, no clock.

The facts are canonical records as just read. Intervals are half open, ``start <= t < end``, in
seconds of UTC; the zone only tells where local days begin. Rules are Open Dental's own
(``open-dental.md`` 1.2, 3.4, 4.2a) and never looser; where those leave room the decision is:

- *Who holds a place*: scheduled, complete, the retired "asap", and any status we have no word for.
  Broken, unscheduled and planned visits and notes on the schedule do not.
- *Whose time it is*: the hygienist's on a hygiene visit, else the provider's; of a pattern only the
  signs X. The other of the two comes and goes: without a pattern of their own (the PMS keeps one,
  the map does not carry it) nothing is known of their time. A missing pattern, or one that does not
  fit the length, takes the whole visit.
- *Blockouts* forbid when they say so; one without operatories holds for all of its clinic.
- *Hours*: a provider's hours with operatories hold there only; without, where the operatory is the
  provider's. What is not open is closed, also where we do not know the word.
- A provider in two operatories at once only earns a warning in Open Dental; here it is refused,
  unless the practice says that it works so.

Imports only ``agent.model``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from agent.model.commands import Reason, Slot
from agent.model.entities import Appointment, Operatory, Patient, Provider, ScheduleBlock
from agent.model.entities.words import (
    AppointmentStatus,
    BlockKind,
    BlockStatus,
    PatientStatus,
    ProviderStatus,
)

MOST_MINUTES = 540  # open-dental.md 3.4: the API trims patterns at 9 h
SIGN_MINUTES = 5  # one sign of a pattern

_FREE_OF_PLACE = frozenset(
    {
        AppointmentStatus.UNSCHEDULED,
        AppointmentStatus.BROKEN,
        AppointmentStatus.PLANNED,
        AppointmentStatus.NOTE,
        AppointmentStatus.NOTE_COMPLETE,
    }
)

Span = tuple[int, int]
"""Seconds since 1970 UTC, half open."""


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A place wished for. ``start``: aware. ``pattern``: signs X and /; None is X throughout.
    ``appointment_key``: the visit itself when it is moved; it is not in its own way."""

    start: datetime
    minutes: int
    operatory_key: str
    provider_key: str | None = None
    hygienist_key: str | None = None
    patient_key: str | None = None
    appointment_key: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class DayFacts:
    """What the practice holds around the wished time: whole local days, all operatories.

    ``blind_days``: local dates of which a record cannot be read: no place there is proven free.
    ``restricted_patients``: keys of patients the practice does not schedule. ``patient``: the one
    the visit is for. ``default_provider_key``: the patient's primary provider or the practice's
    default. ``unassigned_provider_key``: whose an operatory without providers is.
    ``needs_hours``: False where a practice keeps no schedule of hours. ``step_minutes``: raster of
    offered starts.
    """

    zone: str
    now: datetime
    operatories: Mapping[str, Operatory]
    providers: Mapping[str, Provider]
    blocks: Sequence[ScheduleBlock] = ()
    appointments: Sequence[Appointment] = ()
    blind_days: frozenset[str] = frozenset()
    restricted_patients: frozenset[str] = frozenset()
    patient: Patient | None = None
    default_provider_key: str | None = None
    unassigned_provider_key: str | None = None
    one_place_per_provider: bool = True
    needs_hours: bool = True
    step_minutes: int = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason`` None: free. ``code``: message for staff. ``in_the_way``: key of the record.

    ``provider_key``/``hygienist_key``: who the visit is with, as it must be written for the verdict
    to hold; known once the operatory is.
    """

    reason: Reason | None
    code: str = ""
    in_the_way: str | None = None
    provider_key: str | None = None
    hygienist_key: str | None = None

    @property
    def is_free(self) -> bool:
        return self.reason is None


def judge(request: SlotRequest, facts: DayFacts) -> Verdict:
    """Whether the visit may be put there. Raises ValueError on a start without a zone."""
    return _Board(facts).judge(request)


def alternatives(request: SlotRequest, facts: DayFacts, most: int = 5) -> tuple[Slot, ...]:
    """Free places for the same visit: first in the same operatory with the same provider, then
    with the same provider elsewhere, then others; the nearest first. They do not overlap one
    another within an operatory. Only days among the facts are searched."""
    return tuple(islice(_Board(facts).offers(request), most))


def holds_place(appointment: Appointment) -> bool:
    """Whether the appointment keeps others from its operatory and time."""
    return (
        appointment.start is not None
        and appointment.operatory_key is not None
        and appointment.status not in _FREE_OF_PLACE
    )


def lost_race(
    mine: Appointment, others: Iterable[Appointment], *, one_place_per_provider: bool = True
) -> str | None:
    """After the read-back: key of an appointment that holds our place as well, or None.

    The practice's own booking always stays and ours is taken back, whoever was first: clocks and
    keys cannot tell. ``others`` may contain ``mine``.
    """
    if not holds_place(mine):
        return None
    span, work = _span(mine), _work(mine)
    for other in others:
        if other.key == mine.key or not holds_place(other):
            continue
        if other.operatory_key == mine.operatory_key and _overlap(span, _span(other)):
            return other.key
        same_hands = _main(mine) is not None and _main(mine) == _main(other)
        if not (one_place_per_provider and same_hands):
            continue
        if any(_overlap(a, b) for a in work for b in _work(other)):
            return other.key
    return None


# -- intervals -------------------------------------------------------------------------------------


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _span(appointment: Appointment) -> Span:
    """Its time; one without a length takes a single sign."""
    start = _seconds(appointment.start or "")
    minutes = appointment.minutes or SIGN_MINUTES
    return start, start + minutes * 60


def _main(appointment: Appointment) -> str | None:
    """Whose time the signs X are."""
    if appointment.is_hygiene and appointment.hygienist_key:
        return appointment.hygienist_key
    return appointment.provider_key or appointment.hygienist_key


def _work(appointment: Appointment) -> list[Span]:
    return _worked(_span(appointment), appointment.pattern)


def _worked(span: Span, pattern: str | None) -> list[Span]:
    """The provider's own time within a visit."""
    sign = SIGN_MINUTES * 60
    if not pattern or len(pattern) * sign != span[1] - span[0] or set(pattern) - {"X", "/"}:
        return [span]
    return _joined(
        (span[0] + at * sign, span[0] + (at + 1) * sign)
        for at, kind in enumerate(pattern)
        if kind == "X"
    )


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Sorted, overlapping and touching ones joined, empty ones dropped."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _minus(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """What is left of ``spans`` without ``others``."""
    left: list[Span] = []
    holes = _joined(others)
    for start, end in spans:
        at = start
        for hole_start, hole_end in holes:
            if hole_end <= at or hole_start >= end:
                continue
            if at < hole_start:
                left.append((at, hole_start))
            at = hole_end
        if at < end:
            left.append((at, end))
    return left


def _block_span(block: ScheduleBlock) -> Span | None:
    """Its hours, or None for a note or a whole day."""
    if block.start is None or block.end is None:
        return None
    span = _seconds(block.start), _seconds(block.end)
    return span if span[0] < span[1] else None


# -- the board -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known of one operatory."""

    room: Operatory
    taken: list[tuple[Span, str]] = field(default_factory=list)
    blocked: list[tuple[Span, str]] = field(default_factory=list)
    hours: dict[str, list[Span]] = field(default_factory=dict)  # provider -> hours that hold here
    assigned: list[tuple[Span, str]] = field(default_factory=list)  # hours naming this operatory


class _Board:
    """The facts, sorted by operatory and provider."""

    def __init__(self, facts: DayFacts) -> None:
        self._facts = facts
        self._zone = ZoneInfo(facts.zone)
        self._places = {key: _Place(room) for key, room in facts.operatories.items()}
        self._working: dict[str, list[tuple[Span, str]]] = {}
        self._off: dict[str, list[Span]] = {}
        self._closed: list[tuple[Span, str | None, str | None]] = []
        self._blind = [self._day(day) for day in facts.blind_days]
        self._now = facts.now.timestamp()
        for block in facts.blocks:
            self._add_block(block)
        for place in self._places.values():
            for provider, spans in place.hours.items():
                place.hours[provider] = _joined(spans)
        for visit in facts.appointments:
            self._add_visit(visit)

    def _day(self, text: str) -> Span:
        """From the first instant of a local day to the first of the next."""
        day = date.fromisoformat(text)
        first, last = (
            int(datetime.combine(each, time(), self._zone).timestamp())
            for each in (day, day + timedelta(days=1))
        )
        return first, last

    def _add_visit(self, visit: Appointment) -> None:
        if not holds_place(visit):
            return
        if place := self._places.get(visit.operatory_key or ""):
            place.taken.append((_span(visit), visit.key))
        if main := _main(visit):
            self._working.setdefault(main, []).extend((span, visit.key) for span in _work(visit))

    def _add_block(self, block: ScheduleBlock) -> None:
        span = _block_span(block)
        is_open = block.status in (None, BlockStatus.OPEN)
        whole = self._day(block.date) if block.date else None
        if block.kind is BlockKind.PRACTICE and not is_open:
            if whole and (span is None or block.status is BlockStatus.HOLIDAY):
                self._closed.append((whole, block.clinic_key, block.key))
            if span:
                self._closed.append((span, block.clinic_key, block.key))
        elif block.kind is BlockKind.PROVIDER_HOURS and block.provider_key:
            if is_open and span:
                self._add_hours(block, block.provider_key, span)
            elif whole and (span is None or block.status is BlockStatus.HOLIDAY) and not is_open:
                self._off.setdefault(block.provider_key, []).append(whole)
        elif block.kind is BlockKind.BLOCKOUT and block.forbids_booking and span:
            for key, place in self._places.items():
                if key in block.operatory_keys or (
                    not block.operatory_keys and block.clinic_key in (None, place.room.clinic_key)
                ):
                    place.blocked.append((span, block.key))

    def _add_hours(self, block: ScheduleBlock, provider: str, span: Span) -> None:
        for key, place in self._places.items():
            if key in block.operatory_keys:
                place.assigned.append((span, provider))
            elif block.operatory_keys or not self._belongs(place.room, provider):
                continue
            place.hours.setdefault(provider, []).append(span)

    def _belongs(self, room: Operatory, provider: str) -> bool:
        if not room.dentist_key and not room.hygienist_key:
            return provider == self._facts.unassigned_provider_key
        return provider == (room.hygienist_key if room.is_hygiene else room.dentist_key)

    # -- one place ---------------------------------------------------------------------------------

    def judge(self, request: SlotRequest) -> Verdict:
        refused = self._refuse_request(request)
        if refused is not None:
            return refused
        span = self._span(request)
        place = self._places[request.operatory_key]
        provider, hygienist, main = self._staff(request, place, span)
        if main is None or not all(self._is_active(k, span) for k in {provider, hygienist, main}):
            return Verdict(Reason.PROVIDER_NOT_FOUND, "slot.no_such_provider")
        reason, code, key = self._refuse_place(request, place, span, main)
        return Verdict(reason, code, key, provider, hygienist)

    def _refuse_request(self, request: SlotRequest) -> Verdict | None:
        """What can be said without looking at the schedule."""
        if request.start.tzinfo is None:
            raise ValueError("a start needs a zone")
        facts = self._facts
        fits = 0 < request.minutes <= MOST_MINUTES and request.minutes % SIGN_MINUTES == 0
        pattern = request.pattern
        if pattern is not None:
            fits &= len(pattern) * SIGN_MINUTES == request.minutes and not set(pattern) - {"X", "/"}
        if not fits or request.start.second or request.start.microsecond:
            return Verdict(Reason.VALIDATION_FAILED, "slot.not_understood")
        if request.start.timestamp() < self._now:
            return Verdict(Reason.IN_PAST, "slot.in_past")
        room = facts.operatories.get(request.operatory_key)
        if room is None or room.is_hidden:
            return Verdict(Reason.OPERATORY_INVALID, "slot.no_such_operatory")
        patient = facts.patient
        if patient is not None and (patient.status is PatientStatus.DELETED or patient.merged_into):
            return Verdict(Reason.PATIENT_NOT_FOUND, "slot.no_such_patient")
        if patient is not None and (
            patient.deceased or patient.status in (PatientStatus.DECEASED, PatientStatus.ARCHIVED)
        ):
            return Verdict(Reason.POLICY_BLOCKED, "slot.patient_gone")
        if request.patient_key in facts.restricted_patients:
            return Verdict(Reason.POLICY_BLOCKED, "slot.patient_restricted")
        return None

    def _refuse_place(
        self, request: SlotRequest, place: _Place, span: Span, main: str
    ) -> tuple[Reason | None, str, str | None]:
        for closed, clinic, key in self._closed:
            if clinic in (None, place.room.clinic_key) and _overlap(span, closed):
                return Reason.OUTSIDE_HOURS, "slot.closed_day", key
        own = request.appointment_key
        for taken, key in place.taken:
            if key != own and _overlap(span, taken):
                return Reason.SLOT_TAKEN, "slot.operatory_taken", key
        for blocked, key in place.blocked:
            if _overlap(span, blocked):
                return Reason.OUTSIDE_HOURS, "slot.blocked", key
        if self._facts.one_place_per_provider:
            work = _worked(span, request.pattern)
            for busy, key in self._working.get(main, ()):
                if key != own and any(_overlap(part, busy) for part in work):
                    return Reason.SLOT_TAKEN, "slot.provider_taken", key
        if self._facts.needs_hours and not self._is_open(place, main, span):
            return Reason.OUTSIDE_HOURS, "slot.outside_hours", None
        if any(_overlap(span, day) for day in self._blind):
            return Reason.SLOT_TAKEN, "slot.day_unreadable", None
        return None, "", None

    def _is_open(self, place: _Place, provider: str, span: Span) -> bool:
        if any(_overlap(span, off) for off in self._off.get(provider, ())):
            return False
        hours = place.hours.get(provider, ())
        return any(start <= span[0] and span[1] <= end for start, end in hours)

    def _is_active(self, provider: str | None, span: Span) -> bool:
        """None: nobody was named, which is no fault."""
        if provider is None:
            return True
        known = self._facts.providers.get(provider)
        if known is None or known.is_hidden:
            return False
        if known.status not in (None, ProviderStatus.ACTIVE):
            return False
        if not known.term_date:
            return True
        return datetime.fromtimestamp(span[0], self._zone).date().isoformat() <= known.term_date

    def _staff(
        self, request: SlotRequest, place: _Place, span: Span
    ) -> tuple[str | None, str | None, str | None]:
        """(provider, hygienist, whose time it is) as ``open-dental.md`` 4.2a chooses them: who was
        asked for, else who is scheduled for this operatory and time, else the operatory's own, else
        the patient's or the practice's."""
        room = place.room
        scheduled = sorted(
            key for hours, key in place.assigned if hours[0] <= span[0] and span[1] <= hours[1]
        )
        hygienists = [key for key in scheduled if self._is_hygienist(key)]
        dentists = [key for key in scheduled if not self._is_hygienist(key)]
        provider = request.provider_key
        hygienist = request.hygienist_key
        if hygienist is None and not (provider and self._is_hygienist(provider)):
            hygienist = hygienists[0] if hygienists else room.hygienist_key
        if provider is None:
            own = dentists[0] if dentists else room.dentist_key
            provider = own or self._facts.default_provider_key or hygienist
        main = hygienist if room.is_hygiene and hygienist else provider
        return provider, hygienist, main

    def _is_hygienist(self, provider: str) -> bool:
        known = self._facts.providers.get(provider)
        return known is not None and bool(known.is_hygienist)

    @staticmethod
    def _span(request: SlotRequest) -> Span:
        start = int(request.start.timestamp())
        return start, start + request.minutes * 60

    # -- other places ------------------------------------------------------------------------------

    def offers(self, request: SlotRequest) -> Iterator[Slot]:
        """Free places, best first."""
        refused = self._refuse_request(request)
        if refused and refused.reason not in (Reason.IN_PAST, Reason.OPERATORY_INVALID):
            return
        span = self._span(request)
        place = self._places.get(request.operatory_key)
        main = self._staff(request, place, span)[2] if place else request.provider_key
        tiers: dict[tuple[bool, bool], list[tuple[int, int, str, str]]] = {}
        for room, provider, hours in self._openings(main, span):
            free = _minus(hours, self._never_free(self._places[room], request.appointment_key))
            tier = tiers.setdefault((provider != main, room != request.operatory_key), [])
            tier += [(abs(at - span[0]), at, room, provider) for at in self._starts(free, span)]
        chosen: list[tuple[str, Span]] = []
        for tier_key in sorted(tiers):
            for _, at, room, provider in sorted(tiers[tier_key]):
                there = at, at + span[1] - span[0]
                if any(room == other and _overlap(there, held) for other, held in chosen):
                    continue
                start = datetime.fromtimestamp(at, UTC)
                moved = replace(
                    request, start=start, operatory_key=room, provider_key=provider,
                    hygienist_key=None,
                )  # fmt: skip
                if self.judge(moved).is_free:
                    chosen.append((room, there))
                    yield Slot(f"{start:%Y-%m-%dT%H:%M:%SZ}", request.minutes, room, provider)

    def _openings(self, main: str | None, span: Span) -> Iterator[tuple[str, str, list[Span]]]:
        """(operatory, provider, when they might be there). Without hours kept: the wished day."""
        day = datetime.fromtimestamp(span[0], self._zone).date().isoformat()
        for room, place in sorted(self._places.items()):
            if self._facts.needs_hours:
                yield from ((room, key, spans) for key, spans in sorted(place.hours.items()))
                continue
            own = {main, place.room.dentist_key, place.room.hygienist_key} - {None}
            for key in sorted(str(one) for one in own):
                yield room, key, [self._day(day)]

    def _never_free(self, place: _Place, own: str | None) -> list[Span]:
        """Times of an operatory that no visit may touch, whoever it is with."""
        taken = [span for span, key in place.taken if key != own]
        taken += [span for span, _ in place.blocked]
        clinics = (None, place.room.clinic_key)
        return taken + [span for span, clinic, _ in self._closed if clinic in clinics]

    def _starts(self, hours: list[Span], span: Span) -> Iterator[int]:
        """Starts on the raster of local time that leave room before the hours end."""
        step, length = self._facts.step_minutes * 60, span[1] - span[0]
        offset = datetime.fromtimestamp(span[0], self._zone).utcoffset() or timedelta()
        shift = int(offset.total_seconds())
        for first, last in hours:
            begin = max(first, int(self._now))
            begin += -(begin + shift) % step
            yield from range(begin, last - length + 1, step)
