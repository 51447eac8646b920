"""The CRM's side of the safety switches, kept in its database.

Imports apsw, msgspec. The agent reads them with its configuration; the strictest of CRM, settings
file and desk holds, so what is off here may still be on there.
"""

from __future__ import annotations

import apsw
import msgspec

_NAME = "switches"


class Canary(msgspec.Struct, frozen=True):
    """PMS keys commands may touch; all empty: no such limit."""

    operatories: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()


class Switches(msgspec.Struct, frozen=True):
    kill: bool = False
    read_only: bool = False
    dry_run: bool = False
    canary: Canary = Canary()


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is; a canary is replaced as a whole."""

    kill: bool | None = None
    read_only: bool | None = None
    dry_run: bool | None = None
    canary: Canary | None = None


def read(db: apsw.Connection) -> Switches:
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    return Switches() if row is None else msgspec.json.decode(str(row[0]), type=Switches)


def change(db: apsw.Connection, wanted: Change) -> Switches:
    """Set what is named; returns what holds then."""
    said = {name: value for name in wanted.__struct_fields__
            if (value := getattr(wanted, name)) is not None}  # fmt: skip
    with db:
        now = msgspec.structs.replace(read(db), **said)
        text = msgspec.json.encode(now).decode()
        db.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (_NAME, text))
    return now
