"""The only module that knows where files live. Imports agent.config.registry only.

One folder holds everything the agent owns; ``BRIDGEWORK_HOME`` (or ``--home``) moves it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from agent.config.registry import SINGLE_USER, program_files, read_installed, service_home

HOME_ENV = "BRIDGEWORK_HOME"
LANGUAGE_ENV = "BRIDGEWORK_LANGUAGE"  # this person's, in commands and in the window
POLICY_ENV = "BRIDGEWORK_POLICY"


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things are below ``home``. Nothing is created before ``prepare``."""

    home: Path

    @classmethod
    def locate(cls, home: Path | None = None, environ: Mapping[str, str] | None = None) -> Paths:
        """Flag, then environment, then the system's place for the data of services or people."""
        given = home or _env_home(os.environ if environ is None else environ)
        return cls((given or _usual_home()).expanduser().absolute())

    @property
    def config_file(self) -> Path:
        return self.home / "config.toml"

    @property
    def journal_dir(self) -> Path:
        return self.home / "journal"

    @property
    def backup_dir(self) -> Path:
        return self.home / "backups"

    @property
    def log_dir(self) -> Path:
        return self.home / "logs"

    @property
    def agent_log(self) -> Path:
        """Written by the running agent alone (a rotated file must have one writer)."""
        return self.log_dir / "bridgework.log"

    @property
    def command_log(self) -> Path:
        """Written by every other command."""
        return self.log_dir / "bridgework-cli.log"

    @property
    def handoff_dir(self) -> Path:
        """Files between a person and the agent, for as long as they are being worked on."""
        return self.home / "handoff"

    @property
    def bundle_dir(self) -> Path:
        """Bundles for support; those older than a week go."""
        return self.home / "bundles"

    @property
    def secrets_dir(self) -> Path:
        """Only used where no keyring exists."""
        return self.home / "secrets"

    @property
    def secrets_choice(self) -> Path:
        """Remembers which secret store this installation began with."""
        return self.home / "secrets.backend"

    @property
    def status_file(self) -> Path:
        return self.home / "status.json"

    @property
    def pause_file(self) -> Path:
        """Holds the end of a pause; the running agent looks at it every second."""
        return self.home / "paused-until"

    @property
    def setup_file(self) -> Path:
        """What the first-run wizard was told; absent where it was never used."""
        return self.home / "setup.json"

    @property
    def site_map(self) -> Path:
        """The site's own rows of the data map, unless the setting map.file names another."""
        return self.home / "site-map.csv"

    @property
    def updates_dir(self) -> Path:
        """What is offered as a new version, and its file while it waits to be installed."""
        return self.home / "updates"

    @property
    def control_socket(self) -> Path:
        return self.home / "control.sock"

    def journal_file(self, folder: Path | None = None) -> Path:
        return (folder or self.journal_dir) / "journal.db"

    def prepare(self) -> None:
        """Make the folder, readable by its owner only. On Windows the installer sets the ACL."""
        make_private_dir(self.home)


def make_private_dir(folder: Path) -> None:
    """Create with mode 0700; an existing folder keeps the mode its owner chose."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def assets_dir() -> Path:
    """Messages, maps, OpenAPI … as shipped: beside the ``agent`` package, frozen or not."""
    return Path(__file__).resolve().parents[2] / "assets"


def is_single_user() -> bool:
    """Installed without a service (MODE=user): whoever is signed in has an agent of their own."""
    return read_installed().get("Mode") == SINGLE_USER


def kept_dir() -> Path:
    """Installers to go back to, and what came of the last update (Windows). Among the programs:
    written by the system and administrators alone, and nobody else could have made it first."""
    programs = program_files() or Path(platformdirs.site_data_dir("bridgework"))
    return programs / "Bridgework Updates"


def outcome_file() -> Path:
    return kept_dir() / "outcome.json"


def policy_file(environ: Mapping[str, str]) -> Path | None:
    """The administrator's file (TOML or JSON); the installer sets the variable that names it."""
    named = environ.get(POLICY_ENV, "")
    return Path(named).expanduser() if named else None


def _env_home(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(HOME_ENV, "")
    return Path(named) if named else None


def _usual_home() -> Path:
    """Windows: the service's folder where one is installed, else the signed-in user's. Who may not
    look into the service's folder is told so, and asks the running agent instead."""
    if sys.platform == "win32":
        usual = Path(platformdirs.user_data_dir("Bridgework", appauthor=False))
        return service_home(read_installed()) or usual
    return Path(platformdirs.user_data_dir("bridgework"))
