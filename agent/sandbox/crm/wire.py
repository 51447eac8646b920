"""The push body as it arrives: decoding and checking, before anything is judged. Pure.

Imports msgspec and ``agent.model``. A batch is decoded in one go; only when an item does not fit is
it taken apart item by item, so that one bad item costs a rejection of itself and nothing else.
"""

from __future__ import annotations

import re
import zlib
from enum import IntEnum
from hashlib import sha256
from typing import Final, TypeVar

import msgspec

from agent.model.writing import Outcome
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import TYPE_ID

T = TypeVar("T")

MAX_ITEMS: Final = 1000
MAX_BODY_BYTES: Final = 4_000_000
MAX_RAW_BYTES: Final = 32_000_000
MAX_KEY_CHARS: Final = 200
MAX_VERSION: Final = 2**53 - 1

_TOKEN = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
_NO_RAW: Final = msgspec.Raw(b"")


class Op(IntEnum):
    """What a change does; stored in the effects."""

    UPSERT = 0
    DELETE = 1
    MERGE = 2


_OP = {"upsert": Op.UPSERT, "delete": Op.DELETE, "merge": Op.MERGE}


class Source(msgspec.Struct, frozen=True):
    agent: str
    journal: str
    epoch: int
    practice: str
    pms: str = ""
    pms_version: str = ""


class WireChange(msgspec.Struct, frozen=True, gc=False):
    event_id: str
    type: str
    key: str
    op: str
    version: int
    content_hash: str = ""
    data: msgspec.Raw = _NO_RAW
    merge_into: str | None = None
    observed_at: str | None = None


class _Batch(msgspec.Struct, frozen=True, gc=False):
    contract: str
    batch_id: str
    source: Source
    changes: list[WireChange]


class _LooseBatch(msgspec.Struct, frozen=True):
    contract: str
    batch_id: str
    source: msgspec.Raw
    changes: list[msgspec.Raw]


class _EventOnly(msgspec.Struct, frozen=True):
    event_id: str | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """One change, checked. ``hash`` is empty for a delete or merge without one."""

    event: bytes
    event_id: str
    type_id: int
    key: str
    op: Op
    version: int
    hash: bytes
    data: bytes
    merge_into: str | None


class BadItem(msgspec.Struct, frozen=True, gc=False):
    """An item that is rejected for what it is; ``raw`` is kept for people to look at."""

    event_id: str | None
    type: str | None
    key: str | None
    reason: str
    raw: bytes


class Batch(msgspec.Struct, frozen=True):
    batch_id: str
    source: Source
    items: list[Item | BadItem]


class Result(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of the answer."""

    event_id: str | None
    outcome: Outcome
    reason: str = ""
    retry_after_s: float | None = None
    server_version: int | None = None
    reject_id: int | None = None


_strict = msgspec.json.Decoder(_Batch)
_loose = msgspec.json.Decoder(_LooseBatch)
_change = msgspec.json.Decoder(WireChange)
_event = msgspec.json.Decoder(_EventOnly)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, shape: type[T]) -> T:
    """JSON of a shape, where 3.0 is as good an integer as 3 (so says JSON Schema)."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError:
        return msgspec.convert(_whole(msgspec.json.decode(body)), type=shape)


def _whole(value: object) -> object:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return value


def unpack(body: bytes, encoding: str, *, max_bytes: int = MAX_RAW_BYTES) -> bytes:
    """Decompress a request body; refuses one that would unfold beyond ``max_bytes``."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise Refusal(415, "unsupported-media-type", "Content-Encoding must be gzip or absent")
    gzip = zlib.decompressobj(wbits=31)
    try:
        raw = gzip.decompress(body, max_bytes + 1)
    except zlib.error:
        raise Refusal(400, "invalid-json", "The body is not gzip") from None
    if len(raw) > max_bytes:
        raise Refusal(413, "payload-too-large", max_body_bytes=max_bytes)
    if not gzip.eof or gzip.unused_data:
        raise Refusal(400, "invalid-json", "The gzip body is cut off or has more than one member")
    return raw


def read_batch(raw: bytes) -> Batch:
    """Decode and check a push body. Raises Refusal for what is wrong with it as a whole."""
    try:
        whole = _strict.decode(raw)
    except msgspec.ValidationError:
        return _read_loosely(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(400, "invalid-json", "The body is not JSON") from None
    _check_envelope(whole.contract, whole.batch_id, whole.source, len(whole.changes))
    return Batch(whole.batch_id, whole.source, [check(change) for change in whole.changes])


def _read_loosely(raw: bytes) -> Batch:
    try:
        loose = _loose.decode(raw)
        source = decode(bytes(loose.source), Source)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "invalid-request", _place(error)) from None
    _check_envelope(loose.contract, loose.batch_id, source, len(loose.changes))
    return Batch(loose.batch_id, source, [read_item(bytes(one)) for one in loose.changes])


def read_item(raw: bytes) -> Item | BadItem:
    """One change on its own: the slow way for odd items and for a retried reject."""
    try:
        change = _change.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            event_id = _event.decode(raw).event_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            event_id = None
        return BadItem(event_id, None, None, "invalid-item", raw)
    return check(change)


def check(change: WireChange) -> Item | BadItem:
    """What can be told about a change without looking at the store."""
    type_id = TYPE_ID.get(change.type)
    if type_id is None:
        return _bad(change, "unknown-type")
    op = _OP.get(change.op)
    try:
        event = bytes.fromhex(change.event_id)
        digest = bytes.fromhex(change.content_hash)
    except ValueError:
        return _bad(change, "invalid-item")
    if (
        op is None
        or len(event) != 16
        or len(change.event_id) != 32
        or len(digest) not in {0, 16}
        or not 0 < len(change.key) <= MAX_KEY_CHARS
        or not 0 <= change.version <= MAX_VERSION
    ):
        return _bad(change, "invalid-item")
    content = bytes(change.data)
    if op is Op.UPSERT:
        if not content.startswith(b"{"):
            return _bad(change, "invalid-item")
        if sha256(content).digest()[:16] != digest:
            return _bad(change, "hash-mismatch")
    elif op is Op.MERGE:
        survivor = change.merge_into
        if not survivor or len(survivor) > MAX_KEY_CHARS or survivor == change.key:
            return _bad(change, "invalid-item")
    return Item(
        event,
        change.event_id,
        type_id,
        change.key,
        op,
        change.version,
        digest,
        content,
        change.merge_into,
    )


def _bad(change: WireChange, reason: str) -> BadItem:
    kept = change
    if not bytes(change.data):
        kept = msgspec.structs.replace(change, data=msgspec.Raw(b"null"))
    return BadItem(change.event_id, change.type, change.key[:200], reason, _encode(kept))


def encode_item(item: Item, type_name: str) -> bytes:
    """The item as a change again, for keeping it among the rejects."""
    return _encode(
        WireChange(
            item.event_id,
            type_name,
            item.key,
            item.op.name.lower(),
            item.version,
            item.hash.hex(),
            msgspec.Raw(item.data) if item.data else msgspec.Raw(b"null"),
            item.merge_into,
        )
    )


def _check_envelope(contract: str, batch_id: str, source: Source, items: int) -> None:
    if contract != "1":
        raise Refusal(400, "contract-unsupported", "This server speaks contract 1")
    if not (len(batch_id) >= 8 and _TOKEN.match(batch_id)):
        raise Refusal(400, "invalid-request", "batch_id")
    fits = (
        len(source.agent) <= 64
        and _TOKEN.match(source.journal)
        and 0 <= source.epoch <= MAX_VERSION
        and 0 < len(source.practice) <= 64
        and len(source.pms) <= 64
        and len(source.pms_version) <= 64
    )
    if not fits:
        raise Refusal(400, "invalid-request", "source")
    if items > MAX_ITEMS:
        raise Refusal(413, "payload-too-large", max_items=MAX_ITEMS)


def _place(error: Exception) -> str:
    """Where a body does not fit, without repeating any of its content."""
    text = str(error)
    return text[text.rfind("`$") :].strip("`") if "`$" in text else "The body does not fit"
