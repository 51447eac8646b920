"""The journal's tables and their migrations. Nothing here reads or writes a row of work.

Layout: **one row of ``record`` carries all three trees.** What was last read from the PMS (local)
is ``hash``/``sum48``/``xor64``; what both sides were seen to hold (agreed) is ``agreed``; what the
CRM said it holds (remote) is ``remote_rev`` and, once two-way work needs more, further columns. In
the steady state the three are equal, so three tables would hold the same bytes three times and
every turn would pay three writes. A tombstone is the same row with ``gone_at`` set and hash x''.
Whether a record is parked is told by ``park`` alone: one may be parked before it was ever read.
Canonical content is kept (sealed) in ``content`` for two-way streams only, beside the table and
not in it: the digests of the sweep read the dense rows and never step over payloads.

``tally`` holds per-stream counts, changed in the same transaction as the rows they count, so that
nothing that runs on a timer scans ``record``. All instants are microseconds since 1970 UTC.

Migrations run on the standard library's sqlite3 (sqlite-utils speaks only that) before the
journal proper opens the file with apsw; the two never hold the file at the same time, because
closing one would drop the other's POSIX locks.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlite_utils import Database, Migrations

from agent.journal import fallback, pull_schema

APPLICATION_ID = 0x42_57_4A_31  # "BWJ1"

migrations = Migrations("bridgework.journal")

_TABLES = (
    # Identity and world.
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE stream(
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rank INTEGER NOT NULL) STRICT""",
    """CREATE TABLE source(
        id INTEGER PRIMARY KEY CHECK (id = 1), identity TEXT NOT NULL, state TEXT NOT NULL,
        high_marks TEXT NOT NULL, lsn INTEGER NOT NULL) STRICT""",
    """CREATE TABLE schema_history(
        lsn INTEGER NOT NULL, at INTEGER NOT NULL, version TEXT NOT NULL,
        fingerprint TEXT NOT NULL, decision TEXT NOT NULL) STRICT""",
    """CREATE TABLE ident(
        stream INTEGER NOT NULL REFERENCES stream, key ANY NOT NULL, cloud_id TEXT,
        state TEXT NOT NULL, merged_into ANY, born_side TEXT NOT NULL, born_lsn INTEGER NOT NULL,
        PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID""",
    "CREATE UNIQUE INDEX ident_cloud ON ident(stream, cloud_id) WHERE cloud_id IS NOT NULL",
    # The three trees.
    """CREATE TABLE record(
        stream INTEGER NOT NULL REFERENCES stream, key ANY NOT NULL,
        hash BLOB NOT NULL, sum48 INTEGER NOT NULL, xor64 INTEGER NOT NULL,
        seen_lsn INTEGER NOT NULL, agreed BLOB, agreed_lsn INTEGER, remote_rev TEXT,
        batch INTEGER, missing_since INTEGER, gone_at INTEGER,
        PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX record_missing ON record(missing_since) WHERE missing_since IS NOT NULL",
    "CREATE INDEX record_gone ON record(gone_at) WHERE gone_at IS NOT NULL",
    """CREATE TABLE content(
        stream INTEGER NOT NULL, key ANY NOT NULL, canon BLOB NOT NULL,
        PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID""",
    # Detection ledger.
    """CREATE TABLE span(
        stream INTEGER NOT NULL REFERENCES stream, lane TEXT NOT NULL, lo INTEGER NOT NULL,
        hi INTEGER NOT NULL, server_now INTEGER NOT NULL, oldest_open INTEGER,
        closed_lsn INTEGER NOT NULL, PRIMARY KEY (stream, lane, lo)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE chunk(
        number INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL REFERENCES stream,
        lo ANY, hi ANY, tier TEXT NOT NULL, loaded INTEGER NOT NULL, verified_at INTEGER,
        since INTEGER NOT NULL, due_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
        why TEXT NOT NULL DEFAULT '') STRICT""",
    "CREATE INDEX chunk_due ON chunk(due_at)",
    "CREATE INDEX chunk_since ON chunk(since)",
    "CREATE INDEX chunk_key ON chunk(stream, lo)",
    "CREATE INDEX chunk_load ON chunk(stream, lo) WHERE loaded = 0",
    "CREATE TABLE mark(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    # Work.
    """CREATE TABLE batch(
        number INTEGER PRIMARY KEY, id TEXT NOT NULL, stream INTEGER NOT NULL REFERENCES stream,
        rank INTEGER NOT NULL, due_at INTEGER NOT NULL, planned_at INTEGER NOT NULL,
        lsn INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '',
        items INTEGER NOT NULL, operations BLOB NOT NULL, body BLOB NOT NULL) STRICT""",
    "CREATE INDEX batch_next ON batch(stream, rank, number, due_at)",
    "CREATE INDEX batch_age ON batch(planned_at)",
    "CREATE INDEX batch_rank ON batch(rank)",
    """CREATE TABLE park(
        stream INTEGER NOT NULL REFERENCES stream, key ANY NOT NULL, class TEXT NOT NULL,
        reason TEXT NOT NULL, content_hash BLOB NOT NULL, tries INTEGER NOT NULL,
        since INTEGER NOT NULL, due_at INTEGER NOT NULL,
        PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID""",
    "CREATE INDEX park_due ON park(due_at)",
    """CREATE TABLE conflict(
        number INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL REFERENCES stream,
        key ANY NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL, policy TEXT NOT NULL,
        base BLOB, local BLOB, remote BLOB, loser BLOB, winner TEXT, auto INTEGER NOT NULL,
        state TEXT NOT NULL, actor TEXT, at INTEGER NOT NULL, lsn INTEGER NOT NULL) STRICT""",
    "CREATE INDEX conflict_open ON conflict(number) WHERE state = 'open'",
    "CREATE INDEX conflict_record ON conflict(stream, key)",
    """CREATE TABLE tally(
        stream INTEGER PRIMARY KEY REFERENCES stream, present INTEGER NOT NULL DEFAULT 0,
        agreed INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL DEFAULT 0,
        gone INTEGER NOT NULL DEFAULT 0, parked INTEGER NOT NULL DEFAULT 0,
        batches INTEGER NOT NULL DEFAULT 0, operations INTEGER NOT NULL DEFAULT 0,
        chunks INTEGER NOT NULL DEFAULT 0, unloaded INTEGER NOT NULL DEFAULT 0) STRICT""",
    # What happened.
    """CREATE TABLE activity(
        number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, code TEXT NOT NULL,
        stream INTEGER REFERENCES stream, count INTEGER NOT NULL, facts TEXT NOT NULL) STRICT""",
    """CREATE TABLE audit(
        seq INTEGER PRIMARY KEY, lsn INTEGER NOT NULL, epoch INTEGER NOT NULL, at INTEGER NOT NULL,
        act TEXT NOT NULL, digest BLOB NOT NULL, detail TEXT NOT NULL, prev BLOB NOT NULL,
        hash BLOB NOT NULL) STRICT""",
    """CREATE TABLE anchor(
        seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, lsn INTEGER NOT NULL, at INTEGER NOT NULL,
        receipt TEXT NOT NULL) STRICT""",
)


@migrations()
def m001_first_layout(db: Database) -> None:
    for statement in _TABLES:
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("PRAGMA user_version = 1")


@migrations()
def m002_pull(db: Database) -> None:
    for statement in pull_schema.STATEMENTS:
        db.execute(statement)
    db.execute("PRAGMA user_version = 2")


@migrations()
def m003_content_pages(db: Database) -> None:
    """Contents of the first load by the page: packed and sealed together (see ``contents``)."""
    db.execute(
        "CREATE TABLE content_page(number INTEGER PRIMARY KEY, stream INTEGER NOT NULL,"
        " lo ANY NOT NULL, hi ANY NOT NULL, sealed BLOB NOT NULL) STRICT"
    )
    db.execute("CREATE INDEX content_page_range ON content_page(stream, hi, lo)")
    db.execute("PRAGMA user_version = 3")


@migrations()
def m004_fallback(db: Database) -> None:
    """Failure periods, and files brought in by hand."""
    for statement in fallback.STATEMENTS:
        db.execute(statement)
    db.execute("PRAGMA user_version = 4")


SCHEMA_VERSION = 4
"""user_version of the newest layout this program knows; every migration sets its own number."""


def migrate(path: Path, steps: Migrations = migrations) -> None:
    """Bring the file at ``path`` (created when absent) to the newest layout.

    Each step is one transaction; a crash between two leaves a journal that the next start
    continues. Raises sqlite3.Error as it comes; the caller translates.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = EXTRA")
        steps.apply(Database(connection))
    finally:
        connection.close()
