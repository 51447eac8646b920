"""Refusals of whole requests: RFC 9457 problems. Imports nothing of ours.

Nothing a request carried is repeated in a problem: it may be patient data.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

BASE: Final = "https://bridgework.example/problems/"

TITLES: Final[dict[str, str]] = {
    "invalid-json": "The body cannot be read",
    "invalid-request": "The request does not fit the contract",
    "contract-unsupported": "This contract version is not spoken here",
    "missing-idempotency-key": "Idempotency-Key is missing or malformed",
    "idempotency-in-flight": "The same request is still being worked on",
    "idempotency-reused": "This Idempotency-Key was used with another body",
    "invalid-token": "The access token is missing or not valid",
    "token-expired": "The access token has expired",
    "insufficient-scope": "The access token does not allow this",
    "wrong-practice": "The token is for another practice",
    "agent-revoked": "This agent's pairing was withdrawn",
    "code-invalid": "The pairing code is not valid (any more)",
    "key-invalid": "The key or the proof of holding it is not acceptable",
    "key-limit": "Two keys are live already",
    "last-key": "The last key cannot be retired",
    "not-found": "There is no such thing",
    "command-finished": "The command ended another way already",
    "command-started": "The command was sent already",
    "command-refused": "Nothing was queued",
    "not-a-test-record": "Only test people may be rehearsed with",
    "contact-linked": "This person is a patient of the practice: edit the patient",
    "cursor-expired": "The cursor is unknown or too old",
    "payload-too-large": "The request is too large",
    "unsupported-media-type": "The body's type or encoding is not taken",
    "method-not-allowed": "Not with this method",
    "quota-exceeded": "Too many requests",
    "temporary-reduced-capacity": "Not now",
    "page-closed": "The page is for this computer only",
    "internal": "The server failed",
}


class Refusal(Exception):
    """Ends a request with a problem. ``headers`` are sent along (Retry-After, WWW-Authenticate)."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(f"{status} {name}")
        self.status = status
        self.name = name
        self.detail = detail
        self.headers = dict(headers or {})
        self.facts = facts

    def body(self) -> bytes:
        problem: dict[str, Any] = {
            "type": BASE + self.name,
            "title": TITLES[self.name],
            "status": self.status,
            "instance": f"urn:uuid:{uuid.uuid4()}",
        }
        if self.detail:
            problem["detail"] = self.detail
        problem.update(
            {name.replace("violated_", "violated-"): f for name, f in self.facts.items()}
        )
        return msgspec.json.encode(problem)
