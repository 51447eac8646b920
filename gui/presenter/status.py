"""The state in words: one view for the tray icon, the window's side and the overview.

Made from the agent's last report, never from single events. What is not known is never green.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.model.reading import Finding, Severity
from agent.model.status import FATAL, Report, Snapshot, State
from gui.i18n import Texts

_WORTH_SAYING = 0.01  # share of a first load: live changes alone bring a record or two before it

TONES = {
    State.NOT_SET_UP: "idle",
    State.ACTION_NEEDED: "bad",
    State.UNREACHABLE: "idle",
    State.OFFLINE: "idle",
    State.PAUSED: "idle",
    State.NEEDS_REVIEW: "warn",
    State.SYNCING: "accent",
    State.BEHIND: "warn",
    State.UP_TO_DATE: "good",
}


@dataclass(frozen=True, slots=True)
class StatusView:
    """``head``: one line; ``body``: what it means and what to do; ``icon``: of assets/icons."""

    state: State
    tone: str
    icon: str
    head: str
    body: str
    last_read: str  # a sentence; ``read_when`` is its time alone
    last_write: str
    read_when: str
    write_when: str
    to_review: int = 0
    review_queue: str = ""  # of Review, where the first of it waits
    is_calling: bool = False  # nothing was heard yet
    is_office_open: bool = True
    code: str = ""  # of what stopped, for the small print

    @property
    def tooltip(self) -> str:
        """Windows cuts a tray tooltip at 128 characters: the state first."""
        return f"{self.head}\n{self.last_read}\n{self.last_write}"


def status_view(
    report: Report | None, *, is_silent: bool, trouble: str, now: datetime, texts: Texts
) -> StatusView:
    """``is_silent``: nothing heard for longer than a restart takes; ``trouble``: code of why."""
    if report is None or is_silent:
        return _without_report(report, is_silent=is_silent, trouble=trouble, now=now, texts=texts)
    s, state = report.snapshot, report.state
    head, body, code = _words(report, now, texts)
    tone, icon = TONES[state], f"tray/{state.value}"
    if state is State.BEHIND and not s.is_office_open:
        # At night a quiet server is no trouble; it is not called up to date either.
        read = _moment(s.last_read_at)
        since = texts.when(read, now) if read else texts("format.unknown")
        head, body = texts("status.idle.head", since=since), texts("status.idle.body")
        tone, icon = "idle", "tray/idle"
    return StatusView(
        state=state,
        tone=tone,
        icon=icon,
        head=head,
        body=body,
        last_read=_at(s.last_read_at, "read", now, texts),
        last_write=_at(s.last_write_at, "write", now, texts),
        read_when=_when(s.last_read_at, now, texts),
        write_when=_when(s.last_write_at, now, texts),
        to_review=s.to_review,
        review_queue=next((name for name, n in review_counts(s).items() if n), ""),
        is_office_open=s.is_office_open,
        code=code,
    )


def review_counts(s: Snapshot) -> dict[str, int]:
    """What waits for a person, by the queues of the tab Review, in their order."""
    return {
        "conflicts": s.in_conflict,
        "people": s.suspects,
        "tasks": s.tasks_open,
        "unsure": s.effects_unknown,
        "parked": s.parked,
    }


def _without_report(
    report: Report | None, *, is_silent: bool, trouble: str, now: datetime, texts: Texts
) -> StatusView:
    """Nothing is known now: not reachable, or (for a moment after the start) still calling."""
    state = State.UNREACHABLE if is_silent else State.SYNCING
    key = "unreachable" if is_silent else "calling"
    body = texts(f"status.{key}.body")
    if trouble and trouble not in {"control.no_agent", "control.lost"}:
        body = texts.message(trouble).title
    s = report.snapshot if report is not None else None
    read, write = (s.last_read_at, s.last_write_at) if s is not None else (None, None)
    return StatusView(
        state=state,
        tone=TONES[state],
        icon=f"tray/{state.value}",
        head=texts(f"status.{key}.head"),
        body=body,
        last_read=_at(read, "read", now, texts),
        last_write=_at(write, "write", now, texts),
        read_when=_when(read, now, texts),
        write_when=_when(write, now, texts),
        to_review=s.to_review if s else 0,
        is_calling=not is_silent,
        is_office_open=s.is_office_open if s else True,
        code=trouble,
    )


def _words(report: Report, now: datetime, texts: Texts) -> tuple[str, str, str]:
    """Head, body, code."""
    s = report.snapshot
    match report.state:
        case State.ACTION_NEEDED:
            worst = worst_finding(s)
            if worst is None:
                return texts("status.action.head"), texts("status.action.body"), ""
            told = texts.message(worst.code, worst.facts)
            return told.title, " ".join(filter(None, (told.body, told.next_step))), worst.code
        case State.OFFLINE:
            return _offline(s, texts)
        case State.PAUSED:
            until = _moment(s.paused_until)
            word = texts.when(until, now) if until else ""
            return texts("status.paused.head", until=word), texts("status.paused.body"), ""
        case State.NEEDS_REVIEW if not s.to_review:
            why = texts.message(s.booking_suspended or "booking.suspended")
            return texts("status.suspended.head"), why.title, s.booking_suspended
        case State.NEEDS_REVIEW:
            return (
                texts("status.review.head", n=s.to_review),
                texts("status.review.body"),
                "",
            )
        case State.SYNCING:
            return _syncing(s, texts)
        case State.BEHIND:
            return _behind(s, texts)
        case State.UP_TO_DATE:
            read = _moment(s.last_read_at)
            checked = texts.ago((now - read).total_seconds()) if read else texts("format.unknown")
            return (
                texts("status.good.head"),
                texts("status.good.body", checked=checked),
                "",
            )
        case _:
            key = {State.NOT_SET_UP: "setup", State.UNREACHABLE: "unreachable"}[report.state]
            return texts(f"status.{key}.head"), texts(f"status.{key}.body"), ""


def _offline(s: Snapshot, texts: Texts) -> tuple[str, str, str]:
    is_pms = s.pms_error is not None and s.pms_error_s >= s.crm_error_s
    code = (s.pms_error if is_pms else s.crm_error) or ""
    lasted_s = s.pms_error_s if is_pms else s.crm_error_s
    since = texts.span(lasted_s)
    side = "pms" if is_pms else "crm"
    told = texts.message(code)
    return texts(f"status.offline.{side}", span=since), f"{told.title} {told.body}", code


def _syncing(s: Snapshot, texts: Texts) -> tuple[str, str, str]:
    load = s.load
    if load is None or not load.total_rows:
        return texts("status.syncing.first"), texts("status.syncing.body"), ""
    head = texts(
        "status.syncing.head",
        done=min(load.loaded_rows, load.total_rows),
        total=load.total_rows,
    )
    body = texts("status.syncing.body")
    if load.eta_s is not None:
        body = texts("status.syncing.eta", span=texts.span(load.eta_s))
    share = min(load.resumed_rows / load.total_rows, 1.0)
    if share >= _WORTH_SAYING:
        body = f"{texts('status.syncing.resumed', share=f'{share:.0%}')} {body}"
    return head, body, ""


def _behind(s: Snapshot, texts: Texts) -> tuple[str, str, str]:
    code = s.pms_error or s.crm_error or ""
    waits = s.oldest_unsent_s or 0.0
    head = texts("status.behind.head", span=texts.span(waits))
    if waits < 1:
        head = texts("status.behind.checking")
    body = texts.message(code).title if code else texts("status.behind.body")
    if s.booking_suspended and not code:
        head, body = texts("status.suspended.head"), texts.message(s.booking_suspended).title
    return head, body, code


def worst_finding(s: Snapshot) -> Finding | None:
    """What a person must act on first."""
    for code in (s.pms_error, s.crm_error):
        if code in FATAL:
            return Finding(code, Severity.ERROR)
    return next((f for f in s.findings if f.severity is Severity.ERROR), None)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _at(text: str | None, what: str, now: datetime, texts: Texts) -> str:
    if text is None:
        return texts(f"status.{what}.none")
    return texts(f"status.{what}.at", when=_when(text, now, texts))


def _when(text: str | None, now: datetime, texts: Texts) -> str:
    moment = _moment(text)
    if moment is None:
        return texts("status.not_yet")
    age_s = (now - moment).total_seconds()
    return texts.ago(age_s) if age_s < 3600 else texts.when(moment, now)
