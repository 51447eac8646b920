"""How a database is reached over ODBC, and how that is said without saying the password. Pure."""

from __future__ import annotations

import re

import msgspec

_SECRET = re.compile(
    r"\b(pwd|password|passwd|dbkey|dbk|accesstoken|connection_authentication)\s*=\s*"
    r"(\{(?:[^}]|\}\})*\}|'[^']*'|[^;]*)",
    re.IGNORECASE,
)
_WHO = re.compile(r"\b(uid|user|userid|user id)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", re.IGNORECASE)
_SPECIAL = re.compile(r"[\[\]{}(),;?*=!@\s]")


class OdbcLogin(msgspec.Struct, frozen=True):
    """One of: a whole ``connection`` string (from IT or the vendor's sign-in program), a ``dsn``,
    or ``driver`` with ``host``. ``user`` and ``password`` are added where the string lacks them.

    ``encoding``: of the database's narrow text where the driver misreports it ("" = trust it).
    ``reader``: path of another Python, or of the packaged reader, to load the driver in (a 32-bit
    driver needs a 32-bit one). ``str`` and logs never show the connection string.
    """

    connection: str = ""
    dsn: str = ""
    driver: str = ""
    host: str = ""
    port: int = 0
    database: str = ""
    user: str = ""
    password: str = ""
    extra: str = ""  # further keywords of the driver, as they are: "Isolation=1;..."
    encoding: str = ""
    reader: str = ""
    login_timeout_s: float = 10.0

    def __repr__(self) -> str:
        place = self.dsn or self.host or ("given string" if self.connection else "nowhere")
        return f"OdbcLogin({place})"

    def text(self) -> str:
        """The string handed to the driver, secrets included."""
        if self.connection:
            parts = [self.connection.rstrip("; ")]
        elif self.dsn:
            parts = [f"DSN={quoted(self.dsn)}"]
        else:
            parts = [f"DRIVER={{{self.driver}}}"] if self.driver else []
            if self.host:
                parts.append(f"SERVER={quoted(self.host)}")
            if self.port:
                parts.append(f"PORT={self.port}")
        if self.database and not _has(parts[0] if parts else "", "database", "dbn"):
            parts.append(f"DATABASE={quoted(self.database)}")
        if self.user and not _has(parts[0] if parts else "", "uid", "user", "userid"):
            parts.append(f"UID={quoted(self.user)}")
        if self.password and not _has(parts[0] if parts else "", "pwd", "password"):
            parts.append(f"PWD={quoted(self.password)}")
        if self.extra:
            parts.append(self.extra.strip("; "))
        return ";".join(parts)


def quoted(value: str) -> str:
    """A value of a connection string; braces where it holds what would end it."""
    if _SPECIAL.search(value):
        return "{" + value.replace("}", "}}") + "}"
    return value


def redacted(text: str) -> str:
    """An error text or connection string without passwords and user names."""
    return _WHO.sub(r"\1=***", _SECRET.sub(r"\1=***", text))


def _has(connection: str, *names: str) -> bool:
    found = {part.partition("=")[0].strip().lower() for part in connection.split(";")}
    return not found.isdisjoint(names)
