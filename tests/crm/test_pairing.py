"""Pairing and key rotation against the reference server, cut off at every step."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey
from structlog.testing import capture_logs

from agent.crm.pairing import SECRET_NAME, Pairing, PairingStore, new_key, public_of
from agent.errors import ConfigError, CrmAuthError, CrmUnavailable
from agent.sandbox.crm import CrmServer
from tests.crm.clocks import RealClock
from tests.crm.conftest import PairedAgent
from tests.crm.made import make_change
from tests.crm.stub import MemorySecrets


class Crash(Exception):
    """The process died here."""


def kids(agent: PairedAgent) -> set[str]:
    return agent.rotation._known_kids()


def test_a_code_pairs_once(server: CrmServer) -> None:
    agent = PairedAgent(server)
    code = server.new_code()
    pairing = agent.enroll(f" {code.lower()} ")
    assert (pairing.practice_id, pairing.practice_name) == ("demo", "Willow Creek Dental")
    assert agent.pairings.load() == pairing
    assert kids(agent) == {pairing.live_kid}
    with pytest.raises(CrmAuthError) as caught:
        agent.enroll(code)
    assert (caught.value.code, caught.value.facts["reason"]) == ("crm.code_refused", "code-invalid")
    assert agent.pairings.load() == pairing  # a refused code does not undo the pairing there is
    agent.close()


@pytest.mark.parametrize("code", ["", "  ", "ab", "x" * 41, "ABCD\nEFGH", "ABCD/EFGH"])
def test_texts_that_cannot_be_codes_are_not_sent(server: CrmServer, code: str) -> None:
    agent = PairedAgent(server)
    with pytest.raises(ConfigError):
        agent.enroll(code)
    agent.close()


def test_a_forgetful_secret_store_is_found_out_before_the_code_is_spent(server: CrmServer) -> None:
    class Forgetful(MemorySecrets):
        def set(self, name: str, value: str) -> None:
            pass

    agent = PairedAgent(server)
    agent.pairings = PairingStore(Forgetful())
    code = server.new_code()
    with pytest.raises(CrmAuthError) as caught:
        agent.enroll(code)
    assert caught.value.code == "crm.secret_store_forgets"
    agent.pairings = PairingStore(agent.secrets)
    assert agent.enroll(code)
    agent.close()


def test_what_is_stored_fits_the_windows_store_and_nothing_else_is(paired: PairedAgent) -> None:
    pairing = paired.pairings.load()
    both = Pairing(
        client_id="agent-" + "x" * 36,
        practice_id="p" * 40,
        practice_name="n" * 60,
        issuer="https://" + "i" * 80,
        live=pairing.live,
        live_since=pairing.live_since,
        next=new_key(),
        old_kid=pairing.live_kid,
    )
    paired.pairings.save(both)
    assert len(paired.secrets.values[SECRET_NAME]) < 1200
    assert list(paired.secrets.values) == [SECRET_NAME]


def test_the_public_half_is_only_that() -> None:
    jwk = new_key()
    assert "d" in jwk
    assert "d" not in public_of(jwk)
    assert not ECKey.import_key(public_of(jwk)).is_private


def test_not_paired_or_damaged_is_said(server: CrmServer) -> None:
    agent = PairedAgent(server)
    with pytest.raises(CrmAuthError) as caught:
        agent.auth.bearer()
    assert caught.value.code == "crm.not_paired"
    for damaged in ("{", '{"client_id": "secret-canary"}'):
        agent.secrets.set(SECRET_NAME, damaged)
        with pytest.raises(CrmAuthError) as caught:
            agent.auth.bearer()
        assert caught.value.code == "crm.pairing_damaged"
        assert "canary" not in str(caught.value)
    agent.close()


def test_rotation_changes_the_key_without_a_gap(paired: PairedAgent) -> None:
    before = paired.pairings.load()
    token = paired.auth.bearer()
    after = paired.rotation.rotate()
    assert after.live_kid != before.live_kid
    assert not after.is_rotating
    assert kids(paired) == {after.live_kid}
    assert paired.auth.bearer() != token
    crm = paired.crm()
    assert crm.push("batch-0001", crm.pack("batch-0001", [make_change(1)])).outcomes
    assert paired.rotation.rotate().live_kid != after.live_kid


def test_a_running_agent_takes_up_a_key_rotated_by_another_process(paired: PairedAgent) -> None:
    elsewhere = PairedAgent(paired.server)
    elsewhere.secrets.values = paired.secrets.values
    assert paired.auth.bearer()
    elsewhere.rotation.rotate()
    elsewhere.close()
    paired.clock.sleep(250)
    assert paired.auth.bearer()


def test_rotation_is_due_after_ninety_days(server: CrmServer) -> None:
    agent = PairedAgent(server)
    assert not agent.rotation.is_due()
    agent.enroll()
    assert not agent.rotation.is_due()
    agent.clock.wrong_by_s = 91 * 86_400
    assert agent.rotation.is_due()
    agent.close()


STEPS = ["save", "_known_kids", "_add", "prove", "_retire"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_rotation_cut_off_anywhere_is_finished_later(
    paired: PairedAgent, monkeypatch: pytest.MonkeyPatch, step: str, when: str, nth: int
) -> None:
    before = paired.pairings.load()
    owner: Any = {"save": paired.pairings, "prove": paired.auth}.get(step, paired.rotation)
    real: Callable[..., Any] = getattr(owner, step)
    calls = 0

    def cut(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and when == "before":
            raise Crash
        found = real(*args)
        if calls == nth:
            raise Crash
        return found

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut)
        try:
            paired.rotation.rotate()
        except Crash:
            pass
        else:
            assert calls < nth  # this step runs fewer times
            return

    # Whatever happened, the agent still gets in, and finishing leaves exactly one key.
    restarted = PairedAgent(paired.server)
    restarted.secrets.values = paired.secrets.values
    assert restarted.auth.bearer()
    if restarted.rotation.is_due():
        restarted.rotation.resume()
    after = restarted.pairings.load()
    assert not after.is_rotating
    assert kids(restarted) == {after.live_kid}
    touched = step != "save" or nth > 1 or when == "after"
    assert (after.live_kid != before.live_kid) == touched
    restarted.close()


def test_a_lost_answer_to_the_new_key_is_settled(
    paired: PairedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = paired.rotation._add

    def add_and_lose(*args: Any) -> None:
        real(*args)
        raise CrmUnavailable("crm.cut_answer")

    with monkeypatch.context() as patch:
        patch.setattr(paired.rotation, "_add", add_and_lose)
        with pytest.raises(CrmUnavailable):
            paired.rotation.rotate()
    assert len(kids(paired)) == 2
    assert paired.rotation.resume().is_rotating is False
    assert len(kids(paired)) == 1


def test_keys_of_a_lost_machine_state_are_cleared_away(paired: PairedAgent) -> None:
    old = dict(paired.secrets.values)
    # A rotation stops half-way, then the machine is restored from a backup of before it.
    pairing = paired.pairings.load()
    paired.rotation._add(pairing, new_key())
    paired.secrets.values.update(old)
    assert len(kids(paired)) == 2
    assert paired.rotation.rotate()
    assert len(kids(paired)) == 1


def test_private_keys_and_codes_are_never_logged(
    server: CrmServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    agent = PairedAgent(server, clock=RealClock(-3600))
    code = server.new_code()
    with capture_logs() as logs:
        agent.enroll(code)
        token = agent.auth.bearer()
        agent.rotation.rotate()
    pairing = agent.pairings.load()
    crumbs = [code, token, token.split(".")[2], str(pairing.live["d"])]
    told = json.dumps(logs, default=repr) + caplog.text + repr(pairing) + repr(agent.auth)
    assert [crumb for crumb in crumbs if crumb in told] == []
    assert {"crm.paired", "crm.key_rotated"} <= {entry["event"] for entry in logs}
    agent.close()
