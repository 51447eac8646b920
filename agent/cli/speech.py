"""The language of the command that runs: of messages, and of what reports say around them.

``BRIDGEWORK_LANGUAGE`` is this person's, ``practice.language`` the practice's, else English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import click

from agent.config.paths import assets_dir
from agent.support.messages import Catalogue


def catalogue() -> Catalogue:
    """English where the settings cannot be read: that is being told."""
    return Catalogue.load(_language())


def say(key: str, /, **facts: str | int) -> str:
    """A text of ``assets/messages/console``; with ``n`` its forms ``one`` and ``other`` apply."""
    entry: Any = _texts(_language())
    for part in key.split("."):
        entry = entry[part]
    if isinstance(entry, dict):
        entry = entry["one" if facts.get("n") == 1 else "other"]
    words = {k: f"{v:,}" if isinstance(v, int) else v for k, v in facts.items()}
    return str(entry).format_map(words)


def languages() -> set[str]:
    return {path.stem for path in (assets_dir() / "messages" / "console").glob("*.toml")}


def _language() -> str:
    context = click.get_current_context(silent=True)
    app = context.obj if context is not None else None
    return getattr(app, "language", "") or "en"


@lru_cache(maxsize=4)
def _texts(language: str) -> Mapping[str, Any]:
    path = assets_dir() / "messages" / "console" / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
