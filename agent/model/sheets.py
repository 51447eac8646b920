"""What people may ask about CSV files and failure periods: requests and answers. A leaf."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from agent.model.asking import Request, Role
from agent.model.longwork import Job
from agent.model.reading import Key
from agent.model.streams import Stream

# --- failure periods ----------------------------------------------------------------------------


class OutageLine(msgspec.Struct, frozen=True):
    """``side``: pms, crm or agent (this computer slept, or the agent did not run). ``ended_at``
    None: it lasts. ``waited``: changes (pms: requests) that waited at its end; ``sent_at``: when
    the last of them had left. ``code``: the cause, of the catalogue."""

    number: int
    side: str
    code: str
    started_at: datetime
    ended_at: datetime | None
    waited: int
    sent_at: datetime | None


class OutagePage(msgspec.Struct, frozen=True):
    """Newest first."""

    outages: tuple[OutageLine, ...]


class ListOutages(Request[OutagePage], frozen=True):
    method = "outages.list"
    limit: int = 50
    since: datetime | None = None


# --- export -------------------------------------------------------------------------------------


class PendingCount(msgspec.Struct, frozen=True):
    """Changes that have not reached the CRM yet."""

    counts: dict[Stream, int]


class CountPending(Request[PendingCount], frozen=True):
    method = "csv.pending"


class ExportSheet(Request[Job], frozen=True):
    """``stream`` with ``pending`` False: all of its records, or those dated ``first`` to ``last``
    (local, inclusive, YYYY-MM-DD). ``pending``: what waits, of one stream or (None) of all: then
    a ZIP with a sheet for each. ``excel``: for a person; else for a program.

    The job's result is a ``SheetMade``.
    """

    method = "csv.export"
    role = Role.MANAGER
    stream: Stream | None = None
    pending: bool = False
    first: str = ""
    last: str = ""
    excel: bool = True


class SheetMade(msgspec.Struct, frozen=True):
    token: str
    name: str
    size: int
    rows: int


# --- import -------------------------------------------------------------------------------------


class Verdict(StrEnum):
    """What becomes of a row. KNOWN: this very thing was brought in before."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    KNOWN = "known"
    REJECTED = "rejected"


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a file is to be read; "" = found out. ``columns``: head -> field ("" = left out).
    ``made_at``: when the CRM made the file, for rows without a version; ``again``: rows that were
    brought in before are brought in once more. ``day_first``: 3/4 is the third of April."""

    kind: str = ""
    columns: dict[str, str] = {}
    encoding: str = ""
    delimiter: str = ""
    day_first: bool | None = None
    made_at: datetime | None = None
    again: bool = False


class SheetLook(msgspec.Struct, frozen=True):
    """The beginning of a file. ``kinds``: what rows may be. ``fields``: field -> head. ``can``:
    fields a column may be. ``intake``: number of the earlier intake of exactly these bytes, 0 =
    none. ``code``: why the rows cannot be read so, "" when they can (``what``: the name at fault).
    """

    kind: str
    encoding: str
    delimiter: str
    heads: tuple[str, ...]
    fields: dict[str, str]
    unused: tuple[str, ...]
    can: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    intake: int = 0
    code: str = ""
    what: str = ""
    kinds: tuple[str, ...] = ()


class LookAtSheet(Request[SheetLook], frozen=True):
    method = "csv.look"
    role = Role.MANAGER
    token: str
    reading: Reading = Reading()


class Counts(msgspec.Struct, frozen=True):
    """Rows by verdict. ``asks``: of the changed ones, those whose record changed here as well: a
    person will decide field by field."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    known: int = 0
    rejected: int = 0
    asks: int = 0

    @property
    def rows(self) -> int:
        return self.new + self.changed + self.unchanged + self.known + self.rejected


class PreviewImport(Request[Job], frozen=True):
    """Looks at every row and changes nothing. The job's result is ``Counts``."""

    method = "csv.preview"
    role = Role.MANAGER
    token: str
    reading: Reading = Reading()


class FieldChange(msgspec.Struct, frozen=True, array_like=True):
    field: str
    now: Any
    then: Any


class RowLine(msgspec.Struct, frozen=True):
    """``number``: as the spreadsheet program counts. ``what``: types of the commands it makes.
    ``code``/``facts``: why it is rejected (or what to know about it)."""

    number: int
    verdict: Verdict
    what: tuple[str, ...] = ()
    key: Key | None = None
    who: str = ""
    changes: tuple[FieldChange, ...] = ()
    code: str = ""
    facts: dict[str, str | int | float | None] = {}


class RowPage(msgspec.Struct, frozen=True):
    """``total``: of all rows with the verdict asked for."""

    rows: tuple[RowLine, ...]
    total: int


class ListRows(Request[RowPage], frozen=True):
    """Rows of a preview, ``verdicts`` () = all but the unchanged."""

    method = "csv.rows"
    role = Role.MANAGER
    job: int
    verdicts: tuple[Verdict, ...] = ()
    after: int = 0
    limit: int = 100


class ExportRejected(Request[Job], frozen=True):
    """The rejected rows of a preview as a sheet, with the reasons. Result: ``SheetMade``."""

    method = "csv.rejected"
    role = Role.MANAGER
    job: int


class ApplyImport(Request[Job], frozen=True):
    """Bring in the new and changed rows of a finished preview, as requests of the CRM would be:
    same checks, same record of what was done, same undo. Result: ``IntakeView``."""

    method = "csv.apply"
    role = Role.MANAGER
    job: int


class IntakeView(msgspec.Struct, frozen=True):
    """A file brought in. ``ends``: how its requests stand: applied, rejected, conflict, task,
    waiting …; ``counts``: its rows by verdict."""

    number: int
    at: datetime
    actor: str
    kind: str
    state: str
    counts: dict[str, int]
    ends: dict[str, int]


class IntakePage(msgspec.Struct, frozen=True):
    intakes: tuple[IntakeView, ...]


class ListIntakes(Request[IntakePage], frozen=True):
    method = "csv.intakes"
    limit: int = 20


class IntakeEffects(msgspec.Struct, frozen=True):
    """Numbers of the writes, newest first: the order they are taken back in (``undo.apply``)."""

    numbers: tuple[int, ...]


class ShowIntakeEffects(Request[IntakeEffects], frozen=True):
    method = "csv.effects"
    role = Role.MANAGER
    number: int
