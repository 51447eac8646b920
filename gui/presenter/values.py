"""Records, fields and values in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from gui.i18n import Texts

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def field_name(field: str, texts: Texts) -> str:
    """``phone_mobile`` as people call it; ``custom.Pet`` is the practice's own field Pet."""
    head, dot, name = field.partition(".")
    if field == "*":
        return texts("fields.whole")
    if dot and head in {"custom", "extra"}:
        return name
    key = f"fields.{field}"
    return texts(key) if texts.has(key) else field.replace("_", " ").capitalize()


def record_name(stream: str, key: object, texts: Texts) -> str:
    kind = texts(f"streams.{stream}.one")
    if key is None:
        return texts("review.new_record", kind=kind)
    return texts("review.record", kind=kind, key=str(key))


def shown(value: Any, texts: Texts) -> str:
    """A canonical value on one line; "" is empty."""
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return texts("review.yes" if value else "review.no")
    if isinstance(value, str):
        return _text(value, texts)
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return ", ".join(shown(part, texts) for part in value)
    if isinstance(value, Mapping):
        parts = (f"{field_name(str(k), texts)}: {shown(v, texts)}" for k, v in value.items())
        return "; ".join(parts)
    return str(value)


def _text(value: str, texts: Texts) -> str:
    try:
        if _INSTANT.fullmatch(value):
            moment = datetime.fromisoformat(value).astimezone()
            return f"{texts.form.date(moment)}, {texts.form.clock(moment)} {moment:%Z}"
        if _DAY.fullmatch(value):
            return texts.form.date(datetime.combine(date.fromisoformat(value), datetime.min.time()))
    except ValueError:  # looks like one and is none
        pass
    return value.replace("\n", " ")


def person(who: str, texts: Texts) -> str:
    """``Example, Anna (1980-02-03)`` with the date as this person writes dates."""
    return _DAY.sub(lambda found: _text(found[0], texts), who)


def why_text(reason: str, texts: Texts) -> str:
    """Of a parked record: our message, or what the CRM called it."""
    message = texts.message(reason)
    unknown = texts.message("internal").title
    if message.title == unknown and reason != "internal":
        return texts("review.parked.crm_says", reason=reason)
    return message.title
