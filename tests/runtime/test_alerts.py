"""Figures, promises and who is told: pure decisions; real mail, a real webhook, a real page."""

from __future__ import annotations

import http.client
import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks import Webhook

from agent.config import load_settings
from agent.errors import AgentError
from agent.journal.journal import Journal
from agent.journal.rows import Tier
from agent.model.metrics import BOUNDS_S, DECLARED, Metric, Spread, quantile_s
from agent.model.streams import Stream
from agent.runtime.alerting import DAY, Alerting, Way, days_of, ways_of
from agent.runtime.metricsdoor import MetricsDoor
from agent.sandbox.crm.silence import is_silent
from agent.support.alerts import (
    QUIET_TO_CLEAR,
    SLOW,
    SUCCESS,
    UNPROVEN,
    Breach,
    Held,
    Notice,
    judge,
    step,
)
from agent.support.exposition import exposition
from agent.support.mail import NotSent
from agent.support.measures import Figures, Measures, success_share
from tests.cli.test_status import snapshot
from tests.crm.stub import MemorySecrets
from tests.journal.sealing import TestSeal
from tests.support.clock import HandClock

NOW = datetime(2026, 5, 4, 15, 0, tzinfo=UTC)
SECRET = "whsec_" + "A" * 32


def sent(measures: Measures, taken: int, failed: int = 0) -> None:
    measures.count(Metric.CHANGES, "patient", "applied", by=taken)
    if failed:
        measures.count(Metric.CHANGES, "patient", "rejected", by=failed)


# --- figures --------------------------------------------------------------------------------------


def test_a_quantile_lies_where_the_durations_lie() -> None:
    spread = Spread()
    assert spread.quantile_s(0.5) is None
    for number in range(1, 101):
        spread.add(number / 1000)
    half, most = spread.quantile_s(0.5), spread.quantile_s(1.0)
    assert half == pytest.approx(0.05, abs=0.003)
    assert most == pytest.approx(0.1)
    spread.add(1e6)
    assert spread.quantile_s(1.0) == BOUNDS_S[-1]
    assert quantile_s([0] * (len(BOUNDS_S) + 1), 0.5) is None


def test_nothing_of_a_person_gets_into_a_label() -> None:
    measures = Measures()
    measures.count(Metric.CHANGES, "patient", "Anna Example, 1980-02-03")
    measures.count(Metric.LANE_ROUNDS, "watch", "ok\n")
    assert measures.figures().counters[Metric.CHANGES] == {"patient,other": 1.0}
    assert measures.figures().counters[Metric.LANE_ROUNDS] == {"watch,other": 1.0}
    with pytest.raises(ValueError, match="labels"):
        measures.count(Metric.CHANGES, "patient")


def test_figures_add_up_and_outlive_json() -> None:
    measures = Measures()
    sent(measures, 8, 2)
    measures.took(Metric.STAGE, "change", seconds=0.04)
    first = measures.figures()
    sent(measures, 10)
    measures.took(Metric.STAGE, "change", seconds=0.04)
    since = measures.figures().minus(first)
    assert since.by(Metric.CHANGES, 1) == {"applied": 10.0, "rejected": 0.0}
    assert since.spread(Metric.STAGE, "change").count == 1
    again = msgspec.json.decode(msgspec.json.encode(first), type=Figures)
    assert again.plus(since).spread(Metric.STAGE, "change").count == 2
    assert success_share(first) == 0.8
    assert success_share(Figures({}, {})) is None


def test_the_page_is_what_prometheus_reads() -> None:
    measures = Measures()
    sent(measures, 3)
    measures.took(Metric.STAGE, "change", seconds=0.04)
    measures.took(Metric.STATEMENT, "read_keys", seconds=7000)
    text = exposition(measures.figures(), snapshot(), NOW).decode()
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert {f"bridgework_{m.value}".removesuffix("_total") for m in DECLARED} <= set(found)
    change = [s for s in found["bridgework_stage_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.value for s in change if s.labels["le"] in {"0.03", "0.05", "+Inf"}] == [0, 1, 1]
    beyond = [s for s in found["bridgework_pms_statement_seconds"].samples if s.labels.get("le")]
    assert (beyond[-2].value, beyond[-1].value) == (0, 1)
    assert found["bridgework_oldest_proof_age_seconds"].samples[0].value == 240.0
    assert found["bridgework_oldest_unsent_age_seconds"].samples == []  # none is not 0


def test_the_page_is_for_who_has_the_token() -> None:
    door = MetricsDoor(0, lambda: "the-token", lambda: b"bridgework_agrees 1.0\n")

    def ask(path: str = "/metrics", host: str = "127.0.0.1", token: str = "the-token") -> int:
        line = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
        line.request("GET", path, headers={"Host": host, "Authorization": f"Bearer {token}"})
        answer = line.getresponse()
        body = answer.read()
        line.close()
        assert (body != b"") is (answer.status == 200)
        return answer.status

    try:
        assert ask() == 200
        assert ask(host=f"localhost:{door.port}") == 200
        assert ask(token="other") == 401
        assert ask(token="") == 401
        assert ask(path="/") == 404
        assert ask(host="evil.example") == 403  # a page in a browser that renamed this computer
    finally:
        door.close()


# --- promises -------------------------------------------------------------------------------------


def test_what_breaks_a_promise() -> None:
    def hour(taken: int, failed: int = 0, slow: int = 0, quick: int = 0) -> Figures:
        measures = Measures()
        sent(measures, taken, failed)
        for seconds, times in ((0.05, quick), (3.0, slow)):
            for _ in range(times):
                measures.took(Metric.STAGE, "change", seconds=seconds)
        return measures.figures()

    assert judge(hour(10_000, 10), [1.4]) == []
    assert judge(hour(50, 1), []) == []  # one of fifty proves nothing
    broken = judge(hour(10_000, 11), [])
    assert [(b.code, b.facts["failed"]) for b in broken] == [(SUCCESS, 11)]
    assert [b.code for b in judge(hour(0, 2), [])] == [SUCCESS]
    assert judge(hour(1, slow=19), []) == []
    assert [b.code for b in judge(hour(1, slow=2, quick=98), [])] == [SLOW]
    assert judge(hour(1, slow=1, quick=199), []) == []
    assert [b.code for b in judge(hour(1), [0.2, 1.6])] == [UNPROVEN]


def test_an_alert_is_told_once_and_once_when_it_is_over() -> None:
    slow = [Breach(SLOW, {"p99_s": 2.0})]
    held: dict[str, Held] = {}
    told: list[tuple[int, bool]] = []
    # Minute by minute: a spike of one look, then eight minutes of it, an edge, and the end.
    course = [1, 0, 1, 1, 1, 0, 1, 0, *([0] * 15)]
    for minute, stands in enumerate(course):
        held, notices = step(held, slow if stands else [], NOW + timedelta(minutes=minute))
        told += [(minute, notice.is_over) for notice in notices]
    assert told == [(3, False), (7 + int(QUIET_TO_CLEAR.total_seconds() / 60), True)]
    assert held == {}


@pytest.mark.parametrize(
    ("heard", "now", "silent"),
    [
        ("2026-05-04 09:00", "2026-05-04 09:14", False),
        ("2026-05-04 09:00", "2026-05-04 09:15", True),
        ("2026-05-03 18:00", "2026-05-04 08:10", False),  # off over the weekend, just opened
        ("2026-05-03 18:00", "2026-05-04 08:15", True),
        ("2026-05-01 16:50", "2026-05-03 12:00", False),  # Friday's last ten minutes, then Sunday
    ],
)
def test_silence_counts_in_office_hours(heard: str, now: str, silent: bool) -> None:
    def at(text: str) -> datetime:
        return datetime.fromisoformat(text + "-04:00")

    hours = "mon-fri 08:00-17:00"
    assert is_silent(at(heard), at(now), hours, "America/New_York") is silent
    assert is_silent(at(heard), at(heard) + timedelta(minutes=16), "", "")
    assert is_silent(at(heard), at(heard) + timedelta(minutes=16), "garbage", "Nowhere/At_all")


# --- who is told ----------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.open(tmp_path / "journal.db", seal=TestSeal(), clock=HandClock())
    yield made
    made.close()


def test_what_was_not_taken_is_tried_again_and_a_restart_tells_nothing_twice(
    journal: Journal,
) -> None:
    clock, measures, took = HandClock(), Measures(), []
    is_down = True

    def send(ident: str, notice: Notice) -> None:
        if is_down:
            raise NotSent(way="email", reason="ConnectionRefusedError")
        took.append((ident, notice.code, notice.is_over))

    def alerting(figures: Measures) -> Alerting:
        return Alerting(
            journal, clock, figures, lambda tier: 600.0, [Way("email", send)], lambda at: at
        )

    made = alerting(measures)
    sent(measures, 100, 50)
    made.look()
    assert made.standing == ()
    clock.advance(60)
    made.look()
    assert made.standing == (SUCCESS,)
    assert [f.code for f in made.findings()] == [SUCCESS]
    assert took == []
    restarted = alerting(measures)  # the figures go on, as if the hour were the same
    assert restarted.standing == (SUCCESS,)
    is_down = False
    clock.advance(61)
    restarted.look()
    assert [(code, over) for _, code, over in took] == [(SUCCESS, False)]
    clock.advance(60)
    restarted.look()
    assert len(took) == 1
    days = days_of(journal.marks(DAY))
    assert sum(day.by(Metric.CHANGES, 1).get("rejected", 0.0) for day in days.values()) == 50.0
    assert [a.code for a in journal.recent_activity(5)] == [SUCCESS]
    clock.advance(4000)  # an hour later: nothing was sent since
    restarted.look()
    clock.advance(QUIET_TO_CLEAR.total_seconds() + 1)
    restarted.look()
    assert [(code, over) for _, code, over in took] == [(SUCCESS, False), (SUCCESS, True)]


def test_an_old_chunk_is_an_alert(journal: Journal) -> None:
    clock = HandClock()
    with journal.turn() as turn:
        turn.plan_chunks(Stream.PATIENT, [], Tier.HOT, clock.now())
    made = Alerting(journal, clock, Measures(), lambda tier: 600.0, [], lambda at: at)
    began = clock.now()
    while UNPROVEN not in made.standing:
        clock.advance(60)
        made.look()
        assert clock.now() - began < timedelta(minutes=30)
    assert clock.now() - began >= timedelta(minutes=15)


class _Mail(socketserver.StreamRequestHandler):
    """As much of an SMTP server as one message needs."""

    taken: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.taken.append(body.decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


class _Hook(BaseHTTPRequestHandler):
    taken: list[object]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.taken.append(Webhook(SECRET).verify(body, dict(self.headers)))  # raises: not signed
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


def test_real_mail_and_a_signed_webhook_arrive(tmp_path: Path) -> None:
    mails, hooks = [], []
    mail = socketserver.TCPServer(("127.0.0.1", 0), type("M", (_Mail,), {"taken": mails}))
    hook = HTTPServer(("127.0.0.1", 0), type("H", (_Hook,), {"taken": hooks}))
    for server in (mail, hook):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = load_settings(
        {
            "alerts.email_to": "it@practice.example, boss@practice.example",
            "alerts.smtp_host": "127.0.0.1",
            "alerts.smtp_port": mail.server_address[1],
            "alerts.smtp_security": "none",
            "alerts.webhook_url": f"http://127.0.0.1:{hook.server_address[1]}/alerts",
        },
        home=tmp_path,
        environ={},
    )
    secrets = MemorySecrets()
    secrets.set("alerts.webhook_secret", SECRET)
    try:
        for way in ways_of(settings, secrets, HandClock(datetime.now(UTC)), "agent-1"):  # type: ignore[arg-type]
            way.send("id-1", Notice(SLOW, NOW, {"p99_s": 2.5, "changes": 40}))
            gone = mail if way.name == "email" else hook
            gone.shutdown()
            gone.server_close()
            with pytest.raises(AgentError) as caught:
                way.send("id-2", Notice(SLOW, NOW, {}))
            assert caught.value.code == "alert.not_sent"
    finally:
        mail.server_close()
        hook.server_close()
    assert "To: it@practice.example, boss@practice.example" in mails[0]
    assert "99 of 100 within 2.5 s" in mails[0].replace("=\r\n", "").replace("\r\n", " ")
    told = json.loads(json.dumps(hooks[0]))
    assert (told["type"], told["data"]["code"], len(hooks)) == ("alert.began", SLOW, 1)
