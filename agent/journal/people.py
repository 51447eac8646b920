"""The remote tree of people: what the CRM last said of each, and whom we hold them for.

Part of a turn. Contacts come at least once and in any order; a lower revision never replaces a
higher one. Only patients are people here: a contact's key is a key of ``Stream.PATIENT``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.journal.packing import pack, unpack_contact, unpack_keys
from agent.journal.pulled import ContactState
from agent.journal.seal import contact_context
from agent.journal.values import fetch
from agent.journal.writer import Writer
from agent.model.commands import Contact
from agent.model.reading import Key


class People(Writer):
    """The part of a turn that changes contacts."""

    def see_contact(self, contact: Contact) -> bool:
        """Take what the CRM says of a person; True when it is new or says something else.

        A contact whose content changed while UNLINKED or SUSPECT is NEW again: to be matched anew,
        with what a person rejected still rejected. LINKED and MERGED stay.
        """
        context = contact_context("body", contact.cloud_id)
        packed = pack(contact)
        rows = fetch(
            self._db,
            "SELECT rev, state, body FROM contact WHERE cloud_id = ?",
            (contact.cloud_id,),
        )
        if not rows:
            self._db.execute(
                "INSERT INTO contact(cloud_id, rev, state, body, rejected, seen_at, told)"
                " VALUES (?,?,?,?,'[]',?,1)",
                (
                    contact.cloud_id,
                    contact.rev,
                    ContactState.NEW.value,
                    self._seal.seal(packed, context),
                    self._at,
                ),
            )
            return True
        rev, state, sealed = rows[0]
        if contact.rev < rev or unpack_contact(self._seal.open(sealed, context)) == contact:
            return False
        again = state in (ContactState.UNLINKED.value, ContactState.SUSPECT.value)
        self._db.execute(
            "UPDATE contact SET rev = ?, state = ?, body = ?, seen_at = ? WHERE cloud_id = ?",
            (
                contact.rev,
                ContactState.NEW.value if again else state,
                self._seal.seal(packed, context),
                self._at,
                contact.cloud_id,
            ),
        )
        return True

    def contact_state(
        self,
        cloud_id: str,
        state: ContactState,
        key: Key | None = None,
        candidates: Sequence[Mapping[str, Any]] = (),
        rejected: Sequence[Key] = (),
    ) -> None:
        """Whom we hold this contact for; the CRM is told (NEW needs no telling).

        ``candidates`` replace the old ones. ``rejected`` are added to those rejected before; a key
        that is linked is rejected no more. Raises ValueError for a contact never seen.
        """
        rows = fetch(
            self._db, "SELECT state, key, rejected FROM contact WHERE cloud_id = ?", (cloud_id,)
        )
        if not rows:
            raise ValueError("no such contact")
        before, held_key, held_rejected = rows[0]
        refused = dict.fromkeys([*unpack_keys(held_rejected), *rejected])
        if state is ContactState.LINKED and key is not None:
            refused.pop(key, None)
        self._db.execute(
            "UPDATE contact SET state = ?, key = ?, candidates = ?, rejected = ?, told = ?"
            " WHERE cloud_id = ?",
            (
                state.value,
                key,
                self._seal.seal(
                    pack([dict(entry) for entry in candidates]),
                    contact_context("candidates", cloud_id),
                )
                if candidates
                else None,
                pack(list(refused)).decode(),
                state is ContactState.NEW,
                cloud_id,
            ),
        )
        if (before, held_key) != (state.value, key) and state is not ContactState.NEW:
            self.audit(f"contact.{state.value}", {"contact": cloud_id})

    def contact_told(self, cloud_id: str, state: ContactState, key: Key | None = None) -> None:
        """The CRM acknowledged this state (and key, where one is given); else ignored."""
        self._db.execute(
            "UPDATE contact SET told = 1 WHERE cloud_id = ?1 AND state = ?2"
            " AND (?3 IS NULL OR key IS ?3)",
            (cloud_id, state.value, key),
        )
