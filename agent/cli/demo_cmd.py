"""``bridgework demo``: a practice that lives, a CRM that shows it, and the agent between them."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from agent.cli.render import span
from agent.cli.stage import ZONE, Stage
from agent.errors import ExitCode, PmsError
from agent.sandbox.compare import Report
from agent.sandbox.crm_life import CrmLife, Errand
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import Deed, Life

LOAD_TIMEOUT_S = 120.0
SEEN_TIMEOUT_S = 60.0  # a traceless change waits for the sweep: one short rotation of the demo
AGREE_TIMEOUT_S = 60.0

WHAT = {
    DeedKind.BOOK: "booked a visit",
    DeedKind.MOVE: "moved a visit",
    DeedKind.CONFIRM: "confirmed a visit",
    DeedKind.BREAK: "broke a visit",
    DeedKind.COMPLETE: "completed a visit",
    DeedKind.DELETE_APPOINTMENT: "deleted a visit",
    DeedKind.NEW_PATIENT: "entered a new patient",
    DeedKind.DEMOGRAPHICS: "changed contact details",
    DeedKind.PAYMENT: "took a payment",
    DeedKind.ADJUSTMENT: "adjusted an account",
    DeedKind.COMMLOG: "logged a call",
    DeedKind.NOTE: "wrote a chart note",
    DeedKind.RECALL: "changed a recall",
    DeedKind.FIELD: "set a custom field",
    DeedKind.CLAIM_RECEIVED: "received a claim",
    DeedKind.AGING: "ran aging (stamp storm)",
    DeedKind.SILENT_EDIT: "edited without a stamp",
    DeedKind.HARD_DELETE: "deleted without a trace",
    DeedKind.SCHEDULE_DAY: "replaced a day's hours",
}


class Step(msgspec.Struct, frozen=True):
    """One line of the scenario's table. ``after_ms`` None: the CRM did not have it in time."""

    what: str
    record: str
    records: int
    after_ms: float | None
    traceless: bool


@click.command()
@click.option("--once", is_flag=True, help="Run the scripted scenario to its end, no screen.")
@click.option("--patients", type=click.IntRange(20), default=300, show_default=True)
@click.option("--years", type=click.IntRange(1, 20), default=2, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Changes a second.",
)
@click.option("--port", type=int, default=0, help="Port of the CRM page. Default: a free one.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep practice, CRM and logs here. Default: nothing is kept.",
)
@click.option("--no-browser", is_flag=True, help="Only print the page's address.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output (with --once).")
def demo(
    *,
    once: bool,
    patients: int,
    years: int,
    seed: int,
    rate: float,
    port: int,
    folder: Path | None,
    no_browser: bool,
    as_json: bool,
) -> ExitCode:
    """Show the whole product on a sample practice.

    Exit codes with --once: 0 every record agrees, 1 not.
    """
    with _folder(folder) as place:
        say = click.echo if not as_json else _quiet
        say(f"Creating a practice with {patients} patients ...")
        with Stage(place, patients=patients, years=years, seed=seed, port=port) as stage:
            say(f"{stage.created.rows:,} rows in {span(stage.created.took_s)}. First load ...")
            began = time.monotonic()
            stage.start_agent()
            stage.wait_loaded(LOAD_TIMEOUT_S)
            took = time.monotonic() - began
            say(f"The CRM holds {stage.watcher.records():,} records after {span(took)}.")
            if once:
                return _scenario(stage, seed, as_json=as_json)
            return _live(stage, seed, rate, open_page=not no_browser)


def _scenario(stage: Stage, seed: int, *, as_json: bool) -> ExitCode:
    life = Life(stage.desk, seed=seed)
    steps = []
    if not as_json:
        click.echo(f"\n{'In the practice, somebody':<31}{'record':<26}{'CRM had it after':>17}")
    for kind in DeedKind:
        try:
            deed = life.step(kind)
        except PmsError:
            continue  # nothing of the kind to act on in so small a practice
        step = _watch(stage, deed)
        steps.append(step)
        if not as_json:
            click.echo(_line(step))
    errands = []
    if not as_json:
        click.echo(f"\n{'In the CRM, somebody':<31}{'answer':<26}{'Practice had it after':>22}")
    for errand in CrmLife(stage.crm, stage.desk, ZONE).run(SEEN_TIMEOUT_S):
        errands.append(errand)
        if not as_json:
            click.echo(_errand_line(errand))
    verdict = stage.wait_agreed(AGREE_TIMEOUT_S)
    late = [step for step in steps if step.after_ms is None]
    wrong = [errand for errand in errands if not errand.is_right]
    agrees = verdict.agrees and not late and not wrong and bool(errands)
    if as_json:
        told = {"steps": steps, "errands": errands, "agrees": agrees, "compared": verdict}
        click.echo(msgspec.json.format(msgspec.json.encode(told)))
    else:
        click.echo("\n" + "\n".join((*_summary(steps), _verdict(verdict))))
        if late:
            click.echo(f"{len(late)} changes did not reach the CRM in time.")
        if wrong or not errands:
            click.echo(f"{len(wrong)} requests of the CRM did not end as they should.")
    return ExitCode.OK if agrees else ExitCode.FAILED


def _watch(stage: Stage, deed: Deed) -> Step:
    places = {(deed.stream, deed.key), *((t.stream, t.key) for t in deed.also)}
    main = (deed.stream, deed.key)
    began = deed.at_wall.timestamp() - (deed.at_monotonic - deed.began_monotonic)
    since = deed.at_wall.fromtimestamp(began, deed.at_wall.tzinfo)
    found = stage.watcher.wait([main], since, SEEN_TIMEOUT_S)
    at = found.get(main)
    after = None if at is None else max(at - deed.at_wall.timestamp(), 0.0) * 1000
    record = f"{deed.stream.value} {deed.key}"
    return Step(WHAT[deed.kind], record, len(places), after, deed.traceless)


def _line(step: Step) -> str:
    more = f" (+{step.records - 1})" if step.records > 1 else ""
    after = "not in time" if step.after_ms is None else span(step.after_ms / 1000)
    note = "  found by the sweep" if step.traceless else ""
    return f"  {step.what:<29}{step.record + more:<26}{after:>17}{note}"


def _errand_line(errand: Errand) -> str:
    shown = "" if errand.practice_ms is None else span(errand.practice_ms / 1000)
    answer = f"{errand.state} {errand.reason}".strip()
    return f"  {errand.what:<29}{answer:<26}{shown:>22}".rstrip()


def _summary(steps: Sequence[Step]) -> list[str]:
    """How fast, in a sentence; the sweep's finds apart, for nothing announces those changes."""
    lines = []
    if any(step.records > 1 for step in steps):
        lines.append("(+n): further records that the same work changed.")
    seen = [s.after_ms for s in steps if s.after_ms is not None and not s.traceless]
    if seen:
        half, most = span(statistics.median(seen) / 1000), span(max(seen) / 1000)
        lines.append(f"Half of the changes were in the CRM within {half}, the slowest in {most}.")
    return lines


def _verdict(verdict: Report) -> str:
    if verdict.agrees:
        return f"Compared {verdict.total:,} records independently: every one agrees."
    return verdict.table()


def _live(stage: Stage, seed: int, rate: float, *, open_page: bool) -> ExitCode:
    click.echo(f"The CRM page: {stage.crm.url}/   (Ctrl+C ends the demo)")
    if open_page:
        webbrowser.open(stage.crm.url)
    with contextlib.suppress(KeyboardInterrupt):
        for deed in Life(stage.desk, seed=seed).run(rate=rate):
            step = _watch(stage, deed) if not deed.traceless else None
            click.echo(_line(step) if step else f"  {WHAT[deed.kind]:<29}(the sweep will find it)")
            stage.status()
    return ExitCode.OK


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="bridgework-demo-") as made:
        yield Path(made)


def _quiet(*_: object) -> None:
    """Machine-readable runs say nothing but their result."""
