"""The journal's facts about itself: table ``meta``, one typed row per name."""

from __future__ import annotations

from uuid import uuid4

import apsw
import msgspec


class Meta(msgspec.Struct, frozen=True):
    """``lsn``, ``batch``: last numbers given away, never given again. ``audit_*``: the chain's end
    and the row before its first one. ``epoch`` counts starts. ``clean_shutdown`` is 0 while open.
    """

    uuid: str
    epoch: int
    lsn: int
    batch: int
    audit_seq: int
    audit_hash: bytes
    audit_floor_seq: int
    audit_floor_hash: bytes
    clean_shutdown: int


def new_meta() -> Meta:
    return Meta(uuid4().hex, 0, 0, 0, 0, bytes(32), 0, bytes(32), 1)


def read_meta(db: apsw.Connection) -> Meta:
    """The facts as this connection sees them now."""
    return Meta(**dict(db.execute("SELECT name, value FROM meta")))


def write_meta(db: apsw.Connection, **facts: str | int | bytes) -> None:
    """Change facts (or store them first) inside the caller's transaction."""
    db.executemany(
        "INSERT INTO meta(name, value) VALUES (?,?)"
        " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
        list(facts.items()),
    )
