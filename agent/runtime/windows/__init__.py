"""What only Windows has: the service, its set-up by the installer, settings in the registry.

Modules here import pywin32 and are loaded on Windows alone. ``NAME`` is the service's name, its
event source, and the last part of its account.
"""

from __future__ import annotations

from agent.control.sids import SERVICE as NAME

__all__ = [
    "ACCOUNT",
    "EXECUTABLE",
    "HELPER",
    "NAME",
    "TRAY",
    "WATCH",
    "WATCH_EXECUTABLE",
]

ACCOUNT = rf"NT SERVICE\{NAME}"
EXECUTABLE = "bridgework.exe"
TRAY = "bridgework-tray.exe"
HELPER = f"{NAME}Update"
WATCH = f"{NAME}Watch"
WATCH_EXECUTABLE = "bridgework-watch.exe"
