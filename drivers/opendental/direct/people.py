"""Patients written directly: new, changed, consent. Must not import a database library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.model.commands import Reason
from agent.model.effects import Effect, Written
from drivers.opendental import spelling as spell
from drivers.opendental.direct import trail
from drivers.opendental.direct.pen import Row, Value
from drivers.opendental.direct.trail import Scribe, number, only, target
from drivers.opendental.spelling import NO_DATE, key_of, number_of, refused, unsupported

_PHONES = {"phone_home": "HmPhone", "phone_work": "WkPhone", "phone_mobile": "WirelessPhone"}
_PHONE_TYPES = {"HmPhone": 1, "WkPhone": 2, "WirelessPhone": 3}  # phonenumber.PhoneType
_LOGGED = frozenset(
    {"LName", "FName", "MiddleI", "Preferred", "HmPhone", "WkPhone", "WirelessPhone", "Address",
     "Address2", "City", "State", "Zip", "TxtMsgOk"}
)  # fmt: skip
_ALL = 1  # CommOptOutType: every kind of message


def _contact(value: Any) -> int:
    return number_of(spell.CONTACT, value or "none")


def _consent(value: Any) -> int:
    return number_of(spell.CONSENT, value or "unknown")


def _status(value: Any) -> Value:
    if value == "deleted":  # only the program can delete a person
        raise unsupported()
    return number_of(spell.PATIENT_STATUS, value)


_EDITED: dict[str, tuple[str, Callable[[Any], Value]]] = {
    "last_name": ("LName", spell.name_of),
    "first_name": ("FName", spell.name_of),
    "middle_name": ("MiddleI", spell.text_of),
    "preferred_name": ("Preferred", spell.text_of),
    "title": ("Title", spell.text_of),
    "gender": ("Gender", lambda value: number_of(spell.GENDER, value or "not_stated")),
    "marital_status": ("Position", lambda value: number_of(spell.MARITAL, value or "single")),
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
    "status": ("PatStatus", _status),
}
_BORN: dict[str, tuple[str, Callable[[Any], Value]]] = {
    "primary_provider_key": ("PriProv", key_of),
    "secondary_provider_key": ("SecProv", key_of),
    "clinic_key": ("ClinicNum", key_of),
    "billing_type_key": ("BillingType", key_of),
    "chart_number": ("ChartNumber", spell.text_of),
}


def _columns(
    scribe: Scribe,
    fields: Mapping[str, Any],
    known: Mapping[str, tuple[str, Callable[[Any], Value]]],
) -> dict[str, Value]:
    if any(name in fields and not fields[name] for name in ("last_name", "first_name")):
        raise refused("write.name_missing")
    made: dict[str, Value] = {}
    for name, value in fields.items():
        if name in _PHONES:
            made[_PHONES[name]] = spell.phone_of(value, scribe.office.region)
        elif name in known:
            column, spelled = known[name]
            made[column] = spelled(value)
        else:
            raise unsupported()
    return made


def create_patient(scribe: Scribe, effect: Effect) -> Written:
    fields = {name: value for name, value in effect.fields.items() if value not in (None, [], "")}
    if not fields.get("last_name") or not fields.get("first_name"):
        raise refused("write.name_missing")
    guarantor = _guarantor(scribe, fields.pop("guarantor_key", None))
    status = number_of(spell.PATIENT_STATUS, fields.pop("status", "patient"))
    said = _columns(scribe, fields, {**_EDITED, **_BORN})
    _refuse_duplicate(scribe, said)
    clinic = int(said.get("ClinicNum") or 0)
    dentist = int(said.pop("PriProv", 0) or 0)
    dentist = dentist or scribe.office.preference_number("PracticeDefaultProv")
    if not dentist:  # the program always has one
        raise refused("write.provider_gone", Reason.PROVIDER_NOT_FOUND)
    row: dict[str, Value] = {
        "PatStatus": status, "Gender": 2, "Birthdate": NO_DATE,
        "BillingType": _billing_type(scribe, clinic), "PriProv": scribe.provider(dentist),
        "FeeSched": 0, "Guarantor": guarantor, "DateFirstVisit": NO_DATE, "AdmitDate": NO_DATE,
        "BillingCycleDay": 1, "SecUserNumEntry": trail.NOBODY, "SecDateEntry": scribe.today,
        **said,
    }  # fmt: skip
    key = scribe.steps.insert("patient", row)
    _phone_rows(scribe, key, said)
    scribe.log(trail.PATIENT_CREATE, key, "Patient created by Bridgework")
    if scribe.steps.has("custreference"):
        scribe.steps.insert("custreference", {"PatNum": key, "DateMostRecent": NO_DATE})
    if not guarantor:
        scribe.steps.update("patient", key, {"Guarantor": key})
    return Written(key)


def _guarantor(scribe: Scribe, key: Any) -> int:
    """Somebody who heads their own family; 0 = the new patient themselves."""
    if key is None:
        return 0
    head = scribe.patient(key_of(key))
    if number(head, "Guarantor") != number(head, "PatNum"):
        raise refused("write.value_invalid")
    return number(head, "PatNum")


def _billing_type(scribe: Scribe, clinic: int) -> int:
    if clinic and scribe.steps.has("clinicpref"):
        own = scribe.steps.select(
            "SELECT ValueString FROM clinicpref WHERE ClinicNum=? AND PrefName=?",
            clinic, "PracticeDefaultBillType",
        )  # fmt: skip
        if own and str(own[0]["ValueString"]).isdigit():
            return int(str(own[0]["ValueString"]))
    return scribe.office.preference_number("PracticeDefaultBillType")


def _refuse_duplicate(scribe: Scribe, said: Mapping[str, Value]) -> None:
    """The API's own guard: same names and birth date, and a number or an address in common."""
    numbers = {spell.phone_digits(str(said.get(c) or "")) for c in _PHONE_TYPES} - {""}
    mails = set(str(said.get("Email") or "").casefold().split(",")) - {""}
    for other in scribe.steps.select(
        "SELECT HmPhone,WkPhone,WirelessPhone,Email FROM patient"
        " WHERE LName=? AND FName=? AND Birthdate=? AND PatStatus<>4",
        said["LName"], said["FName"], said.get("Birthdate", NO_DATE),
    ):  # fmt: skip
        theirs = {spell.phone_digits(str(other[c] or "")) for c in _PHONE_TYPES}
        their_mails = str(other["Email"] or "").casefold().replace(";", ",").split(",")
        if numbers & theirs or mails & {mail.strip() for mail in their_mails}:
            raise refused("write.duplicate_patient", Reason.DUPLICATE_OF)


def _phone_rows(scribe: Scribe, patient: int, said: Mapping[str, Value]) -> None:
    """The searchable copies, deleted and written again, where the office keeps them."""
    changed = {column: kind for column, kind in _PHONE_TYPES.items() if column in said}
    if not changed or scribe.office.preference("PatientPhoneUsePhonenumberTable") != "1":
        return
    for row in scribe.steps.select(
        "SELECT PhoneNumberNum,PhoneType FROM phonenumber WHERE PatNum=?", patient
    ):
        if number(row, "PhoneType") in changed.values():
            scribe.steps.delete("phonenumber", number(row, "PhoneNumberNum"))
    for column, kind in changed.items():
        spelled = str(said[column] or "")
        if spelled:
            scribe.steps.insert("phonenumber", {
                "PatNum": patient, "PhoneNumberVal": spelled,
                "PhoneNumberDigits": spell.phone_digits(spelled), "PhoneType": kind,
            })  # fmt: skip


def update_patient(scribe: Scribe, effect: Effect) -> Written:
    key = target(effect)
    _edit(scribe, key, _columns(scribe, effect.fields, _EDITED))
    return Written(key)


def _edit(scribe: Scribe, key: int, said: Mapping[str, Value]) -> None:
    scribe.patient(key)
    scribe.steps.update("patient", key, said)
    _phone_rows(scribe, key, said)
    if _LOGGED & said.keys():
        scribe.log(trail.PATIENT_EDIT, key, "Patient edited by Bridgework")


def set_consent(scribe: Scribe, effect: Effect) -> Written:
    """Text messages: the patient's own answer, and no opt-out of everything beside a yes. E-mail:
    Open Dental knows refusals only, so a yes cannot be kept."""
    key, fields = target(effect), effect.fields
    only(fields, "sms_consent", "email_consent")
    if "email_consent" in fields:
        if fields["email_consent"] == "granted":
            raise unsupported("write.email_consent_unsupported")
        scribe.patient(key)
        _opt_out(scribe, key, "OptOutEmail", is_out=fields["email_consent"] == "denied")
        scribe.log(trail.PATIENT_EDIT, key, "Consent set by Bridgework")
    if "sms_consent" in fields:
        if fields["sms_consent"] != "denied":
            _opt_out(scribe, key, "OptOutSms", is_out=False)
        _edit(scribe, key, {"TxtMsgOk": _consent(fields["sms_consent"])})
    return Written(key)


def _opt_out(scribe: Scribe, patient: int, column: str, *, is_out: bool) -> None:
    rows: list[Row] = scribe.steps.select(
        "SELECT CommOptOutNum,OptOutSms,OptOutEmail FROM commoptout WHERE PatNum=?", patient
    )
    for row in rows:
        flags = number(row, column)
        wished = flags | _ALL if is_out else flags & ~_ALL
        if wished != flags:
            scribe.steps.update("commoptout", number(row, "CommOptOutNum"), {column: wished})
    if is_out and not rows:
        scribe.steps.insert(
            "commoptout", {"PatNum": patient, "OptOutSms": 0, "OptOutEmail": 0, column: _ALL}
        )
