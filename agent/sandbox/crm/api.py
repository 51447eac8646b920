"""The CRM Sync API's endpoints: HTTP in, this package's parts, HTTP out.

Imports Starlette and this package. Shapes, words and codes are those of
``assets/openapi/crm-sync.yaml``; the tests check every answer against that file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.model.proof import Basis
from agent.model.writing import Outcome
from agent.sandbox.crm import http, switches
from agent.sandbox.crm.accounts import SCOPES, TOKEN_LIFE_S, Caller, OauthRefusal
from agent.sandbox.crm.core import Core
from agent.sandbox.crm.digests import recount
from agent.sandbox.crm.http import answer, instant, read_body, read_json
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.pull import KEY_CHARS, PullApi
from agent.sandbox.crm.rehearsals import Rehearsals
from agent.sandbox.crm.schema import TYPE_ID, TYPE_NAME, State
from agent.sandbox.crm.shapes import (
    AddKey,
    Beat,
    Diff,
    DigestQuery,
    Enroll,
    RejectsQuery,
)
from agent.sandbox.crm.wire import MAX_BODY_BYTES, MAX_ITEMS, MAX_RAW_BYTES, unpack

Endpoint = Callable[[Request], Awaitable[Response]]
CallerEndpoint = Callable[[Request, Caller], Awaitable[Response]]

_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Api:
    """Routes of the contract over one ``Core``."""

    def __init__(self, core: Core, contract: Path) -> None:
        self._core = core
        self._contract = contract
        self._in_flight: set[tuple[str, str]] = set()
        self._push_quota = http.Quota("push", core.settings.push_quota)
        self._pull_quota = http.Quota("pull", core.settings.pull_quota)

    def routes(self) -> list[Route]:
        get, post = ["GET"], ["POST"]
        pull, rehearsals = PullApi(self._core), Rehearsals(self._core)
        return [
            Route("/.well-known/oauth-authorization-server", self.metadata, methods=get),
            Route("/oauth/token", self.token, methods=post),
            Route("/oauth/jwks", self.jwks, methods=get),
            Route("/oauth/revoke", self.revoke, methods=post),
            Route("/v1/agents/enroll", self.enroll, methods=post),
            Route(
                "/v1/agents/self/keys",
                self._by_method(
                    GET=self._open("agent.manage", self.list_keys),
                    POST=self._open("agent.manage", self.add_key),
                ),
                methods=["GET", "POST"],
            ),
            Route(
                "/v1/agents/self/keys/{kid}",
                self._open("agent.manage", self.retire_key),
                methods=["DELETE"],
            ),
            self._get("/v1/agents/self/config", "agent.manage", self.config),
            self._post("/v1/agents/self/heartbeat", "agent.manage", self.heartbeat),
            self._post("/v1/agents/self/rehearsals", "sync.commands", rehearsals.rehearse),
            self._get("/v1/agents/self/rehearsals/{id}", "sync.commands", rehearsals.state),
            self._post("/v1/sync/push", "sync.push", self.push, self._push_quota),
            self._post("/v1/sync/diff", "sync.pull", self.diff),
            self._get("/v1/sync/digests", "sync.pull", self.digests),
            self._get("/v1/sync/digests/{type}/{bucket}", "sync.pull", self.digest_bucket),
            self._get("/v1/sync/changes", "sync.pull", pull.changes),
            self._post("/v1/sync/commands/poll", "sync.commands", pull.poll),
            self._post("/v1/sync/commands/{id}/result", "sync.commands", pull.command_result),
            self._get("/v1/sync/contacts", "sync.pull", pull.contacts),
            self._post("/v1/sync/links", "sync.commands", pull.links),
            self._post("/v1/sync/conflicts", "sync.commands", pull.conflicts),
            self._get("/v1/sync/events", "sync.pull", pull.events),
            self._get("/v1/sync/status", "sync.pull", self.status),
            self._get("/v1/sync/rejects", "sync.pull", self.rejects),
            self._post("/v1/sync/rejects/{id}/retry", "sync.push", self.retry_reject),
            self._get("/v1/records/{type}/{key}/history", "sync.pull", self.history),
            self._get("/v1/records/{type}/{key}", "sync.pull", self.record),
            Route("/openapi.json", self.openapi, methods=get),
            Route("/healthz", self.healthz, methods=get),
        ]

    def _get(self, path: str, scope: str, endpoint: CallerEndpoint) -> Route:
        return Route(path, self._open(scope, endpoint), methods=["GET"])

    def _post(
        self, path: str, scope: str, endpoint: CallerEndpoint, quota: http.Quota | None = None
    ) -> Route:
        return Route(path, self._open(scope, endpoint, quota), methods=["POST"])

    def _open(
        self, scope: str, endpoint: CallerEndpoint, quota: http.Quota | None = None
    ) -> Endpoint:
        """Let the bearer of a token with ``scope`` in, and count the request."""
        counted = quota or self._pull_quota

        async def opened(request: Request) -> Response:
            authorization = request.headers.get("authorization", "")
            caller = self._core.accounts.caller(authorization, scope)
            counts = counted.spend(caller.client_id)
            response = await endpoint(request, caller)
            response.headers.update(counts)
            return response

        return opened

    @staticmethod
    def _by_method(**endpoints: Endpoint) -> Endpoint:
        async def chosen(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await endpoints[method](request)

        return chosen

    # --- discovery ------------------------------------------------------------------------------

    async def metadata(self, _: Request) -> Response:
        issuer = self._core.accounts.issuer
        return answer(
            {
                "issuer": issuer,
                "token_endpoint": self._core.accounts.token_endpoint,
                "jwks_uri": f"{issuer}/oauth/jwks",
                "revocation_endpoint": f"{issuer}/oauth/revoke",
                "response_types_supported": [],
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES384"],
                "scopes_supported": list(SCOPES),
            }
        )

    async def token(self, request: Request) -> Response:
        form = await _form(request)
        try:
            if form.get("grant_type") is None:
                raise OauthRefusal(400, "invalid_request", "grant_type is missing")
            if form["grant_type"] != "client_credentials":
                raise OauthRefusal(400, "unsupported_grant_type")
            assertion = form.get("client_assertion", "")
            if form.get("client_assertion_type") != _ASSERTION_TYPE or not assertion:
                raise OauthRefusal(400, "invalid_request", "private_key_jwt is needed")
            if len(assertion) > 8192 or len(form.get("scope", "")) > 400:
                raise OauthRefusal(400, "invalid_request", "Too long")
            token, scope = self._core.accounts.exchange(assertion, form.get("scope", ""))
        except OauthRefusal as refusal:
            return oauth_refused(refusal)
        content = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE_S,
            "scope": scope,
        }
        return answer(content, headers={"Cache-Control": "no-store"})

    async def jwks(self, _: Request) -> Response:
        return answer(self._core.accounts.jwks())

    async def revoke(self, request: Request) -> Response:
        form = await _form(request)
        token = form.get("token", "")
        if not 0 < len(token) <= 8192:
            return oauth_refused(OauthRefusal(400, "invalid_request", "token is missing"))
        if form.get("token_type_hint", "access_token") != "access_token":
            return oauth_refused(OauthRefusal(400, "invalid_request", "token_type_hint"))
        self._core.accounts.revoke_token(token)
        return answer({})

    async def openapi(self, _: Request) -> Response:
        return answer(read_contract(self._contract))

    async def healthz(self, _: Request) -> Response:
        self._core.store.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        return answer({"status": "ok", "server_time": instant()})

    # --- agents ---------------------------------------------------------------------------------

    async def enroll(self, request: Request) -> Response:
        asked = await read_json(request, Enroll)
        accounts = self._core.accounts
        client_id, kid = accounts.enroll(
            asked.code, asked.public_jwk.public(), asked.label, asked.agent_version
        )
        return answer(
            {
                "client_id": client_id,
                "practice_id": self._core.settings.practice_id,
                "practice_name": self._core.settings.practice_name,
                "location_ids": [],
                "kid": kid,
                "issuer": accounts.issuer,
                "token_endpoint": accounts.token_endpoint,
                "scopes": list(SCOPES),
            },
            201,
        )

    async def list_keys(self, _: Request, caller: Caller) -> Response:
        return answer(self._key_list(caller))

    async def add_key(self, request: Request, caller: Caller) -> Response:
        asked = await read_json(request, AddKey)
        self._core.accounts.add_key(caller.client_id, asked.public_jwk.public(), asked.proof)
        return answer(self._key_list(caller), 201)

    async def retire_key(self, request: Request, caller: Caller) -> Response:
        kid = request.path_params["kid"]
        if not 0 < len(kid) <= 128 or not set(kid) <= KEY_CHARS - {".", ":"}:
            raise Refusal(400, "invalid-request", "kid")
        self._core.accounts.retire_key(caller.client_id, kid)
        return Response(status_code=204)

    def _key_list(self, caller: Caller) -> dict[str, list[dict[str, str]]]:
        keys = self._core.accounts.keys(caller.client_id)
        return {"keys": [{"kid": kid, "added_at": instant(at)} for kid, at in keys]}

    async def config(self, request: Request, _: Caller) -> Response:
        body, tag = self._config()
        given = {one.strip() for one in request.headers.get("if-none-match", "").split(",")}
        if given & {tag, f"W/{tag}", "*"}:
            return Response(status_code=304, headers={"ETag": tag})
        return answer(body, headers={"ETag": tag})

    def _config(self) -> tuple[bytes, str]:
        """The configuration and its ETag."""
        settings = self._core.settings
        body = msgspec.json.encode(
            {
                "contract": "1",
                "practice_id": settings.practice_id,
                "practice_name": settings.practice_name,
                "types": list(TYPE_ID),
                "limits": {
                    "max_items": MAX_ITEMS,
                    "max_body_bytes": MAX_BODY_BYTES,
                    "max_raw_bytes": MAX_RAW_BYTES,
                },
                "intervals": {"heartbeat_s": settings.heartbeat_s, "poll_wait_s": 25},
                "server_keys": self._core.sealer.jwks(),
                "switches": switches.read(self._core.store),
            }
        )
        return body, f'"{sha256(body).hexdigest()[:32]}"'

    async def heartbeat(self, request: Request, caller: Caller) -> Response:
        beat = await read_json(request, Beat)
        self._core.heard(caller.client_id, msgspec.json.encode(beat).decode())
        said = None if beat.capabilities is msgspec.UNSET else beat.capabilities
        self._core.capable(caller.client_id, said, beat.booking_suspended)
        return answer(
            {
                "server_time": instant(),
                "commands_waiting": self._core.commands.waiting(),
                "config_etag": self._config()[1],
                "epoch_known": self._core.intake.knows_journal(beat.journal_uuid, beat.epoch),
            }
        )

    # --- sync -----------------------------------------------------------------------------------

    async def push(self, request: Request, caller: Caller) -> Response:
        given = request.headers.get("idempotency-key", "")
        key = given.removeprefix('"').removesuffix('"')
        if not 8 <= len(key) <= 128 or not set(key) <= KEY_CHARS:
            raise Refusal(400, "missing-idempotency-key")
        http.check_media(request, "application/json")
        flight = (caller.client_id, key)
        if flight in self._in_flight:
            raise Refusal(409, "idempotency-in-flight", headers={"Retry-After": "1"})
        self._in_flight.add(flight)
        try:
            body = await read_body(request)
            raw = unpack(body, request.headers.get("content-encoding", "").lower())
            taken = self._core.intake.push(
                caller.client_id, caller.practice, key, sha256(body).digest(), raw
            )
        finally:
            self._in_flight.discard(flight)
        if taken.moved:
            self._core.wakeups.ring("records")
        headers = {"Idempotent-Replayed": "true"} if taken.replayed else None
        return answer(taken.body, headers=headers)

    async def diff(self, request: Request, _: Caller) -> Response:
        asked = await read_json(request, Diff, 2_000_000)
        if not {item.type for item in asked.items} <= TYPE_ID.keys():
            raise Refusal(400, "invalid-request", "type")
        differing: list[dict[str, str | None]] = []
        for item in asked.items:
            row = self._core.store.execute(
                "SELECT state, lower(hex(hash)) FROM record WHERE type = ? AND key = ?",
                (TYPE_ID[item.type], item.key),
            ).fetchone()
            state, held = (int(row[0]), str(row[1])) if row is not None else (State.STUB, "")
            if state == State.LIVE and held == item.hash:
                continue
            words = {State.LIVE: "different", State.STUB: "missing"}
            differing.append(
                {
                    "type": item.type,
                    "key": item.key,
                    "state": words.get(State(state), "deleted"),
                    "hash": held or None,
                }
            )
        return answer({"checked": len(asked.items), "items": differing})

    async def digests(self, request: Request, _: Caller) -> Response:
        asked = http.query(request, DigestQuery)
        type_id = _type_id(asked.type)
        if asked.basis is Basis.CONTENT:
            seen = await asyncio.to_thread(self._core.read, lambda db: recount(db, type_id))
            self._core.intake.put_right(type_id, seen)
        buckets = self._core.intake.digests.of_type(type_id)
        return answer({"type": asked.type, "basis": asked.basis, "buckets": buckets})

    async def digest_bucket(self, request: Request, _: Caller) -> Response:
        type_id = _type_id(request.path_params["type"])
        number = request.path_params["bucket"]
        if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 256):
            raise Refusal(400, "invalid-request", "bucket")
        rows = await self._core.in_reader(
            "SELECT key, lower(hex(hash)) FROM record WHERE type = ? AND bucket = ? AND state = 0"
            " ORDER BY key",
            (type_id, int(number)),
        )
        return answer({str(key): str(digest) for key, digest in rows})

    async def status(self, _: Request, __: Caller) -> Response:
        return answer(self._core.status())

    # --- records --------------------------------------------------------------------------------

    async def rejects(self, request: Request, _: Caller) -> Response:
        asked = http.query(request, RejectsQuery)
        return answer(self._core.rejects(asked.state, asked.limit))

    async def retry_reject(self, request: Request, _: Caller) -> Response:
        number = request.path_params["id"]
        if not (number.isascii() and number.isdigit() and 0 < int(number[:17]) < 2**53):
            raise Refusal(400, "invalid-request", "id")
        result = self._core.intake.retry(int(number[:17]))
        if result is None:
            raise Refusal(404, "not-found")
        if result.outcome in {Outcome.APPLIED, Outcome.DEFERRED}:
            self._core.wakeups.ring("records")
        return answer(result)

    async def record(self, request: Request, _: Caller) -> Response:
        type_id, key = _place(request)
        row = self._core.store.execute(
            "SELECT r.state, r.version, lower(hex(r.hash)), lower(hex(r.event)), r.arrived_us,"
            " r.merged_into, b.json FROM record r LEFT JOIN body b ON b.rid = r.rid"
            " WHERE r.type = ? AND r.key = ?",
            (type_id, key),
        ).fetchone()
        if row is None:
            raise Refusal(404, "not-found")
        state, version, digest, event, arrived_us, merged_into, content = row
        return answer(
            {
                "type": TYPE_NAME[type_id],
                "key": key,
                "state": State(int(state)).name.lower(),
                "version": version,
                "content_hash": digest or None,
                "event_id": event or None,
                "arrived_at": instant(int(arrived_us)),
                "merged_into": merged_into,
                "data": None if content is None else msgspec.Raw(str(content).encode()),
            }
        )

    async def history(self, request: Request, _: Caller) -> Response:
        type_id, key = _place(request)
        effects = self._core.history(type_id, key)
        if effects is None:
            raise Refusal(404, "not-found")
        return answer({"effects": effects})


def oauth_refused(refusal: OauthRefusal) -> Response:
    content = {"error": refusal.error}
    if refusal.description:
        content["error_description"] = refusal.description
    if refusal.code:
        content["code"] = refusal.code
        content["server_time"] = instant()
    return answer(content, refusal.status, {"Cache-Control": "no-store"})


@lru_cache(maxsize=2)
def read_contract(path: Path) -> bytes:
    """The OpenAPI file as JSON."""
    return msgspec.json.encode(msgspec.yaml.decode(path.read_bytes()))


async def _form(request: Request) -> dict[str, str]:
    http.check_media(request, "application/x-www-form-urlencoded")
    body = await read_body(request, 1_000_000)
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True))
    except ValueError:
        return {}


def _type_id(name: str) -> int:
    type_id = TYPE_ID.get(name)
    if type_id is None:
        raise Refusal(400, "invalid-request", "type")
    return type_id


def _place(request: Request) -> tuple[int, str]:
    key = request.path_params["key"]
    if not 0 < len(key) <= 200 or not set(key) <= KEY_CHARS:
        raise Refusal(400, "invalid-request", "key")
    return _type_id(request.path_params["type"]), key
