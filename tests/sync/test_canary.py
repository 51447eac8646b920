"""The canary is judged on what will really be written, not on what was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from agent.journal.pulled import EffectState
from agent.model.commands import CommandType, EndState, Reason
from agent.model.desk import Canary, SafetyMode
from agent.model.effects import EffectKind
from agent.sync.switches import DESK, Scope, Switch, refusal, strictest
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]

BOOK = CommandType.APPOINTMENT_BOOK
NEWCOMER = {"last_name": "Newby", "first_name": "Zoe", "birthdate": "1990-01-01"}


def trial(desk: Desk, **listed: Any) -> None:
    canary = Canary(**{name: tuple(map(str, keys)) for name, keys in listed.items()})
    desk.two.safety.say(DESK, Switch(SafetyMode.CANARY, canary), "tester")


def unnamed(desk: Desk, nth: int = 0) -> dict[str, Any]:
    """A free place, the provider left to the practice."""
    return {name: value for name, value in desk.place(nth).items() if name != "provider_key"}


def other_provider(desk: Desk) -> str:
    own = desk.place()["provider_key"]
    return str(next(n for (n,) in desk.rows("SELECT ProvNum FROM provider") if str(n) != own))


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_provider_nobody_named_must_be_listed(desk: Desk, is_listed: bool) -> None:
    who = {"patient": {"key": str(desk.patient())}}
    chosen = desk.do(BOOK, {**unnamed(desk), **who})
    assert chosen.state is EndState.APPLIED
    held = desk.one("SELECT ProvNum FROM appointment WHERE AptNum=?", int(chosen.pms_key))
    others = [n for (n,) in desk.rows("SELECT ProvNum FROM provider") if n != held]
    place = unnamed(desk, 3)
    trial(desk, operatories=[place["operatory_key"]], providers=[held] if is_listed else others)
    before = len(desk.visits())
    ident = desk.ask(BOOK, {**place, **who})
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    if is_listed:
        assert outcome.state is EndState.APPLIED
        return
    assert (outcome.reason_code, outcome.staff_text) == (Reason.POLICY_BLOCKED, "safety.canary")
    assert len(desk.visits()) == before
    assert not desk.effects(ident), "not even an intent"


def test_a_new_person_is_in_no_list_of_patients(desk: Desk) -> None:
    place = desk.place()
    trial(desk, operatories=[place["operatory_key"]], patients=[desk.patient(3)])
    refused = desk.do(BOOK, {**place, "patient": {"new": NEWCOMER}})
    assert (refused.reason_code, refused.staff_text) == (Reason.POLICY_BLOCKED, "safety.canary")
    assert desk.one("SELECT COUNT(*) FROM patient WHERE LName='Newby'") == 0
    assert not desk.visits()


def test_a_trial_in_one_operatory_takes_new_people(desk: Desk) -> None:
    place = desk.place()
    trial(desk, operatories=[place["operatory_key"]])
    done = desk.do(BOOK, {**place, "patient": {"new": NEWCOMER}})
    assert done.state is EndState.APPLIED
    alone = desk.do(CommandType.PATIENT_CREATE, {**NEWCOMER, "first_name": "Zelda"})
    assert alone.reason_code is Reason.POLICY_BLOCKED, "it touches no list at all"


def test_a_switch_turned_while_it_was_planned_is_heeded(desk: Desk) -> None:
    true_check = desk.two.places.check

    def slow(*asked: Any) -> Any:
        verdict = true_check(*asked)
        trial(desk, operatories=["999"])
        return verdict

    desk.two.places.check = slow  # type: ignore[method-assign]
    ident = desk.book()
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.reason_code is Reason.POLICY_BLOCKED
    assert not desk.effects(ident)


def test_a_switch_turned_after_the_first_of_two_writes_stops_the_second(desk: Desk) -> None:
    place = desk.place()
    desk.writer.after = lambda effect, _done: (
        trial(desk, operatories=["999"]) if effect.kind is EffectKind.CREATE_PATIENT else None
    )
    ident = desk.ask(BOOK, {**place, "patient": {"new": NEWCOMER}})
    desk.work()
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert outcome.reason_code is Reason.POLICY_BLOCKED
    (made,) = desk.effects(ident)
    assert (made.effect.kind, made.state) == (EffectKind.CREATE_PATIENT, EffectState.VERIFIED)
    assert not desk.visits()


@pytest.mark.parametrize(
    ("canary", "allowed"),
    [
        (Canary(operatories=("1",)), True),
        (Canary(operatories=("1",), patients=("7",)), False),
        (Canary(patients=("7",)), False),
    ],
)
def test_newcomers_as_a_rule(canary: Canary, allowed: bool) -> None:
    switches = strictest({"desk": Switch(SafetyMode.CANARY, canary)})
    scope = Scope(operatories=frozenset({"1"}), is_newcomer=True)
    assert (refusal(switches, BOOK, scope) is None) is allowed
