"""Pairing, assertions, tokens and keys: who gets in, and everybody who does not."""

from __future__ import annotations

import secrets
import sqlite3
import time
from contextlib import closing
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from agent.sandbox.crm import CrmServer
from agent.sandbox.crm.accounts import issue_code
from agent.sandbox.crm.schema import connect
from tests.sandbox.crm.desk import Desk, public


def problem(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition("/")[2]


def enroll(desk: Desk, code: str, key: ECKey | None = None) -> httpx.Response:
    body = {
        "code": code,
        "public_jwk": public(key or ECKey.generate_key("P-384")),
        "agent_version": "0.1.0",
    }
    return desk.http.post("/v1/agents/enroll", json=body)


def test_a_code_works_once_however_it_is_typed(desk: Desk, server: CrmServer) -> None:
    code = server.new_code()
    first = enroll(desk, f" {code.lower().replace('-', ' ')} ")
    assert first.status_code == 201
    assert first.json()["practice_id"] == "demo"
    assert first.json()["issuer"] == server.url
    again = enroll(desk, code)
    assert (again.status_code, problem(again)) == (403, "code-invalid")


def test_codes_expire_and_are_not_kept_readable(desk: Desk, server: CrmServer) -> None:
    with closing(connect(server.db)) as store:
        old = issue_code(store, life_s=-1)
    assert problem(enroll(desk, old)) == "code-invalid"
    fresh = server.new_code()
    kept = b"".join(path.read_bytes() for path in server.db.parent.glob("crm.db*"))
    assert fresh.replace("-", "").encode() not in kept


def test_guessing_codes_is_slow(desk: Desk, server: CrmServer) -> None:
    answers = [enroll(desk, f"AAAA-AA{n:02d}").status_code for n in range(12)]
    assert answers[:9] == [403] * 9, "one of the ten was the desk's own pairing"
    assert answers[9:] == [429] * 3
    last = enroll(desk, server.new_code())
    assert last.status_code == 429, "even a right code waits"
    assert 0 < int(last.headers["Retry-After"]) <= 61


def test_a_code_is_not_spent_on_a_key_that_is_none(desk: Desk, server: CrmServer) -> None:
    code = server.new_code()
    off_curve = {"kty": "EC", "crv": "P-384", "x": "A" * 64, "y": "B" * 64}
    body = {"code": code, "public_jwk": off_curve, "agent_version": "0.1.0"}
    answer = desk.http.post("/v1/agents/enroll", json=body)
    assert (answer.status_code, problem(answer)) == (403, "key-invalid")
    assert enroll(desk, code).status_code == 201


def test_a_private_key_is_never_taken(desk: Desk, server: CrmServer) -> None:
    private = {k: str(v) for k, v in ECKey.generate_key("P-384").as_dict(private=True).items()}
    body = {
        "code": server.new_code(),
        "public_jwk": {n: private[n] for n in ("kty", "crv", "x", "y", "d")},
        "agent_version": "0.1.0",
    }
    assert desk.http.post("/v1/agents/enroll", json=body).status_code == 400
    assert private["d"].encode() not in server.db.read_bytes()


def test_a_token_names_practice_scope_and_end(desk: Desk, server: CrmServer) -> None:
    token = desk.authorize("sync.push sync.pull")
    keys = desk.http.get("/oauth/jwks").json()["keys"]
    read = jwt.decode(token, ECKey.import_key(keys[0]), algorithms=["ES384"])
    assert read.header["typ"] == "at+jwt"
    assert read.claims["practice_id"] == "demo"
    assert read.claims["scope"] == "sync.push sync.pull"
    assert read.claims["exp"] - read.claims["iat"] == 300
    assert "d" not in keys[0]


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": -400, "iat": -500}, "assertion-expired"),
        ({"exp": -4000, "iat": -4100}, "clock-skew"),
        ({"iat": 600, "exp": 700}, "clock-skew"),
        ({"exp": 400}, "assertion-too-long"),
        ({"aud": "https://other.example"}, "wrong-audience"),
        ({"aud": None}, "wrong-audience"),
        ({"sub": "someone-else"}, "assertion-malformed"),
        ({"iss": "nobody", "sub": "nobody"}, "unknown-client"),
        ({"jti": ""}, "assertion-malformed"),
        ({"jti": 7}, "assertion-malformed"),
        ({"exp": None}, "assertion-malformed"),
    ],
)
def test_assertions_that_are_refused(desk: Desk, claims: dict[str, Any], code: str) -> None:
    now = int(time.time())
    absolute = {
        name: now + value if name in {"exp", "iat"} and value is not None else value
        for name, value in claims.items()
    }
    answer = desk.ask_token(desk.assertion(**absolute))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["code"] == code
    assert answer.json()["server_time"].endswith("Z")


def test_an_assertion_is_good_once(desk: Desk) -> None:
    assertion = desk.assertion()
    assert desk.ask_token(assertion).status_code == 200
    again = desk.ask_token(assertion)
    assert (again.status_code, again.json()["code"]) == (401, "replayed")


def test_the_token_endpoint_is_an_audience_too(desk: Desk, server: CrmServer) -> None:
    assert desk.ask_token(desk.assertion(aud=f"{server.url}/oauth/token")).status_code == 200
    assert desk.ask_token(desk.assertion(aud=["x", server.url])).status_code == 200


def test_a_key_that_is_not_ours(desk: Desk) -> None:
    stranger = ECKey.generate_key("P-384")
    answer = desk.ask_token(desk.assertion(stranger))
    assert answer.json()["code"] == "invalid-signature"
    answer = desk.ask_token(desk.assertion(stranger, kid=stranger.thumbprint()))
    assert answer.json()["code"] == "unknown-key"


def test_weaker_algorithms_are_not_spoken(desk: Desk, server: CrmServer) -> None:
    claims = {
        "iss": desk.client_id, "sub": desk.client_id, "aud": server.url,
        "iat": int(time.time()), "exp": int(time.time()) + 60, "jti": secrets.token_hex(8),
    }  # fmt: skip
    header = {"alg": "ES256", "kid": desk.kid}
    other = jwt.encode(header, claims, ECKey.generate_key("P-256"), algorithms=["ES256"])
    assert desk.ask_token(other).json()["code"] == "invalid-signature"
    for nonsense in ("x", "a.b.c", "..", "é", desk.assertion()[:-10], "0" * 600):
        answer = desk.ask_token(nonsense)
        assert answer.status_code == 401, nonsense


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_request"),
    ],
)
def test_token_requests_that_are_none(desk: Desk, form: dict[str, str], error: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = desk.http.post("/oauth/token", data=form, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_scopes_are_kept_apart(desk: Desk) -> None:
    assert desk.ask_token(desk.assertion(), "sync.push admin").json()["error"] == "invalid_scope"
    desk.authorize("sync.pull")
    assert desk.http.get("/v1/sync/status").status_code == 200
    for path in ("/v1/agents/self/config", "/v1/agents/self/keys"):
        answer = desk.http.get(path)
        assert (answer.status_code, problem(answer)) == (403, "insufficient-scope")
    assert desk.send(b"{}", "12345678").status_code == 403


def test_requests_without_a_good_token(desk: Desk, server: CrmServer) -> None:
    good = desk.http.headers["Authorization"]
    header, claims, signature = good.removeprefix("Bearer ").split(".")
    other = ECKey.generate_key("P-384")
    forged = jwt.encode(
        {"alg": "ES384", "typ": "at+jwt"},
        {"sub": desk.client_id, "practice_id": "demo", "scope": "sync.pull", "aud": server.url,
         "jti": "x", "exp": int(time.time()) + 60},
        other, algorithms=["ES384"],
    )  # fmt: skip
    for bad in (
        "", "Basic abc", "Bearer", "Bearer x", f"Bearer {forged}",
        f"Bearer {header}.{claims}.{signature[:-4]}AAAA", f"Bearer {desk.assertion()}",
    ):  # fmt: skip
        answer = desk.http.get("/v1/sync/status", headers={"Authorization": bad})
        assert (answer.status_code, problem(answer)) == (401, "invalid-token"), bad
        assert "WWW-Authenticate" in answer.headers
    assert desk.http.get("/v1/sync/status").status_code == 200


def test_an_expired_token_says_so(
    desk: Desk, server: CrmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.http.get("/v1/sync/status").status_code == 200
    later = time.time() + 301
    monkeypatch.setattr(server.core.accounts, "_clock", lambda: later)
    answer = desk.http.get("/v1/sync/status")
    assert (answer.status_code, problem(answer)) == (401, "token-expired")


def test_a_token_can_be_given_up(desk: Desk) -> None:
    token = desk.authorize()
    for _ in range(2):
        assert desk.http.post("/oauth/revoke", data={"token": token}).status_code == 200
    assert desk.http.get("/v1/sync/status").status_code == 401
    assert desk.http.post("/oauth/revoke", data={"token": "unknown"}).status_code == 200
    desk.authorize()
    assert desk.http.get("/v1/sync/status").status_code == 200


def test_a_withdrawn_pairing_ends_everything(desk: Desk, server: CrmServer) -> None:
    assert server.revoke(desk.client_id)
    answer = desk.http.get("/v1/sync/status")
    assert (answer.status_code, problem(answer)) == (403, "agent-revoked")
    assert desk.ask_token(desk.assertion()).json()["code"] == "agent-revoked"
    assert not server.revoke(desk.client_id)


def proof(desk: Desk, key: ECKey, **claims: Any) -> str:
    return desk.assertion(key, kid=key.thumbprint(), **claims)


def test_rotation_without_a_gap(desk: Desk) -> None:
    new = ECKey.generate_key("P-384")
    old = desk.kid
    body = {"public_jwk": public(new), "proof": proof(desk, new)}
    added = desk.http.post("/v1/agents/self/keys", json=body)
    assert added.status_code == 201
    assert [k["kid"] for k in added.json()["keys"]] == [old, new.thumbprint()]
    assert desk.ask_token(desk.assertion()).status_code == 200, "the old one still signs"
    with_old = desk.assertion()
    desk.key, desk.kid = new, new.thumbprint()
    desk.authorize()
    assert desk.http.delete(f"/v1/agents/self/keys/{old}").status_code == 204
    assert desk.ask_token(with_old).json()["code"] == "unknown-key", "retired"
    assert desk.http.get("/v1/agents/self/keys").json()["keys"][0]["kid"] == new.thumbprint()
    assert desk.http.delete(f"/v1/agents/self/keys/{old}").status_code == 404
    answer = desk.http.delete(f"/v1/agents/self/keys/{new.thumbprint()}")
    assert (answer.status_code, problem(answer)) == (409, "last-key")


def test_adding_a_key_again_is_no_error_and_a_third_is(desk: Desk) -> None:
    new = ECKey.generate_key("P-384")
    for _ in range(2):
        body = {"public_jwk": public(new), "proof": proof(desk, new)}
        assert desk.http.post("/v1/agents/self/keys", json=body).status_code == 201
    third = ECKey.generate_key("P-384")
    body = {"public_jwk": public(third), "proof": proof(desk, third)}
    answer = desk.http.post("/v1/agents/self/keys", json=body)
    assert (answer.status_code, problem(answer)) == (409, "key-limit")


def test_a_key_must_be_shown_to_be_held(desk: Desk) -> None:
    new, other = ECKey.generate_key("P-384"), ECKey.generate_key("P-384")
    for bad in (
        proof(desk, other),
        proof(desk, new, sub="another"),
        proof(desk, new, aud="https://other.example"),
        proof(desk, new, exp=int(time.time()) - 400, iat=int(time.time()) - 500),
        "nonsense",
    ):
        body = {"public_jwk": public(new), "proof": bad}
        answer = desk.http.post("/v1/agents/self/keys", json=body)
        assert (answer.status_code, problem(answer)) == (403, "key-invalid")
    assert len(desk.http.get("/v1/agents/self/keys").json()["keys"]) == 1


def test_a_retired_key_never_comes_back(desk: Desk, server: CrmServer) -> None:
    answer = enroll(desk, server.new_code(), desk.key)
    assert (answer.status_code, problem(answer)) == (403, "key-invalid")


def test_config_is_cached_by_etag(desk: Desk) -> None:
    first = desk.http.get("/v1/agents/self/config")
    assert first.json()["limits"]["max_items"] == 1000
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        again = desk.http.get("/v1/agents/self/config", headers={"If-None-Match": given})
        assert (again.status_code, again.headers["ETag"]) == (304, tag)
    changed = desk.http.get("/v1/agents/self/config", headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200


def test_heartbeats_tell_freshness_and_unknown_epochs(desk: Desk, server: CrmServer) -> None:
    beat = {
        "agent_version": "0.1.0", "pms_kind": "opendental", "pms_version": "21.1.9.0",
        "journal_uuid": desk.journal, "epoch": 1, "last_read_at": "2026-11-20T15:00:00Z",
        "last_write_at": None, "oldest_unsent_s": 0.25, "oldest_unverified_s": None,
        "open_conflicts": 0, "parked": 2, "pending_batches": 0,
    }  # fmt: skip
    first = desk.http.post("/v1/agents/self/heartbeat", json=beat).json()
    assert (first["epoch_known"], first["commands_waiting"]) == (False, 0)
    desk.push(desk.change("patient", "1", {}))
    assert desk.http.post("/v1/agents/self/heartbeat", json=beat).json()["epoch_known"] is True
    other = desk.http.post("/v1/agents/self/heartbeat", json=beat | {"epoch": 2}).json()
    assert other["epoch_known"] is False
    status = desk.http.get("/v1/sync/status").json()
    assert status["heartbeat"]["parked"] == 2
    assert status["last_heartbeat_at"] is not None
    with closing(sqlite3.connect(server.db)) as db:
        assert db.execute("SELECT count(*) FROM agent WHERE beat IS NOT NULL").fetchone() == (1,)
    for wrong in ({"epoch": -1}, {"parked": "2"}, {"journal_uuid": ""}):
        answer = desk.http.post("/v1/agents/self/heartbeat", json=beat | wrong)
        assert answer.status_code == 400
