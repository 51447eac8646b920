"""Every language says everything: the same keys, the same facts, nothing left in English."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.config import Paths, load_settings
from agent.runtime.checks import all_checks
from agent.support.messages import Catalogue

MESSAGES = Path(__file__).resolve().parents[2] / "assets" / "messages"
LANGUAGES = ("es",)
ROOMS = sorted(path.name for path in (MESSAGES / "window" / "en").glob("*.toml"))
# The same in both languages, rightly.
ALIKE = frozenset(
    {"Bridgework", "CRM", "English", "Español", "No", "no", "error", "IT", "ODBC", "{name}"}
)


def _flat(entries: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in entries.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value)


def _texts(path: Path) -> dict[str, str]:
    return dict(_flat(tomllib.loads(path.read_text(encoding="utf-8"))))


def _facts(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def _compare(english: dict[str, str], other: dict[str, str]) -> list[str]:
    """What is wrong with ``other``, a line each."""
    wrong = [f"lacks {key}" for key in sorted(english.keys() - other.keys())]
    wrong += [f"has {key} too many" for key in sorted(other.keys() - english.keys())]
    for key in sorted(english.keys() & other.keys()):
        if _facts(english[key]) != _facts(other[key]):
            wrong.append(f"{key} names other facts")
        if bool(english[key]) != bool(other[key]):
            wrong.append(f"{key} is empty on one side")
    return wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_console_speaks_it(language: str) -> None:
    english, other = (_texts(MESSAGES / "console" / f"{code}.toml") for code in ("en", language))
    assert _compare(english, other) == []


def test_each_step_of_the_doctor_has_a_name_in_both_places(tmp_path: Path) -> None:
    checks = all_checks(load_settings((), home=tmp_path), Paths.locate(tmp_path))
    for file, prefix in (
        ("console/en.toml", "doctor.steps."),
        ("window/en/support.toml", "steps."),
    ):
        named = _texts(MESSAGES / file)
        assert [c.topic for c in checks if f"{prefix}{c.topic}" not in named] == [], file


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_is_complete(language: str) -> None:
    english, other = _texts(MESSAGES / "en.toml"), _texts(MESSAGES / f"{language}.toml")
    assert _compare(english, other) == []
    for key, text in english.items():
        if key.endswith((".audience", ".go")):
            assert other[key] == text, key
        elif key.endswith((".title", ".button")):
            assert other[key] != text or text in ALIKE, f"{key} is still English"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("room", ROOMS)
def test_the_windows_texts_are_complete(language: str, room: str) -> None:
    path = MESSAGES / "window" / language / room
    assert path.exists()
    assert _compare(_texts(MESSAGES / "window" / "en" / room), _texts(path)) == []


def test_the_comparison_finds_what_it_is_for() -> None:
    english = {"a": "{n} rows", "b": "x", "c": "y", "d": ""}
    assert _compare(english, {"a": "filas", "c": "", "d": "", "e": "z"}) == [
        "lacks b", "has e too many", "a names other facts", "c is empty on one side",
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_every_code_renders(language: str) -> None:
    catalogue = Catalogue.load(language)
    assert catalogue.codes == Catalogue.load("en").codes
    for code in catalogue.codes:
        assert catalogue.render(code).title
