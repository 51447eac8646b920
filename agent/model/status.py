"""What the product says about itself: one typed snapshot, one precedence. A leaf; pure."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.model.proof import FullProof
from agent.model.reading import Finding, Severity
from agent.model.streams import Stream


class State(StrEnum):
    """The nine states of the tray, most pressing first. Unknown is never UP_TO_DATE."""

    NOT_SET_UP = "not_set_up"
    ACTION_NEEDED = "action_needed"
    UNREACHABLE = "engine_unreachable"
    OFFLINE = "offline"
    PAUSED = "paused"
    NEEDS_REVIEW = "needs_review"
    SYNCING = "syncing"
    BEHIND = "behind"
    UP_TO_DATE = "up_to_date"


class StreamStatus(msgspec.Struct, frozen=True):
    """One line of the stream table. Counts of records."""

    stream: Stream
    present: int
    agreed: int
    waiting: int
    parked: int
    expected: int = 0  # rows the PMS reports, while the first load runs


class LoadStatus(msgspec.Struct, frozen=True):
    phase: str
    loaded_rows: int
    total_rows: int
    eta_s: float | None
    resumed_rows: int = 0  # of these, there when the load was begun (again)


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a window, the CLI or a heartbeat may show. Ages in s, None = nothing such."""

    taken_at: str  # ISO 8601 UTC
    agent_version: str
    is_set_up: bool
    is_running: bool
    paused_until: str | None
    pms_kind: str
    pms_version: str
    pms_error: str | None  # code
    pms_error_s: float
    crm_error: str | None
    crm_error_s: float
    last_read_at: str | None
    last_write_at: str | None
    oldest_unsent_s: float | None
    oldest_unverified_s: float | None
    overdue_chunks: int
    open_conflicts: int
    parked: int
    pending: int
    load: LoadStatus | None
    streams: tuple[StreamStatus, ...] = ()
    findings: tuple[Finding, ...] = ()
    tasks_open: int = 0  # desk tasks nobody has answered
    suspects: int = 0  # people of the CRM a person must match
    effects_unknown: int = 0  # writes of which a person must say whether they happened
    safety_mode: str = "normal"  # what may be written (agent.model.desk.SafetyMode)
    booking_suspended: str = ""  # message code of why the CRM offers no times
    booking_held: bool = False  # … and that it stays so until a person clears it
    is_office_open: bool = True  # by the practice's hours; without any it always is
    awake_s: float | None = None  # since the computer woke or the agent started
    proof: FullProof | None = None  # the last full proof of equality
    conflict_records: int | None = None  # records with open conflicts; None = not known
    language: str = ""  # the practice's; "" = none was chosen

    @property
    def to_review(self) -> int:
        """What waits for a person; a record's conflicts are decided together and count once."""
        waiting = self.tasks_open + self.suspects + self.effects_unknown
        return self.in_conflict + self.parked + waiting

    @property
    def in_conflict(self) -> int:
        """Records with open conflicts; the fields where only those are known."""
        return self.open_conflicts if self.conflict_records is None else self.conflict_records


class Report(msgspec.Struct, frozen=True):
    """What a running agent says every second: the snapshot, its verdict, who wrote it."""

    state: State
    pid: int
    written_at: str
    snapshot: Snapshot


class Bounds(msgspec.Struct, frozen=True):
    """When an honest number stops being green."""

    unsent_s: float = 60.0
    read_s: float = (
        30.0  # the live lane looks twenty times a second; half a minute blind is not fine
    )
    grace_s: float = 180.0  # a line down for less than this is a hiccup
    waking_s: float = 600.0  # … and so long after a boot or a wake-up

    def grace(self, awake_s: float | None) -> float:
        is_waking = awake_s is not None and awake_s < self.waking_s
        return max(self.grace_s, self.waking_s) if is_waking else self.grace_s


FATAL = frozenset(
    {
        "pms.auth_refused",
        "pms.password_expired",
        "pms.wrong_database",
        "pms.suspect_restored",
        "pms.corrupted",
        "crm.auth_revoked",
        "journal.damaged",
        "disk.full",
    }
)


_USUAL = Bounds()


def overall(snapshot: Snapshot, bounds: Bounds = _USUAL, *, read_age_s: float | None) -> State:
    """The one precedence function: first match wins. ``read_age_s``: since the last full look."""
    s = snapshot
    grace_s = bounds.grace(s.awake_s)
    ladder = (
        (State.NOT_SET_UP, not s.is_set_up),
        (State.UNREACHABLE, not s.is_running),
        (
            State.ACTION_NEEDED,
            s.pms_error in FATAL
            or s.crm_error in FATAL
            or any(f.severity is Severity.ERROR for f in s.findings),
        ),
        (
            State.OFFLINE,
            (s.pms_error is not None and s.pms_error_s > grace_s)
            or (s.crm_error is not None and s.crm_error_s > grace_s),
        ),
        (State.PAUSED, s.paused_until is not None),
        (State.NEEDS_REVIEW, s.to_review > 0 or s.booking_held),
        (State.SYNCING, s.load is not None or read_age_s is None),
        (
            State.BEHIND,
            (s.oldest_unsent_s or 0.0) > bounds.unsent_s
            or s.overdue_chunks > 0
            or (read_age_s or 0.0) > bounds.read_s
            or s.pms_error is not None
            or s.crm_error is not None
            or bool(s.booking_suspended),  # a trouble that ends it with itself
        ),
    )
    return next((state for state, holds in ladder if holds), State.UP_TO_DATE)
