"""Whole records at the desk: side by side, named as the practice chose, parked ones moved."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from agent.config import Paths
from agent.control.client import Client
from agent.errors import AgentError
from agent.journal.rows import ParkClass
from agent.model import records as ask
from agent.model.streams import Stream
from agent.runtime.desk import Desk
from tests.desk.conftest import Agent, Bridgework
from tests.journal.oracle import count_findings

ANNA = ask.Place(Stream.PATIENT, 31)
VISIT = ask.Place(Stream.APPOINTMENT, 500)


def park(agent: Agent, key: int, content: bytes = b"c" * 16) -> ask.Place:
    due = datetime.now(UTC) + timedelta(hours=1)
    with agent.journal.turn() as turn:
        turn.park(Stream.PATIENT, key, ParkClass.VALIDATION, "birthdate-missing", content, due)
    return ask.Place(Stream.PATIENT, key)


def parked_count(agent: Agent) -> int:
    assert count_findings(agent.journal) == []
    return agent.journal.numbers(datetime.now(UTC)).parked


def test_a_record_with_all_that_waits_on_it(agent: Agent, filled: Paths) -> None:
    with Client.call(filled.control_socket) as client:
        view = client.ask(ask.ShowRecord(ANNA))
        assert [c.line.field for c in view.conflicts] == ["phone_mobile", "emails"]
        assert view.who == "Example, Anna (1980-02-03)"
        assert view.matching["last_name"] == "Example"
        assert "phone_mobile" not in view.matching
        with pytest.raises(AgentError) as caught:
            client.ask(ask.ShowRecord(VISIT))
        assert caught.value.code == "desk.not_found"
        many = client.ask(ask.ShowConflicts((2, 1, 99)))
        assert [c.line.number for c in many.conflicts] == [2, 1]


@pytest.mark.parametrize(
    ("how", "anna", "contact"),
    [
        ("full", "Example, Anna (1980-02-03)", "Example, Anna (1980-02-03)"),
        ("short", "Anna E.", "Anna E."),
        ("none", "", ""),
    ],
)
def test_names_in_lists_are_as_the_practice_chose(
    agent: Agent, how: str, anna: str, contact: str
) -> None:
    assert agent.service is not None
    desk = Desk(dataclasses.replace(agent.service.desk._rooms, names=how))
    wish = ask.NameThem((ANNA, VISIT, ask.Place(Stream.PATIENT, 999)), ("c-7", "no"), (1,))
    told = desk.answer(wish, None)  # type: ignore[arg-type]  # who asks is the channel's to check
    assert told == ask.Named((anna, anna, ""), (contact, ""), (anna,))


def test_ignored_until_it_changes(agent: Agent, filled: Paths) -> None:
    place = park(agent, 31)
    other = park(agent, 77)
    with Client.call(filled.control_socket) as client:
        told = client.ask(ask.IgnoreParked((place, VISIT), "as the office wants it"))
        assert [line.code for line in told.lines] == ["", "desk.not_open"]
        assert parked_count(agent) == 1
        assert [line.place for line in client.ask(ask.ListParked()).parked] == [other]
        page = client.ask(ask.ListParked(ignored=True))
        assert ([line.place for line in page.parked], page.ignored) == ([place], 1)
        late = datetime.now(UTC) + timedelta(days=400)
        assert [p.key for p in agent.journal.due_parked(late, 10)] == [77]
        park(agent, 31)  # refused once more with the same content: still ignored
        assert parked_count(agent) == 1
        park(agent, 31, b"d" * 16)  # it changed
        assert parked_count(agent) == 2
        client.ask(ask.IgnoreParked((place,)))
        client.ask(ask.HeedParked((place,)))
        assert parked_count(agent) == 2
        client.ask(ask.RetryParked((place,)))
        assert [p.key for p in agent.journal.due_parked(datetime.now(UTC), 10)] == [31]
    with agent.journal.turn() as turn:
        turn.ignore_parked(Stream.PATIENT, [31])
        turn.forget_parked(Stream.PATIENT, [31, 77])
    assert parked_count(agent) == 0
    acts = [row[0] for row in agent.journal._writer.execute("SELECT act FROM audit")]
    assert acts.count("desk.park_ignored") == 2
    assert agent.journal.verify_audit() == []


def test_the_command_says_and_does_the_same(agent: Agent, bridgework: Bridgework) -> None:
    park(agent, 31)
    listed = bridgework("parked", "list").stdout
    assert "patient 31  The CRM says: birthdate-missing" in listed
    done = bridgework("parked", "ignore", "patient", 31, "--note", "known")
    assert (done.exit_code, "ignored until it changes" in done.stdout) == (0, True)
    assert "1 record is ignored" in bridgework("parked", "list").stdout
    assert bridgework("parked", "heed", "patient", 31).exit_code == 0
    assert bridgework("parked", "heed", "patient", 31).exit_code == 1
