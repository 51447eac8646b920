"""What the installer has our own program do, as the system's account: rights on the folder, the
service's start and recovery, closing trays, removing what was asked to be removed.

The installer's own tables do these badly or not at all. Imports pywin32; Windows only.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    raise ImportError("set-up of the service is for Windows only")

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import structlog
import win32security
import win32service

from agent.control.sids import folder_sddl
from agent.runtime.windows import EXECUTABLE, NAME, TRAY

log = structlog.get_logger(__name__)

_RESTARTS_MS = (5_000, 30_000, 120_000)
_FORGET_AFTER_S = 24 * 3600
_CLOSE_WITHIN_S = 5.0
_END_WITHIN_S = 15.0


def protect_folder(home: Path) -> None:
    """Nobody but the system, administrators and the service may read or write below ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    described = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
        folder_sddl(NAME), win32security.SDDL_REVISION_1
    )
    what = win32security.DACL_SECURITY_INFORMATION
    protected = win32security.PROTECTED_DACL_SECURITY_INFORMATION
    win32security.SetNamedSecurityInfo(
        str(home), win32security.SE_FILE_OBJECT, what | protected,
        None, None, described.GetSecurityDescriptorDacl(), None,
    )  # fmt: skip
    # Anybody may make a folder in ProgramData before us, and an owner may always change rights.
    administrators = win32security.ConvertStringSidToSid("S-1-5-32-544")
    with contextlib.suppress(win32security.error):
        win32security.SetNamedSecurityInfo(
            str(home), win32security.SE_FILE_OBJECT, win32security.OWNER_SECURITY_INFORMATION,
            administrators, None, None, None,
        )  # fmt: skip


def tune_service() -> None:
    """Delayed start, and a restart after a crash: three times, counted anew each day."""
    manager = win32service.OpenSCManager(None, None, win32service.SC_MANAGER_CONNECT)
    try:
        rights = win32service.SERVICE_CHANGE_CONFIG | win32service.SERVICE_START
        service = win32service.OpenService(manager, NAME, rights)
        try:
            win32service.ChangeServiceConfig2(
                service, win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, 1
            )
            win32service.ChangeServiceConfig2(
                service,
                win32service.SERVICE_CONFIG_FAILURE_ACTIONS,
                {
                    "ResetPeriod": _FORGET_AFTER_S,
                    "RebootMsg": "",
                    "Command": "",
                    "Actions": [(win32service.SC_ACTION_RESTART, ms) for ms in _RESTARTS_MS],
                },
            )
            # A process that ends by itself with an error counts as a crash too; a system that does
            # not know this still restarts it after a real one.
            with contextlib.suppress(win32service.error):
                win32service.ChangeServiceConfig2(
                    service, win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, 1
                )
        finally:
            win32service.CloseServiceHandle(service)
    finally:
        win32service.CloseServiceHandle(manager)


def close_trays() -> int:
    """End every session's icon, and the agents icons have started (single-user mode); how many.
    The former hold nothing, the latter lose nothing, and no window of another session can be asked
    from here."""
    ended = [p for p in psutil.process_iter(["name", "cmdline"]) if _is_in_a_session(p.info)]
    for process in ended:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(ended, timeout=_CLOSE_WITHIN_S)
    return len(ended)


def _is_in_a_session(process: dict[str, Any]) -> bool:
    name, words = (process["name"] or "").lower(), process["cmdline"] or []
    return name == TRAY or (name == EXECUTABLE and "run" in words and "service" not in words)


def await_end() -> int:
    """Wait until nobody runs our program any more; how many still do.

    A service is "stopped" a moment before its process is gone, and a program that is loaded cannot
    be deleted: the installer would leave it behind.
    """
    others = [
        process
        for process in psutil.process_iter(["name"])
        if (process.info["name"] or "").lower() == EXECUTABLE and process.pid != os.getpid()
    ]
    _, running = psutil.wait_procs(others, timeout=_END_WITHIN_S)
    if running:
        log.warning("program.still_runs", count=len(running))
    return len(running)


def purge(home: Path) -> None:
    """Delete everything the agent owns: the journal, its backups, settings, logs, secrets."""
    for _ in range(10):  # a file of the service that has just ended may still be held
        shutil.rmtree(home, ignore_errors=True)
        if not home.exists():
            return
        time.sleep(0.5)
    log.warning("purge.incomplete")
