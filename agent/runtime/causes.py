"""The doctor's checks of what most often stops an integration, beside the path itself.

Each is one cause a help desk of this trade knows: the computer slept, a password ran out,
antivirus took a file, the server was replaced, the disk is full, the clock is wrong, an update
waits, a backup runs, a proxy looks into secure traffic, a second agent is at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from agent.config import Paths, Settings, load_settings
from agent.config.secrets import Secrets
from agent.control.client import Client
from agent.control.protocol import ControlError
from agent.crm.signer import look
from agent.errors import AgentError, JournalError
from agent.journal.snapshot import visiting
from agent.model.reading import Finding, Severity
from agent.runtime.sources import open_source
from agent.support.machine import Machine

LATELY = timedelta(days=7)
SHOWN_FILES = 5


def machine_findings(machine: Machine, settings: Settings, paths: Paths) -> list[Finding]:
    """Sleep, restart, backups and gaps of this computer."""
    found = []
    if machine.may_sleep():
        found.append(Finding("pc.may_sleep", Severity.WARNING))
    slept = _gaps(settings, paths)
    if slept:
        found.append(Finding("pc.slept", Severity.WARNING, {"count": slept}))
    if machine.restart_pending():
        found.append(Finding("pc.restart_pending", Severity.WARNING))
    names = machine.backups_running()
    if names:
        found.append(Finding("pc.backup_running", Severity.NOTE, {"program": ", ".join(names)}))
    return found


def program_findings(machine: Machine) -> list[Finding]:
    """Files of ours that are gone."""
    missing = machine.missing_files()
    if missing is None:
        return [Finding("program.not_listed", Severity.OK)]
    if not missing:
        return [Finding("program.whole", Severity.OK)]
    shown = ", ".join(missing[:SHOWN_FILES])
    return [
        Finding("program.files_missing", Severity.ERROR, {"count": len(missing), "files": shown})
    ]


def agent_findings(machine: Machine, settings: Settings, paths: Paths) -> list[Finding]:
    """Is one agent at work here, and only one for this practice?"""
    own = _running_pid(paths)
    others = [
        pid
        for pid, home in machine.agents()
        if pid != own and _is_same_practice(settings, paths, Paths.locate(home))
    ]
    if others:
        return [Finding("agent.second", Severity.ERROR, {"pid": others[0], "count": len(others)})]
    if own is None:
        return [Finding("agent.not_running", Severity.NOTE)]
    return [Finding("agent.running", Severity.OK, {"pid": own})]


def server_findings(settings: Settings, paths: Paths, secrets: Secrets) -> list[Finding]:
    """Is the database still the one the sync record was made from?"""
    file = paths.journal_file(settings.journal_dir)
    try:
        with visiting(file) as (_, visitor):
            known = visitor.source()
    except JournalError:
        return []  # nothing to compare with; the journal has a check of its own
    if known is None:
        return []
    identity = open_source(settings, secrets).probe().identity
    if identity != known[0]:
        return [Finding("pms.server_replaced", Severity.ERROR)]
    return [Finding("pms.same_server", Severity.OK)]


def signer_findings(settings: Settings) -> list[Finding]:
    """Does anybody look into the secure line to the CRM? Not asked through a proxy we are told
    of, nor where IT has named its own authority."""
    if not settings.crm.url or settings.crm.proxy:
        return []
    signer = look(settings.crm.url, settings.crm.timeout_s)
    if signer is None:
        return []
    if signer.is_public:
        return [Finding("net.tls_direct", Severity.OK)]
    if settings.crm.ca_file:
        return [Finding("net.tls_own", Severity.OK, {"by": signer.by})]
    return [Finding("net.tls_inspected", Severity.WARNING, {"by": signer.by})]


def _is_same_practice(settings: Settings, own: Paths, other: Paths) -> bool:
    """Another folder whose settings name the same database. What cannot be read is not judged."""
    if not other.config_file.exists():
        return False  # set by its environment or gone: not to be compared
    if other.home == own.home:
        return False  # one sync record has one agent: its lock sees to that
    try:
        theirs = load_settings((), home=other.home)
    except (AgentError, OSError):
        return False
    names = ("pms.kind", "pms.host", "pms.port", "pms.database", "pms.sqlite_path")
    return all(settings.value(name) == theirs.value(name) for name in names)


def _gaps(settings: Settings, paths: Paths) -> int:
    file = paths.journal_file(settings.journal_dir)
    try:
        with visiting(file) as (_, visitor):
            rows: Sequence[object] = [
                row
                for row in visitor.outages(200, datetime.now(UTC) - LATELY)
                if row.code == "pc.asleep"
            ]
    except JournalError:
        return 0
    return len(rows)


def _running_pid(paths: Paths) -> int | None:
    try:
        with Client.call(paths.control_socket, name="doctor") as agent:
            return agent.welcome.pid
    except (ControlError, OSError):
        return None
