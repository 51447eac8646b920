"""Text as the PMS stores it: signs it replaces, notes it joins; and dates nobody was born on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from agent.model.commands import CommandType, EndState, Reason
from agent.model.effects import Effect, EffectKind, WriteUnknown, Written
from agent.model.streams import Stream
from agent.sync import effects, payloads
from agent.sync.payloads import Invalid
from agent.sync.sights import Shows, judge_create
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template
from tests.sync.test_effects import row_of

__all__ = ["desk", "open_desk", "site_template"]

GLAD = "See you soon \U0001f600 \u2600"
STORED = "See you soon \ufffd \ufffd"


def lose_the_answer(desk: Desk) -> None:
    """What is written is written, and nobody hears of it."""

    def lost(_effect: Effect, _done: Written) -> None:
        desk.writer.after = None
        raise WriteUnknown("write.unknown")

    desk.writer.after = lost


def test_an_entry_with_strange_signs_is_found_and_not_written_twice(desk: Desk) -> None:
    text = {"patient_key": str(desk.patient()), "note": GLAD}
    lose_the_answer(desk)
    ident = desk.ask(CommandType.COMMLOG_APPEND, text)
    desk.settle(30)
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.kept_fields) == (EndState.APPLIED, ())
    assert desk.one("SELECT COUNT(*) FROM commlog WHERE Note LIKE 'See you soon%'") == 1


@pytest.mark.parametrize("note", ["Second visit.", GLAD])
def test_a_note_behind_the_old_one_is_found(desk: Desk, note: str) -> None:
    procedure, patient = desk.rows("SELECT ProcNum, PatNum FROM procedurelog LIMIT 1")[0]
    said = {"patient_key": str(patient), "procedure_key": str(procedure)}
    first = desk.do(CommandType.NOTE_APPEND, {**said, "note": "First visit."})
    assert (first.state, first.kept_fields) == (EndState.APPLIED, ())
    second = desk.do(CommandType.NOTE_APPEND, {**said, "note": note})
    assert (second.state, second.kept_fields) == (EndState.APPLIED, ())
    lose_the_answer(desk)
    ident = desk.ask(CommandType.NOTE_APPEND, {**said, "note": "Third visit."})
    desk.settle(30)
    outcome = desk.outcome(ident)
    assert outcome is not None
    assert (outcome.state, outcome.kept_fields) == (EndState.APPLIED, ())
    assert desk.one("SELECT COUNT(*) FROM procnote WHERE Note LIKE '%Third visit.'") == 1


@pytest.mark.parametrize(
    ("held", "shows"),
    [
        ("The old one.\n\nToday", Shows.DONE),
        ("Today", Shows.DONE),
        ("Today\n\nThe office's own", Shows.UNSURE),
        ("Not Today", Shows.UNSURE),
    ],
)
def test_a_procedures_note_ends_with_ours(held: str, shows: Shows) -> None:
    said = {"patient_key": "5", "procedure_key": "9", "note": "Today"}
    row = row_of(effects.append(EffectKind.APPEND_NOTE, said))
    assert judge_create(row, {11: {**said, "note": held}}).shows is shows
    assert judge_create(row, {11: {**said, "note": held, "procedure_key": "8",
                                   "patient_key": "6"}}).shows is Shows.NOT_DONE  # fmt: skip


@pytest.mark.parametrize(
    ("field", "wished", "held", "equal"),
    [
        ("note", GLAD, STORED, True),
        ("note", STORED, GLAD, False),
        ("note", "\u2600", "\u2601", False),
        ("note", "Caf\u00e9 \u20ac", "Caf\u00e9 \u20ac", True),
        ("note", "Caf\u00e9", "Caf\ufffd", False),
        ("note", "\U0001f600\U0001f600", "\ufffd", False),
        ("first_name", "Zo\U0001f600", "zo\ufffd", True),
        ("custom", {"Likes": "\u2615"}, {"Likes": "\ufffd"}, True),
        ("custom", {"Likes": "\ufffd"}, {"Likes": "\u2615"}, False),
        ("emails", ["a@b.example"], ["\ufffd@b.example"], False),
    ],
)
def test_only_signs_the_pms_replaces_are_folded(
    field: str, wished: Any, held: Any, equal: bool
) -> None:
    assert effects.same(field, wished, held) is equal


def test_what_held_before_is_compared_as_it_was() -> None:
    step = effects.update_recall(9, {"note": "\u2600"}, {"note": "later"})
    assert step is not None
    assert effects.is_before(step.effect, step.before, {"note": "\u2600"})
    assert not effects.is_before(step.effect, step.before, {"note": "\ufffd"})


# -- dates nobody was born on ----------------------------------------------------------------------


def test_nobody_is_born_tomorrow(desk: Desk) -> None:
    tomorrow = (desk.clock.now() + timedelta(days=2)).date().isoformat()
    person = {"last_name": "Late", "first_name": "Lou", "birthdate": tomorrow}
    key = desk.patient()
    was = desk.one("SELECT Birthdate FROM patient WHERE PatNum=?", key)
    for outcome in (
        desk.do(CommandType.PATIENT_CREATE, person),
        desk.do(CommandType.PATIENT_UPDATE, {"fields": {"birthdate": tomorrow}},
                target=("patient", str(key)),
                expected={"birthdate": desk.record(Stream.PATIENT, key).get("birthdate")}),
        desk.do(CommandType.APPOINTMENT_BOOK, {**desk.place(), "patient": {"new": person}}),
    ):  # fmt: skip
        assert outcome.reason_code is Reason.VALIDATION_FAILED
    assert desk.one("SELECT COUNT(*) FROM patient WHERE LName='Late'") == 0
    assert desk.one("SELECT Birthdate FROM patient WHERE PatNum=?", key) == was


def test_born_today_is_born() -> None:
    today = date(2026, 11, 20)
    said = {"last_name": "A", "first_name": "B", "birthdate": "2026-11-20"}
    assert payloads.patient_fields(said, {"birthdate", *said}, today, new=True) == said
    with pytest.raises(Invalid, match="birthdate"):
        payloads.patient_fields({"birthdate": "2026-11-21"}, {"birthdate"}, today)
