"""Plain words for what is stored: names, states of visits, lines of activity. Pure.

Imports ``extract`` for folding names. Unknown words of a practice pass through as they are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from agent.sandbox.crm.extract import fold

Json = dict[str, Any]

_MANY: Final = {
    "practice": ("practice record", "practice records"),
    "provider": ("provider", "providers"),
    "operatory": ("operatory", "operatories"),
    "procedure_code": ("procedure code", "procedure codes"),
    "referral_source": ("referral source", "referral sources"),
    "patient": ("patient", "patients"),
    "appointment": ("appointment", "appointments"),
    "schedule_block": ("schedule block", "schedule blocks"),
    "recall": ("recall", "recalls"),
    "balance": ("balance", "balances"),
    "coverage": ("insurance coverage", "insurance coverages"),
    "procedure": ("procedure", "procedures"),
    "claim": ("claim", "claims"),
    "payment": ("payment", "payments"),
    "adjustment": ("adjustment", "adjustments"),
    "communication": ("communication", "communications"),
    "clinical_note": ("clinical note", "clinical notes"),
    "perio_exam": ("perio exam", "perio exams"),
    "lab_case": ("lab case", "lab cases"),
}
_WHY: Final = {
    "invalid-item": "The change does not have the shape the contract asks for.",
    "unknown-type": "This CRM does not know records of this type.",
    "hash-mismatch": "What arrived is not what was hashed: it was altered on the way.",
    "fault-injected": "A test asked the CRM to refuse it.",
}

_REASON: Final = {
    "slot_taken": "Another visit has that place.",
    "patient_not_found": "The practice has no such patient.",
    "patient_ambiguous": "The practice has several people like this one.",
    "provider_not_found": "The practice has no such provider.",
    "operatory_invalid": "Nobody can be booked into that operatory.",
    "outside_hours": "The practice or the provider is not there then.",
    "in_past": "That time is over.",
    "locked_by_user": "Somebody in the practice has it open.",
    "version_conflict": "It was changed in the practice meanwhile.",
    "permission_denied": "The practice's system did not permit it.",
    "not_supported_by_pms": (
        "The practice does not offer this now: its system cannot do it,"
        " or what may be written there is limited."
    ),
    "validation_failed": "What was asked for is not complete or not possible.",
    "pms_unavailable": "The practice's system is not available now.",
    "expired": "The practice did not get to it in time.",
    "duplicate_of": "This person is there already.",
    "policy_blocked": "The practice does not allow it: a safety switch or one of its rules.",
    "internal": "Something failed on the way.",
}
_STANDING: Final = {
    "queued": "Waiting for the practice",
    "leased": "Sent to the practice",
    "applying": "The practice is at it",
    "applied": "Done",
    "rejected": "Not done",
    "expired": "Not done in time",
    "superseded": "Withdrawn",
    "unknown": "May have been done: somebody checks",
    "conflict": "Two edits met: a person decides",
    "task": "The front desk does it by hand",
}
_REQUEST: Final = {
    "appointment.book": "Booking",
    "appointment.reschedule": "Move",
    "appointment.confirm": "Confirmation",
    "appointment.status_set": "Status",
    "appointment.cancel": "Cancellation",
    "patient.create": "New patient",
    "patient.update_contact": "Edit",
    "consent.set": "Consent",
    "commlog.append": "Note of contact",
    "note.append": "Clinical note",
    "perio.record": "Perio exam",
    "recall.update": "Recall",
    "custom_field.set": "Custom field",
    "document.attach": "Document",
    "resync.request": "Fresh reading",
    "agent.diagnostics": "Diagnostics",
    "privacy.forget": "Erasure",
}


def why_refused(reason: str) -> str:
    """A reason code in plain words."""
    return _REASON.get(reason, reason.replace("_", " ").capitalize() + ".")


def why_unbelieved() -> str:
    """Of a request the agent sent back unopened, which comes with a reason code and no words."""
    return (
        "The request was not believed: its seal, its date or its addressee was wrong,"
        " or another came under its number. Nothing was done."
    )


def standing(state: str) -> str:
    """Where a command is, in plain words."""
    return _STANDING.get(state, state)


def request_label(kind: str) -> str:
    """What a command is called."""
    return _REQUEST.get(kind, kind)


def counted(type_name: str, count: int) -> str:
    """ "1 patient", "1,204 patients"."""
    singular, plural = _MANY[type_name]
    return f"{count:,} {singular if count == 1 else plural}"


def why_rejected(reason: str) -> str:
    return _WHY.get(reason, reason.replace("-", " ").capitalize() + ".")


def full_name(person: Json) -> str:
    parts = [person.get("first_name"), person.get("last_name"), person.get("suffix")]
    return " ".join(str(p) for p in parts if p) or "No name"


def provider_name(provider: Json) -> str:
    """ "Dr Lee" is the practice's business: the abbreviation they know, else the last name."""
    return str(provider.get("abbr") or provider.get("last_name") or provider.get("key") or "")


def source_name(source: Json) -> str:
    if source.get("business_name"):
        return str(source["business_name"])
    return full_name(source)


def phone_of(person: Json) -> str:
    for name in ("phone_mobile", "phone_home", "phone_work"):
        number = person.get(name) or person.get(f"{name}_raw")
        if number:
            return str(number)
    return ""


def age_of(person: Json) -> int | None:
    try:
        born = date.fromisoformat(str(person.get("birthdate")))
    except ValueError:
        return None
    today = datetime.now(UTC).date()
    age = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return age if 0 <= age < 130 else None


def search_words(typed: str) -> list[str]:
    """What was typed, as it is looked for: folded; numbers without their punctuation."""
    words = []
    for word in fold(typed).replace(",", " ").split():
        digits = "".join(c for c in word if c.isdigit())
        is_date = word.count("-") == 2 and len(word) == 10
        is_number = bool(digits) and not any(c.isalpha() for c in word)
        if is_number and "/" in word:
            words.append(_typed_date(word))
        elif is_number and not is_date:
            words.append(digits)
        elif is_date:
            words.append(word)
        else:
            words.append(f" {word}")
    return words


def _typed_date(word: str) -> str:
    """3/14/1985 as people type it in the United States → 1985-03-14; else its digits."""
    parts = word.split("/")
    if len(parts) == 3 and all(parts) and len(parts[2]) == 4:
        return f"{parts[2]}-{parts[0]:0>2}-{parts[1]:0>2}"
    return "".join(c for c in word if c.isdigit())


def parse(text: object) -> datetime | None:
    """An instant of the contract."""
    if not isinstance(text, str) or len(text) < 11:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def local_text(text: object, tz: ZoneInfo) -> str | None:
    """ "2026-11-20T09:30", wall time."""
    at = parse(text)
    return None if at is None else at.astimezone(tz).strftime("%Y-%m-%dT%H:%M")


def look_of(visit: Json) -> str:
    """How a visit is coloured: its state as the desk thinks of it."""
    status = visit.get("status")
    if status in {"complete", "note_complete"}:
        return "complete"
    if status == "note":
        return "note"
    if status == "broken":
        return "broken"
    if status in {"unscheduled", "planned"}:
        return "waiting"
    category = visit.get("confirmation_category")
    if category in {"arrived", "ready", "seated"}:
        return "here"
    if category == "confirmed":
        return "confirmed"
    return "declined" if category == "declined" else "booked"


_LABELS: Final = {
    "complete": "Completed",
    "note": "Note",
    "broken": "Broken",
    "waiting": "Not scheduled",
    "here": "Here",
    "confirmed": "Confirmed",
    "declined": "Declined",
    "booked": "Not confirmed",
}


def label_of(visit: Json) -> str:
    """The practice's own word where it has one."""
    look = look_of(visit)
    if look in {"here", "confirmed", "declined", "booked"} and visit.get("confirmation"):
        return str(visit["confirmation"])
    return _LABELS[look]


def tell(
    type_name: str,
    *,
    op: int,
    count: int,
    is_new: bool,
    record: Json,
    was: Json,
    who: str,
    tz: ZoneInfo,
) -> Json:
    """One line: ``mark`` (new, change, gone, load), ``who`` and ``text`` that follows it."""
    if count > 1 or not (record or op):
        word = "removed" if op else "loaded" if is_new else "brought up to date"
        return {
            "mark": "gone" if op else "load",
            "who": "",
            "text": f"{counted(type_name, count)} {word}",
        }
    one_word = _MANY[type_name][0]
    if op:
        when = _when((was.get("was") or {}).get("start"), tz)
        what = f"visit of {when}" if when else one_word
        return {"mark": "gone", "who": who, "text": f"{what} {'removed' if op == 1 else 'merged'}"}
    mark = "new" if is_new else "change"
    if type_name == "appointment":
        return {"mark": mark, "who": who, "text": _tell_visit(record, was, tz, is_new=is_new)}
    if type_name == "patient":
        text = "is a new patient" if is_new else f"{_fields(was)} changed"
        return {"mark": mark, "who": who, "text": text}
    if type_name == "payment":
        amount = record.get("amount") or ""
        return {
            "mark": mark,
            "who": who,
            "text": f"payment of ${amount}" + ("" if is_new else " changed"),
        }
    if type_name == "procedure":
        work = record.get("description") or record.get("code") or "procedure"
        done = {"completed": "done", "treatment_planned": "planned"}.get(record.get("status") or "")
        return {"mark": mark, "who": who, "text": f"{work} {done or 'charted'}"}
    text = f"{one_word} added" if is_new else f"{one_word}: {_fields(was)} changed"
    return {"mark": mark, "who": who, "text": text}


def _tell_visit(record: Json, was: Json, tz: ZoneInfo, *, is_new: bool) -> str:
    when = _when(record.get("start"), tz)
    if is_new:
        return f"booked for {when}" if when else "put on the list to be scheduled"
    old = was.get("was") or {}
    if "start" in old and when:
        before = _when(old["start"], tz)
        return f"moved from {before} to {when}" if before else f"booked for {when}"
    if "status" in old:
        told = {
            "complete": f"visit of {when} completed",
            "broken": f"visit of {when} broken",
            "unscheduled": "visit taken off the schedule",
            "scheduled": f"back on the schedule for {when}",
        }
        return told.get(record.get("status") or "", f"visit of {when}: status changed")
    if "confirmation" in old and record.get("confirmation"):
        return f"{record['confirmation']}: visit of {when}"
    if "operatory_key" in old:
        return f"visit of {when} moved to another operatory"
    if "arrived" in old or "seated" in old:
        return f"visit of {when}: {'seated' if 'seated' in old else 'arrived'}"
    return f"visit of {when}: {_fields(was)} changed"


def _fields(was: Json) -> str:
    names = [str(n).removesuffix("_key").replace("_", " ") for n in was.get("fields") or []]
    if not names:
        return "details"
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _when(text: object, tz: ZoneInfo) -> str:
    at = parse(text)
    if at is None:
        return ""
    local = at.astimezone(tz)
    half = "AM" if local.hour < 12 else "PM"
    return f"{local:%a %b} {local.day}, {local.hour % 12 or 12}:{local:%M} {half}"
