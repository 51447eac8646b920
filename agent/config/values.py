"""From what a person wrote to a typed value, or to one clear error. Pure; no I/O.

Imports only the manifest and agent.errors.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from agent.config.settings import MANIFEST, Setting, Shape, Value
from agent.errors import ConfigError
from agent.model.hours import parse_hours
from agent.model.streams import ESSENTIAL, Stream

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_HOST = re.compile(r"[A-Za-z0-9_.:\\\-\[\]%]{1,255}")


def find_setting(name: str, source: str) -> Setting:
    """The manifest line of ``name``. ConfigError("config.unknown_setting") names the nearest."""
    found = MANIFEST.get(name)
    if found is None:
        raise ConfigError(
            "config.unknown_setting",
            setting=name,
            source=source,
            nearest=nearest(name, MANIFEST) or "bridgework config list",
        )
    return found


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most likely meant: a whole dotted name, else one whose last part was typed."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return close[0]
    last = name.rpartition(".")[2]
    ends = difflib.get_close_matches(last, [n.rpartition(".")[2] for n in known], n=1, cutoff=0.75)
    return next((n for n in known if ends and n.endswith("." + ends[0])), None)


def parse(setting: Setting, given: object, source: str) -> Value:
    """``given`` (text from env or flag, or a typed value from a file) as the setting's type.

    ConfigError("config.bad_value") carries setting, value (masked for a secret), source, allowed.
    """
    try:
        value = _typed(setting, given)
        _check(setting, value)
    except ValueError:
        raise ConfigError(
            "config.bad_value",
            setting=setting.name,
            value="(hidden)" if setting.secret else _shown(given),
            source=source,
            allowed=setting.allowed,
        ) from None
    return value


def _typed(setting: Setting, given: object) -> Value:
    if setting.type is bool:
        return _to_bool(given)
    if isinstance(given, bool):
        raise ValueError
    if setting.type is int:
        if isinstance(given, float):
            raise ValueError
        return int(_text(given).replace("_", ""))
    if setting.type is float:
        number = float(_text(given).replace("_", ""))
        if not math.isfinite(number):
            raise ValueError
        return number
    if not isinstance(given, str):
        raise ValueError
    return given if setting.secret else given.strip()


def _to_bool(given: object) -> bool:
    if isinstance(given, bool):
        return given
    word = _text(given).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _text(given: object) -> str:
    if isinstance(given, str | int | float):
        return str(given)
    raise ValueError


def _check(setting: Setting, value: Value) -> None:
    if setting.choices and value not in setting.choices:
        raise ValueError
    if isinstance(value, int | float) and not isinstance(value, bool):
        if setting.min is not None and value < setting.min:
            raise ValueError
        if setting.max is not None and value > setting.max:
            raise ValueError
    if isinstance(value, str):
        _check_text(setting, value)


def _check_text(setting: Setting, value: str) -> None:
    # A control character has no place in any setting and would forge lines where it is shown.
    if not value.isprintable():
        raise ValueError
    if not value:
        if setting.shape is Shape.HOST:
            raise ValueError
        return
    if setting.shape is Shape.ZONE:
        _check_zone(value)
    elif setting.shape is Shape.URL:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError
        # Credentials in an address would be stored and shown in the clear.
        if parts.password:
            raise ValueError
        _ = parts.port
    elif setting.shape is Shape.HOST and not _HOST.fullmatch(value):
        raise ValueError
    elif setting.shape is Shape.HOURS:
        parse_hours(value)
    elif setting.shape is Shape.STREAMS:
        _check_streams(value)


def _check_streams(value: str) -> None:
    for name in filter(None, (part.strip() for part in value.split(","))):
        if Stream(name) in ESSENTIAL:
            raise ValueError(name)


def _check_zone(value: str) -> None:
    try:
        ZoneInfo(value)
    except (KeyError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError from error


def _shown(given: Any) -> str:
    text = str(given)
    return text if len(text) <= 80 and text.isprintable() else repr(text[:77])[1:-1] + "..."
