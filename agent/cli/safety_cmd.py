"""``bridgework safety``: how much the agent may write, and whether booking is on offer.

Must not import drivers.
"""

from __future__ import annotations

import click

from agent.cli import words
from agent.cli.asking import JSON, NEEDLESS_YES, YES, confirm, print_json, reception
from agent.cli.root import App
from agent.errors import ExitCode
from agent.model.desk import (
    Canary,
    ClearSuspension,
    GetSafety,
    SafetyMode,
    SafetyView,
    SetSafety,
    SuspendBooking,
)

_LISTS = ("operatories", "providers", "patients")


@click.group()
def safety() -> None:
    """Switches that limit what the agent writes into the practice system.

    Reading the practice and telling the CRM go on whatever they say.
    """


@safety.command("show")
@JSON
@click.pass_obj
def show(app: App, as_json: bool) -> ExitCode:
    """What may be written, and who said so.

    Also whether booking is on offer, and why not.

    Exit codes: 0 everything may be written, 1 something is limited or suspended.
    """
    with reception(app) as desk:
        view, live = desk.ask(GetSafety()), desk.is_live
    if as_json:
        print_json(view)
    else:
        click.echo(_in_words(view, live=live))
    free = view.mode is SafetyMode.NORMAL and not view.suspended
    return ExitCode.OK if free else ExitCode.FAILED


@safety.command("set")
@click.argument("mode", type=click.Choice([mode.value for mode in SafetyMode]))
@click.option("--operatory", "operatories", multiple=True, metavar="KEY", help="For canary.")
@click.option("--provider", "providers", multiple=True, metavar="KEY", help="For canary.")
@click.option("--patient", "patients", multiple=True, metavar="KEY", help="For canary.")
@YES
@JSON
@click.pass_obj
def set_(
    app: App,
    mode: str,
    operatories: tuple[str, ...],
    providers: tuple[str, ...],
    patients: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Set this desk's switch.

    \b
    normal     everything the CRM asks for is written
    canary     only what touches nothing but the named operatories, providers, patients
    dry_run    plans and reports, writes nothing
    read_only  refuses every command that would write
    stopped    takes up no command

    The strictest of settings, CRM and desk holds. It holds at once and across restarts, and can be
    set while no agent runs. Allowing more than before asks back. The canary's options replace its
    lists; keys are the practice system's own numbers.
    """
    wanted = SafetyMode(mode)
    given = Canary(operatories, providers, patients)
    if given != Canary() and wanted is not SafetyMode.CANARY:
        raise click.UsageError("--operatory, --provider and --patient go with canary.")
    with reception(app, SetSafety) as desk:
        before = desk.ask(GetSafety())
        ours = before.sources.get("desk", SafetyMode.NORMAL)
        if wanted.strictness < ours.strictness or (ours is wanted and _widens(before, given)):
            confirm(f"Let the agent write {words.MODES[wanted]} from now on?", yes=yes)
        lists = None if given == Canary() and wanted is SafetyMode.CANARY else given
        view, live = desk.ask(SetSafety(wanted, lists)), desk.is_live
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view, live=live))


@safety.command("suspend")
@NEEDLESS_YES
@JSON
@click.pass_obj
def suspend(app: App, as_json: bool) -> None:
    """Stop offering times at the CRM.

    It lasts until it is cleared. What is booked stays.
    """
    with reception(app, SuspendBooking) as desk:
        view, live = desk.ask(SuspendBooking()), desk.is_live
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view, live=live))


@safety.command("clear")
@YES
@JSON
@click.pass_obj
def clear(app: App, yes: bool, as_json: bool) -> None:
    """Offer times again.

    Look first at why booking was suspended; the agent suspends it after a failure that could
    have booked wrongly.
    """
    with reception(app, ClearSuspension) as desk:
        view, live = desk.ask(GetSafety()), desk.is_live
        if view.suspended and view.suspended_at is not None:
            confirm(f"{words.reason(view.suspended)} Offer it again?", yes=yes)
            view = desk.ask(ClearSuspension())
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view, live=live))


def _widens(before: SafetyView, given: Canary) -> bool:
    """Whether the new canary lists name something the old ones did not."""
    return any(set(getattr(given, name)) - set(getattr(before.canary, name)) for name in _LISTS)


def _in_words(view: SafetyView, *, live: bool) -> str:
    lines = [f"The agent may write {words.MODES[view.mode]}."]
    for place, mode in sorted(view.sources.items()):
        if mode is not SafetyMode.NORMAL:
            lines.append(f"  {words.PLACES.get(place, place)} says {mode.value}")
    if view.mode is SafetyMode.CANARY:
        for name in _LISTS:
            keys = getattr(view.canary, name)
            lines.append(f"  {name:<12} {', '.join(keys) or 'none named'}")
        if view.canary == Canary():
            lines.append("  Nothing is named, so nothing may be written.")
    if view.suspended:
        at = f" ({words.since(view.suspended_at)})" if view.suspended_at else ""
        lines += [f"Booking is suspended{at}: {words.reason(view.suspended)} [{view.suspended}]"]
        if view.suspended_at is None:  # a trouble that lasts, nobody's word
            lines += ["  It is on offer again by itself once that is over."]
        else:
            lines += ["  Offer it again: bridgework safety clear"]
    elif view.mode is SafetyMode.CANARY and view.canary == Canary():
        lines.append(words.NO_BOOKING[SafetyMode.READ_ONLY])
    elif view.mode in words.NO_BOOKING:
        lines.append(words.NO_BOOKING[view.mode])
    elif not live:
        lines.append("Booking is not suspended.")
    else:
        only = ", for what the canary lists name alone" if view.mode is SafetyMode.CANARY else ""
        lines.append(f"Booking is on offer{only}.")
    if not live:
        lines.append("No agent runs now; it holds from its next start.")
    return "\n".join(lines)
