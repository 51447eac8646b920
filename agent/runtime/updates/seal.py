"""The offer of a version and its signature: one file, ed25519, keys in the build. Pure but for
reading the build's keys.

    {"release": "<JSON text of a Release>", "signatures": ["<base64>", ...]}

Signed is the text itself behind a prefix of our own, so that nothing else this key ever signs can
be taken for an offer. Several signatures: keys can be changed without leaving anybody behind.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.config.paths import assets_dir
from agent.errors import UpdateError
from agent.model.updates import Release, numbers

PREFIX = b"bridgework release 1\n"
SOURCE_FILE = "update-source.json"  # written into the build by installer/bundle.py
MOST_BYTES = 64_000
MOST_MSI_BYTES = 500_000_000
_MOST_SIGNATURES = 4
_HEX = frozenset("0123456789abcdef")


class Sealed(msgspec.Struct, frozen=True):
    release: str
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdateSource:
    """``url``: where offers are asked for; ``keys``: who may make them."""

    url: str
    keys: tuple[Ed25519PublicKey, ...]


class _Written(msgspec.Struct, frozen=True):
    url: str
    keys: tuple[str, ...]


def build_source(folder: Path | None = None) -> UpdateSource | None:
    """What was built in; None for a checkout, or a build without."""
    try:
        raw = ((folder or assets_dir()) / SOURCE_FILE).read_bytes()
        told = msgspec.json.decode(raw, type=_Written)
        keys = tuple(
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True))
            for key in told.keys
        )
    except (OSError, ValueError, binascii.Error):
        return None
    return UpdateSource(told.url, keys) if keys else None


def open_seal(raw: bytes, keys: Iterable[Ed25519PublicKey]) -> Release:
    """The offer, once a signature fits; nothing in it is looked at before. UpdateError."""
    if len(raw) > MOST_BYTES:
        raise UpdateError("update.not_believed", why="too_large")
    try:
        sealed = msgspec.json.decode(raw, type=Sealed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpdateError("update.not_believed", why="malformed") from None
    signed = PREFIX + sealed.release.encode("utf-8", "surrogatepass")
    marks = sealed.signatures[:_MOST_SIGNATURES]
    if not any(_fits(key, mark, signed) for mark in marks for key in keys):
        raise UpdateError("update.not_believed", why="signature")
    try:
        release = msgspec.json.decode(sealed.release, type=Release)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise UpdateError("update.not_believed", why="malformed") from None
    is_hash = len(release.sha256) == 64 and _HEX.issuperset(release.sha256)
    if not is_hash or numbers(release.version) is None or not 0 < release.size <= MOST_MSI_BYTES:
        raise UpdateError("update.not_believed", why="malformed")
    return release


def _fits(key: Ed25519PublicKey, mark: str, signed: bytes) -> bool:
    try:
        key.verify(base64.b64decode(mark, validate=True), signed)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True
