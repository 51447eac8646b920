"""``bridgework config``: list, get, set, unset. Secrets are write-only here.

Imports agent.config and agent.cli.root; must not import drivers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from agent.cli.render import wrapped
from agent.cli.root import App
from agent.config import MANIFEST, Setting, Settings
from agent.config.secrets import Secrets, read_secret
from agent.config.store import drop_setting, save_setting
from agent.config.values import find_setting, parse

_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean"}


@click.group()
def config() -> None:
    """Show and change settings."""


@config.command("list")
@click.argument("section", required=False)
@click.option("--long", "long", is_flag=True, help="Also what each setting means and allows.")
@_JSON
@click.pass_obj
def list_settings(app: App, section: str | None, long: bool, as_json: bool) -> None:
    """Every setting, its value and where the value comes from."""
    settings, secrets = app.settings(), app.secrets()
    chosen = [s for s in MANIFEST.values() if section in {None, s.name.partition(".")[0]}]
    if not chosen:
        find_setting(section or "", "command line")
        chosen = [MANIFEST[section or ""]]
    told = [_describe(s, settings, secrets) for s in chosen]
    if as_json:
        findings = [f.code for f in (*settings.findings, *secrets.findings())]
        _print_json({"home": str(app.paths.home), "settings": told, "findings": findings})
        return
    _print_table(told, long=long)
    for finding in settings.findings:
        facts = finding.facts
        hint = f"; did you mean {facts['nearest']}?" if facts.get("nearest") else ""
        click.echo(f"note: {facts['source']} sets unknown {facts['setting']}{hint}", err=True)
    for _ in secrets.findings():
        click.echo("note: no system keyring; secrets are kept in files of this folder", err=True)


@config.command("get")
@click.argument("name")
@_JSON
@click.pass_obj
def get_setting(app: App, name: str, as_json: bool) -> None:
    """One value. For a secret: whether it is set."""
    setting = find_setting(name, "command line")
    told = _describe(setting, app.settings(), app.secrets())
    if as_json:
        _print_json(told)
    else:
        click.echo(_shown(told))


@config.command("set")
@click.argument("name")
@click.argument("value", required=False)
@_JSON
@click.pass_obj
def set_setting(app: App, name: str, value: str | None, as_json: bool) -> None:
    """Store a value. Leave VALUE out for a secret to be asked for it (or to pipe it in)."""
    setting = find_setting(name, "command line")
    given = _ask(setting) if value is None else value
    if setting.secret:
        app.secrets().set(setting.name, str(parse(setting, given, "command line")))
    else:
        save_setting(app.paths.config_file, name, given)
    _confirm(app, setting, as_json=as_json)


@config.command("unset")
@click.argument("name")
@_JSON
@click.pass_obj
def unset_setting(app: App, name: str, as_json: bool) -> None:
    """Forget the stored value; the default (or the policy) applies again."""
    setting = find_setting(name, "command line")
    if setting.secret:
        app.secrets().delete(setting.name)
    else:
        drop_setting(app.paths.config_file, name)
    _confirm(app, setting, as_json=as_json)


def _confirm(app: App, setting: Setting, *, as_json: bool) -> None:
    """Say what applies now, which is not what was stored if a higher layer rules."""
    told = _describe(setting, app.settings(), app.secrets())
    if as_json:
        _print_json(told)
        return
    note = ", after a restart of the agent" if setting.restart else ""
    click.echo(f"{setting.name} = {_shown(told)} ({told['source']}{note})")


def _ask(setting: Setting) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    answer: str = click.prompt(setting.name, hide_input=setting.secret)
    return answer


def _describe(setting: Setting, settings: Settings, secrets: Secrets) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": setting.name,
        "value": None if setting.secret else settings.value(setting.name),
        "default": setting.default,
        "source": str(settings.origin(setting.name)),
        "type": _NAMES[setting.type],
        "allowed": setting.allowed,
        "secret": setting.secret,
        "restart": setting.restart,
        "help": setting.help,
    }
    if setting.secret:
        told["is_set"] = bool(read_secret(settings, secrets, setting.name))
        if told["is_set"] and setting.name not in settings.origins:
            told["source"] = "secret file" if secrets.is_fallback else "keyring"
    return told


def _shown(told: dict[str, Any]) -> str:
    if told["secret"]:
        return "(set)" if told["is_set"] else "(not set)"
    value = told["value"]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print_table(told: list[dict[str, Any]], *, long: bool) -> None:
    names = max(len(t["name"]) for t in told)
    values = min(48, max(len(_shown(t)) for t in told))
    section = ""
    for line in told:
        head = line["name"].partition(".")[0]
        if section and head != section:
            click.echo()
        section = head
        click.echo(f"{line['name']:<{names}}  {_shown(line) or '-':<{values}}  {line['source']}")
        if long:
            allowed = "" if line["allowed"] == "text" else f" Allowed: {line['allowed']}."
            indent = " " * (names + 2)
            meaning = f"{line['help']}{allowed}"
            click.echo("\n".join(wrapped(meaning, indent, indent)))


def _print_json(told: object) -> None:
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))
