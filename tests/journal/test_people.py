"""Conflicts, policies and contacts: one question one row, nothing of a person's decision lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent.journal.journal import Journal
from agent.journal.pulled import ConflictKind, ConflictState, ContactState, Winner
from agent.model.streams import Stream
from tests.journal.oracle import query
from tests.journal.pulling import contact
from tests.support.clock import START

PATIENT = Stream.PATIENT


def collide(journal: Journal, **more: Any) -> int:
    given: dict[str, Any] = {
        "base": "+15550100",
        "pms": "+15550101",
        "crm": "+15550102",
        "result": None,
        "winner": None,
        "auto": False,
        "actor": "agent",
        "command_id": "c-1",
    }
    where = (PATIENT, more.pop("key", 12), more.pop("field", "phone_mobile"))
    kind = more.pop("kind", ConflictKind.EDIT_EDIT)
    with journal.turn() as turn:
        return turn.open_conflict(*where, kind, "ask", **{**given, **more})


# --- conflicts ------------------------------------------------------------------------------------


def test_a_conflict_is_shown_whole(opened: Callable[[], Journal]) -> None:
    journal = opened()
    number = collide(journal, base=None, pms=["a", 1], crm={"x": None})
    row = opened().conflict(number)
    assert row is not None
    assert (row.stream, row.key, row.field) == (PATIENT, 12, "phone_mobile")
    assert (row.base, row.pms, row.crm, row.result) == (None, ["a", 1], {"x": None}, None)
    assert (row.kind, row.policy, row.winner) == (ConflictKind.EDIT_EDIT, "ask", None)
    assert (row.state, row.told, row.at) == (ConflictState.OPEN, False, START)
    assert (row.actor, row.command_id) == ("agent", "c-1")
    assert opened().numbers(START).open_conflicts == 1
    assert opened().conflict(99) is None


def test_the_same_question_is_one_row(journal: Journal) -> None:
    number = collide(journal)
    with journal.turn() as turn:
        turn.conflict_told(number, ConflictState.OPEN)
    assert collide(journal) == number
    assert journal.conflicts_untold(9) == []  # nothing new to tell
    assert collide(journal, pms="+15550103") == number
    [row] = journal.conflicts_untold(9)
    assert row.pms == "+15550103"
    others = {collide(journal, command_id="c-2"), collide(journal, field="email"),
              collide(journal, key=13), collide(journal, command_id=None)}  # fmt: skip
    assert len(others | {number}) == 5
    assert [row.number for row in journal.conflicts_of("c-1")] == [number, 3, 4]
    assert len(journal.conflicts_on(PATIENT, 12)) == 4


def test_every_automatic_resolution_keeps_the_loser(journal: Journal) -> None:
    auto = {"auto": True, "winner": Winner.PMS, "result": "+15550101"}
    first = collide(journal, **auto)
    assert collide(journal, **auto) == first  # the same step again after a crash
    feed = collide(journal, **auto, command_id=None)
    assert collide(journal, **auto, command_id=None) != feed  # the next collision is another
    row = journal.conflict(first)
    assert row is not None
    assert (row.state, row.winner, row.crm) == (ConflictState.AUTO, Winner.PMS, "+15550102")
    assert journal.numbers(START).open_conflicts == 0
    assert journal.conflicts() == []
    assert len(journal.conflicts(ConflictState.AUTO)) == 3


def test_a_person_settles_once(journal: Journal) -> None:
    number = collide(journal)
    with journal.turn() as turn:
        turn.conflict_told(number, ConflictState.OPEN)
        turn.settle_conflict(number, Winner.VALUE, "+15550109", "desk")
    lsn = journal.lsn
    with journal.turn() as turn:
        turn.settle_conflict(number, Winner.VALUE, "+15550109", "desk")
    assert journal.lsn == lsn
    with pytest.raises(ValueError, match="not open"), journal.turn() as turn:
        turn.settle_conflict(number, Winner.CRM, "+15550102", "owner")
    row = journal.conflict(number)
    assert row is not None
    assert (row.state, row.winner, row.result) == (
        ConflictState.RESOLVED, Winner.VALUE, "+15550109",
    )  # fmt: skip
    assert (row.base, row.pms, row.crm) == ("+15550100", "+15550101", "+15550102")
    # An acknowledgement of the open state comes late: the resolution is still to be told.
    with journal.turn() as turn:
        turn.conflict_told(number, ConflictState.OPEN)
    assert len(journal.conflicts_untold(9)) == 1
    with journal.turn() as turn:
        turn.conflict_told(number, ConflictState.RESOLVED)
    assert journal.conflicts_untold(9) == []
    with pytest.raises(ValueError, match="no such"), journal.turn() as turn:
        turn.settle_conflict(99, Winner.PMS, None, "desk")


def test_undoing_a_resolution_asks_anew(journal: Journal) -> None:
    number = collide(journal)
    with pytest.raises(ValueError, match="not resolved"), journal.turn() as turn:
        turn.undo_conflict(number, "desk")
    with journal.turn() as turn:
        turn.settle_conflict(number, Winner.CRM, "+15550102", "desk")
    with journal.turn() as turn:
        anew = turn.undo_conflict(number, "owner")
    states = {row.number: row.state for row in journal.conflicts(None)}
    assert states == {number: ConflictState.UNDONE, anew: ConflictState.OPEN}
    row = journal.conflict(anew)
    assert row is not None
    assert (row.base, row.pms, row.crm, row.result, row.winner) == (
        "+15550100", "+15550101", "+15550102", None, None,
    )  # fmt: skip
    assert row.command_id == "c-1"
    acts = query(journal, "SELECT act FROM audit WHERE act LIKE 'conflict.%' ORDER BY seq")
    assert [act for (act,) in acts] == [
        "conflict.open", "conflict.resolved", "conflict.undone", "conflict.open",
    ]  # fmt: skip


def test_conflicts_come_page_by_page(journal: Journal) -> None:
    made = [collide(journal, key=key) for key in range(5)]
    page = [row.number for row in journal.conflicts(limit=2)]
    assert page == made[:2:-1]
    assert [row.number for row in journal.conflicts(limit=9, before=page[-1])] == made[2::-1]


def test_policies_are_remembered_changed_and_forgotten(opened: Callable[[], Journal]) -> None:
    journal = opened()
    with journal.turn() as turn:
        turn.remember_policy(PATIENT, "phone_mobile", Winner.CRM, "owner")
        turn.remember_policy(PATIENT, "emails", Winner.PMS, "owner")
        turn.remember_policy(PATIENT, "phone_mobile", Winner.PMS, "desk")
    journal = opened()
    assert journal.policies() == {
        (PATIENT, "phone_mobile"): Winner.PMS,
        (PATIENT, "emails"): Winner.PMS,
    }
    assert [(row.field, row.actor) for row in journal.policy_rows()] == [
        ("emails", "owner"),
        ("phone_mobile", "desk"),
    ]
    with journal.turn() as turn:
        turn.forget_policy(PATIENT, "emails")
    assert list(journal.policies()) == [(PATIENT, "phone_mobile")]


# --- contacts -------------------------------------------------------------------------------------


def see(journal: Journal, *contacts: Any) -> list[bool]:
    with journal.turn() as turn:
        return [turn.see_contact(one) for one in contacts]


def test_a_contact_is_new_until_it_is_held_for_somebody(opened: Callable[[], Journal]) -> None:
    journal = opened()
    given = contact(phones=("+15550100",), emails=("a@x.example",), fields={"tags": ["vip"]})
    assert see(journal, given) == [True]
    row = opened().contact("p-1")
    assert row is not None
    assert (row.contact, row.state, row.key) == (given, ContactState.NEW, None)
    assert (row.candidates, row.rejected, row.seen_at) == ([], [], START)
    journal = opened()
    assert journal.contacts_untold(9) == []
    with journal.turn() as turn:
        turn.contact_state("p-1", ContactState.LINKED, 12)
    assert [row.key for row in journal.contacts_untold(9)] == [12]
    assert journal.contact_of(12) == journal.contact("p-1")
    assert journal.contact_of(13) is None
    assert journal.contact("p-9") is None
    with pytest.raises(ValueError, match="no such"), journal.turn() as turn:
        turn.contact_state("p-9", ContactState.UNLINKED)


def test_contacts_come_twice_and_in_any_order(journal: Journal) -> None:
    new, old = contact(rev=3, last="King"), contact(rev=2)
    assert see(journal, new, old, new) == [True, False, False]
    row = journal.contact("p-1")
    assert row is not None
    assert row.contact == new
    assert see(journal, contact(rev=4, last="King")) == [True]


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (ContactState.UNLINKED, ContactState.NEW),
        (ContactState.SUSPECT, ContactState.NEW),
        (ContactState.LINKED, ContactState.LINKED),
        (ContactState.MERGED, ContactState.MERGED),
    ],
)
def test_what_changed_is_matched_anew_unless_it_is_linked(
    journal: Journal, state: ContactState, after: ContactState
) -> None:
    see(journal, contact())
    with journal.turn() as turn:
        turn.contact_state("p-1", state, 12, rejected=[13])
    see(journal, contact(rev=1))
    row = journal.contact("p-1")
    assert row is not None
    assert row.state is state  # nothing new was said
    see(journal, contact(rev=2, last="King"))
    row = journal.contact("p-1")
    assert row is not None
    assert (row.state, row.rejected) == (after, [13])


def test_evidence_and_rejections_stand_in_the_queue(opened: Callable[[], Journal]) -> None:
    journal = opened()
    see(journal, contact("p-1"), contact("p-2"), contact("p-3"))
    evidence: list[dict[str, Any]] = [
        {"key": 12, "score": 0.9, "same": ["birthdate"]},
        {"key": 13, "score": 0.8},
    ]
    with journal.turn() as turn:
        turn.contact_state("p-1", ContactState.SUSPECT, candidates=evidence)
        turn.contact_state("p-3", ContactState.SUSPECT, candidates=evidence[:1])
    journal = opened()
    assert journal.numbers(START).suspects == 2
    [row] = journal.contacts(ContactState.SUSPECT, 1)
    assert (row.contact.cloud_id, row.candidates) == ("p-1", evidence)
    assert [r.contact.cloud_id for r in journal.contacts(ContactState.SUSPECT, 9, "p-1")] == ["p-3"]
    assert len(journal.contacts(None, 9)) == 3
    with journal.turn() as turn:
        turn.contact_state("p-1", ContactState.SUSPECT, candidates=evidence[1:], rejected=[12])
        turn.contact_state("p-1", ContactState.UNLINKED, rejected=[13])
    row = journal.contacts(ContactState.UNLINKED, 1)[0]
    assert (row.candidates, row.rejected) == ([], [12, 13])
    with journal.turn() as turn:  # somebody thought again
        turn.contact_state("p-1", ContactState.LINKED, 13)
    row = journal.contacts(ContactState.LINKED, 1)[0]
    assert (row.key, row.rejected) == (13, [12])


def test_a_link_is_told_as_it_stands(journal: Journal) -> None:
    see(journal, contact())
    with journal.turn() as turn:
        turn.contact_state("p-1", ContactState.LINKED, 12)
    with journal.turn() as turn:  # while the report of 12 is under way
        turn.contact_state("p-1", ContactState.LINKED, 13)
    with journal.turn() as turn:
        turn.contact_told("p-1", ContactState.LINKED, 12)
        turn.contact_told("p-1", ContactState.SUSPECT)
    assert [row.key for row in journal.contacts_untold(9)] == [13]
    with journal.turn() as turn:
        turn.contact_told("p-1", ContactState.LINKED, 13)
    assert journal.contacts_untold(9) == []
