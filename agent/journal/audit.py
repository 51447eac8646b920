"""The audit chain: append, verify, anchor. Knows no work, only rows of ``audit`` and ``anchor``.

Every row's hash covers the row before it, so an edit, a deletion or a swap shows. A chain alone
cannot show that its own tail was rewritten or the whole file rolled back: for that its head is
*anchored* outside the file, in a small file beside it and (by the heartbeat) with the CRM.
A head is written ``epoch-seq-hash``. Details carry codes, counts and digests, never patient data.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import apsw
import msgspec
import structlog

from agent.journal.meta import read_meta

log = structlog.get_logger(__name__)

GENESIS = bytes(32)
_json = msgspec.json.Encoder(order="deterministic")
_msgpack = msgspec.msgpack.Encoder()


class Head(msgspec.Struct, frozen=True):
    """End of the chain: ``seq`` 0 and zero hash before the first row."""

    seq: int
    hash: bytes


class SideAnchor(msgspec.Struct, frozen=True):
    """The head as last written beside the journal. Never ahead of what the journal committed."""

    uuid: str
    epoch: int
    lsn: int
    seq: int
    head: str


def link(
    prev: bytes, seq: int, lsn: int, epoch: int, at: int, act: str, digest: bytes, detail: str
) -> bytes:
    """Hash of one row: sha256 over the packed (unambiguous) fields."""
    return hashlib.sha256(
        _msgpack.encode([prev, seq, lsn, epoch, at, act, digest, detail])
    ).digest()


def append(
    db: apsw.Connection,
    head: Head,
    *,
    lsn: int,
    epoch: int,
    at: int,
    act: str,
    detail: Mapping[str, str | int | float],
    digest: bytes = b"",
) -> Head:
    """Add one row inside the caller's transaction; the caller stores the new head with it."""
    seq = head.seq + 1
    text = _json.encode(dict(detail)).decode()
    hashed = link(head.hash, seq, lsn, epoch, at, act, digest, text)
    db.execute(
        "INSERT INTO audit(seq, lsn, epoch, at, act, digest, detail, prev, hash)"
        " VALUES (?,?,?,?,?,?,?,?,?)",
        (seq, lsn, epoch, at, act, digest, text, head.hash, hashed),
    )
    return Head(seq, hashed)


def head_text(epoch: int, head: Head) -> str:
    return f"{epoch}-{head.seq}-{head.hash.hex()}"


def parse_head(text: str) -> tuple[int, int, str]:
    """(epoch, seq, hash in hex) of ``epoch-seq-hash``; ValueError for anything else."""
    epoch, seq, hashed = text.split("-")
    if len(bytes.fromhex(hashed)) != len(GENESIS):
        raise ValueError("not an audit head")
    return int(epoch), int(seq), hashed


def verify(
    db: apsw.Connection, *, side: SideAnchor | None = None, anchor: str | None = None
) -> list[str]:
    """Findings, [] when the chain holds; each is ``code seq=N``.

    ``side`` is the anchor beside the file; ``anchor`` a head (``epoch-seq-hash``) someone else
    kept. Read inside one snapshot so that a running writer does not look like a broken chain.
    """
    findings: list[str] = []
    facts = read_meta(db)
    floor = Head(facts.audit_floor_seq, facts.audit_floor_hash)
    anchors: dict[int, bytes] = dict(db.execute("SELECT seq, hash FROM anchor ORDER BY seq"))
    outside: list[tuple[str, int, int, str]] = []
    if side is not None and side.uuid == facts.uuid:
        outside.append(("beside", side.epoch, side.seq, side.head))
    if anchor:
        outside.append(("given", *parse_head(anchor)))
    wanted = {seq: head for _, _, seq, head in outside}

    previous = floor
    found: dict[int, str] = {floor.seq: floor.hash.hex()}
    for row in db.execute(
        "SELECT seq, lsn, epoch, at, act, digest, detail, prev, hash FROM audit ORDER BY seq"
    ):
        seq, lsn, epoch, at, act, digest, detail, prev, stored = row
        if seq != previous.seq + 1:
            findings.append(f"audit.missing seq={previous.seq + 1}")
        elif prev != previous.hash:
            findings.append(f"audit.unlinked seq={seq}")
        if link(prev, seq, lsn, epoch, at, act, digest, detail) != stored:
            findings.append(f"audit.edited seq={seq}")
        if seq in anchors and anchors.pop(seq) != stored:
            findings.append(f"audit.rewritten seq={seq}")
        if seq in wanted:
            found[seq] = stored.hex()
        previous = Head(seq, stored)
    findings += [f"audit.truncated seq={lost}" for lost in anchors if lost > previous.seq]
    if previous != Head(facts.audit_seq, facts.audit_hash):
        findings.append(f"audit.truncated seq={previous.seq}")
    for where, at_epoch, anchored, hashed in outside:
        if at_epoch > facts.epoch or anchored > previous.seq:
            findings.append(f"audit.rolled_back anchor={where} seq={anchored}")
        elif anchored >= floor.seq and found.get(anchored) != hashed:
            findings.append(f"audit.rewritten anchor={where} seq={anchored}")
    return findings


def side_path(journal: Path) -> Path:
    return journal.with_name(journal.name + ".anchor")


def read_side(journal: Path) -> SideAnchor | None:
    """The anchor beside the journal; None when there is none or it cannot be read."""
    try:
        return msgspec.json.decode(side_path(journal).read_bytes(), type=SideAnchor)
    except (OSError, msgspec.DecodeError):
        return None


def write_side(journal: Path, anchor: SideAnchor) -> None:
    """Replace the anchor beside the journal. Called after a commit, so it can lag, never lead.

    Failing (a full disk) costs only strength of evidence, so it is logged and forgotten.
    """
    target = side_path(journal)
    draft = target.with_name(target.name + ".new")
    try:
        draft.touch(mode=0o600)
        with draft.open("wb") as stream:
            stream.write(msgspec.json.encode(anchor))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    except OSError as error:
        log.warning("journal.anchor_not_written", errno=error.errno)
        with contextlib.suppress(OSError):
            draft.unlink()


class Sides(Protocol):
    """Where the anchor beside the journal is kept: outlives the journal's own file."""

    def read(self) -> SideAnchor | None: ...
    def write(self, anchor: SideAnchor) -> None: ...


class SideFile:
    """Beside the journal's file, as it is in the product."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def read(self) -> SideAnchor | None:
        return read_side(self._journal)

    def write(self, anchor: SideAnchor) -> None:
        write_side(self._journal, anchor)
