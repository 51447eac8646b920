"""The three-way merge: its table case by case, and its laws against an oracle written apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from agent.journal.pulled import ConflictKind, Winner
from agent.model.streams import Stream
from agent.sync.datamap import load_map
from agent.sync.maprows import MapRow, OnConflict, Owner, Way
from agent.sync.merge import (
    MARKER,
    WHOLE,
    FieldClass,
    FieldRule,
    Merge,
    Policy,
    class_of,
    may_remember,
    merge,
    plain,
    rule_of,
    rules_of,
    same,
)
from tests.sync.properties import holds, run_many

TEXT = {policy: FieldRule(policy) for policy in Policy}
SET = FieldRule(Policy.SET_MERGE, is_set=True)


def one(
    base: Any, pms: Any, crm: Any, rule: FieldRule, *, has_base: bool = True
) -> tuple[Merge, Any]:
    """The merge of a single field and what the PMS holds afterwards."""
    done = merge({"f": base} if has_base else None, {"f": pms}, {"f": crm}, {"f": rule})
    return done, done.write.get("f", plain(pms))


def after(pms: Mapping[str, Any], done: Merge) -> dict[str, Any]:
    """The record once the merge is written."""
    held = dict(pms)
    for name, value in done.write.items():
        if isinstance(value, Mapping):
            held[name] = {**(held.get(name) or {}), **value}
        else:
            held[name] = value
    return held


# -- the table -------------------------------------------------------------------------------------


def test_an_edit_nobody_crossed_is_written_with_what_it_replaces() -> None:
    done = merge({"phone": "+1"}, {"phone": "+1"}, {"phone": "+2"}, {"phone": TEXT[Policy.ASK]})
    assert (done.write, done.before, done.agreed, done.kept) == (
        {"phone": "+2"},
        {"phone": "+1"},
        (),
        (),
    )


def test_the_office_moved_on_and_the_crm_said_nothing_new() -> None:
    done, held = one("a", "b", "a", TEXT[Policy.CRM])
    assert (held, done.write, done.kept, done.agreed) == ("b", {}, (), ("f",))


def test_both_made_the_same_edit() -> None:
    done, held = one("a", "b", " b ", TEXT[Policy.ASK])
    assert (held, done.write, done.kept) == ("b", {}, ())


@pytest.mark.parametrize(
    ("policy", "held", "winner", "loser"),
    [
        (Policy.PMS, "p", Winner.PMS, "c"),
        (Policy.CRM, "c", Winner.CRM, "p"),
        (Policy.ASK, "p", None, None),
        (Policy.SET_MERGE, "p", None, None),  # text cannot be united
    ],
)
def test_both_changed(policy: Policy, held: str, winner: Winner | None, loser: str | None) -> None:
    done, now = one("b", "p", "c", TEXT[policy])
    (clash,) = done.kept
    assert now == held
    assert (clash.kind, clash.policy) == (ConflictKind.EDIT_EDIT, policy)
    assert (clash.base, clash.pms, clash.crm) == ("b", "p", "c")
    assert (clash.winner, clash.loser, clash.result) == (winner, loser, held)
    assert (clash in done.open) is (winner is None)


def test_without_a_base_nothing_is_newer() -> None:
    done, held = one(None, "p", "c", TEXT[Policy.ASK], has_base=False)
    assert held == "p"
    assert [(k.kind, k.winner) for k in done.kept] == [(ConflictKind.NO_BASE, None)]
    assert one(None, None, "c", TEXT[Policy.ASK], has_base=False)[1] == "c"
    assert one(None, "c", "c", TEXT[Policy.ASK], has_base=False)[0].kept == ()


def test_without_a_base_a_wish_to_empty_is_not_done_and_not_hidden() -> None:
    done, held = one(None, "p", "", TEXT[Policy.CRM], has_base=False)
    assert held == "p"
    assert [(k.kind, k.winner) for k in done.kept] == [(ConflictKind.NO_BASE, Winner.PMS)]


def test_what_may_not_be_written_is_kept_back_and_said() -> None:
    done, held = one("a", "a", "c", TEXT[Policy.READ_ONLY])
    assert (held, done.write) == ("a", {})
    assert [(k.policy, k.winner, k.loser) for k in done.kept] == [
        (Policy.READ_ONLY, Winner.PMS, "c")
    ]
    assert merge({}, {}, {"unheard_of": 1}, {}).write == {}


def test_sets_are_merged_element_by_element() -> None:
    done, held = one(["a", "b"], ["b", "a", "p"], ["a", "c"], SET)
    assert (held, done.kept) == (["a", "p", "c"], ())
    assert one(["a"], ["a", "b"], ["b", "a"], SET)[0].write == {}


def test_sets_without_a_base_are_united_and_it_is_said() -> None:
    done, held = one(None, ["a", "b"], ["c"], SET, has_base=False)
    assert held == ["a", "b", "c"]
    assert [(k.kind, k.winner) for k in done.kept] == [(ConflictKind.NO_BASE, Winner.MERGED)]
    assert one(None, ["a"], ["a", "c"], SET, has_base=False)[0].kept == ()


def test_own_fields_are_merged_name_by_name() -> None:
    rules = {"custom": SET, "custom.Locked": TEXT[Policy.READ_ONLY]}
    base = {"custom": {"Insurance": "x", "Pet": "cat", "Gone": "g", "Both": "0"}}
    pms = {"custom": {"Insurance": "x", "Pet": "cat", "Both": "1", "Other": "o", "Locked": "l"}}
    edit = {"custom": {"Insurance": "y", "Pet": "", "Gone": "h", "Both": "2", "Locked": "m"}}
    done = merge(base, pms, edit, rules)
    assert done.write == {"custom": {"Gone": "h", "Insurance": "y", "Pet": ""}}
    assert done.before == {"custom": {"Gone": "", "Insurance": "x", "Pet": "cat"}}
    assert {(k.field, k.kind, k.winner) for k in done.kept} == {
        ("custom.Both", ConflictKind.EDIT_EDIT, None),
        ("custom.Gone", ConflictKind.EDIT_DELETE, Winner.CRM),
        ("custom.Locked", ConflictKind.EDIT_EDIT, Winner.PMS),
    }


def test_own_fields_are_never_emptied_as_a_whole() -> None:
    done = merge({"custom": {"A": "1"}}, {"custom": {"A": "1"}}, {"custom": None}, {"custom": SET})
    assert done.write == {}
    assert [(k.field, k.winner) for k in done.kept] == [("custom", Winner.PMS)]


def test_notes_grow_behind_a_marker_once() -> None:
    rule = TEXT[Policy.APPEND]
    done, held = one("allergic?", "allergic? asked.", "allergic? calls back", rule)
    assert held == f"allergic? asked.\n{MARKER}calls back"
    assert [(k.winner, k.pms) for k in done.kept] == [(Winner.MERGED, "allergic? asked.")]
    again, now = one("allergic?", held, "allergic? calls back", rule)
    assert (again.write, again.kept, now) == ({}, (), held)


def test_a_note_one_side_emptied_stays() -> None:
    done, held = one("b", "p", None, TEXT[Policy.APPEND])
    assert (held, done.kept[0].kind, done.kept[0].winner) == (
        "p",
        ConflictKind.EDIT_DELETE,
        Winner.PMS,
    )
    done, held = one("b", None, "c", TEXT[Policy.APPEND])
    assert (held, done.kept[0].kind, done.kept[0].winner) == (
        "c",
        ConflictKind.EDIT_DELETE,
        Winner.CRM,
    )


@pytest.mark.parametrize(
    ("base", "pms", "crm", "held", "winner"),
    [
        ("unknown", "denied", "granted", "denied", Winner.PMS),
        ("denied", "denied", "granted", "denied", Winner.PMS),  # a sync never lifts a refusal
        ("granted", "granted", "denied", "denied", None),  # an opt-out nobody crossed
        ("unknown", "granted", "denied", "denied", Winner.CRM),
        ("denied", "granted", "denied", "granted", None),  # a person granted it in the PMS
        ("unknown", None, "granted", None, Winner.PMS),
    ],
)
def test_consent_only_gets_stricter(
    base: str, pms: str | None, crm: str, held: str | None, winner: Winner | None
) -> None:
    done, now = one(base, pms, crm, TEXT[Policy.STRICTEST])
    assert now == held
    assert [k.winner for k in done.kept] == ([winner] if winner else [])


def test_an_edit_outlives_a_deletion() -> None:
    done = merge({"f": "b"}, None, {"f": "c"}, {"f": TEXT[Policy.CRM]})
    (clash,) = done.kept
    assert done.write == {}
    assert (clash.field, clash.kind, clash.winner) == (WHOLE, ConflictKind.EDIT_DELETE, None)
    assert clash.loser == {"f": "c"}
    done = merge({"f": "b"}, {"f": "p"}, None, {"f": TEXT[Policy.CRM]})
    assert [(k.kind, k.winner, k.result) for k in done.kept] == [
        (ConflictKind.EDIT_DELETE, Winner.PMS, {"f": "p"})
    ]
    assert merge({"f": "p"}, {"f": "p"}, None, {}) == Merge()
    assert merge({"f": "p"}, None, None, {}) == Merge()


def test_equality_is_canonical() -> None:
    assert same(None, "")
    assert same(None, [])
    assert same({}, {"a": ""})
    assert same("é", "é")
    assert same(["b", "a", "a"], ("a", "b"), SET)
    assert same(["Ann@x.test"], ["ann@X.test"], FieldRule(is_set=True, folds_case=True))
    assert not same(["b", "a"], ["a", "b"])
    assert not same(0, None)
    assert not same(False, 0)
    assert not same("1", 1)
    assert not same("a", "A")


# -- rules out of the data map ---------------------------------------------------------------------


def row(field: str, **changes: Any) -> MapRow:
    values: dict[str, Any] = {
        "line": 2, "origin": "t", "stream": Stream.PATIENT, "field": field, "crm_type": "text",
        "table": "patient", "real": "patient", "column": "C", "source_type": "varchar",
        "transform": "text", "direction": Way.BOTH, "owner": Owner.SHARED,
        "on_conflict": OnConflict.ASK, "trigger": "", "required": False, "since": "", "note": "",
    }  # fmt: skip
    return MapRow(**{**values, **changes})


def test_the_owner_is_the_master() -> None:
    assert rule_of(row("phone_home", owner=Owner.PMS)).policy is Policy.READ_ONLY
    assert rule_of(row("phone_home", owner=Owner.CRM)).policy is Policy.CRM
    assert rule_of(row("phone_home")).policy is Policy.ASK
    assert rule_of(row("phone_home", direction=Way.TO_CRM)).policy is Policy.READ_ONLY


def test_identity_clinical_and_money_always_ask() -> None:
    for stream, name in [
        (Stream.PATIENT, "birthdate"),
        (Stream.PATIENT, "needs_premedication"),
        (Stream.COVERAGE, "subscriber_id"),
    ]:
        wanted = row(name, stream=stream, owner=Owner.CRM, on_conflict=OnConflict.CRM)
        assert rule_of(wanted, Winner.CRM).policy is Policy.ASK
        assert not may_remember(stream, name)


def test_what_people_asked_to_remember_holds() -> None:
    rows = [row("phone_home"), row("last_name"), row("sms_consent")]
    said = {
        (Stream.PATIENT, name): Winner.CRM for name in ("phone_home", "last_name", "sms_consent")
    }
    rules = rules_of(rows, Stream.PATIENT, said)
    assert rules["phone_home"] == FieldRule(Policy.CRM, FieldClass.OTHER, remembered=True)
    assert rules["last_name"].policy is Policy.ASK
    assert rules["sms_consent"].policy is Policy.STRICTEST
    assert may_remember(Stream.PATIENT, "phone_home")
    assert not may_remember(Stream.PATIENT, "sms_consent")


def test_the_map_we_ship() -> None:
    rules = rules_of(load_map("opendental").rows, Stream.PATIENT, {})
    assert rules["last_name"].policy is rules["phone_mobile"].policy is Policy.ASK
    assert rules["emails"] == FieldRule(Policy.SET_MERGE, is_set=True, folds_case=True)
    assert rules["custom"].policy is Policy.SET_MERGE
    assert rules["key"].policy is rules["guarantor_key"].policy is Policy.READ_ONLY
    assert rules["sms_consent"].policy is Policy.STRICTEST
    assert rules["opt_out_sms"].policy is Policy.READ_ONLY
    assert class_of(Stream.PERIO_EXAM, "note") is FieldClass.CLINICAL


# -- laws ------------------------------------------------------------------------------------------

_LETTERS = st.sampled_from(["a", "b", "c"])
_TEXTS = st.one_of(st.none(), st.just(""), _LETTERS, _LETTERS.map(lambda t: f" {t}\n"))
_SETS = st.one_of(st.none(), st.lists(st.sampled_from("uvwxyz"), max_size=5))
_CONSENTS = st.sampled_from([None, "unknown", "granted", "denied"])
_SCALAR = st.sampled_from([Policy.PMS, Policy.CRM, Policy.ASK, Policy.READ_ONLY])
_NOT_CONSENT = st.sampled_from([policy for policy in Policy if policy is not Policy.STRICTEST])
_MIRROR = {Policy.PMS: Policy.CRM, Policy.CRM: Policy.PMS}


def triples(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any, Any]]:
    return st.tuples(values, values, values)


def empty(value: Any) -> Any:
    """The oracle's own idea of a value; not the code's."""
    if isinstance(value, str):
        value = value.strip(" \n")
    return value or None


def oracle(policy: Policy, base: Any, pms: Any, crm: Any, *, has_base: bool) -> tuple[Any, bool]:
    """(what the PMS holds in the end, whether somebody hears of it), told by who edited."""
    base, pms, crm = empty(base), empty(pms), empty(crm)
    start = base if has_base else None
    edits = {"pms": pms != start, "crm": crm != start}
    if not edits["crm"]:
        silent = has_base or pms is None
        return pms, not silent
    if pms == crm:
        return pms, False
    if policy is Policy.READ_ONLY:
        return pms, True
    if not edits["pms"]:
        return crm, False
    return (crm if policy is Policy.CRM else pms), True


@holds(200, values=triples(_TEXTS), policy=_SCALAR, has_base=st.booleans())
def test_one_value_as_the_oracle_says(values: Any, policy: Policy, has_base: bool) -> None:
    base, pms, crm = values
    done, held = one(base, pms, crm, FieldRule(policy), has_base=has_base)
    wanted, told = oracle(policy, base, pms, crm, has_base=has_base)
    assert (held, bool(done.kept)) == (wanted, told)
    assert bool(done.write) is (held != empty(pms))
    assert (done.agreed == ("f",)) is (not done.write and not done.kept)


@holds(200, values=triples(_SETS), has_base=st.booleans())
def test_a_set_as_the_oracle_says(values: Any, has_base: bool) -> None:
    base, pms, crm = ({*(value or ())} for value in values)
    done, held = one(values[0], values[1], values[2], SET, has_base=has_base)
    if has_base:
        wanted = {e for e in "uvwxyz" if (e in crm if (e in pms) == (e in base) else e in pms)}
    else:
        wanted = pms | crm
    assert {*(held or ())} == wanted
    assert len(held or ()) == len(wanted)
    assert bool(done.write) is (wanted != pms)


@holds(
    values=st.tuples(triples(_TEXTS), triples(_TEXTS), triples(_SETS), triples(_CONSENTS)),
    policies=st.tuples(_SCALAR, st.sampled_from(list(Policy))),
    has_base=st.booleans(),
)
def test_merging_again_changes_nothing(values: Any, policies: Any, has_base: bool) -> None:
    names = ("one", "two", "set", "consent")
    base, pms, crm = ({n: t[side] for n, t in zip(names, values, strict=True)} for side in range(3))
    rules = {
        "one": FieldRule(policies[0]), "two": FieldRule(policies[1]), "set": SET,
        "consent": FieldRule(Policy.STRICTEST),
    }  # fmt: skip
    start = base if has_base else None
    done = merge(start, pms, crm, rules)
    held = after(pms, done)
    assert merge(start, held, crm, rules).write == {}
    assert merge(held, held, held, rules) == Merge(agreed=tuple(sorted(names)))


@holds(values=triples(_TEXTS), policy=st.sampled_from([Policy.PMS, Policy.CRM, Policy.ASK]),
       has_base=st.booleans())  # fmt: skip
def test_the_sides_are_alike_but_for_the_policy(
    values: Any, policy: Policy, has_base: bool
) -> None:
    base, pms, crm = values
    done, held = one(base, pms, crm, FieldRule(policy), has_base=has_base)
    seen, mirrored = one(base, crm, pms, FieldRule(_MIRROR.get(policy, policy)), has_base=has_base)
    if done.open or seen.open:
        assert len(done.open) == len(seen.open) == 1
        return
    assert held == mirrored


@holds(sets=triples(_SETS), words=triples(_CONSENTS), has_base=st.booleans())
def test_unions_do_not_mind_the_side(sets: Any, words: Any, has_base: bool) -> None:
    base, pms, crm = sets
    left = one(base, pms, crm, SET, has_base=has_base)[1]
    right = one(base, crm, pms, SET, has_base=has_base)[1]
    assert {*(left or ())} == {*(right or ())}
    strict = FieldRule(Policy.STRICTEST)
    order = ["granted", None, "denied"]
    base, pms, crm = ("unknown" if word is None else word for word in words)
    if pms != base != crm:  # both edited
        held = one(base, pms, crm, strict, has_base=has_base)[1]
        assert held == one(base, crm, pms, strict, has_base=has_base)[1]
        worst = max((pms, crm), key=lambda w: order.index(None if w == "unknown" else w))
        assert held == worst


@holds(200, values=triples(_TEXTS), sets=triples(_SETS), own=triples(_TEXTS),
       policy=_NOT_CONSENT, has_base=st.booleans())  # fmt: skip
def test_no_value_is_lost(values: Any, sets: Any, own: Any, policy: Policy, has_base: bool) -> None:
    rules = {"f": FieldRule(policy), "s": SET, "custom": SET}
    base, pms, crm = (
        {"f": values[side], "s": sets[side], "custom": {"N": own[side]}} for side in range(3)
    )
    done = merge(base if has_base else None, pms, crm, rules)
    held = after(pms, done)
    said = {clash.field: clash for clash in done.kept}

    def check(name: str, mine: Any, before: Any, now: Any, wish: Any, was: Any) -> None:
        mine, now, wish, was = (empty(v) for v in (mine, now, wish, was))
        if mine is not None and mine != now and mine not in str(now).splitlines():
            assert empty(before) == mine  # the undo image has it
            replaced = has_base and mine == was
            assert replaced or name in said  # somebody's edit: then it is told as well
        edited = wish is not None and not (has_base and wish == was)
        if edited and wish != now and wish not in str(now):
            assert name in said
            assert empty(said[name].crm) == wish

    check("f", pms["f"], done.before.get("f"), held["f"], crm["f"], base["f"])
    inner = (held["custom"] or {}).get("N")
    replaced = (done.before.get("custom") or {}).get("N")
    check("custom.N", own[1], replaced, inner, own[2], own[0])
    for element in {*(sets[1] or ()), *(sets[2] or ())}:
        if element in (held["s"] or ()):
            continue
        taken_out = has_base and element in (sets[0] or ())
        assert taken_out, "only what was agreed can be taken out"
    if done.write.get("s", ...) is not ...:
        assert {*(done.before["s"] or ())} == {*(sets[1] or ())}


@pytest.mark.slow
@pytest.mark.parametrize(
    "law",
    [
        test_one_value_as_the_oracle_says,
        test_a_set_as_the_oracle_says,
        test_merging_again_changes_nothing,
        test_the_sides_are_alike_but_for_the_policy,
        test_unions_do_not_mind_the_side,
        test_no_value_is_lost,
    ],
)
def test_ten_thousand_cases(law: Any) -> None:
    run_many(law)
