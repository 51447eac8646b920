"""Slot rules: each by itself, on days when the clocks change, and against a grid of minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from agent.model.commands import Reason
from agent.model.entities import Appointment, Operatory, Patient, Provider, ScheduleBlock
from agent.model.entities.words import (
    AppointmentStatus,
    BlockKind,
    BlockStatus,
    PatientStatus,
    ProviderStatus,
)
from agent.sync.slots import (
    DayFacts,
    SlotRequest,
    alternatives,
    holds_place,
    judge,
    lost_race,
)
from tests.sync.properties import holds, run_many

ZONE = "America/Chicago"
DAY = "2027-03-10"  # a Wednesday; local time is UTC-6


def at(clock: str, day: str = DAY, zone: str = ZONE) -> datetime:
    """Local wall time as UTC."""
    return datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def visit(key: str, clock: str, minutes: int | None = 30, **more: Any) -> Appointment:
    values = {
        "operatory_key": "1", "provider_key": "10", "status": AppointmentStatus.SCHEDULED,
        "start": text(at(clock)), "minutes": minutes,
    }  # fmt: skip
    return Appointment(key, **{**values, **more})


def block(key: str, kind: BlockKind, first: str, last: str, **more: Any) -> ScheduleBlock:
    day = more.pop("date", DAY)
    values = {
        "kind": kind, "date": day, "start": text(at(first, day)), "end": text(at(last, day)),
        "status": BlockStatus.OPEN,
    }  # fmt: skip
    return ScheduleBlock(key, **{**values, **more})


ROOMS = {
    "1": Operatory("1", dentist_key="10"),
    "2": Operatory("2", dentist_key="11", hygienist_key="20", is_hygiene=True),
    "3": Operatory("3", is_hidden=True, dentist_key="10"),
}
STAFF = {
    "10": Provider("10", status=ProviderStatus.ACTIVE),
    "11": Provider("11"),
    "12": Provider("12", is_hidden=True),
    "13": Provider("13", status=ProviderStatus.DELETED),
    "14": Provider("14", term_date="2027-03-09"),
    "20": Provider("20", is_hygienist=True),
}
HOURS = (
    block("h1", BlockKind.PROVIDER_HOURS, "08:00", "12:00", provider_key="10"),
    block("h2", BlockKind.PROVIDER_HOURS, "13:00", "17:00", provider_key="10"),
    block(
        "h3", BlockKind.PROVIDER_HOURS, "08:00", "17:00", provider_key="20", operatory_keys=("2",)
    ),
    block(
        "h4", BlockKind.PROVIDER_HOURS, "08:00", "17:00", provider_key="11", operatory_keys=("1",)
    ),
)
FACTS = DayFacts(zone=ZONE, now=at("07:00"), operatories=ROOMS, providers=STAFF, blocks=HOURS)
WISH = SlotRequest(start=at("09:00"), minutes=60, operatory_key="1", provider_key="10")


def verdict(wish: SlotRequest = WISH, facts: DayFacts = FACTS, **changes: Any) -> tuple[Any, str]:
    found = judge(wish, replace(facts, **changes))
    return found.reason, found.code


def test_a_free_place_is_free() -> None:
    found = judge(WISH, FACTS)
    assert found.is_free
    assert (found.provider_key, found.hygienist_key) == ("10", None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"minutes": 0}, Reason.VALIDATION_FAILED),
        ({"minutes": 7}, Reason.VALIDATION_FAILED),
        ({"minutes": 545}, Reason.VALIDATION_FAILED),
        ({"pattern": "XX"}, Reason.VALIDATION_FAILED),
        ({"pattern": "XXXXXXXXXXXY"}, Reason.VALIDATION_FAILED),
        ({"start": at("09:00") + timedelta(seconds=5)}, Reason.VALIDATION_FAILED),
        ({"start": at("06:55")}, Reason.IN_PAST),
        ({"operatory_key": "9"}, Reason.OPERATORY_INVALID),
        ({"operatory_key": "3"}, Reason.OPERATORY_INVALID),
        ({"provider_key": "9"}, Reason.PROVIDER_NOT_FOUND),
        ({"provider_key": "12"}, Reason.PROVIDER_NOT_FOUND),
        ({"provider_key": "13"}, Reason.PROVIDER_NOT_FOUND),
        ({"provider_key": "14"}, Reason.PROVIDER_NOT_FOUND),
        ({"hygienist_key": "9"}, Reason.PROVIDER_NOT_FOUND),
        ({"start": at("07:30")}, Reason.OUTSIDE_HOURS),
        ({"start": at("11:30")}, Reason.OUTSIDE_HOURS),  # runs into lunch
        ({"start": at("16:05")}, Reason.OUTSIDE_HOURS),
        ({"start": at("11:00")}, None),
        ({"start": at("13:00")}, None),
        ({"start": at("16:00")}, None),
    ],
)
def test_what_the_request_alone_says(changes: dict[str, Any], reason: Reason | None) -> None:
    assert verdict(replace(WISH, **changes))[0] is reason


def test_a_start_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zone"):
        judge(replace(WISH, start=datetime(2027, 3, 10, 9)), FACTS)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (visit("a", "08:30"), None),  # ends as ours begins
        (visit("a", "10:00"), None),
        (visit("a", "08:35"), Reason.SLOT_TAKEN),
        (visit("a", "09:55"), Reason.SLOT_TAKEN),
        (visit("a", "09:10", 5), Reason.SLOT_TAKEN),
        (visit("a", "08:00", 240), Reason.SLOT_TAKEN),
        (visit("a", "09:10", None), Reason.SLOT_TAKEN),
        (visit("a", "09:00", operatory_key=None), None),
        (visit("a", "09:00", operatory_key="2", provider_key="11"), None),
    ],
)
def test_visits_in_the_way(other: Appointment, reason: Reason | None) -> None:
    found = judge(WISH, replace(FACTS, appointments=(other,)))
    assert found.reason is reason
    assert found.in_the_way == (other.key if reason else None)


def test_which_states_hold_a_place() -> None:
    held = {s for s in AppointmentStatus if holds_place(visit("a", "09:00", status=s))}
    assert held == {
        AppointmentStatus.SCHEDULED, AppointmentStatus.COMPLETE, AppointmentStatus.ASAP,
        AppointmentStatus.NONE, AppointmentStatus.UNKNOWN,
    }  # fmt: skip
    assert holds_place(visit("a", "09:00", status=None))
    assert not holds_place(visit("a", "09:00", start=None))


def test_a_moved_visit_is_not_in_its_own_way() -> None:
    mine = visit("a", "09:00")
    facts = replace(FACTS, appointments=(mine,))
    assert judge(WISH, facts).code == "slot.operatory_taken"
    assert judge(replace(WISH, appointment_key="a"), facts).is_free


def test_a_provider_works_in_one_place_at_a_time() -> None:
    elsewhere = visit("a", "09:30", operatory_key="7")
    assert verdict(appointments=(elsewhere,)) == (Reason.SLOT_TAKEN, "slot.provider_taken")
    assert verdict(appointments=(elsewhere,), one_place_per_provider=False)[0] is None
    assisted = visit("a", "09:30", operatory_key="7", pattern="///XXX")
    assert judge(replace(WISH, minutes=45), replace(FACTS, appointments=(assisted,))).is_free
    assert verdict(appointments=(assisted,)) == (Reason.SLOT_TAKEN, "slot.provider_taken")
    ours = replace(WISH, pattern="X" * 9 + "///")
    assert judge(ours, replace(FACTS, appointments=(assisted,))).is_free
    odd = visit("a", "09:30", operatory_key="7", pattern="//")  # does not fit its length
    assert verdict(appointments=(odd,)) == (Reason.SLOT_TAKEN, "slot.provider_taken")
    hygiene = visit("a", "09:30", operatory_key="7", hygienist_key="20", is_hygiene=True)
    assert judge(WISH, replace(FACTS, appointments=(hygiene,))).is_free  # the dentist looks in

    helped = visit("a", "09:30", operatory_key="7", provider_key="11", hygienist_key="10")
    assert judge(WISH, replace(FACTS, appointments=(helped,))).is_free  # not 10's own visit


def test_hours_that_touch_are_one() -> None:
    through = block("h", BlockKind.PROVIDER_HOURS, "12:00", "13:00", provider_key="10")
    over_noon = replace(WISH, start=at("11:30"), minutes=120)
    assert judge(over_noon, replace(FACTS, blocks=(*HOURS, through))).is_free
    assert verdict(over_noon)[0] is Reason.OUTSIDE_HOURS


def test_blockouts_that_forbid() -> None:
    lunch = block("b", BlockKind.BLOCKOUT, "09:30", "10:30", operatory_keys=("1",))
    assert verdict(blocks=(*HOURS, lunch))[0] is None
    forbids = replace_struct(lunch, forbids_booking=True)
    assert judge(WISH, replace(FACTS, blocks=(*HOURS, forbids))).in_the_way == "b"
    assert verdict(blocks=(*HOURS, forbids)) == (Reason.OUTSIDE_HOURS, "slot.blocked")
    other = replace_struct(forbids, operatory_keys=("2",))
    assert verdict(blocks=(*HOURS, other))[0] is None
    everywhere = replace_struct(forbids, operatory_keys=())
    assert verdict(blocks=(*HOURS, everywhere)) == (Reason.OUTSIDE_HOURS, "slot.blocked")
    clinic = replace_struct(everywhere, clinic_key="5")
    assert verdict(blocks=(*HOURS, clinic))[0] is None


def replace_struct(record: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(record, **changes)


@pytest.mark.parametrize("status", [BlockStatus.HOLIDAY, BlockStatus.CLOSED, BlockStatus.UNKNOWN])
def test_closed_days(status: BlockStatus) -> None:
    holiday = block("p", BlockKind.PRACTICE, "00:00", "00:00", status=status)
    assert verdict(blocks=(*HOURS, holiday)) == (Reason.OUTSIDE_HOURS, "slot.closed_day")
    note = replace_struct(holiday, status=BlockStatus.OPEN)
    assert verdict(blocks=(*HOURS, note))[0] is None
    other_clinic = replace_struct(holiday, clinic_key="5")
    assert verdict(blocks=(*HOURS, other_clinic))[0] is None
    tomorrow = block("p", BlockKind.PRACTICE, "00:00", "00:00", status=status, date="2027-03-11")
    assert verdict(blocks=(*HOURS, tomorrow))[0] is None


def test_no_place_is_proven_free_on_a_day_that_cannot_be_read() -> None:
    blind = frozenset({DAY})
    assert verdict(blind_days=blind) == (Reason.SLOT_TAKEN, "slot.day_unreadable")
    assert verdict(blind_days=frozenset({"2027-03-11"}))[0] is None
    assert not alternatives(WISH, replace(FACTS, blind_days=blind))
    known = verdict(blind_days=blind, appointments=(visit("a", "09:00"),))
    assert known == (Reason.SLOT_TAKEN, "slot.operatory_taken")  # what is known is said


def test_a_provider_on_holiday() -> None:
    off = block("o", BlockKind.PROVIDER_HOURS, "00:00", "00:00", provider_key="10",
                status=BlockStatus.HOLIDAY)  # fmt: skip
    assert verdict(blocks=(*HOURS, off)) == (Reason.OUTSIDE_HOURS, "slot.outside_hours")
    assert judge(replace(WISH, provider_key="11"), replace(FACTS, blocks=(*HOURS, off))).is_free


def test_hours_hold_where_they_say_or_where_the_provider_belongs() -> None:
    there = replace(WISH, provider_key="11")
    assert judge(there, FACTS).is_free  # h4 names the operatory
    loose = block("x", BlockKind.PROVIDER_HOURS, "08:00", "17:00", provider_key="11")
    assert verdict(there, blocks=(loose,))[0] is Reason.OUTSIDE_HOURS  # not 11's operatory
    nobodys = {"1": Operatory("1")}
    assert verdict(there, blocks=(loose,), operatories=nobodys)[0] is Reason.OUTSIDE_HOURS
    given = replace(FACTS, blocks=(loose,), operatories=nobodys, unassigned_provider_key="11")
    assert judge(there, given).is_free
    assert verdict(there, blocks=(), needs_hours=False)[0] is None


def test_who_the_visit_is_with() -> None:
    nobody = replace(WISH, provider_key=None)
    assert judge(nobody, FACTS).provider_key == "11"  # scheduled by name for this operatory
    plain_hours = replace(FACTS, blocks=HOURS[:2])
    assert judge(nobody, plain_hours).provider_key == "10"  # the operatory's own
    bare_room = replace(FACTS, operatories={"1": Operatory("1")}, needs_hours=False, blocks=())
    assert judge(nobody, bare_room).reason is Reason.PROVIDER_NOT_FOUND
    assert judge(nobody, replace(bare_room, default_provider_key="10")).provider_key == "10"
    hygiene = replace(nobody, operatory_key="2")
    found = judge(hygiene, FACTS)
    assert found.is_free
    assert (found.provider_key, found.hygienist_key) == ("11", "20")
    busy = visit("a", "09:00", operatory_key="7", provider_key="11", hygienist_key="20",
                 is_hygiene=True)  # fmt: skip
    assert judge(hygiene, replace(FACTS, appointments=(busy,))).code == "slot.provider_taken"


@pytest.mark.parametrize(
    ("patient", "reason"),
    [
        (Patient("5"), None),
        (Patient("5", status=PatientStatus.INACTIVE), None),
        (Patient("5", status=PatientStatus.DELETED), Reason.PATIENT_NOT_FOUND),
        (Patient("5", merged_into="6"), Reason.PATIENT_NOT_FOUND),
        (Patient("5", status=PatientStatus.DECEASED), Reason.POLICY_BLOCKED),
        (Patient("5", deceased="2026-01-01"), Reason.POLICY_BLOCKED),
        (Patient("5", status=PatientStatus.ARCHIVED), Reason.POLICY_BLOCKED),
    ],
)
def test_patients_who_are_not_scheduled(patient: Patient, reason: Reason | None) -> None:
    assert verdict(patient=patient)[0] is reason
    blocked = verdict(replace(WISH, patient_key="5"), restricted_patients=frozenset({"5"}))
    assert blocked == (Reason.POLICY_BLOCKED, "slot.patient_restricted")


# -- days on which the clocks change -------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        # Days that have been: governments change those to come (Cuba did, for 2026 and 2027).
        ("America/Chicago", "2025-03-09", 23),
        ("America/Chicago", "2025-11-02", 25),
        ("America/Havana", "2025-03-09", 23),  # midnight itself does not exist
        ("America/Havana", "2025-11-02", 25),  # midnight comes twice
        ("Australia/Lord_Howe", "2025-10-05", 23.5),
    ],
)
def test_a_local_day_is_as_long_as_it_is(zone: str, day: str, hours: float) -> None:
    facts = DayFacts(
        zone=zone, now=datetime(2025, 1, 1, tzinfo=UTC), operatories=ROOMS, providers=STAFF,
        blind_days=frozenset({day}), needs_hours=False,
    )  # fmt: skip
    middle = at("12:00", day, zone)
    start = middle - timedelta(hours=30)
    taken = [
        minute
        for minute in range(0, 60 * 60, 5)
        if not judge(
            replace(WISH, start=start + timedelta(minutes=minute), minutes=5), facts
        ).is_free
    ]
    days = {(start + timedelta(minutes=m)).astimezone(ZoneInfo(zone)).date() for m in taken}
    assert days == {date.fromisoformat(day)}
    assert len(taken) * 5 == hours * 60


# -- after the write ------------------------------------------------------------------------------


def test_a_lost_race() -> None:
    mine = visit("m", "09:00", 60)
    assert lost_race(mine, [mine]) is None
    assert lost_race(mine, [visit("a", "10:00"), visit("b", "08:30")]) is None
    assert lost_race(mine, [mine, visit("a", "09:55", 5)]) == "a"
    assert lost_race(mine, [visit("a", "09:30", status=AppointmentStatus.BROKEN)]) is None
    elsewhere = visit("a", "09:30", operatory_key="7")
    assert lost_race(mine, [elsewhere]) == "a"
    assert lost_race(mine, [elsewhere], one_place_per_provider=False) is None
    assert lost_race(mine, [visit("a", "09:30", operatory_key="7", pattern="//////")]) is None
    assert lost_race(replace_struct(mine, operatory_key=None), [visit("a", "09:30")]) is None


# -- other places ---------------------------------------------------------------------------------


def test_the_nearest_places_come_first() -> None:
    taken = (visit("a", "09:00", 60), visit("b", "10:00", 60), visit("c", "08:00", 60))
    facts = replace(FACTS, appointments=taken)
    offers = alternatives(WISH, facts)
    assert [(o.start, o.operatory_key, o.provider_key) for o in offers[:4]] == [
        (text(at("11:00")), "1", "10"),
        (text(at("13:00")), "1", "10"),
        (text(at("14:00")), "1", "10"),
        (text(at("15:00")), "1", "10"),
    ]
    assert all(o.minutes == 60 for o in offers)
    assert len(offers) == 5
    assert len(alternatives(WISH, facts, 2)) == 2


def test_a_full_operatory_leads_elsewhere_and_the_past_nowhere() -> None:
    facts = replace(FACTS, appointments=(visit("a", "08:00", 540),), now=at("16:00"))
    offers = alternatives(WISH, facts)
    assert [(o.start, o.operatory_key, o.provider_key) for o in offers] == [
        (text(at("16:00")), "2", "20")
    ]
    assert alternatives(WISH, replace(facts, now=at("16:10"))) == ()
    assert alternatives(replace(WISH, minutes=7), FACTS) == ()
    assert alternatives(WISH, replace(FACTS, patient=Patient("5", merged_into="6"))) == ()


# -- the minute grid -----------------------------------------------------------------------------

_DAYS = [("America/Chicago", "2025-03-12"), ("America/Chicago", "2025-03-09"),
         ("America/Chicago", "2025-11-02"), ("America/Havana", "2025-03-09"),
         ("Europe/Berlin", "2025-10-26")]  # fmt: skip
_KINDS = st.sampled_from([*BlockKind, BlockKind.BLOCKOUT, BlockKind.PROVIDER_HOURS])
_STATUS = st.sampled_from([BlockStatus.OPEN] * 3 + list(BlockStatus) + [None])
_KEYS = st.sampled_from(["1", "2"])
_WHO = st.sampled_from(["10", "20", None])
_SIGNS = st.lists(st.sampled_from("XX/"), min_size=1, max_size=6).map("".join)


def moments(first: datetime) -> st.SearchStrategy[datetime]:
    """Around the opening: small enough that things meet."""
    return st.integers(0, 24).map(lambda n: first + timedelta(minutes=5 * n))


@st.composite
def situations(draw: st.DrawFn) -> tuple[SlotRequest, DayFacts]:
    zone, day = draw(st.sampled_from(_DAYS))
    # either in the middle of the day or across a midnight
    base = at("08:00", day, zone) if draw(st.integers(0, 3)) else at("23:00", day, zone)
    start = moments(base)
    rooms = {
        "1": Operatory("1", dentist_key=draw(_WHO), clinic_key=draw(st.sampled_from([None, "5"]))),
        "2": Operatory("2", dentist_key="10", hygienist_key="20", is_hygiene=True),
    }
    blocks = [
        # hours wide enough that something is free now and then
        ScheduleBlock(
            f"w{n}", kind=BlockKind.PROVIDER_HOURS, provider_key=who, date=day,
            operatory_keys=draw(st.sampled_from([(), ("1",), ("1", "2")])),
            start=text(base), end=text(base + timedelta(minutes=draw(st.integers(6, 30)) * 5)),
        )
        for n, who in enumerate(("10", "20"))
    ]  # fmt: skip
    for n in range(draw(st.integers(0, 4))):
        first = draw(start)
        length = draw(st.integers(0, 12)) * 5
        blocks.append(
            ScheduleBlock(
                f"b{n}", kind=draw(_KINDS), provider_key=draw(_WHO), status=draw(_STATUS),
                operatory_keys=draw(st.sampled_from([(), ("1",), ("2",), ("1", "2")])),
                clinic_key=draw(st.sampled_from([None, None, "5"])),
                date=first.astimezone(ZoneInfo(zone)).date().isoformat(),
                start=text(first), end=text(first + timedelta(minutes=length)),
                forbids_booking=draw(st.booleans()),
            )
        )  # fmt: skip
    visits = []
    for n in range(draw(st.integers(0, 4))):
        pattern = draw(st.one_of(st.none(), _SIGNS))
        minutes = len(pattern) * 5 if pattern else draw(st.sampled_from([None, 5, 10, 30]))
        visits.append(
            Appointment(
                f"v{n}", operatory_key=draw(st.sampled_from(["9", "1", "2", "9", None])),
                provider_key=draw(st.sampled_from(["10", "10", "20", None])),
                hygienist_key=draw(_WHO), is_hygiene=draw(st.booleans()),
                status=draw(st.sampled_from([AppointmentStatus.SCHEDULED, *AppointmentStatus])),
                start=text(draw(start)), minutes=minutes, pattern=pattern,
            )
        )  # fmt: skip
    pattern = draw(st.one_of(st.none(), _SIGNS))
    room = draw(_KEYS)
    wish = SlotRequest(
        start=draw(start), minutes=len(pattern) * 5 if pattern else draw(st.integers(1, 8)) * 5,
        operatory_key=room, provider_key="10", pattern=pattern,
        hygienist_key="20" if room == "2" else draw(_WHO),
        appointment_key=draw(st.sampled_from([None, "v0"])),
    )  # fmt: skip
    facts = DayFacts(
        zone=zone, now=base + timedelta(minutes=draw(st.sampled_from([-60, -60, -60, 0, 30]))),
        operatories=rooms, providers=STAFF, blocks=blocks, appointments=visits,
        blind_days=frozenset(draw(st.sampled_from([[], [], [], [], [], [], [day]]))),
        one_place_per_provider=draw(st.booleans()),
    )  # fmt: skip
    return wish, facts


_VOID = {AppointmentStatus.UNSCHEDULED, AppointmentStatus.BROKEN, AppointmentStatus.PLANNED,
         AppointmentStatus.NOTE, AppointmentStatus.NOTE_COMPLETE}  # fmt: skip


def minutes_of(first: datetime, last: datetime) -> list[datetime]:
    count = int((last - first).total_seconds() // 60)
    return [first + timedelta(minutes=n) for n in range(count)]


def grid_says_free(wish: SlotRequest, facts: DayFacts) -> bool:
    """The rules once more, minute by minute, with sets of minutes and nothing of the code's."""
    zone = ZoneInfo(facts.zone)
    room = facts.operatories[wish.operatory_key]
    who = wish.hygienist_key if room.is_hygiene and wish.hygienist_key else wish.provider_key
    mine = minutes_of(wish.start, wish.start + timedelta(minutes=wish.minutes))
    if any(minute < facts.now for minute in mine):
        return False
    signs = wish.pattern or "X" * (wish.minutes // 5)
    my_work = {minute for n, minute in enumerate(mine) if signs[n // 5] == "X"}
    for other in facts.appointments:
        if (
            other.status in _VOID
            or other.operatory_key is None
            or other.key == wish.appointment_key
        ):
            continue
        first = datetime.fromisoformat(other.start or "")
        theirs = minutes_of(first, first + timedelta(minutes=other.minutes or 5))
        if other.operatory_key == wish.operatory_key and {*mine} & {*theirs}:
            return False
        signs = other.pattern or "X" * (len(theirs) // 5)
        work = {minute for n, minute in enumerate(theirs) if signs[n // 5] == "X"}
        hands = other.provider_key or other.hygienist_key
        if other.is_hygiene and other.hygienist_key:
            hands = other.hygienist_key
        if facts.one_place_per_provider and hands == who and work & my_work:
            return False
    open_minutes: set[datetime] = set()
    for each in facts.blocks:
        first, last = (datetime.fromisoformat(t or "") for t in (each.start, each.end))
        within = {*minutes_of(first, last)}
        that_day = {m for m in mine if m.astimezone(zone).date().isoformat() == each.date}
        is_open = each.status in (None, BlockStatus.OPEN)
        all_day = not within or each.status is BlockStatus.HOLIDAY
        if each.kind is BlockKind.PRACTICE and not is_open:
            here = each.clinic_key is None or each.clinic_key == room.clinic_key
            if here and ((that_day and all_day) or within & {*mine}):
                return False
        if each.kind is BlockKind.BLOCKOUT and each.forbids_booking and within & {*mine}:
            clinic = each.clinic_key is None or each.clinic_key == room.clinic_key
            if wish.operatory_key in each.operatory_keys or (not each.operatory_keys and clinic):
                return False
        if each.kind is BlockKind.PROVIDER_HOURS and each.provider_key == who:
            if not is_open:
                if all_day and that_day:
                    return False
                continue
            owner = room.hygienist_key if room.is_hygiene else room.dentist_key
            if wish.operatory_key in each.operatory_keys or (
                not each.operatory_keys and owner == who
            ):
                open_minutes |= within
    local = {minute.astimezone(zone).date().isoformat() for minute in mine}
    return not local & facts.blind_days and {*mine} <= open_minutes


@holds(200, situation=situations())
def test_free_exactly_when_the_grid_says_so(situation: Any) -> None:
    wish, facts = situation
    assert judge(wish, facts).is_free is grid_says_free(wish, facts)


@holds(60, situation=situations(), most=st.integers(1, 6))
def test_every_offer_is_free_and_none_is_missed(situation: Any, most: int) -> None:
    wish, facts = situation
    offers = alternatives(wish, facts, most)
    assert len(offers) <= most
    seen: list[tuple[str, datetime]] = []
    for offer in offers:
        start = datetime.fromisoformat(offer.start)
        who = {"provider_key": offer.provider_key, "hygienist_key": None}
        moved = replace(wish, start=start, operatory_key=offer.operatory_key, **who)
        found = judge(moved, facts)
        assert found.is_free
        named = replace(moved, provider_key=found.provider_key, hygienist_key=found.hygienist_key)
        assert grid_says_free(named, facts)
        for room, other in seen:
            apart = abs(start - other) >= timedelta(minutes=wish.minutes)
            assert room != offer.operatory_key or apart
        seen.append((offer.operatory_key, start))
    at_home = [abs(start - wish.start) for room, start in seen[: _at_home(offers, wish, facts)]]
    assert at_home == sorted(at_home)
    if not offers:
        tried = (wish.start + timedelta(minutes=10 * n) for n in range(-12, 13))
        on_raster = (t for t in tried if t.astimezone(ZoneInfo(facts.zone)).minute % 10 == 0)
        assume(wish.start.minute % 10 == 0)
        assert not any(grid_says_free(replace(wish, start=t), facts) for t in on_raster)


def _at_home(offers: Any, wish: SlotRequest, facts: DayFacts) -> int:
    """How many offers keep the operatory and the provider; they must come before the others."""
    room = facts.operatories[wish.operatory_key]
    who = wish.hygienist_key if room.is_hygiene else wish.provider_key
    kept = [(o.operatory_key, o.provider_key) == (wish.operatory_key, who) for o in offers]
    assert kept == sorted(kept, reverse=True)
    return sum(kept)


@holds(60, situation=situations())
def test_a_race_is_lost_to_what_would_have_been_in_the_way(situation: Any) -> None:
    wish, facts = situation
    found = judge(wish, facts)
    mine = Appointment(
        "mine", status=AppointmentStatus.SCHEDULED, start=text(wish.start), minutes=wish.minutes,
        operatory_key=wish.operatory_key, provider_key=found.provider_key,
        hygienist_key=found.hygienist_key, pattern=wish.pattern,
        is_hygiene=facts.operatories[wish.operatory_key].is_hygiene,
    )  # fmt: skip
    rest = [one for one in facts.appointments if one.key != wish.appointment_key]
    lost = lost_race(mine, rest, one_place_per_provider=facts.one_place_per_provider)
    if found.is_free:
        assert lost is None
    if found.code in {"slot.operatory_taken", "slot.provider_taken"}:
        assert lost is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "law",
    [
        test_free_exactly_when_the_grid_says_so,
        test_every_offer_is_free_and_none_is_missed,
        test_a_race_is_lost_to_what_would_have_been_in_the_way,
    ],
)
def test_ten_thousand_cases(law: Any) -> None:
    run_many(law)
