"""What the installer wrote, as settings. The registry itself is read on Windows only."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import layers, load_settings
from agent.config.registry import installed_settings, service_home
from agent.config.settings import Origin


def test_empty_values_say_nothing() -> None:
    found = {"ServerUrl": "https://crm.example", "Pms": "", "Proxy": "", "Version": "0.1.0"}
    assert installed_settings(found) == {"crm.url": "https://crm.example"}


def test_the_services_folder_only_where_there_is_a_service() -> None:
    folder = {"DataFolder": r"C:\ProgramData\Bridgework"}
    assert service_home(folder) == Path(r"C:\ProgramData\Bridgework")
    assert service_home(folder | {"Mode": "user"}) is None
    assert service_home({}) is None


def test_installer_beats_the_file_and_policy_beats_the_installer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text('[crm]\nurl = "https://file.example"\n')
    monkeypatch.setattr(layers, "read_installed", lambda: {"ServerUrl": "https://msi.example"})
    settings = load_settings(home=tmp_path, environ={})
    assert settings.crm.url == "https://msi.example"
    assert settings.origin("crm.url") is Origin.POLICY
    monkeypatch.setattr(layers, "read_policies", lambda: {"crm.url": "https://gpo.example"})
    assert load_settings(home=tmp_path, environ={}).crm.url == "https://gpo.example"
