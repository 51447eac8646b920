"""The CRM's own people: leads and callers, their feed, and which PMS record each of them is.

Imports apsw, msgspec, ``agent.model`` and this package. Every change gives a contact the next
revision, and the feed is simply the contacts in order of revision: an agent sees each in its newest
state. Who a contact is, the agent reports (``take_links``) or a person of the CRM decides
(``link``, ``unlink``, ``reject``); a decision of a person is never undone by a report.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final

import apsw
import msgspec

from agent.model.commands import LinkState
from agent.sandbox.crm.commands import read_cursor, write_cursor
from agent.sandbox.crm.extract import fold
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us

Json = dict[str, Any]

KEPT_US: Final = 90 * 86_400 * 1_000_000
GONE: Final = frozenset({"merged", "deleted"})
_COLUMNS: Final = (
    "id, rev, state, last_name, first_name, birthdate, phones, emails, fields, client_ref,"
    " is_decided, not_refs, candidates, merged_into, created_us, changed_us"
)


class Person(msgspec.Struct, frozen=True):
    """One contact as stored. ``state``: new, linked, unlinked, suspect, merged or deleted."""

    id: str
    rev: int
    state: str
    last_name: str | None
    first_name: str | None
    birthdate: str | None
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    fields: Json
    client_ref: str | None
    is_decided: bool
    not_refs: tuple[str, ...]
    candidates: tuple[str, ...]
    merged_into: str | None
    created_us: int
    changed_us: int

    def told(self) -> Json:
        """As the feed tells it."""
        if self.state in GONE:
            merged = {"merged_into": self.merged_into} if self.merged_into else {}
            gone = {"is_deleted": True} if self.state == "deleted" else {}
            return {"cloud_id": self.id, "rev": self.rev, **merged, **gone}
        told: Json = {"cloud_id": self.id, "rev": self.rev}
        for name in ("last_name", "first_name", "birthdate", "client_ref"):
            if (value := getattr(self, name)) is not None:
                told[name] = value
        for name in ("phones", "emails", "fields", "not_refs"):
            if value := getattr(self, name):
                told[name] = value
        return told


class Said(msgspec.Struct, frozen=True):
    """What is known of a person before they are one of ours."""

    last_name: str | None = None
    first_name: str | None = None
    birthdate: str | None = None
    phones: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    fields: Json = {}


def read_person(row: Sequence[Any]) -> Person:
    (id_, rev, state, last, first, born, phones, emails, fields, ref, is_decided, not_refs,
     candidates, merged, created_us, changed_us) = row  # fmt: skip
    decode = msgspec.json.decode
    return Person(
        id_, rev, state, last, first, born, tuple(decode(phones)), tuple(decode(emails)),
        decode(fields), ref, bool(is_decided), tuple(decode(not_refs)), tuple(decode(candidates)),
        merged, created_us, changed_us,
    )  # fmt: skip


def person(db: apsw.Connection, cloud_id: str) -> Person:
    """Raises Refusal 404; a merged one answers for itself, not for its survivor."""
    row = db.execute(f"SELECT {_COLUMNS} FROM contact WHERE id = ?", (cloud_id,)).fetchone()
    if row is None:
        raise Refusal(404, "not-found")
    return read_person(row)


def people_of(db: apsw.Connection, key: str) -> list[Person]:
    """The contacts that are this patient."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM contact WHERE client_ref = ? ORDER BY id", (key,))
    return [read_person(row) for row in rows]


def suspects(db: apsw.Connection, most: int = 200) -> list[Person]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM contact WHERE state = 'suspect' ORDER BY changed_us LIMIT ?",
        (most,),
    )
    return [read_person(row) for row in rows]


def count_suspects(db: apsw.Connection) -> int:
    row = db.execute("SELECT count(*) FROM contact WHERE state = 'suspect'").fetchone()
    return 0 if row is None else int(row[0])


def find(
    db: apsw.Connection, asked: Iterable[str], most: int, *, is_open: bool
) -> tuple[list[Person], bool]:
    """People whose search text holds every word, by name; and are there more?"""
    words = list(asked)
    where = "".join(" AND instr(search, ?) > 0" for _ in words)
    states = "'new', 'unlinked', 'suspect'" + ("" if is_open else ", 'linked'")
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM contact WHERE state IN ({states}){where}"
        " ORDER BY sort, id LIMIT ?",
        (*words, most + 1),
    ).fetchall()
    return [read_person(row) for row in rows[:most]], len(rows) > most


def alike(db: apsw.Connection, said: Said) -> list[Person]:
    """People of ours with the same name and birth date (where one has none: a shared number)."""
    name = _sort(said)
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM contact WHERE sort = ? AND state NOT IN ('merged', 'deleted')"
        " ORDER BY id LIMIT 50",
        (name,),
    )
    found = []
    for one in [read_person(row) for row in rows]:
        if one.birthdate and said.birthdate:
            is_same = one.birthdate == said.birthdate
        else:
            is_same = bool({*one.phones, *one.emails} & {*said.phones, *said.emails})
        if is_same:
            found.append(one)
    return found


# --- the feed -----------------------------------------------------------------------------------


def feed(db: apsw.Connection, cursor: str, limit: int) -> tuple[list[Json], str, bool]:
    """(contacts, next cursor, more). Raises Refusal 410."""
    word = _feed_word(db)
    after = read_cursor(word, cursor) if cursor else 0
    newest, floor = _meta(db, "contact_rev"), _meta(db, "contact_floor")
    if not 0 <= after <= newest or (cursor and after < floor):
        raise Refusal(410, "cursor-expired")
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM contact WHERE rev > ? ORDER BY rev LIMIT ?", (after, limit + 1)
    ).fetchall()
    page = [read_person(row) for row in rows[:limit]]
    last = page[-1].rev if page else after
    return [one.told() for one in page], write_cursor(word, last), len(rows) > limit


def prune(db: apsw.Connection, kept_us: int = KEPT_US) -> None:
    """Forget tombstones older than the retention; cursors from before them are no good any more."""
    oldest_us = now_us() - kept_us
    with db:
        row = db.execute(
            "SELECT max(rev) FROM contact WHERE state IN ('merged', 'deleted') AND changed_us < ?",
            (oldest_us,),
        ).fetchone()
        if row is None or row[0] is None:
            return
        db.execute(
            "INSERT INTO meta VALUES('contact_floor', ?1) ON CONFLICT(name) DO UPDATE SET"
            " value = max(CAST(value AS INTEGER), CAST(?1 AS INTEGER))",
            (str(row[0]),),
        )
        db.execute(
            "DELETE FROM contact WHERE state IN ('merged', 'deleted') AND changed_us < ?",
            (oldest_us,),
        )


def _feed_word(db: apsw.Connection) -> bytes:
    """Names this database in its cursors: one of another database is not believed."""
    row = db.execute("SELECT value FROM meta WHERE name = 'feed_id'").fetchone()
    return b"p1" if row is None else f"p1.{row[0]}".encode()


def _meta(db: apsw.Connection, name: str) -> int:
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(str(row[0]))


# --- changing people ----------------------------------------------------------------------------


def add(db: apsw.Connection, said: Said, cloud_id: str = "") -> Person:
    """A new person of ours."""
    made = cloud_id or f"c-{uuid.uuid4().hex[:20]}"
    at = now_us()
    with db:
        rev = _next_rev(db)
        db.execute(
            "INSERT INTO contact(id, rev, state, last_name, first_name, birthdate, phones, emails,"
            " fields, sort, search, created_us, changed_us)"
            " VALUES(?, ?, 'new', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (made, rev, said.last_name, said.first_name, said.birthdate, _json(said.phones),
             _json(said.emails), _json(said.fields), _sort(said), _search(said), at, at),
        )  # fmt: skip
    return person(db, made)


def edit(db: apsw.Connection, cloud_id: str, said: Said) -> Person:
    """Replace what is known of them. Raises Refusal 404, 409 contact-linked."""
    one = _live(db, cloud_id)
    if one.state == "linked":
        raise Refusal(409, "contact-linked")
    with db:
        db.execute(
            "UPDATE contact SET rev = ?, last_name = ?, first_name = ?, birthdate = ?, phones = ?,"
            " emails = ?, fields = ?, sort = ?, search = ?, changed_us = ? WHERE id = ?",
            (_next_rev(db), said.last_name, said.first_name, said.birthdate, _json(said.phones),
             _json(said.emails), _json(said.fields), _sort(said), _search(said), now_us(),
             cloud_id),
        )  # fmt: skip
    return person(db, cloud_id)


def delete(db: apsw.Connection, cloud_id: str, merged_into: str | None = None) -> None:
    """Leave a tombstone: nothing of the person stays. Raises Refusal 404."""
    _live(db, cloud_id)
    with db:
        db.execute(
            "UPDATE contact SET rev = ?, state = ?, merged_into = ?, last_name = NULL,"
            " first_name = NULL, birthdate = NULL, phones = '[]', emails = '[]', fields = '{}',"
            " client_ref = NULL, not_refs = '[]', candidates = '[]', sort = '', search = '',"
            " changed_us = ?"
            " WHERE id = ?",
            (_next_rev(db), "merged" if merged_into else "deleted", merged_into, now_us(),
             cloud_id),
        )  # fmt: skip


def merge(db: apsw.Connection, loser_id: str, survivor_id: str) -> Person:
    """Make two of ours one: the survivor keeps its own words and gains what it lacks.

    Raises Refusal 404, 400 (the same one twice), 409 contact-linked (two different patients).
    """
    loser, survivor = _live(db, loser_id), _live(db, survivor_id)
    if loser.id == survivor.id:
        raise Refusal(400, "invalid-request", "into")
    refs = {one.client_ref for one in (loser, survivor) if one.client_ref}
    if len(refs) > 1:
        raise Refusal(409, "contact-linked", "They are two different patients")
    with db:
        delete(db, loser.id, merged_into=survivor.id)
        both = Said(
            survivor.last_name or loser.last_name,
            survivor.first_name or loser.first_name,
            survivor.birthdate or loser.birthdate,
            tuple(dict.fromkeys(survivor.phones + loser.phones)),
            tuple(dict.fromkeys(survivor.emails + loser.emails)),
            {**loser.fields, **survivor.fields},
        )
        db.execute(
            "UPDATE contact SET rev = ?, state = ?, last_name = ?, first_name = ?, birthdate = ?,"
            " phones = ?, emails = ?, fields = ?, client_ref = ?, not_refs = ?, sort = ?,"
            " search = ?, changed_us = ? WHERE id = ?",
            (_next_rev(db), "linked" if refs else survivor.state, both.last_name, both.first_name,
             both.birthdate, _json(both.phones), _json(both.emails), _json(both.fields),
             next(iter(refs), None),
             _json([*dict.fromkeys(survivor.not_refs + loser.not_refs)]), _sort(both),
             _search(both), now_us(),
             survivor.id),
        )  # fmt: skip
    return person(db, survivor.id)


# --- who is who ---------------------------------------------------------------------------------


def link(db: apsw.Connection, cloud_id: str, key: str) -> Person:
    """A person of the CRM says: this contact is that patient. Raises Refusal 404."""
    one = _live(db, cloud_id)
    kept = [ref for ref in one.not_refs if ref != key]
    return _decide(db, one, "linked", key, kept)


def unlink(db: apsw.Connection, cloud_id: str) -> Person:
    """A person of the CRM says: not that patient after all. Raises Refusal 404."""
    one = _live(db, cloud_id)
    if one.client_ref is None:
        return one
    return _decide(db, one, "unlinked", None, [*dict.fromkeys((*one.not_refs, one.client_ref))])


def reject(db: apsw.Connection, cloud_id: str, key: str) -> Person:
    """A person of the CRM says: not this candidate. Raises Refusal 404."""
    one = _live(db, cloud_id)
    if one.client_ref == key:
        return unlink(db, cloud_id)
    left = [candidate for candidate in one.candidates if candidate != key]
    state = "unlinked" if one.state == "suspect" and not left else one.state
    refused = [*dict.fromkeys((*one.not_refs, key))]
    return _decide(db, one, state, one.client_ref, refused, left)


def _decide(
    db: apsw.Connection,
    one: Person,
    state: str,
    key: str | None,
    not_refs: Sequence[str],
    candidates: Sequence[str] = (),
) -> Person:
    with db:
        db.execute(
            "UPDATE contact SET rev = ?, state = ?, client_ref = ?, is_decided = ?, not_refs = ?,"
            " candidates = ?, changed_us = ? WHERE id = ?",
            (_next_rev(db), state, key, int(key is not None), _json(not_refs), _json(candidates),
             now_us(), one.id),
        )  # fmt: skip
    return person(db, one.id)


class Link(msgspec.Struct, frozen=True):
    """One report of the agent."""

    cloud_id: str
    state: LinkState
    key: str | None = None
    candidates: tuple[str, ...] = ()


def take_links(db: apsw.Connection, links: Iterable[Link]) -> tuple[int, bool]:
    """What the agent says of our people: (known ones, did anything change). Revisions stay: it is
    no news to the agent."""
    taken, is_news = 0, False
    with db:
        for told in links:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM contact WHERE id = ?", (told.cloud_id,)
            ).fetchone()
            if row is None:
                continue
            taken += 1
            is_news = _take_link(db, read_person(row), told) or is_news
    return taken, is_news


def _take_link(db: apsw.Connection, one: Person, told: Link) -> bool:
    if one.state in GONE:
        return False
    key = told.key if told.state in {LinkState.LINKED, LinkState.MERGED} else None
    if key is not None and key in one.not_refs:
        return False  # a person said no after the agent had looked
    if one.is_decided and key != one.client_ref and told.state is not LinkState.MERGED:
        return False  # a person said who it is; only the practice's own merge moves that
    candidates = [c for c in told.candidates if c not in one.not_refs]
    state = {LinkState.MERGED: "linked"}.get(told.state, told.state.value)
    if told.state is LinkState.SUSPECT and not candidates:
        state = "unlinked"
    kept = candidates if state == "suspect" else []
    if (one.state, one.client_ref, list(one.candidates)) == (state, key, kept):
        return False
    db.execute(
        "UPDATE contact SET state = ?, client_ref = ?, candidates = ?, changed_us = ? WHERE id = ?",
        (state, key, _json(kept), now_us(), one.id),
    )
    return True


def forget_patient(db: apsw.Connection, key: str) -> bool:
    """The practice erased a patient: so do we, with what was asked about them. True when it had
    any."""
    ours = people_of(db, key)
    with db:
        for one in ours:
            delete(db, one.id)
        db.execute(
            "UPDATE command SET body = json_set(body, '$.payload', json('{}'), '$.precondition',"
            " json('{}')), result = NULL"
            " WHERE (patient = ? OR person IN (SELECT value FROM json_each(?)))"
            " AND type <> 'privacy.forget' AND done_us IS NOT NULL",
            (key, _json([one.id for one in ours])),
        )
    return bool(ours)


def _live(db: apsw.Connection, cloud_id: str) -> Person:
    one = person(db, cloud_id)
    if one.state in GONE:
        raise Refusal(404, "not-found")
    return one


def _next_rev(db: apsw.Connection) -> int:
    row = db.execute(
        "UPDATE meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)"
        " WHERE name = 'contact_rev' RETURNING value"
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _sort(said: Said) -> str:
    return f"{fold(said.last_name or '')} {fold(said.first_name or '')}"


def _search(said: Said) -> str:
    """As in ``extract``: a space before each word, numbers as digits."""
    numbers = ["".join(c for c in phone if c.isdigit()) for phone in said.phones]
    words = [fold(said.first_name or ""), fold(said.last_name or ""), said.birthdate or "",
             *numbers, *(fold(email) for email in said.emails)]  # fmt: skip
    return " " + " ".join(word for word in words if word)
