"""What rows are judged by, and what comes of one. Reads the journal, writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent.errors import AgentError
from agent.journal.reads import Reads
from agent.model.commands import Command
from agent.model.reading import Key
from agent.model.sheets import FieldChange, RowLine
from agent.model.streams import Stream
from agent.sync import payloads
from agent.sync.merge import FieldRule
from agent.sync.plans import Postpone, Refuse


@dataclass(frozen=True, slots=True)
class Ground:
    """``twin``: the record that certainly is this person, if any (raises Refuse and Postpone);
    ``places``: ("operatory"|"provider", folded name) -> key."""

    journal: Reads
    rules: Callable[[Stream], dict[str, FieldRule]]
    twin: Callable[[Mapping[str, Any], str | None], Key | None] | None = None
    places: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A row and what it asks for. ``asks``: its record changed here since the file was made."""

    line: RowLine
    commands: tuple[Command, ...] = ()
    asks: bool = False


class No(Exception):
    """A row that is left out, and why."""

    def __init__(self, code: str, **facts: str | int | float | None) -> None:
        self.code, self.facts = code, facts
        super().__init__(code)


def twin_of(ground: Ground, wish: Mapping[str, Any], cloud_id: str | None) -> Key | None:
    """Raises No where it is not certain, AgentError where it cannot be told now."""
    if ground.twin is None:
        return None
    try:
        return ground.twin(wish, cloud_id)
    except Refuse:
        raise No("sheet.may_exist") from None
    except Postpone as wait:
        raise AgentError(wait.code) from None


def key_of(text: str) -> Key | None:
    try:
        return payloads.as_key(text)
    except payloads.Invalid:
        return None


def name_of(fields: Mapping[str, Any]) -> str:
    return ", ".join(str(fields[n]) for n in ("last_name", "first_name") if fields.get(n))


def changes_of(now: Mapping[str, Any], then: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    return tuple(FieldChange(name, now.get(name), value) for name, value in then.items())
