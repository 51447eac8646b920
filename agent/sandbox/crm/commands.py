"""The command queue as agents see it, and the changes the CRM owns.

Imports apsw, msgspec and this package. Delivery is at-least-once by lease; the agent makes it
effectively once. Making commands is in ``orders``, sealing them in ``envelopes``.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
import msgspec

from agent.sandbox.crm.envelopes import Envelope, Sealer
from agent.sandbox.crm.http import instant
from agent.sandbox.crm.orders import ENDED
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us


class Lease(msgspec.Struct, frozen=True):
    command_id: str
    lease_until: str
    envelope: Envelope


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
    """Used from the server's thread only. ``lease_s``: how long a delivery waits for its ack."""

    def __init__(
        self, store: apsw.Connection, sealer: Sealer, lease_s: float, kept_s: int = 90 * 86400
    ) -> None:
        self._db = store
        self._sealer = sealer
        self._lease_us = int(lease_s * 1e6)
        self._kept_s = kept_s

    def waiting(self) -> int:
        row = self._db.execute(
            "SELECT count(*) FROM command WHERE state = 'queued'"
            " OR (state = 'leased' AND lease_us < ?)",
            (now_us(),),
        ).fetchone()
        assert row is not None
        return int(row[0])

    def acknowledge(self, client: str, ack: Iterable[str], errs: Mapping[str, str]) -> bool:
        """Note what arrived and what was refused; True when it told something new."""
        at, before = now_us(), self._db.total_changes()
        refused = [
            (at, at, msgspec.json.encode({"state": "rejected", "reason_code": why}).decode(),
             command_id, client)
            for command_id, why in errs.items()
        ]  # fmt: skip
        with self._db:
            self._db.executemany(
                "UPDATE command SET state = 'applying' WHERE id = ? AND client = ?"
                " AND state = 'leased'",
                [(command_id, client) for command_id in ack],
            )
            # Of leased ones only: the refusal of a second copy must not take the first one back.
            self._db.executemany(
                "UPDATE command SET state = 'rejected', done_us = ?, told_us = ?, result = ?"
                " WHERE id = ? AND client = ? AND state = 'leased'",
                refused,
            )
        return self._db.total_changes() > before

    def expire(self) -> bool:
        """End what nobody took in time. A command that may be on its way is left to the agent."""
        at = now_us()
        self._db.execute(
            "UPDATE command SET state = 'expired', done_us = ?1 WHERE not_after_us < ?1"
            " AND (state = 'queued' OR (state = 'leased' AND lease_us < ?1))",
            (at,),
        )
        return self._db.changes() > 0

    def lease(
        self, client: str, capabilities: Sequence[str], most: int, *, is_reversed: bool = False
    ) -> tuple[list[Lease], bool]:
        """Lease up to ``most`` commands the agent can do; and are there more?"""
        self.expire()
        at = now_us()
        order = "priority DESC, created_us DESC" if is_reversed else "priority, created_us"
        rows = self._db.execute(
            "SELECT id, body FROM command WHERE (state = 'queued'"
            "   OR (state = 'leased' AND lease_us < ?1))"
            " AND coalesce(not_before_us, 0) <= ?1"
            " AND type IN (SELECT value FROM json_each(?2))"
            f" ORDER BY {order} LIMIT ?3",
            (at, msgspec.json.encode(list(capabilities)).decode(), most + 1),
        ).fetchall()
        leased = [(str(row[0]), str(row[1])) for row in rows[:most]]
        until = at + self._lease_us
        if leased:
            with self._db:
                self._db.executemany(
                    "UPDATE command SET state = 'leased', lease_us = ?, client = ?,"
                    " sent_us = coalesce(sent_us, ?), sent_times = sent_times + 1 WHERE id = ?",
                    [(until, client, at, command_id) for command_id, _ in leased],
                )
        return [self.sealed(*one, until) for one in leased], len(rows) > most

    def sealed(self, command_id: str, body: str, until_us: int) -> Lease:
        return Lease(command_id, instant(until_us), self._sealer.seal(command_id, body))

    def delivered_to(self, client: str, most: int) -> list[Lease]:
        """The newest commands this agent was sent before, sealed anew: a second delivery."""
        rows = self._db.execute(
            "SELECT id, body FROM command WHERE client = ? ORDER BY sent_us DESC LIMIT ?",
            (client, most),
        ).fetchall()
        until = now_us() + self._lease_us
        return [self.sealed(str(row[0]), str(row[1]), until) for row in rows]

    def next_due_us(self) -> int | None:
        """When a command can next be leased that cannot be now: a lease ends, a time comes."""
        at = now_us()
        row = self._db.execute(
            "SELECT min(due) FROM ("
            " SELECT min(lease_us) AS due FROM command WHERE state = 'leased' AND lease_us >= ?1"
            " UNION ALL SELECT min(not_before_us) FROM command"
            "  WHERE state = 'queued' AND not_before_us > ?1)",
            (at,),
        ).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def finish(self, command_id: str, state: str, result: dict[str, Any]) -> tuple[str, bool]:
        """Record how a command stands; returns (its state, whether that is new).

        Raises Refusal 404, and 409 for another end than the one the agent told before. An end the
        CRM came to by itself (``told_us`` is null) gives way to the agent's.
        """
        row = self._db.execute(
            "SELECT state, told_us, result FROM command WHERE id = ?", (command_id,)
        ).fetchone()
        if row is None:
            raise Refusal(404, "not-found")
        text = msgspec.json.encode(result).decode()
        if row[0] in ENDED:
            if state not in ENDED:
                return str(row[0]), False
            if row[1] is not None:
                if row[0] != state:
                    raise Refusal(409, "command-finished")
                return state, False
        if (row[0], row[2]) == (state, text):
            return state, False
        at = now_us()
        self._db.execute(
            "UPDATE command SET state = ?, result = ?, told_us = ?, done_us = ? WHERE id = ?",
            (state, text, at, at if state in ENDED else None, command_id),
        )
        return state, True

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
        return page, write_cursor(b"c1", last), len(rows) > limit

    def _after(self, cursor: str) -> int:
        if not cursor:
            return 0
        after = read_cursor(b"c1", cursor)
        oldest_us = (time.time() - self._kept_s) * 1e6
        gone = self._db.execute(
            "SELECT 1 FROM crm_change WHERE seq > ? AND at_us < ? LIMIT 1", (after, int(oldest_us))
        ).fetchone()
        newest = self._db.execute("SELECT coalesce(max(seq), 0) FROM crm_change").fetchone()
        assert newest is not None
        if gone or not 0 <= after <= int(newest[0]):
            raise Refusal(410, "cursor-expired")
        return after


def write_cursor(word: bytes, number: int) -> str:
    return base64.urlsafe_b64encode(b"%b:%d" % (word, number)).rstrip(b"=").decode()


def read_cursor(word: bytes, cursor: str) -> int:
    """The number in a cursor of this kind. Raises Refusal 410 for any other text."""
    try:
        found, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).partition(
            b":"
        )
        if found == word:
            return int(number)
    except (ValueError, binascii.Error):
        pass
    raise Refusal(410, "cursor-expired")
