"""A computer fresh from the box beside a sample practice and the reference CRM."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.cli.stage import Stage
from agent.config import load_settings, open_secrets
from agent.runtime.clock import SystemClock
from agent.runtime.setup.flow import Setup
from agent.sandbox.crm import accounts

Bridgework = Callable[..., Result]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Practice and CRM, made once a module; each test takes a fresh home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        patch.setattr(accounts, "_GUESSES_PER_MINUTE", 1000)  # a module of tests links often
        with Stage(tmp_path_factory.mktemp("box"), patients=20, seed=5, is_set_up=False) as stage:
            yield stage


@pytest.fixture
def flow(box: Stage, paths: Any) -> Setup:
    """The flow in this process, on an agent's folder that knows nothing."""
    return Setup(
        lambda: load_settings((), home=paths.home),
        paths,
        open_secrets(paths),
        SystemClock(),
        on_finish=lambda: None,
    )


@pytest.fixture
def answers(box: Stage) -> Callable[..., dict[str, Any]]:
    """Whole answers with a fresh code; sections may be given, None leaves one out."""

    def make(**sections: Any) -> dict[str, Any]:
        whole: dict[str, Any] = {
            "pair": {"url": box.crm.url, "code": box.crm.new_code()},
            "pms": {"kind": "sample", "sqlite_path": str(box.practice_file)},
            "proof": {"accept": True, "patients_at_least": 10},
            "hours": {"hours": "mon-fri 08:00-17:00"},
        }
        whole.update(sections)
        return {name: value for name, value in whole.items() if value is not None}

    return make


@pytest.fixture
def bridgework(paths: Any) -> Bridgework:
    def call(*words: object, input: str | None = None) -> Result:  # noqa: A002 - click's word
        told = ["--home", str(paths.home), *(str(word) for word in words)]
        return CliRunner().invoke(main, told, catch_exceptions=False, input=input)

    return call


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def write(told: dict[str, Any]) -> Path:
        path = tmp_path / "answers.json"
        path.write_text(json.dumps(told), encoding="utf-8")
        return path

    return write
