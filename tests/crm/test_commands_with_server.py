"""The pull's port against the reference CRM over HTTP: leases, outcomes, people, keys, restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.crm.commands import NativeCommands
from agent.crm.envelope import Flaw, KeyRing
from agent.crm.native import NativeCrm
from agent.errors import CrmUnavailable
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
from agent.model.writing import Heartbeat
from agent.sandbox.crm import CrmServer, CrmSettings
from agent.sandbox.crm.faults import Fault, FaultKind
from agent.sandbox.crm.people import Said
from tests.crm.clocks import RealClock
from tests.crm.conftest import PairedAgent
from tests.crm.sealing import make_secret

BOOK = "appointment.book"
CONFIRM = "appointment.confirm"
SECRET = make_secret(7)


class Puller:
    """A paired agent's pull."""

    def __init__(self, agent: PairedAgent, *, secrets: str = "") -> None:
        self.agent = agent
        self.crm: NativeCrm = agent.crm()
        ring = KeyRing(self.crm, agent.clock, lambda: secrets)
        self.port = NativeCommands(agent.transport, agent.auth, ring, "demo", agent.clock)

    def poll(self, wait_s: int = 0, **told: Any) -> Polled:
        given: dict[str, Any] = {"ack": [], "errs": {}, "most": 20, "capabilities": [*CommandType]}
        return self.port.poll(wait_s=wait_s, **(given | told))

    def ids(self, wait_s: int = 0, **told: Any) -> list[str]:
        return [command.command_id for command in self.poll(wait_s, **told).commands]


@pytest.fixture
def puller(paired: PairedAgent) -> Puller:
    return Puller(paired)


def state(server: CrmServer, command_id: str) -> str:
    row = server.core.store.execute(
        "SELECT state FROM command WHERE id = ?", (command_id,)
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_a_command_comes_whole_and_once(puller: Puller, server: CrmServer) -> None:
    sent = server.send_command(
        CONFIRM,
        {"confirmation_category": "confirmed"},
        target={"type": "appointment", "key": "77"},
        precondition={"expected": {"confirmation_category": "unconfirmed"}},
        priority=5,
    )
    (command,) = puller.poll().commands
    assert (command.command_id, command.type, command.practice_id) == (
        sent,
        CommandType.APPOINTMENT_CONFIRM,
        "demo",
    )
    assert (command.target.type, command.target.key) == ("appointment", "77")
    assert command.precondition == {"expected": {"confirmation_category": "unconfirmed"}}
    assert command.payload == {"confirmation_category": "confirmed"}
    assert command.priority == 5
    assert puller.ids(ack=[sent]) == []
    assert state(server, sent) == "applying"
    puller.port.finish(sent, CommandOutcome(EndState.APPLIED, pms_key="77"))
    assert state(server, sent) == "applied"


def test_only_what_is_offered_comes_and_a_full_house_says_so(
    puller: Puller, server: CrmServer
) -> None:
    sent = [server.send_command(BOOK, {}, priority=n) for n in (3, 1, 2)]
    server.send_command(CONFIRM, {})
    first = puller.poll(most=2, capabilities=[CommandType.APPOINTMENT_BOOK])
    assert [c.command_id for c in first.commands] == [sent[1], sent[2]]
    assert first.more is True
    assert puller.ids(capabilities=[CommandType.APPOINTMENT_BOOK]) == [sent[0]]
    assert puller.ids(capabilities=[]) == []


def test_a_refused_command_ends_and_is_not_sent_again(puller: Puller, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    puller.poll()
    puller.poll(errs={sent: Reason.VALIDATION_FAILED})
    assert state(server, sent) == "rejected"


def test_every_end_is_told(puller: Puller, server: CrmServer) -> None:
    slot = Slot("2026-11-23T16:00:00Z", 60, "3", "2")
    taken = CommandOutcome(EndState.REJECTED, Reason.SLOT_TAKEN, "Taken.", alternatives=(slot,))
    for outcome in (
        CommandOutcome(EndState.APPLIED, pms_key="9", observed_version=3),
        taken,
        CommandOutcome(EndState.EXPIRED, Reason.EXPIRED),
        CommandOutcome(EndState.SUPERSEDED),
        CommandOutcome(EndState.UNKNOWN),
        CommandOutcome(EndState.CONFLICT, Reason.VERSION_CONFLICT, kept_fields=("phone_mobile",)),
        CommandOutcome(EndState.TASK, staff_text="x" * 2000),
    ):
        sent = server.send_command(BOOK, {})
        puller.poll(ack=puller.ids())
        puller.port.finish(sent, outcome)
        puller.port.finish(sent, outcome)
        assert state(server, sent) == outcome.state
        if not outcome.state.is_terminal:
            puller.port.finish(sent, CommandOutcome(EndState.APPLIED))
            assert state(server, sent) == "applied"
    puller.port.finish(sent, taken)  # ended otherwise: nothing left to tell
    assert state(server, sent) == "applied"
    puller.port.finish("nobody-knows-this", taken)


def test_a_waiting_poll_hears_of_a_command_at_once(puller: Puller, server: CrmServer) -> None:
    puller.poll()
    took = []
    for _ in range(5):
        timer = threading.Timer(0.1, lambda: server.send_command(BOOK, {}))
        timer.start()
        (command,) = puller.poll(20).commands
        heard = time.time()
        timer.join()
        row = server.core.store.execute(
            "SELECT created_us FROM command WHERE id = ?", (command.command_id,)
        ).fetchone()
        assert row is not None
        took.append(heard - int(str(row[0])) / 1e6)
    assert min(took) < 0.1, took


def test_an_ended_poll_holds_nothing_back(puller: Puller, server: CrmServer) -> None:
    puller.poll()
    found: list[Polled] = []
    waiting = threading.Thread(target=lambda: found.append(puller.poll(25)))
    waiting.start()
    time.sleep(0.2)
    began = time.perf_counter()
    puller.port.wake()
    waiting.join(5)
    assert time.perf_counter() - began < 2, "of the 25 s it would have waited"
    assert found == [Polled()]
    while server.core.polls._waiting:  # the CRM hears of a closed line a moment later
        assert time.perf_counter() - began < 2, "the CRM still waits with it"
        time.sleep(0.005)
    sent = server.send_command(BOOK, {})
    assert puller.ids(5) == [sent], "the poll nobody waits for took it not"


def test_keys_change_while_commands_flow(puller: Puller, server: CrmServer) -> None:
    first = server.send_command(BOOK, {})
    assert puller.ids() == [first]
    fresh = server.add_key()
    both = server.send_command(BOOK, {})
    assert puller.ids() == [both], "signed by both keys, the old one is known"
    (old,) = [key["kid"] for key in server.core.sealer.jwks() if key["kid"] != fresh]
    server.retire_key(str(old))
    puller.agent.clock.sleep(20)
    after = server.send_command(BOOK, {})
    assert puller.ids() == [after], "the new key was asked for"


@pytest.mark.parametrize(
    ("forgery", "flaw"),
    [
        ("tampered", Flaw.TAMPERED),
        ("stale", Flaw.STALE),
        ("early", Flaw.STALE),
        ("wrong_key", Flaw.TAMPERED),
        ("swapped", Flaw.TAMPERED),
        ("wrong_practice", Flaw.WRONG_PRACTICE),
    ],
)
def test_forgeries_on_the_way_are_refused_and_the_true_one_believed(
    puller: Puller, server: CrmServer, forgery: str, flaw: Flaw
) -> None:
    sent = server.send_command(BOOK, {})
    server.faults.arm(Fault(FaultKind.FORGED, path="/v1/sync/commands/poll", outcome=forgery))
    assert puller.poll().refused == (Refusal(sent, flaw),)
    server.core.store.execute("UPDATE command SET lease_us = 0")
    assert puller.ids() == [sent]


def test_a_third_partys_secret_is_enough(tmp_path: Path) -> None:
    with CrmServer(tmp_path / "crm.db", settings=CrmSettings(endpoint_secret=SECRET)) as server:
        agent = PairedAgent(server)
        agent.enroll()
        puller = Puller(agent, secrets=f"{make_secret(8)} {SECRET}")
        puller.poll()
        # As if the Ed25519 keys were another CRM's: only the HMAC can be good.
        puller.port._ring._keys = type(puller.port._ring.keys())(
            (), (), puller.port._ring.keys().secrets
        )
        sent = server.send_command(BOOK, {})
        assert puller.ids() == [sent]
        agent.close()


def test_lost_answers_cost_time_only(puller: Puller, server: CrmServer) -> None:
    sent = server.send_command(BOOK, {})
    puller.poll()
    for kind in (FaultKind.RESET_BEFORE, FaultKind.RESET_AFTER, FaultKind.TRUNCATED):
        server.core.store.execute("UPDATE command SET state = 'queued', client = NULL")
        server.faults.arm(Fault(kind, times=2, path="/v1/sync/commands/poll"))
        with pytest.raises(CrmUnavailable):
            puller.poll()
        server.faults.clear()
        server.core.store.execute("UPDATE command SET lease_us = 0")
        assert puller.ids() == [sent], kind
    server.faults.arm(Fault(FaultKind.RESET_AFTER, times=2, path="/v1/sync/commands/"))
    with pytest.raises(CrmUnavailable):
        puller.port.finish(sent, CommandOutcome(EndState.APPLIED))
    server.faults.clear()
    puller.port.finish(sent, CommandOutcome(EndState.APPLIED))
    assert state(server, sent) == "applied"


@pytest.fixture
def restarting(tmp_path: Path) -> Iterator[list[CrmServer]]:
    running = [CrmServer(tmp_path / "crm.db")]
    running[0].start()
    yield running
    running[-1].stop()


def test_a_restarted_crm_goes_on_where_it_was(restarting: list[CrmServer], tmp_path: Path) -> None:
    first = restarting[0]
    agent = PairedAgent(first)
    agent.enroll()
    puller = Puller(agent)
    first.send_command(BOOK, {})
    done = puller.ids()
    puller.poll(ack=done)
    waits = first.send_command(BOOK, {})
    answers: list[str] = []

    def wait() -> None:
        try:
            puller.poll(25, capabilities=[CommandType.DIAGNOSTICS])
            answers.append("answered")
        except CrmUnavailable as exc:
            answers.append(exc.code)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.2)
    first.stop()
    waiting.join(10)
    assert len(answers) == 1, "the poll ended with the server, one way or the other"
    second = CrmServer(tmp_path / "crm.db", port=first.port)
    second.start()
    restarting.append(second)
    found: list[str] = []
    for _ in range(50):
        try:
            found = puller.ids(1)
            break
        except CrmUnavailable as exc:
            agent.clock.sleep(exc.retry_after_s or 0.5)
    assert found == [waits]
    puller.port.finish(done[0], CommandOutcome(EndState.APPLIED))
    assert state(second, done[0]) == "applied"
    agent.close()


@pytest.mark.parametrize("wrong_by_s", [-7200.0, 7200.0])
def test_a_wrong_clock_refuses_nothing(server: CrmServer, wrong_by_s: float) -> None:
    agent = PairedAgent(server, clock=RealClock(wrong_by_s))
    agent.enroll()
    puller = Puller(agent)
    sent = server.send_command(BOOK, {})
    assert puller.poll() == Polled(puller_commands(puller, server, sent), (), False)
    agent.close()


def puller_commands(puller: Puller, server: CrmServer, sent: str) -> Any:
    """The command delivered once more."""
    server.core.store.execute("UPDATE command SET lease_us = 0 WHERE id = ?", (sent,))
    return puller.poll().commands


def test_people_come_by_cursor(puller: Puller, server: CrmServer) -> None:
    first = puller.port.contacts(None, 10)
    assert (first.contacts, first.more) == ((), False)
    for n in range(3):
        said = Said(
            last_name="Tester",
            first_name=f"Ada{n}",
            birthdate="1985-03-14",
            phones=("+15035550142",),
            emails=("ada@example.com",),
        )
        server.add_contact(said, f"c-{n}")
    page = puller.port.contacts(first.cursor, 2)
    assert [(c.cloud_id, c.first_name) for c in page.contacts] == [("c-0", "Ada0"), ("c-1", "Ada1")]
    assert page.contacts[0].phones == ("+15035550142",)
    assert page.more is True
    rest = puller.port.contacts(page.cursor, 2)
    assert ([c.cloud_id for c in rest.contacts], rest.more) == (["c-2"], False)
    puller.port.link(
        [
            LinkReport("c-0", LinkState.LINKED, "42"),
            LinkReport("c-1", LinkState.SUSPECT, candidates=("42", "43")),
            LinkReport("c-2", LinkState.UNLINKED),
            LinkReport("c-9", LinkState.UNLINKED),
        ]
    )
    told = {
        str(row[0]): str(row[1])
        for row in server.core.store.execute("SELECT id, state FROM contact ORDER BY id")
    }
    assert told == {"c-0": "linked", "c-1": "suspect", "c-2": "unlinked"}
    everybody = puller.port.contacts("bm9uc2Vuc2U", 10)
    assert {c.cloud_id for c in everybody.contacts} == {"c-0", "c-1", "c-2"}, "it started over"
    assert {c.client_ref for c in everybody.contacts} == {"42", None}


def test_conflicts_are_told_and_closed(puller: Puller, server: CrmServer) -> None:
    report = ConflictReport(
        "17", "patient", "42", "phone_mobile", "open", base="+1", pms="+2", crm="+3"
    )
    puller.port.tell_conflicts([report, report])
    puller.port.tell_conflicts([ConflictReport("17", "patient", "42", "phone_mobile", "resolved")])
    rows = server.core.store.execute("SELECT id, state FROM conflict").fetchall()
    assert [tuple(map(str, row)) for row in rows] == [("17", "resolved")]


def test_switches_of_the_crm_arrive_with_the_next_heartbeat(
    puller: Puller, server: CrmServer
) -> None:
    config = puller.crm.refresh_config()
    assert (config.switches.kill, config.switches.canary.patients) == (False, ())
    server.set_switches(read_only=True)
    beat = Heartbeat("0.1.0", "opendental", "21.1", "j" * 32, 1, None, None, None, None, 0, 0, 0)
    puller.crm.heartbeat(beat)
    assert puller.crm.config is not None
    assert puller.crm.config.switches.read_only is True
