"""What an ODBC error means for us: SQLSTATE, native number and text in, consequence out. Pure.

First match wins; the exception class pyodbc picks says little (every 42xxx is one class, and a lock
conflict may come as 42W18). Sources: ``SQLSTATE``s measured on four drivers; SQL Anywhere's and
FairCom's documented numbers, which are negative. The driver's text is matched and dropped: it may
quote values. Must not import a database library.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

from agent.errors import (
    PmsBusy,
    PmsDrift,
    PmsError,
    PmsRefused,
    PmsSetup,
    PmsUnavailable,
)
from drivers.base import RowTrouble
from drivers.odbc.wire import Failed


class Fault(StrEnum):
    """The classes of the errors table; see ``Consequence`` in ``error_of``."""

    CONFIG = "config"
    AUTH = "auth"
    PERMISSION = "permission"
    EXCLUSIVE = "exclusive"
    DRIFT = "drift"
    LINK = "link"
    CONTENTION = "contention"
    DATA = "data"
    OURS = "ours"
    UNKNOWN = "unknown"


_CONFIG_STATES = frozenset({"IM002", "IM003", "IM004", "IM012", "IM014", "S1T02"})
_LINK_STATES = frozenset({"57P01", "57P02", "57P03", "S2801", "HYT01", "01002"})
_BUSY_STATES = frozenset(
    {"40001", "40P01", "55P03", "HYT00", "57014", "HY008", "HY018", "S1T00", "S1TAT", "25P02",
     "42W18", "42WC4", "40W06"}
)  # fmt: skip
_DRIFT_STATES = frozenset(
    {"42S02", "42S22", "42P01", "42703", "42883", "3F000", "42S12", "07009", "42W33", "42000T"}
)
_DATA_STATES = frozenset({"07006", "HY003", "01004"})
_OURS_STATES = frozenset({"42601", "07001", "07002", "HY010", "24000"})

_LOGIN = re.compile(
    r"password authentication|no pg_hba|role .* does not exist|invalid user|invalid login|"
    r"access denied for user|user id or password|login failed|password (has )?expired|"
    r"account (is )?locked|authentication (failed|violation)",
    re.IGNORECASE,
)
_EXCLUSIVE = re.compile(r"exclusive (mode|use)|single.user|backup (is )?in progress", re.IGNORECASE)
_NO_LIBRARY = re.compile(r"can't open lib|cannot open shared object|libodbc", re.IGNORECASE)
_NO_DATABASE = re.compile(r"database (?!server)\S+ (does not exist|not found)|unknown database",
                          re.IGNORECASE)  # fmt: skip
_DENIED = re.compile(r"denied|permission|not authori[sz]ed|no privilege", re.IGNORECASE)
_MISSING = re.compile(
    r"undefined|no column|not exist|no such (table|column|function)|not found|unknown column|"
    r"invalid column|base table",
    re.IGNORECASE,
)
_BROKEN = re.compile(r"broken pipe|connection (was )?(reset|lost|closed)|server has gone",
                     re.IGNORECASE)  # fmt: skip
_LOCKED = re.compile(r"deadlock|lock (wait|time)|is locked|record locked", re.IGNORECASE)

_AUTH_NATIVE = frozenset({1045, 1698, -103, -104, -313})
_PERMISSION_NATIVE = frozenset({1142, 1143, 1044, 1370, 1227, -121})
_DRIFT_NATIVE = frozenset({1054, 1146, 1305, -141, -142, -143})
_LINK_NATIVE = frozenset({2002, 2003, 2005, 2006, 2013, 5014, -100, -101, -308})
_BUSY_NATIVE = frozenset({1205, 1213, 1317, 1969, 3024, -210, -299, -306, -307, -1175, -17042})
_EXCLUSIVE_NATIVE = frozenset({-75, -76, -77})  # SQL Anywhere: request denied, no active databases


def classify(failed: Failed) -> Fault:
    """The class of what the driver said."""
    state, native, text = failed.state, failed.native, failed.text
    if failed.phase == "import" or state in _CONFIG_STATES:
        return Fault.CONFIG
    if _NO_LIBRARY.search(text) and state in {"", "01000", "HY000", "IM003"}:
        return Fault.CONFIG
    if native == 1049 or (state.startswith("08") and _NO_DATABASE.search(text)):
        return Fault.CONFIG
    if native in _EXCLUSIVE_NATIVE or _EXCLUSIVE.search(text):
        return Fault.EXCLUSIVE
    if state.startswith("28") or native in _AUTH_NATIVE:
        return Fault.AUTH
    if failed.phase == "connect" and _LOGIN.search(text):
        return Fault.AUTH
    if state == "42501" or native in _PERMISSION_NATIVE:
        return Fault.PERMISSION
    if state in _BUSY_STATES or native in _BUSY_NATIVE:
        return Fault.CONTENTION
    if state in _DRIFT_STATES or native in _DRIFT_NATIVE:
        return Fault.DRIFT
    if state.startswith("42") and _DENIED.search(text):
        return Fault.PERMISSION
    if state in {"42000", "42001", "HY000", "S1000", ""} and failed.kind and text:
        if _MISSING.search(text) and not _BROKEN.search(text):
            return Fault.LINK if failed.phase == "connect" else Fault.DRIFT
        if _LOCKED.search(text) or (native in {5, 6, 9} and state == "HY000"):
            return Fault.CONTENTION
    return _last(failed)


def _last(failed: Failed) -> Fault:
    state, native, text = failed.state, failed.native, failed.text
    if state.startswith("08") or state in _LINK_STATES or native in _LINK_NATIVE:
        return Fault.LINK
    if _BROKEN.search(text):
        return Fault.LINK
    if state.startswith("22") or state in _DATA_STATES:
        return Fault.DATA
    if not state and failed.phase in {"fetch", "value"}:
        return Fault.DATA  # out of pyodbc's or our own conversion of a value
    if state in _OURS_STATES or state.startswith(("42", "23")):
        return Fault.OURS
    if not state and failed.phase == "execute":
        return Fault.OURS
    return Fault.UNKNOWN


def error_of(failed: Failed, where: str = "", table: str = "") -> PmsError | RowTrouble:
    """The exception to raise. ``where``: host or DSN, safe to show."""
    fault = classify(failed)
    said = {"state": failed.state, "native": failed.native or "", "host": where, "table": table}
    facts: dict[str, Any] = {name: value for name, value in said.items() if value}
    match fault:
        case Fault.CONFIG:
            return PmsSetup(_setup_code(failed), **facts)
        case Fault.AUTH:
            return PmsRefused(_auth_code(failed), **facts)
        case Fault.PERMISSION:
            return PmsRefused("pms.right_missing", **facts)
        case Fault.EXCLUSIVE:
            return PmsBusy("pms.exclusive", **facts)
        case Fault.DRIFT:
            return PmsDrift(**facts)
        case Fault.LINK:
            return PmsUnavailable(**facts)
        case Fault.CONTENTION:
            return PmsBusy(**facts)
        case Fault.DATA:
            reason = (
                "text.undecodable" if failed.kind.startswith("Unicode") else "row.undeliverable"
            )
            return RowTrouble(reason)
        case Fault.OURS:
            return PmsError("pms.statement_refused", **facts)
        case Fault.UNKNOWN:
            return PmsUnavailable("pms.error", **facts)


def _setup_code(failed: Failed) -> str:
    if failed.phase == "import":
        return "pms.odbc_missing"
    if re.search(r"architecture mismatch|wrong elf class|error 193|%1 is not a valid", failed.text,
                 re.IGNORECASE) or failed.state == "IM014":  # fmt: skip
        return "pms.driver_bits"
    if failed.state == "IM002":
        return "pms.dsn_missing"
    if _NO_LIBRARY.search(failed.text) or failed.state in {"IM003", "IM004"}:
        return "pms.driver_missing"
    if failed.native == 1049 or _NO_DATABASE.search(failed.text):
        return "pms.database_missing"
    return "pms.setup"


def _auth_code(failed: Failed) -> str:
    if re.search(r"expired", failed.text, re.IGNORECASE):
        return "pms.password_expired"
    if re.search(r"revoked", failed.text, re.IGNORECASE):
        return "pms.licence_revoked"
    return "pms.auth_refused"
