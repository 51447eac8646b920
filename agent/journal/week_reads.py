"""Questions of the weekly report to the audit chain. Reads only; scans it."""

from __future__ import annotations

from datetime import datetime

from agent.journal.reader import Reader
from agent.journal.values import from_micros, to_micros


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

    def contacts_first_told(self) -> dict[str, datetime]:
        """When each person of the CRM was first judged here, as far as the chain is kept."""
        rows = self._rows(
            "SELECT json_extract(detail, '$.contact'), min(at) FROM audit"
            " WHERE act IN ('contact.linked', 'contact.unlinked', 'contact.suspect')"
            " GROUP BY 1"
        )
        return {cloud_id: from_micros(at) for cloud_id, at in rows if cloud_id}
