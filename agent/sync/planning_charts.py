"""Plans of the commands about people and their charts. See ``plans``."""

from __future__ import annotations

from typing import Any

from agent.model.commands import Command, Reason
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.sync import consent, effects, normalize, payloads
from agent.sync.looks import Looks
from agent.sync.payloads import Invalid, as_key
from agent.sync.planning_visits import Visits
from agent.sync.plans import Ground, Plan, Refuse, as_patient, note_text, some
from agent.sync.switches import Scope, scope_of


class Charts:
    def __init__(self, ground: Ground, visits: Visits) -> None:
        self._ground = ground
        self._visits = visits

    def create(self, command: Command, looks: Looks) -> Plan:
        fields = payloads.patient_fields(
            command.payload,
            self._ground.writable(Stream.PATIENT),
            self._ground.today(looks),
            new=True,
        )
        made = self._ground.made(command, EffectKind.CREATE_PATIENT)
        if made is not None:
            return Plan(Stream.PATIENT, made, (), scope_of(patients=[made]))
        twin = self._ground.people.twin_of(fields, command.target.cloud_id)
        if twin is not None:
            return Plan(Stream.PATIENT, twin, (), scope_of(patients=[twin]), duplicate=True)
        return Plan(Stream.PATIENT, None, (effects.create_patient(fields),), Scope())

    def update(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.UpdatePatient)
        wish = payloads.patient_fields(
            asked.fields, self._ground.writable(Stream.PATIENT), self._ground.today(looks)
        )
        key, current = self._target_patient(command, looks)
        merged, kept = self._ground.merged(command, Stream.PATIENT, key, current, wish)
        step = effects.update_patient(key, current, merged) if current is not None else None
        return Plan(Stream.PATIENT, key, some(step), scope_of(patients=[key]), kept)

    def set_consent(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.ConsentSet)
        payloads.moment(asked.at, "at")
        key, current = self._target_patient(command, looks)
        if current is None:
            raise Refuse(Reason.PATIENT_NOT_FOUND, "patient.not_found")
        decided = consent.decide(command, as_patient(current), self._ground.clock.now())
        if decided.reason is not None:
            raise Refuse(decided.reason, decided.code, key=key)
        step = None
        if decided.fields:
            step = effects.set_consent(key, current, asked.channel, asked.consent)
        return Plan(Stream.PATIENT, key, some(step), scope_of(patients=[key]))

    def set_custom(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.CustomSet)
        if command.target.type == Stream.APPOINTMENT.value:
            stream = Stream.APPOINTMENT
            key, current, scope = self._visits.appointment(command, looks)
        else:
            stream = Stream.PATIENT
            key, current = self._target_patient(command, looks)
            scope = scope_of(patients=[key])
        wish = {"custom": {asked.name: normalize.text(asked.value) or ""}}
        merged, kept = self._ground.merged(command, stream, key, current, wish)
        step = None
        if current is not None and merged:
            step = effects.set_custom(stream, key, current, merged["custom"])
        return Plan(stream, key, some(step), scope, kept)

    def _target_patient(self, command: Command, looks: Looks) -> tuple[Key, dict[str, Any] | None]:
        target = command.target
        key: Key | None = None
        if target.key:
            key = as_key(target.key, "target.key")
        elif target.cloud_id:
            key = self._ground.people.key_of(target.cloud_id)
            if key is None:
                raise Refuse(Reason.PATIENT_NOT_FOUND, "patient.not_linked")
        if key is None:
            raise Invalid("target")
        try:
            return self._ground.patient(key, looks)
        except Refuse:
            self._ground.known_once(Stream.PATIENT, key)
            return key, None

    # -- what is only added -----------------------------------------------------------------------

    def commlog(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.CommlogAppend)
        key, patient = self._ground.patient(as_key(asked.patient_key, "patient_key"), looks)
        refused = consent.outreach_refusal(as_patient(patient), consent.channels_needed(command))
        if refused is not None:
            raise Refuse(Reason.POLICY_BLOCKED, refused, key=key)
        fields = payloads.given(asked, note=note_text, at=payloads.instant)
        del fields["channel"]
        fields["at"] = fields["at"] or payloads.instant(command.created_at, "created_at")
        return self._appended(command, EffectKind.APPEND_COMMLOG, key, fields)

    def note(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.NoteAppend)
        key, _ = self._ground.patient(as_key(asked.patient_key, "patient_key"), looks)
        procedure = looks.record(Stream.PROCEDURE, as_key(asked.procedure_key, "procedure_key"))
        if procedure is None or procedure.fields.get("patient_key") != str(key):
            raise Refuse(Reason.VALIDATION_FAILED, "procedure.not_found", key=key)
        fields = payloads.given(asked, note=note_text)
        return self._appended(command, EffectKind.APPEND_NOTE, key, fields)

    def perio(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.PerioRecord)
        key, _ = self._ground.patient(as_key(asked.patient_key, "patient_key"), looks)
        fields = payloads.given(asked, date=payloads.day, note=note_text)
        fields["measures"] = payloads.measures(asked.measures)
        if fields["date"] is None:
            created = payloads.moment(command.created_at, "created_at")
            fields["date"] = looks.local_date(created).isoformat()
        return self._appended(command, EffectKind.RECORD_PERIO, key, fields)

    def document(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.DocumentAttach)
        key, _ = self._ground.patient(as_key(asked.patient_key, "patient_key"), looks)
        fields = {**payloads.given(asked), "patient_key": str(key)}
        done = self._ground.has(command, EffectKind.ATTACH_DOCUMENT)
        steps = () if done else (effects.attach(fields),)
        return Plan(Stream.PATIENT, key, steps, scope_of(patients=[key]))

    def _appended(
        self, command: Command, kind: EffectKind, patient: Key, fields: dict[str, Any]
    ) -> Plan:
        step = effects.append(kind, {**fields, "patient_key": str(patient)})
        made = self._ground.made(command, kind)
        return Plan(
            step.effect.stream,
            made,
            () if made is not None else (step,),
            scope_of(patients=[patient], providers=[fields.get("provider_key")]),
        )

    def recall(self, command: Command, looks: Looks) -> Plan:
        asked = payloads.read(command, payloads.RecallUpdate)
        wish = payloads.given(
            asked,
            due=payloads.day,
            disabled_until=payloads.day,
            interval=payloads.period,
            note=note_text,
        )
        if not wish:
            raise Invalid("payload")
        key = as_key(command.target.key, "target.key")
        found = looks.record(Stream.RECALL, key)
        if found is None:
            self._ground.known_once(Stream.RECALL, key)
        current = found.fields if found else None
        merged, kept = self._ground.merged(command, Stream.RECALL, key, current, wish)
        step = effects.update_recall(key, current, merged) if current is not None else None
        patient = (current or {}).get("patient_key")
        return Plan(Stream.RECALL, key, some(step), scope_of(patients=[patient]), kept)
