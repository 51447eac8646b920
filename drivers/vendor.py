"""What Dentrix and Eaglesoft share as sources read over ODBC.

Must not import a database library.
"""

from __future__ import annotations

from agent.model.reading import Finding
from drivers.odbc.source import OdbcSource

NO_ENGINE_STATES = frozenset({"08001", "08W01", "S2801"})
NO_ENGINE_NATIVE = frozenset({-100, -101, 2002, 2003})


class VendorSource(OdbcSource):
    """An engine that answers nobody is told apart from a lost line: backups stop it."""

    def diagnose(self) -> list[Finding]:
        return [named(finding) for finding in super().diagnose()]


def named(finding: Finding) -> Finding:
    """The same, called by what it is: nobody listens, rather than a line that broke."""
    said = finding.facts
    is_down = said.get("state") in NO_ENGINE_STATES or said.get("native") in NO_ENGINE_NATIVE
    if finding.code == "pms.unreachable" and is_down:
        return Finding("pms.engine_stopped", finding.severity, said)
    return finding
