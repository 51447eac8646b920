"""The notation of the comparer's rules: fields, joined rows, lists of child rows. Pure.

Part of the independent comparer (``compare``); imports only ``compare.rules``.
"""
# ruff: noqa: ARG001 - every rule takes the same four arguments

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.sandbox.compare.rules import Held, Place, Rule, Stored

ListRule = Callable[[Sequence[Stored], Held, str, Place], bool]


class Field(msgspec.Struct, frozen=True):
    """A field of the record and the columns it is judged by, written ``alias.Column``.

    ``b`` is the stream's own table. A field whose columns the site lacks is not judged.
    """

    name: str
    rule: Rule
    columns: tuple[str, ...]


def field(name: str, rule: Rule, *columns: str) -> Field:
    return Field(name, rule, columns)


def columns(spec: str, rule: Rule, alias: str = "b") -> tuple[Field, ...]:
    """``"name Column, name Column"``, all by one rule."""
    pairs = (entry.split() for entry in spec.split(",") if entry.strip())
    return tuple(field(name, rule, f"{alias}.{column}") for name, column in pairs)


class Join(msgspec.Struct, frozen=True):
    """At most one row of another table beside the stream's own; ``on`` names its primary key."""

    alias: str
    table: str
    on: str


class Rows(msgspec.Struct, frozen=True):
    """Rows of another table that point at the record: ``c.<owner>`` holds its key."""

    name: str
    rule: ListRule
    table: str
    owner: str
    columns: tuple[str, ...]
    where: str = ""


class StreamRules(msgspec.Struct, frozen=True):
    """Every row of ``table`` is a record of the stream and must look so."""

    table: str
    key: str
    fields: tuple[Field, ...]
    joins: tuple[Join, ...] = ()
    rows: tuple[Rows, ...] = ()


def same_set(word: Callable[[str | None], str | None]) -> ListRule:
    """The field is a list with the words of the first column, in any order, none twice."""

    def rule(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
        wanted = {text for row in stored if (text := word(row[0])) is not None}
        got = held.get(name, [])
        return isinstance(got, list) and len(got) == len(wanted) and set(got) == wanted

    return rule


def named_texts(text: Callable[[object], str | None]) -> ListRule:
    """The field is a map of the first column to the second; of a name used twice, either text."""

    def rule(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
        wanted: dict[str, set[str]] = {}
        for label, value in stored:
            shown = text(value)
            if label and label.strip() and shown is not None:
                wanted.setdefault(label.strip(), set()).add(shown)
        got = held.get(name, {})
        if not isinstance(got, Mapping) or {*got} != {*wanted}:
            return False
        return all(text(got[label]) in wanted[label] for label in wanted)

    return rule


def parts(identity: Callable[[Held], object], *fields: tuple[str, Rule, int]) -> ListRule:
    """The field is a list of parts, one per row; ``fields`` say which column a part field shows.

    ``identity`` of a part must equal the row's first column.
    """

    def rule(stored: Sequence[Stored], held: Held, name: str, place: Place) -> bool:
        got = held.get(name, [])
        if not isinstance(got, list) or len(got) != len(stored):
            return False
        by_identity = {str(identity(part)): part for part in got}
        for row in stored:
            part = by_identity.get(str(row[0]))
            if part is None:
                return False
            if not all(rule((row[at],), part, field_, place) for field_, rule, at in fields):
                return False
        return True

    return rule
