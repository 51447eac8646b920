"""What is found or went wrong is said in the practice's language; scripts see the same codes."""

from __future__ import annotations

import json

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


def test_errors(bridgework: Bridgework) -> None:
    wrong = bridgework(*SPANISH, "config", "get", "pms.hots")
    assert wrong.exit_code == ExitCode.USAGE
    assert "No existe el ajuste 'pms.hots'" in wrong.output


def test_wrong_settings_are_told_in_english(bridgework: Bridgework) -> None:
    wrong = bridgework("--set", "practice.language=fr", "status")
    assert wrong.exit_code == ExitCode.USAGE
    assert "practice.language cannot be 'fr'" in wrong.output
