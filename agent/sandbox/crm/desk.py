"""The page's own API for acting: book, move, confirm, cancel, edit, and see how it went.

Private to the page and to scripts (a booking AI); no part of the contract. Imports Starlette and
this package. Everything here becomes commands of the contract; the practice decides.

WHO MAY. As the rest of the page: this computer only, and a POST must carry the header
``X-Bridgework-Page: 1``; or from anywhere with ``Authorization: Bearer <pilot token>``
(``bridgework crm serve --pilot-token``), then without that header.

REFUSALS are RFC 9457 problems. One type is special, ``.../problems/command-refused`` (409): nothing
was queued, and it carries ``reason_code`` (the contract's closed list), ``staff_text`` (a sentence
for people) and ``alternatives`` ([Slot], maybe empty). The reasons made here are
``not_supported_by_pms`` (the agent does not offer this), ``pms_unavailable`` (booking is suspended),
``slot_taken``, ``in_past``, ``outside_hours``, ``patient_not_found``, ``operatory_invalid``,
``validation_failed``. Others: 400 invalid-request (``detail`` names the field), 404 not-found,
409 command-started (too late to withdraw), 422 idempotency-reused.

A POST that makes a command may carry ``Idempotency-Key`` (8 to 128 of A-Za-z0-9_.:-): again with
the same body it answers with the first command (200), with another body 422. Made: 202. The answer is
always a CommandView. All take ``expires_in_s`` (int; default: until the visit starts, at most a day)
and ``priority`` (int, default 50; lower first).

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
     suspended: code|null, slots: [Slot]} in order of start. Free = inside a provider's hours, in the
     future, and no visit, blockout, closed day or pending request is in the way.
POST /app/api/book {patient: {key} | {cloud_id} | {new: {last_name, first_name, birthdate?,
     phone_mobile?, emails?: [..], ...}}, start, minutes, operatory_key, provider_key?,
     hygienist_key?, type_key?, note?, is_new_patient?}. A new person becomes one of the CRM's own
     people at once (the view's ``cloud_id``). A person already there by name and birth date is
     answered 409 command-refused ``duplicate_of`` with ``people`` [Person] unless ``is_sure: true``.
POST /app/api/visits/{key}/move {start, minutes?, operatory_key?, provider_key?, hygienist_key?}
POST /app/api/visits/{key}/confirm {confirmation_category?: "confirmed"}
POST /app/api/visits/{key}/cancel {break_type?: "cancelled"|"missed", to_unscheduled?: false, note?}
POST /app/api/visits/{key}/status {status}
POST /app/api/patients/{key}/edit {fields: {name: value|null}, expected: {name: value|null}}
     ``expected``: what the page showed; left out, what the CRM holds now. US phone numbers may be
     typed as people do. Unknown names: 400.
POST /app/api/patients/{key}/consent {channel: "sms"|"email", consent: "granted"|"denied"}
POST /app/api/patients/{key}/note {note, mode?: "phone", direction?: "none"}  (communication log)
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
POST /app/api/contacts {last_name, first_name, birthdate?, phones?, emails?, fields?, is_sure?} -> 201
     Person; 409 command-refused duplicate_of as in book
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
