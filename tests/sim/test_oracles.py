"""What an oracle blames on the agent, and what it does not."""

from __future__ import annotations

import pytest

from tests.sim.kernel import Violation
from tests.sim.world import World

PLACE = {"PatNum": "1", "AptStatus": "1", "AptDateTime": "2027-01-05 09:00:00", "Op": "1"}


def holds(world: World) -> bool:
    try:
        world.oracles._check_places()
    except Violation:
        return False
    return True


def test_a_place_taken_twice_is_the_agents_until_one_has_left() -> None:
    world = World(1)
    pms = world.pms
    pms.insert("appointment", PLACE, by="p1")
    assert holds(world)
    ours = pms.insert("appointment", PLACE, by="api")
    assert not holds(world)
    pms.update("appointment", ours, {"AptStatus": "3"}, by="api")
    assert holds(world)


def test_who_is_put_back_by_a_person_is_the_persons() -> None:
    """Seed 93: the front desk put a visit back that had lost its place and had been taken off."""
    world = World(1)
    pms = world.pms
    pms.insert("appointment", PLACE, by="p1")
    ours = pms.insert("appointment", PLACE, by="api")
    pms.update("appointment", ours, {"AptStatus": "3"}, by="api")
    pms.update("appointment", ours, {"AptStatus": "1"}, by="p2")
    assert holds(world)
    pms.update("appointment", ours, {"Note": "said yes"}, by="api")  # it stood there before
    assert holds(world)
    pms.update("appointment", ours, {"AptStatus": "3"}, by="p2")
    pms.update("appointment", ours, {"AptStatus": "1"}, by="api")
    assert not holds(world)


@pytest.mark.parametrize("who_leaves", ["other", "ours"])
def test_a_visit_moved_onto_another_is_the_agents(who_leaves: str) -> None:
    world = World(1)
    pms = world.pms
    other = pms.insert("appointment", PLACE, by="p1")
    ours = pms.insert("appointment", {**PLACE, "Op": "2"}, by="p1")
    pms.update("appointment", ours, {"Op": "1"}, by="api")
    assert not holds(world)
    pms.delete("appointment", other if who_leaves == "other" else ours, by="p1")
    assert holds(world)
