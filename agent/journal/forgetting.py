"""Forgetting a person: what the journal holds of them in words goes, the proof stays.

Part of a turn. Audit rows hold codes, numbers and digests of sealed bytes only, so they stay and
still verify. Freed bytes of the file are overwritten. What this cannot reach: the write-ahead log
until its next checkpoint, and rolling copies until they are replaced; both hold sealed bytes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.journal.contents import Contents, content_of
from agent.journal.packing import (
    Image,
    pack,
    unpack_candidates,
    unpack_command,
    unpack_contact,
    unpack_image,
)
from agent.journal.seal import command_context, contact_context, effect_context
from agent.journal.values import bound_keys, fetch
from agent.model.commands import Command, CommandType
from agent.model.reading import Key
from agent.model.streams import Stream

Name = tuple[str, str, str]

_ENDED = ("verified", "failed")


class Forgetting(Contents):
    """The part of a turn that erases."""

    def forget_person(self, stream: Stream, keys: Sequence[Key]) -> int:
        """Erase content, command bodies, images, conflicts, tasks and contacts of these records.

        For patients also what names them as ``patient_key`` or by the contact linked to them. What
        has not ended is left, so that nothing is done twice or lost: the number of such commands,
        effects and records under way is returned; end them and call again until it is 0.
        """
        if not keys:
            return 0
        self._connection.pragma("secure_delete", True)
        try:
            return self._forget(stream, keys)
        finally:
            self._connection.pragma("secure_delete", False)

    def _forget(self, stream: Stream, keys: Sequence[Key]) -> int:
        number, bound = self._streams[stream], bound_keys(keys)
        within = "stream = ? AND key IN (SELECT value FROM carray(?))"
        people = {str(key) for key in keys} if stream is Stream.PATIENT else set()
        names = self._names_of(keys) if people else frozenset()
        contacts = self._contacts_of(keys, names) if people else []
        left = self._count(
            f"SELECT count(*) FROM record WHERE {within} AND batch IS NOT NULL", (number, bound)
        )
        effects, commands, open_effects = self._effects_about(number, set(keys), people)
        conflicts = fetch(
            self._db, f"SELECT number, command FROM conflict WHERE {within}", (number, bound)
        )
        commands |= {command for _, command in conflicts if command is not None}
        ended, open_commands = self._commands_about(
            stream, {str(key) for key in keys}, set(contacts), commands, names
        )
        self._erase(stream, keys)
        self._db.executemany(
            "UPDATE effect SET image = NULL, undo = 'blocked' WHERE number = ?",
            [(effect,) for effect in effects],
        )
        self._db.executemany(
            "UPDATE command SET body = NULL WHERE id = ?", [(ident,) for ident in ended]
        )
        self._db.executemany("DELETE FROM task WHERE command = ?", [(ident,) for ident in ended])
        closed = [n for n, command in conflicts if command not in open_commands]
        self._db.executemany("DELETE FROM conflict WHERE number = ?", [(n,) for n in closed])
        if people:
            self._db.executemany(
                "DELETE FROM contact WHERE cloud_id = ?", [(ident,) for ident in contacts]
            )
            self._drop_candidates(people)
            self._db.execute(f"DELETE FROM ident WHERE {within}", (number, bound))
        left += len(open_commands) + open_effects
        self.audit(
            "person.forgotten",
            {
                "stream": stream.value,
                "records": len(keys),
                "commands": len(ended),
                "effects": len(effects),
                "conflicts": len(closed),
                "contacts": len(contacts),
                "left": left,
            },
        )
        return left

    def _names_of(self, keys: Sequence[Key]) -> frozenset[Name]:
        """Who these patients are, while it is still known: what the CRM asked about them before
        they had a key names them in words only."""
        number = self._streams[Stream.PATIENT]
        held = [content_of(self._db, self._seal, Stream.PATIENT, number, key) for key in keys]
        found = (_name_of(msgspec.json.decode(canon)) for canon in held if canon is not None)
        return frozenset(name for name in found if name is not None)

    def _contacts_of(self, keys: Sequence[Key], names: frozenset[Name]) -> list[str]:
        """Linked to them, or of the same name and birth date."""
        linked = frozenset(keys)
        found = []
        for ident, key, sealed in fetch(self._db, "SELECT cloud_id, key, body FROM contact"):
            is_theirs = key in linked
            if not is_theirs and names and sealed is not None:
                contact = unpack_contact(self._seal.open(sealed, contact_context("body", ident)))
                is_theirs = _name_of(msgspec.structs.asdict(contact)) in names
            if is_theirs:
                found.append(ident)
        return found

    def _effects_about(
        self, stream: int, keys: set[Key], people: set[str]
    ) -> tuple[list[int], set[str], int]:
        """(ended effects, commands of any, how many have not ended)."""
        ended: list[int] = []
        commands: set[str] = set()
        left = 0
        for number, op_id, of, key, state, command, sealed in fetch(
            self._db,
            "SELECT number, op_id, stream, key, state, command, image FROM effect"
            " WHERE image IS NOT NULL",
        ):
            if not (of == stream and key in keys):
                if not people:
                    continue
                image = unpack_image(self._seal.open(sealed, effect_context(op_id)))
                if _patient_of(image) not in people:
                    continue
            if command is not None:
                commands.add(command)
            if state in _ENDED:
                ended.append(number)
            else:
                left += 1
        return ended, commands, left

    def _commands_about(
        self,
        stream: Stream,
        keys: set[str],
        contacts: set[str],
        known: set[str],
        names: frozenset[Name],
    ) -> tuple[list[str], set[str]]:
        """(ended commands, those that have not); the order to forget is neither."""
        ended: list[str] = []
        left: set[str] = set()
        for ident, state, sealed in fetch(
            self._db,
            "SELECT id, state, body FROM command WHERE body IS NOT NULL AND type <> ?",
            (CommandType.FORGET.value,),
        ):
            if ident not in known:
                command = unpack_command(self._seal.open(sealed, command_context("body", ident)))
                is_about = _is_about(command, stream, keys, contacts)
                if not is_about and not names.intersection(_newcomers(command)):
                    continue
            if state == "done":
                ended.append(ident)
            else:
                left.add(ident)
        return ended, left

    def _drop_candidates(self, people: set[str]) -> None:
        """Evidence about other contacts that shows these people beside them."""
        for ident, sealed in fetch(
            self._db, "SELECT cloud_id, candidates FROM contact WHERE candidates IS NOT NULL"
        ):
            context = contact_context("candidates", ident)
            held = unpack_candidates(self._seal.open(sealed, context))
            kept = [entry for entry in held if str(entry.get("key")) not in people]
            if len(kept) < len(held):
                self._db.execute(
                    "UPDATE contact SET candidates = ? WHERE cloud_id = ?",
                    (self._seal.seal(pack(kept), context) if kept else None, ident),
                )


def _patient_of(image: Image) -> str | None:
    """The patient an effect on another stream belongs to."""
    for fields in (image.effect.fields, image.after, image.before):
        if fields.get("patient_key") is not None:
            return str(fields["patient_key"])
    return None


def _name_of(fields: Mapping[str, Any]) -> Name | None:
    """Folded last name, first name and birth date; None unless all are there."""
    parts = [fields.get(name) for name in ("last_name", "first_name", "birthdate")]
    if not all(isinstance(part, str) and part for part in parts):
        return None
    last, first, born = (str(part).casefold().strip() for part in parts)
    return last, first, born


def _newcomers(command: Command) -> set[Name | None]:
    """New people a command describes."""
    patient = command.payload.get("patient")
    new = patient.get("new") if isinstance(patient, dict) else None
    described = [command.payload, new if isinstance(new, dict) else {}]
    return {_name_of(fields) for fields in described} - {None}


def _is_about(command: Command, stream: Stream, keys: set[str], contacts: set[str]) -> bool:
    target, payload = command.target, command.payload
    if target.cloud_id in contacts:
        return True
    if target.type == stream.value and target.key in keys:
        return True
    if stream is not Stream.PATIENT:
        return False
    patient: Any = payload.get("patient")
    named = patient if isinstance(patient, dict) else {}
    return (
        str(payload.get("patient_key")) in keys
        or str(named.get("key")) in keys
        or named.get("cloud_id") in contacts
    )
