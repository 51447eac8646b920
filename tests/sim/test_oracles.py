"""What an oracle blames on the agent, and what it does not."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
import structlog
from structlog import DropEvent

from agent.journal.pulled import CommandState
from agent.model.commands import EndState
from agent.model.effects import Effect, EffectKind
from agent.model.streams import Stream
from agent.model.writing import Change, Verb
from tests.sim.agent import Process
from tests.sim.coverage import aim_of, reachable
from tests.sim.faults import AIMED, Kind, Strike
from tests.sim.history import canonical
from tests.sim.kernel import Outside, Violation
from tests.sim.pms import Row
from tests.sim.promises import FAILURES, canary
from tests.sim.world import World, run, seeds_plan

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


def booking(key: int | None, start: str) -> SimpleNamespace:
    """A write that waits for a person, as the journal tells of it."""
    fields = {"operatory_key": PLACE["Op"], "start": start}
    effect = Effect(EffectKind.BOOK, Stream.APPOINTMENT, None, fields)
    return SimpleNamespace(effect=effect, key=key, command_id="c")


def test_the_word_unknown_excuses_only_what_a_person_is_shown() -> None:
    world = World(1)
    world.pms.insert("appointment", PLACE, by="p1")
    ours = world.pms.insert("appointment", PLACE, by="api")
    here = datetime.fromisoformat(PLACE["AptDateTime"]).replace(tzinfo=world.pms.zone)
    there = here + timedelta(hours=1)
    rows: list[SimpleNamespace] = []
    shown = SimpleNamespace(effects_unknown=lambda: rows, tasks=list)
    world.process = SimpleNamespace(journal=shown)  # type: ignore[assignment]
    unknown = SimpleNamespace(outcomes=[SimpleNamespace(state=EndState.UNKNOWN)])
    world.crm.asked["c"] = unknown  # type: ignore[assignment]
    assert not holds(world)  # told, and nobody here is shown it
    rows[:] = [booking(ours, there.isoformat())]
    assert holds(world)
    rows[:] = [booking(None, here.isoformat())]  # its answer was lost: no number
    assert holds(world)
    rows[:] = [booking(None, there.isoformat())]
    assert not holds(world)
    rows[:] = [booking(ours, here.isoformat())]
    unknown.outcomes[0].state = EndState.APPLIED
    assert not holds(world)


def test_a_task_to_take_a_visit_off_is_shown_too() -> None:
    """Seed 14167: while another program filled the table again the API knew no such visit."""
    world = World(1)
    world.pms.insert("appointment", PLACE, by="p1")
    ours = world.pms.insert("appointment", PLACE, by="api")
    off, note = {"status": "unscheduled"}, {"note": "double booking"}

    def holds_with(key: int, fields: dict[str, str], told: EndState) -> bool:
        effect = Effect(EffectKind.SET_STATUS, Stream.APPOINTMENT, key, fields)
        task = SimpleNamespace(effect=effect, command_id="c")
        shown = SimpleNamespace(effects_unknown=list, tasks=lambda: [task])
        world.process = SimpleNamespace(journal=shown)  # type: ignore[assignment]
        asked = SimpleNamespace(outcomes=[SimpleNamespace(state=told)])
        world.crm.asked["c"] = asked  # type: ignore[assignment]
        return holds(world)

    assert holds_with(ours, off, EndState.TASK)
    assert not holds_with(ours, off, EndState.REJECTED)  # the CRM was told otherwise
    assert not holds_with(ours + 1, off, EndState.TASK)
    assert not holds_with(ours, note, EndState.TASK)


def test_it_is_not_quiet_while_a_command_waits_of_which_the_crm_knows_the_end() -> None:
    """Seed 10493: it was asked again of a journal that had forgotten it."""
    world = World(1)

    def unsettled(state: CommandState) -> list[str]:
        row = SimpleNamespace(command=SimpleNamespace(command_id="c"), state=state)
        journal = SimpleNamespace(commands_open=lambda: [row])
        return world.oracles._commands(cast("Process", SimpleNamespace(journal=journal)))

    assert unsettled(CommandState.RECEIVED) == ["C4: c is still received"]
    assert unsettled(CommandState.UNKNOWN) == []  # a person's


def test_a_number_given_away_again_is_another_record() -> None:
    """Seed 5627."""
    world = World(1)
    told = {**PLACE, "Note": "c1-6"}
    ours = world.pms.insert("appointment", told, by="api")
    world.pms.delete("appointment", ours, by="vendor")
    world.pms.insert("appointment", {**told, "Note": "p2-12"}, by="p2", key=ours)
    world.pms.insert("appointment", told, by="api")
    with pytest.raises(Violation, match="S2"):
        world.pms.insert("appointment", told, by="api")


def test_a_number_of_another_database_is_another_record() -> None:
    """Seed 412: a late write went into the wrong database, and was made once more in the true one
    when its number there was another's already."""
    world = World(1)
    pms = world.pms
    true = pms.backup()
    world.oracles.has_met = True
    world.oracles.wrong_source(True)
    wish = {**PLACE, "Note": "c2-7"}
    lost = pms.insert("appointment", wish, by="api")
    pms.restore(true)
    world.oracles.wrong_source(False)
    assert pms.insert("appointment", {**PLACE, "Note": "c2-8"}, by="api") == lost
    pms.insert("appointment", wish, by="api")
    with pytest.raises(Violation, match="twice"):
        pms.insert("appointment", wish, by="api")


def test_a_number_given_in_an_emptied_database_is_not_the_record_that_has_it() -> None:
    """Seed 7967: as in the one before, but the number was long another's in the true one."""
    world = World(1)
    pms = world.pms
    world.oracles.has_met = True
    pms.insert("commlog", {"PatNum": "1", "Note": "old"}, by="p1")
    true = pms.backup()
    table = pms.tables["commlog"]
    table.rows, table.next_key = {}, 1
    world.oracles.wrong_source(True)
    wish = {"PatNum": "1", "Note": "c1-105"}
    lost = pms.insert("commlog", wish, by="api")
    pms.restore(true)
    world.oracles.wrong_source(False)
    assert lost in table.rows
    pms.insert("commlog", wish, by="api")
    with pytest.raises(Violation, match="twice"):
        pms.insert("commlog", wish, by="api")


def test_what_waited_since_the_true_database_may_leave_before_the_first_look() -> None:
    """Seed 3274: the database was another's while the agent was down with much to send."""
    world = World(1)
    oracles = world.oracles
    oracles.has_met = True
    oracles.wrong_source(True)
    chain = SimpleNamespace(epoch=1, verify_audit=list)
    told = [Change(b"", Stream.RECALL, key, Verb.UPSERT, 1, b"", b"{}") for key in range(1, 31)]

    def push() -> None:
        for change in told:
            oracles._landed(change, None)

    world.kernel.now = 60.0
    oracles.started(cast("Process", SimpleNamespace(journal=chain)))
    push()
    world.kernel.now = 70.0
    with pytest.raises(Violation, match="not ours"):
        push()


def test_what_is_gone_is_not_late() -> None:
    """Seed 7200: changed, and deleted without a trace before anybody looked."""
    history = World(1).oracles.history
    old = Row({"Note": "a"}, None)
    history.seen("recall", 99, old, 1.0)
    told = canonical("recall", 99, old)
    history.landed(Change(b"", Stream.RECALL, 99, Verb.UPSERT, 1, told, b"{}"), 2.0)
    history.seen("recall", 99, Row({"Note": "b"}, None), 10.0)
    history.expect("recall", 99, 10.0, within=5.0)
    history.seen("recall", 99, None, 11.0)
    assert history.overdue(16.0) is None
    history.expect("recall", 99, 20.0, within=5.0)  # that it is gone, where a log told
    assert history.overdue(26.0) == "recall 99"


def test_a_proof_is_held_against_what_was_then_or_later() -> None:
    history = World(1).oracles.history
    old, new = Row({"Note": "a"}, None), Row({"Note": "b"}, None)
    for at, row in ((10.0, old), (20.0, new), (30.0, None)):
        history.seen("recall", 99, row, at)
    first, second = (canonical("recall", 99, row) for row in (old, new))
    assert history.had("recall", 99, first, since=15.0)
    assert not history.had("recall", 99, first, since=25.0)
    assert history.had("recall", 99, second, since=25.0)
    assert history.had("recall", 99, b"", since=5.0)  # not there yet
    assert not history.had("recall", 99, second, since=35.0)
    assert not history.was_gone("recall", 99, by=29.0)
    assert history.was_gone("recall", 99, by=31.0)


def test_what_was_expected_is_in_time_although_more_has_happened_since() -> None:
    """Seed 2570: a call of ours, deleted without a trace before it had even been sent."""
    history = World(1).oracles.history
    row = Row({"Note": "a"}, None)
    told = canonical("recall", 99, row)
    history.seen("recall", 99, row, 10.0)
    history.expect("recall", 99, 10.0, within=5.0)
    history.seen("recall", 99, None, 10.1)
    history.landed(Change(b"", Stream.RECALL, 99, Verb.UPSERT, 1, told, b"{}"), 11.0)
    assert history.overdue(16.0) is None
    history.expect("recall", 99, 20.0, within=5.0)  # that it is gone, this time
    assert history.overdue(24.0) is None
    assert history.overdue(26.0) == "recall 99"


@pytest.mark.parametrize("told", ["Ashdownb", "12 First Street", "+12125550107", "p3@example.org"])
def test_a_log_that_names_somebody_is_seen(told: str) -> None:
    with pytest.raises(Violation, match="S17"):
        canary(None, "info", {"event": "page.taken", "rows": [told]})
    with pytest.raises(Violation, match="S17"):
        canary(None, "info", {"event": "lane.bug", "exc_info": ValueError(told)})
    with pytest.raises(DropEvent):
        canary(None, "info", {"event": "page.taken", "rows": 12})


def test_who_goes_on_after_a_stop_is_seen_unless_it_waits_for_a_server() -> None:
    world = World(1)
    kernel = world.kernel

    def waits() -> None:
        with Outside(kernel):
            kernel.sleep(10.0)
        kernel.sleep(10.0)

    def ticks() -> None:
        for _ in range(60):
            kernel.sleep(0.5)

    kernel.spawn("lane", waits, process="agent")
    for name in ("tick", "tock"):  # a task alone would run on to its end
        kernel.spawn(name, ticks)
    kernel.run(lambda: False, most_s=9.0)
    world.oracles.promises.check_stop(0.0)
    kernel.run(lambda: False, most_s=11.0)
    world.oracles.promises.check_stop(0.0)  # it may end within two seconds of the answer
    kernel.run(lambda: False, most_s=13.0)
    with pytest.raises(Violation, match="V6"):
        world.oracles.promises.check_stop(0.0)


def test_hammering_is_seen() -> None:
    promises = World(1).oracles.promises
    for _ in range(FAILURES):
        promises.push_failed()
    with pytest.raises(Violation, match="V2"):
        promises.push_failed()


def test_every_cell_is_aimed_at_in_its_turn() -> None:
    cells = reachable()
    assert {aim_of(seed) for seed in range(len(cells))} == {(Kind(k), s, n) for k, s, n in cells}


def test_a_moment_strikes_in_the_state_its_run_aims_at() -> None:
    seed = next(
        n for n in range(1, 5000) if n % 5 and seeds_plan(n).aim == (Kind.KILL, "steady", "fate")
    )
    try:
        result = run(seed)
    finally:
        structlog.reset_defaults()
    assert Strike(Kind.KILL, AIMED) in result.fired
    assert result.hits["kill", "steady", "fate"]
