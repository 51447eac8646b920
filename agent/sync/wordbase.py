"""What a transform of the data map is made of: its types and the tools its words share. Pure.

The words themselves are in ``transforms`` (one column) and ``composed`` (several columns, and what
the systems read over ODBC need).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.sync.normalize import Email, LocalTime, Memo, Phone

Values = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Same:
    """A column that holds one value throughout."""

    value: Any


Run = Callable[..., Iterable[Any] | Same]
"""Source columns of one page (text or None) -> the field's values, same length."""

KEY = "@key"
"""Pseudo source: the record's own key as text."""

UNKNOWN = "unknown"


class TransformError(ValueError):
    """The map names a transform that does not exist or has a wrong argument."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A transform bound to its argument.

    ``first``: a pass over the row's own column before ``run``; fields with the same ``first`` over
    the same column share its result. ``more``: further source columns after the row's own.
    """

    run: Run
    first: Callable[[Values], Values] | None = None
    more: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()  # enumeration words it can give
    gives_text: bool = True
    needs_source: bool = True
    known: Mapping[str, str] | None = None  # enum: source value -> word


def per_value(memo: Memo[Any, Any]) -> Run:
    """The common pass: one C-level dictionary lookup per cell."""
    look = memo.__getitem__
    return lambda column: list(map(look, column))


class Enumeration(Memo[str | None, str | None]):
    """Source value -> word; remembers the values it had no word for (at most 100)."""

    __slots__ = ("known", "strangers")

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = known
        self.strangers: set[str] = set()
        super().__init__(self._word, bound=1024)

    def _word(self, value: str | None) -> str | None:
        if not value:
            return None
        word = self.known.get(value)
        if word is None:
            if len(self.strangers) < 100:
                self.strangers.add(value)
            return UNKNOWN
        return word


class Toolbox:
    """Memos and converters of one compiled map, shared by all its columns.

    ``zone``: IANA name of the practice's zone. ``phone_region``: ISO 3166 code for numbers without
    a country. ``enums`` are the compiled enumerations by (stream, field).
    """

    def __init__(self, zone: str, phone_region: str = "US") -> None:
        self.zone = zone
        self.local = LocalTime(zone)
        self.phone_column = per_value(Memo(Phone(phone_region), 8_192))
        self.email_column = per_value(Memo(Email(), 8_192))
        self._memos: dict[str, Memo[Any, Any]] = {}

    def memo(self, name: str, make: Callable[[Any], Any], bound: int = 16_384) -> Memo[Any, Any]:
        if name not in self._memos:
            self._memos[name] = Memo(make, bound)
        return self._memos[name]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a transform stands: its argument, the stream's enumerations above it by field, and
    its row's own "table.column"."""

    toolbox: Toolbox
    argument: str
    enums: Mapping[str, Enumeration]
    source: str


Build = Callable[[Spot], Transform]


@dataclass(frozen=True, slots=True)
class Word:
    """One entry of the transform language."""

    meaning: str
    build: Build


def word_list(argument: str) -> dict[str, str]:
    """``0=patient;1=inactive`` -> {"0": "patient", ...}. Raises TransformError."""
    known: dict[str, str] = {}
    for entry in argument.split(";"):
        value, separator, word = entry.partition("=")
        if not separator or not word or value in known:
            raise TransformError("wants value=word;value=word, each value once")
        known[value] = word
    return known


def enumeration_run(enumeration: Enumeration) -> Run:
    run = per_value(enumeration)
    run.enumeration = enumeration  # type: ignore[attr-defined]  # read back by ``enumeration_of``
    return run


def enumeration_of(transform: Transform) -> Enumeration | None:
    return getattr(transform.run, "enumeration", None)


def one_column(argument: str) -> str:
    """The name of the one further column the argument must hold."""
    if not argument or "," in argument:
        raise TransformError("wants one more column")
    return argument
