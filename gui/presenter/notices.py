"""When a person is told something unasked, and when it is taken back. Pure; one step a second.

Told: what stopped and stays stopped; the same once more after four hours and every morning while it
lasts; once a day that something waits for a decision. Never: starts, successes, reconnects, the two
minutes after a start or a wake-up, outside office hours (it waits for the opening), what was
switched off or muted, the same thing twice without a change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from agent.model.status import State
from gui.i18n import Texts
from gui.presenter.offer import offer
from gui.presenter.status import StatusView

QUIET_S = 120.0  # after a start or a wake-up
GAP_S = 30.0  # steps come every second: a longer gap was a sleep
GRACE_S = {State.ACTION_NEEDED: 60.0, State.UNREACHABLE: 60.0, State.OFFLINE: 4 * 3600.0}
REMIND = timedelta(hours=4)

BROKEN, REVIEW, RESULT = "broken", "review", "result"
KINDS = (BROKEN, REVIEW, RESULT)


@dataclass(frozen=True, slots=True)
class Notice:
    """``kind`` is its place too: a newer one of the same kind replaces it. ``go``: tab and place
    its button leads to; ``look``: where its text does, which says more."""

    kind: str
    title: str
    body: str
    tone: str
    button: str
    go: tuple[str, str]
    look: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Turn:
    """What to show now, and which kinds to take back."""

    show: tuple[Notice, ...] = ()
    withdraw: tuple[str, ...] = ()


class Notices:
    """``mono``: seconds of a clock that never goes back, ``now`` the wall's."""

    def __init__(self, mono: float) -> None:
        self._last = mono
        self._quiet_until = mono + QUIET_S
        self._broken = ""  # state and code
        self._since = mono
        self._told_broken: list[datetime] = []
        self._told_review: date | None = None
        self._shown: set[str] = set()

    def step(
        self,
        view: StatusView,
        *,
        now: datetime,
        mono: float,
        may: Callable[[str], bool],
        texts: Texts,
        tabs: Collection[str] = (),
    ) -> Turn:
        """``may``: the kind is neither switched off nor muted. ``tabs``: a button may lead to."""
        if mono - self._last > GAP_S:
            self._quiet_until = mono + QUIET_S
        self._last = mono
        withdraw = [*self._follow_broken(view, mono), *self._follow_review(view)]
        if mono < self._quiet_until or not view.is_office_open:
            return Turn((), tuple(withdraw))
        show = []
        if self._is_broken_due(view, now, mono) and may(BROKEN):
            self._told_broken.append(now)
            show.append(_broken(view, texts, tabs, again=len(self._told_broken) > 1))
        today = now.astimezone().date()
        if view.to_review and self._told_review != today and may(REVIEW):
            self._told_review = today
            show.append(_review(view, texts))
        self._shown |= {notice.kind for notice in show}
        return Turn(tuple(show), tuple(withdraw))

    def _follow_broken(self, view: StatusView, mono: float) -> list[str]:
        key = f"{view.state.value}:{view.code}" if view.state in GRACE_S else ""
        if key == self._broken:
            return []
        self._broken, self._since, self._told_broken = key, mono, []
        return self._take_back(BROKEN)

    def _follow_review(self, view: StatusView) -> list[str]:
        # Only a look at the agent says that nothing waits any more.
        is_known = view.state is not State.UNREACHABLE and not view.is_calling
        return self._take_back(REVIEW) if is_known and not view.to_review else []

    def _take_back(self, kind: str) -> list[str]:
        if kind not in self._shown:
            return []
        self._shown.discard(kind)
        return [kind]

    def _is_broken_due(self, view: StatusView, now: datetime, mono: float) -> bool:
        grace = GRACE_S.get(view.state)
        if grace is None or mono - self._since < grace:
            return False
        told = self._told_broken
        if not told:
            return True
        if len(told) == 1 and now - told[0] >= REMIND:
            return True
        return now.astimezone().date() > told[-1].astimezone().date()


def _broken(view: StatusView, texts: Texts, tabs: Collection[str], *, again: bool) -> Notice:
    title = texts("notices.still", head=view.head) if again else view.head
    look = ("overview", view.code)  # its finding there says what to do
    found = offer(texts.message(view.code), tabs) if view.code else None
    button, go = (found.label, found.go) if found else (texts("notices.look"), look)
    return Notice(BROKEN, title, view.body, view.tone, button, go, look)


def _review(view: StatusView, texts: Texts) -> Notice:
    go = ("review", view.review_queue)
    return Notice(
        REVIEW, texts("notices.review.title", n=view.to_review), texts("notices.review.body"),
        "warn", texts("notices.review.button"), go, go,
    )  # fmt: skip
