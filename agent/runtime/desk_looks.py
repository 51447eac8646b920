"""What the window looks at and changes nothing of: activity, pulse, the agent's log; and a nudge.

The desk (``agent.runtime.desk``) takes these answers among its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.control.server import Caller
from agent.errors import AgentError
from agent.journal.activities import ActivityReads
from agent.model.activity import (
    LEVELS,
    ActivityPage,
    CheckNow,
    GetPulse,
    ListActivity,
    LogPage,
    Pulse,
    ReadLog,
)
from agent.model.asking import MOST, Done, Request
from agent.support.logview import LogView

_PULSE_KEPT_S = 20.0  # every open window asks; the answer changes by the minute


class LookError(AgentError):
    """What was asked for cannot be looked at."""

    code = "desk.bad_value"


@dataclass(slots=True)
class Looks:
    """``check``: None where no agent runs."""

    journal: ActivityReads
    log_file: Path
    check: Callable[[], None] | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _pulse: tuple[datetime, Pulse] | None = None

    def answers(self) -> Mapping[type[Request[Any]], Callable[[Any, Caller], object]]:
        return {
            ListActivity: self.list_activity,
            GetPulse: self.pulse,
            CheckNow: self.check_now,
            ReadLog: self.read_log,
        }

    def list_activity(self, wish: ListActivity, _: Caller) -> ActivityPage:
        _bounded(wish.limit)
        if wish.offset < 0:
            raise LookError("desk.bad_value", name="offset", allowed="0 or more")
        return self.journal.activity_page(wish)

    def pulse(self, _: GetPulse, __: Caller) -> Pulse:
        now, held = self.now(), self._pulse
        if held is None or (now - held[0]).total_seconds() > _PULSE_KEPT_S:
            held = self._pulse = (now, self.journal.pulse(now))
        return held[1]

    def check_now(self, _: CheckNow, __: Caller) -> Done:
        if self.check is None:
            raise LookError("desk.needs_agent")
        self.check()
        return Done()

    def read_log(self, wish: ReadLog, _: Caller) -> LogPage:
        _bounded(wish.limit)
        if wish.level not in LEVELS:
            raise LookError("desk.bad_value", name="level", allowed=", ".join(LEVELS))
        try:
            return LogView(self.log_file).page(wish)
        except ValueError:
            raise LookError(
                "desk.bad_value", name="place", allowed="as an answer gave it"
            ) from None


def _bounded(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise LookError("desk.bad_value", name="limit", allowed=f"1 to {MOST}")
