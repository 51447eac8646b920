"""``bridgework crm``: serve the reference CRM, give out pairing codes, look at what it holds.

Imports agent.sandbox.crm; must not import drivers or the engine.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import click

from agent.cli.root import App
from agent.errors import ExitCode
from agent.model.commands import CommandType
from agent.model.streams import Stream

_TYPES = click.Choice([stream.value for stream in Stream])
_json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
_db_option = click.option(
    "--db",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The CRM's database file. Default: crm.db in the agent's folder.",
)


class _Failed(click.ClickException):
    def __init__(self, line: str, exit_code: ExitCode) -> None:
        super().__init__(line)
        setattr(self, "exit_code", int(exit_code))  # noqa: B010 - click declares it per class


@click.group()
def crm() -> None:
    """The reference CRM: a CRM Sync API server with a page, for demos, tests and pilots."""


@crm.command()
@_db_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8750, show_default=True, type=click.IntRange(0, 65535))
@click.option("--practice-code", default="demo", show_default=True, help="The practice's id.")
@click.option("--practice-name", default="Willow Creek Dental", show_default=True)
@click.option("--zone", default="UTC", show_default=True, help="Until a practice record names one.")
@click.option("--public-url", default="", help="How agents reach it, e.g. through a TLS proxy.")
@click.option("--test-token", default="", help="Open POST /testing/faults to this token.")
@click.option("--open-page", is_flag=True, help="Show the page to other computers. It asks nobody.")
@click.option(
    "--pilot-token",
    default="",
    envvar="BRIDGEWORK_CRM_PILOT_TOKEN",
    help="Let the bearer of this token use the page's API from anywhere (a booking AI).",
)
@click.option(
    "--endpoint-secret",
    default="",
    envvar="BRIDGEWORK_CRM_ENDPOINT_SECRET",
    help="whsec_...: sign commands by HMAC too, beside the keys.",
)
@_json_option
@click.pass_obj
def serve(
    app: App,
    db: Path | None,
    host: str,
    port: int,
    practice_code: str,
    practice_name: str,
    zone: str,
    public_url: str,
    test_token: str,
    *,
    open_page: bool,
    pilot_token: str,
    endpoint_secret: str,
    as_json: bool,
) -> None:
    """Serve until interrupted. Prints the address and a one-time pairing code.

    Plain http: behind anything but this computer put a TLS proxy in front.
    Exit codes: 0 stopped, 1 cannot listen, 2 wrong file or option, 5 another server has the file.
    """
    from agent.sandbox.crm import CrmServer, CrmSettings, StoreBusy

    settings = CrmSettings(
        practice_id=practice_code,
        practice_name=practice_name,
        zone=zone,
        issuer=public_url.rstrip("/"),
        test_token=test_token,
        open_page=open_page,
        pilot_token=pilot_token,
        endpoint_secret=endpoint_secret,
    )
    file = db or _usual_file(app)
    try:
        server = CrmServer(file, host=host, port=port, settings=settings)
    except StoreBusy as error:
        raise _Failed(str(error), ExitCode.BUSY) from None
    except OSError as error:
        raise _Failed(
            f"cannot listen on {host} port {port}: {error.strerror}", ExitCode.FAILED
        ) from None
    except ValueError as error:
        raise _Failed(str(error), ExitCode.USAGE) from None
    code = server.new_code()
    told = {"url": server.url, "page": f"{server.url}/app/", "code": code, "db": str(file)}
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(f"The CRM for {practice_name} is at {server.url}")
        click.echo(f"  page   {server.url}/app/   (no sign-in: this computer only)")
        click.echo(
            f"  link   bridgework pair {code} --url {server.url}   (once, within 15 minutes)"
        )
        click.echo("  stop   Ctrl+C")
    server.serve_forever()


@crm.command()
@_db_option
@_json_option
@click.pass_obj
def code(app: App, db: Path | None, *, as_json: bool) -> None:
    """Give out a one-time pairing code, good for 15 minutes. The server may be running."""
    from agent.sandbox.crm.accounts import CODE_LIFE_S, issue_code
    from agent.sandbox.crm.schema import connect

    with contextlib.closing(connect(_existing(app, db))) as store:
        issued = issue_code(store)
    click.echo(json.dumps({"code": issued, "expires_in_s": CODE_LIFE_S}) if as_json else issued)


@crm.command()
@click.argument("type_name", metavar="[TYPE]", type=_TYPES, required=False)
@click.argument("key", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000))
@_db_option
@_json_option
@click.pass_obj
def records(
    app: App, type_name: str | None, key: str | None, limit: int, db: Path | None, *, as_json: bool
) -> ExitCode:
    """Count what the CRM holds; list a TYPE; show one record by its KEY with its history."""
    from agent.sandbox.crm import look

    file = _existing(app, db)
    told: Any
    if type_name is None:
        told = look.counts(file)
        lines = [f"  {name:<18}{count:>10,}" for name, count in told.items()]
    elif key is None:
        told = look.listed(file, type_name, limit)
        lines = [
            f"  {r['key']:<12} {r['state']:<8} {r['content_hash'] or '-':<33} {r['arrived_at']}"
            for r in told
        ]
    else:
        told = look.one(file, type_name, key)
        if told is None:
            raise _Failed(f"no {type_name} with this key", ExitCode.FAILED)
        lines = [json.dumps(told, indent=2, ensure_ascii=False)]
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(lines))
    return ExitCode.OK


@crm.command()
@click.option("--revoke", metavar="CLIENT_ID", help="Withdraw an agent's pairing for good.")
@_db_option
@_json_option
@click.pass_obj
def agents(app: App, revoke: str | None, db: Path | None, *, as_json: bool) -> ExitCode:
    """List the agents linked to this CRM, or withdraw one."""
    from agent.sandbox.crm import look
    from agent.sandbox.crm.accounts import revoke_agent
    from agent.sandbox.crm.schema import connect

    file = _existing(app, db)
    if revoke is not None:
        with contextlib.closing(connect(file)) as store:
            if not revoke_agent(store, revoke):
                raise _Failed("no such agent, or withdrawn already", ExitCode.FAILED)
    told = look.agents(file)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for agent in told:
            state = (
                "withdrawn"
                if agent["revoked_at"]
                else f"heard {agent['last_heartbeat_at'] or 'never'}"
            )
            click.echo(f"  {agent['client_id']}  {agent['label'] or '-'}  {state}")
    return ExitCode.OK


@crm.command()
@_db_option
@_json_option
@click.pass_obj
def verify(app: App, db: Path | None, *, as_json: bool) -> ExitCode:
    """Recompute every hash and digest from the stored bytes. Exit code 1 when one differs."""
    from agent.sandbox.crm import look

    told = look.verify(_existing(app, db))
    wrong = told["wrong_hashes"] + told["wrong_buckets"]
    words = f"{told['records']:,} records, {told['wrong_hashes']} wrong hashes"
    click.echo(json.dumps(told) if as_json else f"{words}, {told['wrong_buckets']} wrong digests")
    return ExitCode.FAILED if wrong else ExitCode.OK


@crm.command("command")
@click.argument("kind", metavar="TYPE", type=click.Choice([kind.value for kind in CommandType]))
@click.option("--payload", default="{}", show_default=True, help="JSON; @FILE reads a file.")
@click.option("--target", metavar="TYPE:KEY", help="The record it is about: patient:1042.")
@click.option("--expected", default="", help="JSON: the values that were shown; merge base.")
@click.option("--priority", default=100, show_default=True, type=click.IntRange(0, 1000))
@click.option("--expires-in", "expires_s", type=click.IntRange(1), help="Seconds.")
@click.option("--unchecked", is_flag=True, help="Even where no agent offers it.")
@click.option(
    "--wait", "wait_s", default=0.0, type=click.FloatRange(0), help="Seconds, for its end."
)
@_db_option
@_json_option
@click.pass_obj
def command(
    app: App,
    kind: str,
    payload: str,
    target: str | None,
    expected: str,
    priority: int,
    expires_s: int | None,
    wait_s: float,
    db: Path | None,
    *,
    unchecked: bool,
    as_json: bool,
) -> ExitCode:
    """Queue a command for the practice. Prints its id, and how it stands when waited for.

    Exit code 1: no agent can do it (nothing is queued), or it did not end applied in time.
    """
    from agent.sandbox.crm import look
    from agent.sandbox.crm.orders import CannotOrder, Order, place_order
    from agent.sandbox.crm.schema import connect, now_us

    file = _existing(app, db)
    order = Order(
        kind,
        _read_json(payload, "--payload"),
        _read_target(target),
        {"expected": _read_json(expected, "--expected")} if expected else None,
        priority,
        not_after_us=None if expires_s is None else now_us() + expires_s * 1_000_000,
        made_by="cli",
    )
    with contextlib.closing(connect(file)) as store:
        try:
            made = place_order(store, order, is_checked=not unchecked)
        except CannotOrder as refused:
            raise _Failed(f"not queued: {refused.reason.value}", ExitCode.FAILED) from None
    told = look.command(file, made, wait_s)
    click.echo(json.dumps(told) if as_json else _command_line(told))
    is_fine = not wait_s or told["state"] == "applied"
    return ExitCode.OK if is_fine else ExitCode.FAILED


@crm.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000))
@_db_option
@_json_option
@click.pass_obj
def commands(app: App, limit: int, db: Path | None, *, as_json: bool) -> ExitCode:
    """List commands and how they stand, newest first. Without anybody's details."""
    from agent.sandbox.crm import look

    told = look.commands(_existing(app, db), limit)
    lines = [_command_line(one) for one in told]
    click.echo(json.dumps(told) if as_json else "\n".join(lines))
    return ExitCode.OK


@crm.command()
@click.option("--add", "new", metavar="JSON", help="Add a person: last_name, first_name, ...")
@_db_option
@_json_option
@click.pass_obj
def contacts(app: App, new: str | None, db: Path | None, *, as_json: bool) -> ExitCode:
    """List the CRM's own people and who they are in the practice, or add one."""
    import msgspec

    from agent.sandbox.crm import look, people
    from agent.sandbox.crm.schema import connect

    file = _existing(app, db)
    if new is not None:
        try:
            said = msgspec.convert(_read_json(new, "--add"), people.Said)
        except msgspec.ValidationError:
            raise _Failed("--add: not a person", ExitCode.USAGE) from None
        with contextlib.closing(connect(file)) as store:
            told = [{"cloud_id": people.add(store, said).id, "state": "new", "client_ref": None}]
    else:
        told = look.contacts(file)
    lines = [f"  {c['cloud_id']:<24} {c['state']:<9} {c['client_ref'] or '-'}" for c in told]
    click.echo(json.dumps(told) if as_json else "\n".join(lines))
    return ExitCode.OK


@crm.command()
@click.option("--kill/--no-kill", default=None, help="Nothing is read or written.")
@click.option("--read-only/--no-read-only", default=None, help="No command is applied.")
@click.option("--dry-run/--no-dry-run", default=None, help="Commands are planned only.")
@click.option("--canary-operatory", "operatories", multiple=True, metavar="KEY")
@click.option("--canary-provider", "providers", multiple=True, metavar="KEY")
@click.option("--canary-patient", "patients", multiple=True, metavar="KEY")
@click.option("--no-canary", is_flag=True, help="Commands may touch everything again.")
@_db_option
@_json_option
@click.pass_obj
def switches(
    app: App,
    kill: bool | None,
    read_only: bool | None,
    dry_run: bool | None,
    operatories: tuple[str, ...],
    providers: tuple[str, ...],
    patients: tuple[str, ...],
    db: Path | None,
    *,
    no_canary: bool,
    as_json: bool,
) -> ExitCode:
    """Show or turn the CRM's side of the safety switches. The strictest side holds."""
    import msgspec

    from agent.sandbox.crm import switches as sides
    from agent.sandbox.crm.schema import connect

    listed = bool(operatories or providers or patients)
    canary = sides.Canary(operatories, providers, patients) if listed or no_canary else None
    with contextlib.closing(connect(_existing(app, db))) as store:
        now = sides.change(store, sides.Change(kill, read_only, dry_run, canary))
    told = msgspec.to_builtins(now)
    lines = [f"  {name:<10} {value}" for name, value in told.items()]
    click.echo(json.dumps(told) if as_json else "\n".join(lines))
    return ExitCode.OK


@crm.command()
@click.option("--add", is_flag=True, help="Begin a change: the new key signs beside the old.")
@click.option("--retire", metavar="KID", help="End it: this key signs no more.")
@_db_option
@_json_option
@click.pass_obj
def keys(app: App, retire: str | None, db: Path | None, *, add: bool, as_json: bool) -> ExitCode:
    """List the keys that sign commands, or change them without a gap."""
    from agent.sandbox.crm import envelopes
    from agent.sandbox.crm.http import instant
    from agent.sandbox.crm.schema import connect

    with contextlib.closing(connect(_existing(app, db))) as store:
        try:
            if add:
                envelopes.add_envelope_key(store)
            if retire is not None:
                envelopes.retire_envelope_key(store, retire)
        except ValueError as error:
            raise _Failed(str(error), ExitCode.USAGE) from None
        live = envelopes.live_envelope_keys(store)
    told = [{"kid": kid, "added_at": instant(at)} for kid, at in live]
    lines = [f"  {one['kid']}  since {one['added_at']}" for one in told]
    click.echo(json.dumps(told) if as_json else "\n".join(lines))
    return ExitCode.OK


def _command_line(told: dict[str, Any]) -> str:
    reason = f"  {told['reason_code']}" if told["reason_code"] else ""
    return f"  {told['command_id']}  {told['type']:<24} {told['state']}{reason}"


def _read_json(text: str, option: str) -> dict[str, Any]:
    """A JSON object, from the option or the file it names."""
    try:
        found = json.loads(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text)
    except (OSError, ValueError):
        raise _Failed(f"{option}: not JSON", ExitCode.USAGE) from None
    if not isinstance(found, dict):
        raise _Failed(f"{option}: a JSON object is needed", ExitCode.USAGE)
    return found


def _read_target(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    kind, _, key = text.partition(":")
    if kind not in {stream.value for stream in Stream} or not key:
        raise _Failed("--target: TYPE:KEY is needed", ExitCode.USAGE)
    return {"type": kind, "key": key}


def _usual_file(app: App) -> Path:
    app.paths.prepare()
    return app.paths.home / "crm.db"


def _existing(app: App, db: Path | None) -> Path:
    file = db or app.paths.home / "crm.db"
    if not file.is_file():
        raise _Failed(f"there is no CRM database at {file}", ExitCode.USAGE)
    return file
