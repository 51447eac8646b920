"""The maker's sign-in program: a real process, asked once, its string kept and dropped."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.config import load_settings
from agent.errors import ConfigError, PmsRefused, PmsSetup
from agent.model.reading import Finding
from agent.runtime.signin import (
    CODES,
    CONNECTION,
    SIGNED_IN,
    SignedSource,
    SignIn,
    Told,
    eaglesoft_settings,
    registered,
)
from agent.runtime.sources import open_source, open_writer
from drivers.dentrix.source import DentrixSource
from drivers.eaglesoft.settings_object import command
from drivers.eaglesoft.source import EaglesoftSource


class Held(dict[str, str]):
    """A store of secrets in memory."""

    is_fallback = False

    def set(self, name: str, value: str) -> None:
        self[name] = value

    def delete(self, name: str) -> None:
        self.pop(name, None)

    def findings(self) -> tuple[Finding, ...]:
        return ()


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., str]:
    """A program that prints these lines, one at each start, and counts its starts."""

    def make(*answers: object) -> str:
        for number, answer in enumerate(answers):
            text = answer if isinstance(answer, str) else json.dumps(answer)
            (tmp_path / f"answer{number}").write_text(text)
        file = tmp_path / "signin"
        file.write_text(
            "#!/bin/sh\n"
            f"cd {tmp_path}\n"
            "n=$(cat starts 2>/dev/null || echo 0); echo $((n+1)) > starts\n"
            'cat "answer$n" 2>/dev/null || cat answer0\n'
        )
        file.chmod(0o755)
        return str(file)

    return make


def starts(tmp_path: Path) -> int:
    file = tmp_path / "starts"
    return int(file.read_text()) if file.exists() else 0


def test_asked_once_and_kept(program: Callable[..., str], tmp_path: Path) -> None:
    held = Held()
    good = {"result": 0, "version": 16.2, "connection": "DRIVER={x};UID=a;PWD=b"}
    sign_in = SignIn(registered(program(good)), held)
    assert sign_in.told() == Told(0, 16.2, "DRIVER={x};UID=a;PWD=b")
    assert SignIn(registered("/nowhere"), held).told() == Told(0, 16.2, "DRIVER={x};UID=a;PWD=b")
    assert starts(tmp_path) == 1
    assert "PWD" not in repr(sign_in.told())


def test_a_string_from_it_is_never_dropped() -> None:
    held = Held({CONNECTION: "DSN=office"})
    assert SignIn(registered("/nowhere"), held).drop() is False
    assert held == {CONNECTION: "DSN=office"}


@pytest.mark.parametrize(("result", "code"), sorted(CODES.items()))
def test_what_the_maker_answers_is_said(
    program: Callable[..., str], result: int, code: str
) -> None:
    held = Held()
    with pytest.raises(PmsSetup) as refused:
        SignIn(registered(program({"result": result})), held).told()
    assert refused.value.code == code
    assert held == {}


@pytest.mark.parametrize("said", ["", "no json", "{", '["x"]'])
def test_a_program_that_says_nothing_useful(program: Callable[..., str], said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        SignIn(registered(program(said)), Held()).told()
    assert wrong.value.code == "config.sign_in_failed"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ConfigError):
        SignIn(registered("/nowhere/at/all"), Held()).told()


class Practice:
    """Stands for the database: refuses the strings it does not know."""

    kind = "dentrix"

    def __init__(self, told: Told, good: str, tried: list[str]) -> None:
        self._told, self._good, self._tried = told, good, tried

    def probe(self) -> Any:
        self._tried.append(self._told.connection)
        if self._told.connection != self._good:
            raise PmsRefused
        return "facts"


def test_a_refused_string_is_dropped_and_asked_for_once_more(
    program: Callable[..., str], tmp_path: Path
) -> None:
    held = Held({CONNECTION: "old", SIGNED_IN: "16.2"})
    tried: list[str] = []
    sign_in = SignIn(registered(program({"result": 0, "connection": "new"})), held)
    source = SignedSource(sign_in, lambda told: Practice(told, "new", tried), "dentrix")  # type: ignore[arg-type, return-value]
    assert source.probe() == "facts"
    assert tried == ["old", "new"]
    assert held[CONNECTION] == "new"
    assert starts(tmp_path) == 1


def test_two_refusals_in_a_row_are_told_and_not_looped(
    program: Callable[..., str], tmp_path: Path
) -> None:
    held = Held({CONNECTION: "old", SIGNED_IN: "16.2"})
    tried: list[str] = []
    sign_in = SignIn(registered(program({"result": 0, "connection": "also bad"})), held)
    source = SignedSource(sign_in, lambda told: Practice(told, "new", tried), "dentrix")  # type: ignore[arg-type, return-value]
    with pytest.raises(PmsRefused):
        source.probe()
    assert tried == ["old", "also bad"]
    assert starts(tmp_path) == 1


def test_a_string_of_it_wins_over_the_program(
    program: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ("pms.kind=dentrix", f"pms.sign_in={program({'result': 7})}")
    settings = load_settings(flags, home=tmp_path)
    held = Held()
    source = open_source(settings, held)
    assert isinstance(source, SignedSource)
    assert open_writer(settings, held).probe().kind == "none"  # and says why
    assert starts(tmp_path) == 1
    monkeypatch.setenv("BRIDGEWORK_PMS_ODBC_CONNECTION", "DSN=office")
    again = load_settings(flags, home=tmp_path)
    assert isinstance(open_source(again, held), DentrixSource)
    assert starts(tmp_path) == 1


# --- Eaglesoft's settings object ----------------------------------------------------------------
# The object itself runs only where Eaglesoft does: a program of ours stands for the 32-bit shell.


def said(**told: object) -> str:
    return base64.b64encode(json.dumps(told).encode()).decode()


def test_the_settings_object_is_asked_once_and_its_string_kept(
    program: Callable[..., str], tmp_path: Path
) -> None:
    held = Held()
    given = said(result=0, connection="UID=a;PWD=b;DBN=D", drivers=["SQL Anywhere 17"])
    settings = load_settings(
        ("pms.kind=eaglesoft", "pms.product=Bridge", f"pms.sign_in={program(given)}"), home=tmp_path
    )
    with pytest.raises(ConfigError):  # no token, nothing to ask
        open_source(settings, held)
    held["pms.token"] = "t-1"
    source = open_source(settings, held)
    assert isinstance(source, SignedSource)
    assert isinstance(source.current(), EaglesoftSource)
    assert held[CONNECTION] == "DRIVER={SQL Anywhere 17};UID=a;PWD=b;DBN=D;ASTART=No"
    assert isinstance(open_source(settings, held), SignedSource)
    assert starts(tmp_path) == 1


@pytest.mark.parametrize(
    ("printed", "code"),
    [
        (said(result=101), "pms.eaglesoft_no_settings"),
        (said(result=102), "pms.eaglesoft_token"),
        (said(result=0, connection=""), "pms.eaglesoft_no_settings"),
    ],
)
def test_what_the_settings_object_lacks_is_said(
    program: Callable[..., str], printed: str, code: str
) -> None:
    with pytest.raises(PmsSetup) as refused:
        SignIn(eaglesoft_settings([program(printed)], "Bridge", "t-1", ""), Held()).told()
    assert refused.value.code == code


def test_a_shell_that_may_not_run_is_said() -> None:
    with pytest.raises(ConfigError) as wrong:
        SignIn(eaglesoft_settings(command(r"C:\Windows"), "B", "t", ""), Held()).told()
    assert wrong.value.facts["file"] == "powershell.exe"


def test_the_token_is_on_no_command_line_and_in_no_text() -> None:
    asked = eaglesoft_settings(command(r"C:\Windows"), "Bridge", "tok-77", "")
    line = base64.b64decode(asked.command[-1]).decode("utf-16-le")
    assert "SetToken($asked.product, $asked.token)" in line
    assert "tok-77" not in "".join(asked.command) + line + repr(asked)
    assert json.loads(asked.given) == {"product": "Bridge", "token": "tok-77"}
