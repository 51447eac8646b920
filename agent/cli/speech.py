"""The message catalogue in the language the practice chose (``practice.language``)."""

from __future__ import annotations

import click

from agent.support.messages import Catalogue


def catalogue() -> Catalogue:
    """Of the command that runs. English where the settings cannot be read: that is being told."""
    context = click.get_current_context(silent=True)
    app = context.obj if context is not None else None
    return Catalogue.load(getattr(app, "language", "") or "en")
