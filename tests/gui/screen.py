"""A screen of a usual size that nobody sees. Call before the application is made."""

from __future__ import annotations

import os
from pathlib import Path


def unseen() -> None:
    config = Path(__file__).with_name("screen.json")
    os.environ.setdefault("QT_QPA_PLATFORM", f"offscreen:configfile={config}")
