"""Digests and diff: what the CRM says it holds is what it holds."""

from __future__ import annotations

import hashlib
import random
from contextlib import closing

from agent.sandbox.crm import CrmServer
from agent.sandbox.crm.digests import recompute
from agent.sandbox.crm.schema import TYPE_ID, connect
from agent.sandbox.crm.work import bucket_of
from tests.sandbox.crm.desk import Desk, canon, content_hash


def test_digests_follow_the_definition(desk: Desk) -> None:
    hashes = {}
    changes = []
    for n in range(300):
        content = {"key": str(n), "n": n}
        hashes[str(n)] = content_hash(canon(content))
        changes.append(desk.change("patient", str(n), content))
    desk.push(*changes)
    expected = [[0, 0, 0] for _ in range(256)]
    for key, digest in hashes.items():
        raw = bytes.fromhex(digest)
        entry = expected[hashlib.sha256(key.encode()).digest()[0]]
        entry[0] += 1
        entry[1] += int.from_bytes(raw[:6], "big")
        entry[2] ^= int.from_bytes(raw[-8:], "big", signed=True)
    answer = desk.http.get("/v1/sync/digests?type=patient").json()
    assert [b["bucket"] for b in answer["buckets"]] == list(range(256))
    assert [[b["count"], b["sum48"], b["xor64"]] for b in answer["buckets"]] == expected
    listed: dict[str, str] = {}
    for bucket in range(256):
        listed |= desk.http.get(f"/v1/sync/digests/patient/{bucket}").json()
    assert listed == hashes


def test_digests_stay_true_through_every_kind_of_change(desk: Desk, server: CrmServer) -> None:
    rng = random.Random(9)
    for _ in range(12):
        changes = []
        for _ in range(rng.randrange(1, 80)):
            key = str(rng.randrange(60))
            kind = rng.choice(("patient", "recall", "appointment"))
            roll = rng.random()
            if roll < 0.15:
                changes.append(desk.change(kind, key, op="delete"))
            elif roll < 0.2:
                changes.append(desk.change(kind, key, op="merge", merge_into=f"s{key}"))
            else:
                content = {"patient_key": str(rng.randrange(90)), "n": rng.randrange(5)}
                changes.append(desk.change(kind, key, content))
        desk.push(*changes)
    with closing(connect(server.db, read_only=True)) as store:
        derived = recompute(store)
        for kind in ("patient", "recall", "appointment"):
            told = desk.http.get(f"/v1/sync/digests?type={kind}").json()["buckets"]
            assert sum(b["count"] for b in told) > 0
            for b in told:
                true = derived.get((TYPE_ID[kind], b["bucket"]), (0, 0, 0))
                assert (b["count"], b["sum48"], b["xor64"]) == true


def test_tombstones_and_stubs_do_not_count(desk: Desk) -> None:
    desk.push(desk.change("recall", "1", {"patient_key": "5"}))  # leaves a stub of patient 5
    desk.push(desk.change("patient", "6", {}), desk.change("patient", "6", op="delete"))
    for bucket in desk.http.get("/v1/sync/digests?type=patient").json()["buckets"]:
        assert (bucket["count"], bucket["sum48"], bucket["xor64"]) == (0, 0, 0)


def test_digests_survive_a_restart(desk: Desk, server: CrmServer) -> None:
    desk.push(*[desk.change("patient", str(n), {"n": n}) for n in range(50)])
    before = desk.http.get("/v1/sync/digests?type=patient").json()
    server.core.intake.digests.reload()
    assert desk.http.get("/v1/sync/digests?type=patient").json() == before


def test_what_was_changed_behind_the_door_shows_by_content_alone(
    desk: Desk, server: CrmServer
) -> None:
    desk.push(*[desk.change("recall", str(n), {"n": n}) for n in range(40)])
    kept = desk.http.get("/v1/sync/digests?type=recall").json()
    assert kept["basis"] == "kept"
    told = desk.http.get("/v1/sync/digests?type=recall&basis=content").json()
    assert (told["basis"], told["buckets"]) == ("content", kept["buckets"])
    with closing(connect(server.db)) as store, store:
        store.execute("DELETE FROM record WHERE type = ? AND key = '3'", (TYPE_ID["recall"],))
        store.execute(
            "UPDATE body SET json = '{}' WHERE rid ="
            " (SELECT rid FROM record WHERE type = ? AND key = '7')",
            (TYPE_ID["recall"],),
        )
        store.execute(
            "UPDATE record SET bucket = bucket + 1 WHERE type = ? AND key = '9'",
            (TYPE_ID["recall"],),
        )
    assert desk.http.get("/v1/sync/digests?type=recall").json() == kept
    told = desk.http.get("/v1/sync/digests?type=recall&basis=content").json()
    assert sum(b["count"] for b in told["buckets"]) == 39
    assert desk.http.get("/v1/sync/digests?type=recall").json()["buckets"] == told["buckets"]
    bucket = bucket_of("7")
    listed = desk.http.get(f"/v1/sync/digests/recall/{bucket}").json()
    assert listed["7"] == content_hash(b"{}")
    assert "9" in desk.http.get(f"/v1/sync/digests/recall/{bucket_of('9')}").json()
    assert desk.http.get("/v1/sync/digests?type=recall&basis=guess").status_code == 400
    with closing(connect(server.db, read_only=True)) as store:
        derived = recompute(store)
    for b in told["buckets"]:
        true = derived.get((TYPE_ID["recall"], b["bucket"]), (0, 0, 0))
        assert (b["count"], b["sum48"], b["xor64"]) == true
    again = desk.outcomes(
        desk.change("recall", "7", {"n": 7}), desk.change("recall", "3", {"n": 3})
    )
    assert again == ["applied", "applied"]


def test_wrong_types_and_buckets(desk: Desk) -> None:
    assert desk.http.get("/v1/sync/digests?type=widget").status_code == 400
    assert desk.http.get("/v1/sync/digests").status_code == 400
    for bucket in ("256", "-1", "x", "1.5", "٣"):
        assert desk.http.get(f"/v1/sync/digests/patient/{bucket}").status_code == 400


def test_diff_names_only_what_differs(desk: Desk) -> None:
    held = desk.change("patient", "1", {"a": 1})
    desk.push(held, desk.change("patient", "2", {}), desk.change("patient", "2", op="delete"))
    desk.push(desk.change("recall", "1", {"patient_key": "3"}))
    asked = [("1", held["content_hash"]), ("1", "0" * 32), ("2", "0" * 32), ("3", "0" * 32)]
    items = [{"type": "patient", "key": key, "hash": digest} for key, digest in asked]
    answer = desk.http.post("/v1/sync/diff", json={"items": items}).json()
    assert answer["checked"] == 4
    assert [(i["key"], i["state"]) for i in answer["items"]] == [
        ("1", "different"),
        ("2", "deleted"),
        ("3", "missing"),
    ]
    many = {"items": [items[0]] * 2001}
    assert desk.http.post("/v1/sync/diff", json=many).status_code == 400
