"""The client against the reference server: pushing, faults, tokens, digests, configuration."""

from __future__ import annotations

import hashlib
import threading
import time

import msgspec
import pytest

from agent.errors import CrmAuthError, CrmRefusedBatch, CrmUnavailable
from agent.model.streams import Stream
from agent.model.writing import BucketDigest, Change, Heartbeat, Outcome, Verb
from agent.sandbox.crm import CrmServer, Fault, FaultKind, accounts
from tests.crm.clocks import RealClock
from tests.crm.conftest import PairedAgent
from tests.crm.made import make_appointments, make_change

PATIENTS = [make_change(number) for number in range(1, 6)]


def outcomes(agent: PairedAgent, batch_id: str, changes: list[Change]) -> list[Outcome]:
    crm = agent.crm()
    reply = crm.push(batch_id, crm.pack(batch_id, changes))
    return [item.outcome for item in reply.outcomes]


def held(agent: PairedAgent, stream: Stream = Stream.PATIENT) -> dict[str, str]:
    """Every live record of the stream at the CRM: key -> content hash (hex)."""
    crm = agent.crm()
    found: dict[str, str] = {}
    for digest in crm.digests(stream):
        if digest.count:
            found |= crm.bucket(stream, digest.bucket)
    return found


def test_changes_are_applied_and_proven_by_digests(paired: PairedAgent) -> None:
    assert outcomes(paired, "batch-0001", PATIENTS) == [Outcome.APPLIED] * 5
    assert held(paired) == {str(c.key): c.content_hash.hex() for c in PATIENTS}
    expected = {n: [0, 0, 0] for n in range(256)}
    for change in PATIENTS:
        one = expected[hashlib.sha256(str(change.key).encode()).digest()[0]]
        one[0] += 1
        one[1] += int.from_bytes(change.content_hash[:6], "big")
        one[2] ^= int.from_bytes(change.content_hash[8:], "big", signed=True)
    assert paired.crm().digests(Stream.PATIENT) == [
        BucketDigest(n, *numbers) for n, numbers in expected.items()
    ]


def test_sending_again_is_safe_at_every_layer(paired: PairedAgent) -> None:
    crm = paired.crm()
    body = crm.pack("batch-0001", PATIENTS)
    first = crm.push("batch-0001", body)
    assert crm.push("batch-0001", body) == first
    assert outcomes(paired, "batch-0002", PATIENTS) == [Outcome.DUPLICATE] * 5
    anew = [make_change(1, version=2, city="Springfield"), make_change(2, version=9)]
    same_content = [Outcome.APPLIED, Outcome.UNCHANGED]
    assert outcomes(paired, "batch-0003", anew) == same_content
    assert outcomes(paired, "batch-0004", [make_change(1, version=1, city="Shelbyville")]) == [
        Outcome.STALE
    ]
    with pytest.raises(CrmRefusedBatch) as caught:
        crm.push("batch-0001", crm.pack("batch-0001", PATIENTS[:1]))
    assert caught.value.facts["reason"] == "idempotency-reused"


def test_deletes_merges_children_without_parents_and_bad_items(paired: PairedAgent) -> None:
    outcomes(paired, "batch-0001", PATIENTS)
    wrong_hash = msgspec.structs.replace(make_change(6), content_hash=bytes(16))
    orphan = make_change(7, stream=Stream.APPOINTMENT, patient_key="999")
    mixed = [
        make_change(1, verb=Verb.DELETE, version=2),
        make_change(2, verb=Verb.MERGE, version=2),
        wrong_hash,
        orphan,
    ]
    crm = paired.crm()
    reply = crm.push("batch-0002", crm.pack("batch-0002", mixed))
    assert [item.outcome for item in reply.outcomes] == [
        Outcome.APPLIED,
        Outcome.APPLIED,
        Outcome.REJECTED,
        Outcome.DEFERRED,
    ]
    assert reply.outcomes[2].reason == "hash-mismatch"
    assert set(held(paired)) == {"3", "4", "5"}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FaultKind.RESET_BEFORE, "crm.cut_answer"),
        (FaultKind.RESET_AFTER, "crm.cut_answer"),
        (FaultKind.TRUNCATED, "crm.cut_answer"),
        (FaultKind.SILENT_AFTER, "crm.timed_out"),
    ],
)
def test_a_lost_answer_is_settled_by_sending_again(
    server: CrmServer, kind: FaultKind, code: str
) -> None:
    agent = PairedAgent(server, deadline_s=1.0)
    agent.enroll()
    crm = agent.crm()
    crm.limits()
    body = crm.pack("batch-0001", PATIENTS)
    # Twice: a dead kept-alive connection is tried anew at once, and that must fail too.
    server.faults.arm(Fault(kind, times=2, delay_s=3))
    with pytest.raises(CrmUnavailable) as caught:
        crm.push("batch-0001", body)
    assert caught.value.code == code
    server.faults.clear()
    reply = crm.push("batch-0001", body)
    assert [item.outcome for item in reply.outcomes] == [Outcome.APPLIED] * 5
    assert held(agent) == {str(c.key): c.content_hash.hex() for c in PATIENTS}
    agent.close()


def test_busy_servers_are_waited_for(paired: PairedAgent) -> None:
    crm = paired.crm()
    body = crm.pack("batch-0001", PATIENTS)
    for status, wait_s in ((429, 3), (503, 2), (500, None)):
        fault = Fault(FaultKind.STATUS, status=status, retry_after_s=wait_s)
        paired.server.faults.arm(fault)
        with pytest.raises(CrmUnavailable) as caught:
            crm.push("batch-0001", body)
        assert caught.value.facts["status"] == status
        assert caught.value.retry_after_s == wait_s
        paired.clock.sleep(4)
    assert crm.push("batch-0001", body).outcomes


def test_faulty_items_come_back_as_such(paired: PairedAgent) -> None:
    paired.server.faults.arm(
        Fault(FaultKind.ITEM, key="2", outcome="retry"),
        Fault(FaultKind.ITEM, key="4", outcome="conflict"),
    )
    assert outcomes(paired, "batch-0001", PATIENTS) == [
        Outcome.APPLIED,
        Outcome.RETRY,
        Outcome.APPLIED,
        Outcome.CONFLICT,
        Outcome.APPLIED,
    ]


def test_too_many_items_are_refused_as_a_batch(paired: PairedAgent) -> None:
    crm = paired.crm()
    many = make_appointments(crm.limits().max_items + 1)
    with pytest.raises(CrmRefusedBatch):
        crm.push("batch-0001", crm.pack("batch-0001", many))


def test_the_wrong_practice_is_a_persons_business(paired: PairedAgent) -> None:
    crm = paired.crm()
    crm.origin = type(crm.origin)("0.1.0", "j" * 32, 1, "another")
    with pytest.raises(CrmAuthError) as caught:
        crm.push("batch-0001", crm.pack("batch-0001", PATIENTS))
    assert caught.value.code == "crm.wrong_practice"


def test_a_revoked_agent_stops_and_pairing_again_mends_it(paired: PairedAgent) -> None:
    crm = paired.crm()
    body = crm.pack("batch-0001", PATIENTS)
    assert crm.push("batch-0001", body).outcomes
    paired.server.revoke(paired.pairings.load().client_id)
    for _ in range(2):  # first by the token still held, then at the token endpoint
        with pytest.raises(CrmAuthError) as caught:
            crm.push("batch-0001", body)
        assert caught.value.code == "crm.auth_revoked"
    paired.enroll()
    assert crm.push("batch-0001", body).outcomes


def test_tokens_are_fetched_ahead_of_their_end_and_once(
    server: CrmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = PairedAgent(server)
    agent.enroll()
    first = agent.auth.bearer()
    agent.clock.sleep(0.79 * accounts.TOKEN_LIFE_S)
    assert agent.auth.bearer() == first
    agent.clock.sleep(0.02 * accounts.TOKEN_LIFE_S)
    second = agent.auth.bearer()
    assert second != first
    assert agent.auth.renew(first) == second  # somebody else renewed already
    third = agent.auth.renew(second)
    assert third not in {first, second}

    # All threads that find the token old get one new token between them.
    agent.auth.forget()
    tokens: set[str] = set()
    threads = [threading.Thread(target=lambda: tokens.add(agent.auth.bearer())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 1
    agent.close()


def test_a_token_that_died_early_is_replaced(
    paired: PairedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "TOKEN_LIFE_S", 1)
    crm = paired.crm()
    body = crm.pack("batch-0001", PATIENTS)
    paired.auth.bearer()
    now = paired.server.core.accounts._clock()
    monkeypatch.setattr(paired.server.core.accounts, "_clock", lambda: now + 30)
    assert crm.push("batch-0001", body).outcomes


@pytest.mark.parametrize("wrong_by_s", [-7200.0, 7200.0])
def test_a_wrong_clock_is_corrected(server: CrmServer, wrong_by_s: float) -> None:
    agent = PairedAgent(server, clock=RealClock(wrong_by_s))
    agent.enroll()
    assert agent.auth.bearer()
    crm = agent.crm()
    assert crm.push("batch-0001", crm.pack("batch-0001", PATIENTS)).outcomes
    assert crm.skew_s == pytest.approx(-wrong_by_s, abs=2)
    agent.close()


def test_a_clock_that_jumps_later_is_corrected_too(paired: PairedAgent) -> None:
    assert paired.auth.bearer()
    paired.clock.wrong_by_s = 4000.0
    paired.auth.forget()
    assert paired.auth.bearer()
    paired.clock.wrong_by_s = 0.0
    paired.auth.forget()
    assert paired.auth.bearer()


def test_the_configuration_is_kept_until_it_changes(paired: PairedAgent) -> None:
    crm = paired.crm()
    limits = crm.limits()
    assert (limits.max_items, limits.max_body_bytes) == (1000, 4_000_000)
    config = crm.config
    assert config is not None
    assert config.practice_name == "Willow Creek Dental"
    assert crm.refresh_config() is config  # 304
    paired.clock.sleep(100)
    paired.server.faults.arm(Fault(FaultKind.STATUS, path="/v1/agents/self/config"))
    assert crm.limits() == limits  # the line is down, the last answer stands


def test_heartbeats_say_whether_the_epoch_is_known(paired: PairedAgent) -> None:
    beat = Heartbeat(
        "0.1.0", "opendental", "21.1", "j" * 32, 1, None, "2026-01-01T00:00:00Z", 0.5, 9, 0, 1, 2
    )
    crm = paired.crm()
    crm.heartbeat(beat)
    assert crm.last_reply is not None
    assert crm.last_reply.epoch_known is False
    outcomes(paired, "batch-0001", PATIENTS)
    crm.heartbeat(beat)
    assert crm.last_reply.epoch_known is True


def test_two_threads_push_side_by_side(paired: PairedAgent) -> None:
    crm = paired.crm()
    failures: list[Exception] = []

    def push_many(lane: int) -> None:
        try:
            for turn in range(10):
                batch = [make_change(lane * 1000 + turn * 10 + n) for n in range(10)]
                name = f"batch-{lane}-{turn:04}"
                crm.push(name, crm.pack(name, batch))
        except Exception as exc:
            failures.append(exc)

    lanes = [threading.Thread(target=push_many, args=(lane,)) for lane in (1, 2)]
    for thread in lanes:
        thread.start()
    for thread in lanes:
        thread.join()
    assert failures == []
    assert len(held(paired)) == 200


@pytest.mark.bench
def test_pushing_speed(paired: PairedAgent) -> None:
    crm = paired.crm()
    for size in (1, 50, 1000):
        rounds = 200 if size == 1 else 20
        bodies = []
        for turn in range(rounds):
            batch = make_appointments(size, seed=size * 1000 + turn)
            name = f"batch-{size}-{turn:04}"
            bodies.append((name, crm.pack(name, batch)))
        began = time.perf_counter()
        for name, body in bodies:
            crm.push(name, body)
        took_s = time.perf_counter() - began
        rate = size * rounds / took_s
        print(f"push of {size}: {rate:,.0f} changes/s, {took_s / rounds * 1000:.2f} ms each")
        assert rate > 100
