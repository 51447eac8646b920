"""The root group: global options, lazy commands, and one clear line for every failure.

A command module exposes a click command or group; it may return an ExitCode (0 = None), and gets
the settings by ``@click.pass_obj`` and ``App.settings()``. Must not import drivers.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import structlog

from agent import __version__
from agent.cli import speech
from agent.config import Paths, Settings, load_settings, open_secrets
from agent.config.paths import LANGUAGE_ENV
from agent.config.secrets import Secrets
from agent.errors import AgentError, ExitCode
from agent.support.logs import configure

# name -> where it lives, and its line of the help, so that showing help imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("agent.cli.run_cmd:run", "Run the agent until stopped."),
    "tray": ("agent.cli.tray_cmd:tray", "The icon by the clock, and the window."),
    "status": ("agent.cli.status_cmd:status", "What agrees, what waits, what needs a person."),
    "doctor": ("agent.cli.doctor_cmd:doctor", "Check every step and name the remedy."),
    "diagnose": (
        "agent.cli.diagnose_cmd:diagnose",
        "Look at a Dentrix or Eaglesoft site: one page, one file.",
    ),
    "sync": ("agent.cli.sync_cmd:sync", "Prove records equal now."),
    "pause": ("agent.cli.pause_cmd:pause", "Stand still for a while."),
    "resume": ("agent.cli.pause_cmd:resume", "End a pause."),
    "verify": ("agent.cli.verify_cmd:verify", "Five go-live tests, with a signed report."),
    "conflicts": ("agent.cli.conflicts_cmd:conflicts", "Fields both sides changed: decide."),
    "match": ("agent.cli.match_cmd:match", "Who in the CRM is which patient: decide."),
    "parked": ("agent.cli.parked_cmd:parked", "Records set aside: retry, ignore."),
    "tasks": ("agent.cli.tasks_cmd:tasks", "What must be done by hand."),
    "csv": ("agent.cli.csv_cmd:csv_", "By hand while a line is down: export, import."),
    "outages": ("agent.cli.outages_cmd:outages", "When a side could not be reached."),
    "commands": ("agent.cli.commands_cmd:commands", "What the CRM asked for."),
    "undo": ("agent.cli.undo_cmd:undo", "Take back what the agent wrote."),
    "safety": ("agent.cli.safety_cmd:safety", "Limit what the agent may write."),
    "audit": ("agent.cli.audit_cmd:audit", "Prove the record of what was done."),
    "report": ("agent.cli.report_cmd:report", "One week in figures: page, PDF, JSON."),
    "metrics": ("agent.cli.metrics_cmd:metrics", "Figures for monitoring (Prometheus)."),
    "alerts": ("agent.cli.alerts_cmd:alerts", "Who is told when a promise is missed."),
    "logs": ("agent.cli.logs_cmd:logs", "Show the log; it holds no patient data."),
    "bundle": ("agent.cli.bundle_cmd:bundle", "One file for support, without patient data."),
    "update": ("agent.cli.update_cmd:update", "New versions: look, install."),
    "setup": ("agent.cli.setup_cmd:setup", "Set this computer up, step by step."),
    "pair": ("agent.cli.pair_cmd:pair", "Link this computer to the CRM."),
    "config": ("agent.cli.config_cmd:config", "Show and change settings."),
    "map": ("agent.cli.map_cmd:map_", "Check and export the data map."),
    "journal": ("agent.cli.journal_cmd:journal", "Look after the sync record."),
    "practice": ("agent.cli.practice_cmd:practice", "Make a sample practice and let it live."),
    "crm": ("agent.cli.crm_cmd:crm", "Serve the reference CRM."),
    "service": ("agent.cli.service_cmd:service", "For the installer and Windows itself."),
    "demo": ("agent.cli.demo_cmd:demo", "Sample practice, CRM and agent, all at once."),
}
# These write the agent's own log and say on the console what they do; others only warn there.
_LONG_RUNNING = frozenset({"run"})
_INTERRUPTED = 130


class App:
    """What every command shares: where the agent lives and what the flags said."""

    def __init__(
        self, home: Path | None, flags: Sequence[str], log_level: str | None, command: str | None
    ) -> None:
        self._home = home
        self._flags = tuple(flags)
        self._log_level = log_level
        self._command = command
        self._settings: Settings | None = None

    @property
    def paths(self) -> Paths:
        return Paths.locate(self._home)

    @property
    def log_file(self) -> Path:
        return self.paths.agent_log if self._command in _LONG_RUNNING else self.paths.command_log

    def settings(self) -> Settings:
        """Loaded once; the log takes up its settings. ConfigError as of ``load_settings``."""
        if self._settings is None:
            self._settings = load_settings(self._flags, home=self._home)
            self.start_log(self._settings)
        return self._settings

    @property
    def language(self) -> str:
        """Of messages; English where nothing says otherwise, or the settings cannot be read."""
        own = os.environ.get(LANGUAGE_ENV, "")
        if own in speech.languages():
            return own
        try:
            return self.settings().practice.language
        except AgentError:
            return ""

    def reload(self) -> Settings:
        """The settings as they stand now, whatever was loaded before."""
        return load_settings(self._flags, home=self._home)

    def secrets(self) -> Secrets:
        return open_secrets(self.paths)

    def start_log(self, settings: Settings | None = None) -> None:
        level = self._log_level or (settings.log.level if settings else "info")
        quiet = self._command not in _LONG_RUNNING and self._log_level is None
        configure(
            level=level,
            file=self.log_file,
            console_level="error" if quiet else level,
            console_json=settings.log.json if settings else False,
        )


class Root(click.Group):
    """Finds commands by name in COMMANDS and turns errors into a line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (target, _) in COMMANDS.items() if _exists(target)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target, _ = COMMANDS.get(cmd_name, ("", ""))
        if not target or not _exists(target):
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            outcome = super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click has the right line and code for these
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(_INTERRUPTED)
        except AgentError as error:
            _tell(speech.catalogue().of(error).line)
            ctx.exit(error.exit_code)
        except Exception as error:  # noqa: BLE001 - the last line of defence: nothing raw on screen
            structlog.get_logger(__name__).error("command.crashed", exc_info=error)
            _tell(speech.catalogue().render("internal").line)
            ctx.exit(ExitCode.FAILED)
        if isinstance(outcome, int):
            ctx.exit(outcome)
        return outcome


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with the agent's settings, journal and logs.",
)
@click.option(
    "--set", "flags", multiple=True, metavar="NAME=VALUE", help="Override a setting. Repeatable."
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much to log, here and in the file.",
)
@click.version_option(__version__, prog_name="bridgework")
@click.pass_context
def main(
    ctx: click.Context, home: Path | None, flags: tuple[str, ...], log_level: str | None
) -> None:
    """Keep a dental practice's local system and its cloud CRM in agreement.

    Exit codes: 0 done, 1 something is wrong, 2 wrong option or setting, 3 practice system
    unreadable, 4 CRM unreachable, 5 another agent is running, 6 a person must act.
    """
    app = App(home, flags, log_level, ctx.invoked_subcommand)
    app.start_log()
    ctx.obj = app


def _exists(target: str) -> bool:
    return importlib.util.find_spec(target.partition(":")[0]) is not None


def _tell(line: str) -> None:
    click.echo(f"bridgework: {line}", err=True)
