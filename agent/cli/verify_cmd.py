"""``bridgework verify``: the five go-live tests, on the configured practice or on a sample."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from agent.cli import speech
from agent.cli.root import App
from agent.cli.stage import Stage
from agent.crm.pairing import PairingStore
from agent.errors import AgentError, ExitCode
from agent.model.golive import GoLiveReport, SignedReport, Step, Test
from agent.model.status import State
from agent.runtime.golive import report as reports
from agent.runtime.golive.five import CROWD
from agent.runtime.golive.run import reports_folder, run_five
from agent.support.health import read_report

LOADED_WITHIN_S = 1800.0
_STARTED = frozenset({"up_to_date", "behind", "needs_review"})


@click.command()
@click.option("--sample", is_flag=True, help="Use a sample practice and the reference CRM.")
@click.option("--operatory", metavar="KEY|NAME", help="The operatory for test visits.")
@click.option("--by-hand", is_flag=True, help="Where nothing may write: ask a person.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report. Default: 'reports' in the agent's folder.",
)
@click.option(
    "--check",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="REPORT",
    help="Only check that a saved report is this installation's and unchanged.",
)
@click.option(
    "--crowd",
    type=click.IntRange(1, 200),
    default=CROWD,
    show_default=True,
    help="Patients and visits of the fifth test.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--as-sample", is_flag=True, hidden=True)
@click.pass_obj
def verify(
    app: App,
    *,
    sample: bool,
    operatory: str | None,
    by_hand: bool,
    out: Path | None,
    check: Path | None,
    crowd: int,
    as_json: bool,
    as_sample: bool,
) -> ExitCode:
    """Prove on the spot that practice and CRM agree, in both directions.

    Five tests with test people and visits far ahead in a test operatory: a new patient, a booking,
    a cancellation, a phone number changed on either side, and fifty patients with fifty visits at
    once. The test records are archived and taken off the schedule afterwards. The signed report
    (JSON and HTML) of the first run that passed is kept as this site's baseline.

    Exit codes: 0 all five passed, 1 not, 2 wrong option, 3 practice system, 4 CRM.
    """
    if check is not None:
        return _check(app, check, as_json=as_json)
    if sample:
        return _on_sample(app, out, crowd, as_json=as_json)
    screen = _Screen(quiet=as_json)
    with _running_agent(app, screen):
        made, pairing = run_five(
            app.settings(),
            app.paths,
            operatory=operatory,
            is_sample=as_sample,
            crowd=crowd,
            tell=screen.step,
            ask=screen.ask if by_hand else None,
        )
    folder = out or reports_folder(app.paths)
    as_file, as_page = reports.save(made, folder, speech.catalogue())
    found = reports.opened(made)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "report": json.loads(made.report),
                    "key_id": made.key_id,
                    "signature": made.signature,
                    "genuine": reports.is_genuine(made, pairing.live),
                    "files": [str(as_file), str(as_page)],
                },
                indent=1,
            )
        )
    else:
        click.echo("\n" + "\n".join(_ending(found, folder, as_page)))
    return ExitCode.OK if found.passed else ExitCode.FAILED


class _Screen:
    """Shows each step as it ends, under its test's title."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._catalogue = speech.catalogue()
        self._test: Test | None = None

    def say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text)

    def step(self, test: Test, step: Step) -> None:
        if test is not self._test:
            self._test = test
            title = self._catalogue.render(f"golive.test_{test.value}", {}).title
            self.say(f"\n{title}")
        text = self._catalogue.render(step.code, dict(step.facts)).title
        took = "" if step.took_ms is None else f"{step.took_ms:>9,.0f} ms"
        self.say(f"  {'ok' if step.passed else 'FAIL':<5}{text:<62}{took}".rstrip())

    def ask(self, code: str, fields: dict[str, Any]) -> None:
        text = self._catalogue.render(code, {})
        click.echo(f"\n  {text.title}", err=True)
        for name, value in fields.items():
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            click.echo(f"    {name.replace('_', ' ')}: {shown}", err=True)
        click.echo(f"  {text.next_step}", err=True)


def _ending(found: GoLiveReport, folder: Path, page: Path) -> list[str]:
    passed = sum(proof.passed for proof in found.proofs)
    lines = [f"{passed} of {len(found.proofs)} tests passed."]
    if found.median_ms is not None:
        lines.append(
            f"Half of the crowd was in the CRM within {found.median_ms:,.0f} ms, "
            f"all of it within {found.slowest_ms:,.0f} ms."
        )
    baseline = folder / reports.BASELINE
    if baseline.exists():
        before = reports.opened(reports.read(baseline))
        if before.made_at != found.made_at and before.median_ms is not None:
            lines.append(f"On go-live day ({before.made_at[:10]}): {before.median_ms:,.0f} ms.")
    if found.left_behind:
        lines.append(f"{found.left_behind} test records could not be tidied away; please look.")
    lines.append(f"Report: {page}")
    return lines


def _check(app: App, path: Path, *, as_json: bool) -> ExitCode:
    try:
        found = reports.read(path)
    except msgspec.DecodeError:
        raise AgentError("golive.not_a_report", file=path.name) from None
    genuine = _is_ours(app, found)
    if as_json:
        click.echo(json.dumps({"genuine": genuine, "key_id": found.key_id}))
    else:
        code = "golive.genuine" if genuine else "golive.not_genuine"
        click.echo(speech.catalogue().render(code, {}).title)
    return ExitCode.OK if genuine else ExitCode.FAILED


def _is_ours(app: App, found: SignedReport) -> bool:
    pairing = PairingStore(app.secrets()).load()
    keys = [pairing.live, *([pairing.next] if pairing.next else [])]
    return any(reports.is_genuine(found, jwk) for jwk in keys)


@contextlib.contextmanager
def _running_agent(app: App, screen: _Screen) -> Iterator[None]:
    """The agent that runs here, or one started for as long as this takes."""
    report = read_report(app.paths.status_file, datetime.now(UTC))
    if report is not None:
        yield
        return
    screen.say("No agent is running here; starting one for the tests ...")
    command = [sys.executable, "-m", "agent", "--home", str(app.paths.home), "run", "--quiet"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_started(app, child)
        yield
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()


def _wait_started(app: App, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LOADED_WITHIN_S
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise AgentError("golive.agent_ended", exit_code=child.returncode)
        report = read_report(app.paths.status_file, datetime.now(UTC))
        if report is not None and report.state in _STARTED:
            return
        if report is not None and report.state is State.NOT_SET_UP:
            raise AgentError("golive.not_set_up")
        time.sleep(0.2)
    raise AgentError("golive.agent_slow", waited_s=int(LOADED_WITHIN_S))


def _on_sample(app: App, out: Path | None, crowd: int, *, as_json: bool) -> ExitCode:
    """In a process of its own: the stage holds the sample practice's file with another library."""
    folder = (out or reports_folder(app.paths)).resolve()
    with tempfile.TemporaryDirectory(prefix="bridgework-verify-") as made:
        if not as_json:
            click.echo("Creating a sample practice, a CRM and an agent ...")
        with Stage(Path(made), patients=100) as stage:
            stage.start_agent()
            stage.wait_loaded(120)
            command = [
                sys.executable, "-m", "agent", "--home", str(stage.paths.home), "verify",
                "--as-sample", "--out", str(folder), "--crowd", str(crowd),
                *(["--json"] if as_json else []),
            ]  # fmt: skip
            code = subprocess.run(command, check=False).returncode
    return ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED
