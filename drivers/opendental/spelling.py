"""Canonical values as Open Dental stores and spells them: the inverse of the data map. Pure.

Shared by the API writer and the direct writer. Whatever cannot be said so that it reads back as
the same canonical value is refused here, before anything is sent. Refusals name the field, never
what stood in it. Sources: the vendor's enumerations, formats and API pages as collected for this
project. Must not import a database or HTTP library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers

from agent.model.commands import Reason
from agent.model.effects import WriteRefused

NO_DATE = "0001-01-01"
NO_MOMENT = "0001-01-01 00:00:00"
MOST_UNITS = 108  # nine hours: the API cuts longer patterns off
PHONE_WIDTH = 30
EMAIL_WIDTH = 100

# (stored number, the API's word) by canonical word
Words = Mapping[str, tuple[int, str]]


def _words(text: str, first: int = 0) -> Words:
    """``canonical=Api ...``, numbered in the order written."""
    pairs = [entry.partition("=") for entry in text.split()]
    return {
        word: (number, (api or word).replace("_", " "))
        for number, (word, _, api) in enumerate(pairs, first)
    }


APPOINTMENT_STATUS = _words(
    "none=None scheduled=Scheduled complete=Complete unscheduled=UnschedList asap=ASAP"
    " broken=Broken planned=Planned note=PtNote note_complete=PtNoteCompleted"
)
PATIENT_STATUS = _words(
    "patient=Patient non_patient=NonPatient inactive=Inactive archived=Archived deleted=Deleted"
    " deceased=Deceased prospective=Prospective"
)
GENDER = _words("male=Male female=Female not_stated=Unknown other=Other")
MARITAL = _words("single=Single married=Married child=Child widowed=Widowed divorced=Divorced")
CONSENT = _words("unknown=Unknown granted=Yes denied=No")
CONTACT = _words(
    "none=None do_not_call=DoNotCall home_phone=HmPhone work_phone=WkPhone"
    " mobile_phone=WirelessPh email=Email see_notes=SeeNotes mail=Mail text_message=TextMessage"
)
PRIORITY = _words("normal=Normal asap=ASAP")
MODE = _words(
    "none=None email=Email mail=Mail phone=Phone in_person=In_Person text=Text"
    " email_and_text=Email_and_Text phone_and_text=Phone_and_Text fax=Fax"
)
DIRECTION = _words("neither=Neither sent=Sent received=Received")
PERIO = _words(
    "mobility=Mobility furcation=Furcation gingival_margin=GingMargin mucogingival_junction=MGJ"
    " probing=Probing skipped_tooth=SkipTooth bleeding=BleedSupPlaqCalc"
)
"""Attachment level (CAL) and attached gingiva are computed by the program, never stored."""

# The pieces of names the data map knows confirmation statuses by, in its order.
CONFIRMATION_NAMES: tuple[tuple[str, str], ...] = (
    ("not called", "unconfirmed"), ("unconfirm", "unconfirmed"), ("not confirm", "unconfirmed"),
    ("fail", "unconfirmed"), ("callback", "declined"), ("call back", "declined"),
    ("declin", "declined"), ("cancel", "declined"), ("confirmsent", "contacted"),
    ("confirm", "confirmed"), ("arriv", "arrived"), ("front desk", "arrived"),
    ("here", "arrived"), ("ready", "ready"), ("room", "seated"), ("seated", "seated"),
    ("chair", "seated"), ("left m", "contacted"), ("mail", "contacted"), ("text", "contacted"),
    ("sent", "contacted"), ("web sched", "unconfirmed"),
)  # fmt: skip


def refused(code: str, reason: Reason = Reason.VALIDATION_FAILED) -> WriteRefused:
    return WriteRefused(reason, code)


def unsupported(code: str = "write.field_unsupported") -> WriteRefused:
    return WriteRefused(Reason.NOT_SUPPORTED, code)


# --- words, keys, flags -----------------------------------------------------------------------


def number_of(words: Words, value: Any) -> int:
    return _entry(words, value)[0]


def word_of(words: Words, value: Any) -> str:
    return _entry(words, value)[1]


def _entry(words: Words, value: Any) -> tuple[int, str]:
    found = words.get(str(value))
    if found is None:
        raise refused("write.value_invalid")
    return found


def key_of(value: Any) -> int:
    """A foreign key: text of a whole number; None is 0, the PMS's "none"."""
    if value is None or value == "":
        return 0
    try:
        return int(value)
    except (TypeError, ValueError):
        raise refused("write.value_invalid") from None


def flag(value: Any) -> str:
    """How the API spells a boolean."""
    return "true" if value else "false"


def category_of(name: str) -> str:
    """What a confirmation status of this name means, as the data map reads it."""
    folded = name.casefold()
    return next((word for piece, word in CONFIRMATION_NAMES if piece in folded), "other")


# --- dates and times --------------------------------------------------------------------------


def day_of(value: Any) -> str:
    if value is None or value == "":
        return NO_DATE
    try:
        found = date.fromisoformat(str(value))
    except ValueError:
        raise refused("write.value_invalid") from None
    if found.year < 1880:  # the program takes those for "no date"
        raise refused("write.value_invalid")
    return found.isoformat()


class WallClock:
    """Instants as the practice's wall time. ``zone``: IANA name."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._info = ZoneInfo(zone)

    def wall(self, value: Any) -> str:
        """ISO 8601 UTC -> ``YYYY-MM-DD HH:MM:SS``.

        The second pass of the autumn hour cannot be said: it would read back an hour early.
        """
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            raise refused("write.value_invalid") from None
        if at.tzinfo is None:
            raise refused("write.value_invalid")
        local = at.astimezone(self._info)
        if local.fold:
            raise refused("write.time_ambiguous")
        return local.replace(tzinfo=None, microsecond=0).isoformat(" ")

    def of(self, moment: datetime) -> str:
        """An aware instant of now: never refused, the second pass included."""
        return moment.astimezone(self._info).replace(tzinfo=None, microsecond=0).isoformat(" ")

    def of_utc(self, text: str) -> str:
        """``of`` for an ISO 8601 text with its offset, as a server says its time."""
        return self.of(datetime.fromisoformat(text))

    def now(self) -> str:
        return self.of(datetime.now(UTC))


def pattern_of(minutes: Any) -> str:
    """Five minutes a sign, the provider in the middle, as the API's own default ``/XX/``."""
    units = units_of(minutes)
    return "X" * units if units < 3 else f"/{'X' * (units - 2)}/"


def units_of(minutes: Any) -> int:
    if not isinstance(minutes, int) or minutes <= 0 or minutes % 5 or minutes // 5 > MOST_UNITS:
        raise refused("write.minutes_invalid")
    return minutes // 5


def stretched(pattern: str, minutes: Any) -> str:
    """The pattern at another length; what is added or taken is in the middle, so that the
    assistant's time at both ends stays."""
    units = units_of(minutes)
    if not pattern:
        return pattern_of(minutes)
    middle = len(pattern) // 2
    if units >= len(pattern):
        return pattern[:middle] + pattern[middle] * (units - len(pattern)) + pattern[middle:]
    head = (units + 1) // 2
    return pattern[:head] + (pattern[len(pattern) - (units - head) :] if units > head else "")


_PERIOD = re.compile(r"P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)W)?(?:([0-9]+)D)?")


def interval_parts(value: Any) -> tuple[int, int, int, int]:
    """ISO 8601 period -> years, months, weeks, days; each fits its byte."""
    if value is None or value == "":
        return 0, 0, 0, 0
    found = _PERIOD.fullmatch(str(value))
    if found is None or not any(found.groups()):
        raise refused("write.value_invalid")
    years, months, weeks, days = (int(part or 0) for part in found.groups())
    if max(months, weeks, days) > 255 or years > 127:
        raise refused("write.value_invalid")
    return years, months, weeks, days


def interval_number(value: Any) -> int:
    years, months, weeks, days = interval_parts(value)
    return days | weeks << 8 | months << 16 | years << 24


def interval_text(value: Any) -> str:
    """As the API wants it: ``1y6m0w20d``, every part said."""
    return "".join(
        f"{count}{unit}" for count, unit in zip(interval_parts(value), "ymwd", strict=True)
    )


# --- text -------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    r"""Text as the program writes it: ``\r\n``, no NUL; signs its three-byte tables or its own
    filter do not take (emoji and other symbols) become U+FFFD."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refused("write.value_invalid")
    whole = value.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").strip()
    if not whole.isascii():
        whole = "".join("\ufffd" if _is_strange(sign) else sign for sign in whole)
    return whole.replace("\n", "\r\n")


def _is_strange(sign: str) -> bool:
    return ord(sign) > 0xFFFF or 0x2600 <= ord(sign) <= 0x27FF


def name_of(value: Any) -> str:
    """One line, first letter large, as the program's own windows and its API do."""
    text = " ".join(text_of(value).split())
    return text[:1].upper() + text[1:]


def fitting(value: str, width: int | None) -> str:
    """Never cut: text that does not fit is refused."""
    if width is not None and len(value) > width:
        raise refused("write.text_too_long")
    return value


def phone_of(value: Any, region: str) -> str:
    """E.164 as the office types it: ``(aaa)bbb-cccc`` in the United States and Canada, the
    national format elsewhere, the international one for another country's numbers."""
    if value is None or value == "":
        return ""
    try:
        number = phonenumbers.parse(str(value), None)
    except phonenumbers.NumberParseException:
        raise refused("write.value_invalid") from None
    national = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(number.country_code or 0, ())
    digits = phonenumbers.national_significant_number(number)
    if region in national and number.country_code == 1 and len(digits) == 10:
        spelled = f"({digits[:3]}){digits[3:6]}-{digits[6:]}"
    else:
        form = phonenumbers.PhoneNumberFormat
        kind = form.NATIONAL if region in national else form.INTERNATIONAL
        spelled = str(phonenumbers.format_number(number, kind))
    return fitting(spelled, PHONE_WIDTH)


def phone_digits(spelled: str) -> str:
    """What phonenumber.PhoneNumberDigits holds: digits without leading zeros and ones."""
    return re.sub(r"\D", "", spelled).lstrip("01")


def emails_of(value: Any) -> str:
    """One text for the list; the program splits it where we do."""
    if value is None:
        return ""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise refused("write.value_invalid")
    return fitting(",".join(str(address).strip() for address in value), EMAIL_WIDTH)


# --- perio ------------------------------------------------------------------------------------

SITES = ("mb", "b", "db", "ml", "l", "dl")
SITE_COLUMNS = ("MBvalue", "Bvalue", "DBvalue", "MLvalue", "Lvalue", "DLvalue")
_WHOLE_TOOTH = frozenset({"mobility", "skipped_tooth"})
_MOST_SITE = 19
_MOST_FLAGS = 15


def measure_of(measure: Mapping[str, Any]) -> tuple[str, int, dict[str, int]]:
    """(kind, tooth, columns) of one canonical measure, checked against the vendor's ranges.

    A margin of -5 is stored as 105; what was not measured is -1.
    """
    kind, tooth = str(measure.get("kind")), measure.get("tooth")
    if kind not in PERIO:
        raise unsupported()
    if not isinstance(tooth, int) or not 1 <= tooth <= 32:
        raise refused("write.value_invalid")
    whole = kind in _WHOLE_TOOTH
    own = _stored(measure.get("tooth_value"), kind) if whole else -1
    if kind == "skipped_tooth":
        own = 1
    sites = [-1 if whole else _stored(measure.get(site), kind) for site in SITES]
    if kind == "mucogingival_junction" and tooth <= 16 and any(v != -1 for v in sites[3:]):
        raise refused("write.value_invalid")
    if own == -1 and all(value == -1 for value in sites):
        raise refused("write.value_invalid")
    return kind, tooth, {"ToothValue": own, **dict(zip(SITE_COLUMNS, sites, strict=True))}


def _stored(value: Any, kind: str) -> int:
    if value is None:
        return -1
    most = _MOST_FLAGS if kind == "bleeding" else _MOST_SITE
    if not isinstance(value, int) or value > most:
        raise refused("write.value_invalid")
    if value < 0:
        if kind != "gingival_margin" or value < -_MOST_SITE:
            raise refused("write.value_invalid")
        return 100 - value
    return value


def measures_of(value: Any) -> list[tuple[str, int, dict[str, int]]]:
    """All measures of an exam; a tooth has one of each kind."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise refused("write.value_invalid")
    made = [measure_of(measure) for measure in value]
    if len({(kind, tooth) for kind, tooth, _ in made}) != len(made):
        raise refused("write.value_invalid")
    return made
