"""Which practice systems there are to be seen from this computer: files, ODBC sources, services.

Only looks: nothing is contacted, no login is tried, nothing is guessed. What is merely found is an
offer; a person chooses and the driver's own diagnosis proves. Which marks belong to which maker:
Open Dental by the files of ``opendental.discovery``; Dentrix by FairCom's ODBC driver and its
folder ``Dentrix``; Eaglesoft by SAP's ODBC driver and ``Eaglesoft.Server.Configuration.data``
(``reference/dentrix-and-eaglesoft.md`` 1.3, 2.2). Service names are NOT verified at a site: they
are matched by the maker's name alone.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
import psutil

from agent.model.reading import Finding, Severity
from drivers.opendental.discovery import SEARCH_FOLDERS, read_config, usual_files

ODBC_MARKS = (
    ("dentrix", ("dentrix", "c-tree", "faircom")),
    ("eaglesoft", ("eaglesoft", "sql anywhere", "dentserv", "pattersonpm")),
)
SERVICE_MARKS = (
    ("opendental", ("open dental", "opendental")),
    ("dentrix", ("dentrix",)),
    ("eaglesoft", ("eaglesoft", "patterson")),
)
FOLDERS = (
    ("dentrix", r"C:\Program Files (x86)\Dentrix"),
    ("dentrix", r"C:\Program Files\Dentrix"),
    ("eaglesoft", r"C:\Eaglesoft"),
)
_DSN_KEY = r"SOFTWARE\ODBC\ODBC.INI\ODBC Data Sources"
_DRIVERS_KEY = r"SOFTWARE\ODBC\ODBCINST.INI\ODBC Drivers"
Value = str | int | float | bool


class Found(msgspec.Struct, frozen=True):
    """``how``: message code of the mark; ``where``: the file, data source or service; ``settings``:
    what it says, by setting name; ``password``: taken over without being shown."""

    kind: str
    how: str
    where: str
    settings: dict[str, Value] = {}
    password: str = ""
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        return f"Found({self.kind}: {self.where})"


def find_systems(
    folders: Iterable[str] = SEARCH_FOLDERS,
    *,
    data_sources: Callable[[], Mapping[str, str]] | None = None,
    services: Callable[[], Iterable[str]] | None = None,
    places: Iterable[tuple[str, str]] = FOLDERS,
) -> list[Found]:
    """The surest first; one entry a mark. ``data_sources``: name -> driver's name; ``services``:
    names people see. What cannot be looked at here is left out."""
    found = [_of_config(path) for path in usual_files(folders)]
    named = (data_sources or _data_sources)()
    for name, driver in sorted(named.items()):
        if kind := _marked(f"{name} {driver}", ODBC_MARKS):
            found.append(Found(kind, "setup.found_dsn", name, {"pms.dsn": name}))
    for kind, folder in places:
        if Path(folder).is_dir():
            found.append(Found(kind, "setup.found_folder", folder))
    for name in sorted(set((services or _services)())):
        kind = _marked(name, SERVICE_MARKS)
        if kind and not any(each.kind == kind for each in found):
            found.append(Found(kind, "setup.found_service", name))
    return found


def _of_config(path: Path) -> Found:
    candidate = read_config(path)
    wrong = [f for f in candidate.findings if f.severity is Severity.ERROR]
    said: dict[str, Value] = {} if wrong else {"pms.config_file": str(path)}
    for name in ("host", "port", "database", "user"):
        if not wrong and getattr(candidate, name):
            said[f"pms.{name}"] = getattr(candidate, name)
    return Found(
        "opendental", "setup.found_file", str(path), said, candidate.password, candidate.findings
    )


def _marked(text: str, marks: Iterable[tuple[str, tuple[str, ...]]]) -> str:
    folded = text.casefold()
    return next((kind for kind, words in marks if any(word in folded for word in words)), "")


if sys.platform == "win32":
    import winreg

    def _data_sources() -> Mapping[str, str]:
        """The computer's and this account's ODBC data sources."""
        return _values(_DSN_KEY, (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER))

    def odbc_drivers() -> list[str]:
        """Names of the ODBC drivers of this computer."""
        return sorted(_values(_DRIVERS_KEY, (winreg.HKEY_LOCAL_MACHINE,)))

    def _values(place: str, roots: Iterable[int]) -> dict[str, str]:
        """64-bit and 32-bit alike, from where Windows keeps them: the driver manager would show
        those of our own word size only."""
        found: dict[str, str] = {}
        for root in roots:
            for view in (winreg.KEY_WOW64_32KEY, winreg.KEY_WOW64_64KEY):
                try:
                    with winreg.OpenKey(root, place, 0, winreg.KEY_READ | view) as key:
                        for at in range(winreg.QueryInfoKey(key)[1]):
                            name, value, _ = winreg.EnumValue(key, at)
                            found[name] = str(value)
                except OSError:  # no such key
                    continue
        return found

else:

    def _data_sources() -> Mapping[str, str]:
        """ODBC data sources of this account and of the computer."""
        try:
            import pyodbc
        except ImportError:  # no driver manager here
            return {}
        try:
            return {str(name): str(driver) for name, driver in pyodbc.dataSources().items()}
        except pyodbc.Error:
            return {}

    def odbc_drivers() -> list[str]:
        """Names of the ODBC drivers of this computer; none where there is no driver manager."""
        try:
            import pyodbc
        except ImportError:
            return []
        try:
            return sorted(map(str, pyodbc.drivers()))
        except pyodbc.Error:
            return []


def _services() -> Iterable[str]:
    """Names as the list of services shows them. Windows only; NOT run on Windows yet."""
    listed = getattr(psutil, "win_service_iter", None)
    names = []
    for service in () if listed is None else listed():
        with contextlib.suppress(psutil.Error):  # gone meanwhile, or not ours to see
            names.append(str(service.display_name()))
    return names
