"""Effects, probes and switches as pure functions."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from agent.journal.pulled import EffectRow, EffectState, UndoState
from agent.model.commands import CommandType, Reason
from agent.model.desk import Canary, SafetyMode
from agent.model.effects import EffectKind
from agent.model.streams import Stream
from agent.sync import effects, payloads
from agent.sync.effects import Step
from agent.sync.payloads import Invalid
from agent.sync.sights import Shows, judge_create, judge_made, judge_update
from agent.sync.switches import Scope, Switch, of_crm, of_settings, refusal, scope_of, strictest

VISIT = {"patient_key": "5", "start": "2030-01-07T14:00:00Z", "minutes": 30,
         "operatory_key": "1", "provider_key": "2", "status": "scheduled"}  # fmt: skip


def row_of(step: Step, **more: Any) -> EffectRow:
    fields: dict[str, Any] = {
        "number": 1, "op_id": b"o", "command_id": "c", "group": "c", "effect": step.effect,
        "before": step.before, "after": step.after, "inverse": step.inverse,
        "state": EffectState.INTENT, "undo": UndoState.ARMED, "key": None, "floor": 10,
        "actor": "crm", "planned_at": datetime(2030, 1, 1, tzinfo=UTC), "settled_at": None,
        "why": "", "undoes": None,
    }  # fmt: skip
    return EffectRow(**{**fields, **more})


# -- planning --------------------------------------------------------------------------------------


def test_what_holds_already_is_no_effect() -> None:
    assert effects.move(7, VISIT, {"start": VISIT["start"], "minutes": 30}) is None
    assert effects.set_status(7, VISIT, "scheduled") is None
    assert effects.cancel(7, {**VISIT, "status": "broken"}, break_type="cancelled",
                          to_unscheduled=False, note="x") == []  # fmt: skip
    assert effects.set_custom(Stream.PATIENT, 5, {"custom": {"a": "1"}}, {"a": "1"}) is None
    step = effects.update_patient(5, {"city": "A", "state": "NY"}, {"city": "A", "state": "NJ"})
    assert step is not None
    assert step.effect.fields == {"state": "NJ"}
    assert step.before == {"state": "NY"}


@pytest.mark.parametrize(
    "step",
    [
        effects.move(7, VISIT, {"start": "2030-01-08T14:00:00Z", "operatory_key": "3"}),
        effects.set_status(7, VISIT, "broken"),
        effects.update_patient(5, {"city": "A"}, {"city": "B", "emails": ["a@b.example"]}),
        effects.set_custom(Stream.PATIENT, 5, {"custom": {"a": "1"}}, {"a": "2", "b": "3"}),
        effects.update_recall(9, {"due": "2030-01-01"}, {"due": None, "note": "later"}),
    ],
)
def test_an_inverse_restores_what_held(step: Step) -> None:
    """Effect, then inverse, on the touched fields: as before."""
    key = step.effect.key
    after = dict(step.after)
    (back,) = effects.inverse_steps(step.effect, step.inverse, step.before, key, after)
    assert not effects.differing(back.effect, step.before, {**after, **back.after})
    assert back.inverse is not None


def test_a_broken_visit_comes_back_to_its_place() -> None:
    (step,) = effects.cancel(7, VISIT, break_type="", to_unscheduled=True, note=None)
    now = {**VISIT, "status": "unscheduled", "operatory_key": None}
    status, place = effects.inverse_steps(step.effect, step.inverse, step.before, 7, now)
    assert status.effect.fields == {"status": "scheduled"}
    assert place.effect.fields == {"operatory_key": "1"}


def test_what_is_on_file_for_ever_has_no_inverse() -> None:
    entry = effects.append(EffectKind.APPEND_COMMLOG, {"patient_key": "5", "note": "n"})
    person = effects.create_patient({"last_name": "A", "first_name": "B"})
    denied = effects.set_consent(5, {"sms_consent": "granted"}, "sms", "denied")
    assert denied is not None
    for step in (entry, person, denied):
        assert step.inverse is None
        assert effects.inverse_steps(step.effect, None, step.before, 5, step.after) == []


@pytest.mark.parametrize(
    ("field", "wished", "held", "holds"),
    [
        ("last_name", "smith", "Smith", True),
        ("city", "smithtown", "Smithtown", False),
        ("city", None, "", True),
        ("note", " a ", "a", True),
        ("emails", ["B@x.example", "a@x.example"], ["a@x.example", "b@x.example"], True),
        ("emails", ["a@x.example"], ["a@x.example", "b@x.example"], False),
        ("custom", {"a": "1"}, {"a": "1", "b": "2"}, True),
        ("custom", {"a": ""}, {"b": "2"}, True),
        ("measures", [{"kind": "probing", "tooth": 3}], [{"tooth": 3, "kind": "probing"}], True),
        ("minutes", 30, 40, False),
    ],
)
def test_what_holds_means(field: str, wished: Any, held: Any, holds: bool) -> None:
    assert effects.same(field, wished, held) is holds


# -- probing ---------------------------------------------------------------------------------------


def test_an_update_is_done_not_done_or_nobody_knows() -> None:
    step = effects.update_patient(5, {"city": "A", "state": "NY"}, {"city": "B", "state": "NJ"})
    assert step is not None
    row = row_of(step)
    assert judge_update(row, {"city": "B", "state": "NJ"}).shows is Shows.DONE
    assert judge_update(row, {"city": "A", "state": "NY"}).shows is Shows.NOT_DONE
    assert judge_update(row, {"city": "B", "state": "NY"}).shows is Shows.UNSURE
    assert judge_update(row, {"city": "C", "state": "NJ"}).shows is Shows.UNSURE
    assert judge_update(row, None).shows is Shows.UNSURE


def test_a_note_that_said_the_same_before_proves_nothing() -> None:
    step = effects.append_note(7, {"note": "late"}, "late")
    assert judge_update(row_of(step), {"note": "late"}).shows is Shows.NOT_DONE
    assert judge_update(row_of(step), {"note": "late\nlate"}).shows is Shows.DONE


def test_a_creation_is_the_only_record_that_fits() -> None:
    row = row_of(effects.book({n: v for n, v in VISIT.items() if n != "status"}))
    moved = {**VISIT, "start": "2030-01-09T14:00:00Z"}
    assert judge_create(row, {}).shows is Shows.NOT_DONE
    assert judge_create(row, {11: VISIT}).key == 11
    assert judge_create(row, {11: VISIT, 12: {**VISIT, "patient_key": "6"}}).key == 11
    assert judge_create(row, {11: VISIT, 12: VISIT}).shows is Shows.UNSURE
    assert judge_create(row, {11: moved}).shows is Shows.UNSURE  # ours, and moved at once?
    assert judge_create(row, {11: {**VISIT, "patient_key": "6"}}).shows is Shows.NOT_DONE


def test_a_named_record_must_be_that_record() -> None:
    row = row_of(effects.book({n: v for n, v in VISIT.items() if n != "status"}))
    assert judge_made(row, 11, {**VISIT, "note": "x"}).shows is Shows.DONE
    assert judge_made(row, 11, {**VISIT, "minutes": 40}).shows is Shows.UNSURE
    assert judge_made(row, 11, None).shows is Shows.UNSURE


# -- switches --------------------------------------------------------------------------------------


def test_the_strictest_word_holds() -> None:
    said = {"crm": Switch(SafetyMode.DRY_RUN), "file": Switch(), "desk": Switch(SafetyMode.NORMAL)}
    assert strictest(said).mode is SafetyMode.DRY_RUN
    said["desk"] = Switch(SafetyMode.READ_ONLY)
    assert strictest(said).mode is SafetyMode.READ_ONLY
    assert strictest({}).mode is SafetyMode.NORMAL
    assert of_crm({"kill": True, "dry_run": True}).mode is SafetyMode.STOPPED
    assert of_crm({"canary": {"patients": ["7"]}}).mode is SafetyMode.CANARY
    assert of_crm({}).mode is SafetyMode.NORMAL
    assert of_settings("canary", "1, 2", "", "").canary.operatories == ("1", "2")
    assert of_settings("normal", "1", "", "").canary == Canary()


@pytest.mark.parametrize(
    ("canary", "scope", "allowed"),
    [
        (Canary(patients=("7",)), scope_of(patients=[7]), True),
        (Canary(patients=("7",)), scope_of(patients=[8]), False),
        (Canary(operatories=("1",)), scope_of(patients=[7]), False),
        (Canary(operatories=("1",)), scope_of(operatories=["1"], patients=[8]), True),
        (Canary(operatories=("1",), patients=("7",)), scope_of(operatories=["1"], patients=[8]),
         False),
        (Canary(operatories=("1",)), scope_of(operatories=["1", "2"]), False),
        (Canary(), scope_of(patients=[7]), False),
        (Canary(patients=("7",)), Scope(), False),
    ],
)  # fmt: skip
def test_the_canary_widens_for_nobody(canary: Canary, scope: Scope, allowed: bool) -> None:
    switches = strictest({"desk": Switch(SafetyMode.CANARY, canary), "crm": Switch()})
    refused = refusal(switches, CommandType.APPOINTMENT_BOOK, scope)
    assert (refused is None) is allowed
    assert refusal(switches, CommandType.DIAGNOSTICS, scope) is None
    both = strictest({
        "desk": Switch(SafetyMode.CANARY, canary),
        "crm": Switch(SafetyMode.CANARY, Canary(patients=("99",))),
    })  # fmt: skip
    assert refusal(both, CommandType.APPOINTMENT_BOOK, scope) is Reason.POLICY_BLOCKED


# -- payloads --------------------------------------------------------------------------------------


def test_spelling_is_the_one_reading_gives() -> None:
    writable = {"last_name", "first_name", "emails", "phone_mobile", "city", "birthdate"}
    made = payloads.patient_fields(
        {"last_name": "  van   Dam ", "emails": ["A@EXAMPLE.org", "A@example.org"], "city": "",
         "phone_mobile": "+12125550123"}, writable, date(2026, 11, 20),
    )  # fmt: skip
    assert made == {"last_name": "van Dam", "emails": ["A@example.org"], "city": None,
                    "phone_mobile": "+12125550123"}  # fmt: skip
    assert payloads.instant("2030-01-07T09:00:00-05:00", "start") == "2030-01-07T14:00:00Z"
    assert payloads.as_key("-12") == -12


@pytest.mark.parametrize("text", ["0", "", "99999999999999999999", None, "1 OR 1=1", "x"])
def test_keys_that_are_none(text: str | None) -> None:
    with pytest.raises(Invalid):
        payloads.as_key(text)


def test_an_error_never_quotes_the_payload() -> None:
    with pytest.raises(Invalid) as raised:
        payloads.patient_fields({"birthdate": "Secret Name"}, {"birthdate"}, date(2026, 11, 20))
    assert "Secret" not in str(raised.value)
