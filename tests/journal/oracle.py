"""What must hold of a journal at every moment it can be opened, and at the end of a run."""

from __future__ import annotations

from typing import Any

from agent.journal import database
from agent.journal.journal import Journal
from tests.journal.pushpath import STREAM, TAIL, World, hash_of

_RECOUNT = """
SELECT s.name,
  (SELECT count(*) FROM record r WHERE r.stream = s.id AND r.gone_at IS NULL),
  (SELECT count(*) FROM record r WHERE r.stream = s.id AND r.gone_at IS NULL
    AND r.agreed IS r.hash),
  (SELECT count(*) FROM record r WHERE r.stream = s.id AND r.batch IS NOT NULL),
  (SELECT count(*) FROM record r WHERE r.stream = s.id AND r.gone_at IS NOT NULL),
  (SELECT count(*) FROM park p WHERE p.stream = s.id AND p.class <> 'ignored'),
  (SELECT count(*) FROM batch b WHERE b.stream = s.id),
  (SELECT coalesce(sum(items), 0) FROM batch b WHERE b.stream = s.id),
  (SELECT count(*) FROM chunk c WHERE c.stream = s.id),
  (SELECT count(*) FROM chunk c WHERE c.stream = s.id AND c.loaded = 0)
FROM stream s ORDER BY s.id
"""
_KEPT = """
SELECT s.name, present, agreed, waiting, gone, parked, batches, operations, chunks, unloaded
FROM tally t JOIN stream s ON s.id = t.stream ORDER BY s.id
"""


def query(journal: Journal, sql: str, *bound: Any) -> list[tuple[Any, ...]]:
    return journal._writer.execute(sql, bound).fetchall()


def count_findings(journal: Journal) -> list[str]:
    """The kept counts against a recount of every table."""
    kept, counted = query(journal, _KEPT), query(journal, _RECOUNT)
    return [f"counts {a} != {b}" for a, b in zip(kept, counted, strict=True) if a != b]


def structure_findings(journal: Journal) -> list[str]:
    """Invariants of the journal alone."""
    findings = [*count_findings(journal), *journal.verify_audit()]
    if not database.is_whole(journal._writer):
        findings.append("not whole")
    findings += [
        f"record {key} is neither agreed nor waiting nor parked"
        for (key,) in query(
            journal,
            "SELECT key FROM record r WHERE agreed IS NOT hash AND batch IS NULL AND NOT EXISTS"
            " (SELECT 1 FROM park p WHERE p.stream = r.stream AND p.key = r.key)",
        )
    ]
    findings += [
        f"record {key} is carried by batch {batch}, which is not there"
        for key, batch in query(
            journal,
            "SELECT key, batch FROM record WHERE batch IS NOT NULL"
            " AND batch NOT IN (SELECT number FROM batch)",
        )
    ]
    return findings


def recovery_findings(world: World, journal: Journal) -> list[str]:
    """Invariants between journal, practice and CRM whenever the journal is opened."""
    findings = structure_findings(journal)
    practice, crm = world.practice, world.crm
    rows = query(journal, "SELECT key, hash, agreed FROM record")
    held = {key: (hashed, agreed) for key, hashed, agreed in rows}
    position = int(journal.mark(TAIL) or 0)
    if journal.chunks(STREAM):
        for at, (key, _) in enumerate(practice.log[:position]):
            later = {hashed for k, hashed in practice.log[at:] if k == key} | {
                hash_of(practice.rows[key]) if key in practice.rows else b""
            }
            gone = b"" in later  # a deletion is believed later than its hint
            if key not in held or (held[key][0] not in later and not gone):
                findings.append(f"the tail's mark covers record {key}, which was not taken")
    for chunk in journal.chunks(STREAM):
        if chunk.loaded:
            findings += [
                f"loaded chunk without record {key}"
                for key in practice.first
                if (chunk.lo is None or key > chunk.lo)  # type: ignore[operator]
                and (chunk.hi is None or key <= chunk.hi)  # type: ignore[operator]
                and key not in held
            ]
    findings += [
        f"record {key} agreed on what the CRM never held"
        for key, (_, agreed) in held.items()
        if agreed is not None and agreed not in crm.history[key]
    ]
    pending = {ident for (ident,) in query(journal, "SELECT id FROM batch")}
    settled = {
        ident
        for (ident,) in query(
            journal, "SELECT detail ->> 'batch' FROM audit WHERE act LIKE 'batch.%'"
        )
    }
    findings += [
        f"{ident} left without an audit row"
        for ident in crm.bodies
        if ident not in pending | settled
    ]
    return findings


def end_findings(world: World, journal: Journal) -> list[str]:
    """Invariants when everything has been done and a whole rotation proved it."""
    findings = recovery_findings(world, journal)
    practice, crm = world.practice, world.crm
    numbers = journal.numbers(world.clock.now())
    if numbers.pending_batches or numbers.chunks_unloaded or numbers.chunks_overdue:
        findings.append(f"not at rest: {numbers}")
    parked = {park.key for park in journal.parked(100)}
    if parked != {6}:
        findings.append(f"parked {sorted(map(str, parked))}")
    expected = {key: content for key, content in practice.rows.items() if key not in parked}
    for key in expected.keys() | crm.rows.keys():
        if expected.get(key) != crm.rows.get(key):
            findings.append(
                f"record {key}: {expected.get(key)!r} here, {crm.rows.get(key)!r} there"
            )
    findings += [f"effect twice: {op.hex()}" for (op, _), n in crm.effects.items() if n > 1]
    if b"" not in crm.history[7]:
        findings.append("the deletion of record 7 was never told")
    if world.epochs != sorted(set(world.epochs)):
        findings.append(f"epochs {world.epochs}")
    return findings + world.violations
