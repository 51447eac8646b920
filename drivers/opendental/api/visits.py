"""Appointments by calls of the API: book, move, confirm, status, break, note.

Must not import an HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.model.commands import Reason
from agent.model.effects import Effect, WriteRefused, Written
from agent.model.reading import Key
from drivers.opendental import spelling as spell
from drivers.opendental.api import methods
from drivers.opendental.api.calls import Api, Body, known_here, made_of, needed_text, only, target
from drivers.opendental.spelling import WallClock, flag, key_of, refused, unsupported, word_of

_DAY = timedelta(hours=24)

_PLACE = frozenset({"start", "minutes", "operatory_key", "provider_key", "hygienist_key"})
_BOOK = _PLACE | {
    "patient_key", "status", "type_key", "note", "is_new_patient", "is_hygiene", "priority",
    "confirmation_category", "confirmation_key",
}  # fmt: skip


def _confirmation(api: Api, fields: Mapping[str, Any]) -> int:
    if fields.get("confirmation_key") is not None:
        return key_of(fields["confirmation_key"])
    return api.office.confirmation(str(fields.get("confirmation_category")))


def book(api: Api, effect: Effect) -> Written:
    fields = effect.fields
    only(fields, _BOOK)
    if fields.get("status", "scheduled") != "scheduled":
        raise unsupported()
    body: Body = {
        "PatNum": key_of(fields.get("patient_key")),
        "Op": key_of(fields.get("operatory_key")),
        "AptDateTime": api.office.clock.wall(fields.get("start")),
        "Pattern": _new_pattern(api, fields),
    }
    for name, column in (("provider_key", "ProvNum"), ("hygienist_key", "ProvHyg"),
                         ("type_key", "AppointmentTypeNum")):  # fmt: skip
        if fields.get(name) is not None:
            body[column] = key_of(fields[name])
    for name, column in (("is_new_patient", "IsNewPatient"), ("is_hygiene", "IsHygiene")):
        if fields.get(name) is not None:
            body[column] = flag(fields[name])
    if fields.get("note"):
        body["Note"] = spell.text_of(fields["note"])
    if fields.get("priority"):
        body["Priority"] = word_of(spell.PRIORITY, fields["priority"])
    if fields.get("confirmation_key") or fields.get("confirmation_category"):
        body["Confirmed"] = _confirmation(api, fields)
    body = known_here(api, methods.APPOINTMENT_POST, body)
    return made_of(api.do(methods.APPOINTMENT_POST, None, body), "AptNum")


def _new_pattern(api: Api, fields: Mapping[str, Any]) -> str:
    """The type's own pattern where it has the length asked for."""
    plain = spell.pattern_of(fields.get("minutes"))
    if fields.get("type_key") is None:
        return plain
    found = api.office.row(
        "appointmenttype", "AppointmentTypeNum", fields["type_key"], ("Pattern",)
    )
    own = found["Pattern"] if found else ""
    return own if len(own) == len(plain) else plain


def move(api: Api, effect: Effect) -> Written:
    """One PUT, also from the unscheduled list: status, time and chair are columns of the same
    request (API documentation, PUT appointments)."""
    fields, key = effect.fields, target(effect)
    only(fields, _PLACE | {"status"})
    body: Body = {}
    if "status" in fields:
        if fields["status"] != "scheduled":
            raise unsupported()
        body["AptStatus"] = word_of(spell.APPOINTMENT_STATUS, fields["status"])
    if "start" in fields:
        body["AptDateTime"] = api.office.clock.wall(fields["start"])
    if "minutes" in fields:
        body.update(_patterns(api, key, fields["minutes"]))
    for name, column in (("operatory_key", "Op"), ("provider_key", "ProvNum"),
                         ("hygienist_key", "ProvHyg")):  # fmt: skip
        if name in fields:
            body[column] = key_of(fields[name])
    api.do(methods.APPOINTMENT_PUT, key, body)
    return Written(key)


def _patterns(api: Api, key: Key, minutes: Any) -> Body:
    held = api.office.row("appointment", "AptNum", key, ("Pattern", "PatternSecondary"))
    if held is None:
        raise refused("write.record_gone", Reason.VERSION_CONFLICT)
    body: Body = {"Pattern": spell.stretched(held["Pattern"], minutes)}
    second = held["PatternSecondary"]
    if second and api.has(methods.APPOINTMENT_PUT, "PatternSecondary"):
        body["PatternSecondary"] = spell.stretched(second, minutes)  # must match in length
    return body


def confirm(api: Api, effect: Effect) -> Written:
    key = target(effect)
    only(effect.fields, frozenset({"confirmation_key", "confirmation_category"}))
    api.do(methods.CONFIRM, key, {"defNum": _confirmation(api, effect.fields)})
    return Written(key)


def set_status(api: Api, effect: Effect) -> Written:
    key = target(effect)
    only(effect.fields, frozenset({"status"}))
    status = str(effect.fields.get("status"))
    if status in ("none", "asap"):  # never stored, retired
        raise unsupported()
    api.do(methods.APPOINTMENT_PUT, key, {"AptStatus": word_of(spell.APPOINTMENT_STATUS, status)})
    return Written(key)


_BREAKS = {"missed": "Missed", "cancelled": "Cancelled"}


def break_(api: Api, effect: Effect) -> Written:
    """``breakType`` charts a procedure (often with a fee): only where the office turned that on,
    and a cancellation more than a day ahead is none of it, as the vendor's page says."""
    key, options = target(effect), effect.options
    to_list = options.get("to_unscheduled") == "yes"
    body: Body = {"sendToUnscheduledList": flag(to_list)}
    kind = _BREAKS.get(options.get("break_type", ""))
    charts = api.office.preference("BrokenApptProcedure") not in ("", "0")
    if kind is not None and charts and (kind == "Missed" or not _is_early(api, key)):
        body["breakType"] = kind
    try:
        api.do(methods.BREAK, key, body)
    except WriteRefused as refusal:
        # The office may chart one of the two procedures only: the visit is broken all the same.
        if refusal.reason is not Reason.VALIDATION_FAILED or body.pop("breakType", None) is None:
            raise
        api.do(methods.BREAK, key, body)
    return Written(key)


def _is_early(api: Api, key: Key) -> bool:
    held = api.office.row("appointment", "AptNum", key, ("AptDateTime",))
    if held is None:
        return False
    soon = WallClock(api.office.clock.zone).of(datetime.now(UTC) + _DAY)
    return held["AptDateTime"] > soon


def note_appointment(api: Api, effect: Effect) -> Written:
    key = target(effect)
    only(effect.fields, frozenset({"note"}))
    api.do(methods.APPOINTMENT_NOTE, key, {"Note": needed_text(effect.fields.get("note"))})
    return Written(key)
