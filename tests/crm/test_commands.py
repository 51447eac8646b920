"""The pull's port against canned answers: what it tells, whom it believes, how it waits."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any

import pytest

from agent.crm.commands import NativeCommands
from agent.crm.envelope import Flaw, KeyRing
from agent.crm.native import NativeCrm
from agent.crm.patience import Patience
from agent.crm.transport import narrowed_skew_s
from agent.errors import CrmAuthError, CrmUnavailable
from agent.model.commands import (
    CommandOutcome,
    CommandType,
    ConflictReport,
    EndState,
    LinkReport,
    LinkState,
    Polled,
    Reason,
    Refusal,
    Slot,
)
from tests.crm.clocks import RealClock
from tests.crm.rawserver import RawServer, answer, read_request
from tests.crm.sealing import Signer, make_body, make_config, make_lease
from tests.crm.stub import Reply, StubCrm, client_at, problem

POLL = "POST /v1/sync/commands/poll"
RESULT = "POST /v1/sync/commands/cmd-1/result"
CONTACTS = "GET /v1/sync/contacts"
CRM = Signer()
KINDS = [CommandType.APPOINTMENT_BOOK, CommandType.DIAGNOSTICS]


@dataclass
class Side:
    """An agent's side of a line to a stub."""

    crm: NativeCrm
    commands: NativeCommands

    def poll(self, wait_s: int = 0, **told: Any) -> Polled:
        given: dict[str, Any] = {"ack": [], "errs": {}, "most": 20, "capabilities": KINDS} | told
        return self.commands.poll(wait_s=wait_s, **given)


SideOf = Callable[..., Side]


@pytest.fixture
def side_of() -> Iterator[SideOf]:
    """``side_of(stub or raw server, clock)``; closed after the test."""
    made: list[Side] = []

    def build(server: StubCrm | RawServer, clock: RealClock | None = None) -> Side:
        clock = clock or RealClock()
        crm = client_at(server.url, clock)
        ring = KeyRing(crm, clock, str)
        commands = NativeCommands(crm._transport, crm._auth, ring, "demo", clock)
        made.append(Side(crm, commands))
        return made[-1]

    yield build
    for side in made:
        side.crm.close()


def config(_: bytes) -> bytes:
    return answer(make_config(CRM), extra='ETag: "1"\r\n')


def leases(*found: dict[str, Any], more: bool = False, extra: str = "") -> bytes:
    body = json.dumps({"commands": list(found), "more": more}).encode()
    return answer(body, extra=extra)


def good(name: str = "cmd-1", wrong_by_s: float = 0.0, **changes: Any) -> dict[str, Any]:
    body, at = make_body(name, **changes), int(time.time() + wrong_by_s)
    return make_lease(name, at, CRM.mark(name, at, body), body)


def keeping(seen: list[Any], reply: bytes | Callable[[], bytes]) -> Reply:
    def kept(body: bytes) -> bytes:
        seen.append(json.loads(body))
        return reply if isinstance(reply, bytes) else reply()

    return kept


def stub_of(**script: list[Reply]) -> StubCrm:
    named = {"poll": POLL, "result": RESULT, "contacts": CONTACTS}
    routes = {named.get(name, name): replies for name, replies in script.items()}
    return StubCrm({"GET /v1/agents/self/config": [config], **routes})


def test_a_poll_says_what_it_must_and_brings_what_is_believed(side_of: SideOf) -> None:
    seen: list[Any] = []
    bad = good("cmd-2")
    bad["envelope"]["body"] += " "
    stale = good("cmd-3", wrong_by_s=-4000)
    reply = leases(good(), bad, {"command_id": "cmd-4"}, stale, good("cmd-5"), more=True)
    with stub_of(poll=[keeping(seen, reply)]) as stub:
        side = side_of(stub)
        polled = side.poll(ack=["a", "b", "a"], errs={"c": "validation_failed"}, most=500)
    assert [command.command_id for command in polled.commands] == ["cmd-1", "cmd-5"]
    assert polled.refused == (
        Refusal("cmd-2", Flaw.TAMPERED),
        Refusal("cmd-4", Flaw.MALFORMED),
        Refusal("cmd-3", Flaw.STALE),
    )
    assert polled.more is True
    assert seen == [
        {
            "capabilities": ["agent.diagnostics", "appointment.book"],
            "ack": ["a", "b"],
            "errs": {"c": {"reason": "validation_failed"}},
            "max": 100,
            "wait_s": 0,
        }
    ]


def test_nothing_of_a_refused_body_is_logged(
    side_of: SideOf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    lease = good(payload={"note": "Ada Tester"})
    lease["envelope"]["timestamp"] += 1
    with stub_of(poll=[lambda _: leases(lease)]) as stub:
        polled = side_of(stub).poll()
    assert polled.refused == (Refusal("cmd-1", Flaw.TAMPERED),)
    assert "envelope.refused" in caplog.text
    told = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert "Ada" not in told
    assert "Tester" not in repr(polled)


@pytest.mark.parametrize("wrong_by_s", [-7200.0, 7200.0])
def test_a_wrong_clock_here_makes_no_envelope_stale(side_of: SideOf, wrong_by_s: float) -> None:
    def dated(*found: dict[str, Any]) -> bytes:
        return leases(*found, extra=f"Date: {format_datetime(RealClock().now(), usegmt=True)}\r\n")

    with stub_of(poll=[lambda _: dated(good(), good("cmd-2", -4000))]) as stub:
        polled = side_of(stub, RealClock(wrong_by_s)).poll()
    assert [command.command_id for command in polled.commands] == ["cmd-1"]
    assert polled.refused == (Refusal("cmd-2", Flaw.STALE),)


def test_the_crms_keys_are_known_before_anything_is_leased(side_of: SideOf) -> None:
    script: dict[str, list[Reply]] = {
        "GET /v1/agents/self/config": [lambda _: problem("internal", 500), config],
        POLL: [lambda _: leases(good())],
    }
    with StubCrm(script) as stub:
        side = side_of(stub)
        with pytest.raises(CrmUnavailable):
            side.poll()
        assert stub.calls[POLL] == 0
        assert len(side.poll().commands) == 1


class Waiting:
    """A CRM whose polls wait until told: records bodies, answers the config at once."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.begun = threading.Semaphore(0)
        self.answers = threading.Semaphore(0)
        self.reply = leases()

    def serve(self, conn: socket.socket, _: int) -> None:
        while True:
            head, body = read_request(conn)
            if not head:
                return
            if b"/oauth/token" in head:
                conn.sendall(answer(b'{"access_token":"t0ken","expires_in":300}'))
            elif b"/config" in head:
                conn.sendall(config(b""))
            else:
                asked = json.loads(body)
                self.bodies.append(asked)
                self.begun.release()
                if asked["wait_s"]:
                    self.answers.acquire(timeout=20)
                conn.sendall(self.reply)


@pytest.fixture
def crm() -> Waiting:
    return Waiting()


def test_a_wake_ends_a_waiting_poll_at_once(side_of: SideOf, crm: Waiting) -> None:
    with RawServer(crm.serve) as server:
        side = side_of(server)
        took: list[float] = []
        for _ in range(5):
            found: list[Polled] = []
            poll = threading.Thread(target=lambda kept: kept.append(side.poll(25)), args=(found,))
            poll.start()
            assert crm.begun.acquire(timeout=5)
            time.sleep(0.05)
            began = time.perf_counter()
            side.commands.wake()
            poll.join(5)
            took.append(time.perf_counter() - began)
            assert found == [Polled()]
        assert min(took) < 0.25, took
        assert max(took) < 5, took  # of the 25 s it would have waited
        assert side.poll(0) == Polled(), "and the line is as good as before"
    assert len(crm.bodies) == 6


def test_what_an_ended_poll_had_to_tell_is_told_by_the_next(side_of: SideOf, crm: Waiting) -> None:
    with RawServer(crm.serve) as server:
        side = side_of(server)
        poll = threading.Thread(target=lambda: side.poll(25, ack=["a"], errs={"b": "internal"}))
        poll.start()
        assert crm.begun.acquire(timeout=5)
        side.commands.wake()
        poll.join(5)
        side.poll(0, ack=["c"])
        side.poll(0)
    told = [(sorted(body["ack"]), sorted(body["errs"])) for body in crm.bodies]
    assert told == [(["a"], ["b"]), (["a", "c"], ["b"]), ([], [])]


def test_a_wake_before_the_poll_is_not_lost(side_of: SideOf, crm: Waiting) -> None:
    with RawServer(crm.serve) as server:
        side = side_of(server)
        side.poll(0)
        side.commands.wake()
        side.commands.wake()
        began = time.perf_counter()
        assert side.poll(25, ack=["a"]) == Polled()
        assert time.perf_counter() - began < 0.5
        side.poll(0)
    assert [body["ack"] for body in crm.bodies] == [[], ["a"]]


def test_an_answer_that_came_with_the_wake_is_not_thrown_away(
    side_of: SideOf, crm: Waiting
) -> None:
    crm.reply = leases(good())
    with RawServer(crm.serve) as server:
        side = side_of(server)
        for _ in range(20):
            found: list[Polled] = []
            poll = threading.Thread(target=lambda kept: kept.append(side.poll(25)), args=(found,))
            poll.start()
            assert crm.begun.acquire(timeout=5)
            crm.answers.release()
            side.commands.wake()
            poll.join(5)
            assert found, "the poll ended"
            assert [c.command_id for c in found[0].commands] in ([], ["cmd-1"])
            while side.poll(0) == Polled():
                pass  # a wake left over ends one more poll
            while crm.begun.acquire(blocking=False):
                pass
            while crm.answers.acquire(blocking=False):
                pass


def test_closing_the_line_ends_a_waiting_poll_too(side_of: SideOf, crm: Waiting) -> None:
    with RawServer(crm.serve) as server:
        side = side_of(server)
        raised: list[Exception] = []

        def poll() -> None:
            try:
                side.poll(25)
            except CrmUnavailable as exc:
                raised.append(exc)

        thread = threading.Thread(target=poll)
        thread.start()
        assert crm.begun.acquire(timeout=5)
        side.crm.close()
        thread.join(5)
    assert [exc.code for exc in raised if isinstance(exc, CrmUnavailable)] == ["crm.closed"]


def test_a_busy_crm_is_waited_for(side_of: SideOf) -> None:
    busy = problem("quota-exceeded", 429, "Retry-After: 7\r\n")
    with stub_of(poll=[lambda _: busy, lambda _: leases(good())]) as stub:
        clock = RealClock()
        side = side_of(stub, clock)
        with pytest.raises(CrmUnavailable) as caught:
            side.poll()
        assert (caught.value.code, caught.value.retry_after_s) == ("crm.throttled", 7)
        with pytest.raises(CrmUnavailable):
            side.poll()
        assert stub.calls[POLL] == 1, "not asked again before its time"
        clock.sleep(7)
        assert len(side.poll().commands) == 1


def test_a_crm_that_stays_down_is_left_in_peace(side_of: SideOf) -> None:
    with stub_of(
        poll=[lambda _: problem("internal", 500)], result=[lambda _: answer(b"{}")]
    ) as stub:
        side = side_of(stub)
        codes = []
        for _ in range(9):
            with pytest.raises(CrmUnavailable) as caught:
                side.poll()
            codes.append(caught.value.code)
        assert codes[-1] == "crm.resting"
        assert stub.calls[POLL] == 5
        side.commands.finish("cmd-1", CommandOutcome(EndState.APPLIED))
    assert stub.calls[RESULT] == 1, "a report has its own line"


def test_a_revoked_agent_hears_so(side_of: SideOf) -> None:
    stub = stub_of(poll=[lambda _: problem("agent-revoked", 403)])
    with stub, pytest.raises(CrmAuthError):
        side_of(stub).poll()


@pytest.mark.parametrize(
    "reply",
    [b"[]", b'{"commands": {}, "more": false}', b'{"more": true}', b"{", b'{"commands": []}'],
)
def test_an_answer_that_is_none_counts_as_none(side_of: SideOf, reply: bytes) -> None:
    with stub_of(poll=[lambda _: answer(reply)]) as stub:
        with pytest.raises(CrmUnavailable) as caught:
            side_of(stub).poll()
        assert caught.value.code == "crm.bad_answer"


def test_outcomes_go_out_as_the_contract_has_them(side_of: SideOf) -> None:
    seen: list[Any] = []
    reply = answer(b'{"command_id": "cmd-1", "state": "rejected"}')
    slot = Slot("2026-11-23T16:00:00Z", 60, "3")
    with stub_of(result=[keeping(seen, reply)]) as stub:
        commands = side_of(stub).commands
        commands.finish("cmd-1", CommandOutcome(EndState.APPLIED, pms_key="77"))
        taken = CommandOutcome(
            EndState.REJECTED, Reason.SLOT_TAKEN, "x" * 900, alternatives=(slot,) * 30
        )
        commands.finish("cmd-1", taken)
    assert seen[0] == {"state": "applied", "pms_key": "77"}
    assert (seen[1]["state"], seen[1]["reason_code"]) == ("rejected", "slot_taken")
    assert (len(seen[1]["staff_text"]), len(seen[1]["alternatives"])) == (500, 20)
    assert seen[1]["alternatives"][0] == {
        "start": "2026-11-23T16:00:00Z",
        "minutes": 60,
        "operatory_key": "3",
        "provider_key": None,
    }


@pytest.mark.parametrize(("name", "status"), [("command-finished", 409), ("not-found", 404)])
def test_an_outcome_nobody_wants_any_more_is_told(side_of: SideOf, name: str, status: int) -> None:
    with stub_of(result=[lambda _: problem(name, status)]) as stub:
        side_of(stub).commands.finish("cmd-1", CommandOutcome(EndState.APPLIED))
    assert stub.calls[RESULT] == 1


@pytest.mark.parametrize(
    "reply",
    [
        problem("internal", 500),
        problem("idempotency-in-flight", 409),
        answer(b"<html>", "404 No", "text/html"),
        answer(b'{"error": "no"}', "409 No"),
    ],
)
def test_an_outcome_that_did_not_arrive_is_not_told(side_of: SideOf, reply: bytes) -> None:
    with stub_of(result=[lambda _: reply]) as stub, pytest.raises(CrmUnavailable):
        side_of(stub).commands.finish("cmd-1", CommandOutcome(EndState.APPLIED))


def test_contacts_start_over_when_the_cursor_is_too_old(side_of: SideOf) -> None:
    person = {"cloud_id": "c1", "rev": 3, "last_name": "Tester", "phones": ["+15035550100"]}
    page = {"contacts": [person], "next_cursor": "n1", "more": False}
    script = [lambda _: problem("cursor-expired", 410), lambda _: answer(json.dumps(page).encode())]
    with stub_of(contacts=script) as stub:
        found = side_of(stub).commands.contacts("o1d", 5000)
    assert (found.cursor, found.more) == ("n1", False)
    assert [(c.cloud_id, c.rev, c.phones) for c in found.contacts] == [("c1", 3, ("+15035550100",))]
    lines = [head.split(b"\r\n")[0] for head in stub.heads if b"contacts" in head]
    assert lines == [
        b"GET /v1/sync/contacts?limit=1000&cursor=o1d HTTP/1.1",
        b"GET /v1/sync/contacts?limit=1000 HTTP/1.1",
    ]


def test_a_crm_that_knows_no_cursor_at_all_is_not_asked_for_ever(side_of: SideOf) -> None:
    stub = stub_of(contacts=[lambda _: problem("cursor-expired", 410)])
    with stub, pytest.raises(CrmUnavailable):
        side_of(stub).commands.contacts("o1d", 10)
    assert stub.calls[CONTACTS] == 2


def test_many_reports_go_in_parts(side_of: SideOf) -> None:
    links: list[Any] = []
    conflicts: list[Any] = []
    script: dict[str, list[Reply]] = {
        "POST /v1/sync/links": [keeping(links, answer(b'{"taken": 1}'))],
        "POST /v1/sync/conflicts": [keeping(conflicts, answer(b'{"taken": 1}'))],
    }
    with StubCrm(script) as stub:
        commands = side_of(stub).commands
        commands.link([LinkReport(f"c{n}", LinkState.LINKED, str(n)) for n in range(450)])
        commands.link([])
        commands.tell_conflicts(
            [ConflictReport("7", "patient", "42", "phone_mobile", "open", crm="+15035550100")]
        )
    assert [len(part["links"]) for part in links] == [200, 200, 50]
    assert links[0]["links"][3] == {"cloud_id": "c3", "state": "linked", "key": "3"}
    assert conflicts == [
        {
            "conflicts": [
                {
                    "id": "7",
                    "type": "patient",
                    "key": "42",
                    "field": "phone_mobile",
                    "state": "open",
                    "crm": "+15035550100",
                }
            ]
        }
    ]


# --- how long a poll may wait --------------------------------------------------------------------


def test_a_proxy_that_cuts_silence_makes_the_waits_shorter() -> None:
    patience = Patience()
    assert patience.allowed_s(25) == 25
    patience = patience.after_cut(0.2)
    assert patience.allowed_s(25) == 25, "that was not for its silence"
    patience = patience.after_cut(10.0)
    assert patience.allowed_s(25) == 7
    patience = patience.after_answer(1.0)
    assert patience.allowed_s(25) == 7, "an early answer proves nothing"
    for _ in range(100):
        patience = patience.after_cut(3.0)
    assert patience.allowed_s(25) == 2
    for _ in range(100):
        patience = patience.after_answer(float(patience.allowed_s(25)))
    assert patience.allowed_s(25) == 25


def test_the_next_poll_waits_shorter_after_a_cut(side_of: SideOf) -> None:
    waits: list[int] = []

    class Ahead(RealClock):
        """Ten seconds pass while the line is silent."""

    clock = Ahead()

    def serve(conn: socket.socket, _: int) -> None:
        while True:
            head, body = read_request(conn)
            if not head:
                return
            if b"/oauth/token" in head:
                conn.sendall(answer(b'{"access_token":"t0ken","expires_in":300}'))
            elif b"/config" in head:
                conn.sendall(config(b""))
            else:
                waits.append(json.loads(body)["wait_s"])
                if len(waits) < 3:  # the second is the resend over a fresh connection
                    clock.sleep(10)
                    return
                conn.sendall(leases())

    with RawServer(serve) as server:
        side = side_of(server, clock)
        with pytest.raises(CrmUnavailable):
            side.poll(25)
        side.poll(25)
    assert waits[0] == 25
    assert waits[-1] < 25


# --- whose clock ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known_s", "at_the_end_s", "took_s", "expected_s"),
    [
        (None, -0.7, 0.2, -0.1),  # a quick answer: the middle
        (None, -0.5, 25.0, 0.0),  # a long poll's: dated when it was sent
        (0.1, -0.7, 25.0, 0.1),  # fits what is known
        (0.1, -25.5, 25.0, 0.1),  # dated when it was asked: fits as well
        (0.1, 3599.5, 25.0, 3599.5),  # our clock was set back meanwhile
        (0.1, -3600.0, 25.0, -3574.0),
    ],
)
def test_a_long_wait_is_not_taken_for_skew(
    known_s: float | None, at_the_end_s: float, took_s: float, expected_s: float
) -> None:
    assert narrowed_skew_s(known_s, at_the_end_s, took_s) == pytest.approx(expected_s)
