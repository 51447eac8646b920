"""``bridgework pair``: link this computer to a practice at the CRM, and look after its key.

Imports agent.config, agent.crm and agent.runtime.clock; must not import drivers.
"""

from __future__ import annotations

import json
import socket
from typing import Any

import click

from agent import __version__
from agent.cli import speech
from agent.cli.root import App
from agent.config.store import save_setting
from agent.crm.auth import Auth
from agent.crm.connect import CrmLink, open_transport
from agent.crm.enroll import enroll
from agent.crm.pairing import Pairing, PairingStore
from agent.errors import AgentError, CrmError, ExitCode
from agent.runtime.clock import SystemClock


@click.command()
@click.argument("code", required=False)
@click.option("--url", help="Address of the CRM; remembered. Default: the setting crm.url.")
@click.option("--label", default=None, help="What people call this computer. Default: its name.")
@click.option("--rotate", is_flag=True, help="Change the key of an existing link.")
@click.option("--status", "show", is_flag=True, help="Show the link and try it.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_obj
def pair(
    app: App,
    code: str | None,
    url: str | None,
    label: str | None,
    *,
    rotate: bool,
    show: bool,
    as_json: bool,
) -> ExitCode:
    """Link this computer to the CRM with the one-time CODE it shows.

    The key pair is made here and its private half never leaves this computer.
    Exit codes: 0 linked, 2 wrong option or address, 4 CRM unreachable, 6 not linked or refused.
    """
    if rotate + show + (code is not None) > 1:
        raise click.UsageError("Give a CODE, or --rotate, or --status.")
    if show:
        told, exit_code = _status(app)
    elif rotate:
        told, exit_code = _rotate(app), ExitCode.OK
    else:
        told, exit_code = _pair(app, code or click.prompt("One-time code"), url, label), ExitCode.OK
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        click.echo(_in_words(told))
    return exit_code


def _pair(app: App, code: str, url: str | None, label: str | None) -> dict[str, Any]:
    settings, clock = app.settings(), SystemClock()
    pairings = PairingStore(app.secrets())
    transport = open_transport(settings, clock, __version__, url=url)
    try:
        pairing = enroll(
            code,
            transport=transport,
            pairings=pairings,
            clock=clock,
            agent_version=__version__,
            label=socket.gethostname() if label is None else label,
        )
        save_setting(app.paths.config_file, "crm.url", transport.base_url)
        save_setting(app.paths.config_file, "crm.client_id", pairing.client_id)
        error = _try_out(Auth(transport, pairings, clock))
        return _describe(pairing, transport.base_url, error)
    finally:
        transport.close()


def _rotate(app: App) -> dict[str, Any]:
    link = CrmLink(app.settings(), app.secrets(), SystemClock(), __version__)
    try:
        pairing = link.rotation.rotate()
        return _describe(pairing, link.transport.base_url, _try_out(link.auth))
    finally:
        link.close()


def _status(app: App) -> tuple[dict[str, Any], ExitCode]:
    settings = app.settings()
    if PairingStore(app.secrets()).find() is None:
        return {"paired": False, "url": settings.crm.url}, ExitCode.ACTION
    link = CrmLink(settings, app.secrets(), SystemClock(), __version__)
    try:
        error = _try_out(link.auth)
        exit_code = ExitCode.OK if error is None else error.exit_code
        return _describe(link.pairing, link.transport.base_url, error), exit_code
    finally:
        link.close()


def _try_out(auth: Auth) -> AgentError | None:
    """Fetch a token: proves address, key and pairing at once."""
    try:
        auth.bearer()
    except CrmError as error:
        return error
    return None


def _describe(pairing: Pairing, url: str, error: AgentError | None) -> dict[str, Any]:
    return {
        "paired": True,
        "url": url,
        "practice_id": pairing.practice_id,
        "practice_name": pairing.practice_name,
        "client_id": pairing.client_id,
        "kid": pairing.live_kid,
        "key_since": pairing.live_since,
        "rotation_unfinished": pairing.is_rotating,
        "works": error is None,
        "error": None if error is None else {"code": error.code, **error.facts},
    }


def _in_words(told: dict[str, Any]) -> str:
    if not told["paired"]:
        return "Not linked to a CRM. Get a code from the CRM, then: bridgework pair CODE --url ..."
    lines = [
        f"Linked to {told['practice_name']} ({told['practice_id']}) at {told['url']}",
        f"  client  {told['client_id']}",
        f"  key     {told['kid']} since {told['key_since']}",
    ]
    if told["rotation_unfinished"]:
        lines.append("  A key change is unfinished; the agent finishes it, or: pair --rotate")
    if told["error"] is not None:
        lines.append("  " + speech.catalogue().render(told["error"]["code"], told["error"]).line)
    return "\n".join(lines)
