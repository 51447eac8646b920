"""``bridgework match``: which person of the CRM is which patient, where only a person can tell.

Names are shown by ``show`` alone. Must not import drivers.
"""

from __future__ import annotations

from typing import Any

import click

from agent.cli import speech, words
from agent.cli.asking import JSON, YES, confirm, parse_key, print_json, reception
from agent.cli.root import App
from agent.model.asking import MOST, Done, Request
from agent.model.review import (
    ApproveContact,
    CandidateView,
    ContactView,
    ListContacts,
    MergeContacts,
    RejectContact,
    ShowContact,
    UnmergeContact,
)

_STATES = (*words.CONTACT_STATES, "all")
_LABELS = {
    "last_name": "last name",
    "first_name": "first name",
    "middle_name": "middle name",
    "preferred_name": "called",
    "birthdate": "born",
    "phone_mobile": "mobile",
    "phone_home": "home",
    "phone_work": "work",
    "postal_code": "ZIP",
}


_SIGNS = {"equal": "=", "similar": "~", "differs": "!"}


@click.group()
def match() -> None:
    """People of the CRM who may be patients of the practice.

    Clear cases are linked by the agent; of the others nothing is merged or sent until somebody
    has looked.
    """


@match.command("list")
@click.option("--state", type=click.Choice(_STATES), default="suspect", show_default=True)
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True)
@click.option("--after", default="", metavar="ID", help="Go on behind this contact.")
@JSON
@click.pass_obj
def list_(app: App, state: str, limit: int, after: str, as_json: bool) -> None:
    """Contacts by id and the patients they may be. No names."""
    with reception(app) as desk:
        page = desk.ask(ListContacts(state, limit, after))
    if as_json:
        print_json(page)
        return
    if not page.contacts:
        click.echo(
            "Nobody waits to be matched by a person."
            if state == "suspect" and not after
            else "Nobody in that list."
        )
        return
    rows = [
        (
            line.cloud_id,
            words.CONTACT_STATES.get(line.state, line.state),
            "-" if line.key is None else f"patient {line.key}",
            ", ".join(str(key) for key in line.candidates) or "-",
            words.since(line.seen_at),
        )
        for line in page.contacts
    ]
    click.echo(words.table(("contact", "state", "is", "may be patient", "seen"), rows))
    if page.more:
        last = page.contacts[-1].cloud_id
        click.echo(f"\n  There are more: bridgework match list --state {state} --after {last}")
    if state == "suspect":
        click.echo(f"\n  Look at one: bridgework match show {page.contacts[0].cloud_id}")


@match.command("show")
@click.argument("contact")
@JSON
@click.pass_obj
def show(app: App, contact: str, as_json: bool) -> None:
    """One contact beside the patients it may be."""
    with reception(app) as desk:
        view = desk.ask(ShowContact(contact))
    if as_json:
        print_json(view)
        return
    click.echo(_in_words(view))


def _in_words(view: ContactView) -> str:
    line = view.line
    state = words.CONTACT_STATES.get(line.state, line.state)
    linked = f" to patient {line.key}" if line.key is not None else ""
    lines = [f"Contact {line.cloud_id}: {state}{linked}", ""]
    compared = dict.fromkeys(name for c in view.candidates for name in c.evidence)
    fields = list(compared) or list(view.person)
    rows = [
        (
            _LABELS.get(name, name.replace("_", " ")),
            words.value(_of_contact(view, name)),
            *(_of_patient(candidate, name) for candidate in view.candidates),
        )
        for name in fields
    ]
    heads = ("", "in the CRM", *(f"patient {c.key}" for c in view.candidates))
    lines.append(words.table(heads, rows))
    if view.candidates:
        lines += ["", "  = the same, ~ alike, ! differs"]
    catalogue = speech.catalogue()
    for candidate in view.candidates:
        if candidate.why in catalogue.codes:
            told = catalogue.render(candidate.why).title
            lines.append(f"  patient {candidate.key}: {told}")
    if line.state == "suspect":
        lines += [
            "",
            f"  It is one of them:  bridgework match approve {line.cloud_id} PATIENT",
            f"  It is none of them: bridgework match reject {line.cloud_id}",
        ]
    elif line.state in {"linked", "merged"}:
        lines += ["", f"  Take it back: bridgework match unmerge {line.cloud_id}"]
    return "\n".join(lines)


def _of_contact(view: ContactView, field: str) -> object:
    """As compared; what the CRM said where nothing was."""
    found = (c.evidence[field].crm for c in view.candidates if field in c.evidence)
    return next(found, view.person.get(field))


def _of_patient(candidate: CandidateView, field: str) -> str:
    compared = candidate.evidence.get(field)
    if compared is None:
        return words.value(candidate.person.get(field))
    return f"{words.value(compared.pms)} {_SIGNS.get(compared.likeness, '')}".rstrip()


@match.command("approve")
@click.argument("contact")
@click.argument("patient")
@JSON
@click.pass_obj
def approve(app: App, contact: str, patient: str, as_json: bool) -> None:
    """This contact is this patient.

    PATIENT is the practice system's number; it stands in `match show`.
    """
    _do(app, ApproveContact(contact, parse_key(patient)), f"Linked to patient {patient}.", as_json)


@match.command("reject")
@click.argument("contact")
@click.argument("patients", nargs=-1)
@JSON
@click.pass_obj
def reject(app: App, contact: str, patients: tuple[str, ...], as_json: bool) -> None:
    """This contact is none of these patients.

    Without patients: it is none of those proposed.
    """
    keys = tuple(parse_key(text) for text in patients)
    _do(app, RejectContact(contact, keys), "Noted; they are not proposed again.", as_json)


@match.command("merge")
@click.argument("contact")
@click.argument("into", metavar="INTO_CONTACT")
@YES
@JSON
@click.pass_obj
def merge(app: App, contact: str, into: str, yes: bool, as_json: bool) -> None:
    """Two contacts of the CRM are one person.

    The second one stays. Patients of the practice are never merged from here.
    """
    confirm(f"Merge contact {contact} into {into}?", yes=yes)
    _do(app, MergeContacts(contact, into), f"Merged into {into}.", as_json)


@match.command("unmerge")
@click.argument("contact")
@YES
@JSON
@click.pass_obj
def unmerge(app: App, contact: str, yes: bool, as_json: bool) -> None:
    """Take a link or a merge back.

    The contact stands for itself again, and is not proposed for that patient any more.
    """
    confirm(f"Take back what contact {contact} is linked to or merged into?", yes=yes)
    _do(app, UnmergeContact(contact), "Taken back; it stands for itself again.", as_json)


def _do(app: App, request: Request[Done], told: str, as_json: bool) -> None:
    kind: type[Request[Any]] = type(request)
    with reception(app, kind) as desk:
        done = desk.ask(request)
    if as_json:
        print_json(done)
        return
    click.echo(told)
