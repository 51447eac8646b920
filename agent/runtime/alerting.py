"""Alerts: looks at the figures once a minute, remembers in the journal, tells by the ways the
settings name. What could not be told is tried again for a day.

The daily figures for the weekly report are kept here too: both live on the same minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec
import structlog

from agent.config import Settings
from agent.config.secrets import Secrets, read_secret
from agent.crm.webhook import post
from agent.errors import AgentError
from agent.journal.journal import Journal, Turn
from agent.model.promises import Promise
from agent.model.reading import Finding
from agent.ports import Clock
from agent.support import mail
from agent.support.alerts import Held, Notice, alert_findings, judge, promises, step
from agent.support.measures import Figures, Measures
from agent.support.messages import Catalogue

log = structlog.get_logger(__name__)

LOOK_S = 60.0
WINDOW = timedelta(hours=1)
TRIED_FOR = timedelta(days=1)
DAYS_KEPT = timedelta(days=400)
DAY = "figures:day:"
_HELD = "alerts:held"
_UNTOLD = "alerts:untold"
_WAIT = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))


class Untold(msgspec.Struct, frozen=True):
    """A notice that one way has not taken yet."""

    id: str
    way: str
    notice: Notice
    due: datetime
    tries: int = 0


class Way(msgspec.Struct, frozen=True):
    """How somebody is told. ``send`` raises AgentError."""

    name: str
    send: Callable[[str, Notice], None]


class Alerting:
    """Used by one chore's thread; ``findings`` and ``standing`` from any."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        measures: Measures,
        period_s: Callable[[str], float],
        ways: Sequence[Way],
        wall: Callable[[datetime], datetime],
    ) -> None:
        """``period_s``: a tier's rotation; ``wall``: an instant on the practice's wall."""
        self._journal = journal
        self._clock = clock
        self._measures = measures
        self._period_s = period_s
        self._ways = {way.name: way for way in ways}
        self._wall = wall
        self._past: deque[tuple[datetime, Figures]] = deque([(clock.now(), measures.figures())])
        self._stored = self._past[0][1]
        text = journal.mark(_HELD)
        self._held = msgspec.json.decode(text, type=dict[str, Held]) if text else {}

    @property
    def standing(self) -> tuple[str, ...]:
        """Codes of what was told and is not over."""
        return tuple(sorted(code for code, held in self._held.items() if held.told))

    def findings(self) -> tuple[Finding, ...]:
        return alert_findings(self._held)

    def promises(self) -> tuple[Promise, ...]:
        """How they stand now, over the last hour or since the start."""
        hour = self._measures.figures().minus(self._past[0][1])
        return promises(hour, self._ages(self._clock.now()), self._held)

    def look(self) -> None:
        """Once a minute. JournalError."""
        now, figures = self._clock.now(), self._measures.figures()
        while len(self._past) > 1 and now - self._past[1][0] >= WINDOW:
            self._past.popleft()
        breaches = judge(figures.minus(self._past[0][1]), self._ages(now))
        self._past.append((now, figures))
        held, notices = step(self._held, breaches, now)
        fresh = [
            Untold(str(uuid4()), name, notice, now) for notice in notices for name in self._ways
        ]
        with self._journal.turn() as turn:
            turn.set_mark(_HELD, msgspec.json.encode(held).decode())
            for notice in notices:
                if not notice.is_over:
                    known = {k: v for k, v in notice.facts.items() if v is not None}
                    turn.note(notice.code, None, 1, known)
                turn.audit("alert.over" if notice.is_over else "alert.told", {"code": notice.code})
            self._keep_day(turn, now, figures)
            if fresh:
                untold = [*self._untold(), *fresh]
                turn.set_mark(_UNTOLD, msgspec.json.encode(untold).decode())
        self._held = held
        self.tell()

    def tell(self) -> None:
        """What waits to be told and is due."""
        now, left = self._clock.now(), []
        waiting = self._untold()
        for each in waiting:
            way = self._ways.get(each.way)
            if way is None or now - each.notice.at > TRIED_FOR:
                log.warning("alert.given_up", code=each.notice.code, way=each.way)
            elif each.due > now:
                left.append(each)
            else:
                again = self._try(way, each, now)
                if again is not None:
                    left.append(again)
        if left != waiting:
            with self._journal.turn() as turn:
                turn.set_mark(_UNTOLD, msgspec.json.encode(left).decode())

    def rehearse(self, notice: Notice) -> dict[str, str]:
        """Tell it by every way now, once: "" or why not."""
        found = {}
        for way in self._ways.values():
            try:
                way.send(str(uuid4()), notice)
                found[way.name] = ""
            except AgentError as error:
                found[way.name] = str(error.facts.get("reason", error.code))
        return found

    def _try(self, way: Way, each: Untold, now: datetime) -> Untold | None:
        try:
            way.send(each.id, each.notice)
        except AgentError as error:
            reason = str(error.facts.get("reason", ""))
            log.warning("alert.not_sent", way=way.name, reason=reason)
            wait = _WAIT[min(each.tries, len(_WAIT) - 1)]
            return msgspec.structs.replace(each, due=now + wait, tries=each.tries + 1)
        log.info("alert.sent", way=way.name, code=each.notice.code)
        return None

    def _untold(self) -> list[Untold]:
        text = self._journal.mark(_UNTOLD)
        return msgspec.json.decode(text, type=list[Untold]) if text else []

    def _ages(self, now: datetime) -> list[float]:
        return [
            (now - since).total_seconds() / self._period_s(tier)
            for tier, since in self._journal.oldest_by_tier().items()
        ]

    def _keep_day(self, turn: Turn, now: datetime, figures: Figures) -> None:
        today = self._wall(now).date()
        name = DAY + today.isoformat()
        text = self._journal.mark(name)
        before = msgspec.json.decode(text, type=Figures) if text else Figures({}, {})
        day = before.plus(figures.minus(self._stored))
        turn.set_mark(name, msgspec.json.encode(day).decode())
        if not text:
            turn.drop_marks(DAY, DAY + (today - DAYS_KEPT).isoformat())
        self._stored = figures


def days_of(marks: dict[str, str]) -> dict[str, Figures]:
    """Figures by local date (ISO), from the journal's marks of prefix ``DAY``."""
    return {
        name.removeprefix(DAY): msgspec.json.decode(text, type=Figures)
        for name, text in marks.items()
        if text
    }


def ways_of(settings: Settings, secrets: Secrets, clock: Clock, practice: str) -> list[Way]:
    """Those the settings name."""
    alerts = settings.alerts
    ways = []
    if alerts.email_to:
        ways.append(Way("email", _by_mail(settings, secrets, practice)))
    if alerts.webhook_url:
        ways.append(Way("webhook", _by_webhook(settings, secrets, clock, practice)))
    return ways


def _by_mail(settings: Settings, secrets: Secrets, practice: str) -> Callable[[str, Notice], None]:
    def send(_ident: str, notice: Notice) -> None:
        alerts = settings.alerts
        to = tuple(part.strip() for part in alerts.email_to.split(",") if part.strip())
        box = mail.Mailbox(
            alerts.smtp_host,
            alerts.smtp_port,
            alerts.smtp_security,
            alerts.smtp_user,
            read_secret(settings, secrets, "alerts.smtp_password") or "",
            alerts.email_from or to[0],
            to,
        )
        title, text = in_words(notice)
        mail.send(box, f"Bridgework: {title}", f"{text}\n\nPractice: {practice}\n")

    return send


def _by_webhook(
    settings: Settings, secrets: Secrets, clock: Clock, practice: str
) -> Callable[[str, Notice], None]:
    def send(ident: str, notice: Notice) -> None:
        secret = read_secret(settings, secrets, "alerts.webhook_secret") or ""
        title, _ = in_words(notice)
        told = {
            "type": "alert.over" if notice.is_over else "alert.began",
            "timestamp": notice.at,
            "data": {"code": notice.code, "facts": notice.facts, "text": title, "agent": practice},
        }
        post(settings, clock, secret, ident, clock.now(), told)

    return send


def in_words(notice: Notice) -> tuple[str, str]:
    """Subject and text."""
    catalogue = Catalogue.load()
    said = catalogue.render(notice.code, notice.facts)
    if notice.is_over:
        over = catalogue.render("alert.over", {"what": said.title})
        return over.title, over.body
    parts = [said.title, "", said.body, said.next_step]
    return said.title, "\n".join(parts).rstrip()
