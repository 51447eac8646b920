"""Layers of settings: who wins, and what a wrong value says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.config import MANIFEST, Origin, Paths, Settings, load_settings
from agent.config.settings import SECTIONS
from agent.config.values import nearest, parse
from agent.errors import ConfigError, ExitCode


def _load(home: Path, env: dict[str, str] | None = None, **flags: object) -> Settings:
    return load_settings(flags, home=home, environ=env or {})


def _write(paths: Paths, text: str) -> None:
    paths.config_file.write_text(text, encoding="utf-8")


def test_defaults_stand_alone(home: Path) -> None:
    settings = _load(home)
    assert (settings.pms.kind, settings.pms.port, settings.sync.gate_ms) == ("opendental", 3306, 50)
    assert settings.origin("pms.port") is Origin.DEFAULT
    assert not home.exists()  # reading settings leaves no trace


def test_each_layer_beats_the_one_below(paths: Paths, tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"pms": {"port": 3, "user": "p", "database": "p"}}))
    _write(paths, '[pms]\nport = 2\nuser = "f"\ndatabase = "f"\nhost = "f"\n')
    env = {
        "BRIDGEWORK_POLICY": str(policy),
        "BRIDGEWORK_PMS_PORT": "4",
        "BRIDGEWORK_PMS_USER": "e",
    }
    settings = _load(paths.home, env, **{"pms.port": "5"})
    pms = settings.pms
    assert (pms.port, pms.user, pms.database, pms.host) == (5, "e", "p", "f")
    names = ("pms.port", "pms.user", "pms.database", "pms.host", "pms.kind")
    assert [settings.origin(n).value for n in names] == [
        "flag",
        "env",
        "policy",
        "file",
        "default",
    ]


def test_every_setting_can_be_set_by_environment_and_read_back(home: Path) -> None:
    env = {s.env: str(s.default) for s in MANIFEST.values()}
    assert len(env) == len(MANIFEST) >= 30
    settings = _load(home, env)
    for name, setting in MANIFEST.items():
        assert settings.value(name) == setting.default
        assert type(settings.value(name)) is setting.type
        assert settings.origin(name) is Origin.ENV


@pytest.mark.parametrize("setting", MANIFEST.values(), ids=lambda s: s.name)
def test_the_manifest_is_sound(setting: Any) -> None:
    assert parse(setting, setting.default, "default") == setting.default or setting.default == ""
    assert setting.help.endswith(".")
    assert setting.name.partition(".")[0] in SECTIONS
    if setting.type in {int, float} and not setting.choices:
        assert setting.min is not None
        assert setting.max is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pms.port", "0"),
        ("pms.port", "65536"),
        ("pms.port", "33o6"),
        ("pms.port", "3306.5"),
        ("pms.port", 3306.0),
        ("pms.port", True),
        ("pms.port", ""),
        ("pms.host", ""),
        ("pms.host", "srv 1"),
        ("pms.host", "srv1\nx"),
        ("pms.kind", "softdent"),
        ("pms.max_duty", "nan"),
        ("pms.max_duty", "inf"),
        ("pms.max_duty", "1.01"),
        ("crm.url", "ftp://crm.example"),
        ("crm.url", "crm.example"),
        ("crm.url", "https://me:pw@crm.example"),
        ("crm.url", "https://crm.example:99999"),
        ("log.json", "maybe"),
        ("log.json", 2.5),
        ("practice.zone", "Mars/Olympus"),
        ("practice.zone", "../../etc/passwd"),
        ("journal.dir", ["a"]),
    ],
)
def test_a_wrong_value_names_setting_value_source_and_what_is_allowed(
    home: Path, name: str, value: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(home, **{name: value})
    facts = caught.value.facts
    assert caught.value.code == "config.bad_value"
    assert caught.value.exit_code == ExitCode.USAGE == 2
    assert facts["setting"] == name
    assert facts["source"] == "--set"
    assert facts["allowed"] == MANIFEST[name].allowed
    assert "\n" not in str(facts["value"])


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("log.json", "YES", True),
        ("log.json", "0", False),
        ("pms.max_duty", 1, 1.0),
        ("sync.overlap_s", "1_200", 1200),
        ("practice.zone", "America/Chicago", "America/Chicago"),
        ("crm.url", " https://crm.example/base ", "https://crm.example/base"),
        ("pms.host", "fe80::1%eth0", "fe80::1%eth0"),
        ("pms.password", " spaces stay ", " spaces stay "),
    ],
)
def test_values_are_taken_as_people_write_them(
    home: Path, name: str, given: object, value: object
) -> None:
    found = _load(home, **{name: given}).value(name)
    assert found == value
    assert type(found) is type(value)


def test_a_wrong_secret_is_not_repeated(home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(home, **{"pms.password": "hunter2\x00"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("layer", ["file", "policy"])
def test_a_secret_in_a_file_is_refused(paths: Paths, tmp_path: Path, layer: str) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("")
    bad = paths.config_file if layer == "file" else policy
    bad.write_text('[pms]\npassword = "hunter2"\n')
    with pytest.raises(ConfigError) as caught:
        _load(paths.home, {"BRIDGEWORK_POLICY": str(policy)})
    assert caught.value.code == "config.secret_in_file"
    assert caught.value.facts == {"setting": "pms.password", "source": str(bad)}


def test_secrets_do_not_show_in_repr(home: Path) -> None:
    settings = _load(home, **{"pms.password": "hunter2"})
    assert settings.pms.password == "hunter2"
    assert "hunter2" not in repr(settings)


def test_an_unknown_name_in_a_flag_is_an_error_with_the_nearest(home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(home, **{"sync.gate": 5})
    assert caught.value.code == "config.unknown_setting"
    assert caught.value.facts["nearest"] == "sync.gate_ms"


def test_an_unknown_name_elsewhere_is_a_finding_and_stops_nothing(paths: Paths) -> None:
    _write(paths, "[pms]\nhots = 'x'\n[future]\nthing = 1\n")
    settings = _load(paths.home, {"BRIDGEWORK_SYNC_GATEMS": "1", "BRIDGEWORK_REQUIRE": "x"})
    told = {f.facts["setting"]: f.facts["nearest"] for f in settings.findings}
    assert told == {
        "pms.hots": "pms.host",
        "future.thing": None,
        "BRIDGEWORK_SYNC_GATEMS": "BRIDGEWORK_SYNC_GATE_MS",
    }


@pytest.mark.parametrize(
    ("typed", "meant"), [("gate_ms", "sync.gate_ms"), ("pms.prot", "pms.port"), ("zzz", None)]
)
def test_nearest(typed: str, meant: str | None) -> None:
    assert nearest(typed, MANIFEST) == meant


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"[pms]\nhost = SRV1 hunter2\n", 2), (b"[pms]\nhost = 'x'\n\xff", None)],
)
def test_a_broken_file_is_named_with_its_line_and_not_quoted(
    paths: Paths, content: bytes, line: int | None
) -> None:
    paths.config_file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        _load(paths.home)
    assert caught.value.code == "config.bad_file"
    assert caught.value.facts["source"] == str(paths.config_file)
    assert caught.value.facts["line"] == line
    assert "hunter2" not in str(caught.value)


def test_a_named_policy_that_is_missing_stops_the_start(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(home, {"BRIDGEWORK_POLICY": str(tmp_path / "gone.toml")})
    assert caught.value.code == "config.no_policy"


def test_flags_as_text(home: Path) -> None:
    settings = load_settings(["pms.host = srv1", "crm.url=https://a/?x=y"], home=home, environ={})
    assert (settings.pms.host, settings.crm.url) == ("srv1", "https://a/?x=y")
    with pytest.raises(ConfigError) as caught:
        load_settings(["pms.host"], home=home, environ={})
    assert caught.value.code == "config.bad_flag"


def test_a_notepad_file_with_byte_order_mark_is_read(paths: Paths) -> None:
    paths.config_file.write_bytes(b"\xef\xbb\xbf[pms]\r\nhost = 'srv1'\r\n")
    assert _load(paths.home).pms.host == "srv1"


def test_home_flag_beats_environment(tmp_path: Path) -> None:
    env = {"BRIDGEWORK_HOME": str(tmp_path / "env")}
    assert load_settings(environ=env).paths.home == tmp_path / "env"
    assert load_settings(home=tmp_path / "flag", environ=env).paths.home == tmp_path / "flag"


def test_the_journal_folder_can_be_moved(home: Path, tmp_path: Path) -> None:
    assert _load(home).journal_dir == home / "journal"
    assert _load(home, **{"journal.dir": str(tmp_path)}).journal_dir == tmp_path
