"""What the CRM wants done in the practice (commands) and tells it (changes it owns).

Imports apsw, msgspec and this package's schema. Delivery is at-least-once by lease; the agent makes
it effectively once. Envelopes are Standard Webhooks messages signed by Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from agent.sandbox.crm.http import instant
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us

LEASE_S: Final = 60
_TERMINAL: Final = frozenset({"applied", "rejected", "expired", "superseded"})


class Lease(msgspec.Struct, frozen=True):
    command_id: str
    lease_until: str
    envelope: dict[str, str | int]


def enqueue(
    store: apsw.Connection,
    kind: str,
    payload: dict[str, Any],
    *,
    target: dict[str, Any] | None = None,
    precondition: dict[str, Any] | None = None,
    priority: int = 100,
    not_after_us: int | None = None,
) -> str:
    """Queue a command; returns its id."""
    command_id = str(uuid.uuid4())
    at = now_us()
    body: dict[str, Any] = {
        "command_id": command_id,
        "type": kind,
        "created_at": instant(at),
        "priority": priority,
        "payload": payload,
    }
    if target is not None:
        body["target"] = target
    if precondition is not None:
        body["precondition"] = precondition
    if not_after_us is not None:
        body["not_after"] = instant(not_after_us)
    store.execute(
        "INSERT INTO command(id, type, body, state, priority, created_us, not_after_us)"
        " VALUES(?, ?, ?, 'queued', ?, ?, ?)",
        (command_id, kind, msgspec.json.encode(body).decode(), priority, at, not_after_us),
    )
    return command_id


def own_change(
    store: apsw.Connection, type_name: str, key: str, content: dict[str, Any] | None
) -> None:
    """Record a change the CRM owns; None deletes."""
    store.execute(
        "INSERT INTO crm_change(at_us, type, key, op, json) VALUES(?, ?, ?, ?, ?)",
        (
            now_us(),
            type_name,
            key,
            "delete" if content is None else "upsert",
            None if content is None else msgspec.json.encode(content).decode(),
        ),
    )


class Commands:
    """The queue as agents see it. Used from the server's thread only."""

    def __init__(self, store: apsw.Connection, envelope_key: OKPKey, kept_s: int = 90 * 86400):
        self._db = store
        self._key = envelope_key
        self._kept_s = kept_s

    def waiting(self) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM command WHERE state = 'queued'"
            " OR (state = 'leased' AND lease_us < ?)",
            (now_us(),),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def acknowledge(self, client: str, ack: Iterable[str], errs: Mapping[str, str]) -> None:
        at = now_us()
        with self._db:
            self._db.executemany(
                "UPDATE command SET state = 'applying' WHERE id = ? AND client = ?"
                " AND state = 'leased'",
                [(command_id, client) for command_id in ack],
            )
            self._db.executemany(
                "UPDATE command SET state = 'rejected', done_us = ?, result = ? WHERE id = ?"
                " AND client = ? AND state IN ('leased', 'applying')",
                [
                    (at, msgspec.json.encode({"state": "rejected", "reason_code": why}).decode(),
                     command_id, client)
                    for command_id, why in errs.items()
                ],
            )  # fmt: skip

    def lease(
        self, client: str, capabilities: Sequence[str], most: int
    ) -> tuple[list[Lease], bool]:
        """Lease up to ``most`` commands the agent can do; and are there more?"""
        at = now_us()
        with self._db:
            self._db.execute(
                "UPDATE command SET state = 'expired', done_us = ? WHERE not_after_us < ?"
                " AND state IN ('queued', 'leased')",
                (at, at),
            )
            rows = self._db.execute(
                "SELECT id, body FROM command WHERE (state = 'queued'"
                "   OR (state = 'leased' AND lease_us < ?))"
                " AND coalesce(not_before_us, 0) <= ?"
                " AND type IN (SELECT value FROM json_each(?))"
                " ORDER BY priority, created_us LIMIT ?",
                (at, at, msgspec.json.encode(list(capabilities)).decode(), most + 1),
            ).fetchall()
            until = at + LEASE_S * 1_000_000
            leased = rows[:most]
            self._db.executemany(
                "UPDATE command SET state = 'leased', lease_us = ?, client = ? WHERE id = ?",
                [(until, client, str(row[0])) for row in leased],
            )
        return (
            [
                Lease(str(row[0]), instant(until), self._seal(str(row[0]), str(row[1])))
                for row in leased
            ],
            len(rows) > most,
        )

    def finish(self, command_id: str, state: str, result: dict[str, Any]) -> str:
        """Record how a command ended; returns its state. Raises Refusal 404, 409."""
        row = self._db.execute(
            "SELECT state, result FROM command WHERE id = ?", (command_id,)
        ).fetchone()
        if row is None:
            raise Refusal(404, "not-found")
        text = msgspec.json.encode(result).decode()
        if row[0] in _TERMINAL:
            if row[0] != state:
                raise Refusal(409, "command-finished")
            return state
        done_us = now_us() if state in _TERMINAL else None
        self._db.execute(
            "UPDATE command SET state = ?, result = ?, done_us = ? WHERE id = ?",
            (state, text, done_us, command_id),
        )
        return state

    # --- changes the CRM owns -------------------------------------------------------------------

    def changes(self, cursor: str, limit: int) -> tuple[list[dict[str, Any]], str, bool]:
        """A page of changes after the cursor: (changes, next cursor, more)."""
        after = self._after(cursor)
        rows = self._db.execute(
            "SELECT seq, type, key, op, at_us, json FROM crm_change WHERE seq > ?"
            " ORDER BY seq LIMIT ?",
            (after, limit + 1),
        ).fetchall()
        page: list[dict[str, Any]] = []
        for seq, type_name, key, op, at_us, content in rows[:limit]:
            change: dict[str, Any] = {
                "seq": seq, "type": type_name, "key": key, "op": op, "at": instant(int(str(at_us))),
            }  # fmt: skip
            if content is not None:
                change["data"] = msgspec.Raw(str(content).encode())
            page.append(change)
        last = page[-1]["seq"] if page else after
        return page, _cursor(last), len(rows) > limit

    def _after(self, cursor: str) -> int:
        if not cursor:
            return 0
        try:
            word, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).partition(
                b":"
            )
            after = int(number)
        except (ValueError, binascii.Error):
            word, after = b"", 0
        if word != b"c1":
            raise Refusal(410, "cursor-expired")
        oldest_us = (time.time() - self._kept_s) * 1e6
        gone = self._db.execute(
            "SELECT 1 FROM crm_change WHERE seq > ? AND at_us < ? LIMIT 1", (after, int(oldest_us))
        ).fetchone()
        newest = self._db.execute("SELECT coalesce(max(seq), 0) FROM crm_change").fetchone()
        assert newest is not None
        if gone or not 0 <= after <= int(newest[0]):
            raise Refusal(410, "cursor-expired")
        return after

    def _seal(self, command_id: str, body: str) -> dict[str, str | int]:
        """Standard Webhooks v1a: Ed25519 over ``id.timestamp.body``."""
        key = self._key.private_key
        assert isinstance(key, Ed25519PrivateKey)
        stamp = int(time.time())
        signed = key.sign(f"{command_id}.{stamp}.{body}".encode())
        signature = "v1a," + base64.b64encode(signed).decode()
        return {"id": command_id, "timestamp": stamp, "signature": signature, "body": body}


def _cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(b"c1:%d" % seq).rstrip(b"=").decode()
