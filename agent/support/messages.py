"""The catalogue: code -> what a person reads. Texts live in assets/messages, never in the engine.

Imports agent.config (where the assets are) and agent.errors.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from agent.config.paths import assets_dir
from agent.errors import AgentError

Fact = str | int | float | None
_NOTHING_GIVEN = re.compile(r" \(\.\.\.(?:[ ,:]+\.\.\.)*\)")


class Audience(StrEnum):
    """Who can do something about it."""

    DESK = "desk"
    OWNER = "owner"
    IT = "it"
    SUPPORT = "support"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Message:
    """``title``: what stopped; ``body``: its effect; ``next_step``: one thing to do, or "".

    ``button``: that step where a window can lead to it, and ``go`` where to: ``tab:place`` (setup
    is the wizard) or ``do:allow|accept|book|resend|start``. Both, or neither.
    """

    code: str
    title: str
    body: str
    next_step: str
    audience: Audience
    button: str = ""
    go: str = ""

    @property
    def line(self) -> str:
        """One line for a terminal: title, next step, code."""
        return " ".join(part for part in (self.title, self.next_step, f"[{self.code}]") if part)


class Catalogue:
    """``Catalogue.load().render("pms.unreachable", {"host": "SRV1"}).title``"""

    def __init__(self, entries: Mapping[str, Mapping[str, str]]) -> None:
        self._entries = entries

    @classmethod
    def load(cls, language: str = "en", folder: Path | None = None) -> Catalogue:
        path = (folder or assets_dir() / "messages") / f"{language}.toml"
        return cls(_read(path))

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(self._entries)

    def render(self, code: str, facts: Mapping[str, Fact] | None = None) -> Message:
        """A code without an entry falls back to ``internal`` and keeps its own code.

        ``map.unreadable:phone`` is ``map.unreadable`` of the field ``phone``.
        """
        base, _, field = code.partition(":")
        entry = self._entries.get(base) or self._entries["internal"]
        words = _Words({"field": field, **(facts or {})} if field else facts or {})
        return Message(
            code=code,
            title=_fill(entry["title"], words),
            body=_fill(entry["body"], words),
            next_step=_fill(entry["next"], words),
            audience=Audience(entry["audience"]),
            button=_fill(entry.get("button", ""), words),
            go=entry.get("go", ""),
        )

    def of(self, error: AgentError) -> Message:
        return self.render(error.code, error.facts)

    def fields(self, code: str) -> frozenset[str]:
        """The facts an entry's texts name."""
        entry = self._entries[code]
        texts = (entry.get(part, "") for part in ("title", "body", "next", "button"))
        return frozenset(
            name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name
        )


@lru_cache(maxsize=8)
def _read(path: Path) -> Mapping[str, Mapping[str, str]]:
    """A file of entries, read once: it takes a moment, and lists ask for it line by line."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


class _Words(dict[str, Any]):
    """Facts for a text. A fact nobody gave reads as three dots, and in brackets as nothing."""

    def __init__(self, facts: Mapping[str, Fact]) -> None:
        super().__init__({k: "..." if v is None else v for k, v in facts.items()})

    def __missing__(self, key: str) -> str:
        return "..."


def _fill(text: str, words: _Words) -> str:
    filled = _NOTHING_GIVEN.sub("", string.Formatter().vformat(text, (), words))
    return " ".join(filled.split())
