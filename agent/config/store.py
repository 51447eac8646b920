"""Writes the settings file: comments, order and unknown keys survive; a crash leaves the old one.

Imports only agent.config and agent.errors.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from agent.config.paths import make_private_dir
from agent.config.settings import Value
from agent.config.values import find_setting, parse
from agent.errors import ConfigError

_TRIES = 20
_BETWEEN_TRIES_S = 0.02


def save_setting(path: Path, name: str, given: object) -> Value:
    """Check and store one value. A secret is refused: it belongs to the SecretStore."""
    setting = find_setting(name, "command line")
    if setting.secret:
        raise ConfigError("config.secret_in_file", setting=name, source=str(path))
    value = parse(setting, given, "command line")
    section, _, key = name.partition(".")

    def edit(document: tomlkit.TOMLDocument) -> None:
        document.setdefault(section, tomlkit.table())[key] = value

    _rewrite(path, edit)
    return value


def drop_setting(path: Path, name: str) -> bool:
    """Back to the layer below. False when the file did not hold it."""
    find_setting(name, "command line")
    section, _, key = name.partition(".")
    dropped = False

    def edit(document: tomlkit.TOMLDocument) -> None:
        nonlocal dropped
        table = document.get(section)
        if isinstance(table, Table) and key in table:
            table.remove(key)
            dropped = True

    if path.exists():
        _rewrite(path, edit)
    return dropped


def write_atomic(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Temporary file in the same folder, fsync, rename: readers see the old or the new, whole."""
    make_private_dir(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        fresh.chmod(mode)
        _replace(fresh, path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _replace(fresh: Path, path: Path) -> None:
    """Windows refuses while somebody reads the old file, which takes a moment; others never do."""
    for _ in range(_TRIES - 1):
        try:
            fresh.replace(path)
        except PermissionError:
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return
    fresh.replace(path)


def _rewrite(path: Path, edit: Callable[[tomlkit.TOMLDocument], None]) -> None:
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        document = tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError):
        raise ConfigError(
            "config.bad_file", source=str(path), line=None, reason="not valid TOML"
        ) from None
    try:
        edit(document)
        write_atomic(path, tomlkit.dumps(document).encode(), mode=_mode_of(path))
    except OSError as error:
        raise ConfigError(
            "config.not_saved", source=str(path), reason=(error.strerror or "").lower()
        ) from None


def _mode_of(path: Path) -> int:
    """An administrator may have opened the file to a group; a rewrite keeps that."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return 0o600
