"""A small agent for the tests of the reference CRM: it pairs, signs and pushes by the contract.

Deliberately not ``agent.crm``: the server is tested by a client that shares no code with ours.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

from agent.sandbox.crm import CrmServer
from agent.sandbox.crm.schema import connect

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def canon(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def content_hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:32]


def uuid7() -> str:
    """A UUID version 7, as the journal makes them."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(3 << 62) | 2 << 62
    return str(uuid.UUID(int=number))


class Desk:
    """Pairs with a server at once. ``push`` sends changes; everything else is plain httpx."""

    def __init__(self, server: CrmServer) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.url, timeout=20, trust_env=False)
        self.journal = uuid.uuid4().hex
        self.epoch = 1
        self.key = ECKey.generate_key("P-384")
        self.kid = ""
        self.client_id = ""
        self._versions = itertools.count(1)
        self.enroll(server.new_code())
        self.authorize()

    def close(self) -> None:
        self.http.close()

    def enroll(self, code: str) -> None:
        answer = self.http.post(
            "/v1/agents/enroll",
            json={
                "code": code,
                "public_jwk": public(self.key),
                "agent_version": "0.1.0",
                "label": "test",
            },
        )
        assert answer.status_code == 201, answer.text
        self.client_id, self.kid = answer.json()["client_id"], answer.json()["kid"]

    def assertion(self, key: ECKey | None = None, kid: str | None = None, **claims: Any) -> str:
        now = int(time.time())
        body = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.server.url,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_hex(8),
        } | claims
        header = {"alg": "ES384", "typ": "JWT", "kid": self.kid if kid is None else kid}
        return jwt.encode(header, body, key or self.key, algorithms=["ES384"])

    def ask_token(self, assertion: str, scope: str = "") -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            "client_assertion": assertion,
        }
        if scope:
            form["scope"] = scope
        return self.http.post("/oauth/token", data=form)

    def authorize(self, scope: str = "") -> str:
        answer = self.ask_token(self.assertion(), scope)
        assert answer.status_code == 200, answer.text
        token = str(answer.json()["access_token"])
        self.http.headers["Authorization"] = f"Bearer {token}"
        return token

    def change(
        self,
        type_name: str,
        key: str,
        content: dict[str, Any] | None = None,
        *,
        op: str = "upsert",
        **more: Any,
    ) -> dict[str, Any]:
        """A change; ``raw`` content is put in later byte for byte."""
        version = more.pop("version", None) or next(self._versions)
        change: dict[str, Any] = {
            "event_id": secrets.token_hex(16),
            "type": type_name,
            "key": key,
            "op": op,
            "version": version,
        }
        if op == "upsert":
            change["data"] = content or {}
            change["content_hash"] = content_hash(canon(content or {}))
        return change | more

    def body(self, changes: list[Any], batch_id: str, **source: Any) -> bytes:
        return canon(
            {
                "contract": "1",
                "batch_id": batch_id,
                "source": {
                    "agent": "0.1.0",
                    "journal": self.journal,
                    "epoch": self.epoch,
                    "practice": "demo",
                    "pms": "opendental",
                    "pms_version": "21.1.9.0",
                }
                | source,
                "changes": changes,
            }
        )

    def send(
        self,
        body: bytes,
        key: str,
        *,
        zipped: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        sent = {"Content-Type": "application/json", "Idempotency-Key": key, **(headers or {})}
        if zipped:
            sent["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
        return self.http.post("/v1/sync/push", content=body, headers=sent)

    def push(self, *changes: Any, zipped: bool = False, **source: Any) -> list[dict[str, Any]]:
        """Push and return the results."""
        batch_id = uuid7()
        answer = self.send(self.body(list(changes), batch_id, **source), batch_id, zipped=zipped)
        assert answer.status_code == 200, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def outcomes(self, *changes: Any, **source: Any) -> list[str]:
        return [result["outcome"] for result in self.push(*changes, **source)]


def stored(server: CrmServer, sql: str, *bindings: object) -> list[tuple[Any, ...]]:
    """Rows of the server's file, read or changed as another process would: the server's own
    connection belongs to its thread."""
    with contextlib.closing(connect(server.db)) as store:
        return store.execute(sql, bindings).fetchall()


def public(key: ECKey) -> dict[str, Any]:
    """The public JWK."""
    return {name: str(key.as_dict(private=False)[name]) for name in ("kty", "crv", "x", "y")}
