"""The desk over the real channel: every request has its answer, roles hold, refusals are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from agent.control import server as server_room
from agent.control.client import Client
from agent.control.protocol import ControlError, Event
from agent.errors import AgentError
from agent.journal.pulled import ConflictState, ContactState, UndoState, Winner
from agent.model import desk as ask
from agent.model import review
from agent.model.asking import MOST, Request, Role
from agent.model.streams import Stream
from agent.runtime.desk_alone import WRITES
from tests.desk import office
from tests.desk.conftest import Agent


@pytest.fixture
def client(agent: Agent) -> Iterator[Client]:
    with Client.call(agent.paths.control_socket) as made:
        yield made


def test_every_request_is_offered(agent: Agent) -> None:
    assert agent.service is not None
    offered = {offer.request for offer in agent.service.desk.offers()}
    assert offered == set(ask.REQUESTS)
    assert offered > WRITES


def test_who_changes_or_sees_values_is_a_manager() -> None:
    viewers = {kind.method for kind in ask.REQUESTS if kind.role is Role.VIEWER}
    assert viewers == {
        "status", "conflicts.list", "policies.list", "contacts.list", "tasks.list",
        "effects.list", "safety.show", "commands.list", "commands.show", "audit.verify",
        "csv.pending", "csv.intakes", "outages.list",
        "activity.list", "pulse", "check.now", "log.read", "parked.list", "map.show", "map.export",
        "metrics", "checks.show",
    }  # fmt: skip


def test_lists_and_commands_carry_no_patient_data(client: Client) -> None:
    page = client.ask(ask.ListCommands())
    said = [
        client.ask(review.ListConflicts("all")),
        client.ask(review.ListContacts("all")),
        client.ask(review.ListTasks("all")),
        client.ask(review.ListEffects()),
        page,
        *(client.ask(ask.ShowCommand(line.command_id)) for line in page.commands),
    ]
    text = str(said)
    for secret in ("Example", "Anna", "1980-02-03", "2125550", "@example", "Harrison", "whitening"):
        assert secret not in text
    assert "phone_mobile" in text  # names of fields are no secret


def test_a_viewer_sees_lists_and_decides_nothing(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_room, "role_of", lambda *_: Role.VIEWER)
    with Client.call(agent.paths.control_socket) as viewer:
        assert viewer.ask(review.ListConflicts()).conflicts
        decisions: list[Request[Any]] = [
            review.ShowConflict(1),
            review.ResolveConflicts((1,), "crm"),
            ask.SetSafety(ask.SafetyMode.STOPPED),
            ask.AcceptSource(),
        ]
        for request in decisions:
            with pytest.raises(ControlError) as refused:
                viewer.ask(request)
            assert refused.value.code == "control.forbidden"
    assert agent.engine.called == []
    assert agent.safety.view().mode is ask.SafetyMode.NORMAL


def test_conflicts_side_by_side(client: Client) -> None:
    view = client.ask(review.ShowConflict(2))
    assert view.who == "Example, Anna (1980-02-03)"
    assert (view.pms, view.crm) == (["anna@example.org"], ["anna.e@example.org"])
    page = client.ask(review.ListConflicts(limit=1))
    assert (page.conflicts[0].number, page.more) == (2, True)
    rest = client.ask(review.ListConflicts(limit=1, before=2))
    assert (rest.conflicts[0].number, rest.more) == (1, False)


def test_resolving_many_says_what_became_of_each(agent: Agent, client: Client) -> None:
    done = client.ask(review.ResolveConflicts((1, 3, 99, 1), "crm", remember=True))
    assert [(line.id, line.code) for line in done.lines] == [
        ("1", ""),
        ("3", "desk.not_open"),  # resolved by rule already
        ("99", "desk.not_found"),
    ]
    assert done.refused == 2
    row = agent.journal.conflict(1)
    assert row is not None
    assert (row.state, row.winner, row.result) == (
        ConflictState.RESOLVED,
        Winner.CRM,
        "+12125550199",
    )
    assert row.actor == _me()
    assert agent.journal.policies()[Stream.PATIENT, "phone_mobile"] is Winner.CRM
    again = client.ask(review.UndoResolutions((1, 2)))
    assert [line.code for line in again.lines] == ["", "desk.not_open"]
    assert len(client.ask(review.ListConflicts()).conflicts) == 2


def test_nonsense_is_refused_before_anything_is_called(agent: Agent, client: Client) -> None:
    nonsense: list[Request[Any]] = [
        review.ResolveConflicts((1,), "nobody"),
        review.ResolveConflicts((), "pms"),
        review.ResolveConflicts(tuple(range(MOST + 1)), "pms"),
        review.ResolveConflicts((1,), "value", "x", remember=True),
        review.ListConflicts(limit=0),
        review.ListConflicts("closed"),
        review.PreviewUndo(review.UndoScope()),
        review.PreviewUndo(review.UndoScope(numbers=(1,), group="cmd-1")),
        ask.ListCommands(states=("gone",)),
        ask.VerifyAudit("not a head"),
        ask.Pause(datetime(2026, 1, 1)),  # noqa: DTZ001 - a clock without its zone
        review.MergeContacts("c-7", "c-7"),
    ]
    for request in nonsense:
        with pytest.raises(AgentError) as told:
            client.ask(request)
        assert told.value.code == "desk.bad_value", request
    assert agent.engine.called == []


def test_people_are_matched_by_people(agent: Agent, client: Client) -> None:
    view = client.ask(review.ShowContact("c-7"))
    assert [c.key for c in view.candidates] == [31, 77]
    assert view.candidates[1].evidence["first_name"].likeness == "similar"
    assert view.candidates[0].person["birthdate"] == "1980-02-03"
    assert view.person["last_name"] == "Example"
    client.ask(review.RejectContact("c-7"))
    row = agent.journal.contact("c-7")
    assert row is not None
    assert (row.state, sorted(map(str, row.rejected))) == (ContactState.UNLINKED, ["31", "77"])
    client.ask(review.ApproveContact("c-7", 31))
    row = agent.journal.contact("c-7")
    assert row is not None
    assert (row.state, row.key) == (ContactState.LINKED, 31)
    client.ask(review.MergeContacts("c-7", "c-8"))
    assert agent.engine.called == [("merge", "c-7", "c-8")]
    with pytest.raises(AgentError) as told:
        client.ask(review.ApproveContact("c-99", 31))
    assert (told.value.code, told.value.facts["id"]) == ("desk.not_found", "c-99")


def test_a_task_ends_once(client: Client) -> None:
    view = client.ask(review.ShowTask(1))
    assert view.who == "Example, Anna (1980-02-03)"
    assert view.fields["note"] == "Asked about whitening."
    for wrong in (review.CloseTasks((1, 2), True, key=9), review.CloseTasks((1,), False, key=9)):
        with pytest.raises(AgentError) as told:
            client.ask(wrong)
        assert told.value.code == "desk.bad_value"
    assert client.ask(review.CloseTasks((1,), done=True, key=9)).refused == 0
    for done in (True, False):
        again = client.ask(review.CloseTasks((1,), done=done))
        assert [line.code for line in again.lines] == ["desk.not_open"]
    assert [line.number for line in client.ask(review.ListTasks()).tasks] == [2, 3]


@pytest.mark.parametrize(
    "scope",
    [
        review.UndoScope(numbers=(1, 2, 2)),
        review.UndoScope(group="cmd-1"),
        review.UndoScope(since=datetime.now(UTC) - timedelta(days=1)),
    ],
    ids=["numbers", "group", "time"],
)
def test_undo_by_operation_group_or_time(
    agent: Agent, client: Client, scope: review.UndoScope
) -> None:
    plan = client.ask(review.PreviewUndo(scope))
    assert [s.number for s in plan.steps] == sorted((s.number for s in plan.steps), reverse=True)
    ready = [step for step in plan.steps if not step.code]
    assert [(s.number, s.who) for s in ready] == [(1, "Example, Anna (1980-02-03)")]
    (field,) = ready[0].fields
    assert (field.field, field.back) == ("phone_mobile", "+12125550101")
    client.ask(review.ApplyUndo(scope))
    row = agent.journal.effect(1)
    assert row is not None
    assert row.undo is UndoState.USED


def test_an_unknown_write_is_settled_by_a_person(agent: Agent, client: Client) -> None:
    (line,) = client.ask(review.ListEffects(unknown=True)).effects
    client.ask(review.SettleEffect(line.number, happened=True, key=500))
    assert client.ask(review.ListEffects(unknown=True)).effects == ()
    with pytest.raises(AgentError) as told:
        client.ask(review.SettleEffect(line.number, happened=False))
    assert told.value.code == "desk.not_open"


def test_switches_hold_and_are_audited(agent: Agent, client: Client) -> None:
    canary = ask.Canary(operatories=("3",), patients=("31",))
    view = client.ask(ask.SetSafety(ask.SafetyMode.CANARY, canary))
    assert (view.mode, view.canary) == (ask.SafetyMode.CANARY, canary)
    assert client.ask(ask.SetSafety(ask.SafetyMode.READ_ONLY)).canary == canary  # lists are kept
    assert client.ask(ask.SuspendBooking()).suspended == "booking.by_hand"
    assert client.ask(ask.ClearSuspension()).suspended == ""
    assert agent.journal.verify_audit() == []
    assert client.ask(ask.VerifyAudit()).holds


def test_pause_outlives_the_agent(agent: Agent, client: Client) -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    client.ask(ask.Pause(until))
    assert agent.paths.pause_file.read_text() == until.isoformat()
    assert agent.obeyed == 1
    assert client.ask(ask.Resume()).was_paused
    assert not agent.paths.pause_file.exists()
    assert not client.ask(ask.Resume()).was_paused


def test_brakes_and_source_take_a_persons_word(agent: Agent, client: Client) -> None:
    client.ask(ask.AllowBrakes((Stream.PATIENT, Stream.CLAIM), for_s=60.0))
    client.ask(ask.AcceptSource())
    assert agent.engine.called == [
        ("allow", (Stream.PATIENT, Stream.CLAIM), 60.0),
        ("accept_source",),
    ]


def test_what_happens_is_told_as_it_happens(agent: Agent, client: Client) -> None:
    assert agent.service is not None
    service = agent.service
    client.subscribe()
    service.tick(office.report(agent.journal))
    kinds = {e.kind: e.body for e in _events(client, 3)}
    assert kinds["status"]["state"] == "up_to_date"
    assert kinds["review"] == {
        "conflicts": 2, "contacts": 1, "tasks": 3, "unknown": 1, "parked": 0
    }  # fmt: skip
    assert kinds["safety"]["mode"] == "normal"
    with agent.journal.turn() as turn:
        turn.note("reconcile.differs", Stream.PATIENT, 3)
    client.ask(review.CloseTasks((1,), done=True))
    service.tick(office.report(agent.journal))
    told = {e.kind: e.body for e in _events(client, 3)}
    assert told["activity"]["code"] == "reconcile.differs"
    assert told["review"]["tasks"] == 2
    service.tick(office.report(agent.journal))
    assert [e.kind for e in _events(client, 1)] == ["status"]  # nothing else is new
    assert client.next_event(0.02) is None
    assert "Example" not in str([kinds, told])


def _events(client: Client, count: int) -> list[Event]:
    found = [client.next_event(5.0) for _ in range(count)]
    return [event for event in found if isinstance(event, Event)]


def _me() -> str:
    return psutil.Process().username()
