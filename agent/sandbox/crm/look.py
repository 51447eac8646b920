"""Looking into a CRM database from outside the server: counts, records, agents, a full check.

Imports this package only. Reads through its own read-only connection; the server may be running.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import msgspec

from agent.sandbox.crm.digests import recompute
from agent.sandbox.crm.http import instant
from agent.sandbox.crm.orders import ENDED
from agent.sandbox.crm.schema import TYPE_NAME, State, connect
from agent.sandbox.crm.wire import Op

Json = dict[str, Any]

_COMMAND = (
    "id, type, state, json_extract(result, '$.reason_code'), json_extract(result, '$.pms_key'),"
    " sent_us, created_us, done_us, sent_times"
)


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[apsw.Connection]:
    with contextlib.closing(connect(file, read_only=True)) as store:
        yield store


def counts(file: Path) -> dict[str, int]:
    """Live records by type, all types."""
    with _reading(file) as store:
        held = dict(store.execute("SELECT type, sum(count) FROM digest GROUP BY type"))
    return {name: int(held.get(number, 0)) for number, name in TYPE_NAME.items()}


def listed(file: Path, type_name: str, limit: int) -> list[Json]:
    """Records of a type in order of first arrival, without their content."""
    with _reading(file) as store:
        rows = store.execute(
            "SELECT key, state, version, content_hash, arrived_us FROM records WHERE type = ?"
            " ORDER BY rid LIMIT ?",
            (type_name, limit),
        ).fetchall()
    return [
        {
            "key": key,
            "state": state,
            "version": version,
            "content_hash": digest or None,
            "arrived_at": _instant(arrived_us),
        }
        for key, state, version, digest, arrived_us in rows
    ]


def one(file: Path, type_name: str, key: str) -> Json | None:
    """One record with its content and every effect on it."""
    with _reading(file) as store:
        row = store.execute(
            "SELECT state, version, content_hash, arrived_us, data FROM records"
            " WHERE type = ? AND key = ?",
            (type_name, key),
        ).fetchone()
        if row is None:
            return None
        effects = store.execute(
            "SELECT seq, event_id, op, version, at_us FROM effects WHERE type = ? AND key = ?"
            " ORDER BY seq",
            (type_name, key),
        ).fetchall()
    state, version, digest, arrived_us, content = row
    return {
        "type": type_name,
        "key": key,
        "state": state,
        "version": version,
        "content_hash": digest or None,
        "arrived_at": _instant(arrived_us),
        "data": None if content is None else msgspec.json.decode(str(content)),
        "effects": [
            {
                "seq": seq,
                "event_id": event_id,
                "op": Op(int(str(op))).name.lower(),
                "version": effect_version,
                "at": _instant(at_us),
            }
            for seq, event_id, op, effect_version, at_us in effects
        ],
    }


def agents(file: Path) -> list[Json]:
    """Every agent ever linked, oldest first."""
    with _reading(file) as store:
        rows = store.execute(
            "SELECT client_id, label, agent_version, enrolled_us, beat_us, revoked_us FROM agent"
            " ORDER BY enrolled_us"
        ).fetchall()
    return [
        {
            "client_id": client_id,
            "label": label,
            "agent_version": version,
            "enrolled_at": _instant(enrolled_us),
            "last_heartbeat_at": _instant(beat_us),
            "revoked_at": _instant(revoked_us),
        }
        for client_id, label, version, enrolled_us, beat_us, revoked_us in rows
    ]


def commands(file: Path, limit: int) -> list[Json]:
    """How commands stand, newest first; nothing of what they carry."""
    with _reading(file) as store:
        rows = store.execute(
            f"SELECT {_COMMAND} FROM command ORDER BY created_us DESC LIMIT ?", (limit,)
        ).fetchall()
    return [_command(row) for row in rows]


def command(file: Path, command_id: str, wait_s: float = 0.0) -> Json:
    """One command; with ``wait_s`` as soon as it has ended, or when the time is over."""
    ends_at = time.monotonic() + wait_s
    with _reading(file) as store:
        while True:
            row = store.execute(
                f"SELECT {_COMMAND} FROM command WHERE id = ?", (command_id,)
            ).fetchone()
            assert row is not None, "commands are never deleted"
            told = _command(row)
            if told["state"] in ENDED or time.monotonic() >= ends_at:
                return told
            time.sleep(0.02)


def _command(row: Sequence[Any]) -> Json:
    command_id, kind, state, reason, made, sent_us, created_us, done_us, times = row
    return {
        "command_id": command_id,
        "type": kind,
        "state": state,
        "reason_code": reason,
        "pms_key": made,
        "created_at": _instant(created_us),
        "sent_at": _instant(sent_us),
        "ended_at": _instant(done_us),
        "sent_times": times,
    }


def contacts(file: Path) -> list[Json]:
    """The CRM's own people and who they are in the practice; no names."""
    with _reading(file) as store:
        rows = store.execute(
            "SELECT id, rev, state, client_ref, merged_into, candidates FROM contact ORDER BY rev"
        ).fetchall()
    return [
        {
            "cloud_id": cloud_id,
            "rev": rev,
            "state": state,
            "client_ref": client_ref,
            "merged_into": merged_into,
            "candidates": msgspec.json.decode(str(candidates)),
        }
        for cloud_id, rev, state, client_ref, merged_into, candidates in rows
    ]


def verify(file: Path) -> dict[str, int]:
    """Hash every stored body and derive every digest again: what of it is not as kept?"""
    with _reading(file) as store, store:  # one snapshot
        wrong = sum(
            content is None or sha256(str(content).encode()).digest()[:16] != digest
            for digest, content in store.execute(
                "SELECT r.hash, b.json FROM record r LEFT JOIN body b ON b.rid = r.rid"
                " WHERE r.state = ?",
                (int(State.LIVE),),
            )
        )
        kept = {
            (row[0], row[1]): (row[2], row[3], row[4])
            for row in store.execute(
                "SELECT type, bucket, count, sum48, xor64 FROM digest WHERE count > 0"
            )
        }
        derived = recompute(store)
    places = kept.keys() | derived.keys()
    return {
        "records": sum(entry[0] for entry in derived.values()),
        "wrong_hashes": wrong,
        "wrong_buckets": sum(kept.get(place) != derived.get(place) for place in places),
    }


def _instant(at_us: object) -> str | None:
    return None if at_us is None else instant(int(str(at_us)))
