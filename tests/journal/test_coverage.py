"""Chunks and spans: what has been read and proven, and the honest ages that follow."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from agent.journal.journal import Journal
from agent.journal.rows import Chunk, Numbers, Tier
from agent.model.reading import Key
from agent.model.streams import Stream
from tests.journal.conftest import PATIENT
from tests.support.clock import START, HandClock

HOUR = timedelta(hours=1)


def plan(journal: Journal, *boundaries: Key, stream: Stream = PATIENT, keep: bool = True) -> None:
    with journal.turn() as turn:
        turn.plan_chunks(stream, boundaries, Tier.HOT, START, keep=keep)


def spans(chunks: list[Chunk]) -> list[tuple[Key | None, Key | None]]:
    return [(chunk.lo, chunk.hi) for chunk in chunks]


def test_a_plan_covers_every_key_there_can_be(journal: Journal) -> None:
    plan(journal, 10, 20)
    chunks = journal.chunks(PATIENT)
    assert spans(chunks) == [(None, 10), (10, 20), (20, None)]
    assert not any(chunk.loaded or chunk.verified_at for chunk in chunks)
    plan(journal)
    assert spans(journal.chunks(PATIENT)) == [(None, None)]
    plan(journal, "b", "é", stream=Stream.RECALL)
    assert spans(journal.chunks(Stream.RECALL)) == [(None, "b"), ("b", "é"), ("é", None)]
    with pytest.raises(ValueError, match="must grow"):
        plan(journal, 20, 10)
    assert journal.numbers(START).chunks == 4


def test_the_load_goes_by_stream_then_key(journal: Journal, clock: HandClock) -> None:
    plan(journal, 1, stream=Stream.RECALL)
    plan(journal, 5, 9)
    order = journal.next_chunks(START, 9, loaded=False)
    assert [(c.stream, c.lo) for c in order] == [
        (PATIENT, None), (PATIENT, 5), (PATIENT, 9), (Stream.RECALL, None), (Stream.RECALL, 1),
    ]  # fmt: skip
    newest = journal.next_chunks(START, 2, loaded=False, newest_first=True)
    assert [c.lo for c in newest] == [9, 5]
    only = journal.next_chunks(START, 9, loaded=False, streams=[Stream.RECALL])
    assert {c.stream for c in only} == {Stream.RECALL}
    with journal.turn() as turn:
        turn.chunk_loaded(order[0], order[0].due_at)
        turn.chunk_loaded(order[0], order[0].due_at)
        turn.chunk_failed(order[1], START + HOUR, "pms.busy")
    assert journal.next_chunks(START, 1, loaded=False)[0].lo == 9
    assert journal.numbers(START).chunks_unloaded == 4
    assert journal.next_chunks(START, 9, loaded=True) == [journal.chunks(PATIENT)[0]]


def test_the_sweep_goes_by_how_overdue(journal: Journal) -> None:
    plan(journal, 5, 9)
    first, second, third = journal.chunks(PATIENT)
    with journal.turn() as turn:
        turn.chunk_verified(first, START, START + 2 * HOUR)
        turn.chunk_failed(second, START + HOUR, "different")
    assert [c.number for c in journal.next_chunks(START + 3 * HOUR, 9)] == [
        third.number, second.number, first.number,
    ]  # fmt: skip
    assert [c.number for c in journal.next_chunks(START, 9)] == [third.number]
    assert journal.chunks(PATIENT)[0].verified_at == START
    assert journal.chunks(PATIENT)[1].verified_at is None
    with journal.turn() as turn:
        turn.due_all_chunks(Stream.RECALL)
    assert len(journal.next_chunks(START, 9)) == 1
    with journal.turn() as turn:
        turn.due_all_chunks(None)
    assert len(journal.next_chunks(START, 9)) == 3


def test_ages_are_those_of_the_oldest(journal: Journal, clock: HandClock) -> None:
    assert journal.numbers(START) == Numbers(None, None, 0, 0, 0, 0, 0, 0, 0)
    plan(journal, 5)
    clock.advance(3600)
    plan(journal, stream=Stream.RECALL)
    low, high = journal.chunks(PATIENT)
    now = START + 2 * HOUR
    assert journal.numbers(now).oldest_unverified_at == START  # never verified: since its plan
    with journal.turn() as turn:
        turn.chunk_loaded(low, low.due_at)
        turn.chunk_verified(low, now, now + HOUR)
    assert journal.numbers(now).oldest_unverified_at == START
    with journal.turn() as turn:
        turn.chunk_verified(high, now - HOUR / 2, now)
    numbers = journal.numbers(now)
    assert numbers.oldest_unverified_at == START + HOUR  # the recall stream's
    assert (numbers.chunks, numbers.chunks_unloaded, numbers.chunks_overdue) == (3, 2, 1)


def test_split_keeps_age_proof_and_due_time(journal: Journal) -> None:
    plan(journal, 100)
    low = journal.chunks(PATIENT)[0]
    with journal.turn() as turn:
        turn.chunk_loaded(low, low.due_at)
        turn.chunk_verified(low, START, START + HOUR)
    low = journal.chunks(PATIENT)[0]
    with journal.turn() as turn:
        a, b = turn.split_chunk(low, 50)
    assert spans([a, b]) == [(None, 50), (50, 100)]
    assert [(c.loaded, c.verified_at, c.due_at) for c in (a, b)] == 2 * [
        (True, START, START + HOUR)
    ]
    assert journal.chunks(PATIENT)[:2] == [a, b]
    assert journal.numbers(START).chunks == 3
    with journal.turn() as turn, pytest.raises(ValueError, match="not in the ledger"):
        turn.split_chunk(low, 50)
    for outside in (100, 101):
        with journal.turn() as turn, pytest.raises(ValueError, match="outside"):
            turn.split_chunk(b, outside)


def test_a_chunk_of_an_old_plan_is_nobody(journal: Journal) -> None:
    plan(journal, 100)
    stale = journal.chunks(PATIENT)[0]
    plan(journal, 50, 100)
    with journal.turn() as turn:
        turn.chunk_verified(stale, START, START + HOUR)
        turn.chunk_loaded(stale, stale.due_at)
    assert not any(c.loaded or c.verified_at for c in journal.chunks(PATIENT))
    assert journal.numbers(START).chunks_unloaded == 3


def test_replanning_keeps_what_is_known_only_where_all_of_it_is(journal: Journal) -> None:
    plan(journal, 10, 20, 30)
    first, second, third, _ = journal.chunks(PATIENT)
    with journal.turn() as turn:
        for chunk, at in ((first, START + HOUR), (second, START), (third, None)):
            turn.chunk_loaded(chunk, chunk.due_at)
            if at is not None:
                turn.chunk_verified(chunk, at, START + HOUR)
    plan(journal, 5, 15, 25, 40)
    assert [(c.hi, c.loaded, c.verified_at) for c in journal.chunks(PATIENT)] == [
        (5, True, START + HOUR),
        (15, True, START),
        (25, True, None),
        (40, False, None),
        (None, False, None),
    ]
    assert journal.numbers(START).chunks_unloaded == 2
    plan(journal, 5, keep=False)
    assert not any(c.loaded or c.verified_at for c in journal.chunks(PATIENT))


def test_replanning_does_not_make_the_unverified_young(journal: Journal, clock: HandClock) -> None:
    plan(journal, 10)
    clock.advance(3600)
    plan(journal, 5, 10, 15)
    assert journal.numbers(clock.now()).oldest_unverified_at == START


def test_replanning_against_a_model(journal: Journal) -> None:
    """Point by point: a key is loaded after a replan only if it was, and its whole chunk was."""
    chance = random.Random(5)
    for _ in range(20):
        plan(journal, *sorted(chance.sample(range(1, 40), chance.randint(0, 6))), keep=False)
        for chunk in journal.chunks(PATIENT):
            if chance.random() < 0.6:
                with journal.turn() as turn:
                    turn.chunk_loaded(chunk, chunk.due_at)
        before = journal.chunks(PATIENT)
        plan(journal, *sorted(chance.sample(range(1, 40), chance.randint(0, 6))))
        for chunk in journal.chunks(PATIENT):
            keys = [k for k in range(-2, 45) if _inside(k, chunk)]
            parts = [c for c in before if any(_inside(k, c) for k in keys)]
            assert chunk.loaded == all(part.loaded for part in parts)


def _inside(key: int, chunk: Chunk) -> bool:
    lo = chunk.lo if isinstance(chunk.lo, int) else -100
    hi = chunk.hi if isinstance(chunk.hi, int) else 100
    return lo < key <= hi


def test_spans_melt_where_they_touch(journal: Journal) -> None:
    def cover(lo: int, hi: int) -> None:
        with journal.turn() as turn:
            turn.open_span(PATIENT, "stamp", START + lo * HOUR, START + hi * HOUR, START, None)

    assert journal.low_watermark(PATIENT, "stamp") is None
    cover(0, 1)
    cover(4, 5)
    assert journal.low_watermark(PATIENT, "stamp") == START + HOUR
    cover(2, 3)
    assert journal.low_watermark(PATIENT, "stamp") == START + HOUR
    cover(1, 2)
    assert journal.low_watermark(PATIENT, "stamp") == START + 3 * HOUR
    cover(2, 6)
    assert journal.low_watermark(PATIENT, "stamp") == START + 6 * HOUR
    cover(1, 2)
    assert journal.low_watermark(PATIENT, "stamp") == START + 6 * HOUR
    assert journal.low_watermark(PATIENT, "child") is None
    with pytest.raises(ValueError, match="before it starts"):
        cover(9, 8)


def test_marks_source_and_schema(journal: Journal) -> None:
    assert journal.mark("tail.a") is None
    assert journal.source() is None
    with journal.turn() as turn:
        turn.set_mark("tail.a", "17")
        turn.set_mark("tail%b", "4")
        turn.set_mark("step", "done")
        turn.set_source("abc", "ok", {"patient": 12})
        turn.remember_schema("21.1.9.0", "f00", "mapped")
    lsn = journal.lsn
    with journal.turn() as turn:
        turn.set_mark("tail.a", "17")  # nothing new: no commit, no number
    assert journal.lsn == lsn
    assert journal.mark("tail.a") == "17"
    assert journal.marks("tail") == {"tail%b": "4", "tail.a": "17"}
    assert journal.marks("tail%") == {"tail%b": "4"}
    assert len(journal.marks("")) == 3
    with journal.turn() as turn:
        turn.set_source("abc", "suspect_restored", {"patient": 3})
    assert journal.source() == ("abc", "suspect_restored", {"patient": 3})


def test_activity_pages_backwards_within_its_bound(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.journal.turn.ACTIVITY_KEPT", 20)
    for number in range(50):
        with journal.turn() as turn:
            turn.note("load.chunk", PATIENT, number, {"ms": 1.5, "tier": "hot"})
    latest = journal.recent_activity(8)
    assert [line.count for line in latest] == list(range(49, 41, -1))
    assert (latest[0].at, latest[0].stream, latest[0].facts["ms"]) == (START, PATIENT, 1.5)
    older = journal.recent_activity(100, before=latest[-1].number)
    assert [line.count for line in older] == list(range(41, 29, -1))
