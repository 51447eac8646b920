"""Documents: GET one and many, POST Upload, DELETE. The file goes into the row's note.

May import ``call``, ``formats``, ``office`` and ``patients`` beside it.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from tests.support.odapi import formats
from tests.support.odapi.call import Answer, Call, F, bad, method, missing
from tests.support.odapi.gates import Permission
from tests.support.odapi.patients import patient_of

IMAGE_CATEGORY = 18

DOCUMENT = (
    F("DocNum", int), F("Description", formats.text), F("DateCreated", "moment"),
    F("DocCategory", int), F("docCategory", formats.text), F("PatNum", int),
    F("FileName", formats.text), F("ImgType", formats.IMAGE_TYPE),
    F("ToothNumbers", formats.text), F("DateTStamp", "moment"), F("ProvNum", int),
    F("PrintHeading", formats.flag),
)  # fmt: skip
# The list quotes two of its numbers, as its example does.
LISTED = (
    F("DocNum", int), F("MountNum", lambda _: 0), F("filePath", lambda _: ""),
    F("Description", formats.text), F("PatNum", str), F("Note", formats.text),
    F("DateCreated", "moment"), F("docCategory", formats.text), F("DocCategory", int),
    F("ToothNumbers", formats.text), F("ProvNum", str), F("PrintHeading", formats.flag),
    F("DateTStamp", "moment"),
)  # fmt: skip
EXTRA = {"docCategory": "(SELECT ItemName FROM definition WHERE DefNum=t.DocCategory)"}


@method("GET", "documents/{n}", "24.2.32")
def get_one(call: Call) -> Answer:
    row = call.office.one("document", call.key, EXTRA)
    if row is None:
        raise missing("Document")
    return Answer(content=call.shape(row, DOCUMENT))


@method("GET", "documents", "21.2")
def get_many(call: Call) -> Answer:
    patient = call.asked_number("PatNum")
    if patient is None:
        raise bad("PatNum is required")
    patient_of(call, patient, alive=False)
    rows = call.office.select(
        "document", "t.PatNum=?", patient, extra=EXTRA, order="t.DateCreated, t.DocNum",
        limit=call.limit, offset=call.offset,
    )  # fmt: skip
    now = call.now()
    return Answer(
        content=[{**call.shape(_plain_note(row), LISTED), "serverDateTime": now} for row in rows]
    )


def _plain_note(row: dict[str, Any]) -> dict[str, Any]:
    """What waits in the note to become a file is not shown to anybody."""
    return {**row, "Note": ""} if str(row["Note"]).startswith("_rawBase64_:") else row


def _category(call: Call) -> int:
    """A DefNum (as in the page's example) or an ItemName (as in its text)."""
    office, given = call.office, call.body.get("DocCategory")
    if not call.given("DocCategory"):
        return office.first_definition(IMAGE_CATEGORY)
    if isinstance(given, str) and not given.isdigit():
        found = office.definition_by("ItemName", IMAGE_CATEGORY, given)
    else:
        number = call.number("DocCategory") or 0
        found = number if office.is_definition(number, IMAGE_CATEGORY) else None
    if found is None:
        raise missing("DocCategory")
    return found


@method("POST", "documents/Upload", "21.1", Permission.DOCUMENTS)
def upload(call: Call) -> Answer:
    office = call.office
    call.require("PatNum", "rawBase64", "extension")
    patient = int(patient_of(call, call.number("PatNum") or 0)["PatNum"])
    raw, extension = call.string("rawBase64") or "", call.string("extension") or ""
    if not extension.startswith("."):
        raise bad("extension is invalid")
    try:
        base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        raise bad("rawBase64 is invalid") from None
    teeth = formats.tooth_list(call.string("ToothNumbers", "23.1.35") or "")
    if teeth is None:
        raise bad("ToothNumbers is invalid")
    provider = call.number("ProvNum", "24.2.32") or 0
    if provider and not office.exists("provider", provider):
        raise missing("Provider")
    num = office.insert("document", {
        "Description": call.string("Description") or "",
        "DateCreated": call.moment("DateCreated", "22.1") or office.now(),
        "DocCategory": _category(call), "PatNum": patient, "FileName": "x",
        "ImgType": call.enum("ImgType", formats.IMAGE_TYPE) or 0, "ToothNumbers": teeth,
        "Note": f"_rawBase64_:{extension}_{raw}", "ProvNum": provider,
        "PrintHeading": call.flag("PrintHeading", "24.2.32") or 0,
    })  # fmt: skip
    return Answer(201, call.shape(office.one("document", num, EXTRA) or {}, DOCUMENT))


@method("DELETE", "documents/{n}", "24.2.32", Permission.ALL_OTHERS)
def delete(call: Call) -> Answer:
    if not call.office.exists("document", call.key):
        raise missing("Document")
    call.office.desk.delete("document", "DocNum", call.key)
    return Answer()
