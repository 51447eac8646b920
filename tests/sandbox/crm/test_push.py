"""Pushing: what every outcome means, and that nothing is ever taken twice."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import threading
import uuid
from contextlib import closing
from typing import Any

import apsw
import pytest

from agent.sandbox.crm import CrmServer, Fault, FaultKind
from tests.sandbox.crm.desk import Desk, content_hash, uuid7

LEE = {"key": "1", "last_name": "Lee", "first_name": "Ana"}
VISIT = {"key": "1", "patient_key": "1", "start": "2026-11-20T15:00:00Z"}


def problem(answer: Any) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


def held(desk: Desk, type_name: str, key: str) -> dict[str, Any]:
    answer = desk.http.get(f"/v1/records/{type_name}/{key}")
    assert answer.status_code == 200
    record: dict[str, Any] = answer.json()
    return record


def effects(desk: Desk, type_name: str, key: str) -> list[tuple[str, str, int]]:
    listed = desk.http.get(f"/v1/records/{type_name}/{key}/history").json()["effects"]
    return [(e["event_id"], e["op"], e["version"]) for e in listed]


def test_an_upsert_is_stored_byte_for_byte(desk: Desk, server: CrmServer) -> None:
    content = LEE | {"note": 'quoted "é" \u2028 and 😀', "empty": "", "n": 1.50}
    change = desk.change("patient", "1", content)
    assert desk.outcomes(change) == ["applied"]
    record = held(desk, "patient", "1")
    assert record["data"] == content
    assert record["state"] == "live"
    assert record["content_hash"] == change["content_hash"]
    assert record["event_id"] == change["event_id"]
    with closing(sqlite3.connect(server.db)) as db:
        stored = db.execute("SELECT data FROM records WHERE type='patient'").fetchone()[0]
    assert content_hash(stored.encode()) == change["content_hash"]


def test_the_same_event_is_a_duplicate_even_after_newer_ones(desk: Desk) -> None:
    first = desk.change("patient", "1", LEE)
    second = desk.change("patient", "1", LEE | {"first_name": "Anna"})
    assert desk.outcomes(first, second) == ["applied", "applied"]
    assert desk.outcomes(first, second) == ["duplicate", "duplicate"]
    assert [e[0] for e in effects(desk, "patient", "1")] == [first["event_id"], second["event_id"]]
    assert held(desk, "patient", "1")["data"]["first_name"] == "Anna"


def test_equal_content_changes_nothing_but_remembers_the_version(desk: Desk) -> None:
    old = desk.change("patient", "1", LEE, version=3)
    same = desk.change("patient", "1", LEE, version=7)
    late = desk.change("patient", "1", LEE | {"first_name": "Late"}, version=5)
    assert desk.outcomes(old) == ["applied"]
    assert desk.outcomes(same) == ["unchanged"]
    assert desk.outcomes(late) == ["stale"], "5 is older than 7, which said the same as 3"
    assert len(effects(desk, "patient", "1")) == 1


def test_an_older_version_is_stale_and_says_what_is_held(desk: Desk) -> None:
    desk.push(desk.change("patient", "1", LEE, version=9))
    (result,) = desk.push(desk.change("patient", "1", {"key": "1"}, version=8))
    assert (result["outcome"], result["server_version"]) == ("stale", 9)


def test_a_batch_of_an_earlier_start_that_comes_late_is_old_news(desk: Desk) -> None:
    """Found by the simulation: it overwrote what the agent had sent after its restart."""
    newer = desk.change("patient", "1", LEE | {"first_name": "Newer"}, version=265)
    assert desk.outcomes(newer, epoch=2) == ["applied"]
    late = desk.change("patient", "1", LEE | {"first_name": "Late"}, version=192)
    assert desk.outcomes(late, epoch=1) == ["stale"]
    packed_anew = desk.change("patient", "1", LEE | {"first_name": "Retried"}, version=193)
    assert desk.outcomes(packed_anew, epoch=3) == ["stale"]
    assert held(desk, "patient", "1")["data"]["first_name"] == "Newer"


def test_another_journal_is_judged_by_content(desk: Desk) -> None:
    desk.push(desk.change("patient", "1", LEE, version=100))
    other = uuid.uuid4().hex
    same = desk.change("patient", "1", LEE, version=1)
    assert desk.outcomes(same, journal=other) == ["unchanged"]
    differs = desk.change("patient", "1", LEE | {"first_name": "Anna"}, version=2)
    assert desk.outcomes(differs, journal=other) == ["applied"]
    assert desk.outcomes(differs, journal=other) == ["duplicate"]
    # Back to the first journal: its event of long ago is still known.
    again = desk.change("patient", "1", LEE, version=101)
    assert desk.outcomes(again) == ["applied"]
    assert len(effects(desk, "patient", "1")) == 3


def test_an_event_of_a_lost_journal_is_not_taken_twice(desk: Desk) -> None:
    first = desk.change("patient", "1", LEE, version=1)
    desk.push(first)
    desk.push(desk.change("patient", "1", LEE | {"first_name": "B"}, version=1), epoch=2)
    assert desk.outcomes(first) == ["duplicate"]
    assert held(desk, "patient", "1")["data"]["first_name"] == "B"


def test_deletes_leave_a_tombstone_that_keeps_old_news_out(desk: Desk) -> None:
    desk.push(desk.change("patient", "1", LEE, version=5))
    assert desk.outcomes(desk.change("patient", "1", op="delete", version=6)) == ["applied"]
    assert desk.outcomes(desk.change("patient", "1", op="delete", version=7)) == ["unchanged"]
    assert desk.outcomes(desk.change("patient", "1", LEE, version=4)) == ["stale"]
    gone = held(desk, "patient", "1")
    assert (gone["state"], gone["data"], gone["content_hash"]) == ("deleted", None, None)
    assert desk.outcomes(desk.change("patient", "1", LEE, version=8)) == ["applied"]
    assert held(desk, "patient", "1")["state"] == "live"
    assert [e[1] for e in effects(desk, "patient", "1")] == ["upsert", "delete", "upsert"]


def test_a_delete_of_something_never_seen_still_leaves_a_tombstone(desk: Desk) -> None:
    assert desk.outcomes(desk.change("recall", "5", op="delete", version=3)) == ["applied"]
    assert desk.outcomes(desk.change("recall", "5", {"key": "5"}, version=2)) == ["stale"]


def test_a_child_before_its_parent_is_kept_and_said(desk: Desk) -> None:
    (result,) = desk.push(desk.change("appointment", "1", VISIT))
    assert (result["outcome"], result["reason"]) == ("deferred", "parent-missing:patient")
    assert held(desk, "appointment", "1")["data"] == VISIT
    stub = held(desk, "patient", "1")
    assert (stub["state"], stub["data"], stub["event_id"]) == ("stub", None, None)
    assert effects(desk, "patient", "1") == []
    assert desk.outcomes(desk.change("patient", "1", LEE)) == ["applied"]
    assert len(effects(desk, "patient", "1")) == 1
    assert desk.outcomes(desk.change("appointment", "2", VISIT | {"key": "2"})) == ["applied"]


def test_parent_and_child_in_one_batch_need_no_deferring(desk: Desk) -> None:
    changes = [
        desk.change("recall", "1", {"key": "1", "patient_key": "1"}),
        desk.change("patient", "1", LEE),
        desk.change("appointment", "1", VISIT),
    ]
    assert desk.outcomes(*changes) == ["deferred", "applied", "applied"]
    assert held(desk, "patient", "1")["state"] == "live"


def test_a_merge_points_at_the_survivor(desk: Desk) -> None:
    desk.push(desk.change("patient", "1", LEE), desk.change("patient", "2", {"key": "2"}))
    merge = desk.change("patient", "1", op="merge", merge_into="2")
    assert desk.outcomes(merge) == ["applied"]
    assert desk.outcomes(desk.change("patient", "1", op="merge", merge_into="2")) == ["unchanged"]
    loser = held(desk, "patient", "1")
    assert (loser["state"], loser["merged_into"]) == ("merged", "2")
    (result,) = desk.push(desk.change("patient", "2", op="merge", merge_into="77"))
    assert (result["outcome"], result["reason"]) == ("deferred", "parent-missing:patient")
    assert held(desk, "patient", "77")["state"] == "stub"


def test_the_same_record_many_times_in_one_batch(desk: Desk) -> None:
    changes = [desk.change("patient", "1", LEE | {"n": n}) for n in range(3)]
    changes.append(desk.change("patient", "1", op="delete"))
    changes += [desk.change("patient", "1", LEE | {"n": n}) for n in range(3, 6)]
    changes.append(changes[2])
    assert desk.outcomes(*changes) == ["applied"] * 7 + ["duplicate"]
    assert held(desk, "patient", "1")["data"]["n"] == 5
    assert len(effects(desk, "patient", "1")) == 7


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"type": "widget"}, "unknown-type"),
        ({"content_hash": "0" * 32}, "hash-mismatch"),
        ({"content_hash": ""}, "hash-mismatch"),
        ({"event_id": "xyz"}, "invalid-item"),
        ({"event_id": 7}, "invalid-item"),
        ({"key": ""}, "invalid-item"),
        ({"key": "k" * 201}, "invalid-item"),
        ({"op": "explode"}, "invalid-item"),
        ({"version": -1}, "invalid-item"),
        ({"version": "1"}, "invalid-item"),
        ({"data": [1]}, "invalid-item"),
        ({"data": None}, "invalid-item"),
        ({"op": "merge", "merge_into": "1"}, "invalid-item"),
        ({"op": "merge"}, "invalid-item"),
    ],
)
def test_one_bad_item_is_rejected_and_stops_nothing(
    desk: Desk, bad: dict[str, Any], reason: str
) -> None:
    changes = [
        desk.change("patient", "7", {"key": "7"}),
        desk.change("patient", "1", LEE) | bad,
        desk.change("patient", "8", {"key": "8"}),
    ]
    first, second, third = desk.push(*changes)
    assert (first["outcome"], third["outcome"]) == ("applied", "applied")
    assert (second["outcome"], second["reason"]) == ("rejected", reason)
    listed = desk.http.get("/v1/sync/rejects").json()
    assert (listed["open"], listed["rejects"][0]["id"]) == (1, second["reject_id"])
    assert listed["rejects"][0]["reason"] == reason


@pytest.mark.parametrize("junk", [17, None, "text", [], {}, {"event_id": "a" * 32}])
def test_things_that_are_no_change_at_all(desk: Desk, junk: Any) -> None:
    result, good = desk.push(junk, desk.change("patient", "1", LEE))
    assert (result["outcome"], good["outcome"]) == ("rejected", "applied")
    assert result["event_id"] == (junk.get("event_id") if isinstance(junk, dict) else None)


def test_the_same_item_refused_twice_is_one_reject(desk: Desk) -> None:
    bad = desk.change("patient", "1", LEE, content_hash="0" * 32)
    ids = {desk.push(bad)[0]["reject_id"] for _ in range(3)}
    assert len(ids) == 1
    assert desk.http.get("/v1/sync/rejects").json()["open"] == 1


def test_a_newer_state_resolves_the_reject(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(Fault(FaultKind.ITEM, type="patient", key="1"))
    desk.push(desk.change("patient", "1", LEE))
    assert desk.http.get("/v1/sync/status").json()["rejects_open"] == 1
    desk.push(desk.change("patient", "1", LEE | {"first_name": "Anna"}))
    assert desk.http.get("/v1/sync/status").json()["rejects_open"] == 0
    resolved = desk.http.get("/v1/sync/rejects?state=resolved").json()["rejects"]
    assert [r["state"] for r in resolved] == ["resolved"]


def test_a_reject_can_be_tried_again(desk: Desk, server: CrmServer) -> None:
    server.faults.arm(Fault(FaultKind.ITEM, type="patient", key="1", reason="policy"))
    change = desk.change("patient", "1", LEE)
    (result,) = desk.push(change)
    number = result["reject_id"]
    again = desk.http.post(f"/v1/sync/rejects/{number}/retry").json()
    assert (again["outcome"], again["event_id"]) == ("applied", change["event_id"])
    assert held(desk, "patient", "1")["data"] == LEE
    assert desk.http.post(f"/v1/sync/rejects/{number}/retry").json()["outcome"] == "duplicate"
    assert len(effects(desk, "patient", "1")) == 1
    assert desk.http.post("/v1/sync/rejects/999/retry").status_code == 404
    assert desk.outcomes(change) == ["duplicate"], "the agent may send it again as well"


def test_a_retry_that_fails_again_stays_open(desk: Desk) -> None:
    (result,) = desk.push(desk.change("patient", "1", LEE, content_hash="0" * 32))
    again = desk.http.post(f"/v1/sync/rejects/{result['reject_id']}/retry").json()
    assert (again["outcome"], again["reason"]) == ("rejected", "hash-mismatch")
    assert desk.http.get("/v1/sync/rejects").json()["open"] == 1


def test_a_replay_gets_the_remembered_answer(desk: Desk) -> None:
    batch_id = uuid7()
    body = desk.body([desk.change("patient", "1", LEE), 17], batch_id)
    first = desk.send(body, batch_id)
    second = desk.send(body, f'"{batch_id}"')
    assert first.json() == second.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    plain_id = uuid7()
    plain = desk.body([desk.change("patient", str(n), {"n": n}) for n in range(5)], plain_id)
    assert desk.send(plain, plain_id).json() == desk.send(plain, plain_id).json()
    assert len(effects(desk, "patient", "1")) == 2


def test_a_key_used_with_another_body_is_refused(desk: Desk) -> None:
    batch_id = uuid7()
    assert desk.send(desk.body([], batch_id), batch_id).status_code == 200
    body = desk.body([desk.change("patient", "1", LEE)], batch_id)
    answer = desk.send(body, batch_id)
    assert (answer.status_code, problem(answer)) == (422, "idempotency-reused")
    assert desk.http.get("/v1/records/patient/1").status_code == 404


def test_the_same_request_at_the_same_time_is_in_flight(desk: Desk, server: CrmServer) -> None:
    batch_id = uuid7()
    body = desk.body([desk.change("patient", "1", LEE)], batch_id)
    half_sent, go_on = threading.Event(), threading.Event()

    def slowly() -> Any:
        yield body[:50]
        half_sent.set()
        assert go_on.wait(10)
        yield body[50:]

    answers: list[int] = []
    headers = {"Content-Type": "application/json", "Idempotency-Key": batch_id}
    slow = threading.Thread(
        target=lambda: answers.append(
            desk.http.post("/v1/sync/push", content=slowly(), headers=headers).status_code
        )
    )
    slow.start()
    assert half_sent.wait(10)
    # The server has the headers once it has read the first half; ask until it says so.
    answer = desk.send(b"{}", batch_id)
    for _ in range(200):
        if answer.status_code == 409:
            break
        answer = desk.send(b"{}", batch_id)
    go_on.set()
    slow.join(10)
    assert (answer.status_code, problem(answer)) == (409, "idempotency-in-flight")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answers == [200]
    assert len(effects(desk, "patient", "1")) == 1


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"{", 400, "invalid-json"),
        (b"\xff\xfe", 400, "invalid-json"),
        (b"[]", 400, "invalid-request"),
        (b'{"contract":"1"}', 400, "invalid-request"),
    ],
)
def test_bodies_that_are_wrong_as_a_whole(desk: Desk, body: bytes, status: int, name: str) -> None:
    answer = desk.send(body, uuid7())
    assert (answer.status_code, problem(answer)) == (status, name)


@pytest.mark.parametrize(
    ("source", "status", "name"),
    [
        ({"practice": "other"}, 403, "wrong-practice"),
        ({"journal": ""}, 400, "invalid-request"),
        ({"journal": "white space"}, 400, "invalid-request"),
        ({"epoch": -1}, 400, "invalid-request"),
        ({"epoch": "1"}, 400, "invalid-request"),
        ({"practice": ""}, 400, "invalid-request"),
    ],
)
def test_the_source_must_be_right(
    desk: Desk, source: dict[str, Any], status: int, name: str
) -> None:
    batch_id = uuid7()
    answer = desk.send(desk.body([desk.change("patient", "1", LEE)], batch_id, **source), batch_id)
    assert (answer.status_code, problem(answer)) == (status, name)
    assert desk.http.get("/v1/records/patient/1").status_code == 404


def test_headers_and_sizes(desk: Desk) -> None:
    body = desk.body([], uuid7())
    for key in ("", "short", "with space in it", "x" * 129):
        answer = desk.send(body, key)
        assert (answer.status_code, problem(answer)) == (400, "missing-idempotency-key")
    answer = desk.send(body, uuid7(), headers={"Content-Type": "text/plain"})
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")
    answer = desk.send(body, uuid7(), headers={"Content-Encoding": "br"})
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")
    many = desk.body([desk.change("patient", str(n), {}) for n in range(1001)], uuid7())
    answer = desk.send(many, uuid7())
    assert (answer.status_code, problem(answer)) == (413, "payload-too-large")
    assert answer.json()["max_items"] == 1000
    answer = desk.send(b" " * 4_000_001, uuid7())
    assert (answer.status_code, answer.json()["max_body_bytes"]) == (413, 4_000_000)
    other = desk.body([], uuid7()).replace(b'"contract":"1"', b'"contract":"2"')
    assert problem(desk.send(other, uuid7())) == "contract-unsupported"


def test_gzip_bombs_and_broken_gzip(desk: Desk) -> None:
    zipped = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 40_000_000)
    assert len(bomb) < 100_000
    assert desk.send(bomb, uuid7(), headers=zipped).status_code == 413
    whole = gzip.compress(desk.body([], uuid7()))
    for broken in (b"not gzip", whole[:-5], whole + b"more", whole + whole):
        answer = desk.send(broken, uuid7(), headers=zipped)
        assert (answer.status_code, problem(answer)) == (400, "invalid-json")
    assert desk.send(whole, uuid7(), headers=zipped).status_code == 200


def test_a_full_batch_compressed(desk: Desk) -> None:
    changes = [desk.change("patient", str(n), LEE | {"key": str(n)}) for n in range(1000)]
    results = desk.push(*changes, zipped=True)
    assert [r["event_id"] for r in results] == [c["event_id"] for c in changes]
    assert {r["outcome"] for r in results} == {"applied"}
    counts = desk.http.get("/v1/sync/status").json()["types"]
    assert counts["patient"]["count"] == 1000


def test_nothing_of_a_request_stays_when_its_commit_fails(
    desk: Desk, server: CrmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.push(desk.change("patient", "1", LEE))
    before = server.core.intake.ack_seq
    broken = desk.change("patient", "2", {"key": "2"})

    def fail(*_: object) -> None:
        raise apsw.FullError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(server.core.intake._telling, "after", fail)
        batch_id = uuid7()
        answer = desk.send(desk.body([broken], batch_id), batch_id)
        assert (answer.status_code, problem(answer)) == (503, "temporary-reduced-capacity")
        assert answer.headers["Retry-After"] == "5"
    assert server.core.intake.ack_seq == before
    assert desk.http.get("/v1/records/patient/2").status_code == 404
    assert desk.outcomes(broken) == ["applied"]


def test_any_order_of_any_resends_ends_in_the_same_state(desk: Desk, server: CrmServer) -> None:
    """Changes delivered in torn batches, twice and out of order: one truth, no repeats."""
    rng = random.Random(4)
    changes = []
    for n in range(400):
        key = str(rng.randrange(40))
        if rng.random() < 0.1:
            changes.append(desk.change("recall", key, op="delete"))
        else:
            changes.append(desk.change("recall", key, {"key": key, "n": n % 7}))
    sent: list[dict[str, Any]] = []
    while len(sent) < len(changes):
        batch = changes[len(sent) : len(sent) + rng.randrange(1, 60)]
        again = rng.sample(sent, min(len(sent), rng.randrange(30)))
        sent += batch
        results = desk.push(*again, *batch)
        assert {r["outcome"] for r in results} <= {"applied", "unchanged", "duplicate", "stale"}
    rng.shuffle(sent)
    assert not {"applied", "deferred"} & {r["outcome"] for r in desk.push(*sent)}
    truth: dict[str, Any] = {}
    for change in changes:
        truth[change["key"]] = change.get("data")
    with closing(sqlite3.connect(server.db)) as db:
        rows = dict(db.execute("SELECT key, data FROM records WHERE type='recall'").fetchall())
        assert {k: json.loads(v) if v else None for k, v in rows.items()} == truth
        twice = db.execute(
            "SELECT event_id FROM effects GROUP BY event_id HAVING count(*) > 1"
        ).fetchall()
        assert twice == []
        back = db.execute(
            "SELECT count(*) FROM (SELECT version < lag(version) OVER (PARTITION BY rid ORDER BY"
            " seq) AS older FROM effects) WHERE older"
        ).fetchone()
        assert back == (0,)


def test_rate_headers_and_the_quota(desk: Desk, server: CrmServer) -> None:
    batch_id = uuid7()
    answer = desk.send(desk.body([], batch_id), batch_id)
    assert answer.headers["RateLimit-Policy"] == '"push";q=60000;w=60'
    assert answer.headers["RateLimit"].startswith('"push";r=59999;t=')


def test_latency_is_stored_in_microseconds(desk: Desk, server: CrmServer) -> None:
    desk.push(desk.change("patient", "1", LEE))
    with closing(sqlite3.connect(server.db)) as db:
        at_us, made_us = db.execute("SELECT at_us, made_us FROM activity").fetchone()
        arrived_us = db.execute("SELECT arrived_us FROM records").fetchone()[0]
    assert arrived_us == at_us
    assert 0 <= at_us - made_us < 5_000_000
