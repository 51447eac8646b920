"""The event stream: order, resuming, back-pressure, and the publisher's time."""

from __future__ import annotations

import threading
import time

import pytest

from agent.control.client import Client
from agent.control.events import KEPT, QUEUED, Events, Feed
from agent.control.protocol import ControlError, Event, Lost, Subscribe, parse_answer
from agent.control.server import ControlServer, Limits
from tests.control.conftest import Echo, Raw, Serve


def _all(client: Client, count: int) -> list[Event | Lost]:
    found = [client.next_event(5.0) for _ in range(count)]
    assert None not in found
    return [event for event in found if event is not None]


def test_events_come_in_order_between_answers(server: ControlServer, client: Client) -> None:
    assert client.subscribe().seq == 0
    for number in range(5):
        server.events.publish("activity", {"n": number})
        client.ask(Echo())
    events = _all(client, 5)
    assert [e.seq for e in events if isinstance(e, Event)] == [1, 2, 3, 4, 5]
    assert [e.body for e in events if isinstance(e, Event)] == [{"n": n} for n in range(5)]
    assert client.next_event(0.01) is None


def test_only_the_kinds_asked_for(server: ControlServer, client: Client) -> None:
    client.subscribe(Subscribe(kinds=("review",)))
    server.events.publish("status", {})
    server.events.publish("review", {})
    (event,) = _all(client, 1)
    assert isinstance(event, Event)
    assert (event.seq, event.kind) == (2, "review")
    client.unsubscribe()
    assert not server.events.is_watched
    server.events.publish("review", {})
    assert client.next_event(0.02) is None


def test_a_client_that_comes_back_gets_what_it_missed(server: ControlServer) -> None:
    with Client.call(server.path) as client:
        boot = client.welcome.boot
        client.subscribe()
        server.events.publish("activity", 1)
        assert _all(client, 1)
    server.events.publish("activity", 2)
    server.events.publish("status", "not kept", keep=False)
    server.events.publish("activity", 4)
    with Client.call(server.path) as client:
        told = client.subscribe(Subscribe(after=1, boot=boot))
        assert (told.seq, told.missed) == (4, False)
        assert [e.seq for e in _all(client, 2) if isinstance(e, Event)] == [2, 4]
    with Client.call(server.path) as client:  # as after a restart of the agent
        assert client.subscribe(Subscribe(after=3, boot="another")).missed


def test_what_is_too_old_is_said_to_be_missed() -> None:
    events = Events()
    for number in range(KEPT + 2):
        events.publish("activity", number)
    assert events.subscribe(Subscribe(after=1, boot=events.boot))[2]
    assert not events.subscribe(Subscribe(after=2, boot=events.boot))[2]
    assert events.subscribe(Subscribe(after=10**6, boot=events.boot))[2]


def test_a_full_queue_loses_the_newest_and_says_which() -> None:
    feed = Feed(None, most=3)
    for seq in range(1, 8):
        feed.put(seq, "k", b"%d" % seq)
    assert feed.take() == b"1"
    feed.put(8, "k", b"8")  # there is room, but it would come before what was lost
    assert [feed.take(), feed.take()] == [b"2", b"3"]
    gap = parse_answer(feed.take() or b"")
    assert (gap.method, bytes(gap.params)) == ("events.lost", b'{"first":4,"last":8}')
    feed.put(9, "k", b"9")
    assert feed.take() == b"9"
    feed.close()
    assert feed.take() is None


def test_a_client_that_does_not_read_costs_the_agent_nothing(serve: Serve) -> None:
    server = serve(limits=Limits(send_s=20))
    deaf, well = Raw(server.path), Client.call(server.path)
    try:
        deaf.greet()
        deaf.say(b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}\n')
        assert (deaf.hear() or {})["id"] == 1
        well.subscribe(Subscribe(kinds=("mark",)))
        body, slowest, count = "x" * 20_000, 0.0, QUEUED + 100
        for _ in range(count):
            started = time.monotonic()
            server.events.publish("bulk", body, keep=False)
            slowest = max(slowest, time.monotonic() - started)
        assert slowest < 0.25  # the queue's work, whatever the machine is busy with
        server.events.publish("mark", "seen")
        assert isinstance(well.next_event(5.0), Event)
        numbers, gap = [], None
        while gap is None:
            told = deaf.hear()
            assert told is not None
            if told["method"] == "events.lost":
                gap = told["params"]
            else:
                numbers.append(told["params"]["seq"])
        assert numbers == list(range(1, len(numbers) + 1))
        assert (gap["first"], gap["last"]) == (len(numbers) + 1, count + 1)
        assert len(numbers) < count
        server.events.publish("bulk", "small")
        assert (deaf.hear() or {})["params"]["seq"] == count + 2  # and it goes on
    finally:
        deaf.close()
        well.close()


def test_a_client_that_never_reads_is_hung_up_on(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(limits=Limits(send_s=0.2))
    deaf = Raw(server.path)
    deaf.greet()
    deaf.say(b'{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}\n')
    deaf.hear()
    for _ in range(60):
        server.events.publish("bulk", "x" * 20_000)
    deadline = time.monotonic() + 5
    while server.clients and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.clients == 0
    assert not server.events.is_watched
    deaf.close()


def test_an_event_no_client_would_take_is_refused_at_once() -> None:
    events = Events()
    with pytest.raises(ControlError):
        events.publish("bulk", "x" * 1_100_000)
    assert events.publish("bulk", "x") == 1  # it took no number


def test_many_publishers_number_without_gaps(server: ControlServer, client: Client) -> None:
    client.subscribe()
    threads = [
        threading.Thread(target=lambda: [server.events.publish("k", n) for n in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e.seq for e in _all(client, 100) if isinstance(e, Event)] == list(range(1, 101))
