"""The reference CRM without HTTP: its store and everything that works on it.

Imports this package only. One ``Core`` lives on the server's loop and is the only writer of
records; other processes may add pairing codes, commands and the CRM's own changes to the same file.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import msgspec
import structlog
from msgspec import UNSET

from agent.model.streams import Stream
from agent.sandbox.crm.accounts import Accounts, server_secret
from agent.sandbox.crm.commands import Commands
from agent.sandbox.crm.envelopes import Sealer
from agent.sandbox.crm.faults import Faults
from agent.sandbox.crm.http import Listener, Wakeups, instant
from agent.sandbox.crm.intake import Intake
from agent.sandbox.crm.schema import TYPE_NAME, connect, now_us
from agent.sandbox.crm.silence import SILENT, is_silent
from agent.sandbox.crm.wire import Op

T = TypeVar("T")
Unset = msgspec.UnsetType

_log = structlog.get_logger(__name__)

_WATCH_S: Final = 0.05
_MARK_OF: Final = {
    "contacts": "SELECT value FROM meta WHERE name = 'contact_rev'",
    "commands": "SELECT max(created_us) FROM command",
    "orders": "SELECT max(created_us) FROM command",
    "changes": "SELECT max(seq) FROM crm_change",
    "config": "SELECT kid FROM envelope_key WHERE retired_us IS NULL"
    " UNION ALL SELECT value FROM meta WHERE name = 'switches'",
}
_EXPIRE_TICKS: Final = 20
_SAID_AGAIN_US: Final = 10_000_000
_LISTENING_S: Final = 3.0


class CrmSettings(msgspec.Struct, frozen=True):
    """How a reference CRM behaves. ``issuer``: how agents reach it; "" = host and port."""

    practice_id: str = "demo"
    practice_name: str = "Willow Creek Dental"
    zone: str = "UTC"  # until a practice record says better
    issuer: str = ""
    push_quota: int = 60_000  # requests per minute and agent
    pull_quota: int = 60_000
    heartbeat_s: int = 30
    longest_wait_s: float = 3600.0  # of long polls and event streams
    test_token: str = ""  # lets POST /testing/faults in; "" = no such door
    open_page: bool = False  # serve the page to other computers too
    pilot_token: str = ""  # bearer of it may use the page's API from anywhere; "" = nobody
    endpoint_secret: str = ""  # whsec_…: commands are signed by HMAC as well
    lease_s: float = 15.0  # how long a delivered command waits for its acknowledgement


class StoreBusy(Exception):
    """Another server holds this database."""


class Polls:
    """The one poll each agent has waiting. A newer one ends the older: it may be nobody's."""

    def __init__(self) -> None:
        self._waiting: dict[str, Listener] = {}
        self._seen: dict[str, float] = {}

    def begin(self, client_id: str, listener: Listener) -> None:
        older = self._waiting.get(client_id)
        if older is not None:
            older.tell(" superseded")
        self._waiting[client_id] = listener

    def end(self, client_id: str, listener: Listener) -> None:
        if self._waiting.get(client_id) is listener:
            del self._waiting[client_id]
        self._seen[client_id] = time.monotonic()

    @property
    def is_listening(self) -> bool:
        """An agent waits for commands now, or did a moment ago."""
        newest = max(self._seen.values(), default=float("-inf"))
        return bool(self._waiting) or time.monotonic() - newest < _LISTENING_S


class Core:
    """Store, intake, accounts, commands. Not thread-safe but for ``in_reader`` and ``read``."""

    def __init__(self, path: Path, settings: CrmSettings, faults: Faults) -> None:
        self.path = path
        self._guard = _hold(path)
        self.store = connect(path, cache_mb=128)
        self._reader = connect(path, cache_mb=32, read_only=True)
        self._reader_lock = threading.Lock()
        self.settings = settings
        self.faults = faults
        self.wakeups = Wakeups()
        self.intake = Intake(self.store, faults)
        self.accounts = Accounts(self.store, issuer=settings.issuer, practice=settings.practice_id)
        self.sealer = Sealer(self.store, settings.endpoint_secret)
        self.commands = Commands(self.store, self.sealer, settings.lease_s)
        self.polls = Polls()
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)  # what the page calls now
        server_secret(self.store, "feed_id", lambda: secrets.token_hex(6))
        kept = server_secret(self.store, "practice_id", lambda: settings.practice_id)
        if kept != settings.practice_id:
            self.close()
            raise ValueError(f"this database belongs to the practice {kept!r}")

    def close(self) -> None:
        self._reader.close()
        self.store.close()
        self._guard.close()

    # --- reading beside the writer --------------------------------------------------------------

    def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` on the read-only connection, in one snapshot. Any thread."""
        with self._reader_lock:
            self._reader.execute("BEGIN")
            try:
                return work(self._reader)
            finally:
                self._reader.execute("COMMIT")

    async def in_reader(self, sql: str, bindings: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Rows of a query that may take a while, without holding the loop."""

        def rows(reader: apsw.Connection) -> list[tuple[Any, ...]]:
            return list(reader.execute(sql, bindings))

        return await asyncio.to_thread(self.read, rows)

    # --- what the CRM knows ---------------------------------------------------------------------

    def heard(self, client_id: str, beat: str) -> None:
        """Keep the newest heartbeat of an agent."""
        self.store.execute(
            "UPDATE agent SET beat = ?, beat_us = ? WHERE client_id = ?",
            (beat, now_us(), client_id),
        )
        self.wakeups.ring("beat")

    def capable(
        self, client_id: str, capabilities: Iterable[str] | None, suspended: str | Unset | None
    ) -> None:
        """What an agent says it can do; None and UNSET: it did not say."""
        at = now_us()
        row = self.store.execute(
            "SELECT capabilities, suspended, capable_us FROM agent WHERE client_id = ?",
            (client_id,),
        ).fetchone()
        if row is None or (capabilities is None and suspended is UNSET):
            return
        said = row[0]
        if capabilities is not None:
            said = msgspec.json.encode(sorted(set(capabilities))).decode()
        why = row[1] if suspended is UNSET else suspended
        is_news = (said, why) != (row[0], row[1])
        if not is_news and row[2] is not None and at - int(row[2]) < _SAID_AGAIN_US:
            return
        self.store.execute(
            "UPDATE agent SET capabilities = ?, suspended = ?, capable_us = ? WHERE client_id = ?",
            (said, why, at, client_id),
        )
        if is_news:
            self.wakeups.ring("beat")

    # --- what other processes do, and what time does --------------------------------------------

    async def watch(self) -> None:
        """Notice what others wrote into the file, and what nobody took in time. Never ends."""
        seen, ticks = self.store.pragma("data_version"), 0
        marks = self._marks()
        while True:
            await asyncio.sleep(_WATCH_S)
            ticks += 1
            try:
                version = self.store.pragma("data_version")
                if version != seen:
                    seen, before, marks = version, marks, self._marks()
                    changed = [kind for kind, mark in marks.items() if mark != before[kind]]
                    if "config" in changed:
                        self.sealer.reload()
                    self.wakeups.ring(*changed)
                if ticks % _EXPIRE_TICKS == 0 and self.commands.expire():
                    self.wakeups.ring("orders")
            except apsw.Error as error:  # busy or full: the next round may do better
                _log.warning("crm.watch_failed", error=type(error).__name__)

    def _marks(self) -> dict[str, tuple[object, ...]]:
        """By kind of hint, what is another value when another process wrote such a thing."""
        return {kind: tuple(self.store.execute(sql).fetchall()) for kind, sql in _MARK_OF.items()}

    def status(self) -> dict[str, Any]:
        counts = self.intake.digests.counts()
        row = self.store.execute(
            "SELECT beat_us, beat FROM agent WHERE beat IS NOT NULL ORDER BY beat_us DESC LIMIT 1"
        ).fetchone()
        beat_us, beat = (int(row[0]), str(row[1])) if row is not None else (None, None)
        last_push_us = self.intake.last_push_us
        return {
            "practice_id": self.settings.practice_id,
            "types": {name: {"count": counts.get(n, 0)} for n, name in TYPE_NAME.items()},
            "rejects_open": self.intake.open_rejects,
            "last_push_at": None if last_push_us is None else instant(last_push_us),
            "last_heartbeat_at": None if beat_us is None else instant(beat_us),
            "alerts": self._alerts(beat_us, beat),
            "heartbeat": None if beat is None else msgspec.Raw(beat.encode()),
            "ack_seq": self.intake.ack_seq,
        }

    def _alerts(self, beat_us: int | None, beat: str | None) -> list[str]:
        if beat_us is None or beat is None:
            return []
        said = msgspec.json.decode(beat, type=dict[str, Any])
        heard = datetime.fromtimestamp(beat_us / 1_000_000, UTC)
        hours, zone = str(said.get("hours") or ""), str(said.get("zone") or "")
        silent = [SILENT] if is_silent(heard, self.now(), hours, zone) else []
        return [*silent, *(said.get("alerts") or [])]

    def rejects(self, state: str, limit: int) -> dict[str, Any]:
        where = {"open": "WHERE resolved_us IS NULL", "resolved": "WHERE resolved_us IS NOT NULL"}
        rows = self.store.execute(
            "SELECT id, at_us, batch, event, type, key, reason, resolved_us FROM reject"
            f" {where.get(state, '')} ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        listed = [
            {
                "id": number,
                "at": instant(int(str(at_us))),
                "batch_id": batch,
                "event_id": event,
                "type": type_name,
                "key": key,
                "reason": reason,
                "state": "open" if resolved_us is None else "resolved",
            }
            for number, at_us, batch, event, type_name, key, reason, resolved_us in rows
        ]
        return {"open": self.intake.open_rejects, "rejects": listed}

    def history(self, type_id: int, key: str) -> list[dict[str, Any]] | None:
        """Every effect on a record, oldest first; None for one never heard of."""
        known = self.store.execute(
            "SELECT rid FROM record WHERE type = ? AND key = ?", (type_id, key)
        ).fetchone()
        if known is None:
            return None
        rows = self.store.execute(
            "SELECT e.seq, lower(hex(e.event)), e.op, e.version, lower(hex(e.hash)), j.uuid,"
            " e.epoch, e.at_us FROM ("
            "  SELECT seq, event, op, version, hash, journal, epoch, at_us FROM past_effect"
            "   WHERE rid = ?1"
            "  UNION ALL SELECT seq, event, state, event_version, hash, journal, epoch, arrived_us"
            "   FROM record WHERE rid = ?1 AND seq > 0"
            ") e JOIN journal j ON j.id = e.journal ORDER BY e.seq",
            (known[0],),
        )
        return [
            {
                "seq": seq,
                "event_id": event,
                "op": Op(int(str(op))).name.lower(),
                "version": version,
                "content_hash": digest or None,
                "journal": journal,
                "epoch": epoch,
                "at": instant(int(str(at_us))),
            }
            for seq, event, op, version, digest, journal, epoch, at_us in rows
        ]


def practice_types() -> list[str]:
    """Type names in the order people look at them."""
    return [stream.value for stream in Stream]


def _hold(path: Path) -> apsw.Connection:
    """One server per database: a lock that the system drops with the process."""
    guard = apsw.Connection(str(path.with_name(path.name + ".lock")))
    try:
        guard.execute("BEGIN EXCLUSIVE")
    except apsw.BusyError:
        guard.close()
        raise StoreBusy(f"another server holds {path.name}") from None
    return guard
