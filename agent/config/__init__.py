"""Settings, places and secrets. May import agent.model, agent.ports and agent.errors only.

>>> settings = load_settings()
>>> settings.pms.host, settings.origin("pms.host")
"""

from __future__ import annotations

from agent.config.layers import load_settings
from agent.config.paths import Paths, assets_dir
from agent.config.secrets import PayloadSeal, open_secrets
from agent.config.settings import MANIFEST, Origin, Setting, Settings

__all__ = [
    "MANIFEST",
    "Origin",
    "Paths",
    "PayloadSeal",
    "Setting",
    "Settings",
    "assets_dir",
    "load_settings",
    "open_secrets",
]
