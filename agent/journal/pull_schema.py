"""Layout 2 of the journal: the tables of the pull direction. DDL only.

What is sealed: bodies and outcomes of commands, images of effects, evidence of conflicts, effects
and notes of tasks, contacts with their evidence. In the clear stand what is searched or counted:
ids, keys, types, states, instants, codes.

Every index below is partial where the rows of interest are few, so that what runs on a timer looks
at open work only, however much settled work is kept.
"""

from __future__ import annotations

STATEMENTS = (
    """CREATE TABLE command(
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
        priority INTEGER NOT NULL, state TEXT NOT NULL, received_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL, expires_at INTEGER, tries INTEGER NOT NULL DEFAULT 0, body BLOB,
        outcome BLOB, reported INTEGER NOT NULL DEFAULT 1, changed_at INTEGER NOT NULL) STRICT""",
    """CREATE INDEX command_due ON command(priority, number)
        WHERE state IN ('received', 'waiting', 'working')""",
    """CREATE INDEX command_expiry ON command(expires_at)
        WHERE state IN ('received', 'waiting') AND expires_at IS NOT NULL""",
    "CREATE INDEX command_open ON command(number) WHERE state <> 'done'",
    "CREATE INDEX command_unreported ON command(number) WHERE reported = 0",
    "CREATE INDEX command_state ON command(state, number)",
    """CREATE TABLE effect(
        number INTEGER PRIMARY KEY AUTOINCREMENT, op_id BLOB NOT NULL UNIQUE, command TEXT,
        bundle TEXT NOT NULL, kind TEXT NOT NULL, stream INTEGER NOT NULL REFERENCES stream,
        key ANY, floor ANY, state TEXT NOT NULL, undo TEXT NOT NULL, image BLOB,
        actor TEXT NOT NULL, planned_at INTEGER NOT NULL, settled_at INTEGER,
        why TEXT NOT NULL DEFAULT '', undoes INTEGER REFERENCES effect ON DELETE SET NULL,
        intent_seq INTEGER NOT NULL) STRICT""",
    """CREATE INDEX effect_open ON effect(number, intent_seq)
        WHERE state IN ('intent', 'written', 'unknown')""",
    "CREATE INDEX effect_bundle ON effect(bundle)",
    "CREATE INDEX effect_command ON effect(command) WHERE command IS NOT NULL",
    "CREATE INDEX effect_record ON effect(stream, key)",
    "CREATE INDEX effect_planned ON effect(planned_at)",
    "CREATE INDEX effect_undoes ON effect(undoes) WHERE undoes IS NOT NULL",
    # Made by layout 1 before anything could write to it.
    "DROP TABLE conflict",
    """CREATE TABLE conflict(
        number INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL REFERENCES stream,
        key ANY NOT NULL, field TEXT NOT NULL, kind TEXT NOT NULL, policy TEXT NOT NULL,
        evidence BLOB NOT NULL, winner TEXT, state TEXT NOT NULL, actor TEXT NOT NULL,
        command TEXT, at INTEGER NOT NULL, settled_at INTEGER,
        told INTEGER NOT NULL DEFAULT 0) STRICT""",
    "CREATE INDEX conflict_open ON conflict(number) WHERE state = 'open'",
    "CREATE INDEX conflict_untold ON conflict(number) WHERE told = 0",
    "CREATE INDEX conflict_record ON conflict(stream, key)",
    "CREATE INDEX conflict_command ON conflict(command) WHERE command IS NOT NULL",
    """CREATE TABLE task(
        number INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL, image BLOB NOT NULL,
        reason TEXT NOT NULL, state TEXT NOT NULL, opened_at INTEGER NOT NULL,
        due_at INTEGER NOT NULL, settled_at INTEGER, actor TEXT NOT NULL, note BLOB,
        key ANY) STRICT""",
    "CREATE INDEX task_due ON task(due_at) WHERE state = 'open'",
    "CREATE INDEX task_command ON task(command)",
    """CREATE TABLE contact(
        cloud_id TEXT PRIMARY KEY, rev INTEGER NOT NULL, state TEXT NOT NULL, key ANY,
        body BLOB NOT NULL, candidates BLOB, rejected TEXT NOT NULL, seen_at INTEGER NOT NULL,
        told INTEGER NOT NULL) STRICT""",
    "CREATE INDEX contact_state ON contact(state, cloud_id)",
    "CREATE INDEX contact_untold ON contact(cloud_id) WHERE told = 0",
    "CREATE INDEX contact_key ON contact(key) WHERE key IS NOT NULL",
    """CREATE TABLE policy(
        stream INTEGER NOT NULL REFERENCES stream, field TEXT NOT NULL, winner TEXT NOT NULL,
        actor TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (stream, field)) STRICT, WITHOUT ROWID""",
)
