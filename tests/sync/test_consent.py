"""Consent: the lattice, what a consent.set may do, and what must not be sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import strategies as st

from agent.model.commands import Command, CommandType, Reason
from agent.model.entities import Patient
from agent.model.entities.words import Consent, ContactMethod, OptOut, PatientStatus
from agent.sync.consent import (
    Channel,
    Decision,
    OutreachRule,
    as_consent,
    channels_needed,
    counts,
    decide,
    instant,
    loosens,
    outreach_refusal,
    strictest,
)
from tests.sync.properties import holds, run_many

NOW = datetime(2027, 3, 10, 12, tzinfo=UTC)
EARLIER = "2027-03-09T08:00:00Z"


def setting(consent: str = "granted", **changes: Any) -> Command:
    payload = {"channel": "sms", "consent": consent, "source": "web_form: recall", "at": EARLIER}
    expected = changes.pop("expected", None)
    return Command(
        "k1", CommandType.CONSENT_SET, EARLIER, payload={**payload, **changes},
        precondition={} if expected is None else {"expected": expected},
    )  # fmt: skip


def patient(**changes: Any) -> Patient:
    values: dict[str, Any] = {
        "sms_consent": Consent.GRANTED, "email_consent": Consent.GRANTED,
        "phone_mobile": "+12145550101", "emails": ("ada@example.test",),
    }  # fmt: skip
    return Patient("1", **{**values, **changes})


# -- the lattice -----------------------------------------------------------------------------------

WORDS = [*Consent, None, "", "maybe"]


def test_the_stricter_word_holds() -> None:
    table = {(a, b): strictest(a, b) for a, b in product(WORDS, WORDS)}
    for (a, b), joined in table.items():
        assert joined == table[b, a]  # commutative
        assert table[a, a] == as_consent(a)  # idempotent
        for c in WORDS:
            assert strictest(joined, c) == strictest(a, strictest(b, c)) == strictest(a, b, c)
        assert not loosens(a, joined)
        assert not loosens(b, joined)
        assert strictest(a, "denied") is Consent.DENIED
        assert (joined is Consent.GRANTED) is (as_consent(a) is as_consent(b) is Consent.GRANTED)
    assert strictest() is Consent.UNKNOWN


@holds(said=st.lists(st.sampled_from(WORDS), max_size=8), more=st.lists(st.sampled_from(WORDS)))
def test_more_words_never_loosen(said: list[Any], more: list[Any]) -> None:
    if said:
        assert not loosens(strictest(*said), strictest(*said, *more))
    assert strictest(*said, *more) is strictest(*reversed([*said, *more]))


# -- consent.set -----------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [Consent.GRANTED, Consent.UNKNOWN, None])
def test_a_refusal_is_always_taken(held: Consent | None) -> None:
    said = setting("denied", source="", at="")
    assert decide(said, patient(sms_consent=held), NOW) == Decision({"sms_consent": "denied"})


def test_nothing_to_do_is_nothing_done() -> None:
    assert decide(setting(), patient(), NOW) == Decision({})
    assert decide(setting("denied"), patient(sms_consent=Consent.DENIED), NOW) == Decision({})


def test_a_grant_needs_a_source_and_an_instant() -> None:
    unasked = patient(sms_consent=None)
    assert decide(setting(), unasked, NOW) == Decision({"sms_consent": "granted"})
    for wrong in (
        {"source": ""}, {"source": "import"}, {"source": None}, {"at": None}, {"at": "yesterday"},
        {"at": "2027-03-09T08:00:00"}, {"at": "2027-03-10T12:06:00Z"},
    ):  # fmt: skip
        refused = decide(setting(**wrong), unasked, NOW)
        assert (refused.reason, refused.code) == (Reason.POLICY_BLOCKED, "consent.no_proof")
        assert refused.is_refused
        assert refused.fields == {}
    email = setting(channel="email")
    assert decide(email, patient(email_consent=None), NOW).fields == {"email_consent": "granted"}


def test_what_is_not_understood_is_refused() -> None:
    for wrong in ({"channel": "fax"}, {"consent": "unknown"}, {"consent": None}):
        assert decide(setting(**wrong), patient(), NOW).reason is Reason.VALIDATION_FAILED


def test_only_an_explicit_newer_grant_lifts_a_refusal() -> None:
    refused = patient(sms_consent=Consent.DENIED)
    assert decide(setting(), refused, NOW).code == "consent.refusal_stands"
    knowing = setting(expected={"sms_consent": "denied"})
    assert decide(knowing, refused, NOW).fields == {"sms_consent": "granted"}
    other_channel = setting(expected={"email_consent": "denied"})
    assert decide(other_channel, refused, NOW).code == "consent.refusal_stands"
    unproved = setting(expected={"sms_consent": "denied"}, source="sync")
    assert decide(unproved, refused, NOW).code == "consent.no_proof"
    before = patient(sms_consent=Consent.DENIED, sms_consent_at="2027-03-01T00:00:00Z")
    assert decide(setting(), before, NOW).fields == {"sms_consent": "granted"}
    after = patient(sms_consent=Consent.DENIED, sms_consent_at="2027-03-09T08:00:00Z")
    assert decide(setting(), after, NOW).code == "consent.refusal_stands"
    listed = patient(sms_consent=Consent.DENIED, opt_out_sms=(OptOut.ALL,))
    assert decide(knowing, listed, NOW).code == "consent.opted_out_in_pms"


def test_sources_and_instants() -> None:
    assert counts("Web form: landing page")
    assert counts("staff")
    assert not counts("webform")
    assert not counts(7)
    assert instant("2027-03-09T02:00:00-06:00") == datetime(2027, 3, 9, 8, tzinfo=UTC)


@holds(
    held=st.sampled_from([*Consent, None]),
    wished=st.sampled_from(["granted", "denied", "unknown"]),
    source=st.sampled_from(["web_form", "import", "", None]),
    age_s=st.integers(-600, 600),
    held_age_s=st.one_of(st.none(), st.integers(-600, 600)),
    expected=st.sampled_from([None, "denied", "granted"]),
    opted_out=st.booleans(),
)
def test_no_refusal_is_lifted_without_proof(
    held: Any, wished: str, source: Any, age_s: int, held_age_s: int | None, expected: Any,
    opted_out: bool,
) -> None:  # fmt: skip
    def ago(seconds: int) -> str:
        return (NOW - timedelta(seconds=seconds)).isoformat()

    person = patient(
        sms_consent=held,
        sms_consent_at=None if held_age_s is None else ago(held_age_s),
        opt_out_sms=(OptOut.ALL,) if opted_out else (),
    )
    said = setting(wished, source=source, at=ago(age_s), expected={"sms_consent": expected})
    found = decide(said, person, NOW)
    assert not (found.fields and found.is_refused)
    if wished == "denied":
        assert found.fields == ({} if held is Consent.DENIED else {"sms_consent": "denied"})
        return
    if found.fields:
        assert found.fields == {"sms_consent": "granted"}
        assert source == "web_form"
        assert age_s >= -300
        if held is Consent.DENIED:
            newer = held_age_s is not None and age_s < held_age_s
            assert not opted_out
            assert expected == "denied" or newer


# -- outreach --------------------------------------------------------------------------------------


def log_entry(**payload: Any) -> Command:
    return Command("k2", CommandType.COMMLOG_APPEND, EARLIER, payload=payload)


@pytest.mark.parametrize(
    ("payload", "needed"),
    [
        ({"channel": "sms"}, {Channel.SMS}),
        ({"channel": "sms", "direction": "sent"}, {Channel.SMS}),
        ({"channel": "email", "direction": "unknown"}, {Channel.EMAIL}),
        ({"channel": "sms", "direction": "received"}, set()),
        ({"channel": "sms", "direction": "neither"}, set()),
        ({"mode": "email_and_text"}, {Channel.SMS, Channel.EMAIL}),
        ({"mode": "text", "channel": "email"}, {Channel.SMS, Channel.EMAIL}),
        ({"mode": "phone"}, set()),
        ({}, set()),
    ],
)
def test_which_entries_are_outreach(payload: dict[str, Any], needed: set[Channel]) -> None:
    assert channels_needed(log_entry(**payload)) == needed


def test_what_the_office_does_anyway_needs_no_consent() -> None:
    others = [t for t in CommandType if t is not CommandType.COMMLOG_APPEND]
    assert not any(
        channels_needed(Command("k", t, EARLIER, payload={"channel": "sms"})) for t in others
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"sms_consent": Consent.DENIED}, "consent.missing"),
        ({"sms_consent": Consent.UNKNOWN}, "consent.missing"),
        ({"sms_consent": None}, "consent.missing"),
        ({"opt_out_sms": (OptOut.ALL,)}, "consent.opted_out"),
        ({"opt_out_sms": (OptOut.OTHER,)}, "consent.opted_out"),
        ({"opt_out_sms": (OptOut.RECALL,)}, "consent.opted_out"),
        ({"opt_out_sms": (OptOut.STATEMENT,)}, None),
        ({"opt_out_email": (OptOut.ALL,)}, None),
        ({"preferred_recall": ContactMethod.DO_NOT_CALL}, "consent.do_not_call"),
        ({"phone_mobile": None}, "consent.no_address"),
        ({"status": PatientStatus.DECEASED}, "consent.patient_gone"),
        ({"status": PatientStatus.DELETED}, "consent.patient_gone"),
        ({"deceased": "2026-01-01"}, "consent.patient_gone"),
        ({"merged_into": "2"}, "consent.patient_gone"),
        ({"email_consent": Consent.DENIED}, None),
    ],
)
def test_who_must_not_get_a_text(changes: dict[str, Any], code: str | None) -> None:
    found = outreach_refusal(patient(**changes), [Channel.SMS], topic=OptOut.RECALL)
    assert found == code


def test_all_channels_must_be_allowed_and_both_sides() -> None:
    both = [Channel.SMS, Channel.EMAIL]
    assert outreach_refusal(patient(), both) is None
    assert outreach_refusal(patient(email_consent=Consent.DENIED), both) == "consent.missing"
    assert outreach_refusal(patient(emails=()), both) == "consent.no_address"
    said = {Channel.SMS: "denied"}
    assert outreach_refusal(patient(), [Channel.SMS], also_said=said) == "consent.missing"
    assert outreach_refusal(patient(), [Channel.EMAIL], also_said=said) is None
    assert outreach_refusal(patient(status=PatientStatus.DELETED), []) is None


def test_a_practice_may_read_silence_as_a_yes() -> None:
    rule = OutreachRule(frozenset({Channel.EMAIL}))
    silent = patient(email_consent=Consent.UNKNOWN, sms_consent=Consent.UNKNOWN)
    assert outreach_refusal(silent, [Channel.EMAIL], rule=rule) is None
    assert outreach_refusal(silent, [Channel.SMS], rule=rule) == "consent.missing"
    refused = {Channel.EMAIL: "denied"}
    found = outreach_refusal(silent, [Channel.EMAIL], also_said=refused, rule=rule)
    assert found == "consent.missing"


@pytest.mark.slow
@pytest.mark.parametrize(
    "law", [test_more_words_never_loosen, test_no_refusal_is_lifted_without_proof]
)
def test_ten_thousand_cases(law: Any) -> None:
    run_many(law)
