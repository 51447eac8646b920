"""Each kind of effect as calls of the API: which, in what order, with what in them.

Decides nothing about permissions or versions of whole methods (``writer`` does); fields an older
office would silently ignore are refused here. Must not import an HTTP library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from agent.model.commands import Reason
from agent.model.effects import Effect, EffectKind, WriteRefused, Written
from agent.model.reading import Key
from agent.model.streams import Stream
from drivers.opendental import spelling as spell
from drivers.opendental.api import methods, visits
from drivers.opendental.api.calls import (
    Api,
    Body,
    Deed,
    known_here,
    made_of,
    needed_text,
    only,
    target,
)
from drivers.opendental.api.methods import Method
from drivers.opendental.office import IMAGE_CATEGORY, checked_custom, custom_values
from drivers.opendental.spelling import flag, key_of, refused, unsupported, word_of

# --- people -----------------------------------------------------------------------------------


def _consent(value: Any) -> str:
    return word_of(spell.CONSENT, value or "unknown")


def _gender(value: Any) -> str:
    if value == "other":  # the page lists three words
        raise unsupported()
    return word_of(spell.GENDER, value or "not_stated")


def _status(value: Any) -> str:
    if value == "deleted":
        raise unsupported()
    return word_of(spell.PATIENT_STATUS, value)


def _contact(value: Any) -> str:
    return word_of(spell.CONTACT, value or "none")


_PERSON: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "last_name": ("LName", spell.name_of),
    "first_name": ("FName", spell.name_of),
    "middle_name": ("MiddleI", spell.text_of),
    "preferred_name": ("Preferred", spell.text_of),
    "gender": ("Gender", _gender),
    "marital_status": ("Position", lambda value: word_of(spell.MARITAL, value or "single")),
    "birthdate": ("Birthdate", spell.day_of),
    "emails": ("Email", spell.emails_of),
    "address": ("Address", spell.text_of),
    "address2": ("Address2", spell.text_of),
    "city": ("City", spell.text_of),
    "state": ("State", spell.text_of),
    "postal_code": ("Zip", spell.text_of),
    "preferred_contact": ("PreferContactMethod", _contact),
    "preferred_confirm": ("PreferConfirmMethod", _contact),
    "preferred_recall": ("PreferRecallMethod", _contact),
    "language": ("Language", spell.text_of),
    "sms_consent": ("TxtMsgOk", _consent),
    "primary_provider_key": ("PriProv", key_of),
    "secondary_provider_key": ("SecProv", key_of),
    "clinic_key": ("ClinicNum", key_of),
    "guarantor_key": ("Guarantor", key_of),
    "status": ("PatStatus", _status),
    "chart_number": ("ChartNumber", lambda value: spell.fitting(spell.text_of(value), 15)),
}
_PHONES = {"phone_home": "HmPhone", "phone_work": "WkPhone", "phone_mobile": "WirelessPhone"}
_WIDTH = 100  # of the patient table's texts


def _person(api: Api, method: Method, fields: Mapping[str, Any]) -> Body:
    if any(name in fields and not fields[name] for name in ("last_name", "first_name")):
        raise refused("write.name_missing")
    body: Body = {}
    for name, value in fields.items():
        if name in _PHONES:
            body[_PHONES[name]] = spell.phone_of(value, api.office.region)
        elif name == "billing_type_key":
            body["BillingType"] = _billing_type(api, value)
        elif name in _PERSON:
            column, spelled = _PERSON[name]
            said = spelled(value)
            body[column] = spell.fitting(said, _WIDTH) if isinstance(said, str) else said
        else:
            raise unsupported()
    return known_here(api, method, body)


def _billing_type(api: Api, value: Any) -> str:
    """The API wants its name."""
    found = api.office.row("definition", "DefNum", value, ("ItemName",))
    if found is None:
        raise refused("write.value_invalid")
    return found["ItemName"]


def create_patient(api: Api, effect: Effect) -> Written:
    fields = {name: value for name, value in effect.fields.items() if value not in (None, [], "")}
    if not fields.get("last_name") or not fields.get("first_name"):
        raise refused("write.name_missing")
    body = _person(api, methods.PATIENT_POST, fields)
    try:
        return made_of(api.do(methods.PATIENT_POST, None, body), "PatNum")
    except WriteRefused as refusal:
        if refusal.reason is not Reason.VALIDATION_FAILED:
            raise
        # 400 is said for a duplicate as for a wrong value: the file tells which it was.
        born = body.get("Birthdate", spell.NO_DATE)
        if api.office.namesake(body["LName"], body["FName"], born) is not None:
            raise WriteRefused(Reason.DUPLICATE_OF, "write.duplicate_patient") from None
        raise


def update_patient(api: Api, effect: Effect) -> Written:
    key = target(effect)
    api.do(methods.PATIENT_PUT, key, _person(api, methods.PATIENT_PUT, effect.fields))
    return Written(key)


def set_consent(api: Api, effect: Effect) -> Written:
    """Text messages only: no method of the API writes the table of opt-outs, neither for e-mail
    nor to take back an opt-out of all text messages, which a yes would stand beside unheard."""
    key = target(effect)
    if set(effect.fields) != {"sms_consent"}:
        raise unsupported("write.email_consent_unsupported")
    if effect.fields["sms_consent"] != "denied" and api.office.opted_out_of_texts(key):
        raise unsupported("write.opted_out")
    api.do(methods.PATIENT_PUT, key, {"TxtMsgOk": _consent(effect.fields["sms_consent"])})
    return Written(key)


# --- records that are only added --------------------------------------------------------------


def append_commlog(api: Api, effect: Effect) -> Written:
    fields = effect.fields
    only(fields, frozenset({"patient_key", "note", "at", "mode", "direction", "type_key"}))
    body: Body = {
        "PatNum": key_of(fields.get("patient_key")),
        "Note": needed_text(fields.get("note")),
    }
    if fields.get("at"):
        body["CommDateTime"] = api.office.clock.wall(fields["at"])
    if fields.get("mode"):
        if fields["mode"] == "fax":  # stored, but the page has no word for it
            raise unsupported()
        body["Mode_"] = word_of(spell.MODE, fields["mode"])
    if fields.get("direction"):
        body["SentOrReceived"] = word_of(spell.DIRECTION, fields["direction"])
    if fields.get("type_key"):
        body["CommType"] = key_of(fields["type_key"])
    return made_of(api.do(methods.COMMLOG_POST, None, body), "CommlogNum")


def append_note(api: Api, effect: Effect) -> Written:
    """The newest row *is* a procedure's note, so what is there already goes first."""
    fields = effect.fields
    only(fields, frozenset({"patient_key", "procedure_key", "note"}))
    held = api.office.newest_note(fields.get("procedure_key"))
    body: Body = {
        "PatNum": key_of(fields.get("patient_key")),
        "ProcNum": key_of(fields.get("procedure_key")),
        "Note": joined_note(held, needed_text(fields.get("note"))),
    }
    return made_of(api.do(methods.PROCNOTE_POST, None, body), "ProcNoteNum")


def joined_note(held: str, added: str) -> str:
    return f"{held.rstrip()}\r\n\r\n{added}" if held.strip() else added


def record_perio(api: Api, effect: Effect) -> Written:
    """The exam, then tooth by tooth; a refusal half-way takes the exam away again."""
    fields = effect.fields
    only(fields, frozenset({"patient_key", "provider_key", "date", "note", "measures"}))
    measures = spell.measures_of(fields.get("measures") or ())
    body: Body = {"PatNum": key_of(fields.get("patient_key"))}
    today = api.office.clock.now()[:10]
    if fields.get("date") and (
        fields["date"] != today or api.has(methods.PERIO_EXAM_POST, "ExamDate")
    ):
        body["ExamDate"] = spell.day_of(fields["date"])
    if fields.get("provider_key"):
        body["ProvNum"] = key_of(fields["provider_key"])
    if fields.get("note"):
        body["Note"] = spell.text_of(fields["note"])
    body = known_here(api, methods.PERIO_EXAM_POST, body)
    made = made_of(api.do(methods.PERIO_EXAM_POST, None, body), "PerioExamNum")
    if made.key is None:
        return made  # the engine finds it, and finds it without its measures
    try:
        _measure(api, made.key, measures)
    except WriteRefused as refusal:
        if not api.has(methods.PERIO_EXAM_DELETE):
            raise
        api.do(methods.PERIO_EXAM_DELETE, made.key, None)  # takes its measures along
        raise WholeTakenBack(refusal) from None
    return made


class WholeTakenBack(Exception):
    """A later call was refused and the earlier ones were undone: certainly not done."""

    def __init__(self, refusal: WriteRefused) -> None:
        self.refusal = refusal
        super().__init__(refusal.code)


def _measure(api: Api, exam: Key, measures: list[tuple[str, int, dict[str, int]]]) -> None:
    # A new exam may come with teeth to skip, copied by the program from the one before.
    there = {
        (str(one.get("SequenceType")), int(one.get("IntTooth") or 0)): one
        for one in api.listed(methods.PERIO_MEASURES, {"PerioExamNum": str(exam)})
    }
    for kind, tooth, values in measures:
        word = word_of(spell.PERIO, kind)
        if kind == "bleeding" and api.office.version < (24, 1):
            word = "Bleeding"
        said = {name: value for name, value in values.items() if value != -1}
        held = there.get((word, tooth))
        if held is None:
            body = {"PerioExamNum": int(exam), "SequenceType": word, "IntTooth": tooth, **said}
            api.do(methods.PERIO_MEASURE_POST, None, body)
        elif any(int(held.get(name, -1)) != value for name, value in values.items()):
            api.do(methods.PERIO_MEASURE_PUT, int(held["PerioMeasureNum"]), said)


# --- recalls, custom fields, documents --------------------------------------------------------


def update_recall(api: Api, effect: Effect) -> Written:
    key, fields = target(effect), effect.fields
    if not api.has(methods.RECALL_PUT):
        if set(fields) != {"status_key"}:
            raise unsupported(api.why_not(methods.RECALL_PUT))
        return _recall_status(api, key, fields["status_key"])
    spelled: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "due": ("DateDue", spell.day_of),
        "interval": ("RecallInterval", spell.interval_text),
        "status_key": ("RecallStatus", key_of),
        "note": ("Note", spell.text_of),
        "is_disabled": ("IsDisabled", flag),
        "disabled_until": ("DisableUntilDate", spell.day_of),
        "priority": ("Priority", lambda value: word_of(spell.PRIORITY, value)),
    }
    only(fields, spelled)
    body = {spelled[name][0]: spelled[name][1](value) for name, value in fields.items()}
    api.do(methods.RECALL_PUT, key, body)
    return Written(key)


def _recall_status(api: Api, key: Key, status: Any) -> Written:
    """Older offices know only this; it names the recall by patient and type, and logs a call."""
    held = api.office.row("recall", "RecallNum", key, ("PatNum", "RecallTypeNum"))
    if held is None:
        raise refused("write.record_gone", Reason.VERSION_CONFLICT)
    kind = api.office.row("recalltype", "RecallTypeNum", held["RecallTypeNum"], ("Description",))
    if kind is None:
        raise refused("write.record_gone", Reason.VERSION_CONFLICT)
    body = {
        "PatNum": int(held["PatNum"]),
        "recallType": kind["Description"],
        "RecallStatus": key_of(status),
    }
    api.do(methods.RECALL_STATUS, None, body)
    return Written(key)


def set_custom(api: Api, effect: Effect) -> Written:
    key = target(effect)
    values = custom_values(effect.fields)
    if effect.stream is Stream.APPOINTMENT:
        for name, value in values.items():
            field = api.office.custom_field("apptfielddef", name)
            said = spell.text_of(checked_custom(field, value))
            body: Body = {"AptNum": key_of(key), "FieldName": name, "FieldValue": said}
            api.do(methods.APPTFIELD_PUT, None, body)
        return Written(key)
    if effect.stream is not Stream.PATIENT:
        raise unsupported()
    for name, value in values.items():
        field = api.office.custom_field("patfielddef", name)
        _patient_field(api, key, name, spell.text_of(checked_custom(field, value)))
    return Written(key)


def _patient_field(api: Api, key: Key, name: str, value: str) -> None:
    """PUT changes a row that is there; POST (22.4) makes one; an empty value has no row."""
    held = api.office.custom_rows("patfield", "PatNum", key, name)
    if not value and not held:
        return
    if not value and api.has(methods.PATFIELD_DELETE):
        for number, _ in held:
            api.do(methods.PATFIELD_DELETE, number, None)
        return
    body: Body = {"PatNum": key_of(key), "FieldName": name, "FieldValue": value}
    is_new = not held and api.has(methods.PATFIELD_POST)
    api.do(methods.PATFIELD_POST if is_new else methods.PATFIELD_PUT, None, body)


def attach_document(api: Api, effect: Effect) -> Written:
    fields = effect.fields
    only(fields, frozenset({"patient_key", "file_name", "content_base64", "category"}))
    path = PurePosixPath(spell.text_of(fields.get("file_name")))
    content = fields.get("content_base64")
    if not path.suffix or not isinstance(content, str) or not content:
        raise refused("write.value_invalid")
    body: Body = {
        "PatNum": key_of(fields.get("patient_key")),
        "rawBase64": content,
        "extension": path.suffix.lower(),
        "Description": spell.fitting(path.stem, 255),
    }
    if fields.get("category"):
        found = api.office.definition_named(IMAGE_CATEGORY, str(fields["category"]))
        if found is None:
            raise refused("write.value_invalid")
        body["DocCategory"] = found.number
    return made_of(api.do(methods.DOCUMENT_UPLOAD, None, body), "DocNum")


DEEDS: dict[EffectKind, Deed] = {
    EffectKind.BOOK: visits.book,
    EffectKind.MOVE: visits.move,
    EffectKind.CONFIRM: visits.confirm,
    EffectKind.SET_STATUS: visits.set_status,
    EffectKind.BREAK: visits.break_,
    EffectKind.NOTE_APPOINTMENT: visits.note_appointment,
    EffectKind.CREATE_PATIENT: create_patient,
    EffectKind.UPDATE_PATIENT: update_patient,
    EffectKind.SET_CONSENT: set_consent,
    EffectKind.APPEND_COMMLOG: append_commlog,
    EffectKind.APPEND_NOTE: append_note,
    EffectKind.RECORD_PERIO: record_perio,
    EffectKind.UPDATE_RECALL: update_recall,
    EffectKind.SET_CUSTOM: set_custom,
    EffectKind.ATTACH_DOCUMENT: attach_document,
}
