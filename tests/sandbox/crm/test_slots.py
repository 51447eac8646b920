"""Free places: against a slow and plain search of every start."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.commands import Reason
from agent.sandbox.crm.slots import (
    MINUTE_US,
    STEP_US,
    Blocked,
    Busy,
    Hours,
    Place,
    Plan,
    Room,
    free,
    provider_of,
    why_not,
)

ROOMS = (Room("1", "A", "H"), Room("2", "B"), Room("3", "A", "H", is_hygiene=True), Room("4"))
_at = st.integers(0, 120).map(lambda n: n * 5 * MINUTE_US)
_length = st.integers(1, 60).map(lambda n: n * 5 * MINUTE_US)
_rooms = st.frozensets(st.sampled_from("1234"), max_size=2)
_who = st.sampled_from("ABH")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    def span() -> tuple[int, int]:
        start = draw(_at)
        return start, start + draw(_length)

    few = st.integers(0, 4)
    return Plan(
        ROOMS,
        tuple(Hours(*span(), draw(_who), draw(_rooms)) for _ in range(draw(few))),
        tuple(
            Busy(*span(), draw(st.sampled_from(["", *"1234"])),
                 draw(st.frozensets(_who, max_size=1)), draw(st.sampled_from(["", "v"])))
            for _ in range(draw(few))
        ),
        tuple(Blocked(*span(), draw(_rooms)) for _ in range(draw(few))),
        draw(st.sampled_from([0, -8 * 60 * MINUTE_US, 5 * MINUTE_US, 330 * MINUTE_US])),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(plans(), st.integers(1, 24), _at, st.sampled_from(["", "v"]))
def test_every_free_place_is_found_and_no_other(
    plan: Plan, fives: int, now_us: int, moving: str
) -> None:
    length = fives * 5 * MINUTE_US
    plain: set[Place] = set()
    for hours in plan.hours:
        for room in plan.rooms:
            owner = room.hygienist if room.is_hygiene else room.dentist
            if room.key not in hours.rooms if hours.rooms else owner != hours.provider:
                continue
            for start in range(hours.start_us, hours.end_us - length + 1, 5 * MINUTE_US):
                place = Place(start, start + length, room.key, hours.provider)
                in_the_way = [
                    b for b in plan.busy
                    if (b.room == room.key or hours.provider in b.providers)
                    and not (moving and b.visit == moving)
                ] + [b for b in plan.blocked if not b.rooms or room.key in b.rooms]  # fmt: skip
                if (
                    start >= now_us
                    and (start + plan.zone_shift_us) % STEP_US == 0
                    and all(b.end_us <= start or start + length <= b.start_us for b in in_the_way)
                ):
                    plain.add(place)
    found = free(plan, fives * 5, now_us, moving=moving)
    assert set(found) == plain
    assert [place.start_us for place in found] == sorted(place.start_us for place in found)
    for place in found:
        assert why_not(plan, place, now_us, moving=moving) is None


def at(hour: int, minute: int = 0) -> int:
    return (hour * 60 + minute) * MINUTE_US


PLAN = Plan(
    ROOMS,
    (Hours(at(8), at(12), "A"), Hours(at(12), at(17), "A"), Hours(at(8), at(12), "B")),
    (Busy(at(9), at(10), "1", visit="v"), Busy(at(9), at(9, 30), "", frozenset("A"), "v")),
    (Blocked(at(15), at(16)),),
)


def test_why_a_place_is_not_to_be_had() -> None:
    def why(
        start: int, end: int, room: str, provider: str = "A", moving: str = ""
    ) -> Reason | None:
        return why_not(PLAN, Place(start, end, room, provider), at(7), moving=moving)

    assert why(at(11), at(13), "1") is None, "morning and afternoon touch"
    assert why(at(6), at(7), "1") is Reason.IN_PAST
    assert why(at(11), at(12), "9") is Reason.OPERATORY_INVALID
    assert why(at(9, 30), at(10, 30), "1") is Reason.SLOT_TAKEN
    assert why(at(9, 30), at(10, 30), "2") is None, "the provider's own time is over"
    assert why(at(9), at(10), "2") is Reason.SLOT_TAKEN, "the provider is elsewhere"
    assert why(at(9), at(10), "2", "B") is None
    assert why(at(9), at(10), "1", moving="v") is None, "not in its own way"
    assert why(at(14, 30), at(15, 30), "1") is Reason.OUTSIDE_HOURS, "closed"
    assert why(at(16), at(18), "1") is Reason.OUTSIDE_HOURS
    assert why(at(11), at(13), "2", "B") is Reason.OUTSIDE_HOURS
    assert why(at(16), at(18), "2", "H") is None, "nobody keeps hours for H: the practice decides"


def test_whose_room_it_is() -> None:
    assert [provider_of(PLAN, room, at(9)) for room in "12349"] == ["A", "B", "H", "", ""]
    assigned = Plan(ROOMS, (Hours(at(8), at(12), "B", frozenset("1")),), (), ())
    assert provider_of(assigned, "1", at(9)) == "B"
    assert provider_of(assigned, "1", at(13)) == "A"
