"""Secrets: keyring first, a stated fallback, and never a silent change between them. The seal."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import keyring.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import fail

from agent.config import Paths, PayloadSeal, Settings, open_secrets
from agent.config.secrets import JOURNAL_KEY, FileSecrets, SecretsUnavailable, read_secret
from agent.errors import ConfigError, ExitCode, JournalError


class Shelf(KeyringBackend):
    """A keyring in memory that can be locked."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if self.kept.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError

    def _check(self) -> None:
        if self.is_locked:
            raise keyring.errors.KeyringLocked


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def test_the_keyring_is_used_where_there_is_one(paths: Paths, shelf: Shelf) -> None:
    store = open_secrets(paths, backend=shelf)
    store.set("pms.password", "pässword")
    assert store.get("pms.password") == "pässword"
    assert (store.is_fallback, store.findings()) == (False, ())
    assert [name for _, name in shelf.kept] == ["pms.password"]
    assert "ssword" not in "".join(p.read_text() for p in paths.home.rglob("*") if p.is_file())
    store.delete("pms.password")
    store.delete("pms.password")
    assert store.get("pms.password") is None


def test_without_a_keyring_the_fallback_is_used_and_said(paths: Paths) -> None:
    store = open_secrets(paths, backend=fail.Keyring())
    assert store.is_fallback
    assert [f.code for f in store.findings()] == ["secrets.fallback_file"]
    store.set("pms.password", "p")
    assert open_secrets(paths, backend=fail.Keyring()).get("pms.password") == "p"
    store.delete("pms.password")
    assert store.get("pms.password") is None


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX; Windows has the folder's ACL")
def test_fallback_files_are_private(paths: Paths) -> None:
    open_secrets(paths, backend=fail.Keyring()).set("pms.password", "p")
    assert stat.S_IMODE((paths.secrets_dir / "pms.password").stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.secrets_dir.stat().st_mode) == 0o700


def test_a_keyring_that_is_gone_is_never_replaced_by_an_empty_file(
    paths: Paths, shelf: Shelf
) -> None:
    PayloadSeal.from_store(open_secrets(paths, backend=shelf))
    shelf.is_locked = True
    with pytest.raises(SecretsUnavailable) as caught:
        open_secrets(paths, backend=shelf)
    assert caught.value.exit_code == ExitCode.ACTION
    with pytest.raises(SecretsUnavailable):
        open_secrets(paths, backend=fail.Keyring())
    assert not paths.secrets_dir.exists()


def test_a_keyring_that_appears_later_does_not_hide_the_files(paths: Paths, shelf: Shelf) -> None:
    open_secrets(paths, backend=fail.Keyring()).set("pms.password", "p")
    assert open_secrets(paths, backend=shelf).get("pms.password") == "p"


def test_a_keyring_locked_in_between_is_one_clear_error(paths: Paths, shelf: Shelf) -> None:
    store = open_secrets(paths, backend=shelf)
    shelf.is_locked = True
    for attempt in (
        lambda: store.get("a"),
        lambda: store.set("a", "b"),
        lambda: store.delete("a"),
    ):
        with pytest.raises(SecretsUnavailable):
            attempt()


def test_two_installations_share_nothing_and_a_moved_one_keeps_its_own(
    tmp_path: Path, shelf: Shelf
) -> None:
    one, two = Paths(tmp_path / "one"), Paths(tmp_path / "two")
    open_secrets(one, backend=shelf).set("pms.password", "p")
    assert open_secrets(two, backend=shelf).get("pms.password") is None
    moved = Paths(one.home.rename(tmp_path / "moved"))
    assert open_secrets(moved, backend=shelf).get("pms.password") == "p"


def test_a_damaged_choice_is_not_guessed(paths: Paths, shelf: Shelf) -> None:
    paths.secrets_choice.write_text("")
    with pytest.raises(SecretsUnavailable):
        open_secrets(paths, backend=shelf)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "a..b", "a\0b"])
def test_a_secret_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="secret names"):
        FileSecrets(tmp_path).set(name, "x")


def test_environment_and_flags_beat_the_store(
    paths: Paths, settings_with: Callable[..., Settings]
) -> None:
    store = open_secrets(paths, backend=fail.Keyring())
    store.set("pms.password", "stored")
    assert read_secret(settings_with(), store, "pms.password") == "stored"
    given_now = settings_with(**{"pms.password": "flag"})
    assert read_secret(given_now, store, "pms.password") == "flag"
    with pytest.raises(ConfigError):
        read_secret(given_now, store, "pms.host")


# --- the seal -----------------------------------------------------------------------------------

SEAL = PayloadSeal(bytes(range(32)))


@given(plain=st.binary(max_size=500), context=st.binary(max_size=50))
def test_what_is_sealed_opens(plain: bytes, context: bytes) -> None:
    sealed = SEAL.seal(plain, context)
    assert SEAL.open(sealed, context) == plain
    assert len(sealed) == len(plain) + 29
    assert sealed != SEAL.seal(plain, context)  # a fresh nonce each time


@given(spot=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_one_changed_byte_anywhere_is_noticed(spot: int, flip: int) -> None:
    sealed = bytearray(SEAL.seal(b"Anna Example", b"patient:7"))
    sealed[spot % len(sealed)] ^= flip
    with pytest.raises(JournalError) as caught:
        SEAL.open(bytes(sealed), b"patient:7")
    assert caught.value.code == "journal.seal_broken"


def test_a_payload_moved_to_another_row_or_key_does_not_open() -> None:
    sealed = SEAL.seal(b"x", b"patient:7")
    for seal, context in ((SEAL, b"patient:8"), (PayloadSeal(bytes(32)), b"patient:7")):
        with pytest.raises(JournalError):
            seal.open(sealed, context)
    for torn in (b"", sealed[:1], sealed[:28], sealed[:-1]):
        with pytest.raises(JournalError):
            SEAL.open(torn, b"patient:7")


def test_the_key_is_made_once_and_kept(paths: Paths) -> None:
    store = open_secrets(paths, backend=fail.Keyring())
    sealed = PayloadSeal.from_store(store).seal(b"x", b"")
    again = open_secrets(paths, backend=fail.Keyring())
    assert PayloadSeal.from_store(again, may_create=False).open(sealed, b"") == b"x"


def test_a_lost_or_damaged_key_is_said_and_not_replaced(paths: Paths) -> None:
    store = open_secrets(paths, backend=fail.Keyring())
    with pytest.raises(JournalError) as caught:
        PayloadSeal.from_store(store, may_create=False)
    assert caught.value.code == "journal.key_missing"
    assert store.get(JOURNAL_KEY) is None
    store.set(JOURNAL_KEY, "bm90IGEga2V5")
    with pytest.raises(JournalError) as caught:
        PayloadSeal.from_store(store)
    assert caught.value.code == "journal.key_damaged"
