"""``bridgework(...)`` on a folder with a filled journal, without and with an agent."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.config import Paths, load_settings, open_secrets
from agent.journal.journal import Journal
from agent.model.metrics import AlertsTold, MetricsText, ReadMetrics, RehearseAlert
from agent.model.promises import Checks, ShowChecks
from agent.model.status import Report
from agent.runtime.clock import SystemClock
from agent.runtime.fallback.build import build_counter
from agent.runtime.proofdesk import proof_answers
from agent.runtime.qualitydesk import Review, quality_answers
from agent.runtime.serve import ControlService, serve_control
from agent.runtime.weekly import Weekly, week_answers
from agent.sync.safety import Safety
from tests.desk import office

Bridgework = Callable[..., Result]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, copied for each test."""
    made = Paths.locate(tmp_path_factory.mktemp("office") / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
        made.prepare()
        journal = office.open_journal(made)
        office.fill(journal)
        journal.close()
    return made.home


@pytest.fixture
def filled(paths: Paths, template: Path) -> Paths:
    shutil.copytree(template, paths.home, dirs_exist_ok=True)
    return paths


@pytest.fixture
def bridgework(paths: Paths) -> Bridgework:
    def call(*words: object, input: str | None = None) -> Result:  # noqa: A002 - click's word
        told = ["--home", str(paths.home), *(str(word) for word in words)]
        return CliRunner().invoke(main, told, catch_exceptions=False, input=input)

    return call


@dataclass
class Agent:
    """A host as far as the control channel asks for one."""

    journal: Journal
    paths: Paths
    engine: office.Engine
    safety: Safety
    obeyed: int = 0
    service: ControlService | None = None

    def report(self) -> Report:
        return office.report()

    def obey_pause(self) -> None:
        self.obeyed += 1


@pytest.fixture
def agent(filled: Paths) -> Iterator[Agent]:
    """A running agent on the filled journal, serving its channel."""
    journal = office.open_journal(filled)
    engine = office.Engine(journal)
    safety = Safety(journal, SystemClock(), live=lambda: None, on_change=lambda: None)
    made = Agent(journal, filled, engine, safety)
    counter = build_counter(
        load_settings((), home=filled.home), filled, open_secrets(filled), journal, SystemClock(),
        report=office.report,
    )  # fmt: skip
    made.service = serve_control(
        made, resolver=engine, undoer=engine, linker=engine, closer=engine, safety=safety,
        counter=counter, proofs={
            **proof_answers(counter.jobs, office.no_comparison),
            **quality_answers(
                counter.jobs,
                Review(
                    journal, SystemClock(), filled.home,
                    counter.exporting.records, counter.exporting.some,
                ),
            ),
            **week_answers(
                counter.jobs,
                Weekly(
                    journal, SystemClock().now, None,
                    counter.exporting.records, counter.exporting.some,
                ),
            ),
            ReadMetrics: lambda _, __: MetricsText(""),
            RehearseAlert: lambda _, __: AlertsTold({}, ()),
            ShowChecks: lambda _, __: Checks((), (), None),
        },
    )  # fmt: skip
    yield made
    made.service.stop()
    counter.close()
    journal.close()
