"""The wizard's conversation at a console: questions, what was found, and the words for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from agent.cli import speech, words
from agent.cli.render import mark, span
from agent.errors import AgentError, ExitCode
from agent.model import setup as ask
from agent.model.hours import ALLOWED, parse_hours
from agent.model.reading import Finding, Severity
from agent.model.setup import FoundPage, KindView, SetupView, Step, Value
from agent.runtime.setup.answers import Asked, Told

TITLES = {
    Step.PAIR: "Link to the CRM",
    Step.FIND: "Find the practice system",
    Step.PROOF: "Is this your practice?",
    Step.SCOPE: "What is sent",
    Step.CONFLICTS: "When both sides changed something",
    Step.HOURS: "Office hours",
    Step.PREVIEW: "Start",
}
GROUPS = {
    "contact": "Phones and e-mail",
    "address": "Postal address",
    "preferences": "Preferences and language",
    "visit_status": "Status and confirmation of visits",
    "visit_place": "Time, provider and room of visits",
    "visit_note": "Notes of visits",
    "recall": "Recalls",
    "custom": "The practice's own fields",
    "other": "Everything else",
    "identity": "Names, birth date, identity",
    "consent": "Consent to messages",
    "clinical": "Clinical and money",
    "added": "Entries that are only added",
}
OWNERS = {"shared": "both sides", "pms": "practice only", "crm": "CRM first", "mixed": "mixed"}
POLICIES = {
    "ask": "ask a person",
    "pms": "practice wins",
    "crm": "CRM wins",
    "mixed": "as the map says",
}


class _Later(Exception):
    """The person stops here; everything answered stays."""


def talk(desk: Asked, *, is_running: bool) -> ExitCode:
    """From the first missing step to the start. Ctrl+C stops; nothing answered is lost.
    ``is_running``: it is an agent that is asked."""
    acts: dict[Step, Callable[[Asked], None]] = {
        Step.PAIR: _pair,
        Step.FIND: _find,
        Step.PROOF: _proof,
        Step.SCOPE: _scope,
        Step.CONFLICTS: _conflicts,
        Step.HOURS: _hours,
        Step.PREVIEW: _start,
    }
    view = desk.ask(ask.GetSetup())
    click.echo("\n".join(view_lines(view)))
    if view.finished:
        if not click.confirm("\nGo through the steps again?", default=False):
            return ExitCode.OK
        todo = list(Step)
    else:
        todo = [line.step for line in view.steps if not line.done]
    try:
        for step in todo:
            number = list(Step).index(step) + 1
            click.echo(f"\n{number} of {len(Step)}  {TITLES[step]}")
            _until_done(acts[step], desk)
    except _Later:
        click.echo("\nEverything answered so far is kept. Go on with: bridgework setup")
        return ExitCode.ACTION
    view = desk.ask(ask.GetSetup())
    click.echo("\n" + end_line(view, is_running=is_running))
    return ExitCode.OK if view.finished else ExitCode.ACTION


def _until_done(act: Callable[[Asked], None], desk: Asked) -> None:
    """What goes wrong is told with its next step, and asked again."""
    while True:
        try:
            act(desk)
        except AgentError as error:
            click.echo("  " + speech.catalogue().of(error).line)
            if not click.confirm("  Try again?", default=True):
                raise _Later from None
        else:
            return


def _pair(desk: Asked) -> None:
    facts = {line.step: line.facts for line in desk.ask(ask.GetSetup()).steps}[Step.PAIR]
    click.echo("  The CRM shows a one-time code for this computer.")
    url = click.prompt("  Address of the CRM", default=str(facts.get("url") or "") or None)
    code = click.prompt("  Code")
    paired = desk.ask(ask.PairByCode(code, url))
    ours = click.confirm(f"  This code belongs to {paired.practice_name}. Is that your practice?")
    desk.ask(ask.ConfirmPractice(is_ours=ours))
    if not ours:
        click.echo("  The link was forgotten. Ask for a code of your own practice.")
        _pair(desk)


def _find(desk: Asked) -> None:
    page = desk.ask(ask.FindPms())
    click.echo("\n".join(found_lines(page)))
    kind, preset = _choose(page)
    settings: dict[str, Value] = {"pms.kind": kind.kind}
    secrets: dict[str, str] = {}
    for field in kind.fields:
        if field.locked or (field.advanced and field.setting not in preset and not field.value):
            continue
        shown = str(preset.get(field.setting, field.value))
        if field.secret:
            note = " (Enter keeps the one stored)" if field.is_set else ""
            given = click.prompt(
                f"  {field.label}{note}", hide_input=True, default="", show_default=False
            )
            if given:
                secrets[field.setting] = given
            continue
        given = click.prompt(f"  {field.label}", default=shown, show_default=bool(shown))
        if given:
            settings[field.setting] = given
    click.echo("  Testing ...")
    told = desk.ask(ask.UsePms(settings, secrets), timeout_s=120.0)
    click.echo("\n".join(test_lines(told.steps)))
    if not told.works:
        if not click.confirm("  Change something and test again?", default=True):
            raise _Later
        _find(desk)


def _choose(page: FoundPage) -> tuple[KindView, dict[str, Value]]:
    kinds = {kind.kind: kind for kind in page.kinds}
    offers: list[tuple[KindView, dict[str, Value]]] = [
        (kinds[each.kind], each.settings) for each in page.found if each.kind in kinds
    ]
    lines = [f"{f.title} at {f.where}" for f in page.found if f.kind in kinds]
    offers += [(kind, {}) for kind in page.kinds]
    by_hand = ", filled in by hand" if page.found else ""
    lines += [f"{kind.title}{by_hand}" for kind in page.kinds]
    for number, line in enumerate(lines, 1):
        click.echo(f"  {number}  {line}")
    now = next((n for n, (kind, _) in enumerate(offers, 1) if kind.kind == page.now), 1)
    at = click.prompt("  Which", type=click.IntRange(1, len(offers)), default=now)
    return offers[at - 1]


def _proof(desk: Asked) -> None:
    click.echo("  Looking, without changing anything ...")
    proof = desk.ask(ask.GetProof(), timeout_s=120.0)
    click.echo(f"  {proof.kind} {proof.version} on {proof.server}")
    for counted in proof.counts:
        about = "about " if counted.about else ""
        click.echo(f"  {about}{counted.rows:>9,}  {_plural(counted.stream.value)}")
    click.echo(f"  The visit entered last is for {_wall(proof.newest_visit) or 'no time yet'}.")
    click.echo(f"  Today's schedule has {words.count(proof.today, 'visit')}.")
    if proof.can_write:
        click.echo("  Note: this login may write; one with SELECT only is safer.")
    if click.confirm("  Is this your practice?"):
        desk.ask(ask.ConfirmProof(proof.identity), timeout_s=120.0)
        return
    desk.ask(ask.ConfirmProof(proof.identity, is_ours=False))
    click.echo("  Then choose the place again.")
    _find(desk)
    _proof(desk)


def _scope(desk: Asked) -> None:
    scope = desk.ask(ask.GetScope(), timeout_s=120.0)
    for choice in scope.streams:
        mark = "sent" if choice.on and choice.readable else "-" if choice.readable else "no"
        must = "always" if choice.required else ""
        click.echo(
            f"  {mark:<5}{choice.rows:>9,}  {_plural(choice.stream.value):<24}{must}".rstrip()
        )
    skip = [c.stream for c in scope.streams if not c.on]
    if not click.confirm("  Send all of these?", default=not skip):
        free = [c.stream for c in scope.streams if not c.required]
        skip = [s for s in free if not click.confirm(f"    Send {_plural(s.value)}?", default=True)]
    else:
        skip = []
    odd = [s for s in scope.statuses if s.word in {"unknown", "other"} and s.editable]
    said = []
    for status in odd:
        click.echo(f"  Your status '{status.value}' ({status.count} records) has no meaning yet.")
        choices = click.Choice(status.words)
        word = click.prompt("    What does it mean", type=choices, default=status.word)
        if word != status.word:
            said.append(ask.StatusWord(status.stream, status.field, status.value, word))
    text = speech.catalogue().render(scope.writes)
    click.echo(f"  {text.title}")
    back = click.confirm("  May the CRM book and edit?", default=scope.write_back)
    desk.ask(ask.SetScope(tuple(skip), tuple(said), back), timeout_s=120.0)


def _conflicts(desk: Asked) -> None:
    groups = desk.ask(ask.GetPolicies()).groups
    rows = []
    for group in groups:
        fixed = speech.catalogue().render(group.fixed).title if group.fixed else ""
        rows.append(
            (
                GROUPS.get(group.group, group.group),
                OWNERS.get(group.owner, group.owner),
                fixed or POLICIES.get(group.policy, group.policy),
            )
        )
    click.echo(words.table(("what", "who may change it", "both changed it"), rows))
    choices = []
    if not click.confirm("  Keep it like this?", default=True):
        for group in groups:
            if group.fixed:
                continue
            click.echo(f"  {GROUPS.get(group.group, group.group)}")
            owner = click.prompt(
                "    Who may change it", type=click.Choice(["shared", "pms", "crm"]),
                default=group.owner if group.owner != "mixed" else "shared",
            )  # fmt: skip
            policy = click.prompt(
                "    Both changed it", type=click.Choice(["ask", "pms", "crm"]),
                default=group.policy if group.policy != "mixed" else "ask",
            )  # fmt: skip
            choices.append(ask.GroupChoice(group.group, owner, policy))
    desk.ask(ask.SetPolicies(tuple(choices)))


def _hours(desk: Asked) -> None:
    held = desk.ask(ask.GetHours(), timeout_s=120.0)
    default = held.hours or "mon-fri 08:00-17:00"
    hours = click.prompt("  When is the office open", default=default, value_proc=_checked_hours)
    zone = click.prompt(
        "  Time zone", default=held.zone or held.zone_found or "", show_default=True
    )
    desk.ask(ask.SetHours(hours, "" if zone == held.zone_found else zone))


def _checked_hours(text: str) -> str:
    try:
        parse_hours(text)
    except ValueError:
        raise click.BadParameter(f"write {ALLOWED}.") from None
    return text


def _start(desk: Asked) -> None:
    preview = desk.ask(ask.GetPreview(), timeout_s=120.0)
    click.echo(f"  To {preview.practice_name} at {preview.url} the first sync will send:")
    for counted in preview.streams:
        if counted.rows:
            about = "about " if counted.about else ""
            click.echo(f"  {about}{counted.rows:>9,}  {_plural(counted.stream.value)}")
    click.echo(
        f"  {preview.total:,} records, at least {span(max(preview.reads_s, 1.0))}. "
        f"It writes nothing to {preview.kind}."
    )
    for finding in preview.findings:
        click.echo("  " + speech.catalogue().render(finding.code, finding.facts).line)
    if not click.confirm("  Start?", default=True):
        raise _Later
    desk.ask(ask.FinishSetup())


# --- words --------------------------------------------------------------------------------------


def view_lines(view: SetupView) -> list[str]:
    lines = []
    for line in view.steps:
        mark = "ok" if line.done else "--"
        lines.append(f"{mark:<4}{TITLES[line.step]:<36}{_facts(line.step, line.facts)}".rstrip())
    if view.restart:
        lines.append("The running agent takes this up after: bridgework setup, or a restart.")
    return lines


def _facts(step: Step, facts: dict[str, Any]) -> str:
    match step:
        case Step.PAIR:
            return str(facts.get("practice") or "")
        case Step.FIND:
            return str(facts.get("kind") or "")
        case Step.PROOF:
            known = facts.get("patients")
            return words.count(int(known), "patient") if known else ""
        case Step.SCOPE:
            skipped = int(facts.get("skipped") or 0)
            return words.count(skipped, "stream") + " left out" if skipped else ""
        case Step.HOURS:
            return str(facts.get("hours") or "")
        case _:
            return ""


def found_lines(page: FoundPage) -> list[str]:
    catalogue = speech.catalogue()
    if not page.found:
        return ["  No practice system is to be seen from this computer; fill in where it is."]
    lines = []
    for each in page.found:
        lines.append(f"  {each.title}: {catalogue.render(each.how).title} ({each.where})")
        lines += [f"    {catalogue.render(f.code, f.facts).line}" for f in each.findings]
    return lines


def test_lines(steps: Sequence[Finding]) -> list[str]:
    catalogue = speech.catalogue()
    lines = []
    for step in steps:
        text = catalogue.render(step.code, step.facts)
        where = str(step.facts.get("step", ""))
        lines.append(f"  {mark(step.severity):<6}{where:<10}{text.title}")
        if step.severity in {Severity.ERROR, Severity.WARNING} and text.next_step:
            lines.append(f"{'':18}{text.next_step}")
    return lines


def told_line(told: Told) -> str:
    text = speech.catalogue().render(told.code).title if told.code else "done"
    about = _facts(told.step, told.facts)
    if told.step is Step.PREVIEW and told.facts.get("total"):
        about = f"{int(told.facts['total'] or 0):,} records to send"
    return f"{TITLES[told.step]:<36}{text}{': ' + about if about else ''}"


def end_line(view: SetupView, *, is_running: bool) -> str:
    if view.finished:
        then = "The agent starts to sync: bridgework status"
        if not is_running:
            then = "No agent runs yet. Start it: bridgework run"
        return f"This computer is set up. {then}"
    missing = TITLES[view.next] if view.next else ""
    return f"Not finished: {missing}. Go on with: bridgework setup"


def _wall(text: str) -> str:
    return text.replace("T", " ")[:16]


def _plural(stream: str) -> str:
    name = stream.replace("_", " ")
    return {"balance": "balances", "coverage": "coverages"}.get(name) or (
        name[:-1] + "ies" if name.endswith("y") else name if name.endswith("s") else name + "s"
    )
