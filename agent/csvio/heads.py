"""Which column of a sheet is which field: found by name, or as given. Pure; imports leaves only.

A head is folded (lower case, no signs) and looked up among the names people and CRMs use for a
field, in English and Spanish; our own exports use the canonical names themselves.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What the rows of a file are."""

    PATIENTS = "patients"
    APPOINTMENTS = "appointments"
    MESSAGES = "messages"
    NOTES = "notes"
    CONSENTS = "consents"
    RECALLS = "recalls"
    CUSTOM = "custom"


_SHARED: dict[str, tuple[str, ...]] = {
    "version": ("version", "record version", "pms version"),
    "command_id": ("command id", "request id", "request"),
}
_WHO: dict[str, tuple[str, ...]] = {
    "last_name": ("last name", "surname", "family name", "lastname", "lname", "apellido",
                  "apellidos"),
    "first_name": ("first name", "given name", "firstname", "fname", "nombre", "name first"),
    "birthdate": ("birthdate", "birth date", "date of birth", "dob", "birthday",
                  "fecha de nacimiento", "nacimiento"),
}  # fmt: skip
_WHOSE: dict[str, tuple[str, ...]] = {
    **_SHARED,
    "patient_key": ("patient key", "patient no", "patient number", "patient id", "patnum",
                    "paciente no"),
    "cloud_id": ("cloud id", "crm id", "contact id"),
    **_WHO,
    "phone_mobile": ("phone mobile", "mobile", "mobile phone", "cell", "phone", "telefono"),
    "emails": ("emails", "email", "email address", "correo"),
}  # fmt: skip
_TEXT = ("note", "notes", "text", "message", "body", "comment", "nota", "notas", "texto", "mensaje")
_WHEN: dict[str, tuple[str, ...]] = {
    "at": ("at", "sent at", "timestamp", "date time", "datetime", "when", "created at",
           "fecha y hora"),
    "date": ("date", "day", "fecha"),
    "time": ("time", "hora"),
}  # fmt: skip
NAMES: dict[Kind, dict[str, tuple[str, ...]]] = {
    Kind.PATIENTS: {
        **_SHARED,
        "key": ("key", "patient key", "patient no", "patient number", "patient id", "patnum",
                "pms id", "pms number", "external id", "client ref", "no", "paciente no"),
        "cloud_id": ("cloud id", "crm id", "contact id", "record id", "hubspot id"),
        **_WHO,
        "middle_name": ("middle name", "middle", "middle initial", "segundo nombre"),
        "preferred_name": ("preferred name", "nickname", "preferred"),
        "title": ("title", "salutation title", "prefix", "titulo"),
        "gender": ("gender", "sex", "sexo", "genero"),
        "marital_status": ("marital status", "estado civil"),
        "phone_mobile": ("phone mobile", "mobile", "mobile phone", "cell", "cell phone",
                         "cellphone", "mobile number", "wireless phone", "phone", "phone number",
                         "movil", "celular", "telefono movil", "telefono"),
        "phone_home": ("phone home", "home phone", "home", "telefono casa", "telefono fijo"),
        "phone_work": ("phone work", "work phone", "business phone", "telefono trabajo"),
        "emails": ("emails", "email", "e mail", "email address", "mail", "correo",
                   "correo electronico"),
        "address": ("address", "address 1", "address line 1", "street", "street address",
                    "direccion", "calle"),
        "address2": ("address2", "address line 2", "apartment", "suite"),
        "city": ("city", "town", "ciudad"),
        "state": ("state", "province", "state region", "estado", "provincia"),
        "postal_code": ("postal code", "zip", "zip code", "zipcode", "postcode", "codigo postal",
                        "cp"),
        "preferred_contact": ("preferred contact", "preferred contact method"),
        "preferred_confirm": ("preferred confirm", "preferred confirm method"),
        "preferred_recall": ("preferred recall", "preferred recall method"),
        "language": ("language", "preferred language", "idioma"),
        "custom": ("custom",),  # of our own export: all of the practice's own fields
    },
    Kind.APPOINTMENTS: {
        **_SHARED,
        "key": ("key", "appointment key", "appointment no", "appointment number", "appointment id",
                "aptnum", "pms id", "cita no"),
        "patient_key": ("patient key", "patient no", "patient number", "patient id", "patnum",
                        "paciente no"),
        "cloud_id": ("cloud id", "crm id", "contact id"),
        "booking_id": ("booking id", "reservation id", "event id"),
        **_WHO,
        "phone_mobile": ("mobile", "cell", "phone", "mobile phone", "phone mobile", "telefono"),
        "emails": ("emails", "email", "e mail", "email address", "correo"),
        "start": ("start", "start time", "start local", "starts at", "appointment time", "when",
                  "date time", "datetime", "inicio"),
        "date": ("date", "appointment date", "day", "fecha"),
        "time": ("time", "hora"),
        "minutes": ("minutes", "length", "duration", "duration minutes", "min", "minutos",
                    "duracion"),
        "operatory_key": ("operatory key", "operatory", "op", "room", "chair", "sillon",
                          "consultorio"),
        "provider_key": ("provider key", "provider", "doctor", "dentist", "doctora", "dentista"),
        "status": ("status", "appointment status", "estado"),
        "confirmation_category": ("confirmation category", "confirmation", "confirmed",
                                  "confirmation status", "confirmacion"),
        "note": ("note", "notes", "comment", "comments", "nota", "notas"),
    },
    Kind.MESSAGES: {
        **_WHOSE,
        "note": _TEXT,
        **_WHEN,
        "mode": ("mode", "channel", "medium", "canal", "medio"),
        "direction": ("direction", "sent or received", "direccion", "sentido"),
    },
    Kind.NOTES: {
        **_WHOSE,
        "procedure_key": ("procedure key", "procedure no", "procedure number", "procnum",
                          "procedimiento no"),
        "note": _TEXT,
    },
    Kind.CONSENTS: {
        **_WHOSE,
        "channel": ("channel", "medium", "mode", "canal", "medio"),
        "consent": ("consent", "consent status", "opt in", "subscribed", "consentimiento"),
        "source": ("source", "how", "origin", "origen"),
        **_WHEN,
    },
    Kind.RECALLS: {
        **_SHARED,
        "key": ("key", "recall key", "recall no", "recall number", "recallnum"),
        "due": ("due", "due date", "date due", "vence"),
        "interval": ("interval", "every", "intervalo"),
        "note": _TEXT,
        "is_disabled": ("is disabled", "disabled", "desactivado"),
        "disabled_until": ("disabled until", "desactivado hasta"),
        "priority": ("priority", "prioridad"),
    },
    Kind.CUSTOM: {
        **_WHOSE,
        "name": ("name", "field", "field name", "campo"),
        "value": ("value", "field value", "valor"),
    },
}  # fmt: skip
# What tells a kind of rows from patients and visits, first match first.
_SIGNS: tuple[tuple[Kind, frozenset[str]], ...] = (
    (Kind.NOTES, frozenset({"procedure_key", "note"})),
    (Kind.CONSENTS, frozenset({"channel", "consent"})),
    (Kind.RECALLS, frozenset({"key", "due"})),
    (Kind.MESSAGES, frozenset({"note", "direction"})),
    (Kind.MESSAGES, frozenset({"note", "mode"})),
    (Kind.CUSTOM, frozenset({"name", "value"})),
)


@dataclass(frozen=True, slots=True)
class Heads:
    """``fields``: field -> column (0 based). ``unused``: heads nothing was made of."""

    kind: Kind
    fields: dict[str, int]
    unused: tuple[str, ...]


class HeadsError(ValueError):
    """``code``: sheet.no_such_head, sheet.no_such_field, sheet.twice, sheet.unknown_kind,
    sheet.nobody (no column says whom a row is about). ``what``: the name at fault."""

    def __init__(self, code: str, what: str = "") -> None:
        self.code, self.what = code, what
        super().__init__(code)


def fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return " ".join(re.sub(r"[^a-z0-9]+", " ", plain.lower()).split())


def kind_of(heads: Sequence[str]) -> Kind | None:
    """By the names: what says when, or numbers a visit, is a visit."""
    folded = {fold(head) for head in heads}
    for kind, fields in _SIGNS:
        if all(folded & {fold(field), *NAMES[kind][field]} for field in fields):
            return kind
    visits = NAMES[Kind.APPOINTMENTS]
    people = NAMES[Kind.PATIENTS]
    telling = {*visits["start"], *visits["date"], *visits["booking_id"], *visits["key"]}
    if folded & (telling - set(people["key"])):
        return Kind.APPOINTMENTS
    hits = sum(bool(folded & set(names)) for names in people.values())
    return Kind.PATIENTS if hits >= 2 else None


def match(
    heads: Sequence[str], kind: Kind | None = None, given: Mapping[str, str] | None = None
) -> Heads:
    """``given``: head -> field, "" = leave it out; comes before what the names say. HeadsError."""
    kind = kind or kind_of(heads)
    if kind is None:
        raise HeadsError("sheet.unknown_kind")
    names = NAMES[kind]
    by_name = {name: field for field, all_names in names.items() for name in all_names}
    by_name |= {fold(field): field for field in names}
    fields: dict[str, int] = {}
    taken: set[int] = set()
    for head, field in (given or {}).items():
        at = next((n for n, own in enumerate(heads) if fold(own) == fold(head)), None)
        if at is None:
            raise HeadsError("sheet.no_such_head", head)
        taken.add(at)
        if not field:
            continue
        if field not in names and not _is_custom(kind, field):
            raise HeadsError("sheet.no_such_field", field)
        if field in fields:
            raise HeadsError("sheet.twice", field)
        fields[field] = at
    for at, head in enumerate(heads):
        found = by_name.get(fold(head))
        if at not in taken and found is not None and found not in fields:
            fields[found] = at
            taken.add(at)
    known = {"key", "cloud_id", "patient_key"} & fields.keys()
    if not known and not {"last_name", "first_name"} <= fields.keys():
        raise HeadsError("sheet.nobody")
    unused = tuple(head for at, head in enumerate(heads) if head and at not in taken)
    return Heads(kind, fields, unused)


def _is_custom(kind: Kind, field: str) -> bool:
    return kind is Kind.PATIENTS and field.startswith("custom.") and len(field) > len("custom.")
