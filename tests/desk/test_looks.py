"""Activity and log as the window asks for them: filtered, paged, folded; a nudge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.control.client import Client
from agent.control.protocol import ControlError
from agent.model.activity import (
    SENT,
    CheckNow,
    Direction,
    GetPulse,
    ListActivity,
    LogPage,
    Outcome,
    ReadLog,
)
from agent.model.streams import Stream
from agent.support.logview import LogView
from tests.desk.conftest import Agent


@pytest.fixture
def client(agent: Agent) -> Iterator[Client]:
    with Client.call(agent.paths.control_socket) as made:
        yield made


def _send(agent: Agent, stream: Stream, keys: list[int], took_ms: float | None = 40.0) -> None:
    with agent.journal.turn() as turn:
        turn.tally(stream, keys, took_ms)


def test_a_burst_is_one_line(agent: Agent, client: Client) -> None:
    for key in range(100):
        _send(agent, Stream.PATIENT, [key])
        _send(agent, Stream.APPOINTMENT, [key, key + 1])
    page = client.ask(ListActivity(codes=(SENT,)))
    # A minute may end meanwhile.
    assert 2 <= page.total == len(page.lines) <= 4
    assert sum(line.count for line in page.lines) == 300
    assert all(len(str(line.facts["keys"]).split()) <= 40 for line in page.lines)


def test_lines_are_found_by_what_they_are(agent: Agent, client: Client) -> None:
    _send(agent, Stream.PATIENT, [4711])
    with agent.journal.turn() as turn:
        turn.note("crm.rejected", Stream.PATIENT, 2)
        turn.note("command.applied", None, 1, {"type": "confirm", "keys": " 17 "})

    def found(**wish: object) -> list[str]:
        return [line.code for line in client.ask(ListActivity(**wish)).lines]  # type: ignore[arg-type]

    assert found(key="4711") == [SENT]
    assert found(key="471") == []
    assert found(key="17") == ["command.applied"]
    assert "command.applied" not in found(directions=(Direction.TO_CRM,))
    assert found(outcomes=(Outcome.REFUSED,), streams=(Stream.PATIENT,)) == ["crm.rejected"]
    assert found(codes=()) == []
    assert found(since=datetime.now(UTC) + timedelta(minutes=1)) == []


def test_pages_do_not_slip_while_lines_come(agent: Agent, client: Client) -> None:
    with agent.journal.turn() as turn:
        for number in range(50):
            turn.note("load.hot_done", None, number)
    first = client.ask(ListActivity(limit=10))
    with agent.journal.turn() as turn:
        turn.note("crm.rejected", None, 1)
    second = client.ask(ListActivity(limit=10, offset=10, upto=first.newest))
    numbers = [line.number for line in (*first.lines, *second.lines)]
    assert numbers == list(range(numbers[0], numbers[0] - 20, -1))
    newer = client.ask(ListActivity(above=first.newest))
    assert [line.code for line in newer.lines] == ["crm.rejected"]


def test_the_pulse_counts_both_ways(agent: Agent, client: Client) -> None:
    _send(agent, Stream.PATIENT, [1, 2, 3], 100.0)
    _send(agent, Stream.PATIENT, [4], 300.0)
    _send(agent, Stream.RECALL, list(range(500)), None)  # of a load: counts, times nothing
    with agent.journal.turn() as turn:
        turn.note("command.applied", None, 1)
    pulse = client.ask(GetPulse())
    assert 287 <= len(pulse.buckets) <= 289
    assert sum(bucket.sent for bucket in pulse.buckets) == 504
    assert sum(bucket.received for bucket in pulse.buckets) >= 1
    timed = [bucket for bucket in pulse.buckets if bucket.slowest_ms is not None]
    assert max(bucket.slowest_ms or 0 for bucket in timed) == 300.0
    assert pulse.last_sent.keys() == {Stream.PATIENT, Stream.RECALL}


def test_a_nudge_reaches_the_engine(agent: Agent, client: Client) -> None:
    client.ask(CheckNow())
    assert ("check_now",) in agent.engine.called  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "wish",
    [ListActivity(limit=501), ListActivity(offset=-1), ReadLog(level="x"), ReadLog(before="?")],
)
def test_nonsense_is_refused(client: Client, agent: Agent, wish: ListActivity | ReadLog) -> None:
    agent.paths.log_dir.mkdir(exist_ok=True)
    agent.paths.agent_log.write_text('{"event":"a.b"}\n')
    with pytest.raises(ControlError) as refused:
        client.ask(wish)
    assert refused.value.code == "desk.bad_value"


# --- the log --------------------------------------------------------------------------------------


def _write(path: Path, first: int, last: int, *, pad: int = 0) -> None:
    with path.open("a", encoding="utf-8") as file:
        for n in range(first, last):
            event = {
                "timestamp": f"2026-11-29T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}.{n:06}Z",
                "level": "warning" if n % 10 == 0 else "info",
                "logger": "agent.sync.push" if n % 2 else "agent.crm.transport",
                "event": "push.settled",
                "number": n,
                "pad": "x" * pad,
            }
            file.write(json.dumps(event) + "\n")


def _numbers(page: LogPage) -> list[int]:
    return [int(line.facts["number"]) for line in page.lines]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three files, 3,000 lines, some of them longer than a block."""
    path = tmp_path / "bridgework.log"
    _write(tmp_path / "bridgework.log.2", 0, 1000)
    _write(tmp_path / "bridgework.log.1", 1000, 2000, pad=150)
    _write(path, 2000, 2990)
    _write(path, 2990, 3000, pad=100_000)
    return path


def test_all_of_it_comes_in_pages_backwards(log: Path) -> None:
    view, seen, before = LogView(log), [], ""
    while True:
        page = view.page(ReadLog(limit=170, before=before))
        seen = _numbers(page) + seen
        before = page.older
        if not before:
            break
    assert seen == list(range(3000))


def test_and_forwards_from_a_moment(log: Path) -> None:
    view = LogView(log)
    page = view.page(ReadLog(limit=5, at=datetime(2026, 11, 29, 0, 30, tzinfo=UTC)))
    assert _numbers(page) == list(range(1800, 1805))
    assert _numbers(view.page(ReadLog(limit=5, after=page.newer))) == list(range(1805, 1810))
    assert _numbers(view.page(ReadLog(limit=5, before=page.older))) == list(range(1795, 1800))


def test_it_is_followed_over_a_rotation(log: Path) -> None:
    view = LogView(log)
    newest = view.page(ReadLog(limit=1))
    assert _numbers(newest) == [2999]
    log.rename(log.with_suffix(".log.0"))  # as the rotation does, one step younger
    _write(log, 3000, 3003)
    page = view.page(ReadLog(after=newest.newer))
    assert _numbers(page) == [3000, 3001, 3002]
    assert view.page(ReadLog(after=page.newer)).lines == ()


def test_filters_hold(log: Path) -> None:
    view = LogView(log)
    assert _numbers(view.page(ReadLog(limit=3, level="warning"))) == [2970, 2980, 2990]
    page = view.page(ReadLog(limit=500, topic="agent.sync", text='"number": 1234'))
    assert _numbers(page) == []
    assert _numbers(view.page(ReadLog(limit=500, text='"NUMBER": 1234'))) == [1234]


def test_no_log_is_an_empty_page(tmp_path: Path) -> None:
    assert LogView(tmp_path / "none.log").page(ReadLog()) == LogPage((), "", "", 0)
