"""Does the new version work as well as the old one did? Pure.

"As well", not "well": a practice server that is off at night, or a CRM in maintenance, is no fault
of the new version. Whatever worked just before must work again.
"""

from __future__ import annotations

from agent.model.reading import Severity
from agent.model.status import Report


def is_working(report: Report | None) -> bool:
    """The engine runs and has read the practice: what must come back."""
    return report is not None and report.snapshot.last_read_at is not None


def complaint(before: Report | None, now: Report | None, version: str) -> str:
    """ "" when ``now`` is as good as ``before``; else one word of what is not. ``before`` None: the
    old version did not answer, so an answer of the new one is better already."""
    if now is None:
        return "no_answer"
    if now.snapshot.agent_version != version:
        return "other_version"
    if before is None:
        return ""
    was, is_now = before.snapshot, now.snapshot
    if was.is_set_up and not is_now.is_set_up:
        return "not_set_up"
    old = {f.code for f in was.findings if f.severity is Severity.ERROR}
    new = {f.code for f in is_now.findings if f.severity is Severity.ERROR} - old
    if any(code.startswith(("journal.", "config.", "map.")) for code in new):
        return min(new)  # codes, for support; which of several does not matter
    if was.pms_error is None and is_working(before) and not is_working(now):
        return "not_reading"
    if was.crm_error is None and is_working(before) and is_now.crm_error is not None:
        return "no_crm"
    return ""
