"""Texts for people by code, in one language. No Qt.

The window's own words lie in ``assets/messages/window/<language>/<room>.toml``: a key there is
``room.key`` (or ``room.section.key``) here. What the agent reports comes from the message catalogue
(``assets/messages/<language>.toml``), by its code. A language that lacks a text shows English.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from agent.config.paths import assets_dir
from agent.support.messages import Catalogue, Message

Fact = str | int | float | None

_NOT_GIVEN = "…"
PSEUDO = "pseudo"  # a language of nobody: longer and accented, to see what is clipped or fixed


class Format(Protocol):
    """Numbers and times as the person's system writes them."""

    def number(self, value: float) -> str: ...
    def clock(self, moment: datetime) -> str: ...
    def day(self, moment: datetime) -> str: ...
    def date(self, moment: datetime) -> str: ...


class PlainFormat:
    """As the tests and a console want it: 1,234 and 14:05."""

    def number(self, value: float) -> str:
        return f"{value:,.0f}"

    def clock(self, moment: datetime) -> str:
        return f"{moment.astimezone():%H:%M}"

    def day(self, moment: datetime) -> str:
        return f"{moment.astimezone():%d %b}"

    def date(self, moment: datetime) -> str:
        """With the year."""
        return f"{moment.astimezone():%d %b %Y}"


class Texts:
    """``texts("overview.waiting", n=3)``; with ``n`` the forms ``one`` and ``other`` apply."""

    def __init__(self, language: str = "en", form: Format | None = None) -> None:
        self.language = language
        self.form = form or PlainFormat()
        self._is_pseudo = language == PSEUDO
        english = _room_texts("en")
        spoken = {} if language in {"en", PSEUDO} else _room_texts(language)
        self._entries = {**english, **spoken}
        self._messages = {"en": Catalogue.load("en")}
        if spoken and (_messages_dir() / f"{language}.toml").exists():
            self._messages[language] = Catalogue.load(language)

    def __call__(self, key: str, /, **facts: Fact) -> str:
        """KeyError for a key that English lacks: a mistake of ours, found by the tests."""
        if "n" in facts and key not in self._entries:
            key = f"{key}.one" if facts["n"] == 1 else f"{key}.other"
        text = self._entries[key]
        words = {name: self._word(value) for name, value in facts.items()}
        return self._filled(text, words)

    def has(self, key: str) -> bool:
        return key in self._entries

    def message(self, code: str, facts: Mapping[str, Fact] | None = None) -> Message:
        """What the catalogue says to a code of the agent. What is for a console is left out where
        a button stands for it."""
        spoken = self._messages.get(self.language, self._messages["en"])
        base = code.partition(":")[0]
        catalogue = spoken if base in spoken.codes else self._messages["en"]
        found = catalogue.render(code, facts)
        if found.button:
            found = replace(found, next_step=_at_a_window(found.next_step))
        if not self._is_pseudo:
            return found
        parts = ("title", "body", "next_step", "button")
        longer: dict[str, Any] = {
            part: pseudo(getattr(found, part)) for part in parts if getattr(found, part)
        }
        return replace(found, **longer)

    def names(self, prefix: str) -> list[str]:
        """What follows ``prefix.`` in the keys there are; counted forms once."""
        start = f"{prefix}."
        found = (key.removeprefix(start) for key in self._entries if key.startswith(start))
        return list(dict.fromkeys(name for name in found))

    # -- numbers and times ------------------------------------------------------------------------

    def number(self, value: float) -> str:
        return self.form.number(value)

    def span(self, seconds: float) -> str:
        """A duration at a glance: ``2 min``."""
        seconds = max(seconds, 0.0)
        if seconds < 1:
            return self("format.moment")
        if seconds < 60:
            return self("format.seconds", n=round(seconds))
        if seconds < 5400:
            return self("format.minutes", n=round(seconds / 60))
        if seconds < 172_800:
            return self("format.hours", n=round(seconds / 3600))
        return self("format.days", n=round(seconds / 86_400))

    def ago(self, seconds: float) -> str:
        if seconds < 5:
            return self("format.now")
        return self("format.ago", span=self.span(seconds))

    def when(self, moment: datetime, now: datetime) -> str:
        """The time of day; with the day where it is not today."""
        clock = self.form.clock(moment)
        if moment.astimezone().date() == now.astimezone().date():
            return clock
        return self("format.day_clock", day=self.form.day(moment), clock=clock)

    def _word(self, value: Fact) -> str:
        if value is None:
            return _NOT_GIVEN
        if isinstance(value, str):
            return value
        return self.number(value)

    def _filled(self, text: str, words: Mapping[str, str]) -> str:
        if not self._is_pseudo:
            return text.format_map(_Words(words))
        parts = []
        for literal, name, _, _ in string.Formatter().parse(text):
            parts.append(_accented(literal))
            if name:
                parts.append(words.get(name, _NOT_GIVEN))
        return _padded("".join(parts))


def _at_a_window(step: str) -> str:
    """Its sentences without those that name a command."""
    sentences = re.split(r"(?<=[.!?]) +", step)
    return " ".join(each for each in sentences if "bridgework " not in each)


class _Words(dict[str, str]):
    """A fact nobody gave reads as three dots."""

    def __missing__(self, key: str) -> str:
        return _NOT_GIVEN


def pseudo(text: str) -> str:
    """``Syncing`` as ``[Šýñçîñĝ~~~]``: readable, accented, 40 % longer."""
    return _padded(_accented(text))


_ACCENTS = str.maketrans("AaCcEeGgIiNnOoSsUuYyZz", "ÅåÇçÉéĜĝÎîÑñÖöŠšÛûÝýŽž")


def _accented(text: str) -> str:
    return text.translate(_ACCENTS)


def _padded(text: str) -> str:
    more = max(round(len(text) * 0.4), 2)
    tail = " ~~~" * (more // 4) + "~" * (more % 4)  # breaks where words would
    return f"[{text}{tail}]"


def languages() -> list[str]:
    """Those with texts of their own, English first."""
    found = {path.name for path in (_messages_dir() / "window").iterdir() if path.is_dir()}
    return ["en", *sorted(found - {"en"})]


def _messages_dir() -> Path:
    return assets_dir() / "messages"


def _room_texts(language: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((_messages_dir() / "window" / language).glob("*.toml")):
        _flatten(tomllib.loads(path.read_text(encoding="utf-8")), path.stem, found)
    return found


def _flatten(entries: Mapping[str, Any], prefix: str, found: dict[str, str]) -> None:
    for name, value in entries.items():
        key = f"{prefix}.{name}"
        if isinstance(value, dict):
            _flatten(value, key, found)
        else:
            found[key] = str(value)
