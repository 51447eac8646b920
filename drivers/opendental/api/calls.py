"""What every deed of the API writer needs: the calls it may make, and the marks of a good effect.

Must not import an HTTP library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.model.effects import Effect, Written
from agent.model.reading import Key
from drivers.opendental import spelling as spell
from drivers.opendental.api.link import Answer
from drivers.opendental.api.methods import Method
from drivers.opendental.office import Office
from drivers.opendental.spelling import refused, unsupported

Body = dict[str, Any]


class Api(Protocol):
    """What a deed may do: ``writer`` makes every answer but a good one into its exception."""

    @property
    def office(self) -> Office: ...

    def do(self, method: Method, key: Key | None, body: Body | None) -> Answer: ...
    def listed(self, method: Method, query: Mapping[str, str]) -> list[dict[str, Any]]: ...
    def has(self, method: Method, field: str = "") -> bool: ...
    def why_not(self, method: Method) -> str: ...


Deed = Callable[[Api, Effect], Written]


def made_of(answer: Answer, column: str) -> Written:
    """The new record's key: from the object answered, else from where it now stands."""
    content = answer.content
    number = content.get(column) if isinstance(content, dict) else None
    if number is None and answer.location:
        number = answer.location.rstrip("/").rpartition("/")[2]
    try:
        return Written(int(number)) if number is not None else Written()
    except (TypeError, ValueError):
        return Written()


def target(effect: Effect) -> Key:
    if effect.key is None:
        raise refused("write.key_missing")
    return effect.key


def only(fields: Mapping[str, Any], allowed: Mapping[str, Any] | frozenset[str]) -> None:
    """Nothing is dropped in silence: a field the API has no word for refuses the effect."""
    if not set(fields) <= set(allowed):
        raise unsupported()


def known_here(api: Api, method: Method, body: Body) -> Body:
    """The body, if this office's version knows all of its fields."""
    if not all(api.has(method, field) for field in body):
        raise unsupported("write.version_too_old")
    return body


def needed_text(value: Any) -> str:
    text = spell.text_of(value)
    if not text:
        raise refused("write.value_invalid")
    return text
