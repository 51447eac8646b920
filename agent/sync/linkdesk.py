"""What people decide about who is who: approve, reject, merge, un-merge. Kept, audited, told.

Deciding nothing by itself; ``match`` and ``link`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.journal.journal import Journal
from agent.journal.pulled import ContactRow, ContactState
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync.link import keys_of


class LinkDesk:
    """Thread-safe. ``on_decided``: there is something to match again and to tell the CRM."""

    def __init__(self, journal: Journal, *, on_decided: Callable[[], None]) -> None:
        self._journal = journal
        self._on_decided = on_decided

    def approve(self, cloud_id: str, key: Key, *, actor: str) -> None:
        """This contact is this record. ValueError when the record is another's or unknown."""
        other = self._journal.contact_of(key)
        if other is not None and other.contact.cloud_id != cloud_id:
            raise ValueError("linked to another contact")
        held = self._journal.held(Stream.PATIENT, [key]).get(key)
        if held is None or held.gone:
            raise ValueError("no such record")
        _check_refs(self._journal.contact(cloud_id), key)
        self._decide(cloud_id, ContactState.LINKED, actor, "contact.approved", key=key)

    def reject(self, cloud_id: str, keys: Sequence[Key], *, actor: str) -> None:
        """None of these; what is left is matched again."""
        self._decide(cloud_id, ContactState.NEW, actor, "contact.rejected_by", rejected=keys)

    def merge(self, cloud_id: str, into: str, *, actor: str) -> None:
        """Two contacts are one person; ``into`` stays and keeps its record."""
        survivor = self._journal.contact(into)
        if survivor is None or survivor.state is ContactState.MERGED:
            raise ValueError("no such contact to merge into")
        row = self._journal.contact(cloud_id)
        if row is None:
            raise ValueError("no such contact")
        if row.key is not None and survivor.key is not None and row.key != survivor.key:
            raise ValueError("two different records of the practice")
        key = survivor.key if survivor.key is not None else row.key
        if key is None:
            raise ValueError("neither is anybody in the practice")
        _check_refs(row, key)
        _check_refs(survivor, key)
        if survivor.key is None:
            self._decide(into, ContactState.LINKED, actor, "contact.approved", key=key)
        self._decide(cloud_id, ContactState.MERGED, actor, "contact.merged_by", key=key)

    def unmerge(self, cloud_id: str, *, actor: str) -> None:
        """The contact stands for itself again; the record it was held for is not offered again."""
        row = self._journal.contact(cloud_id)
        if row is None or row.state not in (ContactState.LINKED, ContactState.MERGED):
            raise ValueError("not linked or merged")
        refused = [row.key] if row.key is not None else []
        self._decide(cloud_id, ContactState.NEW, actor, "contact.unmerged_by", rejected=refused)

    def _decide(
        self,
        cloud_id: str,
        state: ContactState,
        actor: str,
        act: str,
        *,
        key: Key | None = None,
        rejected: Sequence[Key] = (),
    ) -> None:
        with self._journal.turn() as turn:
            turn.contact_state(cloud_id, state, key, rejected=rejected)
            turn.audit(act, {"contact": cloud_id, "actor": actor})
        self._on_decided()


def _check_refs(row: ContactRow | None, key: Key) -> None:
    if row is not None and key in keys_of(row.contact.not_refs):
        raise ValueError("somebody of the CRM said: not this one")
