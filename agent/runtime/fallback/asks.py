"""Sheets whose rows each ask for one thing: messages, notes, consent, recalls, own fields.

One table says, kind by kind, which command a row becomes, what its cells are and what they are
compared with. Perio exams and documents are not in it: a row of cells cannot hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agent.csvio.heads import Kind
from agent.model.commands import CommandType, Target
from agent.model.entities.words import CommunicationMode, Direction, Priority
from agent.model.reading import Key
from agent.model.sheets import RowLine, Verdict
from agent.model.streams import Stream
from agent.runtime.fallback.ground import Ground, Judged, No, changes_of, key_of, name_of, twin_of
from agent.runtime.fallback.making import Making
from agent.runtime.fallback.spelling import Bad, Cell, Spelling

_PERSON = ("last_name", "first_name", "birthdate", "phone_mobile", "emails")
_CONSENT = {
    "granted": "granted", "yes": "granted", "y": "granted", "true": "granted", "1": "granted",
    "opt in": "granted", "opted in": "granted", "si": "granted", "concedido": "granted",
    "denied": "denied", "no": "denied", "n": "denied", "false": "denied", "0": "denied",
    "opt out": "denied", "opted out": "denied", "stop": "denied", "denegado": "denied",
}  # fmt: skip
_CHANNEL = {"sms": "sms", "text": "sms", "texto": "sms", "email": "email", "e mail": "email",
            "correo": "email"}  # fmt: skip
_MODE = {"sms": "text", "call": "phone", "phone call": "phone", "telefono": "phone",
         "texto": "text", "correo": "email", "e mail": "email"}  # fmt: skip
_WAY = {"out": "sent", "outbound": "sent", "outgoing": "sent", "enviado": "sent", "in": "received",
        "inbound": "received", "incoming": "received", "recibido": "received"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ask:
    """``cells``: a row's fields beside those that say whose it is; ``needs``: which may not be
    empty. ``of``: the record the command changes, None where it only adds. ``is_payload``: the
    payload, not the target, names the patient."""

    type: CommandType
    cells: Mapping[str, Cell]
    needs: tuple[str, ...]
    of: Stream | None = None
    is_payload: bool = False


ASKS: dict[Kind, Ask] = {
    Kind.MESSAGES: Ask(
        CommandType.COMMLOG_APPEND,
        {"note": Cell.TEXT, "at": Cell.MOMENT, "mode": Cell.words(_MODE, CommunicationMode),
         "direction": Cell.words(_WAY, Direction)},
        needs=("note", "at"), is_payload=True,
    ),
    Kind.NOTES: Ask(
        CommandType.NOTE_APPEND,
        {"procedure_key": Cell.KEY, "note": Cell.TEXT},
        needs=("procedure_key", "note"), is_payload=True,
    ),
    Kind.CONSENTS: Ask(
        CommandType.CONSENT_SET,
        {"channel": Cell.words(_CHANNEL), "consent": Cell.words(_CONSENT),
         "source": Cell.SOURCE, "at": Cell.MOMENT},
        needs=("channel", "consent", "source", "at"), of=Stream.PATIENT,
    ),
    Kind.RECALLS: Ask(
        CommandType.RECALL_UPDATE,
        {"due": Cell.DAY, "interval": Cell.PERIOD, "note": Cell.TEXT, "is_disabled": Cell.FLAG,
         "disabled_until": Cell.DAY, "priority": Cell.words({}, Priority)},
        needs=(), of=Stream.RECALL,
    ),
    Kind.CUSTOM: Ask(
        CommandType.CUSTOM_FIELD_SET,
        {"name": Cell.TEXT, "value": Cell.TEXT},
        needs=("name", "value"), of=Stream.PATIENT,
    ),
}  # fmt: skip


class Asks:
    """The rows of one sheet. Raises No, Bad and payloads.Invalid as ``Planning`` does."""

    def __init__(self, ground: Ground, ask: Ask, spelling: Spelling, making: Making) -> None:
        self._ground = ground
        self._ask = ask
        self._spelling = spelling
        self._making = making
        self._held: dict[tuple[Stream, Key], tuple[dict[str, Any], int]] = {}

    def look(self, texts: Sequence[Mapping[str, str]], clouds: Mapping[str, Key]) -> None:
        """What the journal holds of the rows that come next, asked for together."""
        self._held.clear()
        keys = {key_of(said.get("patient_key", "")) for said in texts} | set(clouds.values())
        if self._ask.of is Stream.RECALL:
            self._fetch(Stream.RECALL, {key_of(said.get("key", "")) for said in texts})
            keys = {_owner(now) for now, _ in self._held.values()}
        self._fetch(Stream.PATIENT, keys)

    def _fetch(self, stream: Stream, keys: set[Key | None]) -> None:
        wanted = sorted(key for key in keys if isinstance(key, int))
        for key, (canon, lsn) in self._ground.journal.contents_by(stream, wanted).items():
            self._held[stream, key] = (msgspec.json.decode(canon), lsn)

    def judge(self, number: int, said: dict[str, str], clouds: Mapping[str, Key]) -> Judged:
        ask = self._ask
        if said.get("date") and not said.get("at"):
            at = self._spelling.start("", said["date"], said.get("time") or "00:00")
            said = {**said, "at": at}
        for name in ask.needs:
            if not said.get(name):
                raise Bad(name, "sheet.missing")
        wish = {n: self._spelling.cell(n, said[n], c) for n, c in ask.cells.items() if said.get(n)}
        if ask.of is Stream.RECALL:
            key, now, lsn = self._recall(said)
            who = self._patient(_owner(now))[1]
        else:
            key = self._whose(said, clouds)
            now, who, lsn = self._patient(key)
        as_of = self._making.version(said)
        if ask.of is None:
            if ask.is_payload:
                wish["patient_key"] = str(key)
            command = self._making.command(ask.type, said, Target(), wish)
            shown = {n: v for n, v in wish.items() if n != "patient_key"}
            line = RowLine(number, Verdict.NEW, (ask.type.value,), key, who, changes_of({}, shown))
            return Judged(line, (command,))
        before, then = _compared(ask.type, now, wish)
        moved = {n: v for n, v in then.items() if v != before.get(n)}
        if not moved:
            return Judged(RowLine(number, Verdict.UNCHANGED, (), key, who))
        if ask.type is CommandType.RECALL_UPDATE:
            wish = moved
        target = Target(ask.of.value, str(key), None)
        command = self._making.command(ask.type, said, target, wish, as_of)
        line = RowLine(
            number, Verdict.CHANGED, (ask.type.value,), key, who, changes_of(before, moved)
        )
        return Judged(line, (command,), asks=lsn > as_of)

    def _whose(self, said: Mapping[str, str], clouds: Mapping[str, Key]) -> Key:
        if said.get("patient_key"):
            key = key_of(said["patient_key"])
            if key is None:
                raise No("sheet.bad_number", field="patient_key")
            return key
        key = clouds.get(said.get("cloud_id", ""))
        if key is None:
            person = {n: self._spelling.patient(n, said[n]) for n in _PERSON if said.get(n)}
            if not person.get("last_name") or not person.get("first_name"):
                raise No("sheet.no_such_patient" if said.get("cloud_id") else "sheet.nobody_named")
            key = twin_of(self._ground, person, said.get("cloud_id"))
        if key is None:
            raise No("sheet.no_such_patient")
        return key

    def _patient(self, key: Key | None) -> tuple[dict[str, Any], str, int]:
        """What the journal holds of a patient, the name, and the turn of the last change."""
        if key is not None and (Stream.PATIENT, key) not in self._held:
            self._fetch(Stream.PATIENT, {key})  # one who was named, not numbered
        held = None if key is None else self._held.get((Stream.PATIENT, key))
        if held is None:
            raise No("sheet.no_such_patient")
        now, lsn = held
        return now, name_of(now), lsn

    def _recall(self, said: Mapping[str, str]) -> tuple[Key, dict[str, Any], int]:
        key = key_of(said.get("key", ""))
        if key is None:
            raise No("sheet.bad_number", field="key")
        held = self._held.get((Stream.RECALL, key))
        if held is None:
            raise No("sheet.no_such_record")
        return key, *held


def _owner(record: Mapping[str, Any]) -> Key | None:
    return key_of(str(record.get("patient_key") or ""))


def _compared(
    kind: CommandType, now: Mapping[str, Any], wish: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the record holds, and what is wished, by field."""
    if kind is CommandType.CONSENT_SET:
        field = f"{wish['channel']}_consent"
        return {field: now.get(field)}, {field: wish["consent"]}
    if kind is CommandType.CUSTOM_FIELD_SET:
        field = f"custom.{wish['name']}"
        own = now.get("custom") or {}
        return {field: own.get(wish["name"])}, {field: wish["value"]}
    return dict(now), dict(wish)
