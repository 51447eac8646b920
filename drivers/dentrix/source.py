"""Dentrix as a ``PmsSource``: who may be read at all, and what a site's own rows tell.

Below G5 there is no SQL engine to ask, Dentrix Enterprise is another product on another engine, and
Ascend lives in its maker's cloud: each is refused with its reason. Must not import a database
library.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.errors import AgentError, PmsDrift
from agent.model.reading import Finding, Severity, SourceFacts
from drivers.dentrix.contract import SiteNumbers, contract
from drivers.dentrix.numbers import site_numbers
from drivers.odbc.login import OdbcLogin
from drivers.odbc.session import Limits
from drivers.odbc.site import Site
from drivers.vendor import VendorSource

OLDEST = 15.0  # G5: integrators take G6.2 for 16.20, so G5 is 15
CLOUD = ("dentrixascend.com", "https://")


class DentrixSource(VendorSource):
    """``version``: the program's own number as its sign-in program told it, 0 when nobody did."""

    def __init__(
        self,
        login: OdbcLogin,
        *,
        zone: str = "",
        limits: Limits | None = None,
        version: float = 0.0,
    ) -> None:
        super().__init__(contract(SiteNumbers()), login, zone=zone, limits=limits)
        self._version = version
        self.numbers = SiteNumbers()

    def probe(self) -> SourceFacts:
        refuse_unreadable(self.door.login, self._version)
        session = self.session()
        try:
            _refuse_enterprise(session.connect().dbms)
            self.numbers = site_numbers(session)
        finally:
            session.close()
        self.contract = contract(self.numbers)
        return super().probe()

    def findings(self, site: Site, version: str) -> Sequence[Finding]:
        found = []
        if not self._version:
            found.append(Finding("pms.dentrix_version_unknown", Severity.NOTE))
        if self.numbers.status_type is None:
            found.append(Finding("pms.dentrix_statuses_unknown", Severity.NOTE))
        if self.numbers.operatory_type is None:
            found.append(Finding("pms.dentrix_operatories_unknown", Severity.WARNING))
        if "appthist" not in site.tables:
            found.append(Finding("pms.dentrix_no_history", Severity.WARNING))
        return found

    def diagnose(self) -> list[Finding]:
        try:
            refuse_unreadable(self.door.login, self._version)
        except AgentError as error:
            return [Finding(error.code, Severity.ERROR, {**error.facts, "step": "version"})]
        return super().diagnose()


def refuse_unreadable(login: OdbcLogin, version: float) -> None:
    """Raises PmsDrift for an edition this driver must not try."""
    text = login.text().lower()
    if any(mark in text for mark in CLOUD):
        raise PmsDrift("pms.dentrix_cloud")
    if version and version < OLDEST:
        raise PmsDrift("pms.dentrix_too_old", version=version)


def _refuse_enterprise(dbms: str) -> None:
    if "sql server" in dbms.lower():
        raise PmsDrift("pms.dentrix_enterprise", engine=dbms)
