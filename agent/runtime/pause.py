"""A pause outlives commands and restarts: its end stands in a file of the agent's folder."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from agent.config.store import write_atomic


def read_pause(path: Path, now: datetime) -> datetime | None:
    """The end of the pause, or None when there is none (any more). An unreadable file is no pause:
    an agent that stands still for a reason nobody sees would be worse."""
    try:
        until = datetime.fromisoformat(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
    return until if until.tzinfo is not None and until > now else None


def write_pause(path: Path, until: datetime) -> None:
    write_atomic(path, until.isoformat().encode())


def clear_pause(path: Path) -> bool:
    """False when there was none."""
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed
