"""The CRM Sync API's bodies: batches to bytes and back, answers to structs. Pure, no I/O.

Shapes follow ``assets/openapi/crm-sync.yaml``. A record's canonical JSON goes out byte for byte as
it was hashed (``msgspec.Raw``), so the CRM can check the hash and nothing is parsed twice.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from agent.errors import CrmError, CrmUnavailable
from agent.model.gzip1 import compress, decompress
from agent.model.proof import Basis
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.model.writing import BucketDigest, Change, Outcome, Verb

CONTRACT = "1"
_MAX_RAW_BYTES = 256_000_000

T = TypeVar("T")

_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}
_MAKING = threading.Lock()


class Origin(msgspec.Struct, frozen=True):
    """Who speaks: stands in every batch. ``epoch`` grows when the journal is restored."""

    agent_version: str
    journal_uuid: str
    epoch: int
    practice_id: str
    pms_kind: str = ""
    pms_version: str = ""


class _Source(msgspec.Struct, frozen=True, omit_defaults=True):
    agent: str
    journal: str
    epoch: int
    practice: str
    pms: str = ""
    pms_version: str = ""


class _Item(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    event_id: str
    type: Stream
    key: str
    op: Verb
    version: int
    content_hash: str = ""
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    merge_into: str | msgspec.UnsetType = msgspec.UNSET


class _Batch(msgspec.Struct, frozen=True):
    contract: str
    batch_id: str
    source: _Source
    changes: list[_Item]


class _Name(msgspec.Struct, frozen=True, gc=False):
    event_id: str


class _Names(msgspec.Struct, frozen=True):
    batch_id: str
    changes: list[_Name]


class Result(msgspec.Struct, frozen=True, gc=False):
    """What became of one change."""

    event_id: str | None
    outcome: Outcome
    reason: str = ""
    retry_after_s: float | None = None


class PushAnswer(msgspec.Struct, frozen=True):
    batch_id: str
    received: int
    results: list[Result]
    ack_seq: int


class ConfigLimits(msgspec.Struct, frozen=True):
    max_items: int
    max_body_bytes: int
    max_raw_bytes: int


class ConfigIntervals(msgspec.Struct, frozen=True):
    heartbeat_s: int
    poll_wait_s: int


class CanarySwitch(msgspec.Struct, frozen=True):
    """PMS keys commands may touch; all three empty: the switch is off."""

    operatories: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()


class CrmSwitches(msgspec.Struct, frozen=True):
    """The CRM's side of the safety switches; the strictest of all sides holds."""

    kill: bool = False
    read_only: bool = False
    dry_run: bool = False
    canary: CanarySwitch = CanarySwitch()


class CrmConfig(msgspec.Struct, frozen=True):
    """What the CRM told this agent: practice, record types it takes, limits, intervals, keys,
    switches."""

    contract: str
    practice_id: str
    practice_name: str
    types: list[str]
    limits: ConfigLimits
    intervals: ConfigIntervals
    server_keys: list[dict[str, str]]
    switches: CrmSwitches = CrmSwitches()


class LastHeartbeat(msgspec.Struct, frozen=True):
    journal_uuid: str = ""
    audit_head: str = ""


class SyncStatus(msgspec.Struct, frozen=True):
    """What the CRM believes about this practice; only what we ask it for."""

    heartbeat: LastHeartbeat | None = None


class HeartbeatReply(msgspec.Struct, frozen=True):
    """``epoch_known`` False: this journal and epoch never pushed there; reconcile by digests.
    ``config_etag``: the configuration's now, "" where the CRM does not say."""

    server_time: str
    commands_waiting: int
    epoch_known: bool
    throttle_s: float = 0.0
    config_etag: str = ""


class DigestAnswer(msgspec.Struct, frozen=True):
    """``basis``: what the CRM says its digests are made of; one that says nothing keeps sums."""

    type: str
    buckets: list[BucketDigest]
    basis: Basis = Basis.KEPT


class Packer:
    """Encodes and decodes batches. Thread-safe: holds no state but the codecs."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(_Batch)
        self._names = msgspec.json.Decoder(_Names)

    def pack(self, batch_id: str, origin: Origin, changes: Sequence[Change]) -> bytes:
        """The body to send, gzip, the same bytes for the same input."""
        source = _Source(
            origin.agent_version,
            origin.journal_uuid,
            origin.epoch,
            origin.practice_id,
            origin.pms_kind,
            origin.pms_version,
        )
        raw, unset = msgspec.Raw, msgspec.UNSET
        items = [
            _Item(
                change.op_id.hex(),
                change.stream,
                str(change.key),
                change.verb,
                change.version,
                change.content_hash.hex(),
                raw(change.canon) if change.canon else unset,
                unset if change.merge_into is None else str(change.merge_into),
            )
            for change in changes
        ]
        return compress(self._encoder.encode(_Batch(CONTRACT, batch_id, source, items)))

    def unpack(self, body: bytes) -> list[Change]:
        """The inverse of ``pack``; a key that reads as an integer comes back as one."""
        try:
            batch = self._decoder.decode(gunzip(body))
        except (zlib.error, msgspec.DecodeError):
            raise CrmError("crm.body_damaged") from None
        return [
            Change(
                op_id=bytes.fromhex(item.event_id),
                stream=item.type,
                key=_key(item.key),
                verb=item.op,
                version=item.version,
                content_hash=bytes.fromhex(item.content_hash),
                canon=b"" if isinstance(item.data, msgspec.UnsetType) else bytes(item.data),
                merge_into=(
                    None
                    if isinstance(item.merge_into, msgspec.UnsetType)
                    else _key(item.merge_into)
                ),
            )
            for item in batch.changes
        ]

    def event_ids(self, body: bytes) -> tuple[str, list[str]]:
        """(batch id, event ids in order) of a packed body, skipping everything else in it."""
        try:
            names = self._names.decode(gunzip(body))
        except (zlib.error, msgspec.DecodeError):
            raise CrmError("crm.body_damaged") from None
        return names.batch_id, [name.event_id for name in names.changes]


def gunzip(body: bytes) -> bytes:
    """Whole gzip body to plain bytes. Raises zlib.error when damaged, cut or absurdly large."""
    return decompress(body, _MAX_RAW_BYTES)


def _decoder(shape: type[T]) -> msgspec.json.Decoder[T]:
    """One decoder a shape, made by one thread: msgspec prepares a struct at its first use, and two
    threads doing that at once crash the interpreter (seen with 0.22 in two senders' first answers).
    """
    found = _DECODERS.get(shape)
    if found is None:
        with _MAKING:
            found = _DECODERS.setdefault(shape, msgspec.json.Decoder(shape))
    return found


def decode(body: bytes, shape: type[T]) -> T:
    """An answer as ``shape``. Raises CrmUnavailable when it is not that: then it is not believed,
    and sending the same request again is safe. No part of the body enters the error."""
    try:
        return _decoder(shape).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise CrmUnavailable("crm.bad_answer", reason="shape") from None


def _key(text: str) -> Key:
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and len(digits) < 20
    return int(text) if plain and str(int(text)) == text else text
