"""Sealing commands: Standard Webhooks messages, signed by every live key.

Imports joserfc, cryptography and this package's schema. While keys are being changed two Ed25519
keys live and both sign; an endpoint secret adds an HMAC for agents that cannot do Ed25519
(Standard Webhooks 1.0: ``v1a`` and ``v1``, over ``id.timestamp.body``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import apsw
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from agent.sandbox.crm.schema import now_us

MAX_LIVE_KEYS: Final = 2
_SHORTEST_SECRET: Final = 24  # bytes; Standard Webhooks asks for 24 to 64

Envelope = dict[str, str | int]


def add_envelope_key(store: apsw.Connection) -> str:
    """Make the next key, which signs beside the present one; returns its kid. Raises ValueError."""
    key = OKPKey.generate_key("Ed25519")
    jwk = msgspec.json.encode(key.as_dict(private=True)).decode()
    at = now_us()
    store.execute(
        "INSERT INTO envelope_key SELECT ?, ?, ?, NULL"
        " WHERE (SELECT count(*) FROM envelope_key WHERE retired_us IS NULL) < ?",
        (key.thumbprint(), jwk, at, MAX_LIVE_KEYS),
    )
    if not store.changes():
        raise ValueError("two keys are live already: retire one first")
    return key.thumbprint()


def retire_envelope_key(store: apsw.Connection, kid: str) -> None:
    """Stop signing with a key and showing it. Raises ValueError for the last or an unknown one."""
    store.execute(
        "UPDATE envelope_key SET retired_us = ? WHERE kid = ? AND retired_us IS NULL"
        " AND (SELECT count(*) FROM envelope_key WHERE retired_us IS NULL) > 1",
        (now_us(), kid),
    )
    if not store.changes():
        raise ValueError("there is no such live key, or it is the last one")


def live_envelope_keys(store: apsw.Connection) -> list[tuple[str, int]]:
    """(kid, added_us), oldest first."""
    return [
        (str(row[0]), int(row[1]))
        for row in store.execute(
            "SELECT kid, added_us FROM envelope_key WHERE retired_us IS NULL ORDER BY added_us, kid"
        )
    ]


def read_secrets(text: str) -> tuple[bytes, ...]:
    """Endpoint secrets ("whsec_<base64>", separated by white space). Raises ValueError."""
    found = []
    for word in text.split():
        try:
            secret = base64.b64decode(word.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ValueError("an endpoint secret is whsec_ and base64") from None
        if len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"an endpoint secret has at least {_SHORTEST_SECRET} bytes")
        found.append(secret)
    return tuple(found)


class Sealer:
    """Signs with the keys that live. Used from the server's thread only."""

    def __init__(
        self,
        store: apsw.Connection,
        secrets: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = store
        self._clock = clock
        self._secrets = read_secrets(secrets)
        self._keys: list[OKPKey] = []
        if not live_envelope_keys(store):
            self._take_first()
        self.reload()

    def reload(self) -> None:
        """Read the live keys again; another process may have changed them."""
        self._keys = [
            OKPKey.import_key(msgspec.json.decode(str(row[0])))
            for row in self._db.execute(
                "SELECT jwk FROM envelope_key WHERE retired_us IS NULL ORDER BY added_us, kid"
            )
        ]

    def jwks(self) -> list[dict[str, object]]:
        """The public halves, for the agents' configuration."""
        return [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in self._keys]

    def seal(self, command_id: str, body: str) -> Envelope:
        return self.seal_at(command_id, body, int(self._clock()))

    def seal_at(self, command_id: str, body: str, stamp: int) -> Envelope:
        """An envelope dated ``stamp`` (POSIX seconds)."""
        text = f"{command_id}.{stamp}.{body}".encode()
        marks = [sign(key, text) for key in self._keys]
        for secret in self._secrets:
            mark = hmac.digest(secret, text, sha256)
            marks.append("v1," + base64.b64encode(mark).decode())
        return {"id": command_id, "timestamp": stamp, "signature": " ".join(marks), "body": body}

    def _take_first(self) -> None:
        """A file of version 1 keeps its one key among the secrets; a new one gets one made."""
        row = self._db.execute("SELECT value FROM meta WHERE name = 'envelope_key'").fetchone()
        if row is None:
            add_envelope_key(self._db)
            return
        key = OKPKey.import_key(msgspec.json.decode(str(row[0])))
        self._db.execute(
            "INSERT OR IGNORE INTO envelope_key VALUES(?, ?, ?, NULL)",
            (key.thumbprint(), str(row[0]), now_us()),
        )


def sign(key: OKPKey, text: bytes) -> str:
    private = key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    return "v1a," + base64.b64encode(private.sign(text)).decode()
