"""Envelopes as a CRM, a stranger or a damaged line makes them; a ring of keys to open them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.crm.envelope import KeyRing
from agent.crm.wire import CrmConfig, decode
from agent.errors import CrmError
from tests.crm.clocks import RealClock

PRACTICE = "demo"


def make_secret(fill: int, size: int = 32) -> str:
    return "whsec_" + base64.b64encode(bytes([fill]) * size).decode()


@dataclass
class Signer:
    """A CRM's key pair."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def jwk(self) -> dict[str, str]:
        x = base64.urlsafe_b64encode(self.key.public_key().public_bytes_raw()).rstrip(b"=")
        return {"kid": "k1", "kty": "OKP", "crv": "Ed25519", "x": x.decode()}

    def mark(self, name: str, timestamp: int, body: str) -> str:
        signed = self.key.sign(f"{name}.{timestamp}.{body}".encode())
        return "v1a," + base64.b64encode(signed).decode()


def hmac_mark(secret: str, name: str, timestamp: int, body: str) -> str:
    """Written from the standard's text, not by the library under test."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{name}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()


def make_body(name: str = "cmd-1", **changes: Any) -> str:
    body: dict[str, Any] = {
        "command_id": name,
        "type": "appointment.book",
        "created_at": "2026-11-20T15:00:00Z",
        "practice_id": PRACTICE,
        "payload": {"start": "2026-11-23T16:00:00Z", "minutes": 60, "operatory_key": "3"},
    }
    body |= changes
    return json.dumps({k: v for k, v in body.items() if v is not None})


def make_lease(
    name: str, timestamp: int, signature: str, body: str, *, sealed_as: str | None = None
) -> dict[str, Any]:
    return {
        "command_id": name,
        "lease_until": "2026-11-20T15:01:00Z",
        "envelope": {
            "id": sealed_as or name,
            "timestamp": timestamp,
            "signature": signature,
            "body": body,
        },
    }


def make_config(*signers: Signer) -> bytes:
    return json.dumps(
        {
            "contract": "1",
            "practice_id": PRACTICE,
            "practice_name": "Willow Creek Dental",
            "types": ["patient"],
            "limits": {"max_items": 1000, "max_body_bytes": 4_000_000, "max_raw_bytes": 32_000_000},
            "intervals": {"heartbeat_s": 30, "poll_wait_s": 25},
            "server_keys": [signer.jwk for signer in signers],
        }
    ).encode()


class RingOf:
    """A key ring whose CRM answers with ``signers`` as they are at that moment."""

    def __init__(self, *signers: Signer, clock: RealClock | None = None, secrets: str = "") -> None:
        self.signers = list(signers)
        self.clock = clock or RealClock()
        self.secrets = secrets
        self.asked = 0
        self.config: CrmConfig | None = None
        self.down: CrmError | None = None
        self.ring = KeyRing(self, self.clock, lambda: self.secrets)

    def refresh_config(self) -> CrmConfig:
        self.asked += 1
        if self.down is not None:
            raise self.down
        self.config = decode(make_config(*self.signers), CrmConfig)
        return self.config
