"""A sample practice with its CRM, paired, and the commands as people type them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.cli.stage import Stage

Bridgework = Callable[..., Result]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """No agent runs in it yet."""
    with Stage(tmp_path / "stage", patients=25) as made:
        yield made
        made.stop_agent()
        console = made.folder / "agent-console.log"
        if console.exists():
            print(console.read_text())  # pytest shows it when the test failed


@pytest.fixture
def bridgework(stage: Stage) -> Bridgework:
    """``bridgework("status", "--json")`` on the stage's agent."""

    def call(*words: object) -> Result:
        told = ["--home", str(stage.paths.home), *(str(word) for word in words)]
        return CliRunner().invoke(main, told, catch_exceptions=False)

    return call
