"""Access tokens: OAuth2 client credentials with ``private_key_jwt`` (RFC 7523, ES384).

A token is shared by all threads, fetched ahead of its end, by one thread at a time. The pairing is
read from the secret store at every fetch, so a key changed by another process is taken up.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import structlog

from agent.crm.pairing import Pairing, PairingStore, sign
from agent.crm.transport import Answer, Transport
from agent.crm.verdict import refusal
from agent.crm.wire import decode
from agent.errors import CrmAuthError, CrmUnavailable
from agent.ports import Clock

_log = structlog.get_logger(__name__)

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FRESH_SHARE = 0.8
_CLOCK_CODES = frozenset({"clock-skew", "assertion-expired"})
_TOKEN_DEADLINE_S = 15.0


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - not a secret


class _Refusal(msgspec.Struct, frozen=True):
    error: str
    code: str = ""


_REFUSAL = msgspec.json.Decoder(_Refusal)  # made once: see wire.decode


class Auth:
    """Bearer tokens for one pairing. Thread-safe."""

    def __init__(self, transport: Transport, pairings: PairingStore, clock: Clock) -> None:
        self._transport = transport
        self._pairings = pairings
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._fresh_until = 0.0

    def bearer(self) -> str:
        """A token with at least a fifth of its life left. Raises CrmUnavailable, CrmAuthError."""
        with self._lock:
            if not self._token or self._clock.mono() >= self._fresh_until:
                self._fetch()
            return self._token

    def renew(self, refused: str) -> str:
        """Another token after the CRM refused this one; fetches once however many threads ask."""
        with self._lock:
            if self._token == refused:
                self._fetch()
            return self._token

    def forget(self) -> None:
        """Drop the token, e.g. after pairing again."""
        with self._lock:
            self._token = ""

    def prove(self, pairing: Pairing, jwk: dict[str, Any]) -> None:
        """Fetch and drop a token signed by ``jwk``: the CRM knows it. Raises as ``bearer``."""
        with self._lock:
            self._exchange(pairing, jwk)

    def now(self) -> datetime:
        """The CRM's idea of now: ours, corrected by the Date header of its answers."""
        skew_s = self._transport.skew_s
        # Below a few seconds the header's resolution is the error, not our clock.
        return self._clock.now() + timedelta(seconds=skew_s if abs(skew_s) > 5 else 0.0)

    def _fetch(self) -> None:
        self._token = ""
        pairing = self._pairings.load()
        token = self._exchange(pairing, pairing.live)
        life_s = max(1.0, float(token.expires_in))
        self._token = token.access_token
        self._fresh_until = self._clock.mono() + life_s * _FRESH_SHARE
        _log.debug("crm.token_fetched", life_s=life_s)

    def _exchange(self, pairing: Pairing, jwk: dict[str, Any]) -> _Token:
        """One token. Tries a second time when only our clock (measured anew by the refusal's Date
        header) or a used-up jti was wrong."""
        answer = self._ask(pairing, jwk)
        if answer.status == 200:
            return decode(answer.body, _Token)
        refused = _read_refusal(answer)
        if refused is not None and refused.code in _CLOCK_CODES | {"replayed"}:
            answer = self._ask(pairing, jwk)
            if answer.status == 200:
                return decode(answer.body, _Token)
            refused = _read_refusal(answer)
        host = self._transport.host
        if refused is None:
            raise refusal(answer, self._clock.now(), host=host)
        if refused.code in _CLOCK_CODES | {"replayed"}:
            raise CrmUnavailable("crm.clock_refused", host=host, reason=refused.code)
        code = "crm.auth_revoked" if refused.code == "agent-revoked" else "crm.auth_refused"
        raise CrmAuthError(code, host=host, reason=refused.code or refused.error)

    def _ask(self, pairing: Pairing, jwk: dict[str, Any]) -> Answer:
        assertion = sign(jwk, client_id=pairing.client_id, audience=pairing.issuer, now=self.now())
        form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_assertion_type": _ASSERTION_TYPE,
                "client_assertion": assertion,
            }
        )
        return self._transport.send(
            "POST",
            "/oauth/token",
            route="token",
            body=form.encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
            deadline_s=_TOKEN_DEADLINE_S,
            replayable=False,
        )


def _read_refusal(answer: Answer) -> _Refusal | None:
    """The OAuth error of an answer, or None where it is not one (a proxy's page, a 429 …)."""
    if answer.status not in {400, 401} or answer.media_type != "application/json":
        return None
    try:
        refused = _REFUSAL.decode(answer.body)
    except msgspec.DecodeError:
        return None
    words = f"{refused.error}{refused.code}".replace("-", "").replace("_", "")
    return refused if len(words) < 80 and words.isascii() and words.isalpha() else None
