"""Rung 8: what the CRM lost is sent again, what only the CRM has is retracted; a flood waits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.cli.stage import Stage
from agent.config import load_settings
from agent.errors import CrmUnavailable
from agent.model.proof import Basis
from agent.model.streams import Stream
from agent.model.writing import BucketDigest, Change, Verb
from agent.runtime.host import Host, build
from agent.sync.proving import Proving
from agent.sync.reconcile import Comparison, compare, differing_buckets, native_key
from tests.support.until import until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, patients=40) as made:
        yield made


@pytest.fixture
def host(stage: Stage) -> Iterator[Host]:
    made = build(load_settings((), home=stage.paths.home), stage.paths)
    # The agent's own rounds would heal what a test has damaged before it looks.
    made.engine.proving.visit = lambda *_: None  # type: ignore[method-assign]
    made.start()
    until(lambda: made.report().snapshot.load is None and not made.journal.batches_waiting())
    yield made
    made.stop()


def tell_crm(host: Host, *changes: Change) -> None:
    """Behind the journal's back, as a bug or a restored CRM would leave it."""
    reply = host.crm.push("behind-its-back", host.crm.pack("behind-its-back", changes))
    assert all(item.outcome.is_done for item in reply.outcomes)


def change(host: Host, key: int, verb: Verb, canon: bytes = b"") -> Change:
    content = hashlib.sha256(canon).digest()[:16] if canon else b""
    op_id = key.to_bytes(16, "big")
    return Change(op_id, Stream.RECALL, key, verb, host.journal.lsn, content, canon)


def test_small_differences_are_healed_in_both_directions(host: Host) -> None:
    assert compare(host.journal, host.crm, Stream.RECALL).is_equal
    tell_crm(
        host,
        change(host, 3, Verb.DELETE),
        change(host, 990_001, Verb.UPSERT, b'{"key":"990001","patient_key":"1"}'),
    )
    found = compare(host.journal, host.crm, Stream.RECALL)
    assert (found.send, found.extra) == ([3], [990_001])
    session = host.engine.session
    assert session is not None
    proving = host.engine.proving
    with closing(host.source.open()) as reader:
        line = proving.one(session, Stream.RECALL, Basis.KEPT, proving.mender(reader))
    assert (line.missing, line.extra, line.repaired) == (1, 1, 2)
    until(lambda: not host.journal.batches_waiting())
    assert compare(host.journal, host.crm, Stream.RECALL).is_equal
    assert host.engine.compare_now() == 0


def test_a_quiet_office_is_proven_after_a_restart(host: Host, stage: Stage) -> None:
    """Nobody types, nothing is sent: that the CRM is behind shows all the same."""
    tell_crm(host, change(host, 3, Verb.DELETE))
    host.stop()
    again = build(load_settings((), home=stage.paths.home), stage.paths)
    again.start()
    try:
        until(lambda: compare(again.journal, again.crm, Stream.RECALL).is_equal)
    finally:
        again.stop()


def test_a_crm_that_does_not_answer_holds_up_no_sweep(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def unanswered(stream: Stream, basis: Basis) -> list[BucketDigest]:
        asked.append(stream)
        raise CrmUnavailable

    monkeypatch.setattr(host.crm, "digests", unanswered)
    session = host.engine.session
    assert session is not None
    with closing(host.source.open()) as reader:
        for _ in range(3):
            Proving.visit(host.engine.proving, reader, session)
    assert len(asked) == 1


def test_a_record_that_nothing_carries_is_found(host: Host) -> None:
    """It is in no sum of either side: only looking for it finds it."""
    tell_crm(host, change(host, 3, Verb.DELETE))
    with host.journal.turn() as turn:
        turn._db.execute(
            "UPDATE record SET agreed = NULL WHERE stream = ? AND key = 3",
            (host.journal._streams[Stream.RECALL],),
        )
    found = compare(host.journal, host.crm, Stream.RECALL)
    assert (found.missing, found.differing) == ([3], 0)


def test_only_buckets_that_differ_are_opened() -> None:
    ours = [BucketDigest(1, 2, 30, 4), BucketDigest(2, 1, 1, 1), BucketDigest(9, 0, 0, 0)]
    theirs = [BucketDigest(1, 2, 30, 4), BucketDigest(2, 1, 1, 2), BucketDigest(3, 1, 5, 5)]
    assert differing_buckets(ours, theirs) == [2, 3]


def test_a_flood_of_differences_waits_for_a_person() -> None:
    assert Comparison(Stream.RECALL, records=1000, missing=list(range(201))).is_too_much
    assert not Comparison(Stream.RECALL, records=100_000, different=list(range(900))).is_too_much


def test_keys_come_back_as_what_they_were() -> None:
    assert [native_key(text) for text in ("12", "-5", "A7")] == [12, -5, "A7"]
