"""An offer is believed by its signature alone: nothing in it is looked at before."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from agent.errors import UpdateError
from agent.runtime.updates.seal import MOST_BYTES, PREFIX, build_source, open_seal
from installer.release import UpdateKey, offer_of, source_file, update_key


@pytest.fixture
def key(tmp_path: Path) -> UpdateKey:
    return update_key(tmp_path / "update.pem")


@pytest.fixture
def offer(tmp_path: Path) -> str:
    msi = tmp_path / "Bridgework-1.2.3.msi"
    msi.write_bytes(b"an installer")
    return offer_of(msi, "1.2.3", "https://updates.example/files/")


def public(*keys: UpdateKey) -> list[object]:
    return [key.private.public_key() for key in keys]


def why(raw: bytes, *keys: UpdateKey) -> object:
    with pytest.raises(UpdateError) as caught:
        open_seal(raw, public(*keys))  # type: ignore[arg-type]
    assert caught.value.code == "update.not_believed"
    return caught.value.facts["why"]


def test_what_the_build_signs_the_agent_reads(key: UpdateKey, offer: str) -> None:
    release = open_seal(key.seal(offer), public(key))  # type: ignore[arg-type]
    assert (release.version, release.size) == ("1.2.3", 12)
    assert release.url == "https://updates.example/files/Bridgework-1.2.3.msi"


def test_the_private_half_is_for_its_owner_alone_and_made_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "update.pem"
    assert update_key(file).public == update_key(file).public
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0


def test_a_changed_word_a_strangers_key_and_no_signature(
    key: UpdateKey, offer: str, tmp_path: Path
) -> None:
    raw = key.seal(offer)
    assert why(raw.replace(b"1.2.3", b"1.2.4"), key) == "signature"
    assert why(raw, update_key(tmp_path / "other.pem")) == "signature"
    assert why(json.dumps({"release": offer, "signatures": []}).encode(), key) == "signature"
    assert why(json.dumps({"release": offer, "signatures": ["?"]}).encode(), key) == "signature"
    assert why(raw) == "signature"


def test_what_the_key_signed_for_something_else_is_no_offer(key: UpdateKey, offer: str) -> None:
    mark = base64.b64encode(key.private.sign(offer.encode())).decode()
    assert why(json.dumps({"release": offer, "signatures": [mark]}).encode(), key) == "signature"
    assert PREFIX.endswith(b"\n"), "no text can be moved over into the prefix"


def test_a_key_can_be_changed_without_leaving_anybody_behind(
    key: UpdateKey, offer: str, tmp_path: Path
) -> None:
    new = update_key(tmp_path / "new.pem")
    both = json.loads(new.seal(offer))
    both["signatures"] += json.loads(key.seal(offer))["signatures"]
    raw = json.dumps(both).encode()
    for known in (key, new):
        assert open_seal(raw, public(known)).version == "1.2.3"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", "1.2"), ("version", "1.2.3; del"), ("sha256", "AB" * 32), ("sha256", "00"),
        ("size", 0), ("size", 10**9), ("size", "12"), ("url", None),
    ],
)  # fmt: skip
def test_a_signed_offer_that_makes_no_sense(
    key: UpdateKey, offer: str, field: str, value: object
) -> None:
    told = {**json.loads(offer), field: value}
    assert why(key.seal(json.dumps(told)), key) == "malformed"


@pytest.mark.parametrize("raw", [b"", b"{}", b"[" * 60_000, b"\xff", b"null", b" " * MOST_BYTES])
def test_rubbish(key: UpdateKey, raw: bytes) -> None:
    assert why(raw, key) in {"malformed", "signature"}


def test_an_endless_offer_is_not_even_read(key: UpdateKey) -> None:
    assert why(b"x" * (MOST_BYTES + 1), key) == "too_large"


def test_the_build_carries_where_to_ask_and_whom_to_believe(key: UpdateKey, tmp_path: Path) -> None:
    file = tmp_path / "update-source.json"
    assert build_source(tmp_path) is None
    file.write_bytes(source_file("https://updates.example/update.json", key.public))
    found = build_source(tmp_path)
    assert found is not None
    assert found.url == "https://updates.example/update.json"
    assert found.keys == tuple(public(key))
    file.write_bytes(source_file("https://x.example", "short"))
    assert build_source(tmp_path) is None
