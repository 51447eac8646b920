"""Commlogs: GET of one patient, POST. One INSERT, an audit line, no signal.

May import ``call``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.call import Answer, Call, F, bad, method, missing
from tests.support.odapi.formats import NO_DATETIME
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import COMM_CATEGORY, Office
from tests.support.odapi.patients import patient_of

COMMLOG_CREATE = 193
FROM_API = 7  # CommItemSource

COMMLOG = (
    F("CommlogNum", int), F("PatNum", int), F("CommDateTime", "moment"),
    F("CommType", str), F("commType", formats.text), F("Note", formats.text),
    F("Mode_", formats.COMM_MODE), F("SentOrReceived", formats.COMM_DIRECTION),
)  # fmt: skip
EXTRA = {"commType": "(SELECT ItemName FROM definition WHERE DefNum=t.CommType)"}


@method("GET", "commlogs", "21.1")
def get_many(call: Call) -> Answer:
    patient = call.asked_number("PatNum")
    if patient is None:
        raise bad("PatNum is required")
    patient_of(call, patient, alive=False)
    rows = call.office.select(
        "commlog", "t.PatNum=?", patient, extra=EXTRA,
        order="t.CommDateTime DESC, t.CommlogNum DESC", limit=call.limit, offset=call.offset,
    )  # fmt: skip
    return Answer(content=[call.shape(row, COMMLOG) for row in rows])


def add(office: Office, patient: int, kind: int, note: str, **fields: Any) -> int:
    """Insert a communication; ``fields`` override time, mode and direction."""
    now = office.now()
    return office.insert("commlog", {
        "PatNum": patient, "CommDateTime": now, "CommType": kind, "Note": note, "Mode_": 3,
        "SentOrReceived": 1, "UserNum": office.signer.user, "Signature": "", "SigIsTopaz": 0,
        "DateTimeEnd": NO_DATETIME, "CommSource": FROM_API, "ProgramNum": 0, "DateTEntry": now,
        "ReferralNum": 0, "CommReferralBehavior": 0, **fields,
    })  # fmt: skip


@method("POST", "commlogs", "21.1", Permission.COMM)
def create(call: Call) -> Answer:
    office = call.office
    call.require("PatNum", "Note")
    patient, note = call.number("PatNum") or 0, call.string("Note") or ""
    patient_of(call, patient)
    number, name = call.number("CommType"), call.string("commType")
    if name is not None:
        number = office.definition_by("ItemName", COMM_CATEGORY, name)
        if number is None:
            raise missing("commType")
    elif number is None:
        number = office.comm_type("MISC")
    elif not office.is_definition(number, COMM_CATEGORY):
        raise missing("CommType")
    given = {
        "CommDateTime": call.moment("CommDateTime"),
        "Mode_": call.enum("Mode_", formats.COMM_MODE),
        "SentOrReceived": call.enum("SentOrReceived", formats.COMM_DIRECTION),
    }
    fields: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    num = add(office, patient, number, note, **fields)
    office.log(COMMLOG_CREATE, patient, "Commlog created from the API.", num)
    if not call.has("23.3.7"):
        return Answer(201)
    return Answer(201, call.shape(office.one("commlog", num, EXTRA) or {}, COMMLOG))
