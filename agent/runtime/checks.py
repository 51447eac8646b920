"""The doctor's list: every step between the practice and the CRM, in the order they depend."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from agent import __version__
from agent.config import Paths, PayloadSeal, Settings, open_secrets
from agent.config.secrets import Secrets
from agent.crm.connect import CrmLink
from agent.errors import AgentBusy, ExitCode
from agent.journal.journal import Journal
from agent.model.reading import Finding, Severity
from agent.runtime.clock import SystemClock
from agent.runtime.host import site_map
from agent.runtime.sources import open_source
from agent.support.doctor import Check

MIN_FREE_BYTES = 500 * 1024 * 1024
CLOCK_SKEW_S = 300.0


def all_checks(settings: Settings, paths: Paths) -> list[Check]:
    """Built afresh for each run; each check opens what it needs and closes it."""
    clock = SystemClock()
    secrets = open_secrets(paths)
    source = open_source(settings, secrets)

    def machine() -> Sequence[Finding]:
        paths.prepare()
        free = shutil.disk_usage(paths.home).free
        if free < MIN_FREE_BYTES:
            return [Finding("disk.low", Severity.ERROR, {"free_mb": free // 2**20})]
        return []

    def mapped() -> Sequence[Finding]:
        facts = source.probe()
        compiled = site_map(settings).compile(
            facts,
            zone=settings.practice.zone or facts.zone,
            carry_unknown=settings.map.carry_unknown,
        )
        return compiled.findings

    def crm() -> Sequence[Finding]:
        port = CrmLink(settings, secrets, clock, __version__).client("", 0)
        try:
            port.limits()
            skew_s = round(port.skew_s)
        finally:
            port.close()
        if abs(skew_s) > CLOCK_SKEW_S:
            return [Finding("clock.skew", Severity.WARNING, {"seconds": skew_s})]
        return []

    return [
        Check("machine", "Machine: free disk space", machine, ExitCode.ACTION),
        Check("settings", "Settings", lambda: settings.findings, ExitCode.USAGE),
        Check("secrets", "Secret store", secrets.findings, ExitCode.USAGE),
        Check("pms", "Practice system", source.diagnose, ExitCode.PMS),
        Check("map", "Data map against the live schema", mapped, ExitCode.PMS, needs="pms"),
        Check("crm", "CRM: line, sign-in, clock", crm, ExitCode.CRM),
        Check(
            "journal",
            "Journal: integrity and audit chain",
            lambda: _journal(settings, paths, secrets, clock),
            ExitCode.ACTION,
        ),
    ]


def _journal(
    settings: Settings, paths: Paths, secrets: Secrets, clock: SystemClock
) -> Sequence[Finding]:
    file = paths.journal_file(settings.journal_dir)
    if not file.exists():
        return [Finding("journal.none", Severity.NOTE)]
    try:
        seal = PayloadSeal.from_store(secrets, may_create=False)
        journal = Journal.open(file, seal=seal, clock=clock)
    except AgentBusy:
        return [Finding("journal.in_use", Severity.OK)]  # the running agent checked it at start
    try:
        broken = journal.verify_audit()
    finally:
        journal.close()
    return (
        [Finding("journal.audit_broken", Severity.ERROR, {"places": len(broken)})] if broken else []
    )
