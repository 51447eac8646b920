"""Recalls: GET, POST, PUT, PUT Status; RecallTypes GET.

May import ``call``, ``commlogs``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

import re
from typing import Any

from tests.support.odapi import commlogs, formats
from tests.support.odapi.call import Answer, Call, F, bad, method, missing
from tests.support.odapi.formats import NO_DATE
from tests.support.odapi.gates import Permission
from tests.support.odapi.office import RECALL_CATEGORY
from tests.support.odapi.patients import patient_of

RECALL_EDIT = 156

RECALL = (
    F("RecallNum", int), F("PatNum", int), F("DateDue", "day"), F("DatePrevious", "day"),
    F("RecallInterval", formats.interval), F("RecallStatus", int),
    F("recallStatus", formats.text), F("Note", formats.text), F("IsDisabled", formats.flag),
    F("DateTStamp", "moment"), F("RecallTypeNum", int), F("DisableUntilBalance", float),
    F("DisableUntilDate", "day"), F("DateScheduled", "day"), F("Priority", formats.PRIORITY),
    F("TimePatternOverride", formats.text),
)  # fmt: skip
EXTRA = {"recallStatus": "(SELECT ItemName FROM definition WHERE DefNum=t.RecallStatus)"}
TYPE = (
    F("RecallTypeNum", int), F("Description", formats.text),
    F("DefaultInterval", formats.interval), F("TimePattern", formats.text),
    F("Procedures", formats.text), F("AppendToSpecial", formats.flag),
)  # fmt: skip


@method("GET", "recalls", "22.4.40")
def get_many(call: Call) -> Answer:
    patient = call.asked_number("PatNum")
    where, values = ("1=1", ()) if patient is None else ("t.PatNum=?", (patient,))
    rows = call.office.select(
        "recall", where, *values, extra=EXTRA, limit=call.limit, offset=call.offset
    )
    return Answer(content=[call.shape(row, RECALL) for row in rows])


@method("GET", "recalltypes", "24.1.44")
def get_types(call: Call) -> Answer:
    rows = call.office.select("recalltype", limit=call.limit, offset=call.offset)
    return Answer(content=[call.shape(row, TYPE) for row in rows])


@method("GET", "recalltypes/{n}", "24.1.44")
def get_type(call: Call) -> Answer:
    row = call.office.one("recalltype", call.key)
    if row is None:
        raise missing("RecallType")
    return Answer(content=call.shape(row, TYPE))


def _fields(call: Call) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in ("DateDue", "DisableUntilDate"):
        if call.given(name):
            row[name] = NO_DATE if call.body[name] == "" else call.day(name)
    spoken = call.string("RecallInterval")
    if spoken is not None:
        number = formats.interval_number(spoken)
        if number is None:
            raise bad("RecallInterval is invalid")
        row["RecallInterval"] = number
    status = call.number("RecallStatus")
    if status is not None:
        _check_status(call, status)
        row["RecallStatus"] = status
    pattern = call.string("TimePatternOverride")
    if pattern is not None and not re.fullmatch(r"[X/]*", pattern):
        raise bad("TimePatternOverride may only contain X and /")
    given = {
        "Note": call.string("Note"), "IsDisabled": call.flag("IsDisabled"),
        "DisableUntilBalance": call.amount("DisableUntilBalance"),
        "Priority": call.enum("Priority", formats.PRIORITY), "TimePatternOverride": pattern,
    }  # fmt: skip
    return row | {name: value for name, value in given.items() if value is not None}


def _check_status(call: Call, status: int) -> None:
    if status and not call.office.is_definition(status, RECALL_CATEGORY):
        raise missing("RecallStatus")


@method("POST", "recalls", "24.2.31", Permission.ALL_OTHERS)
def create(call: Call) -> Answer:
    """The page gives 200 for success, not 201."""
    office = call.office
    call.require("PatNum", "RecallTypeNum")
    patient = int(patient_of(call, call.number("PatNum") or 0)["PatNum"])
    kind = office.one("recalltype", call.number("RecallTypeNum") or 0)
    if kind is None:
        raise missing("RecallType")
    fields = _fields(call)
    if office.select("recall", "t.PatNum=? AND t.RecallTypeNum=?", patient, kind["RecallTypeNum"]):
        raise bad("Patient already has a recall of this type")
    num = office.insert("recall", {
        "PatNum": patient, "DateDueCalc": NO_DATE, "DateDue": NO_DATE, "DatePrevious": NO_DATE,
        "RecallInterval": int(kind["DefaultInterval"]), "RecallStatus": 0, "Note": "",
        "IsDisabled": 0, "RecallTypeNum": int(kind["RecallTypeNum"]), "DisableUntilBalance": 0,
        "DisableUntilDate": NO_DATE, "DateScheduled": NO_DATE, "Priority": 0,
        "TimePatternOverride": "", **fields,
    })  # fmt: skip
    office.synch_recalls(patient)
    office.log(RECALL_EDIT, patient, "Recall created from the API.", num)
    return Answer(200, call.shape(office.one("recall", num, EXTRA) or {}, RECALL))


@method("PUT", "recalls/{n}", "24.2.31", Permission.ALL_OTHERS)
def update(call: Call) -> Answer:
    """Only the named columns change; nothing is calculated anew."""
    office = call.office
    old = office.one("recall", call.key)
    if old is None:
        raise missing("Recall")
    patient_of(call, int(old["PatNum"]))
    if office.update("recall", call.key, old, _fields(call)):
        office.log(RECALL_EDIT, int(old["PatNum"]), "Recall edited from the API.", call.key)
    return Answer(content=call.shape(office.one("recall", call.key, EXTRA) or {}, RECALL))


@method("PUT", "recalls/Status", "21.2", Permission.COMM)
def set_status(call: Call) -> Answer:
    office = call.office
    call.require("PatNum", "recallType")
    patient = int(patient_of(call, call.number("PatNum") or 0)["PatNum"])
    kind = office.value(
        "SELECT RecallTypeNum FROM recalltype WHERE Description=?", call.string("recallType")
    )
    if kind is None:
        raise missing("recallType")
    found = office.select("recall", "t.PatNum=? AND t.RecallTypeNum=?", patient, kind)
    if not found:
        raise missing("Recall")
    status = call.number("RecallStatus")
    if status is not None:
        _check_status(call, status)
        office.update("recall", int(found[0]["RecallNum"]), found[0], {"RecallStatus": status})
    shown = int(found[0]["RecallStatus"]) if status is None else status
    name = office.value("SELECT ItemName FROM definition WHERE DefNum=?", shown) or "None"
    note = call.string("commlogNote") or f"Recall reminder: {name}"
    mode = call.enum("commlogMode", formats.COMM_MODE_TIGHT)
    commlogs.add(office, patient, office.comm_type("RECALL"), note, Mode_=mode or 0)
    office.log(
        RECALL_EDIT, patient, "Recall status changed from the API.", int(found[0]["RecallNum"])
    )
    return Answer()
