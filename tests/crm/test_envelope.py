"""Envelopes that must be believed, and all the ways in which one must not be."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.crm.envelope import Flaw, Opener, read_public_keys
from agent.errors import CrmUnavailable
from agent.model.commands import Command, CommandType, Refusal
from tests.crm.clocks import RealClock
from tests.crm.sealing import RingOf, Signer, hmac_mark, make_body, make_lease, make_secret

CRM, STRANGER = Signer(), Signer()
CLOCK = RealClock()


def stamp(ahead_s: int = 0) -> int:
    return int(CLOCK.now().timestamp()) + ahead_s


def opened(lease: dict[str, Any] | bytes, ring: RingOf | None = None) -> Command | Refusal:
    raw = lease if isinstance(lease, bytes) else json.dumps(lease).encode()
    return Opener((ring or RingOf(CRM)).ring, "demo", CLOCK.now).open(raw)


def sealed(body: str | None = None, *, signer: Signer = CRM, ahead_s: int = 0) -> dict[str, Any]:
    text, at = make_body() if body is None else body, stamp(ahead_s)
    return make_lease("cmd-1", at, signer.mark("cmd-1", at, text), text)


def test_a_good_envelope_gives_its_command() -> None:
    body = make_body(priority=5, target={"type": "patient", "key": "42"}, not_after=None)
    command = opened(sealed(body))
    assert isinstance(command, Command)
    assert command.type is CommandType.APPOINTMENT_BOOK
    assert (command.command_id, command.practice_id, command.priority) == ("cmd-1", "demo", 5)
    assert command.target.key == "42"
    assert command.payload["minutes"] == 60


@pytest.mark.parametrize("text", ["Zoë Ó'Brien", "\U0001f9b7", 'quote " and \\ back', "\n\t\x7f"])
def test_the_text_is_verified_as_it_came(text: str) -> None:
    for body in (make_body(payload={"note": text}), make_body(payload={"note": text}) + " \n"):
        assert isinstance(opened(sealed(body)), Command)
    raw = json.dumps(sealed(make_body(payload={"note": text})), ensure_ascii=False).encode()
    assert isinstance(opened(raw), Command)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("body", make_body(payload={"start": "2026-11-23T17:00:00Z"})),
        ("body", make_body() + " "),
        ("timestamp", stamp),
        ("signature", ""),
        ("signature", "v1a,"),
        ("signature", "v1a," + "A" * 86 + "=="),
        ("signature", "v1a,not base64"),
        ("signature", "v2,AAAA"),
    ],
)
def test_what_was_changed_on_its_way_is_refused(part: str, value: object) -> None:
    lease = sealed()
    lease["envelope"][part] = value(100) if callable(value) else value
    assert opened(lease) == Refusal("cmd-1", Flaw.TAMPERED)


def test_a_strangers_signature_is_no_better_than_none() -> None:
    assert opened(sealed(signer=STRANGER)) == Refusal("cmd-1", Flaw.TAMPERED)


def test_one_commands_lease_around_anothers_envelope() -> None:
    body, at = make_body("cmd-2"), stamp()
    lease = make_lease("cmd-1", at, CRM.mark("cmd-2", at, body), body, sealed_as="cmd-2")
    assert opened(lease) == Refusal("cmd-1", Flaw.TAMPERED)
    body = make_body("cmd-2")
    assert opened(sealed(body)) == Refusal("cmd-1", Flaw.MALFORMED)


@pytest.mark.parametrize(
    ("ahead_s", "is_stale"), [(-302, True), (-295, False), (295, False), (302, True), (9**15, True)]
)
def test_the_date_may_be_five_minutes_off(ahead_s: int, is_stale: bool) -> None:
    found = opened(sealed(ahead_s=ahead_s))
    assert (found == Refusal("cmd-1", Flaw.STALE)) is is_stale
    assert isinstance(found, Command) is not is_stale


def test_the_practice_must_be_ours() -> None:
    assert opened(sealed(make_body(practice_id="other"))) == Refusal("cmd-1", Flaw.WRONG_PRACTICE)
    assert opened(sealed(make_body(practice_id=None))) == Refusal("cmd-1", Flaw.MALFORMED)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        "not json",
        make_body(type="payroll.run"),
        make_body(payload=[]),
        make_body(created_at=5),
        "[" * 100_000,
    ],
)
def test_a_good_signature_around_nonsense(body: str) -> None:
    assert opened(sealed(body)) == Refusal("cmd-1", Flaw.MALFORMED)


@pytest.mark.parametrize(
    ("lease", "name"),
    [
        (b"{}", ""),
        (b"null", ""),
        (b'{"command_id": "cmd-7"}', "cmd-7"),
        (b'{"command_id": "cmd-7", "envelope": {"id": "cmd-7"}}', "cmd-7"),
        (b'{"command_id": "Ada Tester, 555 0100", "envelope": {}}', ""),
        (b"[" * 100_000, ""),
    ],
)
def test_a_lease_that_is_none(lease: bytes, name: str) -> None:
    assert opened(lease) == Refusal(name, Flaw.MALFORMED)


def test_an_id_that_is_no_token_is_not_repeated() -> None:
    name, at = "Ada Tester", stamp()
    body = make_body(name)
    lease = make_lease(name, at, CRM.mark(name, at, body), body)
    assert opened(lease) == Refusal("", Flaw.MALFORMED)


def test_of_several_signatures_one_suffices() -> None:
    body, at = make_body(), stamp()
    good, bad = CRM.mark("cmd-1", at, body), STRANGER.mark("cmd-1", at, body)
    for marks in (f"{bad} {good}", f"{good} {bad}", f"v9,xyz junk {bad}  {good}"):
        assert isinstance(opened(make_lease("cmd-1", at, marks, body)), Command)
    flood = " ".join([bad] * 8 + [good])
    assert opened(make_lease("cmd-1", at, flood, body)) == Refusal("cmd-1", Flaw.TAMPERED)


def test_keys_change_without_a_lost_command() -> None:
    clock = RealClock()
    ring = RingOf(CRM, clock=clock)
    assert isinstance(opened(sealed(), ring), Command)
    fresh = Signer()
    ring.signers = [CRM, fresh]
    clock.sleep(20)
    assert isinstance(opened(sealed(signer=fresh), ring), Command), "asked once for the new key"
    assert ring.asked == 2
    assert isinstance(opened(sealed(), ring), Command), "the old one still counts"
    ring.signers = [fresh]
    clock.sleep(301)
    assert opened(sealed(), ring) == Refusal("cmd-1", Flaw.WRONG_KEY), "given up meanwhile"
    assert isinstance(opened(sealed(signer=fresh), ring), Command)


def test_a_flood_of_forgeries_is_not_a_flood_of_questions() -> None:
    clock = RealClock()
    ring = RingOf(CRM, clock=clock)
    clock.sleep(60)
    for _ in range(50):
        opened(sealed(signer=STRANGER), ring)
    assert ring.asked == 1
    clock.sleep(11)
    for _ in range(50):
        opened(sealed(signer=STRANGER), ring)
    assert ring.asked == 2


def test_keys_stay_while_the_crm_cannot_be_asked() -> None:
    clock = RealClock()
    ring = RingOf(CRM, clock=clock)
    assert isinstance(opened(sealed(), ring), Command)
    ring.down = CrmUnavailable()
    clock.sleep(1000)
    assert isinstance(opened(sealed(), ring), Command)
    never = RingOf(CRM)
    never.down = CrmUnavailable()
    with pytest.raises(CrmUnavailable):
        opened(sealed(), never)


def test_keys_somebody_else_asked_for_count_at_once() -> None:
    ring = RingOf(CRM)
    assert isinstance(opened(sealed(), ring), Command)
    ring.signers = [STRANGER]
    ring.refresh_config()
    assert opened(sealed(), ring) == Refusal("cmd-1", Flaw.WRONG_KEY)


def test_third_parties_sign_with_a_shared_secret() -> None:
    old, new, foreign = make_secret(1), make_secret(2), make_secret(3)
    body, at = make_body(), stamp()

    def lease(secret: str, text: str = body) -> dict[str, Any]:
        return make_lease("cmd-1", at, hmac_mark(secret, "cmd-1", at, text), body)

    ring = RingOf(CRM, secrets=f"{new} {old}")
    assert isinstance(opened(lease(new), ring), Command)
    assert isinstance(opened(lease(old), ring), Command), "while it is being changed"
    assert opened(lease(foreign), ring) == Refusal("cmd-1", Flaw.TAMPERED)
    assert opened(lease(new, body + " "), ring) == Refusal("cmd-1", Flaw.TAMPERED)
    assert opened(lease(new)) == Refusal("cmd-1", Flaw.WRONG_KEY), "we have no secret at all"
    both = make_lease(
        "cmd-1", at, f"{hmac_mark(foreign, 'cmd-1', at, body)} {CRM.mark('cmd-1', at, body)}", body
    )
    assert isinstance(opened(both), Command)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", make_secret(0, 8), "!!", " \n"])
def test_a_secret_that_is_none_verifies_nothing(secret: str) -> None:
    body, at = make_body(), stamp()
    mark = hmac_mark("whsec_", "cmd-1", at, body)
    found = opened(make_lease("cmd-1", at, mark, body), RingOf(CRM, secrets=secret))
    assert found == Refusal("cmd-1", Flaw.WRONG_KEY)


def test_other_kinds_of_keys_are_left_alone() -> None:
    ring = RingOf(CRM)
    good = ring.refresh_config()
    odd = [{"kty": "EC", "crv": "P-384", "x": "AA"}, {"kty": "OKP", "crv": "Ed25519", "x": "?"}]
    broken = msgspec.structs.replace(good, server_keys=[*odd, {}, *good.server_keys])
    assert len(read_public_keys(broken.server_keys)) == 1


@given(st.data())
def test_no_single_changed_character_gets_through(data: st.DataObject) -> None:
    lease = sealed()
    raw = json.dumps(lease["envelope"])
    place = data.draw(st.integers(0, len(raw) - 1))
    other = data.draw(
        st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != raw[place])
    )
    changed = raw[:place] + other + raw[place + 1 :]
    try:
        envelope = json.loads(changed)
    except ValueError:
        envelope = None
    if envelope == lease["envelope"]:
        return
    text = f'{{"command_id": "cmd-1", "envelope": {changed}}}'
    found = opened(text.encode())
    if isinstance(found, Command):
        # Only what is not signed may differ: an unknown member's name, white space of the list.
        same = {k: envelope.get(k) for k in ("id", "timestamp", "body")}
        assert same == {k: lease["envelope"][k] for k in same}
