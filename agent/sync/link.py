"""People of both sides: the CRM's feed in, matched against the practice, links and doubts out.

Decisions are ``match``'s (deterministic) or a person's; here they are kept and told. Holds the
practice's people in memory, so that a booking for a new person waits for no index to be made; the
journal keeps the contacts.
First contact: who of the CRM is whom in the practice is settled before the first push, so that
the CRM never sees two people where there is one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from agent.errors import CrmError, CrmUnavailable
from agent.journal.journal import Journal, Turn
from agent.journal.pulled import ContactRow, ContactState
from agent.model.commands import Command, Contact, LinkReport, LinkState, Reason
from agent.model.entities import Patient
from agent.model.entities.words import PatientStatus
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import Clock, CommandPort, PmsReader
from agent.sync.load import PLANNED
from agent.sync.match import Decision, Link, PersonIndex, Suspect, decide_all
from agent.sync.payloads import Invalid, as_key
from agent.sync.plans import Postpone, Refuse
from agent.sync.streammap import Observation, StreamMap

log = structlog.get_logger(__name__)

CURSOR = "contacts:cursor"
FIRST = "contacts:first"  # "done": the two populations have met
FEED_EVERY_S = 30.0
FEED_PAGE = 500
MATCH_AT_ONCE = 500
READ_ROWS = 500
MOST_DIRTY = 5000
SEEN_WITHIN_S = 60.0  # a contact a command names and the feed has not brought yet
MOST_CANDIDATES = 50
Rest = Callable[[float], bool]

_PHONES = ("phone_mobile", "phone_home", "phone_work")


class People:
    """Thread-safe. ``step`` runs in the people lane; the others are asked from anywhere."""

    def __init__(
        self, journal: Journal, clock: Clock, *, port: CommandPort, on_links: Callable[[], None]
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._port = port
        self._on_links = on_links
        self._awake = threading.Event()
        self._lock = threading.RLock()  # of the index; held while it is made
        self._index: PersonIndex | None = None
        self._news_lock = threading.Lock()  # of what follows; held for a moment only
        self._dirty: dict[Key, bytes] = {}  # changed since the index was made or renewed
        self._overflow = False  # more than is worth keeping: the index is made anew
        self._merged: dict[Key, bytes] = {}  # records the PMS has merged away
        self._fed_mono: float | None = None
        self._first_done = journal.mark(FIRST) == "done"

    # -- the engine's questions --------------------------------------------------------------------

    @property
    def holds_push(self) -> bool:
        """The two populations have not met yet."""
        return not self._first_done

    def look_again(self) -> None:
        """Somebody decided about a contact: what is left is matched again, and told."""
        self._awake.set()
        self._on_links()

    def wake(self) -> None:
        """The CRM says that its people changed."""
        self._fed_mono = None
        self._awake.set()

    def wait(self, seconds: float) -> None:
        self._awake.wait(seconds)
        self._awake.clear()

    def stop(self) -> None:
        self._awake.set()

    def changed(self, rows: Sequence[Observation]) -> None:
        """Patients that were just read otherwise than before (called by the capture)."""
        merged = {row.key: row.canon for row in rows if b'"merged_into":' in row.canon}
        with self._news_lock:
            self._merged.update(merged)
            if self._overflow:
                return
            self._dirty.update((row.key, row.canon) for row in rows)
            if len(self._dirty) > MOST_DIRTY:
                self._dirty, self._overflow = {}, True
        if merged:
            self._awake.set()

    def forget(self, keys: Collection[Key]) -> None:
        """Nothing of these patients stays in memory; the index is made anew when it is needed."""
        with self._lock:
            self._index = None
            self._take_news()

    def _take_news(self) -> tuple[dict[Key, bytes], bool]:
        with self._news_lock:
            dirty, overflow = self._dirty, self._overflow
            self._dirty, self._overflow = {}, False
        return dirty, overflow

    # -- the planner's questions -------------------------------------------------------------------

    def key_of(self, cloud_id: str) -> Key | None:
        """The patient this contact is; None when nobody is. Raises Refuse and Postpone."""
        seen: set[str] = set()
        row = self._journal.contact(cloud_id)
        while row is not None and row.contact.merged_into and cloud_id not in seen:
            seen.add(cloud_id)
            if row.state is ContactState.LINKED and row.key is not None:
                return row.key
            cloud_id = row.contact.merged_into
            row = self._journal.contact(cloud_id)
        if row is None or row.state is ContactState.NEW:
            self.wake()
            raise Postpone(
                "contact.not_seen", reason=Reason.PATIENT_NOT_FOUND, patience_s=SEEN_WITHIN_S
            )
        if row.state is ContactState.SUSPECT:
            raise Refuse(Reason.PATIENT_AMBIGUOUS, "patient.suspect")
        return row.key if row.state in (ContactState.LINKED, ContactState.MERGED) else None

    def twin_of(self, fields: Mapping[str, Any], cloud_id: str | None) -> Key | None:
        """The record that certainly is this new person already. Raises Refuse and Postpone."""
        row = self._journal.contact(cloud_id) if cloud_id else None
        if row is not None and row.state is ContactState.LINKED and row.key is not None:
            return row.key
        if not self._is_loaded():
            raise Postpone("load.under_way")
        contact = _as_contact(fields, cloud_id)
        rejected = [str(key) for key in refused_keys(row)] if row is not None else []
        with self._lock:
            index = self._index_now()
            taken = self._taken() if cloud_id else None
            decision = index.decide(contact, rejected=rejected, taken=taken)
            while self._drop_gone(index, [decision]):
                decision = index.decide(contact, rejected=rejected, taken=taken)
        if isinstance(decision, Link):
            return as_key(decision.key)
        if isinstance(decision, Suspect):
            raise Refuse(Reason.PATIENT_AMBIGUOUS, "patient.may_exist")
        return None

    def created(self, turn: Turn, command: Command, key: Key, fields: Mapping[str, Any]) -> None:
        """A patient was made for this command: its contact is that record from now on."""
        who = command.payload.get("patient")
        named = who.get("cloud_id") if isinstance(who, dict) else None
        cloud_id = command.target.cloud_id or named
        if not cloud_id:
            return
        if self._journal.contact(cloud_id) is None:
            turn.see_contact(_as_contact(fields, cloud_id))
        turn.contact_state(cloud_id, ContactState.LINKED, key)

    # -- the lane ----------------------------------------------------------------------------------

    def step(self, reader: PmsReader, mapped: StreamMap | None, rest: Rest) -> bool:
        """Read the feed, match what is new, follow the PMS's merges. True when there is more."""
        self._follow_merges()
        now = self._clock.mono()
        if self._fed_mono is None or now - self._fed_mono >= FEED_EVERY_S:
            self._fed_mono = now
            try:
                self._read_feed()
            except CrmUnavailable:
                raise
            except CrmError as error:
                # A CRM without people of its own to tell about: nothing to wait for.
                log.info("contacts.no_feed", code=error.code)
                self._met()
                return False
        return self._match(reader, mapped, rest)

    def _read_feed(self) -> None:
        while True:
            cursor = self._journal.mark(CURSOR) or None
            page = self._port.contacts(cursor, FEED_PAGE)
            if page.contacts or page.cursor != (cursor or ""):
                with self._journal.turn() as turn:
                    for contact in page.contacts:
                        turn.see_contact(contact)
                        self._follow_crm(turn, contact)
                    turn.set_mark(CURSOR, page.cursor)
            if not page.more:
                return

    def _follow_crm(self, turn: Turn, contact: Contact) -> None:
        """The CRM merged two of its own, or deleted one: nothing happens in the PMS."""
        if contact.merged_into is not None:
            into = self._journal.contact(contact.merged_into)
            key = into.key if into is not None else None
            turn.contact_state(contact.cloud_id, ContactState.MERGED, key)
            turn.contact_told(contact.cloud_id, ContactState.MERGED)  # it is the CRM's own news
        elif contact.is_deleted:
            turn.contact_state(contact.cloud_id, ContactState.UNLINKED)
            turn.contact_told(contact.cloud_id, ContactState.UNLINKED)
        else:
            self._drop_refused(turn, contact)

    def _drop_refused(self, turn: Turn, contact: Contact) -> None:
        """Somebody there says that this is not the record we hold it for: matched anew, without
        it; what that comes to is told as ever."""
        row = self._journal.contact(contact.cloud_id)  # as it was before this turn
        if row is None or row.key is None or contact.rev < row.contact.rev:
            return
        if row.key not in keys_of(contact.not_refs):
            return
        turn.contact_state(contact.cloud_id, ContactState.NEW, rejected=[row.key])
        turn.audit("contact.rejected_by_crm", {"contact": contact.cloud_id})
        log.info("contacts.link_dropped")

    def _match(self, reader: PmsReader, mapped: StreamMap | None, rest: Rest) -> bool:
        rows = [
            row
            for row in self._journal.contacts(ContactState.NEW, MATCH_AT_ONCE)
            if not row.contact.is_deleted and row.contact.merged_into is None
        ]
        if not rows:
            if not self._first_done and not self._journal.contacts_untold(1):
                self._met()
            if self._index is None and self._first_done and self._is_loaded():
                with self._lock:
                    self._index_now()  # made here, so that no booking has to wait for it
            return False
        if not self._has_population(reader, mapped, rest):
            return False
        contacts = [row.contact for row in rows]
        refused = {row.contact.cloud_id: [str(k) for k in refused_keys(row)] for row in rows}
        with self._lock:
            index, taken = self._index_now(), self._taken()
            decided = decide_all(contacts, index, rejected=refused, taken=taken)
            while self._drop_gone(index, decided.values()):
                decided = decide_all(contacts, index, rejected=refused, taken=taken)
        linked = 0
        with self._journal.turn() as turn:
            for cloud_id, decision in decided.items():
                if isinstance(decision, Link):
                    linked += 1
                    turn.contact_state(cloud_id, ContactState.LINKED, as_key(decision.key))
                elif isinstance(decision, Suspect):
                    entries = [one.entry() for one in decision.candidates]
                    for entry in entries:
                        entry["key"] = as_key(entry["key"])
                    turn.contact_state(cloud_id, ContactState.SUSPECT, candidates=entries)
                else:
                    turn.contact_state(cloud_id, ContactState.UNLINKED)
        log.info("contacts.matched", contacts=len(decided), linked=linked)
        self._on_links()
        return True

    def _met(self) -> None:
        if not self._first_done:
            with self._journal.turn() as turn:
                turn.set_mark(FIRST, "done")
            self._first_done = True
            log.info("contacts.met")
            self._on_links()

    def _follow_merges(self) -> None:
        """Open Dental merged two records: the contact of the loser is the survivor's."""
        with self._news_lock:
            dirty, self._merged = self._merged, {}
        for key, canon in dirty.items():
            into = msgspec.json.decode(canon, type=Patient).merged_into
            row = self._journal.contact_of(key)
            if not into or row is None:
                continue
            survivor = as_key(into)
            other = self._journal.contact_of(survivor)
            with self._journal.turn() as turn:
                turn.merge(Stream.PATIENT, key, survivor)
                if survivor in keys_of(row.contact.not_refs):
                    turn.contact_state(row.contact.cloud_id, ContactState.NEW, rejected=[key])
                elif other is None or other.contact.cloud_id == row.contact.cloud_id:
                    turn.contact_state(row.contact.cloud_id, ContactState.LINKED, survivor)
                else:  # two people of the CRM are one person now: the CRM's to merge
                    turn.contact_state(row.contact.cloud_id, ContactState.MERGED, survivor)
            log.info("contacts.merge_followed")
            self._on_links()

    # -- the index ---------------------------------------------------------------------------------

    def _is_loaded(self) -> bool:
        """Every patient has been read at least once."""
        if not self._journal.mark(PLANNED + Stream.PATIENT.value):
            return False
        return not self._journal.next_chunks(
            self._clock.now(), 1, loaded=False, streams=[Stream.PATIENT]
        )

    def _has_population(self, reader: PmsReader, mapped: StreamMap | None, rest: Rest) -> bool:
        """An index, from the mirror or, before that is loaded, straight from the PMS."""
        if self._index is not None or self._is_loaded():
            return True
        if mapped is None:
            return False
        index, at = PersonIndex([]), None
        self._take_news()  # what changes from now on is news
        while True:
            page = reader.read_range(Stream.PATIENT, at, None, READ_ROWS)
            observed, _ = mapped.observe(page)
            for row in observed:
                _renew(index, row.canon)
            if page.exhausted:
                break
            at = page.last
            if not rest(page.took_ms / 1000):
                return False
        with self._lock:
            self._index = index
        return True

    def _index_now(self) -> PersonIndex:
        """The practice's people as last read. The caller holds the lock."""
        dirty, overflow = self._take_news()
        if self._index is None or overflow:
            self._index = PersonIndex([])
            for canon in self._canons():
                _renew(self._index, canon)
            return self._index
        for canon in dirty.values():
            _renew(self._index, canon)
        return self._index

    def _drop_gone(self, index: PersonIndex, decided: Iterable[Decision]) -> bool:
        """Records that have left the practice since the index was made; whether any was meant."""
        meant = [key for decision in decided for key in _named(decision) if key in index.people]
        held = self._journal.held(Stream.PATIENT, [as_key(key) for key in meant])
        gone = [str(key) for key, row in held.items() if row.gone]
        for key in gone:
            index.discard(key)
        return bool(gone)

    def _canons(self) -> Iterator[bytes]:
        at: Key | None = None
        while True:
            end = self._journal.nth_key(Stream.PATIENT, at, READ_ROWS)
            keys = list(self._journal.held_range(Stream.PATIENT, at, end))
            yield from self._journal.contents(Stream.PATIENT, keys).values()
            if end is None:
                return
            at = end

    def _taken(self) -> Mapping[str, str]:
        return _Taken(self._journal)


def refused_keys(row: ContactRow) -> list[Key]:
    """Records a person said this is not, here or in the CRM."""
    return list(dict.fromkeys([*row.rejected, *keys_of(row.contact.not_refs)]))


def keys_of(texts: Iterable[str]) -> list[Key]:
    """What is no key names nobody."""
    found: list[Key] = []
    for text in texts:
        with suppress(Invalid):
            found.append(as_key(text))
    return found


def _named(decision: Decision) -> list[str]:
    if isinstance(decision, Link):
        return [decision.key]
    return [one.key for one in decision.candidates] if isinstance(decision, Suspect) else []


def _renew(index: PersonIndex, canon: bytes) -> None:
    """The person as just read. One the PMS has deleted is nobody any more; one it has merged away
    still leads to the survivor."""
    patient = msgspec.json.decode(canon, type=Patient)
    index.discard(patient.key)
    if patient.status is not PatientStatus.DELETED or patient.merged_into:
        index.add(patient)


class _Taken(Mapping[str, str]):
    """Patient key -> the contact linked to it, asked of the journal one by one."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __getitem__(self, key: str) -> str:
        row = self._journal.contact_of(as_key(key))
        if row is None:
            raise KeyError(key)
        return row.contact.cloud_id

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _as_contact(fields: Mapping[str, Any], cloud_id: str | None) -> Contact:
    return Contact(
        cloud_id=cloud_id or "",
        rev=0,
        last_name=fields.get("last_name"),
        first_name=fields.get("first_name"),
        birthdate=fields.get("birthdate"),
        phones=tuple(str(fields[name]) for name in _PHONES if fields.get(name)),
        emails=tuple(fields.get("emails") or ()),
        fields={n: fields[n] for n in ("middle_name",) if fields.get(n)},
    )


_REPORTED = {
    ContactState.LINKED: LinkState.LINKED,
    ContactState.UNLINKED: LinkState.UNLINKED,
    ContactState.SUSPECT: LinkState.SUSPECT,
    ContactState.MERGED: LinkState.MERGED,
}


def report_of(row: ContactRow) -> LinkReport | None:
    """What the CRM is told of a contact; None where there is nothing it could use."""
    state = _REPORTED.get(row.state)
    if state is None or (state in (LinkState.LINKED, LinkState.MERGED) and row.key is None):
        return None
    report = LinkReport(row.contact.cloud_id, state)
    if row.key is not None:
        report = msgspec.structs.replace(report, key=str(row.key))
    keys = tuple(str(entry["key"]) for entry in row.candidates if "key" in entry)
    return msgspec.structs.replace(report, candidates=keys[:MOST_CANDIDATES])
