"""The reference CRM's database: tables, connections, and the words stored in them.

Imports apsw and ``agent.model`` only. ``record`` is narrow and ``body`` holds the JSON, so a
scan of keys and hashes never drags the bodies along. Two views are for people and for tests:
``records`` (what is held now) and ``effects`` (every state-changing effect with its event id).
"""

from __future__ import annotations

import time
from enum import IntEnum
from pathlib import Path

import apsw

from agent.model.streams import Stream

SCHEMA_VERSION = 2

TYPE_ID: dict[str, int] = {stream.value: n for n, stream in enumerate(Stream, start=1)}
TYPE_NAME: dict[int, str] = {n: name for name, n in TYPE_ID.items()}


class State(IntEnum):
    """State of a stored record. A stub stands in for a parent that has not arrived."""

    LIVE = 0
    DELETED = 1
    MERGED = 2
    STUB = 3


_DDL = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE record_type(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE journal(id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, seen_us INTEGER NOT NULL)
  STRICT;

CREATE TABLE record(
  rid INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  key TEXT NOT NULL,
  bucket INTEGER NOT NULL,           -- first byte of sha256(key)
  state INTEGER NOT NULL,
  journal INTEGER NOT NULL,          -- journal, epoch, version: the newest state equal to this
  epoch INTEGER NOT NULL,
  version INTEGER NOT NULL,
  hash BLOB,
  seq INTEGER NOT NULL,              -- the effect that made this state (0: a stub, no effect yet)
  event BLOB,
  event_version INTEGER NOT NULL,
  arrived_us INTEGER NOT NULL,       -- microseconds since 1970, UTC
  merged_into TEXT
) STRICT;
CREATE UNIQUE INDEX record_key ON record(type, key);
CREATE TABLE body(rid INTEGER PRIMARY KEY, json TEXT NOT NULL) STRICT;

-- Effects that a later one has replaced; the current one is in the record itself.
CREATE TABLE past_effect(
  seq INTEGER PRIMARY KEY, rid INTEGER NOT NULL, event BLOB NOT NULL, op INTEGER NOT NULL,
  journal INTEGER NOT NULL, epoch INTEGER NOT NULL, version INTEGER NOT NULL, hash BLOB,
  at_us INTEGER NOT NULL
) STRICT;
CREATE INDEX past_effect_record ON past_effect(rid, event);

CREATE TABLE digest(
  type INTEGER NOT NULL, bucket INTEGER NOT NULL, count INTEGER NOT NULL, sum48 INTEGER NOT NULL,
  xor64 INTEGER NOT NULL, PRIMARY KEY(type, bucket)
) STRICT, WITHOUT ROWID;

CREATE TABLE answer(                 -- remembered answers, by idempotency key
  client TEXT NOT NULL, key TEXT NOT NULL, body_hash BLOB NOT NULL, batch TEXT NOT NULL,
  ack_seq INTEGER NOT NULL, at_us INTEGER NOT NULL,
  results BLOB,                      -- zlib of the answer; NULL: everything was applied
  PRIMARY KEY(client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_at ON answer(at_us);

CREATE TABLE reject(
  id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, client TEXT NOT NULL, batch TEXT NOT NULL,
  journal INTEGER NOT NULL, epoch INTEGER NOT NULL, event TEXT, type TEXT, key TEXT,
  reason TEXT NOT NULL, item TEXT NOT NULL, item_hash BLOB NOT NULL, resolved_us INTEGER
) STRICT;
CREATE UNIQUE INDEX reject_once ON reject(item_hash) WHERE resolved_us IS NULL;
CREATE INDEX reject_record ON reject(type, key) WHERE resolved_us IS NULL;

-- For the page only.
CREATE TABLE patient_name(rid INTEGER PRIMARY KEY, sort TEXT NOT NULL, search TEXT NOT NULL) STRICT;
CREATE INDEX patient_sort ON patient_name(sort, search);
CREATE TABLE slot(rid INTEGER PRIMARY KEY, type INTEGER NOT NULL, starts TEXT NOT NULL) STRICT;
CREATE INDEX slot_starts ON slot(starts, type);
CREATE TABLE kin(patient TEXT NOT NULL, type INTEGER NOT NULL, rid INTEGER NOT NULL,
  PRIMARY KEY(patient, type, rid)) STRICT, WITHOUT ROWID;
CREATE TABLE activity(
  id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, made_us INTEGER, type INTEGER NOT NULL,
  op INTEGER NOT NULL, rid INTEGER, count INTEGER NOT NULL, is_new INTEGER NOT NULL, was TEXT
) STRICT;

CREATE TABLE agent(
  client_id TEXT PRIMARY KEY, label TEXT NOT NULL, agent_version TEXT NOT NULL,
  enrolled_us INTEGER NOT NULL, revoked_us INTEGER, beat_us INTEGER, beat TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE agent_key(
  kid TEXT PRIMARY KEY, client_id TEXT NOT NULL, jwk TEXT NOT NULL, added_us INTEGER NOT NULL,
  retired_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE code(
  hash BLOB PRIMARY KEY, issued_us INTEGER NOT NULL, expires_us INTEGER NOT NULL, used_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE used_jti(jti TEXT PRIMARY KEY, expires_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_token(jti TEXT PRIMARY KEY, expires_s INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE crm_change(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, type TEXT NOT NULL,
  key TEXT NOT NULL, op TEXT NOT NULL, json TEXT
) STRICT;
CREATE TABLE command(
  id TEXT PRIMARY KEY, type TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL,
  priority INTEGER NOT NULL, created_us INTEGER NOT NULL, not_before_us INTEGER,
  not_after_us INTEGER, lease_us INTEGER, client TEXT, result TEXT, done_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX command_queue ON command(state, priority, created_us);

CREATE VIEW records AS
  SELECT t.name AS type, r.key,
         CASE r.state WHEN 0 THEN 'live' WHEN 1 THEN 'deleted' WHEN 2 THEN 'merged' ELSE 'stub' END
           AS state,
         r.version, lower(hex(r.hash)) AS content_hash, r.arrived_us, b.json AS data, r.rid
  FROM record r JOIN record_type t ON t.id = r.type LEFT JOIN body b ON b.rid = r.rid;
CREATE VIEW effects AS
  SELECT e.seq, lower(hex(e.event)) AS event_id, t.name AS type, r.key, e.op, e.version, e.journal,
         e.epoch, e.hash, e.at_us, e.rid
  FROM past_effect e JOIN record r ON r.rid = e.rid JOIN record_type t ON t.id = r.type
  UNION ALL
  SELECT r.seq, lower(hex(r.event)), t.name, r.key, r.state, r.event_version, r.journal, r.epoch,
         r.hash, r.arrived_us, r.rid
  FROM record r JOIN record_type t ON t.id = r.type WHERE r.seq > 0;
"""

# Version 2: the pull. Files of version 1 are brought up to it when they are opened.
_TWO_WAY = """
ALTER TABLE command ADD COLUMN made_by TEXT NOT NULL DEFAULT '';
ALTER TABLE command ADD COLUMN request TEXT;        -- idempotency key of whoever asked
ALTER TABLE command ADD COLUMN request_hash BLOB;
ALTER TABLE command ADD COLUMN patient TEXT;        -- PMS key of the person it is about
ALTER TABLE command ADD COLUMN person TEXT;         -- the CRM's own id of that person
ALTER TABLE command ADD COLUMN visit TEXT;          -- PMS key of the appointment it is about
ALTER TABLE command ADD COLUMN start_us INTEGER;    -- the place on the schedule it holds
ALTER TABLE command ADD COLUMN end_us INTEGER;
ALTER TABLE command ADD COLUMN operatory TEXT;
ALTER TABLE command ADD COLUMN providers TEXT;      -- keys, separated by spaces
ALTER TABLE command ADD COLUMN sent_us INTEGER;     -- first lease
ALTER TABLE command ADD COLUMN sent_times INTEGER NOT NULL DEFAULT 0;
ALTER TABLE command ADD COLUMN told_us INTEGER;     -- newest result
ALTER TABLE command ADD COLUMN dismissed_us INTEGER;
CREATE UNIQUE INDEX command_request ON command(request) WHERE request IS NOT NULL;
CREATE INDEX command_made ON command(created_us);
CREATE INDEX command_place ON command(start_us) WHERE start_us IS NOT NULL;
CREATE INDEX command_visit ON command(visit) WHERE visit IS NOT NULL;
CREATE INDEX command_patient ON command(patient) WHERE patient IS NOT NULL;
CREATE INDEX command_person ON command(person) WHERE person IS NOT NULL;

ALTER TABLE agent ADD COLUMN capabilities TEXT;     -- JSON, as last said
ALTER TABLE agent ADD COLUMN suspended TEXT;        -- why booking is suspended
ALTER TABLE agent ADD COLUMN capable_us INTEGER;    -- when it was last said

CREATE TABLE envelope_key(
  kid TEXT PRIMARY KEY, jwk TEXT NOT NULL, added_us INTEGER NOT NULL, retired_us INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE contact(                -- the CRM's own people
  id TEXT PRIMARY KEY,
  rev INTEGER NOT NULL UNIQUE,       -- grows over all contacts: the feed's order
  state TEXT NOT NULL,               -- new, linked, unlinked, suspect, merged, deleted
  last_name TEXT, first_name TEXT, birthdate TEXT,
  phones TEXT NOT NULL DEFAULT '[]', emails TEXT NOT NULL DEFAULT '[]',
  fields TEXT NOT NULL DEFAULT '{}',
  client_ref TEXT,                   -- the PMS patient this is
  is_decided INTEGER NOT NULL DEFAULT 0,  -- a person of the CRM said so
  not_refs TEXT NOT NULL DEFAULT '[]',
  candidates TEXT NOT NULL DEFAULT '[]',
  merged_into TEXT,
  sort TEXT NOT NULL DEFAULT '', search TEXT NOT NULL DEFAULT '',
  created_us INTEGER NOT NULL, changed_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_client ON contact(client_ref) WHERE client_ref IS NOT NULL;
CREATE INDEX contact_sort ON contact(sort);
INSERT OR IGNORE INTO meta VALUES('contact_rev', '0');

CREATE TABLE conflict(
  id TEXT PRIMARY KEY, type TEXT NOT NULL, key TEXT NOT NULL, field TEXT NOT NULL,
  state TEXT NOT NULL, body TEXT NOT NULL, opened_us INTEGER NOT NULL, changed_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX conflict_state ON conflict(state, changed_us);
CREATE INDEX conflict_record ON conflict(type, key);
"""


def connect(path: Path, *, cache_mb: int = 64, read_only: bool = False) -> apsw.Connection:
    """Open the file, creating the tables in an empty one.

    ``synchronous=NORMAL`` is enough here: after a power cut the newest pushes may be gone, the
    agent's digests find that and send them again. A production CRM would use FULL.
    """
    flags = (
        apsw.SQLITE_OPEN_READONLY
        if read_only
        else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    )
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(5000)
    connection.execute(f"PRAGMA cache_size=-{cache_mb * 1024}")
    connection.execute("PRAGMA mmap_size=0")
    if read_only:
        return connection
    version = connection.pragma("user_version")
    if version == 0:
        connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA journal_mode=WAL")
    elif not 0 < version <= SCHEMA_VERSION:
        connection.close()
        raise ValueError(f"{path.name} was made by another version of the reference CRM")
    if version < SCHEMA_VERSION:
        _bring_up(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")
    return connection


def _bring_up(connection: apsw.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.pragma("user_version")  # another process may have been faster
        if version < 1:
            connection.execute(_DDL)
            connection.executemany(
                "INSERT INTO record_type VALUES(?, ?)", sorted(TYPE_NAME.items())
            )
        if version < 2:
            connection.execute(_TWO_WAY)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000
