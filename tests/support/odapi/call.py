"""One request to the API as a method sees it, what it may answer, and the list of all methods.

A field of the body that the method did not ask for, or that the office's version does not know yet,
is ignored without a word and remembered in ``Call.ignored``. May import ``formats``, ``gates`` and
``office`` beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from tests.support.odapi import formats
from tests.support.odapi.formats import Enum
from tests.support.odapi.gates import Mode, Permission, has_version
from tests.support.odapi.office import Office


class Refusal(Exception):
    """An answer other than success: ``status`` and the explanation in the body."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{status} {text}")


def bad(text: str) -> Refusal:
    return Refusal(400, text)


def missing(what: str) -> Refusal:
    return Refusal(404, f"{what} not found")


@dataclass(slots=True)
class Answer:
    """``content`` None: an empty body. ``location``: path under the API's base, e.g. patients/4."""

    status: int = 200
    content: Any = None
    location: str = ""


class F(NamedTuple):
    """One field of an answer: its name, how a stored value becomes it, the first version that has
    it, and the column it comes from where that is named differently."""

    name: str
    kind: Callable[[Any], Any] | str | Enum  # "day", "moment": follow the asked format
    since: str = ""
    source: str = ""


@dataclass(slots=True)
class Call:
    """What a method gets. Not shared between threads."""

    office: Office
    version: str
    mode: Mode
    query: Mapping[str, str]
    body: Mapping[str, Any]
    key: int = 0
    limit: int = 100
    offset: int = 0
    ignored: list[str] = field(default_factory=list)
    _read: set[str] = field(default_factory=set)

    def has(self, since: str) -> bool:
        return not since or has_version(self.version, since)

    # --- the body -----------------------------------------------------------------------------

    def given(self, name: str, since: str = "") -> bool:
        """The body holds it and this version knows it. JSON null counts as absent."""
        self._read.add(name)
        if self.body.get(name) is None:
            return False
        if not self.has(since):
            self.ignored.append(name)
            return False
        return True

    def close(self) -> None:
        """Remember what nobody asked for."""
        self.ignored += [name for name in self.body if name not in self._read]

    def require(self, *names: str) -> None:
        for name in names:
            if not self.given(name) or self.body[name] == "":
                raise bad(f"{name} is required")

    def string(self, name: str, since: str = "") -> str | None:
        if not self.given(name, since):
            return None
        value = self.body[name]
        if not isinstance(value, str):
            raise bad(f"{name} must be a string")
        return writable(value)

    def number(self, name: str, since: str = "") -> int | None:
        """An integer, or its digits as a string: the vendor's own examples use both."""
        if not self.given(name, since):
            return None
        value = self.body[name]
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,19}", value):
            return int(value)
        raise bad(f"{name} must be a number")

    def amount(self, name: str, since: str = "") -> float | None:
        if not self.given(name, since):
            return None
        try:
            return float(self.body[name])
        except (TypeError, ValueError):
            raise bad(f"{name} must be a number") from None

    def flag(self, name: str, since: str = "") -> int | None:
        """Booleans are the strings true and false; a JSON boolean is refused."""
        value = self.string(name, since)
        if value is None:
            return None
        if value.lower() not in {"true", "false"}:
            raise bad(f'{name} must be either "true" or "false"')
        return int(value.lower() == "true")

    def enum(self, name: str, words: Enum, since: str = "") -> int | None:
        value = self.string(name, since)
        if value is None:
            return None
        number = words.number(value)
        if number is None:
            raise bad(f"{name} is invalid")
        return number

    def day(self, name: str, since: str = "") -> str | None:
        value = self.string(name, since)
        return None if value is None else checked_day(name, value)

    def moment(self, name: str, since: str = "") -> str | None:
        value = self.string(name, since)
        return None if value is None else checked_moment(name, value)

    # --- the query ----------------------------------------------------------------------------

    def asked(self, name: str, since: str = "") -> str | None:
        value = self.query.get(name)
        return value if value and self.has(since) else None

    def asked_number(self, name: str, since: str = "") -> int | None:
        value = self.asked(name, since)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,19}", value):
            raise bad(f"{name} must be a number")
        return int(value)

    def asked_enum(self, name: str, words: Enum, since: str = "") -> int | None:
        value = self.asked(name, since)
        if value is None:
            return None
        number = words.number(value)
        if number is None:
            raise bad(f"{name} is invalid")
        return number

    def asked_day(self, name: str, since: str = "") -> str | None:
        value = self.asked(name, since)
        return None if value is None else checked_day(name, value)

    def asked_stamp(self, name: str, since: str = "") -> str | None:
        """A datetime, or a date alone as one of the vendor's examples has it."""
        value = self.asked(name, since)
        if value is None:
            return None
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return f"{checked_day(name, value)} 00:00:00"
        return checked_moment(name, value)

    # --- the answer ---------------------------------------------------------------------------

    def shape(self, row: Mapping[str, Any], fields: Iterable[F]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, kind, since, source in fields:
            if since and not self.has(since):
                continue
            value = row.get(source or name)
            if kind == "day":
                out[name] = self._dated(formats.day(value), "DateFormatString", "22.2.26")
            elif kind == "moment":
                out[name] = self._dated(formats.moment(value), "DateTimeFormatString", "22.2.14")
            elif isinstance(kind, Enum):
                out[name] = kind.word(value)
            else:
                assert callable(kind)
                out[name] = kind(value)
        return out

    def _dated(self, value: str, parameter: str, since: str) -> str:
        pattern = self.asked(parameter, since)
        return formats.net_format(value, pattern, self.office.utc_offset()) if pattern else value

    def now(self) -> str:
        return self._dated(self.office.now(), "DateTimeFormatString", "22.2.14")


def checked_day(name: str, value: str) -> str:
    try:
        datetime.strptime(value, "%Y-%m-%d")  # noqa: DTZ007 - a wall date
    except ValueError:
        raise bad(f"{name} format must be yyyy-MM-dd") from None
    return value


def checked_moment(name: str, value: str) -> str:
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - a wall time
    except ValueError:
        raise bad(f"{name} format must be yyyy-MM-dd HH:mm:ss") from None
    return value


def writable(value: str) -> str:
    """The program replaces what its three-byte tables cannot hold, and some symbols, by U+FFFD."""
    return "".join(
        "\ufffd" if ord(char) > 0xFFFF or 0x2600 <= ord(char) <= 0x27FF else char for char in value
    )


Act = Callable[[Call], Answer]


class Method(NamedTuple):
    verb: str
    path: tuple[str, ...]  # "{n}" stands for a primary key
    since: str
    permission: Permission
    act: Act
    gone_since: str = ""

    def key_in(self, segments: Sequence[str]) -> int | None:
        """The key in a path of this method (0 without one), or None when it is another's."""
        if len(segments) != len(self.path):
            return None
        key = 0
        for mine, theirs in zip(self.path, segments, strict=True):
            if mine == "{n}":
                if not re.fullmatch(r"\d{1,19}", theirs):
                    return None
                key = int(theirs)
            elif mine.lower() != theirs.lower():
                return None
        return key


METHODS: list[Method] = []


def method(
    verb: str, path: str, since: str, permission: Permission = Permission.READ_ALL
) -> Callable[[Act], Act]:
    """Offer a function as a method of the API; ``since`` as its page states it."""

    def offer(act: Act) -> Act:
        METHODS.append(Method(verb, tuple(path.split("/")), since, permission, act))
        return act

    return offer
