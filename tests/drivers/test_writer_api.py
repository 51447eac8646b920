"""The API writer when things go wrong: what is refused, what is unknown, what was never sent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.errors import PmsBusy, PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import Effect, EffectKind, WriteRefused, WriteUnknown
from agent.model.reading import Severity
from agent.model.streams import Stream
from agent.ports import LearningWriter
from drivers.opendental.api.link import Link
from drivers.opendental.api.methods import THROTTLE_S, Mode
from drivers.opendental.api.writer import KEY_REST_S, ApiWriter, Keys, Place, mode_of, places
from drivers.writers import IfAnyAnswers, NoWriter
from tests.drivers.conftest import ServerPractice
from tests.drivers.writing import RECALL, ROBIN, VISIT, Site, load, refill, stand_in
from tests.support.mariadb import MariaDb, free_port
from tests.support.odapi import Fault, Permission, StandIn, Tier
from tests.support.odapi import Mode as OfficeMode

pytestmark = pytest.mark.mariadb

NOTE = {"patient_key": f"{ROBIN}", "note": "Reminder sent to Robin Quill"}
CALLS = "SELECT COUNT(*) FROM commlog"


class Times:
    """A clock moved by hand; sleeping moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def mono(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture(scope="module")
def office(server: MariaDb) -> ServerPractice:
    return load(server, "w_faults", "InnoDB", later=True)


@pytest.fixture(scope="module")
def running(office: ServerPractice) -> Iterator[StandIn]:
    with stand_in(office) as api:
        yield api


@pytest.fixture
def api(running: StandIn, office: ServerPractice) -> StandIn:
    running.faults.clear()
    running.seen.clear()
    running.version, running.tier, running.mode = "24.4.5", Tier.FULL, OfficeMode.SERVICE
    running.permissions, running.throttle = None, 0.0
    refill(office.run)
    office.run("UPDATE preference SET ValueString='24.3.10.0' WHERE PrefName='DataBaseVersion'")
    return running


@pytest.fixture(scope="module")
def base(office: ServerPractice) -> Iterator[Site]:
    site = Site("api", office)
    yield site
    site.link.close()


Maker = Callable[..., Site]


@pytest.fixture
def make(api: StandIn, base: Site) -> Iterator[Maker]:
    """``make(mode=..., keys=..., where=...)``: a site with an API writer, not yet probed."""
    made: list[ApiWriter] = []

    def make(
        mode: Mode = Mode.SERVICE, keys: Keys | None = None, where: list[Place] | None = None,
        **options: Any,
    ) -> Site:  # fmt: skip
        writer = ApiWriter(
            where or [Place(api.url, mode)],
            keys or Keys(api.developer_key, api.customer_key), base.office, **options,
        )  # fmt: skip
        made.append(writer)
        base.writer = writer
        return base

    yield make
    for writer in made:
        writer.close()


def commlog(site: Site) -> Any:
    return site.write(EffectKind.APPEND_COMMLOG, Stream.COMMUNICATION, None, NOTE)


# --- no answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "done", "code"),
    [
        (Fault.CUT, 1, "write.answer_cut"),
        (Fault.CUT_BEFORE, 0, "write.answer_cut"),
        (Fault.TIMEOUT, 1, "write.no_answer"),
        (Fault.BUSY, 0, "write.server_error"),
    ],
)
def test_without_a_whole_answer_it_is_unknown(
    make: Maker, api: StandIn, fault: Fault, done: int, code: str
) -> None:
    site = make()
    site.writer.probe()
    api.faults.arm(fault, verb="POST", path="commlogs")
    with pytest.raises(WriteUnknown) as caught:
        commlog(site)
    assert caught.value.code == code
    assert site.number(CALLS) == done
    assert [s.verb for s in api.seen if s.path == "commlogs"].count("POST") == 2  # blank and once


def test_throttled_at_the_door_is_certainly_not_done(make: Maker, api: StandIn) -> None:
    site = make()
    site.writer.probe()
    api.faults.arm(Fault.THROTTLED, verb="POST", path="commlogs")
    with pytest.raises(PmsBusy):
        commlog(site)
    assert site.number(CALLS) == 0


def test_a_service_that_is_down_was_not_sent_anything(make: Maker, api: StandIn) -> None:
    site = make()
    site.writer.probe()
    api.stop()
    try:
        with pytest.raises(PmsUnavailable) as caught:
            commlog(site)
        assert caught.value.code == "write.api_unreachable"
        with pytest.raises(PmsUnavailable):
            site.writer.probe()
    finally:
        api.start()
    assert site.writer.probe().abilities
    commlog(site)
    assert site.number(CALLS) == 1


@contextmanager
def odd_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Takes one request and answers in its own way."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            while True:
                link, _ = listening.accept()
                with link:
                    link.recv(65536)
                    answer(link)
        except OSError:
            return  # closed, or the caller hung up

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
    listening.close()


def test_a_dripping_answer_ends_at_the_deadline() -> None:
    def drip(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while True:
            link.sendall(b" ")
            time.sleep(0.02)

    with odd_server(drip) as url:
        link = Link(url, "d", "c", deadline_s=0.4)
        began = time.monotonic()
        with pytest.raises(WriteUnknown) as caught:
            link.send("POST", "commlogs", {})
        assert caught.value.code == "write.no_answer"
        assert time.monotonic() - began < 5
        link.close()


def test_an_answer_cut_short_is_unknown() -> None:
    def cut(link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n{")

    with odd_server(cut) as url:
        link = Link(url, "d", "c")
        with pytest.raises(WriteUnknown) as caught:
            link.send("POST", "commlogs", {})
        assert caught.value.code == "write.answer_cut"
        link.close()


# --- finding the API --------------------------------------------------------------------------


def test_where_to_look() -> None:
    assert [place.url for place in places("", "SRV1")] == [
        "http://SRV1:30223/api/v1", "http://localhost:30223/api/v1",
        "http://localhost:30222/api/v1",
    ]  # fmt: skip
    assert [place.mode for place in places("", "127.0.0.1")] == [Mode.SERVICE, Mode.LOCAL]
    assert places("https://api.opendental.com/api/v1/", "SRV1") == [
        Place("https://api.opendental.com/api/v1", Mode.REMOTE)
    ]
    assert mode_of("http://localhost:30222/api/v1") is Mode.LOCAL


def test_the_first_that_answers_is_taken(make: Maker, api: StandIn) -> None:
    nobody = Place(f"http://127.0.0.1:{free_port()}/api/v1", Mode.SERVICE)
    site = make(where=[nobody, Place(api.url, Mode.LOCAL)])
    facts = site.writer.probe()
    assert (facts.mode, facts.kind) == ("local", "api")
    assert {finding.code for finding in facts.findings} == {"write.api_found", "write.api_local"}


def test_something_else_at_that_port_is_not_taken_for_it(make: Maker) -> None:
    def page(link: socket.socket) -> None:
        body = b"<html>router</html>"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n"
        link.sendall(head % len(body) + body)

    with odd_server(page) as url:
        with pytest.raises(PmsUnavailable) as caught:
            make(where=[Place(url, Mode.SERVICE)]).writer.probe()
        assert caught.value.code == "write.api_answer_odd"


def test_auto_means_nothing_until_an_api_has_answered(make: Maker, api: StandIn) -> None:
    site = make()
    writer = IfAnyAnswers(site.writer)
    api.stop()
    try:
        facts = writer.probe()
        assert (facts.kind, facts.abilities) == ("none", frozenset())
        assert set(facts.missing) == set(EffectKind)
    finally:
        api.start()
    assert writer.probe().kind == "api"
    api.stop()
    try:
        with pytest.raises(PmsUnavailable):  # now it is an outage
            writer.probe()
    finally:
        api.start()


# --- keys, permissions, versions --------------------------------------------------------------


def test_a_refused_key_is_not_asked_with_again(make: Maker, api: StandIn) -> None:
    times = Times()
    site = make(keys=Keys("wrong", "key"), mono=times.mono, sleep=times.sleep)
    facts = site.writer.probe()
    assert facts.abilities == frozenset()
    assert set(facts.missing.values()) == {"write.api_key_refused"}
    for _ in range(3):
        with pytest.raises(WriteRefused) as caught:
            commlog(site)
        assert caught.value.reason is Reason.PERMISSION_DENIED
        site.writer.probe()
    assert len(api.seen) == 1
    times.now_s += KEY_REST_S
    site.writer.probe()
    assert len(api.seen) == 2


def test_what_the_key_was_bought_with_decides(make: Maker, api: StandIn) -> None:
    api.tier = Tier.COMM
    site = make()
    facts = site.writer.probe()
    assert facts.abilities == {
        EffectKind.CONFIRM, EffectKind.BREAK, EffectKind.NOTE_APPOINTMENT,
        EffectKind.APPEND_COMMLOG, EffectKind.UPDATE_RECALL, EffectKind.SET_CUSTOM,
        EffectKind.ATTACH_DOCUMENT,
    }  # fmt: skip
    assert facts.missing[EffectKind.BOOK] == "write.permission_missing"
    asked = len(api.seen)
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, {"city": "Elsewhere"})
    assert caught.value.reason is Reason.PERMISSION_DENIED
    assert len(api.seen) == asked


def test_a_method_refused_on_use_is_not_used_again(make: Maker, api: StandIn) -> None:
    site = make()
    assert EffectKind.BOOK in site.writer.probe().abilities
    api.permissions = frozenset({Permission.READ_ALL, Permission.COMM})
    asked = len(api.seen)
    for _ in range(3):
        with pytest.raises(WriteRefused) as caught:
            site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"minutes": 20})
        assert caught.value.reason is Reason.PERMISSION_DENIED
    assert len(api.seen) == asked + 2  # once, and whether it is the key
    facts = site.writer.probe()  # the key itself is fine: one look, no blank requests
    assert len(api.seen) == asked + 3
    assert EffectKind.MOVE not in facts.abilities
    assert EffectKind.BOOK in facts.abilities
    assert "write.method_refused" in {finding.code for finding in facts.findings}


def test_what_use_has_taught_is_kept_for_an_hour(make: Maker, api: StandIn) -> None:
    times = Times()
    site = make(mono=times.mono, sleep=times.sleep)
    site.writer.probe()
    api.permissions = frozenset({Permission.READ_ALL, Permission.COMM})
    with pytest.raises(WriteRefused):
        site.write(EffectKind.MOVE, Stream.APPOINTMENT, VISIT, {"minutes": 20})
    api.permissions = None  # ordered meanwhile
    times.now_s += 3000.0
    assert EffectKind.MOVE not in site.writer.probe().abilities
    times.now_s += 601.0
    assert site.writer.probe().abilities == frozenset(EffectKind)


WRITES: dict[EffectKind, tuple[Stream, int | None, dict[str, Any]]] = {
    EffectKind.APPEND_COMMLOG: (Stream.COMMUNICATION, None, NOTE),
    EffectKind.UPDATE_PATIENT: (Stream.PATIENT, ROBIN, {"city": "Elsewhere"}),
}


@pytest.mark.parametrize("kind", WRITES)
def test_a_key_refused_in_use_takes_every_ability(
    make: Maker, api: StandIn, monkeypatch: pytest.MonkeyPatch, kind: EffectKind
) -> None:
    times = Times()
    site = make(mono=times.mono, sleep=times.sleep)
    writer = IfAnyAnswers(site.writer)
    assert writer.probe().abilities == frozenset(EffectKind)
    monkeypatch.setattr(api, "customer_key", "another")
    asked = len(api.seen)
    for _ in range(3):
        with pytest.raises(WriteRefused) as caught:
            site.write(kind, *WRITES[kind])
        assert caught.value.code == "write.api_key_refused"
    assert len(api.seen) == asked + 2
    facts = writer.facts
    assert facts is not None
    assert (facts.kind, facts.abilities) == ("api", frozenset())
    assert set(facts.missing.values()) == {"write.api_key_refused"}
    ((code, severity),) = [(found.code, found.severity) for found in facts.findings]
    assert (code, severity) == ("write.api_key_refused", Severity.ERROR)
    monkeypatch.undo()
    assert writer.probe() == facts  # not asked again so soon
    assert len(api.seen) == asked + 2
    times.now_s += KEY_REST_S
    assert writer.probe().abilities == frozenset(EffectKind)
    commlog(site)
    assert site.number(CALLS) == 1


def test_whether_it_is_the_key_could_not_be_asked(make: Maker, api: StandIn) -> None:
    site = make()
    before = site.writer.probe()
    api.permissions = frozenset({Permission.READ_ALL})
    api.faults.arm(Fault.BUSY, verb="GET", path="preferences")
    with pytest.raises(PmsUnavailable):
        commlog(site)
    assert isinstance(site.writer, ApiWriter)
    assert site.writer.facts == before
    with pytest.raises(WriteRefused) as caught:
        commlog(site)
    assert caught.value.code == "write.permission_missing"


def test_a_key_revoked_while_it_is_probed(make: Maker, api: StandIn) -> None:
    """The key's own look passes, the rest of the probe does not."""

    def revoke(_seconds: float) -> None:
        api.customer_key = "another"

    kept = api.customer_key
    try:
        facts = make(Mode.REMOTE, sleep=revoke).writer.probe()
    finally:
        api.customer_key = kept
    assert set(facts.missing.values()) == {"write.api_key_refused"}


def test_writers_of_the_same_settings_are_alike(make: Maker, api: StandIn) -> None:
    keys = Keys(api.developer_key, api.customer_key)
    one, two = (IfAnyAnswers(make(keys=keys).writer) for _ in range(2))
    other = IfAnyAnswers(make(keys=Keys("wrong", "key")).writer)
    assert one.settings == two.settings
    assert one.settings != other.settings
    assert not isinstance(NoWriter("write.api_no_keys"), LearningWriter)


def test_probing_changes_nothing(make: Maker, base: Site, api: StandIn) -> None:
    before = base.state()
    make().writer.probe()
    assert base.state() == before
    blanks = [s for s in api.seen if s.verb != "GET"]
    assert len(blanks) == 5
    assert {s.status for s in blanks} == {400}


@pytest.mark.parametrize(
    ("version", "lacking"),
    [
        ("21.1.9", {EffectKind.BREAK, EffectKind.UPDATE_PATIENT, EffectKind.SET_CONSENT,
                    EffectKind.CONFIRM, EffectKind.APPEND_NOTE, EffectKind.RECORD_PERIO,
                    EffectKind.UPDATE_RECALL}),
        ("22.4.1", {EffectKind.RECORD_PERIO}),
        ("24.2.31", set()),
    ],
)  # fmt: skip
def test_the_version_decides(
    make: Maker, api: StandIn, office: ServerPractice, version: str, lacking: set[EffectKind]
) -> None:
    said = f"UPDATE preference SET ValueString='{version}.0' WHERE PrefName='DataBaseVersion'"
    office.run(said)
    api.version, api.mode = version, OfficeMode.REMOTE if version < "22" else OfficeMode.SERVICE
    facts = make(throttle_s=dict.fromkeys(Mode, 0.0)).writer.probe()
    assert set(EffectKind) - facts.abilities == lacking
    assert all(facts.missing[kind] == "write.version_too_old" for kind in lacking)


def test_an_older_office_takes_a_recalls_status_and_nothing_else(
    make: Maker, api: StandIn, office: ServerPractice
) -> None:
    said = "UPDATE preference SET ValueString='22.4.1.0' WHERE PrefName='DataBaseVersion'"
    office.run(said)
    api.version = "22.4.1"
    site = make()
    site.writer.probe()
    site.write(EffectKind.UPDATE_RECALL, Stream.RECALL, RECALL, {"status_key": "97"})
    assert site.rows(f"SELECT RecallStatus FROM recall WHERE RecallNum={RECALL}") == [("97",)]
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.UPDATE_RECALL, Stream.RECALL, RECALL, {"due": "2027-01-01"})
    assert caught.value.reason is Reason.NOT_SUPPORTED


def test_no_field_is_sent_that_the_version_would_ignore(
    make: Maker, api: StandIn, office: ServerPractice
) -> None:
    said = "UPDATE preference SET ValueString='22.0.1.0' WHERE PrefName='DataBaseVersion'"
    office.run(said)
    api.version, api.mode = "22.0.1", OfficeMode.REMOTE
    site = make(throttle_s=dict.fromkeys(Mode, 0.0))
    site.writer.probe()
    fields = {"patient_key": f"{ROBIN}", "start": "2027-03-03T15:00:00Z", "minutes": 30,
              "operatory_key": "1", "priority": "asap"}  # fmt: skip
    with pytest.raises(WriteRefused) as caught:
        site.write(EffectKind.BOOK, Stream.APPOINTMENT, None, fields)
    assert caught.value.code == "write.version_too_old"
    assert api.ignored() == set()


# --- several calls, remote, logs --------------------------------------------------------------

PERIO = {
    "patient_key": f"{ROBIN}",
    "measures": [{"kind": "probing", "tooth": tooth, "b": 2} for tooth in (1, 2, 3)],
}


def test_an_exam_refused_half_way_is_taken_away_again(make: Maker, api: StandIn) -> None:
    site = make()
    site.writer.probe()
    api.faults.arm(Fault.LOST, verb="POST", path="periomeasures")  # here: any 400
    with pytest.raises(WriteRefused):
        site.write(EffectKind.RECORD_PERIO, Stream.PERIO_EXAM, None, PERIO)
    assert site.number("SELECT COUNT(*) FROM perioexam") == 0
    assert site.number("SELECT COUNT(*) FROM periomeasure") == 0


def test_an_exam_that_cannot_be_finished_or_taken_away_is_unknown(
    make: Maker, api: StandIn
) -> None:
    site = make()
    site.writer.probe()
    api.faults.arm(Fault.LOST, verb="POST", path="periomeasures")
    api.faults.arm(Fault.CUT_BEFORE, verb="DELETE", path="perioexams/*")
    with pytest.raises(WriteUnknown):
        site.write(EffectKind.RECORD_PERIO, Stream.PERIO_EXAM, None, PERIO)
    assert site.number("SELECT COUNT(*) FROM perioexam") == 1


def test_what_was_begun_and_then_lost_its_office_is_unknown(make: Maker, api: StandIn) -> None:
    site = make()
    site.writer.probe()
    api.faults.arm(Fault.THROTTLED, verb="POST", path="periomeasures")
    with pytest.raises(WriteUnknown) as caught:
        site.write(EffectKind.RECORD_PERIO, Stream.PERIO_EXAM, None, PERIO)
    assert caught.value.code == "write.partly_done"


def test_remote_is_asked_once_a_second(make: Maker, api: StandIn) -> None:
    times = Times()
    site = make(Mode.REMOTE, mono=times.mono, sleep=times.sleep)
    site.writer.probe()
    commlog(site)
    assert times.slept == [THROTTLE_S[Mode.REMOTE]] * 6  # the clock stood still otherwise


def test_remote_calls_a_lost_office_a_bad_request(make: Maker, api: StandIn) -> None:
    site = make(Mode.REMOTE, throttle_s=dict.fromkeys(Mode, 0.0))
    site.writer.probe()
    api.faults.arm(Fault.LOST, verb="POST", path="commlogs")
    with pytest.raises(WriteUnknown) as caught:
        commlog(site)
    assert caught.value.code == "write.office_lost"
    assert site.number(CALLS) == 1
    wrong = {"patient_key": f"{ROBIN}", "note": "x", "type_key": "19"}
    with pytest.raises(WriteRefused):  # a refusal that speaks of the request is one
        site.write(EffectKind.APPEND_COMMLOG, Stream.COMMUNICATION, None, wrong)


@pytest.mark.parametrize(
    ("text", "is_refusal"),
    [
        ("Note is required", True),
        ("Request could not be completed", False),
        ("The request timed out: the office must run its eConnector", False),
    ],
)
def test_remote_is_believed_only_in_plain_words(make: Maker, text: str, is_refusal: bool) -> None:
    def refuse(link: socket.socket) -> None:
        body = f'"{text}"'.encode()
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\n\r\n"
        link.sendall(head % len(body) + body)

    with odd_server(refuse) as url:
        site = make(where=[Place(url, Mode.REMOTE)], throttle_s=dict.fromkeys(Mode, 0.0))
        site.writer.probe()
        with pytest.raises(WriteRefused if is_refusal else WriteUnknown):
            commlog(site)


def test_a_cancellation_the_office_charts_no_procedure_for(
    make: Maker, api: StandIn, office: ServerPractice
) -> None:
    """The vendor: the type of break is for offices that turned the procedures on."""
    site = make()
    site.writer.probe()
    site.write(EffectKind.BREAK, Stream.APPOINTMENT, VISIT, {"status": "broken"},
               to_unscheduled="no", break_type="missed")  # fmt: skip
    assert site.number("SELECT COUNT(*) FROM procedurelog WHERE ProcNum<>51") == 0
    refill(office.run)
    office.run("UPDATE preference SET ValueString='1' WHERE PrefName='BrokenApptProcedure'")
    site.write(EffectKind.BREAK, Stream.APPOINTMENT, VISIT, {"status": "broken"},
               to_unscheduled="no", break_type="cancelled")  # fmt: skip
    # months ahead: no cancellation fee
    assert site.number("SELECT COUNT(*) FROM procedurelog WHERE ProcNum<>51") == 0


def test_nothing_of_a_patient_is_logged_or_raised(make: Maker, api: StandIn) -> None:
    site = make()
    said: list[str] = []
    with capture_logs() as logs:
        site.writer.probe()
        said.append(str(commlog(site)))
        for fault in (Fault.CUT, Fault.TIMEOUT, Fault.BUSY):
            api.faults.arm(fault, verb="POST", path="commlogs")
            with pytest.raises(WriteUnknown) as unknown:
                commlog(site)
            said.append(repr(unknown.value) + repr(unknown.value.__cause__))
        person = {"last_name": "Quill", "first_name": "Robin", "birthdate": "1980-02-03",
                  "phone_home": "+13125550100"}  # fmt: skip
        with pytest.raises(WriteRefused) as refused:
            site.writer.write(Effect(EffectKind.CREATE_PATIENT, Stream.PATIENT, None, person))
        said.append(repr(refused.value))
    text = f"{logs} {said}"
    assert len(logs) > 5
    for word in ("Quill", "Robin", "5550100", "1980", "Reminder", "dev-key", "customer-key"):
        assert word not in text
