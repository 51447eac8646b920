"""The page's own API for acting: book, move, confirm, cancel, edit, and see how it went.

Private to the page and to scripts (a booking AI); no part of the contract. Imports Starlette and
this package. Everything here becomes commands of the contract; the practice decides.

WHO MAY. As the rest of the page: this computer only, and a POST must carry the header
``X-Bridgework-Page: 1``; or from anywhere with ``Authorization: Bearer <pilot token>``
(``bridgework crm serve --pilot-token``), then without that header.

REFUSALS are RFC 9457 problems. One type is special, ``.../problems/command-refused`` (409): nothing
was queued, and it carries ``reason_code`` (the contract's closed list), ``staff_text`` (a sentence
for people) and ``alternatives`` ([Slot], maybe empty). The reasons made here are
``not_supported_by_pms`` (no agent offers this), ``pms_unavailable`` (booking is suspended),
``slot_taken``, ``in_past``, ``outside_hours``, ``patient_not_found``, ``operatory_invalid``,
``validation_failed``. Others: 400 invalid-request (``detail`` names the field), 404 not-found,
409 command-started (too late to withdraw), 422 idempotency-reused.

A POST that makes a command may carry ``Idempotency-Key`` (8 to 128 of A-Za-z0-9_.:-): again with
the same body it answers with the first command (200), with another body 422. Made: 202. The answer
is always a CommandView. All take ``expires_in_s`` (int; default: until the visit starts, at most a
day) and ``priority`` (int, default 50; lower first).

Slot  {start: "2026-11-23T17:00:00Z", minutes: 30, operatory_key: "3", provider_key: "2"|null,
      at: "2026-11-23T09:00" (local), minute: 540 (from local midnight),
      operatory: "Op 3", provider: "Dr Lee"}

CommandView
  {command_id, type, state, is_open: bool, label: "Booking", told: "Waiting for the practice",
   reason_code|null, why|null (plain words; the agent's staff_text when it sent one),
   patient|null (name), patient_key|null, cloud_id|null, target: {type,key?,cloud_id?}|null,
   date|null ("2026-11-23", local), minute|null, start|null, minutes|null, operatory_key|null,
   provider_key|null, pms_key|null, fields: {name: value} (patient edits; else {}),
   alternatives: [Slot], kept_fields: [name], is_here: bool (applied, and the record arrived),
   is_dismissed: bool, created_at, sent_at|null, answered_at|null, not_after|null,
   wait_ms|null (made to answered)}
  state: queued leased applying | unknown conflict task (a person acts) | applied rejected expired
  superseded. ``is_open``: not one of the last four.

GET  /app/api/desk -> {capabilities: [type], suspended: code|null, agent: "listening"|"heard"|
     "silent"|"none", heard_at|null, switches: Switches, open_commands: n, open_conflicts: n,
     open_suspects: n, confirmations: [{category, label}],
     patient_fields: [{name, label, kind: "text"|"phone"|"date"|"emails", group: "contact"|
     "address"|"person"}]}
GET  /app/api/slots?date=YYYY-MM-DD&minutes=30[&operatory=K][&provider=K][&days=1..14]
     [&moving=<appointment key>][&limit=1..2000] -> {date, zone, minutes, step_minutes,
     suspended: code|null, slots: [Slot]} in order of start. Free = inside a provider's hours, in
     the future, and no visit, blockout, closed day or pending request is in the way.
POST /app/api/book {patient: {key} | {cloud_id} | {new: {last_name, first_name, birthdate?,
     phone_mobile?, emails?: [..], ...}}, start, minutes, operatory_key, provider_key?,
     hygienist_key?, type_key?, note?, is_new_patient?, confirmation_category?, is_sure?}. A new
     person becomes one of the CRM's own people at once (the view's ``cloud_id``). A person already
     there by name and birth date is answered 409 command-refused ``duplicate_of`` with ``people``
     [{cloud_id, key, name, birthdate}] and ``patients`` [{key, name, birthdate, phone, ...}] unless
     ``is_sure: true``.
POST /app/api/visits/{key}/move {start, minutes?, operatory_key?, provider_key?, hygienist_key?}
     A visit the CRM holds as unscheduled or broken is put back on the schedule; it has no chair of
     its own then, so ``operatory_key`` is needed.
POST /app/api/visits/{key}/confirm {confirmation_category?: "confirmed"}
POST /app/api/visits/{key}/cancel {break_type?: "cancelled"|"missed", to_unscheduled?: false, note?}
POST /app/api/visits/{key}/status {status}
     move, confirm, cancel and status also take ``expected: {start?, operatory_key?, status?, ..}``,
     the visit as the page showed it. Left out, field by field: what the CRM holds now. The command
     carries it as ``precondition.expected``, and the practice refuses an answer about a visit it
     has moved or taken off the schedule since.
POST /app/api/patients/{key}/edit {fields: {name: value|null}, expected: {name: value|null}}
     ``expected``: what the page showed; left out, what the CRM holds now. US phone numbers may be
     typed as people do. Unknown names: 400.
POST /app/api/patients/{key}/consent {channel: "sms"|"email", consent: "granted"|"denied"}
POST /app/api/patients/{key}/note {note, mode?: "phone", direction?: "neither"}  (communication log)
POST /app/api/commands {type, payload, target?, precondition?, not_before?, not_after?, priority?}
     any command of the contract, as it is (instants are the contract's)
GET  /app/api/commands[?state=open|recent|all][&limit=1..200] -> {commands: [CommandView]}, newest
     first. recent (default): open ones, and those that ended within 10 minutes, not dismissed.
GET  /app/api/commands/{id}[?wait_s=0..50] -> CommandView; with ``wait_s`` it answers as soon as the
     agent has answered (state is none of queued, leased, applying), or when the time is over.
POST /app/api/commands/{id}/withdraw -> CommandView (superseded); 409 command-started once sent
POST /app/api/commands/{id}/dismiss -> CommandView; the schedule stops showing a refused request

GET  /app/api/day?date= (as before) and now:
     pending: [CommandView + {kind: "book"|"move", operatory, look: "pending"|"refused"}] requests
     that hold a place on this day, or were refused there within 10 minutes and not dismissed;
     each visit has pending: CommandView|null, the newest open request about it.
GET  /app/api/patients/{key} (as before) and now: pending: [CommandView], cloud_ids: [id],
     conflicts: [Conflict] (open ones of this person).

Person {cloud_id, name, last_name, first_name, birthdate, phones: [..], emails: [..], fields: {..},
       state: "new"|"linked"|"unlinked"|"suspect", key|null, not_refs: [key], rev, created_at}
GET  /app/api/contacts?q=&state=all|open (open: not linked) -> {people: [Person], more}
GET  /app/api/contacts/{cloud_id} -> Person + {pending: [CommandView]}
POST /app/api/contacts {last_name, first_name, birthdate?, phones?, emails?, fields?, is_sure?}
     -> 201 Person; 409 command-refused duplicate_of as in book
POST /app/api/contacts/{cloud_id} {any of the same} -> Person; 409 ``contact-linked`` when linked
     (edit the patient instead)
POST /app/api/contacts/{cloud_id}/delete -> {}
POST /app/api/contacts/{cloud_id}/merge {into: cloud_id} -> Person (the survivor)
POST /app/api/contacts/{cloud_id}/link {key} -> Person; a person of the CRM decides who this is
POST /app/api/contacts/{cloud_id}/unlink {} -> Person; the record goes to not_refs
POST /app/api/contacts/{cloud_id}/reject {key} -> Person; "not this one"

GET  /app/api/duplicates -> {open: n, suspects: [{contact: Person, candidates: [{key, name,
     birthdate, phone, emails: [..], address, status, last_visit|null, same: [field],
     different: [field]}]}]}; field: last_name first_name birthdate phone email
GET  /app/api/conflicts[?state=open|resolved|all] -> {open: n, conflicts: [Conflict]}
Conflict {id, type, key, field, label, state, base, pms, crm, winner|null, who (patient's name),
         patient_key|null, command_id|null, opened_at, changed_at}

GET  /app/api/switches -> Switches; POST /app/api/switches {kill?, read_only?, dry_run?,
     canary?: {operatories?, providers?, patients?}} -> Switches (what is left out stays)

EVENTS of GET /app/events (server-sent, no content): records, beat, rejects as before, and
commands (one was made or changed its state), contacts (the CRM's own people, links, duplicates),
conflicts, switches.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import date
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.model.entities.words import ConfirmationCategory
from agent.model.streams import Stream
from agent.sandbox.crm import asked as a
from agent.sandbox.crm import conflicts, deskviews, orders, people, roster, slots, switches, views
from agent.sandbox.crm.core import Core
from agent.sandbox.crm.frontdesk import FrontDesk, Origin
from agent.sandbox.crm.gate import guarded, is_pilot
from agent.sandbox.crm.http import answer, check_media, instant, query, read_body
from agent.sandbox.crm.problems import Refusal
from agent.sandbox.crm.schema import now_us
from agent.sandbox.crm.wire import decode

T = TypeVar("T")
Json = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]

_REQUEST: Final = re.compile(r"[A-Za-z0-9_.:-]{8,128}")
_HEARD_US: Final = 75_000_000
_MOST_BODY: Final = 12_000_000  # a document in base64
_ORDERS: Final = frozenset({"orders"})


class _SlotsAsked(msgspec.Struct, frozen=True):
    date: str
    minutes: a.Minutes = 30
    operatory: str = ""
    provider: str = ""
    days: Annotated[int, Meta(ge=1, le=14)] = 1
    moving: str = ""
    limit: Annotated[int, Meta(ge=1, le=2000)] = 2000


class _CommandsAsked(msgspec.Struct, frozen=True):
    state: Literal["open", "recent", "all"] = "recent"
    limit: Annotated[int, Meta(ge=1, le=200)] = 100


class _WaitAsked(msgspec.Struct, frozen=True):
    wait_s: Annotated[int, Meta(ge=0, le=50)] = 0


class _PeopleAsked(msgspec.Struct, frozen=True):
    q: Annotated[str, Meta(max_length=100)] = ""
    state: Literal["all", "open"] = "all"


class _ConflictsAsked(msgspec.Struct, frozen=True):
    state: Literal["open", "resolved", "all"] = "open"


class Desk:
    """The endpoints above over one ``Core``."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._zone = core.settings.zone
        self._front = FrontDesk(core.store, core.settings.zone, lambda: core.now())

    def routes(self) -> list[Route]:
        front = self._front
        reads: Mapping[str, Endpoint] = {
            "desk": self.desk,
            "slots": self.slots,
            "commands": self.commands,
            "commands/{id}": self.command,
            "contacts": self.contacts,
            "contacts/{id}": self.contact,
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
            "switches": self.switches,
        }
        writes: Mapping[str, Endpoint] = {
            "book": self._ordering(a.Book, lambda _, asked, by: front.book(asked, by)),
            "visits/{id}/move": self._ordering(a.Move, front.move),
            "visits/{id}/confirm": self._ordering(a.Confirm, front.confirm),
            "visits/{id}/cancel": self._ordering(a.Cancel, front.cancel),
            "visits/{id}/status": self._ordering(a.SetStatus, front.set_status),
            "patients/{id}/edit": self._ordering(a.Edit, front.edit),
            "patients/{id}/consent": self._ordering(a.SetConsent, front.set_consent),
            "patients/{id}/note": self._ordering(a.AddNote, front.add_note),
            "commands": self._ordering(
                a.AnyCommand, lambda _, asked, by: front.order_any(asked, by)
            ),
            "commands/{id}/withdraw": self._on_command(orders.withdraw),
            "commands/{id}/dismiss": self._on_command(orders.dismiss),
            "contacts": self.add_contact,
            "contacts/{id}": self._deciding(a.NewContact, front.edit_contact),
            "contacts/{id}/delete": self.delete_contact,
            "contacts/{id}/merge": self._deciding(a.Into, self._merge),
            "contacts/{id}/link": self._deciding(a.ThatKey, self._link),
            "contacts/{id}/unlink": self._deciding(
                a.Nothing, lambda cloud_id, _: people.unlink(self._core.store, cloud_id)
            ),
            "contacts/{id}/reject": self._deciding(
                a.ThatKey, lambda cloud_id, asked: people.reject(
                    self._core.store, cloud_id, asked.key)
            ),
            "switches": self.set_switches,
        }  # fmt: skip
        return [
            Route(f"/app/api/{path}", guarded(self._core, endpoint), methods=[method])
            for method, endpoints in (("GET", reads), ("POST", writes))
            for path, endpoint in endpoints.items()
        ]

    # --- asking for commands --------------------------------------------------------------------

    def _ordering(self, shape: type[T], make: Callable[[str, T, Origin], str]) -> Endpoint:
        """An endpoint that queues one command; ``make`` gets the path's id, the body, who asks."""

        async def ordering(request: Request) -> Response:
            raw, asked = await _read(request, shape)
            by = self._origin(request, raw)
            store = self._core.store
            if by.request is not None:
                before = orders.ordered_before(store, by.request, by.request_hash or b"")
                if before is not None:
                    return answer(deskviews.command(store, before, self._zone))
            try:
                made = make(request.path_params.get("id", ""), asked, by)
            except orders.CannotOrder as refused:
                raise self._told(refused) from None
            # People first: an agent that hears both looks for the person before the command.
            self._core.wakeups.ring("contacts", "commands", "orders")
            return answer(deskviews.command(store, made, self._zone), 202)

        return ordering

    def _origin(self, request: Request, raw: bytes) -> Origin:
        made_by = "pilot" if is_pilot(self._core, request) else "page"
        key = request.headers.get("idempotency-key")
        if key is None:
            return Origin(made_by)
        key = key.strip('"')
        if not _REQUEST.fullmatch(key):
            raise Refusal(400, "missing-idempotency-key")
        digest = sha256(request.url.path.encode() + b"\0" + raw).digest()
        return Origin(made_by, f"{made_by}:{key}", digest)

    def _told(self, refused: orders.CannotOrder) -> Refusal:
        offers = refused.facts.get("alternatives")
        if offers:
            tz = views.practice_zone(self._core.store, self._zone)
            refused.facts["alternatives"] = deskviews.shown_offers(self._core.store, offers, tz)
        return refused.refusal()

    def _on_command(self, change: Callable[[Any, str], None]) -> Endpoint:
        async def changing(request: Request) -> Response:
            command_id = request.path_params["id"]
            change(self._core.store, command_id)
            self._core.wakeups.ring("orders")
            return answer(deskviews.command(self._core.store, command_id, self._zone))

        return changing

    # --- deciding about people ------------------------------------------------------------------

    async def add_contact(self, request: Request) -> Response:
        _, asked = await _read(request, a.NewContact)
        try:
            made = self._front.add_contact(asked)
        except orders.CannotOrder as refused:
            raise self._told(refused) from None
        self._core.wakeups.ring("contacts")
        return answer(deskviews.person(made), 201)

    def _deciding(self, shape: type[T], decide: Callable[[str, T], people.Person]) -> Endpoint:
        async def deciding(request: Request) -> Response:
            _, asked = await _read(request, shape)
            one = decide(request.path_params["id"], asked)
            self._core.wakeups.ring("contacts")
            return answer(deskviews.person(one))

        return deciding

    async def delete_contact(self, request: Request) -> Response:
        people.delete(self._core.store, request.path_params["id"])
        self._core.wakeups.ring("contacts")
        return answer({})

    def _merge(self, cloud_id: str, asked: a.Into) -> people.Person:
        return people.merge(self._core.store, cloud_id, asked.into)

    def _link(self, cloud_id: str, asked: a.ThatKey) -> people.Person:
        if views.one(self._core.store, Stream.PATIENT, asked.key) is None:
            raise Refusal(404, "not-found")
        return people.link(self._core.store, cloud_id, asked.key)

    # --- looking --------------------------------------------------------------------------------

    async def desk(self, _: Request) -> Response:
        store = self._core.store
        offer = orders.offered(store)
        row = store.execute(
            "SELECT max(max(coalesce(beat_us, 0), coalesce(capable_us, 0))) FROM agent"
            " WHERE revoked_us IS NULL"
        ).fetchone()
        heard_us = int(row[0] or 0) if row is not None else 0
        counts = store.execute(
            "SELECT count(*) FROM command WHERE state NOT IN"
            " ('applied', 'rejected', 'expired', 'superseded')"
        ).fetchone()
        return answer(
            {
                "capabilities": sorted(offer.capabilities),
                "suspended": offer.suspended,
                "agent": self._agent_state(heard_us),
                "heard_at": instant(heard_us) if heard_us else None,
                "switches": switches.read(store),
                "open_commands": 0 if counts is None else counts[0],
                "open_conflicts": conflicts.count_open(store),
                "open_suspects": people.count_suspects(store),
                "confirmations": [
                    {"category": category.value, "label": category.value.capitalize()}
                    for category in ConfirmationCategory
                    if category is not ConfirmationCategory.OTHER
                ],
                "patient_fields": a.DETAILS,
            }
        )

    def _agent_state(self, heard_us: int) -> str:
        if self._core.polls.is_listening:
            return "listening"
        if not heard_us:
            return "none"
        return "heard" if now_us() - heard_us < _HEARD_US else "silent"

    async def slots(self, request: Request) -> Response:
        asked = query(request, _SlotsAsked)
        try:
            first = date.fromisoformat(asked.date)
        except ValueError:
            raise Refusal(400, "invalid-request", "date") from None
        now = round(self._core.now().timestamp() * 1e6)
        suspended = orders.offered(self._core.store).suspended

        def look(db: Any) -> Json:
            tz = views.practice_zone(db, self._zone)
            found: list[slots.Place] = []
            for day in range(asked.days if suspended is None else 0):
                with suppress(OverflowError):
                    plan = roster.plan_of(db, roster.days_after(first, day), 1, tz)
                    found += slots.free(
                        plan,
                        asked.minutes,
                        now,
                        room=asked.operatory,
                        provider=asked.provider,
                        moving=asked.moving,
                    )
            shown = deskviews.shown_places(db, found[: asked.limit], tz)
            return {"date": asked.date, "zone": tz.key, "minutes": asked.minutes,
                    "step_minutes": slots.STEP_US // slots.MINUTE_US, "suspended": suspended,
                    "slots": shown}  # fmt: skip

        return await self._look(look)

    async def commands(self, request: Request) -> Response:
        asked = query(request, _CommandsAsked)
        return await self._look(
            lambda db: deskviews.commands(db, asked.state, asked.limit, self._zone)
        )

    async def command(self, request: Request) -> Response:
        """Waits for the answer when asked to."""
        command_id, asked = request.path_params["id"], query(request, _WaitAsked)
        store = self._core.store
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + min(float(asked.wait_s), self._core.settings.longest_wait_s)
        with self._core.wakeups.listening() as listener:
            while not deskviews.is_answered(store, command_id):
                left_s = ends_at - loop.time()
                if left_s <= 0 or await listener.hear(_ORDERS, left_s) is None:
                    break
        return answer(deskviews.command(store, command_id, self._zone))

    async def contacts(self, request: Request) -> Response:
        asked = query(request, _PeopleAsked)
        is_open = asked.state == "open"
        return await self._look(lambda db: deskviews.find_people(db, asked.q, is_open=is_open))

    async def contact(self, request: Request) -> Response:
        cloud_id = request.path_params["id"]

        def look(db: Any) -> Json:
            pending = deskviews.about_person(db, self._zone, cloud_id=cloud_id)
            return {**deskviews.person(people.person(db, cloud_id)), "pending": pending}

        return await self._look(look)

    async def duplicates(self, _: Request) -> Response:
        return await self._look(deskviews.duplicates)

    async def conflicts(self, request: Request) -> Response:
        asked = query(request, _ConflictsAsked)
        return await self._look(
            lambda db: {
                "open": conflicts.count_open(db),
                "conflicts": deskviews.conflicts(db, asked.state),
            }
        )

    async def switches(self, _: Request) -> Response:
        return answer(switches.read(self._core.store))

    async def set_switches(self, request: Request) -> Response:
        _, asked = await _read(request, switches.Change)
        now = switches.change(self._core.store, asked)
        self._core.wakeups.ring("config", "switches")
        return answer(now)

    async def _look(self, view: Callable[[Any], Any]) -> Response:
        return answer(await asyncio.to_thread(self._core.read, view))


async def _read(request: Request, shape: type[T]) -> tuple[bytes, T]:
    """(body, what it says). Raises Refusal naming the field, never what was in it."""
    check_media(request, "application/json")
    raw = await read_body(request, _MOST_BODY)
    try:
        return raw, decode(raw, shape)
    except msgspec.ValidationError as error:
        _, found, path = str(error).rpartition("`$")
        field = path.strip(".`") if found else ""
        raise Refusal(400, "invalid-request", field or "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(400, "invalid-json") from None
