"""What the journal holds of records: seeing, touching, missing, burying, parking, linking."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from operator import xor

import pytest

from agent.errors import JournalError
from agent.journal.journal import Journal
from agent.journal.pulled import ConflictKind
from agent.journal.rows import Held, ParkClass
from agent.model.reading import EMPTY_DIGEST, Digest
from agent.model.streams import Stream
from tests.journal.conftest import PATIENT, content, delete, outgoing, seen, upsert
from tests.journal.oracle import query
from tests.support.clock import START, HandClock


def put(journal: Journal, *keys: int | str) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in keys], None)


def agree(journal: Journal, *keys: int) -> None:
    """Seen, sent and settled."""
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(*[upsert(key) for key in keys]))
        turn.see(PATIENT, [seen(key) for key in keys], batch.number)
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)


def test_what_was_seen_is_held(journal: Journal) -> None:
    put(journal, 1, 2)
    row, lsn = seen(1), journal.lsn
    assert journal.held(PATIENT, [1, 99]) == {
        1: Held(row.hash, row.sum48, row.xor64, lsn, None, None, None, gone=False, parked=False)
    }
    assert journal.held(PATIENT, []) == {}
    assert journal.held(Stream.RECALL, [1]) == {}


def test_keys_are_what_they_are(journal: Journal) -> None:
    put(journal, "a:1", "é", "Z")
    assert list(journal.held_range(PATIENT, None, None)) == ["Z", "a:1", "é"]
    assert journal.max_key(PATIENT) == "é"
    with journal.turn() as turn:
        turn.see(Stream.RECALL, [seen(-5), seen(2**62), seen(7)], None)
    assert list(journal.held_range(Stream.RECALL, None, None)) == [-5, 7, 2**62]


def test_ranges_are_open_below_and_closed_above(journal: Journal) -> None:
    put(journal, 1, 2, 3, 4)
    assert list(journal.held_range(PATIENT, 1, 3)) == [2, 3]
    assert list(journal.held_range(PATIENT, None, 2)) == [1, 2]
    assert list(journal.held_range(PATIENT, 3, None)) == [4]


def test_digest_is_count_sum_and_xor_of_present_rows(journal: Journal) -> None:
    put(journal, *range(1, 50))
    with journal.turn() as turn:
        turn.bury(PATIENT, [7], None)
        turn.touch(PATIENT, [(8, 2**48 - 1, -(2**63))])
    rows = [(s.sum48, s.xor64) for s in map(seen, range(1, 50)) if s.key not in (7, 8)]
    rows.append((2**48 - 1, -(2**63)))
    expected = Digest(48, sum(a for a, _ in rows), reduce(xor, (b for _, b in rows)))
    assert journal.digest(PATIENT, None, None) == expected
    assert journal.digest(PATIENT, 0, 100) == expected
    assert journal.digest(PATIENT, 49, None) == EMPTY_DIGEST


def test_digest_leaves_out_what_the_practice_was_seen_without(journal: Journal) -> None:
    """A vanished record waits for its second look; the range is otherwise proven meanwhile."""
    put(journal, 1, 2, 3)
    with journal.turn() as turn:
        turn.miss(PATIENT, [2])
    one, three = seen(1), seen(3)
    assert journal.digest(PATIENT, None, None) == Digest(
        2, one.sum48 + three.sum48, one.xor64 ^ three.xor64
    )
    assert list(journal.held_range(PATIENT, None, None)) == [1, 2, 3]


def test_sums_beyond_64_bits_are_exact(journal: Journal) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(key) for key in range(70_000)], None)
        turn.touch(PATIENT, [(key, 2**48 - 1, 0) for key in range(70_000)])
    assert journal.digest(PATIENT, None, None).sum48 == 70_000 * (2**48 - 1) > 2**63


def test_touch_keeps_content_and_ends_a_miss(journal: Journal) -> None:
    put(journal, 1)
    with journal.turn() as turn:
        turn.miss(PATIENT, [1])
    assert journal.held(PATIENT, [1])[1].missing_since == START
    with journal.turn() as turn:
        turn.touch(PATIENT, [(1, 11, -22), (99, 1, 1)])
    held = journal.held(PATIENT, [1, 99])
    assert held.keys() == {1}
    assert (held[1].hash, held[1].sum48, held[1].xor64) == (content(1), 11, -22)
    assert held[1].missing_since is None
    assert held[1].seen_lsn == journal.lsn


def test_a_row_of_a_turn_still_to_come_is_older_than_any_read(journal: Journal) -> None:
    """A flipped bit there would keep every later read of the record out for good."""
    put(journal, 1, 2)
    journal._writer.execute("UPDATE record SET seen_lsn = seen_lsn | (1 << 39) WHERE key = 2")
    held = journal.held(PATIENT, [1, 2])
    assert (held[1].seen_lsn, held[2].seen_lsn) == (journal.lsn, 0)


def test_miss_keeps_the_first_moment(journal: Journal, clock: HandClock) -> None:
    put(journal, 1, 2)
    later = START + timedelta(seconds=30)
    with journal.turn() as turn:
        turn.miss(PATIENT, [1])
    clock.advance(30.0)
    with journal.turn() as turn:
        turn.miss(PATIENT, [1, 2, 99])
    assert journal.missing(later, 10) == [(PATIENT, 1, START)]
    assert journal.missing(later + timedelta(seconds=1), 10) == [
        (PATIENT, 1, START),
        (PATIENT, 2, later),
    ]
    put(journal, 1)
    assert journal.missing(later, 10) == []


def test_bury_leaves_a_tombstone_with_its_agreed_image(journal: Journal) -> None:
    agree(journal, 1)
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(delete(1)))
        turn.bury(PATIENT, [1, 99], batch.number)
    held = journal.held(PATIENT, [1, 99])
    assert held.keys() == {1}
    assert held[1].gone
    assert (held[1].hash, held[1].agreed, held[1].batch) == (b"", content(1), batch.number)
    assert journal.held_range(PATIENT, None, None) == {}
    assert journal.digest(PATIENT, None, None) == EMPTY_DIGEST
    assert not journal.is_empty(PATIENT, None, None)
    assert journal.max_key(PATIENT) == 1
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
    assert journal.held(PATIENT, [1])[1].agreed == b""
    put(journal, 1)
    assert not journal.held(PATIENT, [1])[1].gone


def test_is_empty_tells_ranges_never_touched(journal: Journal) -> None:
    assert journal.is_empty(PATIENT, None, None)
    assert journal.max_key(PATIENT) is None
    put(journal, 5)
    assert journal.is_empty(PATIENT, 5, None)
    assert not journal.is_empty(PATIENT, 4, 5)


def test_seeing_the_same_content_again_leaves_its_batch(journal: Journal) -> None:
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(upsert(1)))
        turn.see(PATIENT, [seen(1)], batch.number)
    put(journal, 1)
    assert journal.held(PATIENT, [1])[1].batch == batch.number
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(1, 2)], None)
    assert journal.held(PATIENT, [1])[1].batch is None
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
    # The CRM holds version 1; what is here is newer and still has to go.
    assert journal.held(PATIENT, [1])[1].agreed == content(1, 1)


def test_canon_is_sealed_and_tied_to_its_row(journal: Journal) -> None:
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(1, canon=b'{"first":"Ada"}'), seen(2)], None)
    assert journal.content(PATIENT, 1) == b'{"first":"Ada"}'
    assert journal.content(PATIENT, 2) is None
    journal.close()
    raw = journal.path.read_bytes()
    assert b"Ada" not in raw
    assert b"canon" in raw  # the file was really looked at


def test_a_parked_record_is_in_quarantine_until_released(
    journal: Journal, clock: HandClock
) -> None:
    put(journal, 1)
    due = START + timedelta(seconds=25)
    with journal.turn() as turn:
        turn.park(PATIENT, 1, ParkClass.VALIDATION, "E_NAME", content(1), due)
        turn.park(PATIENT, 500, ParkClass.DECODE, "bad_text", b"", due)
    assert journal.held(PATIENT, [1])[1].parked
    assert {p.key: (p.why, p.tries) for p in journal.parked(9)} == {
        1: (ParkClass.VALIDATION, 1),
        500: (ParkClass.DECODE, 1),
    }
    assert journal.due_parked(START, 9) == []
    assert [p.key for p in journal.due_parked(due, 1)] == [1]
    assert [p.key for p in journal.due_parked(due, 1, [PATIENT])] == [1]
    assert journal.due_parked(due, 1, [Stream.APPOINTMENT]) == journal.due_parked(due, 1, []) == []
    clock.advance(30)
    later = due + timedelta(minutes=1)
    with journal.turn() as turn:
        turn.park(PATIENT, 1, ParkClass.VALIDATION, "E_NAME", content(1), later)
    parked = journal.parked(9)[0]
    assert (parked.tries, parked.since, parked.due_at) == (2, START, later)
    with journal.turn() as turn:
        turn.park(PATIENT, 1, ParkClass.TOO_BIG, "bytes", content(1, 2), later)
    assert journal.parked(9)[0].tries == 1  # other content: a new case
    assert journal.numbers(START).parked == 2
    with journal.turn() as turn:
        turn.forget_parked(PATIENT, [1, 2])
        turn.forget_parked(PATIENT, [])
    assert not journal.held(PATIENT, [1])[1].parked
    assert journal.numbers(START).parked == 1


def test_links_and_merges(journal: Journal) -> None:
    put(journal, 1, 2)
    with journal.turn() as turn:
        turn.link(PATIENT, 1, "c-1")
        turn.link(PATIENT, 2, "c-2")
        turn.link(Stream.RECALL, 1, "c-1")
    assert journal.cloud_id(PATIENT, 1) == "c-1"
    assert journal.linked_key(PATIENT, "c-2") == 2
    assert journal.linked_key(PATIENT, "c-9") is None
    with journal.turn() as turn:
        turn.merge(PATIENT, 2, 1)
    assert journal.cloud_id(PATIENT, 2) == "c-1"
    assert journal.linked_key(PATIENT, "c-2") == 1
    with pytest.raises(JournalError), journal.turn() as turn:
        turn.link(PATIENT, 3, "c-1")  # one id names one record


def test_prune_drops_only_what_no_open_work_names(journal: Journal) -> None:
    agree(journal, 1, 2, 3, 4, 5)
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(delete(1), delete(2), delete(3), delete(5)))
        turn.bury(PATIENT, [1, 2, 3, 5], batch.number)
    with journal.turn() as turn:
        turn.settle(batch, batch.operations)
        turn.park(PATIENT, 2, ParkClass.UNKNOWN_OUTCOME, "?", b"", START)
        turn.bury(PATIENT, [4], None)  # gone here, the CRM was never told
    with journal.turn() as turn:
        again = turn.enqueue(outgoing(delete(3)))
    with journal.turn() as turn:
        turn.open_conflict(
            PATIENT, 5, "f", ConflictKind.EDIT_DELETE, "manual", base="a", pms=None, crm="b",
            result=None, winner=None, auto=False, actor="agent", command_id=None,
        )  # fmt: skip
    with journal.turn() as turn:
        turn.prune(tombstones_before=START + timedelta(days=1))
    left = {key for (key,) in query(journal, "SELECT key FROM record")}
    assert left == {2, 3, 4, 5}
    assert again.number == journal.held(PATIENT, [3])[3].batch


def test_prune_keeps_young_tombstones(journal: Journal) -> None:
    agree(journal, 1)
    with journal.turn() as turn:
        batch = turn.enqueue(outgoing(delete(1)))
        turn.bury(PATIENT, [1], batch.number)
        turn.settle(batch, batch.operations)
    with journal.turn() as turn:
        turn.prune(tombstones_before=START)
    assert journal.held(PATIENT, [1])[1].gone


def test_buckets_hold_what_both_sides_agreed_on(journal: Journal) -> None:
    agree(journal, *range(1, 40))
    with journal.turn() as turn:
        turn.see(PATIENT, [seen(40)], None)  # never agreed
        batch = turn.enqueue(outgoing(upsert(1, 2), delete(2)))
        turn.see(PATIENT, [seen(1, 2)], batch.number)  # waiting
        turn.bury(PATIENT, [2], batch.number)
    digests = {d.bucket: d for d in journal.bucket_digests(PATIENT)}
    listed = {b: journal.buckets(PATIENT, {b}) for b in range(256)}
    assert {key for rows in listed.values() for key in rows} == {str(k) for k in range(3, 40)}
    assert listed[next(b for b, rows in listed.items() if "3" in rows)]["3"] == content(3).hex()
    for number, rows in listed.items():
        if not rows:
            assert number not in digests
            continue
        hashes = [bytes.fromhex(text) for text in rows.values()]
        assert digests[number].count == len(rows)
        assert digests[number].sum48 == sum(int.from_bytes(h[:6], "big") for h in hashes)
        assert digests[number].xor64 == reduce(
            xor, (int.from_bytes(h[8:], "big", signed=True) for h in hashes)
        )
