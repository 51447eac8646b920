"""Domain words for the console: what a person reads for kinds, states and values. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from agent.cli import speech
from agent.cli.render import span
from agent.model.desk import SafetyMode
from agent.model.effects import EffectKind

KINDS = {
    EffectKind.BOOK: "book a visit",
    EffectKind.MOVE: "move a visit",
    EffectKind.CONFIRM: "confirm a visit",
    EffectKind.SET_STATUS: "set a visit's status",
    EffectKind.BREAK: "cancel a visit",
    EffectKind.NOTE_APPOINTMENT: "add to a visit's note",
    EffectKind.CREATE_PATIENT: "enter a new patient",
    EffectKind.UPDATE_PATIENT: "change a patient's details",
    EffectKind.SET_CONSENT: "set a patient's consent",
    EffectKind.APPEND_COMMLOG: "log a message or call",
    EffectKind.APPEND_NOTE: "add a clinical note",
    EffectKind.RECORD_PERIO: "record a perio exam",
    EffectKind.UPDATE_RECALL: "change a recall",
    EffectKind.SET_CUSTOM: "set a custom field",
    EffectKind.ATTACH_DOCUMENT: "attach a document",
}
TO_DO = {
    EffectKind.BOOK: "Book this visit on the schedule.",
    EffectKind.MOVE: "Move visit {key} to this place.",
    EffectKind.CONFIRM: "Set the confirmation of visit {key}.",
    EffectKind.SET_STATUS: "Set the status of visit {key}.",
    EffectKind.BREAK: "Break (cancel) visit {key}.",
    EffectKind.NOTE_APPOINTMENT: "Add this to the note of visit {key}; keep what is there.",
    EffectKind.CREATE_PATIENT: "Enter this new patient.",
    EffectKind.UPDATE_PATIENT: "Change these details of patient {key}.",
    EffectKind.SET_CONSENT: "Record this consent of patient {key}.",
    EffectKind.APPEND_COMMLOG: "Add this entry to the patient's commlog.",
    EffectKind.APPEND_NOTE: "Add this note to the patient's procedure.",
    EffectKind.RECORD_PERIO: "Enter this perio exam.",
    EffectKind.UPDATE_RECALL: "Change recall {key}.",
    EffectKind.SET_CUSTOM: "Set these custom fields of record {key}.",
    EffectKind.ATTACH_DOCUMENT: "Take this file from the CRM and attach it.",
}
CONFLICT_KINDS = {
    "edit_edit": "both sides changed it",
    "edit_delete": "one side changed it, the other deleted it",
    "create_create": "both sides made one",
    "no_base": "both differ and never agreed before",
    "loop": "it went back and forth",
}
WINNERS = {"pms": "practice", "crm": "CRM", "merged": "merged", "value": "typed"}
EFFECT_STATES = {
    "intent": "under way",
    "written": "under way",
    "verified": "done",
    "failed": "not done",
    "unknown": "UNKNOWN",
}
UNDO_STATES = {"armed": "yes", "used": "undone", "blocked": "no", "expired": "too old"}
COMMAND_STATES = {
    "received": "waiting",
    "waiting": "tried, waiting",
    "working": "under way",
    "unknown": "UNKNOWN",
    "conflict": "conflict",
    "task": "desk task",
    "done": "done",
}
CONTACT_STATES = {
    "new": "not matched yet",
    "linked": "linked",
    "unlinked": "in the CRM only",
    "suspect": "a person decides",
    "merged": "merged",
}
MODES = {
    SafetyMode.NORMAL: "everything it is asked to (normal)",
    SafetyMode.CANARY: "only to what the canary lists name (canary)",
    SafetyMode.DRY_RUN: "nothing; it plans and reports (dry_run)",
    SafetyMode.READ_ONLY: "nothing; every command is refused (read_only)",
    SafetyMode.STOPPED: "nothing; no command is taken up (stopped)",
}
NO_BOOKING = {
    SafetyMode.DRY_RUN: "A booking is planned and refused; none is written.",
    SafetyMode.READ_ONLY: "No booking is on offer while nothing may be written.",
    SafetyMode.STOPPED: "No booking is on offer while nothing may be written.",
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PLACES = {"crm": "the CRM", "desk": "this desk", "file": "the settings"}


def since(moment: datetime) -> str:
    age_s = (datetime.now(UTC) - moment).total_seconds()
    return "just now" if age_s < 10 else f"{span(age_s)} ago"


def until(moment: datetime) -> str:
    left_s = (moment - datetime.now(UTC)).total_seconds()
    return f"in {span(left_s)}" if left_s >= 1 else "overdue"


def local(moment: datetime, zone: str = "") -> str:
    """Wall time in ``zone`` (IANA; "" = this computer's)."""
    return f"{moment.astimezone(ZoneInfo(zone) if zone else None):%Y-%m-%d %H:%M}"


def value(given: Any, zone: str = "") -> str:
    """A canonical value on one line; instants in ``zone`` (IANA; "" = this computer's)."""
    if isinstance(given, str) and _INSTANT.fullmatch(given):
        moment = datetime.fromisoformat(given).astimezone(ZoneInfo(zone) if zone else None)
        return f"{moment:%Y-%m-%d %H:%M} ({moment:%Z})"
    if given in (None, "", [], {}):
        return "(empty)"
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, list) and all(isinstance(part, str) for part in given):
        return ", ".join(given)
    if isinstance(given, str | int | float):
        return str(given)
    if isinstance(given, dict):
        return "; ".join(f"{name}: {value(part, zone)}" for name, part in given.items())
    return json.dumps(given, ensure_ascii=False)


def held(name: str, given: Any, zone: str = "") -> str:
    """What a field of a task is to hold; a file is not spelled out."""
    if name == "content_base64" and isinstance(given, str):
        return f"(a file of {max(len(given) * 3 // 4096, 1):,} kB, in the CRM)"
    return value(given, zone)


def record(stream: str, key: object) -> str:
    kind = stream.replace("_", " ")
    return f"{kind} {key}" if key is not None else f"new {kind}"


def reason(code: str) -> str:
    """The catalogue's title of a message code; the code itself where it has none."""
    catalogue = speech.catalogue()
    return catalogue.render(code).title if code.partition(":")[0] in catalogue.codes else code


def next_step(code: str) -> str:
    """What a person can do about a message code; "" where there is nothing, or it has no text."""
    catalogue = speech.catalogue()
    return catalogue.render(code).next_step if code.partition(":")[0] in catalogue.codes else ""


def field_name(field: str) -> str:
    return "the whole record" if field == "*" else field


def count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, indent: int = 2) -> str:
    """Left-aligned columns as wide as their content; numbers (all digits) to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [
        max(len(head), *(len(row[at]) for row in cells)) if cells else len(head)
        for at, head in enumerate(heads)
    ]
    right = [all(row[at].replace(",", "").isdigit() for row in cells) for at in range(len(heads))]
    lines = []
    for row in [list(heads), *cells]:
        parts = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ]
        lines.append(" " * indent + "  ".join(parts).rstrip())
    return "\n".join(lines)
