"""The pairing: who this agent is to the CRM, and its keys. Kept whole as one secret.

One value, so that every step of a rotation is one atomic write. It stays under the 1,200 characters
that the Windows credential store takes. Imports only agent.errors and agent.ports.
"""

from __future__ import annotations

import secrets as chance
from datetime import datetime
from typing import Any

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from agent.errors import CrmAuthError
from agent.ports import SecretStore

SECRET_NAME = "crm.pairing"  # noqa: S105 - the name of a secret
ALGORITHM = "ES384"
ASSERTION_LIFE_S = 120


class Pairing(msgspec.Struct, frozen=True, omit_defaults=True):
    """``live`` signs today. ``next`` exists from before the CRM hears of it until it takes over;
    ``old_kid`` from the take-over until the CRM has retired it."""

    client_id: str
    practice_id: str
    practice_name: str
    issuer: str
    live: dict[str, Any]  # private JWK
    live_since: str  # ISO 8601 UTC
    next: dict[str, Any] | None = None
    old_kid: str = ""

    @property
    def live_kid(self) -> str:
        return kid_of(self.live)

    @property
    def is_rotating(self) -> bool:
        return self.next is not None or bool(self.old_kid)

    def __repr__(self) -> str:
        return f"Pairing(client_id={self.client_id!r}, kid={self.live_kid!r})"


class PairingStore:
    """The pairing in the operating system's secret store."""

    def __init__(self, secrets: SecretStore) -> None:
        self._secrets = secrets

    def find(self) -> Pairing | None:
        """Raises CrmAuthError when what is stored cannot be read."""
        text = self._secrets.get(SECRET_NAME)
        if not text:
            return None
        try:
            return msgspec.json.decode(text, type=Pairing)
        except msgspec.DecodeError:
            raise CrmAuthError("crm.pairing_damaged") from None

    def load(self) -> Pairing:
        """Raises CrmAuthError (crm.not_paired) when there is none."""
        pairing = self.find()
        if pairing is None:
            raise CrmAuthError("crm.not_paired")
        return pairing

    def save(self, pairing: Pairing) -> None:
        """Raises CrmAuthError when the store does not give back what it was given."""
        text = msgspec.json.encode(pairing).decode()
        self._secrets.set(SECRET_NAME, text)
        if self._secrets.get(SECRET_NAME) != text:
            raise CrmAuthError("crm.secret_store_forgets")

    def forget(self) -> None:
        self._secrets.delete(SECRET_NAME)

    def rehearse(self, pairing: Pairing) -> None:
        """Prove that the store keeps a value of this size, before a code is spent on it."""
        name = SECRET_NAME + ".trial"
        text = msgspec.json.encode(pairing).decode()
        self._secrets.set(name, text)
        try:
            if self._secrets.get(name) != text:
                raise CrmAuthError("crm.secret_store_forgets")
        finally:
            self._secrets.delete(name)


def new_key() -> dict[str, Any]:
    """A fresh P-384 key pair as a private JWK; it is born here and its ``d`` never leaves."""
    key = ECKey.generate_key("P-384", {"use": "sig", "alg": ALGORITHM}, private=True)
    return dict(key.as_dict(private=True))


def kid_of(jwk: dict[str, Any]) -> str:
    """RFC 7638 thumbprint: the CRM derives the same, so no id needs to be agreed upon."""
    return ECKey.import_key(jwk).thumbprint()


def public_of(jwk: dict[str, Any]) -> dict[str, Any]:
    return dict(ECKey.import_key(jwk).as_dict(private=False))


def seal_digest(jwk: dict[str, Any], digest: bytes) -> str:
    """A JWS of a digest by this installation's key: a signature on a report."""
    key = ECKey.import_key(jwk)
    header = {"alg": ALGORITHM, "kid": key.thumbprint()}
    return jws.serialize_compact(header, digest, key, algorithms=[ALGORITHM])


def sealed_digest(jwk: dict[str, Any], signature: str) -> bytes | None:
    """The digest a signature of this key stands for; None when it is not this key's."""
    try:
        held = jws.deserialize_compact(signature, ECKey.import_key(jwk), algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        return None
    return bytes(held.payload)


def sign(jwk: dict[str, Any], *, client_id: str, audience: str, now: datetime) -> str:
    """A client assertion (RFC 7523): lives 120 s, usable once. ``now`` is the CRM's idea of now."""
    issued = int(now.timestamp())
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + ASSERTION_LIFE_S,
        "jti": chance.token_urlsafe(24),
    }
    try:
        key = ECKey.import_key(jwk)
        header = {"alg": ALGORITHM, "typ": "JWT", "kid": key.thumbprint()}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError):
        raise CrmAuthError("crm.pairing_damaged") from None
