"""How Open Dental's API spells what the database stores as numbers, and back. Pure.

Enums and booleans are strings, dates ``yyyy-MM-dd``, datetimes ``yyyy-MM-dd HH:mm:ss`` (both can be
asked for in another .NET format), carriage returns come out as spaces. Values are the vendor's.
Imports nothing of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

NO_DATE = "0001-01-01"
NO_DATETIME = "0001-01-01 00:00:00"
UNITS_MAX = 108  # nine hours of five minutes


class Enum:
    """A stored number and its word. ``spoken`` are the words a request may use."""

    def __init__(self, words: Mapping[int, str], spoken: tuple[str, ...] | None = None) -> None:
        self.words = dict(words)
        self.spoken = tuple(words.values()) if spoken is None else spoken
        self._numbers = {word: number for number, word in words.items()}

    def word(self, stored: Any) -> str:
        number = int(stored or 0)
        return self.words.get(number, str(number))

    def number(self, word: str) -> int | None:
        """The stored number of a word a request may use, or None."""
        return self._numbers[word] if word in self.spoken else None


def _listed(*words: str) -> Enum:
    return Enum(dict(enumerate(words)))


PATIENT_STATUS = Enum(
    dict(enumerate((
        "Patient", "NonPatient", "Inactive", "Archived", "Deleted", "Deceased", "Prospective",
    ))),
    spoken=("Patient", "NonPatient", "Inactive", "Archived", "Deceased", "Prospective"),
)  # fmt: skip
GENDER = Enum(dict(enumerate(("Male", "Female", "Unknown", "Other"))),
              spoken=("Male", "Female", "Unknown"))  # fmt: skip
POSITION = _listed("Single", "Married", "Child", "Widowed", "Divorced")
YES_NO = _listed("Unknown", "Yes", "No")
CONTACT = _listed(
    "None", "DoNotCall", "HmPhone", "WkPhone", "WirelessPh", "Email", "SeeNotes", "Mail",
    "TextMessage",
)  # fmt: skip
APPT_STATUS = _listed(
    "None", "Scheduled", "Complete", "UnschedList", "ASAP", "Broken", "Planned", "PtNote",
    "PtNoteCompleted",
)  # fmt: skip
PRIORITY = _listed("Normal", "ASAP")
HIST_ACTION = _listed("Created", "Changed", "Missed", "Cancelled", "Deleted")
APPT_SOURCE = _listed(
    "None", "EConnector", "Broadcaster", "BroadcastMonitor", "ServiceMainHQ", "OpenDentalService",
    "OpenDentalAPIService",
)  # fmt: skip
PROC_STATUS = Enum(dict(enumerate(("TP", "C", "EC", "EO", "R", "D", "Cn", "TPi"), start=1)))
# The page spells three of them in words; how a reading spells them is not verified.
COMM_MODE = Enum(
    dict(enumerate((
        "None", "Email", "Mail", "Phone", "In Person", "Text", "Email and Text", "Phone and Text",
        "Fax",
    ))),
    spoken=("None", "Email", "Mail", "Phone", "In Person", "Text", "Email and Text",
            "Phone and Text"),
)  # fmt: skip
# Recalls PUT Status spells the same enum without spaces.
COMM_MODE_TIGHT = _listed(
    "None", "Email", "Mail", "Phone", "InPerson", "Text", "EmailAndText", "PhoneAndText"
)
COMM_DIRECTION = _listed("Neither", "Sent", "Received")
PERIO_SEQUENCE = Enum(
    dict(enumerate((
        "Mobility", "Furcation", "GingMargin", "MGJ", "Probing", "SkipTooth", "BleedSupPlaqCalc",
        "CAL",
    ))),
    spoken=("Mobility", "Furcation", "GingMargin", "MGJ", "Probing", "SkipTooth",
            "BleedSupPlaqCalc"),
)  # fmt: skip
# Before 24.1 the sixth was called Bleeding.
PERIO_SEQUENCE_23 = Enum(
    {**PERIO_SEQUENCE.words, 6: "Bleeding"},
    spoken=("Mobility", "Furcation", "GingMargin", "MGJ", "Probing", "SkipTooth", "Bleeding"),
)
IMAGE_TYPE = _listed("Document", "Radiograph", "Photo", "File", "Attachment")
PAT_FIELD_TYPE = _listed(
    "Text", "PickList", "Date", "Checkbox", "Currency", "InCaseOfEmergency", "CareCreditStatus",
    "CareCreditPreApprovalAmt", "CareCreditAvailableCredit",
)  # fmt: skip
APPT_FIELD_TYPE = _listed("Text", "PickList")
PROVIDER_STATUS = _listed("Active", "Deleted")
DEF_CATEGORY = Enum({
    1: "AdjTypes", 2: "ApptConfirmed", 4: "BillingTypes", 10: "PaymentTypes", 11: "ProcCodeCats",
    13: "RecallUnschedStatus", 16: "Diagnosis", 18: "ImageCats", 20: "TxPriorities",
    25: "BlockoutTypes", 27: "CommLogTypes", 29: "PaySplitUnearnedType",
    32: "InsurancePaymentType", 35: "ProviderSpecialties", 39: "Regions",
    42: "WebSchedNewPatApptTypes", 44: "ClinicSpecialty", 51: "WebSchedExistingApptTypes",
    55: "OperatoryTypes",
})  # fmt: skip


def flag(stored: Any) -> str:
    return "true" if int(stored or 0) else "false"


def text(stored: Any) -> str:
    return str(stored or "").replace("\r\n", " ").replace("\r", " ")


def day(stored: Any) -> str:
    return str(stored)[:10] if stored and not str(stored).startswith("0000") else NO_DATE


def moment(stored: Any) -> str:
    if not stored or str(stored).startswith("0000"):
        return NO_DATETIME
    return str(stored) if len(str(stored)) > 10 else f"{str(stored)[:10]} 00:00:00"


def colour(stored: Any) -> str:
    """ARGB as a signed integer -> "R,G,B"; 0 (not set) is "0,0,0"."""
    bits = int(stored or 0) & 0xFFFFFFFF
    return f"{bits >> 16 & 255},{bits >> 8 & 255},{bits & 255}"


def colour_number(spoken: str) -> int | None:
    """ "R,G,B" -> signed ARGB, opaque; None when it is none. Black is "not set", as on the page."""
    found = re.fullmatch(r"\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*", spoken)
    if found is None or any(int(part) > 255 for part in found.groups()):
        return None
    red, green, blue = (int(part) for part in found.groups())
    if not (red or green or blue):
        return 0
    bits = 0xFF000000 | red << 16 | green << 8 | blue
    return bits - (1 << 32)


_INTERVAL = re.compile(r"(?:(\d+)y)?(?:(\d+)m)?(?:(\d+)w)?(?:(\d+)d)?")


def interval_number(spoken: str) -> int | None:
    """ "1y6m20d" -> days | weeks<<8 | months<<16 | years<<24, or None when it is no interval."""
    found = _INTERVAL.fullmatch(spoken.strip().lower())
    if found is None or not any(found.groups()):
        return None
    years, months, weeks, days = (int(part or 0) for part in found.groups())
    if max(years, months, weeks, days) > 255 or years > 127:
        return None
    return days | weeks << 8 | months << 16 | years << 24


def interval(stored: Any) -> str:
    """The stored number as "6m1d"; parts that are zero are left out."""
    number = int(stored or 0)
    parts = ((number >> 24 & 255, "y"), (number >> 16 & 255, "m"), (number >> 8 & 255, "w"),
             (number & 255, "d"))  # fmt: skip
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def phone(spoken: str) -> str:
    """A US number as the program formats it, "(aaa)bbb-cccc"; anything else as given."""
    digits = re.sub(r"\D", "", spoken)
    if len(digits) == 10:
        return f"({digits[:3]}){digits[3:6]}-{digits[6:]}"
    if len(digits) == 11 and digits[0] == "1":
        return f"1({digits[1:4]}){digits[4:7]}-{digits[7:]}"
    return spoken


def digits_of(number: str) -> str:
    """What two spellings of one number share: its digits without leading zeros and ones."""
    return re.sub(r"\D", "", number).lstrip("01")


def capitalised(name: str) -> str:
    return name[:1].upper() + name[1:]


def tooth_list(spoken: str) -> str | None:
    """ "1-3,8" -> "1,2,3,8"; None when it is no list of teeth."""
    teeth: list[str] = []
    for part in (p.strip() for p in spoken.split(",") if p.strip()):
        found = re.fullmatch(r"(\d{1,2})(?:\s*-\s*(\d{1,2}))?", part)
        if found is None:
            return None
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last <= 32:
            return None
        teeth += [str(tooth) for tooth in range(first, last + 1)]
    return ",".join(teeth)


_NET_PARTS = (
    ("yyyy", "%Y"), ("MM", "%m"), ("dd", "%d"), ("HH", "%H"), ("hh", "%I"), ("mm", "%M"),
    ("ss", "%S"), ("tt", "%p"),
)  # fmt: skip


def net_format(stored: str, pattern: str, offset: timedelta) -> str:
    """A stored date or datetime in a .NET custom format (the parts listed above and ``zzz``)."""
    at = datetime.fromisoformat(stored)
    minutes = int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 else "+"
    out = pattern.replace("zzz", f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}")
    for part, code in _NET_PARTS:
        # strftime does not pad years below 1000
        value = f"{at.year:04d}" if code == "%Y" else at.strftime(code)
        out = out.replace(part, value)
    return out
