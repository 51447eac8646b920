"""Eaglesoft as a ``PmsSource``: which sign-in it is, and what its catalogue says.

An OEM database that is authenticated lets strangers read only: such a sign-in is recognised, said,
and every command becomes a desk task. Must not import a database library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.model.reading import Finding, Severity
from drivers.eaglesoft.contract import contract
from drivers.odbc.login import OdbcLogin
from drivers.odbc.session import Limits
from drivers.odbc.site import Site
from drivers.vendor import VendorSource

OLDEST = 18  # integrators support 18 and later


class EaglesoftSource(VendorSource):
    """``signature``: of the maker's programme; "" reads only."""

    def __init__(
        self,
        login: OdbcLogin,
        *,
        zone: str = "",
        limits: Limits | None = None,
        signature: str = "",
    ) -> None:
        super().__init__(contract(signature), login, zone=zone, limits=limits)
        self._signed = bool(signature)

    def findings(self, site: Site, version: str) -> Sequence[Finding]:
        found = []
        major = re.match(r"\d+", version.strip())
        if major is None:
            found.append(Finding("pms.eaglesoft_version_unknown", Severity.NOTE))
        elif int(major[0]) < OLDEST:
            found.append(
                Finding("pms.eaglesoft_too_old", Severity.WARNING, {"version": version.strip()})
            )
        if not self._signed:
            found.append(Finding("pms.eaglesoft_reads_only", Severity.NOTE))
        return found
