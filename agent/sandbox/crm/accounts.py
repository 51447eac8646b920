"""Who may speak to this CRM: pairing codes, agents and their keys, assertions and access tokens.

All cryptography is joserfc's and cryptography's. The reference server keeps its own signing keys in
its database, which is good enough for a machine that only pretends to be a cloud.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import apsw
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us

SCOPES: Final = ("sync.push", "sync.pull", "sync.commands", "agent.manage")
TOKEN_LIFE_S: Final = 300
ASSERTION_LIFE_S: Final = 300
SKEW_S: Final = 60
CODE_LIFE_S: Final = 15 * 60
MAX_LIVE_KEYS: Final = 2
_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_GUESSES_PER_MINUTE: Final = 10


class OauthRefusal(Exception):
    """A refusal in the words of RFC 6749; ``code`` says which check failed."""

    def __init__(self, status: int, error: str, description: str = "", code: str = "") -> None:
        super().__init__(f"{error} {code}")
        self.status = status
        self.error = error
        self.description = description
        self.code = code


class Caller(msgspec.Struct, frozen=True):
    """Who a valid access token speaks for. ``expires_s`` is POSIX time."""

    client_id: str
    practice: str
    scopes: frozenset[str]
    jti: str
    expires_s: int


def issue_code(store: apsw.Connection, life_s: int = CODE_LIFE_S) -> str:
    """Make a one-time pairing code; only its hash is kept."""
    code = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    at = now_us()
    store.execute(
        "INSERT INTO code VALUES(?, ?, ?, NULL)", (_code_hash(code), at, at + life_s * 1_000_000)
    )
    return f"{code[:4]}-{code[4:]}"


def revoke_agent(store: apsw.Connection, client_id: str) -> bool:
    """Withdraw a pairing for good. False when there is no such live agent."""
    store.execute(
        "UPDATE agent SET revoked_us = ? WHERE client_id = ? AND revoked_us IS NULL",
        (now_us(), client_id),
    )
    return store.changes() > 0


def server_secret(store: apsw.Connection, name: str, make: Callable[[], str]) -> str:
    """A value made once per database and kept in it."""
    store.execute("INSERT OR IGNORE INTO meta VALUES(?, ?)", (name, make()))
    row = store.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    assert row is not None
    return str(row[0])


class Accounts:
    """Pairing, keys and tokens. Used from the server's thread only."""

    def __init__(
        self,
        store: apsw.Connection,
        *,
        issuer: str,
        practice: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = store
        self.issuer = issuer
        self.practice = practice
        self._clock = clock
        self._signing = ECKey.import_key(
            msgspec.json.decode(server_secret(store, "token_key", _new_token_key))
        )
        self._kid = self._signing.thumbprint()
        self._seen_tokens: dict[str, Caller] = {}
        self._guesses: deque[float] = deque()

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/oauth/token"

    def jwks(self) -> dict[str, list[dict[str, object]]]:
        public = self._signing.as_dict(private=False)
        return {"keys": [{**public, "kid": self._kid, "alg": "ES384", "use": "sig"}]}

    # --- pairing and keys -----------------------------------------------------------------------

    def enroll(self, code: str, jwk: dict[str, Any], label: str, version: str) -> tuple[str, str]:
        """Use the code up and register the key. Returns (client_id, kid)."""
        self._slow_guessing()
        kid, public = _public_key(jwk)
        at = now_us()
        with self._db:
            self._db.execute(
                "UPDATE code SET used_us = ? WHERE hash = ? AND used_us IS NULL AND expires_us > ?",
                (at, _code_hash(code), at),
            )
            if not self._db.changes():
                raise Refusal(403, "code-invalid")
            self._refuse_known_key(kid)
            client_id = f"agent-{uuid.uuid4()}"
            self._db.execute(
                "INSERT INTO agent(client_id, label, agent_version, enrolled_us)"
                " VALUES(?, ?, ?, ?)",
                (client_id, label, version, at),
            )
            self._db.execute(
                "INSERT INTO agent_key VALUES(?, ?, ?, ?, NULL)", (kid, client_id, public, at)
            )
        return client_id, kid

    def add_key(self, client_id: str, jwk: dict[str, Any], proof: str) -> None:
        kid, public = _public_key(jwk)
        try:
            token = jwt.decode(proof, ECKey.import_key(msgspec.json.decode(public)), ["ES384"])
            self._check_claims(token.claims, client_id)
        except (JoseError, ValueError, OauthRefusal):
            raise Refusal(403, "key-invalid", "The proof does not hold") from None
        with self._db:
            live = [kid for kid, _ in self.keys(client_id)]
            if kid in live:
                return
            self._refuse_known_key(kid)
            if len(live) >= MAX_LIVE_KEYS:
                raise Refusal(409, "key-limit", "Retire one first")
            self._db.execute(
                "INSERT INTO agent_key VALUES(?, ?, ?, ?, NULL)",
                (kid, client_id, public, now_us()),
            )

    def retire_key(self, client_id: str, kid: str) -> None:
        with self._db:
            live = [kid for kid, _ in self.keys(client_id)]
            if kid not in live:
                raise Refusal(404, "not-found")
            if len(live) == 1:
                raise Refusal(409, "last-key")
            self._db.execute("UPDATE agent_key SET retired_us = ? WHERE kid = ?", (now_us(), kid))

    def keys(self, client_id: str) -> list[tuple[str, int]]:
        """Live keys as (kid, added_us), oldest first."""
        return [
            (str(row[0]), int(row[1]))
            for row in self._db.execute(
                "SELECT kid, added_us FROM agent_key WHERE client_id = ? AND retired_us IS NULL"
                " ORDER BY added_us, kid",
                (client_id,),
            )
        ]

    def _refuse_known_key(self, kid: str) -> None:
        if self._db.execute("SELECT 1 FROM agent_key WHERE kid = ?", (kid,)).fetchone():
            raise Refusal(403, "key-invalid", "The key was used before; make a new one")

    def _slow_guessing(self) -> None:
        """Eight letters of thirty and ten guesses a minute: no code is found while it lives."""
        now = self._clock()
        while self._guesses and self._guesses[0] < now - 60:
            self._guesses.popleft()
        if len(self._guesses) >= _GUESSES_PER_MINUTE:
            wait_s = int(60 - (now - self._guesses[0])) + 1
            raise Refusal(429, "quota-exceeded", headers={"Retry-After": str(wait_s)})
        self._guesses.append(now)

    # --- assertions and tokens ------------------------------------------------------------------

    def exchange(self, assertion: str, scope: str) -> tuple[str, str]:
        """Check a client assertion; returns (access token, granted scopes)."""
        client_id = self._check_assertion(assertion)
        wanted = scope.split() or list(SCOPES)
        if not set(wanted) <= set(SCOPES):
            raise OauthRefusal(400, "invalid_scope", "Scopes are: " + " ".join(SCOPES))
        granted = " ".join(dict.fromkeys(wanted))
        now = int(self._clock())
        claims = {
            "iss": self.issuer,
            "sub": client_id,
            "client_id": client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
            "jti": secrets.token_urlsafe(16),
            "scope": granted,
            "practice_id": self.practice,
        }
        header = {"alg": "ES384", "typ": "at+jwt", "kid": self._kid}
        return jwt.encode(header, claims, self._signing, algorithms=["ES384"]), granted

    def _check_assertion(self, assertion: str) -> str:
        refused = 401, "invalid_client"
        try:
            header, claims = _peek(assertion)
        except (JoseError, ValueError, msgspec.DecodeError):
            raise OauthRefusal(*refused, "Not a JWT", "assertion-malformed") from None
        client_id, kid = claims.get("sub"), header.get("kid")
        if not isinstance(client_id, str) or claims.get("iss") != client_id:
            raise OauthRefusal(*refused, "iss and sub must be the client_id", "assertion-malformed")
        agent = self._db.execute(
            "SELECT revoked_us FROM agent WHERE client_id = ?", (client_id,)
        ).fetchone()
        if agent is None:
            raise OauthRefusal(*refused, "No such client", "unknown-client")
        if agent[0] is not None:
            raise OauthRefusal(*refused, "The pairing was withdrawn", "agent-revoked")
        key = self._db.execute(
            "SELECT jwk FROM agent_key WHERE kid = ? AND client_id = ? AND retired_us IS NULL",
            (kid if isinstance(kid, str) else "", client_id),
        ).fetchone()
        if key is None:
            raise OauthRefusal(*refused, "No such live key", "unknown-key")
        try:
            token = jwt.decode(
                assertion, ECKey.import_key(msgspec.json.decode(str(key[0]))), ["ES384"]
            )
        except (JoseError, ValueError):
            raise OauthRefusal(
                *refused, "The signature does not hold", "invalid-signature"
            ) from None
        self._check_claims(token.claims, client_id)
        return client_id

    def _check_claims(self, claims: dict[str, Any], client_id: str) -> None:
        """Subject, audience, times, and that the jti was never used. Raises OauthRefusal."""
        refused = 401, "invalid_client"
        if claims.get("sub") != client_id:
            raise OauthRefusal(*refused, "sub must be the client_id", "assertion-malformed")
        audience = claims.get("aud")
        named = set(audience) if isinstance(audience, list) else {audience}
        if not named & {self.issuer, self.token_endpoint}:
            raise OauthRefusal(*refused, "aud must be the issuer", "wrong-audience")
        issued, expires, jti = claims.get("iat"), claims.get("exp"), claims.get("jti")
        if not (
            isinstance(issued, int | float)
            and isinstance(expires, int | float)
            and isinstance(jti, str)
            and jti
        ):
            raise OauthRefusal(*refused, "iat, exp and jti are required", "assertion-malformed")
        now = self._clock()
        if issued > now + SKEW_S:
            raise OauthRefusal(*refused, "iat is in the future", "clock-skew")
        if expires <= now - SKEW_S:
            code = "clock-skew" if expires < now - 2 * ASSERTION_LIFE_S else "assertion-expired"
            raise OauthRefusal(*refused, "Expired", code)
        if expires - issued > ASSERTION_LIFE_S:
            raise OauthRefusal(*refused, "Lives too long", "assertion-too-long")
        self._use_jti(f"{client_id} {jti}", int(expires) + SKEW_S)

    def _use_jti(self, jti: str, expires_s: int) -> None:
        self._db.execute("DELETE FROM used_jti WHERE expires_s < ?", (int(self._clock()) - SKEW_S,))
        self._db.execute("INSERT OR IGNORE INTO used_jti VALUES(?, ?)", (jti, expires_s))
        if not self._db.changes():
            raise OauthRefusal(401, "invalid_client", "jti was used before", "replayed")

    def caller(self, authorization: str, scope: str) -> Caller:
        """Who sends this request. Raises Refusal 401 or 403."""
        kind, _, token = authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise _unauthorized("invalid-token")
        caller = self._seen_tokens.get(token) or self._read_token(token)
        if caller.expires_s <= self._clock():
            self._seen_tokens.pop(token, None)
            raise _unauthorized("token-expired")
        state = self._db.execute(
            "SELECT revoked_us, EXISTS(SELECT 1 FROM revoked_token WHERE jti = ?) FROM agent"
            " WHERE client_id = ?",
            (caller.jti, caller.client_id),
        ).fetchone()
        if state is None or state[1]:
            raise _unauthorized("invalid-token")
        if state[0] is not None:
            raise Refusal(403, "agent-revoked")
        if scope not in caller.scopes:
            raise Refusal(403, "insufficient-scope", f"Needs {scope}")
        return caller

    def revoke_token(self, token: str) -> None:
        try:
            caller = self._read_token(token)
        except Refusal:
            return
        self._db.execute(
            "DELETE FROM revoked_token WHERE expires_s < ?", (int(self._clock()) - SKEW_S,)
        )
        self._db.execute(
            "INSERT OR IGNORE INTO revoked_token VALUES(?, ?)", (caller.jti, caller.expires_s)
        )

    def _read_token(self, token: str) -> Caller:
        try:
            read = jwt.decode(token, self._signing, algorithms=["ES384"])
        except (JoseError, ValueError):
            raise _unauthorized("invalid-token") from None
        claims = read.claims
        if read.header.get("typ") != "at+jwt" or claims.get("aud") != self.issuer:
            raise _unauthorized("invalid-token")
        caller = Caller(
            claims["sub"],
            claims["practice_id"],
            frozenset(claims["scope"].split()),
            claims["jti"],
            claims["exp"],
        )
        if len(self._seen_tokens) > 1000:
            self._seen_tokens.clear()
        self._seen_tokens[token] = caller
        return caller


def _unauthorized(name: str) -> Refusal:
    return Refusal(401, name, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _public_key(jwk: dict[str, Any]) -> tuple[str, str]:
    """(thumbprint, JSON of the bare public key). Refuses what is not a point on P-384."""
    try:
        key = ECKey.import_key({name: str(jwk[name]) for name in ("kty", "crv", "x", "y")})
        if key.curve_name != "P-384":
            raise ValueError
        return key.thumbprint(), msgspec.json.encode(key.as_dict(private=False)).decode()
    except (JoseError, ValueError, KeyError):
        raise Refusal(403, "key-invalid", "An EC P-384 public key is needed") from None


def _peek(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims without believing them: only to find the key to check them with."""
    from joserfc import jws

    compact = jws.extract_compact(token.encode("ascii"))
    claims = msgspec.json.decode(compact.payload)
    if not isinstance(claims, dict):
        raise ValueError("claims")
    return dict(compact.protected), claims


def _code_hash(code: str) -> bytes:
    letters = "".join(c for c in code.upper() if c.isalnum())
    return sha256(letters.encode()).digest()


def _new_token_key() -> str:
    return msgspec.json.encode(ECKey.generate_key("P-384").as_dict(private=True)).decode()
