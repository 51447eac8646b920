"""``bridgework pair`` as a person or a script runs it, against the reference server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from keyring.backends import null

import agent.config.secrets as secrets_module
from agent.cli import main
from agent.config import load_settings
from agent.errors import ExitCode
from agent.sandbox.crm import CrmServer


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_module.keyring, "get_keyring", null.Keyring)


def run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), "pair", *words])


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_pair_status_rotate(server: CrmServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    result = run(home, "--status", "--json")
    assert (result.exit_code, told(result)["paired"]) == (ExitCode.ACTION, False)

    result = run(home, server.new_code(), "--url", server.url + "/", "--json")
    assert result.exit_code == 0, result.output
    first = told(result)
    assert first["works"] is True
    assert first["practice_name"] == "Willow Creek Dental"
    settings = load_settings(home=home, environ={})
    assert (settings.crm.url, settings.crm.client_id) == (server.url, first["client_id"])

    rotated = told(run(home, "--rotate", "--json"))
    assert rotated["kid"] != first["kid"]
    assert rotated["works"] is True
    shown = run(home, "--status")
    assert shown.exit_code == 0
    assert "Linked to Willow Creek Dental (demo)" in shown.stdout
    assert rotated["kid"] in shown.stdout

    server.revoke(first["client_id"])
    revoked = run(home, "--status", "--json")
    assert revoked.exit_code == ExitCode.ACTION
    assert told(revoked)["error"]["code"] == "crm.auth_revoked"


def test_what_goes_wrong_is_one_clear_line(server: CrmServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for words, exit_code, code in [
        (("ABCD-EFGH",), ExitCode.USAGE, "crm.url_missing"),
        (("ABCD-EFGH", "--url", server.url), ExitCode.ACTION, "crm.code_refused"),
        (("A?", "--url", server.url), ExitCode.USAGE, "crm.code_invalid"),
        (("ABCD-EFGH", "--url", "http://crm.example"), ExitCode.USAGE, "crm.url_not_https"),
        (("ABCD-EFGH", "--url", "http://127.0.0.1:9"), ExitCode.CRM, "crm.unreachable"),
        (("--rotate",), ExitCode.ACTION, "crm.not_paired"),
    ]:
        result = run(home, *words)
        assert result.exit_code == exit_code, (words, result.output)
        assert f"[{code}]" in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert run(home, "ABCD-EFGH", "--rotate").exit_code == ExitCode.USAGE
    assert not (home / "config.toml").exists()


def test_the_private_key_is_in_the_secret_store_and_nowhere_else(
    server: CrmServer, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    result = run(home, server.new_code(), "--url", server.url)
    assert result.exit_code == 0, result.output
    holding = [
        path.relative_to(home).as_posix()
        for path in home.rglob("*")
        if path.is_file() and '"d":' in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert holding == ["secrets/crm.pairing"]
    if os.name == "posix":  # elsewhere the rights are the folder's
        assert (home / "secrets" / "crm.pairing").stat().st_mode & 0o077 == 0
