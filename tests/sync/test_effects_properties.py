"""Laws of planned writes and of looking for them, over generated records and wishes.

A record is changed here by the test itself (``done``), never by the code under test.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from agent.model.streams import Stream
from agent.sync import effects
from agent.sync.effects import Step, differing, inverse_steps, same
from agent.sync.looks import Was
from agent.sync.sights import (
    Shows,
    judge_create,
    judge_entered,
    judge_made_copies,
    judge_update,
    nearly,
    was_held,
)
from tests.sync.properties import holds, run_many
from tests.sync.test_effects import row_of

KEY = 7
STARTS = [f"2030-01-0{day}T14:00:00Z" for day in range(1, 4)]
TEXTS = st.sampled_from(["", "A", "a", "B ", "Zoë", "9"])


def some_of(**values: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=values)


PLACES = {
    "start": st.sampled_from(STARTS), "minutes": st.sampled_from([10, 30, 60]),
    "operatory_key": st.sampled_from([None, "1", "2"]),
    "provider_key": st.sampled_from(["1", "2"]),
}  # fmt: skip
VISITS = st.fixed_dictionaries(
    {**PLACES, "patient_key": st.sampled_from(["5", "6"]),
     "status": st.sampled_from(["scheduled", "broken", "unscheduled"]),
     "confirmation_key": st.sampled_from(["19", "21"]), "note": TEXTS}
)  # fmt: skip
PEOPLE = some_of(city=TEXTS, address2=TEXTS, state=TEXTS, emails=st.lists(
    st.sampled_from(["a@x.example", "B@x.example"]), max_size=2))  # fmt: skip
CUSTOM = st.dictionaries(st.sampled_from(["one", "two"]), TEXTS, max_size=2)

#: (kind of write, the record now, what is wished)
CHANGES = st.one_of(
    st.tuples(st.just("move"), VISITS, some_of(**PLACES)),
    st.tuples(st.just("back"), VISITS, st.fixed_dictionaries(PLACES)),
    st.tuples(st.just("confirm"), VISITS, some_of(confirmation_key=st.sampled_from(["19", "21"]))),
    st.tuples(st.just("status"), VISITS,
              some_of(status=st.sampled_from(["scheduled", "broken", "unscheduled"]))),
    st.tuples(st.just("person"), PEOPLE, PEOPLE),
    st.tuples(st.just("recall"), some_of(due=st.sampled_from(["2030-01-01", None]), note=TEXTS),
              some_of(due=st.sampled_from(["2030-02-01", None]), note=TEXTS)),
    st.tuples(st.just("custom"), st.fixed_dictionaries({"custom": CUSTOM}), CUSTOM),
)  # fmt: skip


def planned(kind: str, current: dict[str, Any], wish: dict[str, Any]) -> Step | None:
    match kind:
        case "move":
            return effects.move(KEY, current, wish)
        case "back":
            return effects.move(KEY, current, {**wish, "status": "scheduled"})
        case "confirm":
            return effects.confirm(KEY, current, wish)
        case "status":
            return effects.set_status(KEY, current, wish["status"]) if wish else None
        case "person":
            return effects.update_patient(KEY, current, wish)
        case "recall":
            return effects.update_recall(KEY, current, wish)
        case _:
            return effects.set_custom(Stream.PATIENT, KEY, current, wish)


def done(step: Step, record: dict[str, Any]) -> dict[str, Any]:
    """The record after the write: only what the effect names changes."""
    made = dict(record)
    for name, value in step.effect.fields.items():
        if name == "custom":
            custom = {**(record.get("custom") or {}), **value}
            made["custom"] = {n: v for n, v in custom.items() if v}
        else:
            made[name] = value
    return made


@holds(change=CHANGES)
def test_a_write_says_what_was_wished_and_nothing_else(change: Any) -> None:
    kind, current, wish = change
    step = planned(kind, current, wish)
    if step is None:
        return
    asked = {"custom", *wish} | ({"status"} if kind == "back" else set())
    assert set(step.effect.fields) <= asked
    after = done(step, current)
    assert not differing(step.effect, step.after, after)
    assert planned(kind, after, wish) is None  # there is nothing left to write


@holds(change=CHANGES)
def test_taken_back_all_that_was_touched_is_as_before(change: Any) -> None:
    kind, current, wish = change
    step = planned(kind, current, wish)
    if step is None:
        return
    record = done(step, current)
    back = inverse_steps(step.effect, step.inverse, step.before, KEY, record)
    for one in back:
        record = done(one, record)
    left = [name for name, value in step.before.items() if name != "custom"
            and not same(name, value, record.get(name)) and value is not None]  # fmt: skip
    assert not left
    if "custom" in step.before:
        assert same("custom", step.before["custom"], record["custom"])


@holds(change=CHANGES, third=st.one_of(VISITS, PEOPLE))
def test_a_look_takes_no_third_value_for_an_answer(change: Any, third: dict[str, Any]) -> None:
    kind, current, wish = change
    step = planned(kind, current, wish)
    if step is None:
        return
    row = row_of(step)
    assert judge_update(row, current).shows is Shows.NOT_DONE
    assert judge_update(row, done(step, current)).shows is Shows.DONE
    later = {**done(step, current), **{n: v for n, v in third.items() if n in step.after}}
    if differing(step.effect, step.after, later):
        assert judge_update(row, later).shows is not Shows.DONE
        assert was_held(row, [Was(KEY, False, later), Was(KEY, False, done(step, current))])
        assert not was_held(row, [Was(KEY, False, later)])


@holds(wish=VISITS, others=st.lists(VISITS, max_size=3), now=VISITS)
def test_a_booking_that_was_made_is_never_called_not_made(
    wish: dict[str, Any], others: list[dict[str, Any]], now: dict[str, Any]
) -> None:
    """Whatever the office did with it since, and whatever it entered beside it."""
    step = effects.book({n: v for n, v in wish.items() if n not in ("status", "confirmation_key")})
    row = row_of(step)
    entered = {20 + n: other for n, other in enumerate(others)}
    mine = {**wish, "status": "scheduled"}
    alone = [o for o in others if differing(step.effect, step.after, o)] == others
    if alone:
        assert judge_create(row, {**entered, KEY: mine}).key == KEY
    changed = {**now, "patient_key": wish["patient_key"]}
    assert judge_create(row, {**entered, KEY: changed}).shows is not Shows.NOT_DONE
    copies = [Was(key, True, other) for key, other in entered.items()]
    near = nearly(row, {**entered, KEY: changed})
    seen = judge_made_copies(row, near, [*copies, Was(KEY, True, mine)])
    assert seen.key == KEY if alone else seen.shows is not Shows.NOT_DONE
    assert judge_made_copies(row, near, copies).shows is not Shows.NOT_DONE  # ours left no copy
    if alone:
        theirs = nearly(row, entered)
        assert judge_made_copies(row, theirs, copies).shows is Shows.NOT_DONE


@holds(entered=st.dictionaries(st.integers(1, 4), st.booleans()),
       near=st.sets(st.integers(1, 4)), marked=st.booleans())  # fmt: skip
def test_nobodys_word_is_no_proof(entered: Any, near: set[int], marked: bool) -> None:
    sight = judge_entered(near, entered, ours_are_marked=marked)
    unknown = near - entered.keys()
    if unknown:
        assert sight.shows is Shows.UNSURE
    if sight.shows is Shows.DONE:
        assert [key for key in near if entered[key]] == [sight.key]
    if sight.shows is Shows.NOT_DONE:
        assert marked
        assert not any(entered[key] for key in near)


@pytest.mark.slow
@pytest.mark.parametrize(
    "law",
    [
        test_a_write_says_what_was_wished_and_nothing_else,
        test_taken_back_all_that_was_touched_is_as_before,
        test_a_look_takes_no_third_value_for_an_answer,
        test_a_booking_that_was_made_is_never_called_not_made,
        test_nobodys_word_is_no_proof,
    ],
)
def test_ten_thousand_cases(law: Any) -> None:
    run_many(law)
