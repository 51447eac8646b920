"""What waits for a person, and what a person may take back: requests and answers. A leaf.

Patient data stands only in the answers a person needs it for: ``conflicts.show``,
``contacts.show``, ``tasks.show`` and ``undo.preview``, which want a manager. Lists carry none.
States are the values of ``agent.journal.pulled``'s enumerations, as text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from agent.model.asking import Done, Request, Role, Settlement
from agent.model.effects import EffectKind
from agent.model.reading import Key
from agent.model.streams import Stream

# --- conflicts --------------------------------------------------------------------------------


class ConflictLine(msgspec.Struct, frozen=True):
    number: int
    stream: Stream
    key: Key
    field: str
    kind: str
    state: str
    policy: str
    winner: str | None
    actor: str
    at: datetime
    command_id: str | None


class ConflictPage(msgspec.Struct, frozen=True):
    """Newest first; ``more``: ask again with ``before`` = the last line's number."""

    conflicts: tuple[ConflictLine, ...]
    more: bool


class ConflictView(msgspec.Struct, frozen=True):
    """One field both sides changed. ``who``: whose record, for the person who decides.

    ``pms_at``: when the agent read the practice's value, by its own clock; ``crm_at``: when the CRM
    says that it was asked for, by the CRM's; None where no command brought it. Two clocks: neither
    says which side is newer. Who did it is known of neither.
    """

    line: ConflictLine
    who: str
    base: Any
    pms: Any
    crm: Any
    result: Any
    pms_at: datetime | None = None
    crm_at: datetime | None = None


class ListConflicts(Request[ConflictPage], frozen=True):
    method = "conflicts.list"
    state: str = "open"
    limit: int = 50
    before: int | None = None


class ShowConflict(Request[ConflictView], frozen=True):
    method = "conflicts.show"
    role = Role.MANAGER
    number: int


class ResolveConflicts(Request[Settlement], frozen=True):
    """``winner``: pms | crm | merged | value (then ``value`` holds). ``remember``: from now on."""

    method = "conflicts.resolve"
    role = Role.MANAGER
    numbers: tuple[int, ...]
    winner: str
    value: Any = None
    remember: bool = False


class UndoResolutions(Request[Settlement], frozen=True):
    method = "conflicts.undo"
    role = Role.MANAGER
    numbers: tuple[int, ...]


class PolicyLine(msgspec.Struct, frozen=True):
    stream: Stream
    field: str
    winner: str
    actor: str
    at: datetime


class PolicyPage(msgspec.Struct, frozen=True):
    policies: tuple[PolicyLine, ...]


class ListPolicies(Request[PolicyPage], frozen=True):
    """What people asked to remember."""

    method = "policies.list"


class ForgetPolicy(Request[Done], frozen=True):
    method = "policies.forget"
    role = Role.MANAGER
    stream: Stream
    field: str


# --- contacts ---------------------------------------------------------------------------------


class ContactLine(msgspec.Struct, frozen=True):
    """A person of the CRM without their name. ``candidates``: PMS keys they may be."""

    cloud_id: str
    state: str
    key: Key | None
    candidates: tuple[Key, ...]
    rejected: int
    seen_at: datetime


class ContactPage(msgspec.Struct, frozen=True):
    """By id; ``more``: ask again with ``after`` = the last line's id."""

    contacts: tuple[ContactLine, ...]
    more: bool


class Compared(msgspec.Struct, frozen=True):
    """One field of both sides. ``likeness``: equal, similar, differs, missing."""

    crm: Any = None
    pms: Any = None
    likeness: str = ""


class CandidateView(msgspec.Struct, frozen=True):
    """A PMS record beside the contact. ``why``: message code of the rule that proposes it;
    ``score`` 0..100, for the order only; ``evidence``: field by field, as it was compared;
    ``person``: the record as last read."""

    key: Key
    why: str
    score: float
    evidence: dict[str, Compared]
    person: dict[str, Any]


class ContactView(msgspec.Struct, frozen=True):
    """``person``: the contact's own fields (name, birth date, phones, e-mails)."""

    line: ContactLine
    person: dict[str, Any]
    candidates: tuple[CandidateView, ...]


class ListContacts(Request[ContactPage], frozen=True):
    method = "contacts.list"
    state: str = "suspect"
    limit: int = 50
    after: str = ""


class ShowContact(Request[ContactView], frozen=True):
    method = "contacts.show"
    role = Role.MANAGER
    cloud_id: str


class ApproveContact(Request[Done], frozen=True):
    """This contact is this record."""

    method = "contacts.approve"
    role = Role.MANAGER
    cloud_id: str
    key: Key


class RejectContact(Request[Done], frozen=True):
    """This contact is none of these records; without keys: none of its candidates."""

    method = "contacts.reject"
    role = Role.MANAGER
    cloud_id: str
    keys: tuple[Key, ...] = ()


class MergeContacts(Request[Done], frozen=True):
    """Two contacts of the CRM are one person; ``into`` stays."""

    method = "contacts.merge"
    role = Role.MANAGER
    cloud_id: str
    into: str


class UnmergeContact(Request[Done], frozen=True):
    """Take back a merge or a link: the contact stands for itself again."""

    method = "contacts.unmerge"
    role = Role.MANAGER
    cloud_id: str


# --- desk tasks ---------------------------------------------------------------------------------


class TaskLine(msgspec.Struct, frozen=True):
    """``reason``: message code of why the agent may not write it itself."""

    number: int
    command_id: str
    kind: EffectKind
    stream: Stream
    key: Key | None
    reason: str
    state: str
    opened_at: datetime
    due_at: datetime
    actor: str


class TaskPage(msgspec.Struct, frozen=True):
    tasks: tuple[TaskLine, ...]
    more: bool


class TaskView(msgspec.Struct, frozen=True):
    """``fields``: what is to hold in the PMS afterwards, canonical. ``together``: other open tasks
    of the same command, by number; a new patient comes before their visit. ``patient_key``: whose
    record it is, "" where the patient is still to be entered or not known."""

    line: TaskLine
    who: str
    fields: dict[str, Any]
    options: dict[str, str]
    note: str
    together: tuple[int, ...] = ()
    patient_key: str = ""


class ListTasks(Request[TaskPage], frozen=True):
    method = "tasks.list"
    state: str = "open"
    limit: int = 50


class ShowTask(Request[TaskView], frozen=True):
    method = "tasks.show"
    role = Role.MANAGER
    number: int


class CloseTasks(Request[Settlement], frozen=True):
    """``done``: it stands in the PMS now. Otherwise it cannot be done, ``note`` says why.

    ``key``: of one task that is done, the record it was done on, where the agent does not find it.
    """

    method = "tasks.close"
    role = Role.MANAGER
    numbers: tuple[int, ...]
    done: bool
    note: str = ""
    key: Key | None = None


# --- effects and undo ---------------------------------------------------------------------------


class EffectLine(msgspec.Struct, frozen=True):
    """A write to the PMS. ``fields``: names of what it touched. ``undoes``: another's number."""

    number: int
    group: str
    command_id: str | None
    kind: EffectKind
    stream: Stream
    key: Key | None
    fields: tuple[str, ...]
    state: str
    undo: str
    actor: str
    at: datetime
    settled_at: datetime | None
    why: str
    undoes: int | None


class EffectPage(msgspec.Struct, frozen=True):
    effects: tuple[EffectLine, ...]
    more: bool


class ListEffects(Request[EffectPage], frozen=True):
    """``unknown``: only those a person must settle."""

    method = "effects.list"
    limit: int = 50
    before: int | None = None
    unknown: bool = False


class SettleEffect(Request[Done], frozen=True):
    """A person looked into the PMS: the write of unknown outcome happened, or it did not.

    ``key``: of the record it made, where it was to make one.
    """

    method = "effects.settle"
    role = Role.MANAGER
    number: int
    happened: bool
    key: Key | None = None


class UndoScope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of: these effects, one group (a command's id), all since an instant."""

    numbers: tuple[int, ...] = ()
    group: str = ""
    since: datetime | None = None


class UndoField(msgspec.Struct, frozen=True):
    """``wrote``: what the agent made it; ``now``: what it reads; ``back``: what it would become."""

    field: str
    wrote: Any
    now: Any
    back: Any


class UndoStep(msgspec.Struct, frozen=True):
    """One effect to take back. ``code`` "" = can be (or was) undone, else why not."""

    number: int
    kind: EffectKind
    stream: Stream
    key: Key | None
    at: datetime
    code: str
    who: str = ""
    fields: tuple[UndoField, ...] = ()


class UndoPlan(msgspec.Struct, frozen=True):
    """Newest first: the order they are taken back in."""

    steps: tuple[UndoStep, ...]


class PreviewUndo(Request[UndoPlan], frozen=True):
    method = "undo.preview"
    role = Role.MANAGER
    scope: UndoScope


class ApplyUndo(Request[UndoPlan], frozen=True):
    """Checked again at the moment of writing; the answer says what became of each step."""

    method = "undo.apply"
    role = Role.MANAGER
    scope: UndoScope
