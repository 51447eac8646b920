"""Database servers the ODBC tests start and stop themselves: own folders, own ports, own users.

Seeded with the vendors' own clients (psql, isql-vt), never through the ODBC drivers under test.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from tests.support.mariadb import free_port

DRIVERS = "/usr/lib/*/odbc"
START_S = 60.0


@functools.cache
def driver(name: str) -> str:
    """Path of a driver library, or "" when its package is not installed."""
    found = sorted(Path("/").glob(f"{DRIVERS[1:]}/{name}"))
    return str(found[0]) if found else ""


@functools.cache
def postgres_bin() -> Path | None:
    """The newest server's programs; Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
    if found:
        return found[-1].parent
    here = shutil.which("postgres")
    return Path(here).parent if here else None


def _version(path: Path) -> int:
    return int(path.parent.parent.name)


def as_other(user: str) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []


class Postgres:
    """``with Postgres() as db:`` gives ``db.port``; superuser "postgres" is trusted locally,
    everybody else needs the password. ``run`` speaks as the superuser."""

    name = "postgres"
    superuser = "postgres"

    def __init__(self, *, zone: str = "America/Denver") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="bw-postgres-"))
        self.port = free_port()
        self.zone = zone
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.home.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(self.home, "postgres")
        initdb = str(_bin() / "initdb")
        subprocess.run(
            [*as_other("postgres"), initdb, "-D", f"{self.home}/data", "-U", self.superuser,
             "--auth-host=scram-sha-256", "--auth-local=trust", "-E", "UTF8", "--locale=C.UTF-8",
             "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        self.start()
        return self

    def start(self) -> None:
        log = (self.home / "log").open("ab")
        self._server = subprocess.Popen(
            [*as_other("postgres"), str(_bin() / "postgres"), "-D", f"{self.home}/data",
             "-p", str(self.port), "-k", str(self.home), "-c", "listen_addresses=127.0.0.1",
             "-c", "fsync=off", "-c", f"timezone={self.zone}", "-c", "max_connections=60",
             "-c", "password_encryption=scram-sha-256", "-c", "log_connections=on"],
            stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.run("SELECT 1")
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise
                time.sleep(0.05)

    def run(self, *statements: str, database: str = "postgres") -> str:
        """Run statements; the unaligned output of all of them."""
        done = subprocess.run(
            ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(self.home), "-p", str(self.port),
             "-U", self.superuser, "-d", database, "-f", "-"],
            input=";\n".join(statements) + ";\n", capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, "psql", stderr=done.stderr)
        return done.stdout.strip()

    def connection(self, user: str, password: str, database: str = "postgres", **other: Any) -> str:
        host = other.pop("host", "127.0.0.1")
        port = other.pop("port", self.port)
        more = "".join(f";{name}={value}" for name, value in other.items())
        return (
            f"DRIVER={driver('psqlodbcw.so')};SERVER={host};PORT={port};DATABASE={database};"
            f"UID={user};PWD={password};UseDeclareFetch=1;Fetch=1000;BoolsAsChar=0{more}"
        )

    def logins(self, user: str) -> int:
        """Times somebody tried to sign in as this user, whatever came of it."""
        text = (self.home / "log").read_text(errors="replace")
        tried = [line for line in text.splitlines() if f'user "{user}"' in line
                 and "password authentication failed" in line]  # fmt: skip
        return len(tried)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self._server is not None
        pid = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
        for child in _children(pid):
            _signal(child, signal.SIGKILL)
        _signal(pid, signal.SIGKILL)
        self._server.wait()
        (self.home / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """In order, as for a backup of its folder."""
        if self._server is not None and self._server.poll() is None:
            pid = (self.home / "data" / "postmaster.pid").read_text().split()[0]
            _signal(int(pid), signal.SIGINT)
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


def _bin() -> Path:
    found = postgres_bin()
    assert found is not None, "no PostgreSQL server here"
    return found


def _children(pid: int) -> list[int]:
    task = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in task.read_text().split()] if task.exists() else []


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


_VIRTUOSO_INI = """
[Database]
DatabaseFile = {home}/v.db
TransactionFile = {home}/v.trx
ErrorLogFile = {home}/v.log
LockFile = {home}/v.lck
xa_persistent_file = {home}/v.pxa
[TempDatabase]
DatabaseFile = {home}/t.db
TransactionFile = {home}/t.trx
[Parameters]
ServerPort = 127.0.0.1:{port}
DisableUnixSocket = 1
CaseMode = 2
NumberOfBuffers = 2000
MaxDirtyBuffers = 1200
SchedulerInterval = 0
ServerThreads = 20
LiteMode = 1
TimezonelessDatetimes = 0
DirsAllowed = {home}
[Client]
SQL_PREFETCH_ROWS = 1000
SQL_PREFETCH_BYTES = 2000000
[HTTPServer]
"""


class Virtuoso:
    """``with Virtuoso() as db:`` gives ``db.port``; user dba, password dba. A second oracle beside
    PostgreSQL: its own driver, ``TOP n``, no LIMIT, no CTE, quirks of an old driver."""

    name = "virtuoso"

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="bw-virtuoso-"))
        self.port = free_port()
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        ini = self.home / "virtuoso.ini"
        ini.write_text(_VIRTUOSO_INI.format(home=self.home, port=self.port))
        self._server = subprocess.Popen(
            ["virtuoso-t", "+foreground", "+configfile", str(ini)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.home,
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.run("SELECT 1")
                return self
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise
                time.sleep(0.1)

    def run(self, *statements: str) -> str:
        """Run statements through the vendor's own client."""
        done = subprocess.run(
            [_isql(), f"127.0.0.1:{self.port}", "dba", "dba", "VERBOSE=OFF", "BANNER=OFF",
             "PROMPT=OFF", "ERRORS=STDOUT", "EXEC=" + ";".join(statements) + ";"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or "*** Error" in done.stdout:
            raise subprocess.CalledProcessError(done.returncode, "isql", output=done.stdout)
        return done.stdout.strip()

    def script(self, statements: Iterable[str]) -> None:
        """Many statements from a file: the command line has a limit."""
        path = self.home / "script.sql"
        path.write_text(";\n".join(statements) + ";\n")
        done = subprocess.run(
            [_isql(), f"127.0.0.1:{self.port}", "dba", "dba", "VERBOSE=OFF", "BANNER=OFF",
             "PROMPT=OFF", "ERRORS=STDOUT", str(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or "*** Error" in done.stdout:
            raise subprocess.CalledProcessError(done.returncode, "isql", output=done.stdout)

    def connection(self, user: str, password: str, **other: Any) -> str:
        host = other.pop("host", "127.0.0.1")
        port = other.pop("port", self.port)
        return f"DRIVER={driver('virtodbc_r.so')};HOST={host}:{port};UID={user};PWD={password}"

    def __exit__(self, *_: object) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.terminate()
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        shutil.rmtree(self.home, ignore_errors=True)


@functools.cache
def _isql() -> str:
    found = shutil.which("isql-vt") or shutil.which("isql-v") or shutil.which("virtuoso-isql")
    assert found, "no Virtuoso client here"
    return found
