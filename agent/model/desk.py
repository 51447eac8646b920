"""What people may ask of the running agent beside reviews: requests and answers. A leaf."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from agent.model.activity import CheckNow, GetPulse, ListActivity, ReadLog
from agent.model.asking import Done, Request, Role, Settlement
from agent.model.helping import MakeBundle, RunDoctor
from agent.model.kpi import MakeWeek
from agent.model.longwork import CancelJob, DropFile, FetchPart, OpenUpload, SendPart, ShowJob
from agent.model.mapping import EditMap, ExportMap, ShowMap
from agent.model.metrics import ReadMetrics, RehearseAlert
from agent.model.promises import ShowChecks
from agent.model.proof import CompareSides
from agent.model.quality import ReviewQuality
from agent.model.records import (
    HeedParked,
    IgnoreParked,
    ListParked,
    NameThem,
    RetryParked,
    ShowConflicts,
    ShowRecord,
)
from agent.model.review import (
    ApplyUndo,
    ApproveContact,
    CloseTasks,
    EffectLine,
    ForgetPolicy,
    ListConflicts,
    ListContacts,
    ListEffects,
    ListPolicies,
    ListTasks,
    MergeContacts,
    PreviewUndo,
    RejectContact,
    ResolveConflicts,
    SettleEffect,
    ShowConflict,
    ShowContact,
    ShowTask,
    UndoResolutions,
    UnmergeContact,
)
from agent.model.sheets import (
    ApplyImport,
    CountPending,
    ExportRejected,
    ExportSheet,
    ListIntakes,
    ListOutages,
    ListRows,
    LookAtSheet,
    PreviewImport,
    ShowIntakeEffects,
)
from agent.model.status import Report
from agent.model.streams import Stream

# --- status -----------------------------------------------------------------------------------


class GetStatus(Request[Report], frozen=True):
    method = "status"


class Pause(Request[Done], frozen=True):
    """Neither read nor write until then."""

    method = "pause"
    role = Role.MANAGER
    until: datetime


class Resumed(msgspec.Struct, frozen=True):
    was_paused: bool


class Resume(Request[Resumed], frozen=True):
    method = "resume"
    role = Role.MANAGER


class AllowBrakes(Request[Settlement], frozen=True):
    """A person's word against the brake on these streams. Lines: streams."""

    method = "brakes.allow"
    role = Role.MANAGER
    streams: tuple[Stream, ...]
    for_s: float = 3600.0


class AcceptSource(Request[Done], frozen=True):
    """The practice's database was restored or replaced on purpose."""

    method = "source.accept"
    role = Role.MANAGER


# --- safety ---------------------------------------------------------------------------------------


class SafetyMode(StrEnum):
    """From free to strict; of several sources the strictest holds."""

    NORMAL = "normal"
    CANARY = "canary"  # only what the canary lists name is written
    DRY_RUN = "dry_run"  # plan and report, write nothing
    READ_ONLY = "read_only"  # refuse all commands that write
    STOPPED = "stopped"  # take up no command

    @property
    def strictness(self) -> int:
        return list(SafetyMode).index(self)


class Canary(msgspec.Struct, frozen=True):
    """PMS keys, as text. An empty list names nothing."""

    operatories: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()


class SafetyView(msgspec.Struct, frozen=True):
    """What holds, and who said what. ``sources``: "file" (settings), "crm", "desk" (CLI, window).

    ``suspended``: message code of why booking is suspended, "" while it is not; ``suspended_at``
    None then means a trouble that ends the suspension with itself, not a person's or our word.
    """

    mode: SafetyMode
    canary: Canary
    sources: dict[str, SafetyMode]
    suspended: str
    suspended_at: datetime | None = None


class GetSafety(Request[SafetyView], frozen=True):
    method = "safety.show"


class SetSafety(Request[SafetyView], frozen=True):
    """The desk's own switch. ``canary`` None leaves the lists as they are."""

    method = "safety.set"
    role = Role.MANAGER
    mode: SafetyMode
    canary: Canary | None = None


class SuspendBooking(Request[SafetyView], frozen=True):
    """The CRM stops offering times until this is cleared."""

    method = "safety.suspend"
    role = Role.MANAGER


class ClearSuspension(Request[SafetyView], frozen=True):
    method = "safety.clear"
    role = Role.MANAGER


# --- commands and audit ----------------------------------------------------------------------


class CommandLine(msgspec.Struct, frozen=True):
    """A command without what it says about anybody. ``fields``: names of what it asks for."""

    command_id: str
    type: str
    state: str
    end: str | None
    reason: str | None
    staff_text: str
    target: str
    pms_key: str | None
    fields: tuple[str, ...]
    created_at: str
    not_after: str | None
    received_at: datetime
    due_at: datetime
    tries: int
    reported: bool


class CommandPage(msgspec.Struct, frozen=True):
    """Newest first. ``counts``: of all that are kept, by state."""

    commands: tuple[CommandLine, ...]
    counts: dict[str, int]


class CommandView(msgspec.Struct, frozen=True):
    """``conflicts``, ``tasks``: numbers of what it asks of people and is still open."""

    line: CommandLine
    effects: tuple[EffectLine, ...]
    conflicts: tuple[int, ...] = ()
    tasks: tuple[int, ...] = ()


class ListCommands(Request[CommandPage], frozen=True):
    method = "commands.list"
    limit: int = 20
    states: tuple[str, ...] = ()


class ShowCommand(Request[CommandView], frozen=True):
    method = "commands.show"
    command_id: str


class AuditVerdict(msgspec.Struct, frozen=True):
    """``findings``: ``code fact=value`` lines, none when the chain holds. ``head``: its end."""

    holds: bool
    findings: tuple[str, ...]
    head: str


class VerifyAudit(Request[AuditVerdict], frozen=True):
    """``anchor``: a head the CRM (or anybody) kept."""

    method = "audit.verify"
    anchor: str | None = None


REQUESTS: tuple[type[Request[Any]], ...] = (
    GetStatus, Pause, Resume, AllowBrakes, AcceptSource,
    ListConflicts, ShowConflict, ResolveConflicts, UndoResolutions, ListPolicies, ForgetPolicy,
    ListContacts, ShowContact, ApproveContact, RejectContact, MergeContacts, UnmergeContact,
    ListTasks, ShowTask, CloseTasks,
    ListEffects, SettleEffect, PreviewUndo, ApplyUndo,
    GetSafety, SetSafety, SuspendBooking, ClearSuspension,
    ListCommands, ShowCommand, VerifyAudit, CompareSides,
    ReadMetrics, RehearseAlert, ShowChecks, ReviewQuality, MakeWeek,
    OpenUpload, SendPart, FetchPart, DropFile, ShowJob, CancelJob,
    ListOutages, CountPending, ExportSheet, LookAtSheet, PreviewImport, ListRows, ExportRejected,
    ApplyImport, ListIntakes, ShowIntakeEffects,
    RunDoctor, MakeBundle,
    ListActivity, GetPulse, CheckNow, ReadLog,
    ShowRecord, ShowConflicts, NameThem, ListParked, RetryParked, IgnoreParked, HeedParked,
    ShowMap, EditMap, ExportMap,
)  # fmt: skip
