"""Pairing with the CRM and changing the key afterwards. See ``pairing`` for what is kept.

Order is everything here: what only we know is stored before the CRM hears of it, and what the CRM
will stop accepting is dropped only after its successor has been seen to work.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from agent.crm.auth import Auth
from agent.crm.pairing import Pairing, PairingStore, kid_of, new_key, public_of, sign
from agent.crm.transport import Answer, Transport
from agent.crm.verdict import problem_name, refusal
from agent.crm.wire import decode
from agent.errors import ConfigError, CrmAuthError
from agent.ports import Clock

_log = structlog.get_logger(__name__)

KEY_LIFE = timedelta(days=90)
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{2,38}[A-Za-z0-9]")


class _Enrolled(msgspec.Struct, frozen=True):
    client_id: str
    practice_id: str
    practice_name: str
    kid: str
    issuer: str


class _Key(msgspec.Struct, frozen=True):
    kid: str


class _Keys(msgspec.Struct, frozen=True):
    keys: list[_Key]


def enroll(
    code: str,
    *,
    transport: Transport,
    pairings: PairingStore,
    clock: Clock,
    agent_version: str,
    label: str = "",
) -> Pairing:
    """Spend a one-time code: a key pair is made here, the CRM gets the public half.

    Replaces an earlier pairing only when the new one is granted. Raises ConfigError for a text that
    cannot be a code, CrmAuthError (crm.code_refused) for one the CRM does not take, CrmUnavailable.
    After CrmUnavailable the code may be spent: ask for another.
    """
    code = code.strip()
    if not _CODE.fullmatch(code):
        raise ConfigError("crm.code_invalid")
    jwk = new_key()
    draft = Pairing("x" * 40, "x" * 40, "x" * 60, transport.base_url, jwk, "x" * 20, jwk, "x" * 43)
    pairings.rehearse(draft)
    request: dict[str, Any] = {
        "code": code,
        "public_jwk": public_of(jwk),
        "agent_version": agent_version,
    }
    if label:
        request["label"] = label[:100]
    answer = transport.send(
        "POST",
        "/v1/agents/enroll",
        route="enroll",
        body=msgspec.json.encode(request),
        headers={"content-type": "application/json"},
        replayable=False,
    )
    if answer.status != 201:
        name = problem_name(answer)
        if name and answer.status in {400, 403, 422}:
            raise CrmAuthError("crm.code_refused", host=transport.host, reason=name)
        raise refusal(answer, clock.now(), host=transport.host)
    granted = decode(answer.body, _Enrolled)
    if granted.kid != kid_of(jwk):
        raise CrmAuthError("crm.key_mismatch", host=transport.host)
    pairing = Pairing(
        client_id=granted.client_id,
        practice_id=granted.practice_id,
        practice_name=granted.practice_name[:60],
        issuer=granted.issuer,
        live=jwk,
        live_since=_stamp(clock.now()),
    )
    pairings.save(pairing)
    _log.info("crm.paired", client_id=pairing.client_id, practice_id=pairing.practice_id)
    return pairing


class Rotation:
    """Changes the agent's key without a gap. Any step may be the last before a crash: calling
    ``rotate`` or ``resume`` again finishes the work."""

    def __init__(
        self, transport: Transport, auth: Auth, pairings: PairingStore, clock: Clock
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._pairings = pairings
        self._clock = clock

    def is_due(self) -> bool:
        """True when the live key is 90 days old or a rotation was left unfinished."""
        pairing = self._pairings.find()
        if pairing is None:
            return False
        born = datetime.fromisoformat(pairing.live_since)
        return pairing.is_rotating or self._clock.now() - born >= KEY_LIFE

    def rotate(self) -> Pairing:
        """Add a new key, see it work, take it up, retire the old one. Raises the Crm* errors."""
        pairing = self._pairings.load()
        if pairing.old_kid:
            pairing = self._retire_old(pairing)
        if pairing.next is None:
            pairing = msgspec.structs.replace(pairing, next=new_key())
            self._pairings.save(pairing)
        return self._take_up(pairing)

    def resume(self) -> Pairing:
        """Finish a rotation that was cut off; does nothing otherwise."""
        pairing = self._pairings.load()
        if pairing.next is not None:
            return self._take_up(pairing)
        return self._retire_old(pairing) if pairing.old_kid else pairing

    def _take_up(self, pairing: Pairing) -> Pairing:
        fresh = pairing.next
        if fresh is None:
            return pairing
        known = self._known_kids()
        # Keys the CRM has and we have not (a restored machine) would fill its two places.
        for kid in known - {pairing.live_kid, kid_of(fresh)}:
            self._retire(kid)
        if kid_of(fresh) not in known:
            self._add(pairing, fresh)
        self._auth.prove(pairing, fresh)
        taken = msgspec.structs.replace(
            pairing,
            live=fresh,
            live_since=_stamp(self._clock.now()),
            next=None,
            old_kid=pairing.live_kid,
        )
        self._pairings.save(taken)
        _log.info("crm.key_rotated", kid=taken.live_kid)
        return self._retire_old(taken)

    def _retire_old(self, pairing: Pairing) -> Pairing:
        self._auth.forget()
        self._retire(pairing.old_kid)
        done = msgspec.structs.replace(pairing, old_kid="")
        self._pairings.save(done)
        return done

    def _known_kids(self) -> set[str]:
        answer = self._call("GET", "/v1/agents/self/keys", route="keys")
        if answer.status != 200:
            raise refusal(answer, self._clock.now(), host=self._transport.host)
        return {key.kid for key in decode(answer.body, _Keys).keys}

    def _add(self, pairing: Pairing, jwk: dict[str, Any]) -> None:
        proof = sign(
            jwk, client_id=pairing.client_id, audience=pairing.issuer, now=self._auth.now()
        )
        body = msgspec.json.encode({"public_jwk": public_of(jwk), "proof": proof})
        answer = self._call("POST", "/v1/agents/self/keys", route="key_add", body=body)
        if answer.status != 201:
            raise refusal(answer, self._clock.now(), host=self._transport.host)

    def _retire(self, kid: str) -> None:
        answer = self._call("DELETE", f"/v1/agents/self/keys/{kid}", route="key_retire")
        if answer.status not in {204, 404}:
            raise refusal(answer, self._clock.now(), host=self._transport.host)

    def _call(self, method: str, path: str, *, route: str, body: bytes | None = None) -> Answer:
        token = self._auth.bearer()
        for attempt in (1, 2):
            headers = {"authorization": f"Bearer {token}"}
            if body is not None:
                headers["content-type"] = "application/json"
            answer = self._transport.send(
                method, path, route=route, body=body, headers=headers, replayable=method != "POST"
            )
            if answer.status != 401 or attempt == 2 or not problem_name(answer):
                return answer
            token = self._auth.renew(token)
        raise AssertionError("unreachable")


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
