"""Secrets: the operating system's keyring, with a stated fallback; and the seal of the journal.

The only module that imports keyring. Imports of ours: agent.config, agent.errors, agent.model.
"""

from __future__ import annotations

import base64
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import keyring
import keyring.errors
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyring.backend import KeyringBackend
from keyring.backends import fail, null

from agent.config.paths import Paths, make_private_dir
from agent.config.settings import Settings
from agent.config.store import write_atomic
from agent.config.values import find_setting
from agent.errors import ConfigError, ExitCode, JournalError
from agent.model.reading import Finding, Severity

JOURNAL_KEY = "journal.key"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_FORMAT = b"\x01"
_NONCE_BYTES = 12


class SecretsUnavailable(ConfigError):
    """The keyring this installation keeps its secrets in does not answer.

    Going on with an empty store would make a new journal key and lock us out of our own journal.
    """

    code = "secrets.unavailable"
    exit_code = ExitCode.ACTION


class Secrets(Protocol):
    """agent.ports.SecretStore, plus whether it is the fallback."""

    @property
    def is_fallback(self) -> bool: ...
    def get(self, name: str) -> str | None: ...
    def set(self, name: str, value: str) -> None: ...
    def delete(self, name: str) -> None: ...
    def findings(self) -> tuple[Finding, ...]: ...


class KeyringSecrets:
    """In the keyring under ``service``. Windows caps a value near 1,200 characters: keys fit."""

    is_fallback = False

    def __init__(self, service: str, backend: KeyringBackend) -> None:
        self._service = service
        self._backend = backend

    def get(self, name: str) -> str | None:
        try:
            return self._backend.get_password(self._service, _checked(name))
        except keyring.errors.KeyringError as error:
            raise SecretsUnavailable(reason=type(error).__name__) from None

    def set(self, name: str, value: str) -> None:
        try:
            self._backend.set_password(self._service, _checked(name), value)
        except keyring.errors.KeyringError as error:
            raise SecretsUnavailable(reason=type(error).__name__) from None

    def delete(self, name: str) -> None:
        try:
            self._backend.delete_password(self._service, _checked(name))
        except keyring.errors.PasswordDeleteError:
            return
        except keyring.errors.KeyringError as error:
            raise SecretsUnavailable(reason=type(error).__name__) from None

    def findings(self) -> tuple[Finding, ...]:
        return ()


class FileSecrets:
    """One file (0600) per secret in the agent's folder; two writers cannot lose each other's.

    Protects against other accounts of the machine, not against who can read the disk; hence
    the finding, which stands in status and doctor for as long as the fallback is in use.
    """

    is_fallback = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> str | None:
        try:
            return (self._folder / _checked(name)).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise SecretsUnavailable(reason=type(error).__name__) from None

    def set(self, name: str, value: str) -> None:
        path = self._folder / _checked(name)
        try:
            make_private_dir(self._folder)
            write_atomic(path, value.encode())
        except OSError as error:
            raise SecretsUnavailable(reason=type(error).__name__) from None

    def delete(self, name: str) -> None:
        (self._folder / _checked(name)).unlink(missing_ok=True)

    def findings(self) -> tuple[Finding, ...]:
        return (Finding("secrets.fallback_file", Severity.WARNING, {"folder": str(self._folder)}),)


def open_secrets(paths: Paths, *, backend: KeyringBackend | None = None) -> Secrets:
    """The store this installation began with; the choice is made once and remembered.

    ``backend`` replaces the system's keyring (tests). SecretsUnavailable when the installation
    uses the keyring and it is not there: the file is never taken up silently in its place.
    """
    found = keyring.get_keyring() if backend is None else backend
    usable = _is_usable(found)
    chosen = _read_choice(paths)
    if chosen is None:
        # A name of its own, kept beside the journal: installations on one machine do not share
        # secrets, and a folder that is moved keeps its own.
        chosen = ("keyring" if usable else "file", f"bridgework-{uuid.uuid4().hex[:12]}")
        write_atomic(paths.secrets_choice, " ".join(chosen).encode())
    kind, service = chosen
    if kind == "file":
        return FileSecrets(paths.secrets_dir)
    if not usable:
        raise SecretsUnavailable(reason="no keyring")
    return KeyringSecrets(service, found)


def read_secret(settings: Settings, store: Secrets, name: str) -> str | None:
    """The secret of setting ``name``: environment or flag if given, else the store."""
    if not find_setting(name, "secret").secret:
        raise ConfigError("config.unknown_setting", setting=name, source="secret", nearest=None)
    if name in settings.origins:
        return str(settings.value(name))
    return store.get(name)


class PayloadSeal:
    """agent.journal.journal.Seal: AES-256-GCM, one random 96-bit nonce per payload.

    Layout: version byte, nonce (12), ciphertext with tag (16). ``context`` (table, stream, key …)
    is authenticated, so a payload moved to another row does not open. The key is made at first use.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_store(cls, store: Secrets, *, may_create: bool = True) -> PayloadSeal:
        """``may_create=False`` where a journal exists already: then a missing key is an error."""
        text = store.get(JOURNAL_KEY)
        if text is None:
            if not may_create:
                raise JournalError("journal.key_missing")
            store.set(JOURNAL_KEY, base64.b64encode(AESGCM.generate_key(256)).decode())
            # Read back: of two who create at once both go on with the one that stayed, and a
            # store that forgets is found out before anything is sealed.
            text = store.get(JOURNAL_KEY)
        try:
            key = base64.b64decode(text or "", validate=True)
            return cls(key)
        except ValueError:
            raise JournalError("journal.key_damaged") from None

    def seal(self, plain: bytes, context: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _FORMAT + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """JournalError("journal.seal_broken"): other key, other row, or changed bytes."""
        if sealed[:1] != _FORMAT or len(sealed) < 1 + _NONCE_BYTES + 16:
            raise JournalError("journal.seal_broken")
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, _FORMAT + context)
        except InvalidTag:
            raise JournalError("journal.seal_broken") from None


def secret_states(settings: Settings, store: Secrets, names: list[str]) -> Mapping[str, bool]:
    """Which of these secret settings hold something; the values stay where they are."""
    return {name: bool(read_secret(settings, store, name)) for name in names}


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or ".." in name:
        raise ValueError("secret names are lower case words with dots")
    return name


def _read_choice(paths: Paths) -> tuple[str, str] | None:
    try:
        kind, service = paths.secrets_choice.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise SecretsUnavailable(reason="secrets.backend is damaged") from None
    return kind, service


def _is_usable(backend: KeyringBackend) -> bool:
    """A backend that exists may still be locked or have no session bus behind it: ask it."""
    if isinstance(backend, fail.Keyring | null.Keyring):
        return False
    try:
        backend.get_password("bridgework", "probe")
    except Exception:  # noqa: BLE001 - backends raise what they like: DBus, pywin32, OSError
        return False
    return True
