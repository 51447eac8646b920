"""What is found or went wrong is said in the practice's language; scripts see the same codes."""

from __future__ import annotations

import json

import pytest

from agent.errors import ExitCode
from agent.support.messages import Catalogue
from tests.cli.conftest import Bridgework

SPANISH = ("--set", "practice.language=es")


def test_findings_of_the_doctor(bridgework: Bridgework) -> None:
    for asked, language in (((), "en"), (SPANISH, "es")):
        said = Catalogue.load(language).render("journal.none").title
        assert said in bridgework(*asked, "doctor").output
        as_json = json.loads(bridgework(*asked, "doctor", "--json").output)
        texts = {f["code"]: f["text"] for check in as_json["checks"] for f in check["findings"]}
        assert texts["journal.none"] == said


def test_a_report_is_in_one_language_and_a_persons_own_comes_first(
    bridgework: Bridgework, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headings and findings; ``BRIDGEWORK_LANGUAGE`` is this person's."""
    spanish = bridgework(*SPANISH, "status").output
    assert "Cambio más antiguo por enviar" in spanish
    assert "Oldest" not in spanish
    assert "Este ordenador" in bridgework(*SPANISH, "doctor").output
    monkeypatch.setenv("BRIDGEWORK_LANGUAGE", "en")
    assert "Oldest change not sent yet" in bridgework(*SPANISH, "status").output
    monkeypatch.setenv("BRIDGEWORK_LANGUAGE", "es")
    assert "Cambio más antiguo" in bridgework("status").output
    monkeypatch.setenv("BRIDGEWORK_LANGUAGE", "../en")
    assert "Cambio más antiguo" in bridgework(*SPANISH, "status").output


def test_errors(bridgework: Bridgework) -> None:
    wrong = bridgework(*SPANISH, "config", "get", "pms.hots")
    assert wrong.exit_code == ExitCode.USAGE
    assert "No existe el ajuste 'pms.hots'" in wrong.output


def test_wrong_settings_are_told_in_english(bridgework: Bridgework) -> None:
    wrong = bridgework("--set", "practice.language=fr", "status")
    assert wrong.exit_code == ExitCode.USAGE
    assert "practice.language cannot be 'fr'" in wrong.output
