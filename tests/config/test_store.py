"""Saving settings: what people wrote in the file survives, and so does the file."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from pathlib import Path

import pytest

from agent.config import Paths, load_settings
from agent.config.store import drop_setting, save_setting, write_atomic
from agent.errors import ConfigError

WRITTEN = """\
# the server under the stairs
[pms]
host = "srv1"  # not srv2
hots = "kept, though unknown"

[future]
thing = [1, 2]
"""


def test_comments_order_and_unknown_keys_survive(paths: Paths) -> None:
    paths.config_file.write_text(WRITTEN)
    save_setting(paths.config_file, "pms.host", "srv9")
    save_setting(paths.config_file, "sync.gate_ms", "75")
    text = paths.config_file.read_text()
    assert text.startswith(WRITTEN.replace("srv1", "srv9"))
    assert load_settings(home=paths.home, environ={}).sync.gate_ms == 75


def test_a_value_is_stored_with_its_type_in_a_new_file(home: Path) -> None:
    file = Paths.locate(home).config_file
    save_setting(file, "pms.port", "3307")
    save_setting(file, "log.json", "yes")
    assert file.read_text() == "[pms]\nport = 3307\n\n[log]\njson = true\n"


def test_unset_goes_back_to_the_layer_below(paths: Paths) -> None:
    paths.config_file.write_text(WRITTEN)
    assert drop_setting(paths.config_file, "pms.host") is True
    assert drop_setting(paths.config_file, "pms.host") is False
    assert "hots" in paths.config_file.read_text()
    assert load_settings(home=paths.home, environ={}).pms.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"), [("pms.port", "x"), ("pms.prot", 1), ("pms.password", "p")]
)
def test_nothing_wrong_or_secret_reaches_the_file(paths: Paths, name: str, value: object) -> None:
    paths.config_file.write_text(WRITTEN)
    with pytest.raises(ConfigError):
        save_setting(paths.config_file, name, value)
    assert paths.config_file.read_text() == WRITTEN


def test_a_broken_file_is_not_overwritten(paths: Paths) -> None:
    paths.config_file.write_text("[pms\n")
    with pytest.raises(ConfigError) as caught:
        save_setting(paths.config_file, "pms.host", "srv1")
    assert caught.value.code == "config.bad_file"
    assert paths.config_file.read_text() == "[pms\n"


def test_a_crash_before_the_rename_leaves_the_old_file(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.config_file.write_text(WRITTEN)

    def fail(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError) as caught:
        save_setting(paths.config_file, "pms.host", "srv9")
    assert caught.value.code == "config.not_saved"
    assert paths.config_file.read_text() == WRITTEN
    assert [p.name for p in paths.home.iterdir()] == ["config.toml"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX; Windows has the folder's ACL")
def test_files_are_private_unless_someone_opened_them(paths: Paths) -> None:
    save_setting(paths.config_file, "pms.host", "srv1")
    assert stat.S_IMODE(paths.config_file.stat().st_mode) == 0o600
    paths.config_file.chmod(0o640)
    save_setting(paths.config_file, "pms.host", "srv2")
    assert stat.S_IMODE(paths.config_file.stat().st_mode) == 0o640
    assert stat.S_IMODE(paths.home.stat().st_mode) == 0o700


def test_write_atomic_replaces_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "new" / "f", b"one")
    write_atomic(tmp_path / "new" / "f", b"2")
    assert (tmp_path / "new" / "f").read_bytes() == b"2"


def test_a_file_that_is_being_read_is_replaced_a_moment_later(tmp_path: Path) -> None:
    """On Windows an open file cannot be replaced: whoever reads the status must not stop it."""
    path = tmp_path / "status.json"
    write_atomic(path, b"old")
    opened = threading.Event()

    def read() -> None:
        with path.open("rb") as stream:
            opened.set()
            assert stream.read() == b"old"
            time.sleep(0.1)

    reader = threading.Thread(target=read)
    reader.start()
    assert opened.wait(10)
    write_atomic(path, b"new")
    reader.join()
    assert path.read_bytes() == b"new"


def test_what_can_never_be_replaced_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status.json"
    write_atomic(path, b"old")

    def refuse(_: Path, __: Path) -> Path:
        raise PermissionError(13, "sharing violation")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
