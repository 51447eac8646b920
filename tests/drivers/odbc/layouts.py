"""A small practice of our own in two layouts, on three engines, for what no vendor's layout needs.

``plain``: whole-number keys, stamps, a log of deletions. ``coded``: text keys, no stamps, so the
schedule is polled. Both have blank-padded codes, money, a 1:N list and a joined table.
"""

from __future__ import annotations

from typing import Protocol

from agent.model.streams import Stream
from drivers.layout import BASE, Attachment, Join, Lane
from drivers.odbc.contract import (
    Ask,
    Contract,
    LogDecl,
    Op,
    Place,
    StreamDecl,
    TableDecl,
    Test,
    Window,
    columns,
    required,
    unverified,
)
from drivers.odbc.keys import code_of

ZONE = "America/Denver"
OWNER = "office"
PASSWORD = "pencil-7"
READER = "reader"

_CHAIR = TableDecl("chair", ("chair",), required("chair:key title"))
_STEP = TableDecl("step", ("sid",), required("sid:key vid:key code fee:money"))
_ABOUT = TableDecl("about", (), required("version title"))
_HUNG = (
    Attachment("step", "step", Join.MANY, "vid", BASE, "vid", "steps", ("sid", "code", "fee"),
               ("sid",)),
    Attachment("chair", "chair", Join.ONE, "chair", BASE, "chair"),
    Attachment("fee", "step", Join.FOLDED, "vid", BASE, "vid"),
)  # fmt: skip
_PERSON = "pid:key name"
_MORE = "born:date balance:money active:flag"
_VISIT = "vid:key pid:key start_at:stamp"
_NOTED = "chair:key note:note"


def _contract(kind: str, streams: dict[Stream, StreamDecl], stamp: str) -> Contract:
    return Contract(
        kind=kind,
        owners=(OWNER, OWNER.upper()),
        tables=(
            TableDecl(
                "person",
                ("pid",),
                required(_PERSON) + columns(f"{_MORE} {stamp}"),
                places=(
                    Place("v_person", spelled={"name": "full_name"}),
                    Place("person"),
                ),
            ),
            TableDecl(
                "visit",
                ("vid",),
                required(_VISIT) + columns(f"{_NOTED} {stamp}") + unverified("colour:int"),
            ),
            _STEP,
            _CHAIR,
            _ABOUT,
            TableDecl("removed", ("lid",), required("lid:int vid:key gone")),
        ),
        streams={
            Stream.PRACTICE: StreamDecl("about", "hot"),
            Stream.OPERATORY: StreamDecl("chair", "hot"),
            **streams,
        },
        logs=(LogDecl("removed", "lid", "vid", Stream.APPOINTMENT, Test("gone", Op.EQ, ("y",))),),
        sentinels=("visit",),
        version=Ask("about", "version"),
        identity=(Ask("about", "title"),),
    )


PLAIN = _contract(
    "plain",
    {
        Stream.PATIENT: StreamDecl(
            "person", "warm", lanes=(Lane("person", "person", "stamp", "pid", "pid"),)
        ),
        Stream.APPOINTMENT: StreamDecl(
            "visit",
            "hot",
            attached=_HUNG,
            lanes=(Lane("visit", "visit", "stamp", "vid", "vid"),),
            window=Window("visit", "start_at", "vid"),
        ),
    },
    "stamp:stamp",
)
CODED = _contract(
    "coded",
    {
        Stream.PATIENT: StreamDecl(
            "person", "warm", window=Window("visit", "start_at", "pid"), polled=True
        ),
        Stream.APPOINTMENT: StreamDecl(
            "visit",
            "hot",
            where=(Test("pid", Op.NOT_NULL),),
            attached=_HUNG,
            window=Window("visit", "start_at", "vid"),
            polled=True,
        ),
    },
    "",
)


class Engine(Protocol):
    """A server (or a file) the layout can be laid out on."""

    def run(self, *statements: str) -> object: ...


TYPES = {
    "postgres": {"stamp": "timestamp", "text": "varchar(4000)", "code": "char(5)"},
    "virtuoso": {"stamp": "datetime", "text": "varchar(2000)", "code": "char(5)"},
    "sqlite": {"stamp": "timestamp", "text": "varchar(4000)", "code": "varchar(5)"},
}


def tables(engine: str, contract: Contract, prefix: str) -> list[str]:
    """DDL; ``prefix``: "office." or ""."""
    kinds = TYPES[engine]
    stamp, text, code = kinds["stamp"], kinds["text"], kinds["code"]
    pid = "integer" if contract is PLAIN else "varchar(12)"
    stamped = f", stamp {stamp}" if contract is PLAIN else ""
    return [
        f"CREATE TABLE {prefix}about (version varchar(20), title varchar(40))",
        f"CREATE TABLE {prefix}chair (chair {code} NOT NULL PRIMARY KEY, title varchar(40))",
        f"CREATE TABLE {prefix}person (pid {pid} NOT NULL PRIMARY KEY, name varchar(60),"
        f" born date, balance decimal(12,2), active smallint{stamped})",
        f"CREATE TABLE {prefix}visit (vid integer NOT NULL PRIMARY KEY, pid {pid},"
        f" start_at {stamp}, chair {code}, note {text}{stamped})",
        f"CREATE TABLE {prefix}step (sid integer NOT NULL PRIMARY KEY, vid integer,"
        f" code varchar(8), fee decimal(10,2))",
        f"CREATE TABLE {prefix}removed (lid integer NOT NULL PRIMARY KEY, vid integer,"
        f" gone varchar(1))",
        f"INSERT INTO {prefix}about VALUES ('9.1', 'Maple Street Dental')",
        f"INSERT INTO {prefix}chair VALUES ('OP-1', 'Window')",
        f"INSERT INTO {prefix}chair VALUES ('OP-2', 'Door')",
    ]


TABLES = ("about", "chair", "person", "visit", "step", "removed")
EMPTIED = ("person", "visit", "step", "removed")


def native(contract: Contract, number: int) -> int | str:
    """The layout's key of patient ``number``."""
    return number if contract is PLAIN else f"P{number}x"


def number(contract: Contract, patient: int) -> int:
    """The engine's key of the same."""
    found = code_of([native(contract, patient)])
    assert found is not None
    return found
