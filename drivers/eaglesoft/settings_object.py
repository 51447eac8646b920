"""Eaglesoft's own settings object, its maker's way to a connection string.

Two integrators call the 32-bit COM object ``EaglesoftSettings.EaglesoftSettings``: ``SetToken``
with the programme's product name and token, then ``GetLegacyConnectionString(true)`` for the
primary database (the names: one source). **Not verified**: no Eaglesoft ran here, so whatever is
not as expected is an answer with a number, never a crash. A 32-bit host must ask; every Windows has
one in its 32-bit PowerShell, so nothing of ours needs to be 32-bit for it. Token and string pass
through pipes, never a command line. Pure: what to run, and what it said.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence

import msgspec

NO_OBJECT = 101  # ours, beside what the maker's functions return
NO_TOKEN = 102
NO_STRING = 103

_ASK = """
$ErrorActionPreference = 'Stop'
$asked = [Console]::In.ReadLine() | ConvertFrom-Json
$told = @{ result = 0; connection = ''; drivers = @() }
try {
  $names = 'HKLM:\\SOFTWARE\\ODBC\\ODBCINST.INI\\ODBC Drivers'
  if (Test-Path $names) { $told.drivers = @((Get-Item $names).Property) }
  try { $object = New-Object -ComObject EaglesoftSettings.EaglesoftSettings }
  catch { $told.result = 101 }
  if ($told.result -eq 0 -and -not $object.SetToken($asked.product, $asked.token)) {
    $told.result = 102
  }
  if ($told.result -eq 0) { $told.connection = [string]$object.GetLegacyConnectionString($true) }
} catch { $told.result = 103 }
$json = $told | ConvertTo-Json -Compress
[Console]::Out.WriteLine([Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($json)))
"""
_DRIVER = re.compile(r"SQL Anywhere (\d+)", re.IGNORECASE)
_NAMED = re.compile(r"(?:^|;)\s*(driver|dsn|filedsn)\s*=", re.IGNORECASE)
_OTHERS = re.compile(r"(?:^|;)\s*provider\s*=[^;]*", re.IGNORECASE)  # OLE DB's word, no driver's
_STARTS = re.compile(r"(?:^|;)\s*(astart|autostart)\s*=", re.IGNORECASE)


class Told(msgspec.Struct, frozen=True):
    """``drivers``: names of the 32-bit ODBC drivers of the computer."""

    result: int = NO_STRING
    connection: str = ""
    drivers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Told({self.result})"


def command(windows: str) -> list[str]:
    """``windows``: the system's folder. 32-bit PowerShell with what it is to run."""
    script = base64.b64encode(_ASK.encode("utf-16-le")).decode()
    shell = rf"{windows}\SysWOW64\WindowsPowerShell\v1.0\powershell.exe"
    return [shell, "-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand", script]


def question(product: str, token: str) -> bytes:
    """What it reads: one line, plain ASCII whatever the console's code page."""
    return json.dumps({"product": product, "token": token}).encode("ascii") + b"\n"


def answer(printed: bytes) -> Told:
    """Its last line. Raises ValueError for what is no answer."""
    lines = printed.split()
    if not lines:
        raise ValueError("nothing")
    return msgspec.json.decode(base64.b64decode(lines[-1], validate=True), type=Told)


def completed(connection: str, drivers: Sequence[str], driver: str = "") -> str:
    """The string as an ODBC driver takes it: what was given, with a driver where it names neither
    one nor a data source (``driver`` as set by IT, else the newest SQL Anywhere here), and never
    starting an engine of its own."""
    kept = _OTHERS.sub("", connection.strip()).strip("; ")
    if not _NAMED.search(kept):
        known = [(int(found[1]), name) for name in drivers if (found := _DRIVER.search(name))]
        chosen = driver or (max(known)[1] if known else "SQL Anywhere 17")
        kept = f"DRIVER={{{chosen}}};{kept}"
    return kept if _STARTS.search(kept) else f"{kept};ASTART=No"
