"""A keyring in a file, so that pictures show a computer that has one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class Keys(KeyringBackend):
    priority = 5  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        held = self._read()
        held.pop(f"{service}/{username}", None)
        self._write(held)

    def _file(self) -> Path:
        return Path(os.environ["BRIDGEWORK_TEST_KEYS"])

    def _read(self) -> dict[str, str]:
        file = self._file()
        found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def _write(self, held: dict[str, str]) -> None:
        self._file().write_text(json.dumps(held))
