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


def _usual_file(app: App) -> Path:
    app.paths.prepare()
    return app.paths.home / "crm.db"


def _existing(app: App, db: Path | None) -> Path:
    file = db or app.paths.home / "crm.db"
    if not file.is_file():
        raise _Failed(f"there is no CRM database at {file}", ExitCode.USAGE)
    return file
