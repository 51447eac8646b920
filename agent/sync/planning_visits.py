"""Plans of the commands about appointments. See ``plans``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agent.model.commands import Command, Reason
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync import effects, normalize, payloads
from agent.sync.effects import Step
from agent.sync.looks import Looks
from agent.sync.payloads import Invalid, as_key
from agent.sync.plans import Ground, PlaceWish, Plan, Refuse, some, widened
from agent.sync.switches import Scope, scope_of


class Visits:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def book(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.Book)
        who = asked.patient
        if sum(one is not None for one in (who.key, who.cloud_id or who.new)) != 1:
            raise Invalid("patient")
        steps: list[Step] = []
        patient: dict[str, Any] = {}
        key = self._ground.made(command, EffectKind.CREATE_PATIENT)
        if key is None and who.key is not None:
            key = as_key(who.key, "patient.key")
        if key is None and who.cloud_id is not None:
            key = self._ground.people.key_of(who.cloud_id)
            if key is None and who.new is None:
                raise Refuse(Reason.PATIENT_NOT_FOUND, "patient.not_linked")
        if key is None and who.new is not None:
            fields = payloads.patient_fields(
                who.new,
                self._ground.writable(Stream.PATIENT),
                self._ground.today(looks),
                new=True,
            )
            key = self._ground.people.twin_of(fields, who.cloud_id)
            if key is None:
                steps.append(effects.create_patient(fields))
                patient = fields
        if key is not None:
            key, patient = self._ground.patient(key, looks)
        fields = payloads.given(asked, start=payloads.instant)
        del fields["patient"]
        fields["patient_key"] = None if key is None else str(key)
        booking = effects.book(fields)
        if key is None:
            booking = replace(booking, after={**booking.after, "patient_key": None})
        steps.append(booking)
        return Plan(
            Stream.APPOINTMENT,
            None,
            tuple(steps),
            scope_of(
                operatories=[asked.operatory_key],
                providers=[asked.provider_key, asked.hygienist_key],
                patients=[key],
            ),
            fills="patient_key" if key is None else "",
            place=PlaceWish(
                payloads.moment(asked.start, "start"),
                asked.minutes,
                asked.operatory_key,
                asked.provider_key,
                asked.hygienist_key,
                patient,
            ),
        )

    def reschedule(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.Reschedule)
        key, current, scope = self.appointment(command, looks)
        wish = {
            name: value
            for name, value in payloads.given(asked, start=payloads.instant).items()
            if value is not None
        }
        held = None if current is None else current.get("status")
        if held in effects.OFF_LIST and self._ground.shown(command).get("status") == held:
            if "operatory_key" not in wish:
                raise Invalid("operatory_key")  # it has no chair to stay in
            wish["status"] = "scheduled"
        elif current is not None and held not in effects.ON_SCHEDULE:
            raise Refuse(Reason.VERSION_CONFLICT, "appointment.not_scheduled", key=key)
        if held == "complete":
            raise Refuse(Reason.VERSION_CONFLICT, "appointment.complete", key=key)
        merged, kept = self._ground.merged(command, Stream.APPOINTMENT, key, current, wish)
        step = effects.move(key, current, merged) if current is not None and merged else None
        place = None
        if step is not None and current is not None:
            place = self._place_of(key, {**current, **step.after}, looks)
            scope = widened(scope, place)
        return Plan(
            Stream.APPOINTMENT, key, some(step), scope, kept, whole=True, place=place
        )  # fmt: skip

    def confirm(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.Confirm)
        wish = {n: v for n, v in payloads.given(asked).items() if v is not None}
        if len(wish) != 1:
            raise Invalid("confirmation")
        key, current, scope = self.appointment(command, looks)
        self._ground.check_shown(command, key, current)
        merged, kept = self._ground.merged(command, Stream.APPOINTMENT, key, current, wish)
        step = effects.confirm(key, current, merged) if current is not None and merged else None
        return Plan(Stream.APPOINTMENT, key, some(step), scope, kept, whole=True)

    def set_status(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.StatusSet)
        if asked.status not in effects.SETTABLE:
            raise Invalid("status")
        key, current, scope = self.appointment(command, looks)
        wish = {"status": asked.status.value}
        self._ground.check_shown(command, key, current, ends_as=asked.status.value)
        merged, kept = self._ground.merged(command, Stream.APPOINTMENT, key, current, wish)
        step = (
            effects.set_status(key, current, merged["status"])
            if current is not None and merged
            else None
        )
        place = None
        if step is not None and current is not None and asked.status.value == "scheduled":
            place = self._place_of(key, current, looks)
        return Plan(Stream.APPOINTMENT, key, some(step), scope, kept, whole=True, place=place)

    def cancel(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.Cancel)
        key, current, scope = self.appointment(command, looks)
        status = "unscheduled" if asked.to_unscheduled else "broken"
        self._ground.check_shown(command, key, current, ends_as=status)
        merged, kept = self._ground.merged(
            command, Stream.APPOINTMENT, key, current, {"status": status}
        )
        steps: list[Step] = []
        if current is not None and merged:
            if current.get("status") not in effects.ON_SCHEDULE - {"complete"}:
                raise Refuse(Reason.VERSION_CONFLICT, "appointment.not_scheduled", key=key)
            steps = effects.cancel(
                key,
                current,
                break_type=asked.break_type,
                to_unscheduled=asked.to_unscheduled,
                note=normalize.text(asked.note),
            )
            if self._ground.made(command, EffectKind.NOTE_APPOINTMENT) is not None:
                steps = [s for s in steps if s.effect.kind is not EffectKind.NOTE_APPOINTMENT]
        return Plan(Stream.APPOINTMENT, key, tuple(steps), scope, kept, whole=True)

    def appointment(
        self, command: Command, looks: Looks
    ) -> tuple[Key, dict[str, Any] | None, Scope]:
        key = as_key(command.target.key, "target.key")
        found = looks.record(Stream.APPOINTMENT, key)
        if found is None:
            self._ground.known_once(Stream.APPOINTMENT, key)
            return key, None, Scope()
        fields = found.fields
        scope = scope_of(
            operatories=[fields.get("operatory_key")],
            providers=[fields.get("provider_key"), fields.get("hygienist_key")],
            patients=[fields.get("patient_key")],
        )
        return key, fields, scope

    def _place_of(self, key: Key, fields: Mapping[str, Any], looks: Looks) -> PlaceWish:
        if not fields.get("start") or not fields.get("operatory_key"):
            raise Invalid("operatory_key")
        patient: dict[str, Any] = {}
        if fields.get("patient_key"):
            found = looks.record(Stream.PATIENT, as_key(fields["patient_key"]))
            patient = found.fields if found else {}
        return PlaceWish(
            payloads.moment(fields["start"], "start"),
            int(fields.get("minutes") or 0),
            str(fields["operatory_key"]),
            fields.get("provider_key"),
            fields.get("hygienist_key"),
            patient,
            key,
        )
