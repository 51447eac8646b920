"""The planner derives work from trees alone."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.journal.rows import Held
from agent.model.streams import Stream
from agent.model.writing import Verb
from agent.sync.plan import (
    absent_keys,
    make_changes,
    make_deletions,
    operation_prefix,
    plan_page,
    split_by_size,
)
from agent.sync.streammap import Observation


def Row(  # noqa: N802 - reads as the record it makes
    key: int, content: bytes, sum48: int = 1, xor64: int = 2, canon: bytes = b"{}"
) -> Observation:
    return Observation(key, sum48, xor64, canon, content)


def held(
    content: bytes,
    *,
    lsn: int = 5,
    gone: bool = False,
    parked: bool = False,
    missing: bool = False,
    sum48: int = 1,
) -> Held:
    since = datetime(2026, 1, 2, tzinfo=UTC) if missing else None
    return Held(content, sum48, 2, lsn, content, None, since, gone, parked)


def test_everything_is_new_to_an_empty_mirror() -> None:
    rows = [Row(1, b"a"), Row(2, b"b")]
    plan = plan_page(rows, {}, read_lsn=0)
    assert list(plan.changed) == rows
    assert plan.created == 2


def test_same_content_is_no_change_and_a_stamp_storm_pushes_nothing() -> None:
    plan = plan_page([Row(1, b"a", sum48=9)], {1: held(b"a")}, read_lsn=9)
    assert not plan.changed
    assert plan.touched == [(1, 9, 2)]


def test_equal_row_costs_nothing_at_all() -> None:
    plan = plan_page([Row(1, b"a"), Row(2, b"b")], {1: held(b"a"), 2: held(b"x")}, read_lsn=9)
    assert [row.key for row in plan.changed] == [2]
    assert not plan.touched
    assert (plan.updated, plan.unchanged) == (1, 1)


def test_a_read_that_began_before_a_newer_commit_never_wins() -> None:
    plan = plan_page([Row(1, b"old")], {1: held(b"new", lsn=8)}, read_lsn=7)
    assert not plan.changed
    assert plan.overtaken == 1


def test_reappearance_of_the_missing_and_of_the_buried() -> None:
    plan = plan_page(
        [Row(1, b"a"), Row(2, b"b")],
        {1: held(b"a", missing=True), 2: held(b"", gone=True)},
        read_lsn=9,
    )
    assert plan.touched == [(1, 1, 2)]
    assert [row.key for row in plan.changed] == [2]


def test_parked_record_is_released_only_by_other_content() -> None:
    same = plan_page([Row(1, b"a")], {1: held(b"a", parked=True)}, read_lsn=9)
    moved = plan_page([Row(1, b"b")], {1: held(b"a", parked=True)}, read_lsn=9)
    assert not same.changed
    assert not same.released
    assert moved.released == [1]


def test_force_sends_equal_content_again() -> None:
    assert plan_page([Row(1, b"a")], {1: held(b"a")}, read_lsn=9, force=True).updated == 1


def test_absent_means_held_present_and_not_reread_meanwhile() -> None:
    mirror = {1: held(b"a"), 2: held(b"b", gone=True), 3: held(b"c", lsn=99), 4: held(b"d")}
    assert absent_keys([1, 2, 3, 4, 5], [4], mirror, read_lsn=9) == [1]


def test_operation_ids_are_stable_and_never_shared() -> None:
    prefix = operation_prefix("j", Stream.PATIENT, 7)
    assert prefix == operation_prefix("j", Stream.PATIENT, 7)
    assert prefix != operation_prefix("j", Stream.PATIENT, 8)
    assert prefix != operation_prefix("j", Stream.RECALL, 7)
    rows = [Row(1, b"a"), Row(2, b"b")]
    changes = make_changes(Stream.PATIENT, rows, prefix=prefix, lsn=7)
    gone = make_deletions(Stream.PATIENT, [3], prefix=prefix, lsn=7, first=len(changes))
    assert len({c.op_id for c in (*changes, *gone)}) == 3
    assert gone[0].verb is Verb.DELETE


@given(
    st.lists(st.integers(0, 3000), max_size=60),
    st.integers(1, 20),
    st.integers(200, 5000),
)
def test_split_keeps_order_and_obeys_both_limits(
    sizes: list[int], max_items: int, max_bytes: int
) -> None:
    rows = [Row(n, b"h", canon=b"x" * size) for n, size in enumerate(sizes)]
    changes = make_changes(Stream.PATIENT, rows, prefix=b"12345678", lsn=1)
    parts = split_by_size(changes, max_items=max_items, max_bytes=max_bytes)
    assert [c for part in parts for c in part] == changes
    for part in parts:
        assert 0 < len(part) <= max_items
        assert len(part) == 1 or sum(len(c.canon) + 160 for c in part) <= max_bytes
