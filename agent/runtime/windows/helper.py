"""The part of an update that needs the system's rights: two services of LocalSystem.

``BridgeworkUpdate``, installed by the MSI and started by the agent's own account, takes no word
from it but the files in its folder: offer and installer are copied to where only the system and
administrators write, and the copy is verified against the key of the build.

``BridgeworkWatch`` exists during an update only. It is a copy of the *old* program, begins with the
computer until it is done, and leads ``agent.runtime.updates.watch`` through its stages. An upgrade
by hand starts it too (``stand_by``, an action of the old installer).

Imports pywin32; Windows only.
"""

from __future__ import annotations

import sys

if sys.platform != "win32":
    raise ImportError("the update helper is for Windows only")

import contextlib
import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pywintypes
import servicemanager
import structlog
import win32con
import win32event
import win32security
import win32service
import win32serviceutil
import win32ts

from agent import __version__
from agent.config import Paths, load_settings
from agent.config.paths import kept_dir, outcome_file
from agent.config.registry import PROPERTIES, read_installed
from agent.config.store import write_atomic
from agent.control.client import Client
from agent.control.protocol import ControlError
from agent.control.sids import service_sid
from agent.errors import AgentError, UpdateError
from agent.journal.putback import put_back
from agent.model.desk import GetStatus
from agent.model.status import Report
from agent.model.updates import Ending, Outcome, Release, is_newer
from agent.runtime.updates.looking import OFFER
from agent.runtime.updates.seal import MOST_BYTES, build_source, open_seal
from agent.runtime.updates.watch import Plan, watch
from agent.runtime.windows import EXECUTABLE, HELPER, NAME, TRAY, WATCH, WATCH_EXECUTABLE
from agent.support.health import read_report
from agent.support.logs import configure

log = structlog.get_logger(__name__)

_PLAN = "plan.json"
_PROGRAM = "program"
_LOG = "update.log"
_NOT_NEEDED = ("PySide6", "shiboken6", "licences", "help", TRAY)  # by the watch
_INSTALLER_MUTEX = r"Global\_MSIExecute"
_ASK_S = 5.0
_STOP_WITHIN_S = 40.0
_WATCH_GONE_WITHIN_S = 60.0
_CHUNK = 1 << 20
# What the service manager gives to a new service, and: the agent's account may start this one.
_HELPER_SDDL = (
    "D:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)"
    "(A;;CCLCSWLOCRRC;;;IU)(A;;CCLCSWLOCRRC;;;SU)(A;;RPLC;;;{})"
)


# -- the agent's side ------------------------------------------------------------------------------


class UpdateHelper:
    """``agent.runtime.updates.looking.Helper``: the service beside the agent's."""

    def is_there(self) -> bool:
        return _state(HELPER) is not None

    def start(self) -> None:
        try:
            with _service(HELPER, win32service.SERVICE_START) as service:
                win32service.StartService(service, None)
        except pywintypes.error as error:
            raise UpdateError("update.no_helper", error=error.winerror) from None


# -- set-up by the installer -----------------------------------------------------------------------


def let_agent_start_helper() -> None:
    """Nobody else's rights on that service change."""
    described = win32security.ConvertStringSecurityDescriptorToSecurityDescriptor(
        _HELPER_SDDL.format(service_sid(NAME)), win32security.SDDL_REVISION_1
    )
    try:
        with _service(HELPER, win32con.WRITE_DAC) as service:
            win32service.SetServiceObjectSecurity(
                service, win32security.DACL_SECURITY_INFORMATION, described
            )
    except pywintypes.error as error:  # updates will say that they cannot; the rest works
        log.warning("update.rights_not_set", error=error.winerror)


def keep_installer(msi: Path) -> None:
    """The way back from the next version. Without it an update is not begun by itself."""
    kept = _kept(__version__)
    try:
        if not kept.exists() or not msi.samefile(kept):
            kept.parent.mkdir(parents=True, exist_ok=True)
            draft = kept.with_suffix(".part")
            shutil.copyfile(msi, draft)
            draft.replace(kept)
    except OSError as error:
        log.warning("update.installer_not_kept", errno=error.errno)


def forget() -> None:
    """The program is uninstalled for good: nothing to go back to. Not while an update is led."""
    if _state(WATCH) is None:
        shutil.rmtree(kept_dir(), ignore_errors=True)


def stand_by(paths: Paths, msi: str = "", target: str = "") -> None:
    """Begin to watch: a copy of this program that leads or follows an installation. Does nothing
    where one is at work already."""
    if _state(WATCH) is not None:
        if _state(WATCH) != win32service.SERVICE_STOPPED:
            return
        _delete_service(WATCH)
    folder = kept_dir()
    program = folder / _PROGRAM
    shutil.rmtree(program, ignore_errors=True)
    own = Path(sys.executable).parent
    shutil.copytree(own, program, ignore=shutil.ignore_patterns(*_NOT_NEEDED))
    (program / EXECUTABLE).rename(program / WATCH_EXECUTABLE)
    back = _kept(__version__)
    plan = Plan(
        before_version=__version__,
        msi=msi,
        back=str(back) if back.exists() else "",
        said=_said(),
        before=read_report(paths.status_file, datetime.now(UTC)),
        settle_s=load_settings((), home=paths.home).update.settle_s,
        target=target,
    )
    (folder / _PLAN).write_bytes(msgspec.json.encode(plan))
    _create_watch(program / WATCH_EXECUTABLE, paths.home)
    log.info("update.watched", from_version=__version__, version=target or "unknown")


# -- the two services ------------------------------------------------------------------------------


class Stopped(Exception):
    """The service manager wants us to end; the plan goes on at the next start."""


class _Deed(win32serviceutil.ServiceFramework):  # type: ignore[misc]  # pywin32 has no types here
    """A service that does one thing and ends."""

    _svc_name_ = ""
    deed: Callable[[threading.Event], None]

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self._stopping = threading.Event()

    def SvcStop(self) -> None:  # noqa: N802 - pywin32's name
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)
        self._stopping.set()

    def SvcRun(self) -> None:  # noqa: N802
        self.ReportServiceStatus(win32service.SERVICE_RUNNING)
        configure(level="info", file=kept_dir() / _LOG, console_level="error")
        try:
            type(self).deed(self._stopping)
        except Stopped:
            log.info("update.interrupted")
        except Exception as error:
            log.error("update.crashed", exc_info=error)
            servicemanager.LogErrorMsg(f"{NAME}: the update stopped ({type(error).__name__}).")
        self.ReportServiceStatus(win32service.SERVICE_STOP_PENDING)


def serve(name: str, deed: Callable[[threading.Event], None]) -> None:
    """Be the service ``name``; ends the process, for its files may be deleted next."""
    kind = type(name, (_Deed,), {"_svc_name_": name, "_svc_display_name_": name,
                                 "deed": staticmethod(deed)})  # fmt: skip
    servicemanager.Initialize(NAME, None)
    servicemanager.PrepareToHostSingle(kind)
    servicemanager.StartServiceCtrlDispatcher()
    os._exit(0)


def help_update(paths: Paths, _stopping: threading.Event) -> None:
    """What ``BridgeworkUpdate`` does: clear away after the last update, or begin the one the folder
    asks for. Never both: who ends an update wakes us to clear away, and what was taken back a
    moment ago is still offered."""
    if (kept_dir() / _PROGRAM).exists():
        tidy()
        return
    release = None
    try:
        release = _offered(paths)
        if release is None:
            return
        stand_by(paths, str(_taken_over(paths, release)), release.version)
    except (AgentError, OSError) as error:
        why = error.code if isinstance(error, AgentError) else "disk"
        log.error("update.not_begun", code=why)
        version = release.version if release is not None else ""
        _tell(Outcome(version, __version__, Ending.FAILED, datetime.now(UTC), why))


def _offered(paths: Paths) -> Release | None:
    """A newer version with the right signature; None where nothing (more) is offered."""
    source = build_source()
    file = paths.updates_dir / OFFER
    if source is None or not file.exists():
        return None
    with file.open("rb") as stream:
        release = open_seal(stream.read(MOST_BYTES + 1), source.keys)
    return release if is_newer(release.version, __version__) else None


def _taken_over(paths: Paths, release: Release) -> Path:
    """The offered installer, copied to where the agent cannot write, hashed as it is copied."""
    kept = _kept(release.version)
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(".part")
    seen, left = hashlib.sha256(), release.size
    source = paths.updates_dir / f"{release.sha256}.msi"
    with source.open("rb") as stream, draft.open("wb") as copy:
        while part := stream.read(min(_CHUNK, left + 1)):
            left -= len(part)
            if left < 0:
                break
            seen.update(part)
            copy.write(part)
    if left or seen.hexdigest() != release.sha256:
        draft.unlink(missing_ok=True)
        raise UpdateError("update.not_believed", why="hash")
    draft.replace(kept)
    return kept


def lead(paths: Paths, stopping: threading.Event) -> None:
    """What ``BridgeworkWatch`` does: the plan to its end, then itself away."""
    file = kept_dir() / _PLAN
    plan = msgspec.json.decode(file.read_bytes(), type=Plan)
    ending = watch(plan, WindowsSite(paths, stopping))
    if ending in {Ending.DONE, Ending.TAKEN_BACK}:
        _start_trays(plan)
    file.unlink(missing_ok=True)
    _delete_service(WATCH)
    with contextlib.suppress(UpdateError):
        UpdateHelper().start()  # it clears away what we stand on


def tidy() -> None:
    """After an update: the copy of the program, and installers nobody would go back to."""
    deadline = time.monotonic() + _WATCH_GONE_WITHIN_S
    while _runs(WATCH_EXECUTABLE) and time.monotonic() < deadline:
        time.sleep(0.5)
    if _state(WATCH) is not None or _runs(WATCH_EXECUTABLE):
        return
    folder = kept_dir()
    shutil.rmtree(folder / _PROGRAM, ignore_errors=True)
    for stale in (*folder.glob("Bridgework-*.msi"), *folder.glob("*.part")):
        if stale != _kept(__version__):
            stale.unlink(missing_ok=True)


class WindowsSite:
    """``agent.runtime.updates.watch.Site`` for this computer."""

    def __init__(self, paths: Paths, stopping: threading.Event) -> None:
        self._paths = paths
        self._stopping = stopping

    def install(self, msi: str, said: dict[str, str]) -> int:
        words = " ".join(f'{name}="{_quoted(value)}"' for name, value in said.items())
        return self._msiexec(f'/i "{msi}"', f"NOLAUNCH=1 {words}")

    def remove(self, version: str) -> int:
        return self._msiexec(f'/x "{_kept(version)}"', "")

    def _msiexec(self, what: str, properties: str) -> int:
        record = kept_dir() / "installer.log"
        line = f'msiexec.exe {what} /qn /norestart /l*v "{record}" {properties}'
        code = subprocess.run(line, cwd=kept_dir(), check=False).returncode
        log.info("update.installer", action="install" if what[1] == "i" else "remove", code=code)
        return code

    def is_installing(self) -> bool:
        try:
            handle = win32event.OpenMutex(win32con.SYNCHRONIZE, False, _INSTALLER_MUTEX)
        except pywintypes.error:
            return _runs("msiexec.exe", but="/v")
        handle.Close()
        return True

    def installed(self) -> str:
        return str(read_installed().get("Version", ""))

    def report(self) -> Report | None:
        if _state(NAME) != win32service.SERVICE_RUNNING:
            return None
        try:
            with Client.call(self._paths.control_socket, name="update", timeout_s=_ASK_S) as agent:
                return agent.ask(GetStatus(), _ASK_S)
        except (ControlError, OSError):
            return None

    def start_agent(self) -> None:
        rights = win32service.SERVICE_START
        with contextlib.suppress(pywintypes.error), _service(NAME, rights) as service:
            win32service.StartService(service, None)

    def stop_agent(self) -> None:
        rights = win32service.SERVICE_STOP
        with contextlib.suppress(pywintypes.error), _service(NAME, rights) as service:
            win32service.ControlService(service, win32service.SERVICE_CONTROL_STOP)
        deadline = time.monotonic() + _STOP_WITHIN_S
        while _runs(EXECUTABLE) and time.monotonic() < deadline:
            self.sleep(0.5)

    def put_journal_back(self) -> str:
        try:
            settings = load_settings((), home=self._paths.home)
            return put_back(self._paths.journal_file(settings.journal_dir), datetime.now(UTC))
        except AgentError as error:
            return error.code
        except OSError:
            return "disk"

    def keep(self, plan: Plan) -> None:
        write_atomic(kept_dir() / _PLAN, msgspec.json.encode(plan))

    def tell(self, outcome: Outcome) -> None:
        _tell(outcome)

    def mono(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopped


# -- small -----------------------------------------------------------------------------------------


def _tell(outcome: Outcome) -> None:
    outcome_file().parent.mkdir(parents=True, exist_ok=True)
    write_atomic(outcome_file(), msgspec.json.encode(outcome))
    said = f"{NAME} {outcome.before} to {outcome.version}: {outcome.ending.value} {outcome.why}"
    if outcome.ending is Ending.DONE:
        servicemanager.LogInfoMsg(said)
    else:
        servicemanager.LogErrorMsg(said)


def _said() -> dict[str, str]:
    """What the installer was told, as properties of the next call."""
    known = read_installed()
    given = {name: str(known[value]) for value, name in PROPERTIES.items() if known.get(value)}
    return {name: _unslashed(text) for name, text in given.items()}


def _unslashed(text: str) -> str:
    """A backslash before the closing quote would be read as part of the text."""
    return text if len(text) <= 3 else text.rstrip("\\")


def _quoted(text: str) -> str:
    return text.replace('"', '""')


def _kept(version: str) -> Path:
    return kept_dir() / f"{NAME}-{version}.msi"


def _runs(program: str, *, but: str = "") -> bool:
    """Does a process of that name run? ``but``: not counted with this word on its command line."""
    for process in psutil.process_iter(["name"]):
        if (process.info["name"] or "").lower() != program:
            continue
        words: list[str] = []
        if but:
            with contextlib.suppress(psutil.Error):
                words = [word.lower() for word in process.cmdline()]
        if but not in words:
            return True
    return False


@contextlib.contextmanager
def _manager(rights: int) -> Iterator[Any]:
    manager = win32service.OpenSCManager(None, None, rights)
    try:
        yield manager
    finally:
        win32service.CloseServiceHandle(manager)


@contextlib.contextmanager
def _service(name: str, rights: int) -> Iterator[Any]:
    with _manager(win32service.SC_MANAGER_CONNECT) as manager:
        service = win32service.OpenService(manager, name, rights)
        try:
            yield service
        finally:
            win32service.CloseServiceHandle(service)


def _state(name: str) -> int | None:
    """None: no such service."""
    try:
        with _service(name, win32service.SERVICE_QUERY_STATUS) as service:
            return int(win32service.QueryServiceStatus(service)[1])
    except pywintypes.error:
        return None


def _create_watch(program: Path, home: Path) -> None:
    line = f'"{program}" --home "{home}" service watch'
    with _manager(win32service.SC_MANAGER_CREATE_SERVICE) as manager:
        service = win32service.CreateService(
            manager, WATCH, WATCH, win32service.SERVICE_ALL_ACCESS,
            win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_AUTO_START,
            win32service.SERVICE_ERROR_NORMAL, line, None, 0, None, None, None,
        )  # fmt: skip
        try:
            win32service.StartService(service, None)
        finally:
            win32service.CloseServiceHandle(service)


def _delete_service(name: str) -> None:
    with contextlib.suppress(pywintypes.error), _service(name, win32con.DELETE) as service:
        win32service.DeleteService(service)


def _start_trays(plan: Plan) -> None:
    """The installer closed the icons of whoever is signed in; nobody signs in anew for us."""
    tray = Path(plan.said.get("INSTALLFOLDER", "")) / TRAY
    if plan.said.get("TRAYAUTOSTART") == "0" or not tray.exists() or _runs(TRAY):
        return
    import win32process

    with contextlib.suppress(pywintypes.error, AttributeError):
        for session in win32ts.WTSEnumerateSessions():
            if session["State"] != win32ts.WTSActive:
                continue
            token = win32ts.WTSQueryUserToken(session["SessionId"])
            start = win32process.STARTUPINFO()
            win32process.CreateProcessAsUser(
                token, str(tray), f'"{tray}" --autostart', None, None, False, 0, None, None, start
            )
