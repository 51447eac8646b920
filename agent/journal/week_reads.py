"""Questions of the weekly report to the audit chain. Reads only; scans it."""

from __future__ import annotations

from datetime import datetime

from agent.journal.reader import Reader
from agent.journal.values import from_micros, to_micros

_NOT_LINKED = "'contact.unlinked', 'contact.suspect', 'contact.rejected_by_crm'"


class WeekReads(Reader):
    """The reading face of what happened when."""

    def acts_between(self, since: datetime, until: datetime) -> dict[str, int]:
        """How often each act was audited from ``since`` until before ``until``."""
        return dict(
            self._rows(
                "SELECT act, count(*) FROM audit WHERE at >= ? AND at < ? GROUP BY act",
                (to_micros(since), to_micros(until)),
            )
        )

    def links_taken_back(self, since: datetime, until: datetime) -> int:
        """How often a person that was linked with a patient was so no more. That somebody new is
        nobody yet known is no link taken back."""
        return int(
            self._one(
                "SELECT count(*) FROM (SELECT at, act, lag(act) OVER"
                " (PARTITION BY json_extract(detail, '$.contact') ORDER BY seq) AS before"
                f" FROM audit WHERE act IN ('contact.linked', 'contact.merged', {_NOT_LINKED}))"
                f" WHERE before = 'contact.linked' AND act IN ({_NOT_LINKED})"
                " AND at >= ? AND at < ?",
                (to_micros(since), to_micros(until)),
            )
        )

    def contacts_first_told(self) -> dict[str, datetime]:
        """When each person of the CRM was first judged here, as far as the chain is kept."""
        rows = self._rows(
            "SELECT json_extract(detail, '$.contact'), min(at) FROM audit"
            " WHERE act IN ('contact.linked', 'contact.unlinked', 'contact.suspect')"
            " GROUP BY 1"
        )
        return {cloud_id: from_micros(at) for cloud_id, at in rows if cloud_id}
