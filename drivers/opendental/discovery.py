"""Where Open Dental itself says its database is: FreeDentalConfig.xml and OpenDentalWebConfig.xml.

Structure (vendor manual "FreeDentalConfig.xml"; eConnector and API Service configurations): root
``ConnectionSettings``; ``ConnectionString`` overrides all; else ``DatabaseConnection`` with
``ComputerName`` (host or host:port), ``Database``, ``User``, ``Password`` (mostly blank),
``MySQLPassHash`` (encrypted by a closed library); or ``ServerConnection`` (Middle Tier: this
computer has no database access). Only the database these files name is ever read.

The parser refuses document types, so neither entities nor external files are ever expanded.
Must not connect to anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.parsers import expat

import msgspec

from agent.model.reading import Finding, Severity

MAX_BYTES = 1_000_000
DEFAULT_PORT = 3306
CONFIG_NAMES = ("FreeDentalConfig.xml", "OpenDentalWebConfig.xml")
SEARCH_FOLDERS = (
    r"C:\Program Files (x86)\Open Dental",
    r"C:\Program Files\Open Dental",
    r"C:\OpenDental",
    r"C:\Program Files (x86)\Open Dental\OpenDentalAPIService",
    r"C:\Program Files (x86)\Open Dental\OpenDentalEConnector",
)
"""Usual installation folders, in order of trust."""


class Candidate(msgspec.Struct, frozen=True):
    """What one file says. Empty text and port 0: not said. The password is never shown."""

    file: str
    host: str = ""
    port: int = 0
    database: str = ""
    user: str = ""
    password: str = ""
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        return f"Candidate({self.file}: {self.host}:{self.port}/{self.database})"


class _Refused(Exception):
    """The document is not plain XML of the expected kind."""


def usual_files(folders: Iterable[str] = SEARCH_FOLDERS) -> list[Path]:
    """The configuration files present in the usual folders."""
    places = [Path(folder) / name for folder in folders for name in CONFIG_NAMES]
    return [path for path in places if path.is_file()]


def read_config(path: Path) -> Candidate:
    """Read one file; whatever is wrong with it comes back as a finding, never as an exception."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError:
        return _wrong(path, "pms.config_unreadable")
    if len(content) > MAX_BYTES:
        return _wrong(path, "pms.config_invalid")
    try:
        said = _leaves(content)
    except (_Refused, expat.ExpatError, UnicodeDecodeError):
        return _wrong(path, "pms.config_invalid")
    return _candidate(path, said)


def _wrong(path: Path, code: str) -> Candidate:
    return Candidate(path.name, findings=(Finding(code, Severity.ERROR, {"file": path.name}),))


def _leaves(content: bytes) -> dict[str, str]:
    """Text by lower-case path below the root (``databaseconnection/user``), the first wins."""
    said: dict[str, str] = {}
    stack: list[str] = []
    text: list[str] = []
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise _Refused

    def start(name: str, _: object) -> None:
        stack.append(name.lower())
        text.clear()
        if len(stack) == 1 and stack[0] != "connectionsettings":
            raise _Refused
        said.setdefault("/".join(stack[1:]), "")

    def end(_: str) -> None:
        path = "/".join(stack[1:])
        if not said.get(path):
            said[path] = "".join(text).strip()
        stack.pop()
        text.clear()

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    parser.Parse(content, True)
    return said


def _candidate(path: Path, said: dict[str, str]) -> Candidate:
    written = said.get("connectionstring", "")
    if written:
        return _from_connection_string(path, written)
    if "databaseconnection" in said:
        return _from_nodes(path, said)
    if "serverconnection" in said:
        facts: dict[str, str | int | float | None] = {"file": path.name}
        return Candidate(path.name, findings=(Finding("pms.middle_tier", Severity.ERROR, facts),))
    return _wrong(path, "pms.config_incomplete")


def _from_nodes(path: Path, said: dict[str, str]) -> Candidate:
    def node(name: str) -> str:
        return said.get(f"databaseconnection/{name}", "")

    host, port = split_host(node("computername"))
    password = node("password")
    findings = []
    if said.get("databasetype", "").lower() == "oracle":
        return _wrong(path, "pms.database_kind_unknown")
    if not password and node("mysqlpasshash"):
        findings.append(Finding("pms.password_encrypted", Severity.WARNING, {"file": path.name}))
    return _checked(
        Candidate(path.name, host, port, node("database"), node("user"), password, tuple(findings))
    )


_KEYS = {
    "server": "host", "host": "host", "data source": "host", "datasource": "host",
    "address": "host", "addr": "host", "network address": "host",
    "port": "port",
    "database": "database", "initial catalog": "database",
    "user": "user", "user id": "user", "userid": "user", "uid": "user", "username": "user",
    "user name": "user",
    "password": "password", "pwd": "password",
}  # fmt: skip


def _from_connection_string(path: Path, written: str) -> Candidate:
    """``Server=...;Database=...``: keys in any case, values optionally quoted."""
    found: dict[str, str] = {}
    for part in _split_unquoted(written):
        name, _, value = part.partition("=")
        known = _KEYS.get(name.strip().lower())
        if known:
            found[known] = value.strip().strip("\"'")
    host, port = split_host(found.get("host", ""))
    named = found.get("port", "")
    if named.isdigit():
        port = int(named)
    return _checked(
        Candidate(
            path.name,
            host,
            port,
            found.get("database", ""),
            found.get("user", ""),
            found.get("password", ""),
        )
    )


def _split_unquoted(text: str) -> list[str]:
    parts: list[str] = [""]
    quote = ""
    for char in text:
        if char == ";" and not quote:
            parts.append("")
            continue
        if char in "\"'":
            quote = "" if quote == char else quote or char
        parts[-1] += char
    return parts


def split_host(text: str) -> tuple[str, int]:
    """``SERVER``, ``SERVER:3307``, ``[::1]:3307`` or bare IPv6; port 3306 where unsaid."""
    text = text.strip()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        text = rest.removeprefix(":")
        return host, int(text) if text.isdigit() else DEFAULT_PORT
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and ":" not in host:
        return host, int(port)
    return text, DEFAULT_PORT if text else 0


def _checked(candidate: Candidate) -> Candidate:
    """Host and database must be said: another database is never guessed."""
    missing = [n for n in ("host", "database") if not getattr(candidate, n)]
    if not missing:
        return candidate
    facts: dict[str, str | int | float | None] = {
        "file": candidate.file,
        "missing": ", ".join(missing),
    }
    finding = Finding("pms.config_incomplete", Severity.ERROR, facts)
    return msgspec.structs.replace(candidate, findings=(*candidate.findings, finding))
