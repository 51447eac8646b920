"""Which error an odd answer becomes, and how the client paces itself: against canned answers."""

from __future__ import annotations

import random
import threading

import pytest

from agent.crm.limits import Backoff
from agent.errors import CrmAuthError, CrmError, CrmRefusedBatch, CrmUnavailable
from agent.model.streams import Stream
from agent.model.writing import Heartbeat, Outcome
from tests.crm.clocks import RealClock
from tests.crm.made import make_appointments
from tests.crm.rawserver import answer
from tests.crm.stub import Reply, StubCrm, problem, settled

PUSH = "POST /v1/sync/push"
HTML = b"<html>blocked by the office firewall</html>"


def push_error(*replies: Reply) -> CrmError:
    with StubCrm({PUSH: list(replies)}) as stub:
        crm = stub.client()
        with pytest.raises(CrmError) as caught:
            crm.push("batch-0001", crm.pack("batch-0001", make_appointments(3)))
        crm.close()
    return caught.value


@pytest.mark.parametrize(
    ("name", "status", "kind", "code"),
    [
        ("invalid-request", 400, CrmRefusedBatch, "crm.batch_refused"),
        ("payload-too-large", 413, CrmRefusedBatch, "crm.batch_refused"),
        ("idempotency-reused", 422, CrmRefusedBatch, "crm.batch_refused"),
        ("contract-unsupported", 400, CrmUnavailable, "crm.contract_unsupported"),
        ("agent-revoked", 403, CrmAuthError, "crm.auth_revoked"),
        ("wrong-practice", 403, CrmAuthError, "crm.wrong_practice"),
        ("insufficient-scope", 403, CrmAuthError, "crm.scope_missing"),
        ("idempotency-in-flight", 409, CrmUnavailable, "crm.in_flight"),
        ("quota-exceeded", 429, CrmUnavailable, "crm.throttled"),
        ("temporary-reduced-capacity", 503, CrmUnavailable, "crm.server_error"),
        ("internal", 500, CrmUnavailable, "crm.server_error"),
        ("invalid-token", 401, CrmUnavailable, "crm.token_refused"),
        ("not-found", 404, CrmUnavailable, "crm.unexpected_answer"),
    ],
)
def test_problems_become_errors(name: str, status: int, kind: type, code: str) -> None:
    error = push_error(lambda _: problem(name, status))
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_page_of_a_firewall_neither_unpairs_nor_parks(status: int) -> None:
    error = push_error(lambda _: answer(HTML, f"{status} No", "text/html"))
    assert isinstance(error, CrmUnavailable)
    plain = push_error(lambda _: answer(b'{"error": "no"}', f"{status} No"))
    assert isinstance(plain, CrmUnavailable)


def test_too_large_is_believed_of_a_proxy_too() -> None:
    error = push_error(lambda _: answer(HTML, "413 Request Entity Too Large", "text/html"))
    assert isinstance(error, CrmRefusedBatch)


@pytest.mark.parametrize(
    ("status", "extra", "wait_s"),
    [
        ("503", "Retry-After: 7\r\n", 7),
        ("429", 'RateLimit: "push";r=0;t=9\r\n', 9),
        ("429", 'RateLimit: "push";r=0;t=9\r\nRetry-After: 3\r\n', 3),
        ("502", "", None),
    ],
)
def test_the_asked_for_wait_is_passed_on(status: str, extra: str, wait_s: float | None) -> None:
    error = push_error(lambda _: answer(HTML, f"{status} No", "text/html", extra))
    assert isinstance(error, CrmUnavailable)
    assert error.retry_after_s == wait_s


def test_an_answer_that_is_not_for_this_batch_is_not_taken() -> None:
    changes = make_appointments(3)
    ids = [change.op_id.hex() for change in changes]
    fine = [{"event_id": i, "outcome": "applied"} for i in ids]
    for broken in (
        {"results": fine[:2]},
        {"results": [*fine, fine[0]]},
        {"results": fine[::-1]},
        {"results": [*fine[:2], {"event_id": None, "outcome": "rejected"}]},
        {"results": [{"event_id": i, "outcome": "splendid"} for i in ids]},
        {"batch_id": "batch-0002"},
        {"results": "all good"},
    ):
        error = push_error(lambda body, broken=broken: settled(body, **broken))  # type: ignore[misc]
        assert isinstance(error, CrmUnavailable), broken
        assert error.code == "crm.bad_answer"
    assert push_error(lambda _: answer(b'{"batch_id": "batch-0001", "res')).code == "crm.bad_answer"


def test_outcomes_come_back_in_order() -> None:
    def mixed(body: bytes) -> bytes:
        ids = [change.op_id.hex() for change in make_appointments(3)]
        return settled(
            body,
            results=[
                {"event_id": ids[0], "outcome": "applied", "server_version": 4},
                {"event_id": ids[1], "outcome": "rejected", "reason": "hash-mismatch"},
                {"event_id": ids[2], "outcome": "retry", "retry_after_s": 2.5},
            ],
        )

    with StubCrm({PUSH: [mixed]}) as stub:
        crm = stub.client()
        reply = crm.push("batch-0001", crm.pack("batch-0001", make_appointments(3)))
        crm.close()
        assert b"idempotency-key: batch-0001" in stub.heads[-1]
        assert b"content-encoding: gzip" in stub.heads[-1]
    assert [o.outcome for o in reply.outcomes] == [Outcome.APPLIED, Outcome.REJECTED, Outcome.RETRY]
    assert reply.outcomes[1].reason == "hash-mismatch"
    assert reply.outcomes[2].retry_after_s == 2.5


def test_a_batch_is_never_sent_under_another_id() -> None:
    with StubCrm({PUSH: [settled]}) as stub:
        crm = stub.client()
        with pytest.raises(CrmError):
            crm.push("batch-0002", crm.pack("batch-0001", make_appointments(1)))
        crm.close()
        assert stub.calls[PUSH] == 0


def test_one_refresh_after_a_401_and_no_more() -> None:
    with StubCrm({PUSH: [lambda _: problem("token-expired", 401), settled]}) as stub:
        crm = stub.client()
        assert crm.push("batch-0001", crm.pack("batch-0001", make_appointments(1))).outcomes
        assert stub.calls["POST /oauth/token"] == 2
        crm.close()
    with StubCrm({PUSH: [lambda _: problem("token-expired", 401)]}) as stub:
        crm = stub.client()
        with pytest.raises(CrmUnavailable):
            crm.push("batch-0001", crm.pack("batch-0001", make_appointments(1)))
        assert (stub.calls["POST /oauth/token"], stub.calls[PUSH]) == (2, 2)
        crm.close()


def oauth_error(error: str, code: str, **more: str) -> Reply:
    extra = "".join(f', "{k}": "{v}"' for k, v in more.items())
    body = f'{{"error": "{error}", "code": "{code}"{extra}}}'.encode()
    return lambda _: answer(body, "401 Unauthorized")


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (oauth_error("invalid_client", "agent-revoked"), CrmAuthError, "crm.auth_revoked"),
        (oauth_error("invalid_client", "unknown-key"), CrmAuthError, "crm.auth_refused"),
        (oauth_error("invalid_client", "wrong-audience"), CrmAuthError, "crm.auth_refused"),
        (oauth_error("invalid_client", "clock-skew"), CrmUnavailable, "crm.clock_refused"),
        (lambda _: answer(HTML, "401 No", "text/html"), CrmUnavailable, "crm.token_refused"),
        (lambda _: answer(HTML, "403 No", "text/html"), CrmUnavailable, "crm.blocked"),
        (lambda _: answer(HTML), CrmUnavailable, "crm.bad_answer"),
        (lambda _: problem("quota-exceeded", 429), CrmUnavailable, "crm.throttled"),
    ],
)
def test_refused_tokens(reply: Reply, kind: type, code: str) -> None:
    with StubCrm({"POST /oauth/token": [reply], PUSH: [settled]}) as stub:
        crm = stub.client()
        with pytest.raises(CrmError) as caught:
            crm.push("batch-0001", crm.pack("batch-0001", make_appointments(1)))
        crm.close()
        assert stub.calls[PUSH] == 0
    assert (type(caught.value), caught.value.code) == (kind, code)


class TopChance(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_breaker_rests_then_probes_once() -> None:
    replies: list[Reply] = [lambda _: problem("internal", 500)] * 6
    with StubCrm({PUSH: [*replies, settled]}) as stub:
        clock = RealClock()
        crm = stub.client(clock, rng=TopChance(), backoff=Backoff())
        body = crm.pack("batch-0001", make_appointments(1))

        def code() -> str:
            with pytest.raises(CrmUnavailable) as caught:
                crm.push("batch-0001", body)
            return caught.value.code

        assert [code() for _ in range(5)] == ["crm.server_error"] * 5
        assert [code() for _ in range(3)] == ["crm.resting"] * 3
        assert stub.calls[PUSH] == 5
        clock.sleep(17)
        assert code() == "crm.server_error"  # the probe failed
        assert code() == "crm.resting"
        clock.sleep(33)
        assert crm.push("batch-0001", body).outcomes
        assert crm.push("batch-0001", body).outcomes
        crm.close()


def test_while_a_probe_is_out_nobody_else_goes() -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def slow(body: bytes) -> bytes:
        asked.set()
        may_answer.wait(5)
        return settled(body)

    with StubCrm({PUSH: [lambda _: problem("internal", 500), slow]}) as stub:
        clock = RealClock()
        crm = stub.client(clock, rng=TopChance(), backoff=Backoff(failures_to_open=1))
        body = crm.pack("batch-0001", make_appointments(1))
        with pytest.raises(CrmUnavailable):
            crm.push("batch-0001", body)
        clock.sleep(2)
        probe = threading.Thread(target=crm.push, args=("batch-0001", body))
        probe.start()
        assert asked.wait(5)
        with pytest.raises(CrmUnavailable) as caught:
            crm.push("batch-0001", body)
        assert caught.value.code == "crm.resting"
        may_answer.set()
        probe.join(5)
        assert crm.push("batch-0001", body).outcomes
        crm.close()


def test_a_spent_quota_waits_without_asking() -> None:
    def spent(body: bytes) -> bytes:
        head, _, rest = settled(body).partition(b"\r\n")
        limit = b'RateLimit-Policy: "push";q=60;w=60\r\nRateLimit: "push";r=0;t=20\r\n'
        return head + b"\r\n" + limit + rest

    with StubCrm({PUSH: [spent, settled]}) as stub:
        clock = RealClock()
        crm = stub.client(clock)
        body = crm.pack("batch-0001", make_appointments(1))
        assert crm.push("batch-0001", body).outcomes
        with pytest.raises(CrmUnavailable) as caught:
            crm.push("batch-0001", body)
        assert caught.value.code == "crm.throttled"
        assert caught.value.retry_after_s == pytest.approx(20, abs=1)
        assert stub.calls[PUSH] == 1
        clock.sleep(21)
        assert crm.push("batch-0001", body).outcomes
        crm.close()


def test_a_retry_after_holds_the_next_push_back_too() -> None:
    busy: Reply = lambda _: problem("quota-exceeded", 429, "Retry-After: 30\r\n")  # noqa: E731
    with StubCrm({PUSH: [busy, settled]}) as stub:
        clock = RealClock()
        crm = stub.client(clock)
        body = crm.pack("batch-0001", make_appointments(1))
        for _ in range(3):
            with pytest.raises(CrmUnavailable):
                crm.push("batch-0001", body)
        assert stub.calls[PUSH] == 1
        clock.sleep(31)
        assert crm.push("batch-0001", body).outcomes
        crm.close()


def test_digests_must_be_whole_and_of_the_stream_asked_for() -> None:
    buckets = [f'{{"bucket":{n},"count":0,"sum48":0,"xor64":0}}' for n in range(256)]

    def reply(kind: str, listed: list[str]) -> Reply:
        body = f'{{"type":"{kind}","buckets":[{",".join(listed)}]}}'.encode()
        return lambda _: answer(body)

    for wrong in (
        reply("patient", buckets[:255]),
        reply("patient", [buckets[1], buckets[0], *buckets[2:]]),
        reply("recall", buckets),
    ):
        with StubCrm({"GET /v1/sync/digests": [wrong]}) as stub:
            crm = stub.client()
            with pytest.raises(CrmUnavailable):
                crm.digests(Stream.PATIENT)
            crm.close()


def test_the_servers_throttle_spaces_pushes() -> None:
    beat = Heartbeat("0.1.0", "opendental", "21.1", "j", 1, None, None, None, None, 0, 0, 0)
    heard: Reply = lambda _: answer(  # noqa: E731
        b'{"server_time":"2026-01-01T00:00:00Z","commands_waiting":2,"epoch_known":false,'
        b'"throttle_s":15}'
    )
    with StubCrm({PUSH: [settled], "POST /v1/agents/self/heartbeat": [heard]}) as stub:
        crm = stub.client()
        crm.heartbeat(beat)
        assert crm.last_reply is not None
        assert (crm.last_reply.commands_waiting, crm.last_reply.epoch_known) == (2, False)
        body = crm.pack("batch-0001", make_appointments(1))
        assert crm.push("batch-0001", body).outcomes
        with pytest.raises(CrmUnavailable) as caught:
            crm.push("batch-0001", body)
        assert caught.value.code == "crm.throttled"
        crm.close()


def test_calls_that_fail_together_are_one_failure() -> None:
    gathered = threading.Barrier(6)

    def together(_: bytes) -> bytes:
        gathered.wait(5)
        return problem("internal", 500)

    with StubCrm({PUSH: [*[together] * 6, settled]}) as stub:
        crm = stub.client(RealClock(), rng=TopChance(), backoff=Backoff())
        body = crm.pack("batch-0001", make_appointments(1))

        def fail() -> None:
            with pytest.raises(CrmUnavailable):
                crm.push("batch-0001", body)

        senders = [threading.Thread(target=fail) for _ in range(6)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(10)
        assert stub.calls[PUSH] == 6
        assert crm.push("batch-0001", body).outcomes  # six threads, one failure: nobody rests
        crm.close()
