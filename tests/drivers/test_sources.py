"""From settings to a source: which wins, what is refused, and that nothing is contacted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config import Settings, load_settings
from agent.errors import ConfigError
from agent.runtime.sources import open_source
from drivers.opendental.source import OpenDentalSource
from drivers.registry import SourceSettings, make_source
from drivers.sample.source import SampleSource

XML = (
    "<ConnectionSettings><DatabaseConnection><ComputerName>SERVER1:3310</ComputerName>"
    "<Database>od</Database><User>root</User><Password>from-file</Password>"
    "</DatabaseConnection></ConnectionSettings>"
)


class NoSecrets:
    def __init__(self, **held: str) -> None:
        self._held = {name.replace("__", "."): value for name, value in held.items()}

    def get(self, name: str) -> str | None:
        return self._held.get(name)


def settings_of(tmp_path: Path, **changed: str) -> Settings:
    flags = {name.replace("__", "."): value for name, value in changed.items()}
    return load_settings(flags, home=tmp_path, environ={})


def login_of(source: Any) -> Any:
    assert isinstance(source, OpenDentalSource)
    return source._login


def test_settings_alone(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, pms__host="10.0.0.9", pms__port="3307")
    login = login_of(open_source(settings, NoSecrets(pms__password="s3")))  # type: ignore[arg-type]
    assert (login.host, login.port, login.database, login.user, login.password) == (
        "10.0.0.9", 3307, "opendental", "bridgework", "s3",
    )  # fmt: skip


def test_open_dentals_file_fills_what_nobody_set(tmp_path: Path) -> None:
    file = tmp_path / "FreeDentalConfig.xml"
    file.write_text(XML)
    settings = settings_of(tmp_path, pms__config_file=str(file), pms__user="reader")
    login = login_of(open_source(settings, NoSecrets()))  # type: ignore[arg-type]
    assert (login.host, login.port, login.database) == ("SERVER1", 3310, "od")
    assert (login.user, login.password) == ("reader", "from-file")
    kept = login_of(open_source(settings, NoSecrets(pms__password="ours")))  # type: ignore[arg-type]
    assert kept.password == "ours"


def test_a_file_without_a_database_is_a_setting_error(tmp_path: Path) -> None:
    file = tmp_path / "FreeDentalConfig.xml"
    file.write_text("<ConnectionSettings><ServerConnection/></ConnectionSettings>")
    settings = settings_of(tmp_path, pms__config_file=str(file))
    with pytest.raises(ConfigError) as caught:
        open_source(settings, NoSecrets())  # type: ignore[arg-type]
    assert caught.value.code == "pms.middle_tier"


def test_the_sample_needs_its_file(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, pms__kind="sample", pms__sqlite_path=str(tmp_path / "p.db"))
    assert isinstance(open_source(settings, NoSecrets()), SampleSource)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        make_source(SourceSettings("sample"))
    with pytest.raises(ConfigError):
        make_source(SourceSettings("paper"))


def test_what_is_secret_is_not_shown() -> None:
    assert "s3cret" not in repr(SourceSettings("opendental", password="s3cret"))
