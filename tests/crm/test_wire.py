"""Batches to bytes and back: exactness, determinism, agreement with the contract, speed."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.crm.wire import Origin, Packer, gunzip
from agent.errors import CrmError
from agent.model.streams import Stream
from agent.model.writing import Change, Heartbeat, Verb
from tests.crm.made import make_appointments, make_change

ORIGIN = Origin("0.1.0", "0c9e3c0e6f8b4c1f9a4d2b7e5f6a7b8c", 1, "demo", "opendental", "21.1.9.0")
CONTRACT = Path(__file__).parents[2] / "assets" / "openapi" / "crm-sync.yaml"

keys = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(min_size=1, max_size=40))
fields = st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4)


def validator(name: str) -> Draft202012Validator:
    document = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    schema = document["components"]["schemas"][name]
    return Draft202012Validator({**schema, "components": document["components"]})


@st.composite
def changes(draw: st.DrawFn) -> Change:
    verb = draw(st.sampled_from(list(Verb)))
    canon = b"" if verb is Verb.DELETE else msgspec.json.encode(draw(fields))
    return Change(
        op_id=draw(st.binary(min_size=16, max_size=16)),
        stream=draw(st.sampled_from(list(Stream))),
        key=draw(keys),
        verb=verb,
        version=draw(st.integers(0, 2**53 - 1)),
        content_hash=hashlib.sha256(canon).digest()[:16] if canon else b"",
        canon=canon,
        merge_into=draw(keys) if verb is Verb.MERGE else None,
    )


# Building Hypothesis's table of characters the first time counts as slow generation.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(changes(), max_size=5))
def test_unpack_is_the_inverse_of_pack(batch: list[Change]) -> None:
    packer = Packer()
    body = packer.pack("batch-0001", ORIGIN, batch)
    back = packer.unpack(body)
    assert [(str(c.key), str(c.merge_into)) for c in back] == [
        (str(c.key), str(c.merge_into)) for c in batch
    ]
    same = [msgspec.structs.replace(c, key=0, merge_into=None) for c in batch]
    assert [msgspec.structs.replace(c, key=0, merge_into=None) for c in back] == same
    assert packer.event_ids(body) == ("batch-0001", [c.op_id.hex() for c in batch])
    assert packer.pack("batch-0001", ORIGIN, back) == body


def test_integer_keys_come_back_as_integers_and_others_as_text() -> None:
    packer = Packer()
    given_keys: list[int | str] = [7, -7, 2**63 - 1, "A-7", "007", "-0", "", "٣"]
    batch = [msgspec.structs.replace(make_change(1), key=key) for key in given_keys]
    assert [c.key for c in packer.unpack(packer.pack("batch-0001", ORIGIN, batch))] == given_keys


def test_the_record_leaves_byte_for_byte_as_it_was_hashed() -> None:
    canon = b'{"z": 1.50,  "a":"\\u00e9"}'  # spacing, order and escapes an encoder would not make
    change = msgspec.structs.replace(make_change(1), canon=canon)
    raw = gunzip(Packer().pack("batch-0001", ORIGIN, [change]))
    assert b'"data":' + canon + b"}" in raw


def test_the_same_input_gives_the_same_bytes() -> None:
    batch = make_appointments(50)
    bodies = set()
    for _ in range(3):
        bodies.add(Packer().pack("batch-0001", ORIGIN, batch))
        time.sleep(0.4)  # over a second in all: a gzip header with the time would differ
    assert len(bodies) == 1
    assert gzip.decompress(bodies.pop())


def test_batches_follow_the_contract() -> None:
    batch = [
        make_change(1),
        make_change(2, verb=Verb.DELETE),
        make_change(3, verb=Verb.MERGE),
        *make_appointments(3),
    ]
    sent = json.loads(gunzip(Packer().pack("batch-0001", ORIGIN, batch)))
    assert not list(validator("PushRequest").iter_errors(sent))
    one = validator("Change")
    assert not [error for item in sent["changes"] for error in one.iter_errors(item)]
    assert "data" not in sent["changes"][1]
    assert sent["changes"][2]["merge_into"] == "4"


def test_heartbeats_follow_the_contract() -> None:
    beat = Heartbeat("0.1.0", "opendental", "21.1", "j" * 32, 1, None, None, None, None, 0, 0, 0)
    sent: dict[str, Any] = json.loads(msgspec.json.encode(beat))
    assert not list(validator("Heartbeat").iter_errors(sent))


def test_a_damaged_body_is_an_error_of_ours() -> None:
    packer = Packer()
    body = packer.pack("batch-0001", ORIGIN, make_appointments(5))
    for damaged in (body[:-9], b"", b"junk", zlib.compress(b"{}", 1, 31)):
        with pytest.raises(CrmError) as caught:
            packer.unpack(damaged)
        assert caught.value.code == "crm.body_damaged"
        with pytest.raises(CrmError):
            packer.event_ids(damaged)


@pytest.mark.bench
def test_packing_speed() -> None:
    packer, batch = Packer(), make_appointments(1000)
    best_s = min(_timed(packer, batch) for _ in range(20))
    body = packer.pack("batch-0001", ORIGIN, batch)
    print(f"pack: {1000 / best_s:,.0f} changes/s, {len(body) / 1000:.0f} bytes/change on the wire")
    assert 1000 / best_s > 100_000


def _timed(packer: Packer, batch: list[Change]) -> float:
    began = time.perf_counter()
    packer.pack("batch-0001", ORIGIN, batch)
    return time.perf_counter() - began
