"""What the wizard was told, in one small file: which steps a person has answered, and for what.

An answer holds for what it was given for: another link, another place or another database makes
the steps after it open again. The settings themselves live where all settings live.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from agent.config import MANIFEST, Paths, Settings
from agent.config.store import write_atomic
from agent.errors import ConfigError

# How the practice is read and written, not where it is.
_NOT_PLACE = frozenset(
    {"pms.statement_limit_ms", "pms.max_duty", "pms.writer", "pms.api_url", "pms.sql_writes",
     "pms.write_user"}
)  # fmt: skip


class Remembered(msgspec.Struct, frozen=True, omit_defaults=True):
    """``practice_of``: client id whose practice was confirmed; ``place``: of the settings that were
    tested; ``identity``: of the database a person knew again."""

    practice_of: str = ""
    place: str = ""
    identity: str = ""
    patients: int = 0
    scope: bool = False
    conflicts: bool = False
    hours: bool = False
    finished_at: datetime | None = None


def recall(paths: Paths) -> Remembered | None:
    """None where the wizard was never used. ConfigError when the file cannot be read."""
    try:
        return msgspec.json.decode(paths.setup_file.read_bytes(), type=Remembered)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        raise ConfigError("setup.unreadable", file=paths.setup_file.name) from None


def remember(paths: Paths, held: Remembered) -> None:
    try:
        write_atomic(paths.setup_file, msgspec.json.encode(held))
    except OSError as error:
        raise ConfigError(
            "config.not_saved", source=str(paths.setup_file), reason=(error.strerror or "").lower()
        ) from None


def place_of(settings: Settings) -> str:
    """A fingerprint of where the practice is, by every setting that could lead elsewhere."""
    told = repr([(name, settings.value(name)) for name in place_settings()])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def place_settings() -> list[str]:
    """Names of the settings that say where the practice is, secrets left out."""
    return [
        line.name
        for line in MANIFEST.values()
        if line.name.startswith("pms.") and not line.secret and line.name not in _NOT_PLACE
    ]
