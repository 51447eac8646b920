"""Settings and secrets by dotted name, as drivers ask for them."""

from __future__ import annotations

from agent.config import MANIFEST, Settings
from agent.config.secrets import Secrets, read_secret


class SiteLookup:
    """``agent.runtime.sources.Lookup`` over this installation."""

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings = settings
        self._secrets = secrets

    def get(self, name: str) -> object:
        if MANIFEST[name].secret:
            return read_secret(self._settings, self._secrets, name)
        return self._settings.value(name)
