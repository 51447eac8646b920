"""From a row of a sheet to the commands it asks for, compared with what the practice holds now.

Decides only: reads the journal, writes nothing. Patients and appointments are planned here, what
asks for one thing a row in ``asks``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from agent.csvio.heads import Heads, Kind, fold
from agent.csvio.reading import Line
from agent.model.commands import Command, CommandType, Target
from agent.model.reading import Key
from agent.model.sheets import FieldChange, RowLine, Verdict
from agent.model.streams import Stream
from agent.runtime.fallback.asks import ASKS, Asks
from agent.runtime.fallback.ground import (
    Ground,
    Judged,
    No,
    changes_of,
    key_of,
    name_of,
    twin_of,
)
from agent.runtime.fallback.making import Making
from agent.runtime.fallback.spelling import Bad, Spelling, custom_value, pairs
from agent.sync import effects, payloads
from agent.sync.merge import FieldRule, Policy, same

_BY_ROW = frozenset({"key", "cloud_id", "version", "command_id", "custom"})
_VISIT_PERSON = ("last_name", "first_name", "birthdate", "phone_mobile", "emails")


class Planning:
    """``as_of``, ``now``, ``salt``: as ``Making`` takes them."""

    def __init__(
        self,
        ground: Ground,
        heads: Heads,
        spelling: Spelling,
        *,
        as_of: int,
        now: datetime,
        salt: str = "",
    ) -> None:
        self._ground = ground
        self._heads = heads
        self._spelling = spelling
        making = Making(as_of=as_of, now=now, salt=salt)
        self._command, self._version = making.command, making.version
        self._asks = (
            Asks(ground, ASKS[heads.kind], spelling, making) if heads.kind in ASKS else None
        )
        self._is_people = heads.kind is Kind.PATIENTS
        self._stream = Stream.PATIENT if self._is_people else Stream.APPOINTMENT
        self._rules = ground.rules(self._stream)
        self._seen: set[bytes] = set()

    def judge(self, lines: Sequence[Line]) -> list[Judged]:
        """Some rows at once: the journal is asked for all of them together."""
        texts = [self._texts(line) for line in lines]
        clouds = self._ground.journal.keys_of_cloud(
            sorted({t["cloud_id"] for t in texts if t.get("cloud_id") and not t.get("key")})
        )
        if self._asks is not None:
            self._asks.look(texts, clouds)
        keys: list[Key | None] = []
        for said in texts if self._asks is None else ():
            key = key_of(said.get("key", ""))
            if key is None and self._is_people:
                key = clouds.get(said.get("cloud_id", ""))
            keys.append(key)
        held = self._ground.journal.contents_by(
            self._stream, sorted({key for key in keys if isinstance(key, int)})
        )
        judged = [
            self._judge(line, said, key, held, clouds)
            for line, said, key in zip(lines, texts, keys or [None] * len(lines), strict=True)
        ]
        return self._without_known(judged)

    def _texts(self, line: Line) -> dict[str, str]:
        if line.code:
            return {}
        fields = self._heads.fields
        return {name: line.cells[at] for name, at in fields.items() if line.cells[at]}

    def _judge(
        self,
        line: Line,
        said: dict[str, str],
        key: Key | None,
        held: Mapping[Key, tuple[bytes, int]],
        clouds: Mapping[str, Key],
    ) -> Judged:
        try:
            if line.code:
                raise No(line.code)
            if self._asks is not None:
                return self._asks.judge(line.number, said, clouds)
            if said.get("key") and key is None:
                raise No("sheet.bad_number", field="key")
            if self._is_people:
                return self._person(line.number, said, key, held)
            return self._visit(line.number, said, key, held, clouds)
        except No as no:
            return _rejected(line.number, no.code, no.facts, key)
        except Bad as bad:
            return _rejected(line.number, bad.code, {"field": bad.field}, key)
        except payloads.Invalid as bad:
            return _rejected(line.number, "sheet.bad_value", {"field": bad.field}, key)

    # -- people -------------------------------------------------------------------------------

    def _person(
        self,
        number: int,
        said: dict[str, str],
        key: Key | None,
        held: Mapping[Key, tuple[bytes, int]],
    ) -> Judged:
        wish = self._wish(said)
        cloud_id = said.get("cloud_id")
        if key is None:
            if not wish.get("last_name") or not wish.get("first_name"):
                raise No("sheet.nobody_named")
            key = self._twin(wish, cloud_id)
            if key is not None:
                held = self._ground.journal.contents_by(Stream.PATIENT, [key])
        if key is None:
            made = payloads.patient_fields(
                wish, self._writable(), datetime.now().date(), new=True  # noqa: DTZ005
            )  # fmt: skip
            target = Target("patient", None, cloud_id)
            command = self._command(CommandType.PATIENT_CREATE, said, target, made)
            line = RowLine(
                number,
                Verdict.NEW,
                (command.type.value,),
                None,
                name_of(made),
                changes_of({}, made),
            )
            return Judged(line, (command,))
        if key not in held:
            raise No("sheet.no_such_patient")
        canon, lsn = held[key]
        now: dict[str, Any] = msgspec.json.decode(canon)
        differing = self._differing(wish, now)
        if not differing:
            return _unchanged(number, key, now)
        as_of = self._version(said)
        target = Target("patient", str(key), None)
        custom = differing.pop("custom", {})
        commands = [
            self._command(
                CommandType.CUSTOM_FIELD_SET, said, target, {"name": name, "value": value}, as_of
            )
            for name, value in custom.items()
        ]
        if differing:
            plain = payloads.patient_fields(
                differing,
                self._writable(),
                datetime.now().date(),  # noqa: DTZ005
            )
            commands.insert(
                0, self._command(CommandType.PATIENT_UPDATE, said, target, {"fields": plain}, as_of)
            )
        changes = changes_of(now, differing)
        changes += tuple(
            FieldChange(f"custom.{n}", (now.get("custom") or {}).get(n), v)
            for n, v in custom.items()
        )
        types = tuple(command.type.value for command in commands)
        line = RowLine(number, Verdict.CHANGED, types, key, name_of(now), changes)
        return Judged(line, tuple(commands), asks=lsn > as_of)

    def _wish(self, said: Mapping[str, str]) -> dict[str, Any]:
        wish = {
            name: self._spelling.patient(name, text)
            for name, text in said.items()
            if name not in _BY_ROW and "." not in name
        }
        custom = {
            name.removeprefix("custom."): custom_value(text)
            for name, text in said.items()
            if name.startswith("custom.")
        }
        if said.get("custom"):
            custom = {**pairs(said["custom"]), **custom}
        if custom:
            wish["custom"] = custom
        return wish

    def _differing(self, wish: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        writable = self._writable()
        for name, value in wish.items():
            rule = self._rules.get(name, FieldRule())
            if name == "custom":
                own = now.get("custom") or {}
                moved = {n: v for n, v in value.items() if not same(v, own.get(n), rule)}
                if moved:
                    found[name] = moved
            elif not same(value, now.get(name), rule):
                if name not in writable:
                    raise No("sheet.read_only", field=name)
                found[name] = value
        return found

    def _twin(self, wish: Mapping[str, Any], cloud_id: str | None) -> Key | None:
        return twin_of(self._ground, wish, cloud_id)

    # -- visits -------------------------------------------------------------------------------

    def _visit(
        self,
        number: int,
        said: dict[str, str],
        key: Key | None,
        held: Mapping[Key, tuple[bytes, int]],
        clouds: Mapping[str, Key],
    ) -> Judged:
        status = self._spelling.status(said["status"]) if said.get("status") else ""
        start = ""
        if said.get("start") or said.get("date"):
            start = self._spelling.start(
                said.get("start", ""), said.get("date", ""), said.get("time", "")
            )
        if key is None:
            return self._booking(number, said, start, status, clouds)
        if key not in held:
            raise No("sheet.no_such_visit")
        canon, lsn = held[key]
        now: dict[str, Any] = msgspec.json.decode(canon)
        commands, changes = self._visit_commands(said, key, now, start, status)
        who = self._who(now.get("patient_key"))
        if not commands:
            return Judged(RowLine(number, Verdict.UNCHANGED, (), key, who))
        if lsn > self._version(said):
            raise No("sheet.changed_since")
        types = tuple(command.type.value for command in commands)
        line = RowLine(number, Verdict.CHANGED, types, key, who, tuple(changes))
        return Judged(line, tuple(commands))

    def _visit_commands(
        self, said: dict[str, str], key: Key, now: dict[str, Any], start: str, status: str
    ) -> tuple[list[Command], list[FieldChange]]:
        as_of = self._version(said)
        target = Target("appointment", str(key), None)
        expected = {n: now.get(n) for n in ("start", "operatory_key", "status") if now.get(n)}
        held_status = now.get("status")
        if status in {"broken", "missed"}:
            if held_status not in effects.ON_SCHEDULE - {"complete"}:
                return [], []
            kind = "missed" if status == "missed" else "cancelled"
            cancel = self._command(
                CommandType.APPOINTMENT_CANCEL, said, target, {"break_type": kind}, as_of, expected
            )
            return [cancel], [FieldChange("status", held_status, kind)]
        commands, changes = [], []
        move: dict[str, Any] = {}
        if start and not effects.same("start", start, now.get("start")):
            move["start"] = start
        if said.get("minutes") and self._spelling.minutes(said["minutes"]) != now.get("minutes"):
            move["minutes"] = self._spelling.minutes(said["minutes"])
        for name in ("operatory", "provider"):
            place = self._place(name, said.get(f"{name}_key", ""))
            if place and place != now.get(f"{name}_key"):
                move[f"{name}_key"] = place
        if move:
            move.setdefault("start", now.get("start"))
            changes += [FieldChange(n, now.get(n), v) for n, v in move.items() if v != now.get(n)]
            commands.append(
                self._command(
                    CommandType.APPOINTMENT_RESCHEDULE, said, target, move, as_of, expected
                )
            )
        if said.get("confirmation_category"):
            word = self._spelling.confirmation(said["confirmation_category"])
            if word != now.get("confirmation_category"):
                changes.append(
                    FieldChange("confirmation_category", now.get("confirmation_category"), word)
                )
                commands.append(
                    self._command(
                        CommandType.APPOINTMENT_CONFIRM,
                        said,
                        target,
                        {"confirmation_category": word},
                        as_of,
                        {} if move else expected,
                    )
                )
        return commands, changes

    def _booking(
        self,
        number: int,
        said: dict[str, str],
        start: str,
        status: str,
        clouds: Mapping[str, Key],
    ) -> Judged:
        if status in {"broken", "missed"}:
            raise No("sheet.no_such_visit")
        for name, given in (("start", start), ("minutes", said.get("minutes")),
                            ("operatory_key", said.get("operatory_key"))):  # fmt: skip
            if not given:
                raise Bad(name, "sheet.missing")
        who: dict[str, Any] = {}
        owner = key_of(said.get("patient_key", ""))
        if owner is None:
            owner = clouds.get(said.get("cloud_id", ""))
        name = ""
        if owner is not None:
            found = self._ground.journal.contents_by(Stream.PATIENT, [owner])
            if owner not in found:
                raise No("sheet.no_such_patient")
            name = name_of(msgspec.json.decode(found[owner][0]))
            who = {"key": str(owner)}
        else:
            person = {n: self._spelling.patient(n, said[n]) for n in _VISIT_PERSON if said.get(n)}
            if not person.get("last_name") or not person.get("first_name"):
                raise No("sheet.nobody_named")
            twin = self._twin(person, said.get("cloud_id"))
            name = name_of(person)
            if twin is not None:
                who = {"key": str(twin)}
            else:
                who = {"new": person}
                if said.get("cloud_id"):
                    who["cloud_id"] = said["cloud_id"]
        wish: dict[str, Any] = {
            "patient": who,
            "start": start,
            "minutes": self._spelling.minutes(said["minutes"]),
            "operatory_key": self._place("operatory", said["operatory_key"]),
        }
        provider = self._place("provider", said.get("provider_key", ""))
        if provider:
            wish["provider_key"] = provider
        if said.get("note"):
            wish["note"] = said["note"]
        ident = said.get("booking_id", "")
        command = self._command(
            CommandType.APPOINTMENT_BOOK, said, Target(), wish, ident=ident and f"booking:{ident}"
        )
        changes = tuple(
            FieldChange(n, None, wish[n])
            for n in ("start", "minutes", "operatory_key", "provider_key")
            if wish.get(n)
        )
        line = RowLine(number, Verdict.NEW, (command.type.value,), None, name, changes)
        return Judged(line, (command,))

    def _place(self, kind: str, text: str) -> str:
        """A key, or the name of an operatory or provider."""
        if not text or text.removeprefix("-").isdigit():
            return text
        found = self._ground.places.get((kind, fold(text)))
        if found is None:
            raise Bad(f"{kind}_key", "sheet.no_such_place")
        return found

    def _who(self, patient_key: Any) -> str:
        key = key_of(str(patient_key or ""))
        found = self._ground.journal.contents_by(Stream.PATIENT, [key]) if key is not None else {}
        return name_of(msgspec.json.decode(found[key][0])) if key in found else ""

    # -- commands -----------------------------------------------------------------------------

    def _writable(self) -> frozenset[str]:
        return frozenset(
            name for name, rule in self._rules.items() if rule.policy is not Policy.READ_ONLY
        )

    def _without_known(self, judged: list[Judged]) -> list[Judged]:
        """What was brought in before, or stands in this file twice, is said and not done again."""
        ids = [command.command_id for row in judged for command in row.commands]
        known = self._ground.journal.known_commands(ids)
        found = []
        for row in judged:
            fresh = []
            for command in row.commands:
                mark = bytes.fromhex(command.command_id.rpartition("-")[2])
                if command.command_id not in known and mark not in self._seen:
                    fresh.append(command)
                self._seen.add(mark)
            if row.commands and not fresh:
                line = msgspec.structs.replace(row.line, verdict=Verdict.KNOWN, what=())
                found.append(Judged(line))
            else:
                found.append(Judged(row.line, tuple(fresh), row.asks))
        return found


def _unchanged(number: int, key: Key, now: Mapping[str, Any]) -> Judged:
    return Judged(RowLine(number, Verdict.UNCHANGED, (), key, name_of(now)))


def _rejected(
    number: int, code: str, facts: Mapping[str, str | int | float | None], key: Key | None
) -> Judged:
    return Judged(RowLine(number, Verdict.REJECTED, key=key, code=code, facts=dict(facts)))
