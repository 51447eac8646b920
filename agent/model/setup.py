"""The first-run wizard's words: steps, requests and answers. A leaf.

The flow itself is ``agent.runtime.setup``; the window's pages, ``bridgework setup`` and tests all
make these requests. Secrets go in and never come out. Nothing here carries a patient's name.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.model.asking import Done, Request, Role
from agent.model.reading import Finding
from agent.model.streams import Stream

Value = str | int | float | bool


class Step(StrEnum):
    """In the order they are done."""

    PAIR = "pair"
    FIND = "find"
    PROOF = "proof"
    SCOPE = "scope"
    CONFLICTS = "conflicts"
    HOURS = "hours"
    PREVIEW = "preview"


class StepLine(msgspec.Struct, frozen=True):
    """``facts``: what was decided, in words and numbers that name nobody."""

    step: Step
    done: bool
    facts: dict[str, str | int | float | None] = {}


class SetupView(msgspec.Struct, frozen=True):
    """``next`` None: nothing is missing. ``finished``: a person started the sync (or this computer
    was set up without the wizard). ``restart``: saved, but the running engine still works by what
    it read at its start."""

    steps: tuple[StepLine, ...]
    next: Step | None
    finished: bool
    restart: bool = False


class GetSetup(Request[SetupView], frozen=True):
    method = "setup.show"


# --- pair ---------------------------------------------------------------------------------------


class PairedView(msgspec.Struct, frozen=True):
    """Whose code it was. ``confirmed``: a person said that this is their practice."""

    url: str
    practice_id: str
    practice_name: str
    confirmed: bool


class PairByCode(Request[PairedView], frozen=True):
    """Spend a one-time code. ``url`` "": the address known already."""

    method = "setup.pair"
    role = Role.ADMIN
    code: str
    url: str = ""
    label: str = ""

    def __repr__(self) -> str:
        return "PairByCode(...)"


class ConfirmPractice(Request[SetupView], frozen=True):
    """``is_ours`` False forgets the link just made."""

    method = "setup.pair.confirm"
    role = Role.ADMIN
    is_ours: bool


# --- find the practice system -------------------------------------------------------------------


class PlaceField(msgspec.Struct, frozen=True):
    """One thing to fill in. ``setting``: its name; ``label``: in words; ``locked``: IT's policy
    says it and a person cannot change it here."""

    setting: str
    label: str
    help: str
    value: str = ""
    secret: bool = False
    is_set: bool = False
    required: bool = True
    locked: bool = False
    advanced: bool = False


class KindView(msgspec.Struct, frozen=True):
    """A practice system this agent can read, and what it needs to know to reach it."""

    kind: str
    title: str
    fields: tuple[PlaceField, ...]


class FoundPms(msgspec.Struct, frozen=True):
    """One seen on this computer. ``how``: message code of what gave it away; ``settings``: what it
    says, without secrets; ``has_password``: it also says the password, taken on ``UsePms``."""

    kind: str
    title: str
    how: str
    where: str
    settings: dict[str, Value] = {}
    has_password: bool = False
    findings: tuple[Finding, ...] = ()


class FoundPage(msgspec.Struct, frozen=True):
    """``now``: the kind in the settings, "" while nobody has chosen."""

    found: tuple[FoundPms, ...]
    kinds: tuple[KindView, ...]
    now: str = ""


class FindPms(Request[FoundPage], frozen=True):
    method = "setup.find"
    role = Role.ADMIN


class TestView(msgspec.Struct, frozen=True):
    """``steps``: one finding a step (host, port, login, database, version, rights ...), the last is
    the one that failed where ``works`` is False."""

    steps: tuple[Finding, ...]
    works: bool


class TestPms(Request[TestView], frozen=True):
    """Try to read, change nothing. ``secrets``: by setting; what is left out is taken from the
    store. A wrong password is tried once only."""

    method = "setup.test"
    role = Role.ADMIN
    settings: dict[str, Value]
    secrets: dict[str, str] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return "TestPms(...)"


class UsePms(Request[TestView], frozen=True):
    """Test, and keep it if it works."""

    method = "setup.use"
    role = Role.ADMIN
    settings: dict[str, Value]
    secrets: dict[str, str] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return "UsePms(...)"


# --- read-only proof ----------------------------------------------------------------------------


class Counted(msgspec.Struct, frozen=True):
    """Records of a stream. ``about``: the server's estimate, not counted."""

    stream: Stream
    rows: int
    about: bool = False


class ProofView(msgspec.Struct, frozen=True):
    """Enough for a person to say "yes, that is our office". ``newest_visit``: wall time of the
    visit entered last, "" where there is none; ``today``: visits on today's schedule; ``identity``:
    to be confirmed as seen; ``can_write``: the reading login may write, which it need not."""

    kind: str
    version: str
    server: str
    identity: str
    zone: str
    counts: tuple[Counted, ...]
    newest_visit: str
    today: int
    can_write: bool
    confirmed: bool = False
    findings: tuple[Finding, ...] = ()


class GetProof(Request[ProofView], frozen=True):
    method = "setup.proof"
    role = Role.ADMIN


class ConfirmProof(Request[SetupView], frozen=True):
    """``is_ours`` False: not our office, the place is to be chosen anew."""

    method = "setup.proof.confirm"
    role = Role.ADMIN
    identity: str
    is_ours: bool = True


# --- scope and mapping --------------------------------------------------------------------------


class StreamChoice(msgspec.Struct, frozen=True):
    """``required``: nothing works without it."""

    stream: Stream
    rows: int
    on: bool
    required: bool
    readable: bool = True


class StatusChoice(msgspec.Struct, frozen=True):
    """A value this practice uses for a status. ``word``: what the CRM hears; ``words``: what it may
    hear; ``count``: of the records looked at. ``editable`` False: the value cannot be written into
    the map."""

    stream: Stream
    field: str
    value: str
    word: str
    words: tuple[str, ...]
    count: int
    shipped: str
    editable: bool = True


class ScopeView(msgspec.Struct, frozen=True):
    """``writes``: message code of what the CRM may write here and now; ``looked_at``: records read
    to find the statuses."""

    streams: tuple[StreamChoice, ...]
    statuses: tuple[StatusChoice, ...]
    looked_at: int
    write_back: bool
    writes: str


class GetScope(Request[ScopeView], frozen=True):
    method = "setup.scope"
    role = Role.ADMIN


class StatusWord(msgspec.Struct, frozen=True):
    stream: Stream
    field: str
    value: str
    word: str


class SetScope(Request[SetupView], frozen=True):
    """``skip``: streams not to send. None leaves a part as it is."""

    method = "setup.scope.set"
    role = Role.ADMIN
    skip: tuple[Stream, ...] | None = None
    statuses: tuple[StatusWord, ...] = ()
    write_back: bool | None = None


# --- owner and conflict policy ------------------------------------------------------------------


class PolicyGroup(msgspec.Struct, frozen=True):
    """Fields that are decided together. ``owner``: shared | pms | crm; ``policy``: ask | pms |
    crm | mixed; ``fixed``: message code of why nobody may change it, "" where one may."""

    group: str
    fields: tuple[str, ...]
    owner: str
    policy: str
    fixed: str = ""
    shipped_owner: str = "shared"
    shipped_policy: str = "ask"


class PolicyGroups(msgspec.Struct, frozen=True):
    groups: tuple[PolicyGroup, ...]


class GetPolicies(Request[PolicyGroups], frozen=True):
    method = "setup.policies"
    role = Role.ADMIN


class GroupChoice(msgspec.Struct, frozen=True):
    group: str
    owner: str
    policy: str


class SetPolicies(Request[SetupView], frozen=True):
    """Groups left out stay as they are."""

    method = "setup.policies.set"
    role = Role.ADMIN
    choices: tuple[GroupChoice, ...] = ()


# --- office hours -------------------------------------------------------------------------------


class HoursView(msgspec.Struct, frozen=True):
    """``hours``: text of ``agent.model.hours``. ``zone`` "": as the practice's server says,
    which is ``zone_found``."""

    hours: str
    zone: str
    zone_found: str
    locked: bool = False


class GetHours(Request[HoursView], frozen=True):
    method = "setup.hours"
    role = Role.ADMIN


class SetHours(Request[SetupView], frozen=True):
    method = "setup.hours.set"
    role = Role.ADMIN
    hours: str
    zone: str = ""


# --- preview and end ----------------------------------------------------------------------------


class PreviewView(msgspec.Struct, frozen=True):
    """What the first sync will do. ``writes``: message code of what is written to the practice (the
    first sync writes nothing); ``reads_s``: about how long reading takes at the usual pace."""

    practice_name: str
    url: str
    kind: str
    streams: tuple[Counted, ...]
    total: int
    skipped: tuple[Stream, ...]
    reads_s: float
    writes: str
    findings: tuple[Finding, ...] = ()


class GetPreview(Request[PreviewView], frozen=True):
    method = "setup.preview"
    role = Role.ADMIN


class FinishSetup(Request[SetupView], frozen=True):
    """Start the sync. Refused while a step is missing."""

    method = "setup.finish"
    role = Role.ADMIN


class RestartEngine(Request[Done], frozen=True):
    """Stop the lanes and start them anew with the settings and the map as saved; takes seconds."""

    method = "agent.restart"
    role = Role.ADMIN
