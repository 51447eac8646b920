"""Which writer the settings give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config import Settings
from agent.config.paths import Paths
from agent.config.settings import PmsSettings
from agent.errors import PmsUnavailable
from agent.model.effects import Effect, EffectKind, WriteRefused
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream
from agent.runtime.sources import open_writer
from drivers.opendental.api.writer import ApiWriter
from drivers.opendental.direct.writer import DirectWriter
from drivers.registry import SourceSettings, WriterSettings, make_writer
from drivers.writers import IfAnyAnswers, NoWriter
from tests.drivers.conftest import FilePractice
from tests.drivers.writing import ROBIN, refill

SERVER = SourceSettings("opendental", host="127.0.0.1", port=1, user="r", password="pencil-7")
KEYS = {"developer_key": "dev-secret", "customer_key": "cust-secret"}
NOTHING = Effect(EffectKind.NOTE_APPOINTMENT, Stream.APPOINTMENT, 1, {"note": "x"})


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"how": "auto"}, NoWriter),
        ({"how": "auto", **KEYS}, IfAnyAnswers),
        ({"how": "api"}, NoWriter),
        ({"how": "api", **KEYS}, ApiWriter),
        ({"how": "sql"}, DirectWriter),
        ({"how": "sql", "sql_writes": True}, NoWriter),
        ({"how": "sql", "sql_writes": True, "write_user": "w"}, DirectWriter),
        ({"how": "none", **KEYS}, NoWriter),
    ],
)
def test_the_settings_decide(settings: dict[str, Any], kind: type[Any]) -> None:
    writer = make_writer(SERVER, WriterSettings(**settings))
    assert type(writer) is kind
    writer.close()


@pytest.mark.parametrize(
    ("settings", "code", "severity"),
    [
        ({"how": "none"}, "write.switched_off", Severity.NOTE),
        ({"how": "auto"}, "write.api_no_keys", Severity.NOTE),
        ({"how": "api"}, "write.api_no_keys", Severity.WARNING),
        ({"how": "sql"}, "write.sql_not_allowed", Severity.WARNING),
        ({"how": "sql", "sql_writes": True}, "write.sql_no_login", Severity.WARNING),
    ],
)
def test_where_nothing_may_be_written_it_says_why(
    settings: dict[str, Any], code: str, severity: Severity
) -> None:
    writer = make_writer(SERVER, WriterSettings(**settings))
    facts = writer.probe()
    assert (facts.kind, facts.abilities) == ("none", frozenset())
    assert facts.missing == dict.fromkeys(EffectKind, code)
    assert [(f.code, f.severity) for f in facts.findings] == [(code, severity)]
    with pytest.raises(WriteRefused) as caught:
        writer.write(NOTHING)
    assert caught.value.code == code


def test_a_database_that_is_away_is_no_reason_for_desk_tasks() -> None:
    writer = make_writer(SERVER, WriterSettings(how="auto", **KEYS))
    with pytest.raises(PmsUnavailable):
        writer.probe()
    writer.close()


def test_secrets_do_not_show() -> None:
    writer = make_writer(SERVER, WriterSettings(how="api", write_password="scribe-9", **KEYS))
    shown = f"{WriterSettings(write_password='scribe-9', **KEYS)} {SERVER} {vars(writer)}"
    for secret in ("dev-secret", "cust-secret", "scribe-9", "pencil-7"):
        assert secret not in shown


class NoSecrets:
    """A store that holds nothing."""

    is_fallback = False

    def get(self, name: str) -> str | None:
        return None

    def set(self, name: str, value: str) -> None:
        raise AssertionError

    def delete(self, name: str) -> None:
        raise AssertionError

    def findings(self) -> tuple[Finding, ...]:
        return ()


def test_the_demo_is_written_two_ways_without_any_server(tmp_path: Path) -> None:
    path = tmp_path / "practice.db"
    practice = FilePractice(path)
    refill(practice.run)
    settings = Settings(
        paths=Paths.locate(tmp_path),
        pms=PmsSettings(kind="sample", sqlite_path=str(path)),
    )
    writer = open_writer(settings, NoSecrets())
    facts = writer.probe()
    assert facts.kind == "sql"
    assert "write.sql_direct" not in {finding.code for finding in facts.findings}
    assert EffectKind.BOOK in facts.abilities
    fields = {"city": "Springfield"}
    writer.write(Effect(EffectKind.UPDATE_PATIENT, Stream.PATIENT, ROBIN, fields))
    found = practice.link.execute("SELECT City,DateTStamp FROM patient WHERE PatNum=11").fetchone()
    assert found[0] == "Springfield"
    writer.close()
    practice.link.close()
