"""The doctor's list: every step between the practice and the CRM, in the order they depend."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing

from agent import __version__
from agent.config import Paths, PayloadSeal, Settings, open_secrets
from agent.config.secrets import Secrets
from agent.crm.connect import CrmLink
from agent.errors import ExitCode
from agent.journal.snapshot import verify_file
from agent.model.reading import Finding, Severity
from agent.runtime import causes
from agent.runtime.clock import SystemClock
from agent.runtime.sources import config_file_findings, open_source, open_writer, site_map
from agent.runtime.updates.looking import Updates, helper_here
from agent.support.doctor import Check
from agent.support.machine import LocalMachine, Machine

MIN_FREE_BYTES = 500 * 1024 * 1024
CLOCK_SKEW_S = 300.0


def all_checks(settings: Settings, paths: Paths, machine: Machine | None = None) -> list[Check]:
    """Built afresh for each run; each check opens what it needs and closes it. ``machine``: this
    computer unless tests say."""
    here = machine or LocalMachine()
    clock = SystemClock()
    secrets = open_secrets(paths)

    def computer() -> Sequence[Finding]:
        paths.prepare()
        free = shutil.disk_usage(paths.home).free
        if free < MIN_FREE_BYTES:
            return [Finding("disk.low", Severity.ERROR, {"free_mb": free // 10**6})]
        room = Finding("disk.ok", Severity.OK, {"free_gb": round(free / 1e9, 1)})
        return [room, *causes.machine_findings(here, settings, paths)]

    def practice() -> Sequence[Finding]:
        findings = config_file_findings(settings)
        if any(f.severity is Severity.ERROR for f in findings):
            return findings
        source = open_source(settings, secrets)
        steps = source.diagnose()
        if not any(f.severity is Severity.ERROR for f in steps):
            told = {f.code for f in steps}
            steps += [f for f in source.probe().findings if f.code not in told]
        return [*findings, *steps]

    def mapped() -> Sequence[Finding]:
        facts = open_source(settings, secrets).probe()
        compiled = site_map(settings).compile(
            facts,
            zone=settings.practice.zone or facts.zone,
            carry_unknown=settings.map.carry_unknown,
        )
        counts: dict[str, str | int | float | None] = {
            "read": len(compiled.streams),
            "streams": len(facts.streams),
        }
        return [Finding("map.streams", Severity.OK, counts), *compiled.findings]

    def writing() -> Sequence[Finding]:
        with closing(open_writer(settings, secrets)) as writer:
            return writer.probe().findings

    def crm() -> Sequence[Finding]:
        link = CrmLink(settings, secrets, clock, __version__)
        port = link.client("", 0)
        try:
            port.limits()
            skew_s = round(port.skew_s)
        finally:
            port.close()
        facts: dict[str, str | int | float | None] = {
            "host": link.transport.host,
            "practice": link.pairing.practice_name,
        }
        findings = [Finding("crm.reached", Severity.OK, facts)]
        if abs(skew_s) > CLOCK_SKEW_S:
            findings.append(Finding("clock.skew", Severity.WARNING, {"seconds": skew_s}))
        return findings

    return [
        Check("machine", "This computer", computer, ExitCode.ACTION),
        Check("program", "Program files", lambda: causes.program_findings(here), ExitCode.ACTION),
        Check("update", "New versions", lambda: _updates(settings, paths), ExitCode.ACTION),
        Check(
            "agent", "Agent", lambda: causes.agent_findings(here, settings, paths), ExitCode.BUSY
        ),
        Check("settings", "Settings", lambda: settings.findings, ExitCode.USAGE),
        Check("secrets", "Store for passwords and keys", secrets.findings, ExitCode.USAGE),
        Check("pms", "Practice system", practice, ExitCode.PMS),
        Check(
            "server",
            "Same server as before",
            lambda: causes.server_findings(settings, paths, secrets),
            ExitCode.ACTION,
            needs="pms",
        ),
        Check("map", "Data map", mapped, ExitCode.PMS, needs="pms"),
        Check("writing", "Writing to the practice system", writing, ExitCode.PMS, needs="pms"),
        Check(
            "signer",
            "Secure line to the CRM",
            lambda: causes.signer_findings(settings),
            ExitCode.CRM,
        ),
        Check("crm", "CRM", crm, ExitCode.CRM),
        Check(
            "journal", "Sync record", lambda: _journal(settings, paths, secrets), ExitCode.ACTION
        ),
    ]


def _updates(settings: Settings, paths: Paths) -> Sequence[Finding]:
    """What the running agent heard and its helper left; nobody is asked."""
    known = Updates(lambda: settings, paths, lambda: None, helper=helper_here())
    facts: dict[str, str | int | float | None] = {"version": __version__}
    return known.findings() or [Finding("update.current", Severity.OK, facts)]


def _journal(settings: Settings, paths: Paths, secrets: Secrets) -> Sequence[Finding]:
    """Only looked at, never opened for writing: works beside a running agent."""
    file = paths.journal_file(settings.journal_dir)
    if not file.exists():
        return [Finding("journal.none", Severity.OK)]
    PayloadSeal.from_store(secrets, may_create=False)
    broken = verify_file(file)
    if not broken:
        return [Finding("journal.whole", Severity.OK)]
    if any(place.startswith("journal.damaged") for place in broken):
        return [Finding("journal.damaged", Severity.ERROR)]
    return [Finding("journal.audit_broken", Severity.ERROR, {"places": len(broken)})]
