"""What is seen of a source that is not to be believed decides nothing: a vendor's update that
empties tables, a backup put back while a write was on its way, a clock that is set meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from agent.journal.pulled import EffectState
from agent.model.commands import CommandType, EndState
from agent.model.effects import Effect, Written
from agent.sync.apply import ApplyTuning
from agent.sync.guards import Unbelieved
from agent.sync.looks import Looks
from agent.sync.places import Places
from agent.sync.races import Races
from agent.sync.recover import Recover
from agent.sync.twoway import TwoWayTuning
from tests.sync.pullrig import ZONE, Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


@contextmanager
def rebuilt(desk: Desk, table: str) -> Iterator[None]:
    """The vendor's update has copied the table away and fills it again later."""
    desk.run(f"CREATE TABLE tempConv_{table} AS SELECT * FROM {table}")
    desk.run(f"DELETE FROM {table}")
    yield
    desk.run(f"DELETE FROM {table}")
    desk.run(f"INSERT INTO {table} SELECT * FROM tempConv_{table}")
    desk.run(f"DROP TABLE tempConv_{table}")
    desk.look_at_source()


@contextmanager
def emptied(desk: Desk, above: int = 0) -> Iterator[None]:
    """Another program empties the schedule for a while, and nothing announces it; ``above``: it
    has filled it again up to this number."""
    desk.run("CREATE TABLE kept AS SELECT * FROM appointment")
    desk.run(f"DELETE FROM appointment WHERE AptNum > {above}")
    yield
    desk.run(f"INSERT INTO appointment SELECT * FROM kept WHERE AptNum > {above}")
    desk.settle()


@pytest.mark.parametrize("kind", [CommandType.PATIENT_UPDATE, CommandType.APPOINTMENT_BOOK])
def test_nobody_is_gone_because_a_table_is_rebuilt_just_now(desk: Desk, kind: CommandType) -> None:
    key = desk.patient()
    if kind is CommandType.APPOINTMENT_BOOK:
        ident = desk.book(who=key)
    else:
        ident = desk.ask(kind, {"fields": {"city": "Cloudville"}}, target=("patient", str(key)))
    desk.two.pull.step()
    with rebuilt(desk, "patient"):
        with pytest.raises(Unbelieved):
            desk.apply_round()
        assert desk.engine.pms.code == "pms.update_running"
        assert desk.outcome(ident) is None
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    assert not desk.journal.conflicts()


def test_no_place_is_free_because_the_schedule_is_rebuilt_just_now(desk: Desk) -> None:
    desk.book()
    desk.settle()
    rival = desk.book(who=desk.patient(1))
    desk.two.pull.step()
    written = len(desk.writer.written)
    with rebuilt(desk, "appointment"), pytest.raises(Unbelieved):
        desk.apply_round()
    desk.settle()
    outcome = desk.outcome(rival)
    assert outcome is not None
    assert outcome.state is EndState.REJECTED
    assert len(desk.writer.written) == written


def test_no_race_is_won_because_the_schedule_is_rebuilt_just_now(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our visit is in the table again already, the one it stands on is not."""
    true = Places.lost

    def race(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.office_books()

    def half_filled(*asked: Any) -> bool:
        monkeypatch.setattr(Places, "lost", true)
        desk.run("CREATE TABLE tempConv_appointment AS SELECT * FROM appointment")
        desk.run("DELETE FROM appointment WHERE PatNum=?", desk.patient(2))
        return true(*asked)

    desk.writer.after = race
    monkeypatch.setattr(Places, "lost", half_filled)
    ident = desk.book()
    desk.two.pull.step()
    with pytest.raises(Unbelieved):
        desk.apply_round()
    desk.run("DELETE FROM appointment")
    desk.run("INSERT INTO appointment SELECT * FROM tempConv_appointment")
    desk.run("DROP TABLE tempConv_appointment")
    desk.look_at_source()
    desk.settle()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.REJECTED
    assert [row[2] for row in desk.visits() if row[1] == desk.patient()] == [3]  # unscheduled


def test_nothing_is_written_again_because_its_table_is_rebuilt_just_now(desk: Desk) -> None:
    desk.writer.lose_answer_once()
    ident = desk.book()
    desk.two.pull.step()
    desk.apply_round()
    with rebuilt(desk, "appointment"):
        for _ in range(6):
            desk.clock.advance(10.0)
            desk.engine._note_read()  # the live lane has not looked yet
            with pytest.raises(Unbelieved):
                desk.apply_round()
    desk.settle()
    assert [row.state for row in desk.effects(ident)] == [EffectState.VERIFIED]
    assert len(desk.visits()) == 1


def test_a_write_under_way_when_a_backup_was_put_back_is_a_persons(desk: Desk) -> None:
    """It is carried out late, under a key below the floor: not found is not proof of not done."""
    desk.book(3, who=desk.patient(1))
    desk.settle()
    stuck = desk.writer.hang_once()
    ident = desk.book()
    desk.work(1)
    desk.run("DELETE FROM appointment")
    desk.run("DELETE FROM histappointment")
    desk.engine.accept_source()
    desk.look_at_source()
    desk.writer.inner.write(stuck[0])
    desk.run("UPDATE appointment SET AptNum=1")  # as the older database gives its keys away
    desk.run("DELETE FROM histappointment")
    for _ in range(8):
        desk.clock.advance(10.0)
        desk.apply_round()
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.UNKNOWN
    assert len(desk.visits()) == 1


def test_a_clock_set_and_set_back_ends_no_wait_for_a_lost_answer(
    open_desk: Callable[..., Desk],
) -> None:
    slow = TwoWayTuning(zone=ZONE, apply=ApplyTuning(probe_window_s=65.0), poll_wait_s=0)
    desk = open_desk(tuning=slow)
    stuck = desk.writer.hang_once()
    desk.clock.step(-3600.0)
    ident = desk.book()
    desk.work(1)
    desk.clock.step(3600.0)
    for _ in range(5):
        desk.clock.advance(10.0)
        desk.work()
    assert not desk.writer.written
    desk.writer.inner.write(stuck[0])  # the practice's program gets to it at last
    desk.settle()
    assert [row.state for row in desk.effects(ident)] == [EffectState.VERIFIED]
    assert len(desk.visits()) == 1


def test_a_clock_set_forward_during_a_look_ends_no_wait_for_a_lost_answer(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = TwoWayTuning(zone=ZONE, apply=ApplyTuning(probe_window_s=65.0), poll_wait_s=0)
    desk = open_desk(tuning=slow)
    stuck = desk.writer.hang_once()
    ident = desk.book()
    desk.work(1)
    for _ in range(3):
        desk.clock.advance(10.0)
        desk.work()
    look = Recover._sight

    def sight(*asked: Any) -> Any:
        monkeypatch.setattr(Recover, "_sight", look)
        desk.clock.step(3600.0)
        return look(*asked)

    monkeypatch.setattr(Recover, "_sight", sight)
    desk.clock.advance(10.0)
    desk.work()
    assert Recover._sight is look  # it was set
    assert not desk.writer.written
    desk.writer.inner.write(stuck[0])
    desk.settle()
    assert [row.state for row in desk.effects(ident)] == [EffectState.VERIFIED]
    assert len(desk.visits()) == 1


@pytest.mark.parametrize(("room", "step"), [(Places, "lost"), (Races, "_take_back")])
def test_a_lost_race_is_not_over_because_the_visit_cannot_be_seen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, room: type, step: str
) -> None:
    true, empty = getattr(room, step), ExitStack()

    def race(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.office_books()

    def vanish(*asked: Any) -> Any:
        monkeypatch.setattr(room, step, true)
        empty.enter_context(emptied(desk))
        return true(*asked)

    desk.writer.after = race
    monkeypatch.setattr(room, step, vanish)
    ident = desk.book()
    with empty:
        for _ in range(4):
            desk.work()
            desk.clock.advance(20.0)
        assert desk.outcome(ident) is None
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.REJECTED
    assert [row[2] for row in desk.visits() if row[1] == desk.patient()] == [3]  # unscheduled


def wait_long(desk: Desk) -> None:
    for _ in range(6):
        desk.clock.advance(20.0)
        desk.work()


@pytest.fixture
def no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A practice that keeps no copies of visits as they were: they would tell what was made."""
    monkeypatch.setattr(Looks, "past", lambda *_, **__: None)


@pytest.mark.usefixtures("no_copies")
@pytest.mark.parametrize("is_half_filled", [False, True])
def test_a_write_carried_out_late_is_not_repeated_because_the_table_is_empty(
    desk: Desk, *, is_half_filled: bool
) -> None:
    """Seed 8071: the booking stood on the schedule when another program emptied it for a while."""
    ((newest,),) = desk.rows("SELECT MAX(AptNum) FROM appointment")
    stuck = desk.writer.hang_once()
    ident = desk.book()
    desk.work(1)
    desk.writer.inner.write(stuck[0])  # the practice's program gets to it at last
    desk.tick()
    with emptied(desk, newest if is_half_filled else 0):
        wait_long(desk)
        assert not desk.writer.written
        assert desk.outcome(ident) is None
    assert [row.state for row in desk.effects(ident)] == [EffectState.VERIFIED]
    assert len(desk.visits()) == 1


@pytest.mark.usefixtures("no_copies")
def test_a_write_confirmed_is_not_called_undone_because_the_table_is_empty(desk: Desk) -> None:
    empty = ExitStack()

    def vanish(effect: Effect, done: Written) -> None:
        desk.writer.after = None
        desk.tick()
        empty.enter_context(emptied(desk))

    desk.writer.after = vanish
    ident = desk.book()
    with empty:
        wait_long(desk)
        assert desk.outcome(ident) is None
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    assert [row.state for row in desk.effects(ident)] == [EffectState.VERIFIED]
    assert len(desk.visits()) == 1


def test_a_repeat_waits_while_what_was_newest_at_the_planning_is_not_there(desk: Desk) -> None:
    desk.book(3, who=desk.patient(1))
    desk.settle()
    before = len(desk.visits())
    written = len(desk.writer.written)
    desk.writer.hang_once()  # and it is never carried out
    ident = desk.book()
    desk.work(1)
    desk.tick()
    with emptied(desk):
        wait_long(desk)
        assert len(desk.writer.written) == written
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.state is EndState.APPLIED
    assert len(desk.visits()) == before + 1
