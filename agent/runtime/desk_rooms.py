"""What the desk works with: the rooms of the running agent as protocols, and its small tools.

A room left out is not here (no agent runs, or its part is not built): what needs it is refused with
``desk.needs_agent``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from agent.control.server import Caller
from agent.errors import AgentError
from agent.journal.pulled import EffectRow, Winner
from agent.journal.reads import Reads
from agent.journal.turn import Turn
from agent.model import desk as ask
from agent.model import mapping, review
from agent.model.asking import MOST, Request, Settled, Settlement
from agent.model.reading import Key
from agent.model.status import Report
from agent.model.streams import Stream
from agent.runtime.desk_looks import Looks
from agent.sync.switches import Switch

T = TypeVar("T")
Room = TypeVar("Room")
Word = TypeVar("Word", bound=StrEnum)
Answers = dict[type[Request[Any]], Callable[[Any, Caller], object]]


class DeskError(AgentError):
    """What was asked cannot be done as things stand."""

    code = "desk.cannot"


class Resolving(Protocol):
    """Conflicts: agent.sync.resolve. Raises AgentError (or ValueError: not open any more)."""

    def resolve(
        self, number: int, winner: Winner, value: Any, *, actor: str, remember: bool
    ) -> None: ...
    def undo(self, number: int, *, actor: str) -> None: ...


class Undoing(Protocol):
    """Taking effects back: agent.sync.undo. Newest first; ``who`` is filled in by the desk."""

    def preview(self, effects: Sequence[EffectRow]) -> Sequence[review.UndoStep]: ...
    def apply(self, effects: Sequence[EffectRow], *, actor: str) -> Sequence[review.UndoStep]: ...


class Linking(Protocol):
    """People of both sides: agent.sync.linkdesk."""

    def approve(self, cloud_id: str, key: Key, *, actor: str) -> None: ...
    def reject(self, cloud_id: str, keys: Sequence[Key], *, actor: str) -> None: ...
    def merge(self, cloud_id: str, into: str, *, actor: str) -> None: ...
    def unmerge(self, cloud_id: str, *, actor: str) -> None: ...


class Closing(Protocol):
    """What only a person can end: desk tasks, and writes of unknown outcome."""

    def close_task(
        self, number: int, *, done: bool, actor: str, note: str, key: Key | None
    ) -> None: ...
    def settle_effect(
        self, number: int, *, happened: bool, key: Key | None, actor: str
    ) -> None: ...


class Switching(Protocol):
    """The safety switches: agent.sync.safety."""

    def view(self) -> ask.SafetyView: ...
    def desk_switch(self, mode: ask.SafetyMode, canary: ask.Canary | None) -> Switch: ...
    def say(self, place: str, switch: Switch, actor: str) -> None: ...
    def suspend(self, code: str, actor: str) -> None: ...
    def clear(self, actor: str) -> None: ...


class Braking(Protocol):
    """agent.sync.brakes."""

    def allow(self, streams: Sequence[Stream], *, for_s: float) -> None: ...


class Charting(Protocol):
    """The data map of this site: agent.runtime.mapping."""

    def show(self) -> mapping.MapView: ...
    def edit(self, wish: mapping.EditMap) -> mapping.EditedMap: ...
    def export(self, kind: str) -> mapping.ExportedMap: ...


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the desk works with; None = not here (no agent runs, or its part is not built)."""

    journal: Reads
    report: Callable[[], Report]
    verify_audit: Callable[[str | None], list[str]]
    set_pause: Callable[[datetime | None], bool]  # False: there was none to end
    turn: Callable[[], AbstractContextManager[Turn]] | None = None
    brakes: Braking | None = None
    accept_source: Callable[[], None] | None = None
    resolver: Resolving | None = None
    undoer: Undoing | None = None
    linker: Linking | None = None
    closer: Closing | None = None
    safety: Switching | None = None
    chart: Charting | None = None
    looks: Looks | None = None
    names: str = "short"  # the setting practice.names_in_lists
    #: further requests and who answers them (``agent.runtime.fallback.counter``)
    beside: Mapping[type[Request[Any]], Callable[[Any, Caller], object]] = field(
        default_factory=dict
    )


def needed(room: Room | None) -> Room:
    if room is None:
        raise DeskError("desk.needs_agent")
    return room


def found(row: T | None, what: str, ident: int | str) -> T:
    if row is None:
        raise DeskError("desk.not_found", what=what, id=ident)
    return row


def bounded(limit: int) -> int:
    if not 1 <= limit <= MOST:
        raise DeskError("desk.bad_value", name="limit", allowed=f"1 to {MOST}")
    return limit


def word(kind: type[Word], text: str, name: str) -> Word:
    try:
        return kind(text)
    except ValueError:
        allowed = ", ".join(word.value for word in kind)
        raise DeskError("desk.bad_value", name=name, allowed=f"one of {allowed}") from None


def stated(kind: type[Word], text: str) -> Word | None:
    return None if text == "all" else word(kind, text, "state")


@contextmanager
def domain(code: str = "desk.not_open") -> Iterator[None]:
    """The rooms refuse what does not fit (any more) by a ValueError: that is no bug here."""
    try:
        yield
    except ValueError:
        raise DeskError(code) from None


def each(numbers: Sequence[int], act: Callable[[int], None]) -> Settlement:
    """One after the other; what cannot be done keeps the others from nothing."""
    if not 1 <= len(numbers) <= MOST:
        raise DeskError("desk.bad_value", name="numbers", allowed=f"1 to {MOST} of them")
    lines = []
    for number in dict.fromkeys(numbers):
        line = Settled(str(number))
        try:
            with domain():
                act(number)
        except AgentError as error:
            if error.code == "desk.needs_agent":
                raise
            line = Settled(str(number), error.code, dict(error.facts))
        lines.append(line)
    return Settlement(tuple(lines))
