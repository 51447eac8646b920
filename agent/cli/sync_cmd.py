"""``bridgework sync``: bring practice and CRM into agreement now, prove it, and stop."""

from __future__ import annotations

import sys
import time

import click
import msgspec

from agent.cli.asking import call_agent, print_json
from agent.cli.render import findings_lines, progress_line, span
from agent.cli.root import App
from agent.cli.speech import say
from agent.control.client import Client
from agent.errors import AgentBusy, ExitCode
from agent.model.desk import AcceptSource, AllowBrakes
from agent.model.reading import Finding, Severity
from agent.model.status import FATAL
from agent.model.streams import Stream
from agent.runtime.host import Host, build


class Agreement(msgspec.Struct, frozen=True):
    """How one run ended. ``agrees`` only if everything was sent, proven and found equal."""

    agrees: bool
    proven: bool
    took_s: float
    waiting: int
    parked: int
    missing: int  # vanished records whose second look is still to come
    differ_at_crm: int
    blocked_by: str | None
    braked: tuple[str, ...] = ()  # streams that wait for a person's word


@click.command()
@click.option("--prove", is_flag=True, help="Also prove every record of the practice equal again.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up after this long.",
)
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice([s.value for s in Stream]),
    metavar="STREAM",
    help="Allow the mass change or deletion a brake holds back on this stream.",
)
@click.option(
    "--accept-source",
    is_flag=True,
    help="The practice's database was restored or replaced on purpose: go on with it.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def sync(
    app: App,
    prove: bool,
    timeout_s: float,
    allow: tuple[str, ...],
    accept_source: bool,
    as_json: bool,
) -> ExitCode:
    """Read what changed, send it, compare both sides, stop.

    --allow and --accept-source are a person's word against a brake. While an agent runs they are
    passed on to it, and it goes on by itself.

    Exit codes: 0 both sides agree (or the running agent took the word), 1 they do not (yet),
    3 practice system unreachable, 4 CRM unreachable, 5 an agent is running (it keeps both in
    agreement by itself), 6 a person must act.
    """
    if allow or accept_source:
        agent = call_agent(app)
        if agent is not None:
            with agent:
                return _pass_on(agent, allow, accept_source=accept_source, as_json=as_json)
    host = _build(app, overrides=bool(allow) or accept_source)
    try:
        if accept_source:
            host.engine.accept_source()
        if allow:
            host.engine.brakes.allow([Stream(name) for name in allow], for_s=timeout_s)
        host.start()
        result = _until_agreed(
            host, prove=prove, wait_missing=prove or bool(allow), timeout_s=timeout_s, quiet=as_json
        )
        error = host.report().snapshot
    finally:
        host.stop()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(result)))
    else:
        click.echo(_in_words(result))
    if result.agrees:
        return ExitCode.OK
    if result.blocked_by in FATAL or (result.blocked_by or "").startswith("guard."):
        return ExitCode.ACTION
    if error.pms_error:
        return ExitCode.PMS
    return ExitCode.CRM if error.crm_error else ExitCode.FAILED


def _pass_on(
    agent: Client, allow: tuple[str, ...], *, accept_source: bool, as_json: bool
) -> ExitCode:
    if accept_source:
        agent.ask(AcceptSource())
    if allow:
        agent.ask(AllowBrakes(tuple(Stream(name) for name in allow)))
    told = {"passed_on": True, "allowed": list(allow), "accepted_source": accept_source}
    if as_json:
        print_json(told)
    else:
        click.echo("The running agent took the word and goes on. Look: bridgework status")
    return ExitCode.OK


def _build(app: App, *, overrides: bool) -> Host:
    try:
        return build(app.settings(), app.paths)
    except AgentBusy:
        if overrides:
            raise AgentBusy("agent.stop_first") from None
        raise


def _until_agreed(
    host: Host, *, prove: bool, wait_missing: bool, timeout_s: float, quiet: bool
) -> Agreement:
    started = time.monotonic()
    deadline = started + timeout_s
    lively = not quiet and sys.stderr.isatty()
    asked_to_prove = False
    while True:
        report = host.report()
        s = report.snapshot
        blocked = s.pms_error or s.crm_error or _brake(host)
        loaded = s.load is None
        if loaded and prove and not asked_to_prove:
            with host.journal.turn() as turn:
                turn.due_all_chunks(None)
            asked_to_prove = True
        settled = loaded and s.pending == 0 and not host.journal.batches_waiting()
        missing = len(host.journal.missing(host.clock.now(), 100_000))
        proven = settled and host.engine.sweeps_done and not missing
        fatal = blocked in FATAL or (blocked or "").startswith("guard.")
        done = settled and (proven or not prove) and not (wait_missing and missing)
        if done or fatal or time.monotonic() > deadline:
            break
        if lively:
            line = progress_line(report)
            if settled and missing:
                line += f", {say('progress.second_look', n=missing)}"
            click.echo(f"\r{line:<100}", nl=False, err=True)
        time.sleep(0.1)
    if lively:
        click.echo(err=True)
    differ = host.engine.compare_now() if settled and s.crm_error is None else -1
    agrees = settled and differ == 0 and not blocked and s.parked == 0 and missing == 0
    return Agreement(
        agrees=agrees and (proven or not prove),
        proven=bool(prove and proven),
        took_s=round(time.monotonic() - started, 3),
        waiting=s.pending,
        parked=s.parked,
        missing=missing,
        differ_at_crm=differ,
        blocked_by=blocked,
        braked=tuple(sorted(stream.value for stream in host.engine.brakes.on)),
    )


def _brake(host: Host) -> str | None:
    return "guard.mass_change" if host.engine.brakes.on else None


def _in_words(result: Agreement) -> str:
    if result.agrees:
        proof = "every record proven equal" if result.proven else "everything sent and compared"
        return f"Practice and CRM agree ({proof}, {span(result.took_s)})."
    lines = ["Practice and CRM do not agree yet:"]
    severity = Severity.ERROR
    stops = [Finding("guard.mass_change", severity, {"stream": name}) for name in result.braked]
    if result.blocked_by and not (stops and result.blocked_by == "guard.mass_change"):
        stops.insert(0, Finding(result.blocked_by, severity))
    lines += findings_lines(stops)
    for count, what in (
        (result.waiting, "changes not sent yet"),
        (result.parked, "records parked; which and why: bridgework parked list"),
        (result.missing, "records vanished in the practice; they get a second look first"),
        (result.differ_at_crm, "records differ at the CRM; they are sent again"),
    ):
        if count > 0:
            lines.append(f"  {count:>8,}  {what}")
    return "\n".join(lines)
