"""Sealed commands: who signed this, when, for whom? Verified before anything in it is parsed.

A Standard Webhooks 1.0 message (standard-webhooks.md): the text ``id.timestamp.body``, signed by
Ed25519 (``v1a``) or HMAC-SHA256 (``v1``); of several signatures one good one suffices, which is how
keys are changed. Pure but for the key ring's question to the CRM. Imports agent.model, agent.errors
and agent.ports. Says nothing of a body, ever.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from agent.crm.wire import CrmConfig
from agent.errors import CrmError
from agent.model.commands import Command, Refusal
from agent.ports import Clock

_log = structlog.get_logger(__name__)

TOLERANCE_S = 300
MOST_SIGNATURES = 8  # more are not a rotation; each costs a verification per key
_KEYS_FRESH_S = 300.0
_REFRESH_EVERY_S = 10.0
_TOKEN = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_COMMAND = msgspec.json.Decoder(Command)  # made once: see wire.decode


class Flaw(StrEnum):
    """Why an envelope is not believed; also message codes. REPLAYED is told by the journal, which
    remembers ids."""

    TAMPERED = "envelope.tampered"  # no signature fits the text
    STALE = "envelope.stale"  # dated more than 300 s from the CRM's clock, either way
    WRONG_KEY = "envelope.wrong_key"  # signed by a key the CRM has given up, or in a way we lack
    WRONG_PRACTICE = "envelope.wrong_practice"
    MALFORMED = "envelope.malformed"
    REPLAYED = "envelope.replayed"


class Envelope(msgspec.Struct, frozen=True):
    """``timestamp``: Unix seconds. ``body``: the JSON text of a Command, exactly as signed."""

    id: str
    timestamp: int
    signature: str
    body: str


class Leased(msgspec.Struct, frozen=True):
    command_id: str
    envelope: Envelope


_LEASED = msgspec.json.Decoder(Leased)


@dataclass(frozen=True, slots=True)
class Keys:
    """What may sign today, and what once might (only to name the flaw)."""

    live: tuple[Ed25519PublicKey, ...] = ()
    retired: tuple[Ed25519PublicKey, ...] = ()
    secrets: tuple[Webhook, ...] = ()


def read_public_keys(entries: Iterable[dict[str, str]]) -> dict[str, Ed25519PublicKey]:
    """x (base64url) -> key, for the Ed25519 entries of a JWK list; others are left out."""
    found: dict[str, Ed25519PublicKey] = {}
    for entry in entries:
        if entry.get("kty") != "OKP" or entry.get("crv") != "Ed25519":
            continue
        x = entry.get("x", "")
        try:
            raw = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
            found[x] = Ed25519PublicKey.from_public_bytes(raw)
        except (ValueError, binascii.Error):
            continue
    return found


def read_secrets(text: str) -> tuple[Webhook, ...]:
    """Endpoint secrets ("whsec_…", separated by white space; the first is the newest).

    Short ones are left out: the standard asks for 24 bytes at least.
    """
    found = []
    for word in text.split():
        try:
            raw = base64.b64decode(word.removeprefix("whsec_"), validate=True)
        except (ValueError, binascii.Error):
            continue
        if len(raw) >= 24:
            found.append(Webhook(raw))
    return tuple(found)


class ConfigSource(Protocol):
    """Who has the CRM's configuration, from an authenticated answer of the CRM only."""

    @property
    def config(self) -> CrmConfig | None: ...
    def refresh_config(self) -> CrmConfig:
        """Ask the CRM. Raises the Crm* errors."""


class KeyRing:
    """The CRM's signing keys, from its authenticated configuration only. Thread-safe.

    Keys are asked for anew every 5 minutes, taken over whenever somebody else asked, and asked for
    once more when no key fits, but then not more often than every 10 s.
    """

    def __init__(self, source: ConfigSource, clock: Clock, secrets: Callable[[], str]) -> None:
        self._source = source
        self._clock = clock
        self._secrets = secrets
        self._lock = threading.Lock()
        self._keys: Keys | None = None
        self._config: CrmConfig | None = None
        self._seen: dict[str, Ed25519PublicKey] = {}
        self._asked_at = 0.0

    def keys(self) -> Keys:
        """Raises the Crm* errors only while the CRM has never answered."""
        return self._current(_KEYS_FRESH_S)

    def renewed(self) -> Keys:
        """After no key fitted: the CRM may have changed them a moment ago."""
        return self._current(_REFRESH_EVERY_S)

    def _current(self, fresh_s: float) -> Keys:
        with self._lock:
            now = self._clock.mono()
            if self._keys is None or now - self._asked_at >= fresh_s:
                self._asked_at = now
                try:
                    self._source.refresh_config()
                except CrmError as exc:
                    if self._keys is None:
                        raise
                    _log.info("envelope.keys_not_renewed", code=exc.code)
            config = self._source.config
            if config is not None and (self._keys is None or config is not self._config):
                self._keys, self._config = self._read(config), config
            return self._keys or Keys()

    def _read(self, config: CrmConfig) -> Keys:
        live = read_public_keys(config.server_keys)
        self._seen.update(live)
        retired = tuple(key for x, key in self._seen.items() if x not in live)
        return Keys(tuple(live.values()), retired, read_secrets(self._secrets()))


class Opener:
    """Opens leased envelopes for one practice. Thread-safe.

    ``now``: the CRM's idea of now, ours corrected by the Date header of its answers.
    """

    def __init__(self, ring: KeyRing, practice_id: str, now: Callable[[], datetime]) -> None:
        self._ring = ring
        self._practice_id = practice_id
        self._now = now

    def open(self, raw: bytes | msgspec.Raw) -> Command | Refusal:
        """The verified command, or why it is not believed. Raises the Crm* errors only while the
        CRM's keys were never read."""
        try:
            leased = _LEASED.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refusal(_id_of(raw), Flaw.MALFORMED)
        name = leased.command_id if _TOKEN.fullmatch(leased.command_id) else ""
        flaw = self._flaw_of_seal(leased)
        if flaw is not None:
            return Refusal(name, flaw)
        try:
            command = _COMMAND.decode(leased.envelope.body)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Refusal(name, Flaw.MALFORMED)
        if not name or command.command_id != leased.envelope.id or not command.practice_id:
            return Refusal(name, Flaw.MALFORMED)
        if command.practice_id != self._practice_id:
            return Refusal(name, Flaw.WRONG_PRACTICE)
        return command

    def _flaw_of_seal(self, leased: Leased) -> Flaw | None:
        sealed = leased.envelope
        if sealed.id != leased.command_id:
            return Flaw.TAMPERED  # one command's lease around another's envelope
        if abs(self._now().timestamp() - sealed.timestamp) > TOLERANCE_S:
            return Flaw.STALE
        try:
            flaw = flaw_of(sealed, self._ring.keys())
            return flaw if flaw is None else flaw_of(sealed, self._ring.renewed())
        except (UnicodeError, OverflowError, OSError, ValueError):
            return Flaw.MALFORMED


def flaw_of(sealed: Envelope, keys: Keys) -> Flaw | None:
    """None when any signature is good. The timestamp is not judged here.

    A text changed on its way and a text signed by a stranger look alike and are both TAMPERED;
    WRONG_KEY is what a retired key signed, or a kind of signature we hold no key for.
    """
    signed = f"{sealed.id}.{sealed.timestamp}.{sealed.body}".encode()
    asymmetric, symmetric = _signatures(sealed.signature)
    if any(_fits(key, mark, signed) for mark in asymmetric for key in keys.live):
        return None
    if symmetric and keys.secrets:
        at = datetime.fromtimestamp(sealed.timestamp, UTC)
        for secret in keys.secrets:
            ours = secret.sign(sealed.id, at, sealed.body).partition(",")[2]
            expected = base64.b64decode(ours)
            # Every one is compared, in constant time: how many fit is nobody's to measure.
            if sum(hmac.compare_digest(expected, mark) for mark in symmetric):
                return None
    if any(_fits(key, mark, signed) for mark in asymmetric for key in keys.retired):
        return Flaw.WRONG_KEY
    could_check = (asymmetric and keys.live) or (symmetric and keys.secrets)
    is_signed = asymmetric or symmetric
    return Flaw.WRONG_KEY if is_signed and not could_check else Flaw.TAMPERED


def _signatures(text: str) -> tuple[list[bytes], list[bytes]]:
    """(Ed25519, HMAC) signatures of a space-separated list; other kinds and damage left out."""
    asymmetric: list[bytes] = []
    symmetric: list[bytes] = []
    for word in text.split()[:MOST_SIGNATURES]:
        kind, _, coded = word.partition(",")
        try:
            mark = base64.b64decode(coded, validate=True)
        except (ValueError, binascii.Error):
            continue
        if kind == "v1a" and len(mark) == 64:
            asymmetric.append(mark)
        elif kind == "v1" and len(mark) == 32:
            symmetric.append(mark)
    return asymmetric, symmetric


def _fits(key: Ed25519PublicKey, mark: bytes, signed: bytes) -> bool:
    try:
        key.verify(mark, signed)
    except InvalidSignature:
        return False
    return True


class _Named(msgspec.Struct, frozen=True):
    command_id: str = ""


_NAMED = msgspec.json.Decoder(_Named)


def _id_of(raw: bytes | msgspec.Raw) -> str:
    """The id of a lease that cannot be read otherwise, so that it can be refused by name."""
    try:
        name = _NAMED.decode(raw).command_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return name if _TOKEN.fullmatch(name) else ""
