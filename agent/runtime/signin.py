"""A maker's own way to the connection string: ask for it, keep it, drop it when refused.

Dentrix gives its string only to a program whose signature it knows, once, with somebody at the
screen; any other program may use the string afterwards. The program is given by ``pms.sign_in`` and
prints one line of JSON: ``{"result": 0, "version": 16.2, "connection": "..."}``, ``result`` being
what the maker's own function returned. Eaglesoft's settings object gives it for the maker's token
(``drivers.eaglesoft.settings_object``). Never imports ``agent.crm``.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import PureWindowsPath

import msgspec
import structlog

from agent.config.secrets import Secrets
from agent.errors import ConfigError, PmsError, PmsRefused, PmsSetup
from agent.model.reading import Column, Finding, SourceFacts
from agent.model.streams import Stream
from agent.ports import PmsReader
from drivers.eaglesoft import settings_object
from drivers.registry import Diagnosable

log = structlog.get_logger(__name__)

CONNECTION = "pms.odbc_connection"
SIGNED_IN = "pms.signed_in"  # version of the program; there only while its string is stored
WAIT_S = 300.0  # somebody has to answer a window

# What the maker's function returns, as far as two integrators tell; the rest is a plain failure.
CODES = {
    1: "pms.sign_in_cancelled",
    2: "pms.sign_in_key",
    3: "pms.sign_in_key",
    4: "pms.engine_stopped",
    5: "pms.sign_in_rights",
    6: "pms.sign_in_desktop",
    7: "pms.licence_revoked",
    8: "pms.sign_in_key",
    9: "pms.exclusive",
    settings_object.NO_OBJECT: "pms.eaglesoft_no_settings",
    settings_object.NO_TOKEN: "pms.eaglesoft_token",
    settings_object.NO_STRING: "pms.eaglesoft_no_settings",
}


class Told(msgspec.Struct, frozen=True):
    """What the program printed."""

    result: int = -1
    version: float = 0.0
    connection: str = ""

    def __repr__(self) -> str:
        return f"Told({self.result})"


class Program(msgspec.Struct, frozen=True):
    """What is run, what it is given to read, and how its answer is understood: ``read`` raises
    ValueError for none."""

    command: tuple[str, ...]
    given: bytes
    read: Callable[[bytes], Told]

    def __repr__(self) -> str:
        return f"Program({self.command[0]})"


def registered(path: str) -> Program:
    """The program registered with the maker of Dentrix."""

    def read(printed: bytes) -> Told:
        return msgspec.json.decode((printed.strip().splitlines() or [b""])[-1], type=Told)

    return Program((path,), b"", read)


def eaglesoft_settings(command: Sequence[str], product: str, token: str, driver: str) -> Program:
    """Eaglesoft's settings object. ``driver``: of ODBC, where IT named one."""

    def read(printed: bytes) -> Told:
        told = settings_object.answer(printed)
        if told.result or not told.connection:
            return Told(told.result or settings_object.NO_STRING)
        return Told(0, 0.0, settings_object.completed(told.connection, told.drivers, driver))

    return Program(tuple(command), settings_object.question(product, token), read)


class SignIn:
    """``secrets``: where the string is kept."""

    def __init__(self, program: Program, secrets: Secrets) -> None:
        self._program = program
        self._secrets = secrets

    def told(self) -> Told:
        """The stored string, else the program is run and its string stored. Raises the Pms errors
        and ConfigError."""
        stored = self._secrets.get(CONNECTION)
        if stored:
            version = self._secrets.get(SIGNED_IN) or "0"
            return Told(0, float(version), stored)
        told = self._run()
        if told.result or not told.connection:
            raise PmsSetup(CODES.get(told.result, "pms.sign_in_refused"), result=told.result)
        self._secrets.set(CONNECTION, told.connection)
        self._secrets.set(SIGNED_IN, str(told.version))
        log.info("sign_in.done", version=told.version)
        return told

    def drop(self) -> bool:
        """The database refused the string: away with it. False when it was not the program's."""
        if self._secrets.get(SIGNED_IN) is None:
            return False
        self._secrets.delete(CONNECTION)
        self._secrets.delete(SIGNED_IN)
        log.warning("sign_in.dropped")
        return True

    def _run(self) -> Told:
        program = self._program
        file = PureWindowsPath(program.command[0]).name  # takes either slash
        try:
            done = subprocess.run(
                program.command, capture_output=True, timeout=WAIT_S, input=program.given,
                check=False,
            )  # fmt: skip
        except OSError as error:
            why = error.strerror or "cannot be started"
            raise ConfigError("config.sign_in_failed", file=file, why=why) from None
        except subprocess.TimeoutExpired:
            raise ConfigError("config.sign_in_failed", file=file, why="no answer") from None
        try:
            return program.read(done.stdout)
        except ValueError:
            # Never what it printed: the string may be in it.
            raise ConfigError("config.sign_in_failed", file=file, why="said nothing") from None


class SignedSource:
    """``agent.ports.PmsSource`` whose connection string comes from the maker's own program.

    A refused string is dropped and asked for once more; a second refusal is told.
    """

    def __init__(self, sign_in: SignIn, make: Callable[[Told], Diagnosable], kind: str) -> None:
        self._sign_in = sign_in
        self._make = make
        self._kind = kind
        self._source: Diagnosable | None = None
        self._lock = threading.Lock()

    @property
    def kind(self) -> str:
        return self._kind

    def current(self) -> Diagnosable:
        with self._lock:
            if self._source is None:
                self._source = self._make(self._sign_in.told())
            return self._source

    def probe(self) -> SourceFacts:
        try:
            return self.current().probe()
        except PmsRefused as error:
            if error.code == "pms.right_missing" or not self._forget():
                raise
        return self.current().probe()

    def bind(self, stream: Stream, columns: Sequence[Column]) -> None:
        self.current().bind(stream, columns)

    def open(self) -> PmsReader:
        return self.current().open()

    def diagnose(self) -> list[Finding]:
        with contextlib.suppress(PmsError):  # the steps below say it
            self.probe()
        return self.current().diagnose()

    def _forget(self) -> bool:
        with self._lock:
            self._source = None
        return self._sign_in.drop()
