"""What is added to a file directly: calls, notes, perio exams, documents; recalls, custom fields.

Must not import a database library.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from agent.model.commands import Reason
from agent.model.effects import Effect, Written
from agent.model.streams import Stream
from drivers.opendental import spelling as spell
from drivers.opendental.direct import trail
from drivers.opendental.direct.pen import Value
from drivers.opendental.direct.trail import Scribe, number, only, target
from drivers.opendental.office import (
    COMM_TYPE,
    IMAGE_CATEGORY,
    RECALL_STATUS,
    checked_custom,
    custom_values,
)
from drivers.opendental.spelling import NO_MOMENT, key_of, number_of, refused, unsupported

FROM_API = 7  # commlog.CommSource: entered by another program
_SKIPPED = 5  # PerioSequenceType.SkipTooth


def _said(value: Any) -> str:
    text = spell.text_of(value)
    if not text:
        raise refused("write.value_invalid")
    return text


def append_commlog(scribe: Scribe, effect: Effect) -> Written:
    fields = effect.fields
    only(fields, "patient_key", "note", "at", "mode", "direction", "type_key")
    patient = number(scribe.patient(key_of(fields.get("patient_key"))), "PatNum")
    kind = key_of(fields.get("type_key"))
    if not kind:
        kind = scribe.office.tagged(COMM_TYPE, "MISC")
    at = scribe.office.clock.wall(fields["at"]) if fields.get("at") else scribe.now
    key = write_commlog(
        scribe, patient, kind, _said(fields.get("note")), at,
        mode=number_of(spell.MODE, fields.get("mode") or "none"),
        direction=number_of(spell.DIRECTION, fields.get("direction") or "neither"),
    )  # fmt: skip
    return Written(key)


def write_commlog(
    scribe: Scribe, patient: int, kind: int, note: str, at: str, *, mode: int = 0,
    direction: int = 0,
) -> int:  # fmt: skip
    """The row and its audit line; no signal goes out for a call. Its key."""
    if not any(d.number == kind for d in scribe.office.definitions(COMM_TYPE)):
        raise refused("write.value_invalid")
    key = scribe.steps.insert("commlog", {
        "PatNum": patient, "CommDateTime": at, "CommType": kind, "Note": note, "Mode_": mode,
        "SentOrReceived": direction, "UserNum": trail.NOBODY, "CommSource": FROM_API,
        "ProgramNum": 0, "DateTimeEnd": NO_MOMENT, "DateTEntry": scribe.now, "Signature": "",
    })  # fmt: skip
    scribe.log(trail.COMMLOG_CREATE, patient, "Commlog created by Bridgework", key)
    return key


def append_note(scribe: Scribe, effect: Effect) -> Written:
    """The newest row *is* a procedure's note, so what is there already goes first."""
    fields = effect.fields
    only(fields, "patient_key", "procedure_key", "note")
    patient = number(scribe.patient(key_of(fields.get("patient_key"))), "PatNum")
    procedure = scribe.need(
        "procedurelog", key_of(fields.get("procedure_key")),
        Reason.VERSION_CONFLICT, "write.record_gone",
    )  # fmt: skip
    if number(procedure, "PatNum") != patient:
        raise refused("write.value_invalid")
    held = scribe.office.newest_note(procedure["ProcNum"]).rstrip()
    added = _said(fields.get("note"))
    key = scribe.steps.insert("procnote", {
        "PatNum": patient, "ProcNum": number(procedure, "ProcNum"), "EntryDateTime": scribe.now,
        "UserNum": trail.NOBODY, "Note": f"{held}\r\n\r\n{added}" if held else added,
        "SigIsTopaz": 0, "Signature": "",
    })  # fmt: skip
    scribe.log(
        trail.NOTE_FULL, patient, "Progress note by Bridgework", number(procedure, "ProcNum")
    )
    return Written(key)


def record_perio(scribe: Scribe, effect: Effect) -> Written:
    """The exam and its measures. Teeth the last exam skipped are skipped again, unless measured."""
    fields = effect.fields
    only(fields, "patient_key", "provider_key", "date", "note", "measures")
    measures = spell.measures_of(fields.get("measures") or ())
    patient = scribe.patient(key_of(fields.get("patient_key")))
    key_of_patient = number(patient, "PatNum")
    last = scribe.steps.select(
        "SELECT PerioExamNum FROM perioexam WHERE PatNum=? ORDER BY ExamDate DESC,PerioExamNum DESC"
        " LIMIT 1",
        key_of_patient,
    )
    provider = key_of(fields.get("provider_key")) or number(patient, "PriProv")
    day = spell.day_of(fields["date"]) if fields.get("date") else scribe.today
    exam = scribe.steps.insert("perioexam", {
        "PatNum": key_of_patient, "ExamDate": day, "ProvNum": scribe.provider(provider),
        "DateTMeasureEdit": scribe.now, "Note": spell.text_of(fields.get("note")),
    })  # fmt: skip
    rows = {(spell.PERIO[kind][0], tooth): values for kind, tooth, values in measures}
    measured = {tooth for _, tooth in rows}
    if last:
        for skipped in scribe.steps.select(
            "SELECT IntTooth FROM periomeasure WHERE PerioExamNum=? AND SequenceType=?",
            number(last[0], "PerioExamNum"), _SKIPPED,
        ):  # fmt: skip
            tooth = number(skipped, "IntTooth")
            if tooth not in measured:
                rows[(_SKIPPED, tooth)] = {"ToothValue": 1, **dict.fromkeys(spell.SITE_COLUMNS, -1)}
    for (kind, tooth), values in sorted(rows.items()):
        scribe.steps.insert("periomeasure", {
            "PerioExamNum": exam, "SequenceType": kind, "IntTooth": tooth,
            "SecDateTEntry": scribe.now, **values,
        })  # fmt: skip
    scribe.signal(trail.SIGNAL_PERIO, spell.NO_DATE, "", key_of_patient)
    scribe.log(trail.PERIO_EDIT, key_of_patient, "Perio exam by Bridgework")
    return Written(exam)


def update_recall(scribe: Scribe, effect: Effect) -> Written:
    key, fields = target(effect), effect.fields
    spelled: dict[str, tuple[str, Callable[[Any], Value]]] = {
        "due": ("DateDue", spell.day_of),
        "interval": ("RecallInterval", spell.interval_number),
        "status_key": ("RecallStatus", key_of),
        "note": ("Note", spell.text_of),
        "is_disabled": ("IsDisabled", lambda value: int(bool(value))),
        "disabled_until": ("DisableUntilDate", spell.day_of),
        "priority": ("Priority", lambda value: number_of(spell.PRIORITY, value)),
    }
    only(fields, *spelled)
    recall = scribe.need("recall", key, Reason.VERSION_CONFLICT, "write.record_gone")
    status = key_of(fields.get("status_key"))
    if status and not any(d.number == status for d in scribe.office.definitions(RECALL_STATUS)):
        raise refused("write.value_invalid")
    changes = {spelled[name][0]: spelled[name][1](value) for name, value in fields.items()}
    scribe.steps.update("recall", key, changes)
    patient = number(recall, "PatNum")
    scribe.log(trail.RECALL_EDIT, patient, "Recall edited by Bridgework", key)
    return Written(key)


def set_custom(scribe: Scribe, effect: Effect) -> Written:
    """An empty value has no row."""
    key = target(effect)
    if effect.stream is Stream.PATIENT:
        scribe.patient(key)
        tables = ("patfielddef", "patfield", "PatNum")
    elif effect.stream is Stream.APPOINTMENT:
        scribe.appointment(key)
        tables = ("apptfielddef", "apptfield", "AptNum")
    else:
        raise unsupported()
    definitions, table, owner = tables
    for name, value in custom_values(effect.fields).items():
        field = scribe.office.custom_field(definitions, name)
        said = spell.text_of(checked_custom(field, value))
        held = scribe.office.custom_rows(table, owner, key, name)
        for row, _ in held[1:] if said else held:
            scribe.steps.delete(table, row)
        if said and held:
            scribe.steps.update(table, held[0][0], {"FieldValue": said})
        elif said:
            row_of: dict[str, Value] = {owner: key, "FieldName": name, "FieldValue": said}
            if table == "patfield":
                row_of |= {"SecUserNumEntry": trail.NOBODY, "SecDateEntry": scribe.today}
            scribe.steps.insert(table, row_of)
    if effect.stream is Stream.PATIENT:
        scribe.log(trail.FIELD_EDIT, key, "Custom field set by Bridgework")
    return Written(key)


def attach_document(scribe: Scribe, effect: Effect) -> Written:
    """Into the document's own row; the writer offers this only where the office keeps files so."""
    fields = effect.fields
    only(fields, "patient_key", "file_name", "content_base64", "category")
    patient = number(scribe.patient(key_of(fields.get("patient_key"))), "PatNum")
    path = PurePosixPath(spell.text_of(fields.get("file_name")))
    content = fields.get("content_base64")
    if not path.suffix or not isinstance(content, str) or not content:
        raise refused("write.value_invalid")
    category = scribe.office.first_definition(IMAGE_CATEGORY)
    if fields.get("category"):
        found = scribe.office.definition_named(IMAGE_CATEGORY, str(fields["category"]))
        if found is None:
            raise refused("write.value_invalid")
        category = found.number
    key = scribe.steps.insert("document", {
        "Description": path.stem, "DateCreated": scribe.now, "DocCategory": category,
        "PatNum": patient, "FileName": path.name, "ImgType": 0, "RawBase64": content,
    })  # fmt: skip
    return Written(key)
