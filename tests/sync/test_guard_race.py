"""Two lanes look at the source at once: what one has read on is no sign of an older database."""

from __future__ import annotations

from typing import Any

from agent.model.reading import SourceGuard
from agent.sync.guards import Verdict
from agent.sync.session import check_source
from tests.sync.pullrig import Desk
from tests.sync.pullsite import desk, open_desk, site_template

__all__ = ["desk", "open_desk", "site_template"]


class ReadsOn:
    """The reader, while another lane reads new log lines and notes them before it answers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk.reader, name)

    def guard(self) -> SourceGuard:
        found = self._desk.reader.guard()
        self._desk.run(
            "INSERT INTO securitylog (PermType, UserNum, LogDateTime, LogText, PatNum, CompName,"
            " FKey, LogSource, DefNum, DefNumError) VALUES (8,1,datetime('now'),'',1,'',0,0,0,0)"
        )
        self._desk.tick()
        other = check_source(
            self._desk.reader, self._desk.journal, self._desk.session, sure=True
        )  # and it stores how far it came
        assert other is Verdict.OK
        return found


def test_a_lane_that_looked_a_moment_earlier_believes_the_source(desk: Desk) -> None:
    for _ in range(3):
        verdict = check_source(
            ReadsOn(desk),
            desk.journal,
            desk.session,
            sure=True,  # type: ignore[arg-type]
        )
        assert verdict is Verdict.OK
    known = desk.journal.source()
    assert known is not None
    assert known[1] == Verdict.OK.value
