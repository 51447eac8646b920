"""The agent's side of updates: asks whether there is a newer version, downloads it, says so, and
wakes the helper that may install it. A thread of its own; the network's troubles are its own.

What lies in ``updates/`` below the agent's folder is read by the helper, which believes none of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
import structlog

from agent import __version__
from agent.config import Paths, Settings
from agent.config.paths import make_private_dir, outcome_file
from agent.config.store import write_atomic
from agent.control.server import Caller, Offer
from agent.crm.connect import open_transport
from agent.crm.transport import Transport
from agent.errors import AgentError, UpdateError
from agent.model.asking import Done
from agent.model.hours import parse_hours
from agent.model.reading import Finding, Severity
from agent.model.status import Report
from agent.model.updates import (
    GetUpdate,
    InstallUpdate,
    LookForUpdate,
    Outcome,
    Release,
    UpdatePolicy,
    UpdateView,
    is_newer,
)
from agent.runtime.clock import SystemClock
from agent.runtime.updates.decide import Deed, Known, Moment, findings, next_deed
from agent.runtime.updates.seal import UpdateSource, build_source, open_seal

log = structlog.get_logger(__name__)

OFFER = "offer.json"
ROUND_S = 30.0
_FIRST_LOOK_S = 60.0  # after a start: the agent has better things to do
_AGAIN_S = 3600.0  # between two tries of what failed, or brought no new version about
_STOP_WITHIN_S = 2.0
_TELL_S = 5.0


class Helper(Protocol):
    """Who may install: a service of the system's, where there is one."""

    def is_there(self) -> bool: ...
    def start(self) -> None:
        """UpdateError."""


class Updates:
    """``load``: the settings as they stand; ``report``: what the agent says of itself."""

    def __init__(
        self,
        load: Callable[[], Settings],
        paths: Paths,
        report: Callable[[], Report | None],
        *,
        helper: Helper | None = None,
        source: UpdateSource | None = None,
        outcome: Path | None = None,
    ) -> None:
        self._load = load
        self._paths = paths
        self._report = report
        self._helper = helper
        self._source = source if source is not None else build_source()
        self._outcome = outcome or outcome_file()
        self._clock = SystemClock()
        self._lock = threading.Lock()  # one round at a time: the thread's, or a person's
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._line: Transport | None = None
        self._looked_at: datetime | None = None
        self._look_mono = time.monotonic() + _FIRST_LOOK_S  # not before
        self._next_mono = 0.0  # … to fetch or install
        self._insisted = False
        self._trouble = ""
        self._told: list[Finding] = []
        self._told_mono = -_TELL_S

    # -- the thread -------------------------------------------------------------------------------

    def start(self) -> None:
        """Without a key in the build nothing could be believed, so nothing is asked for."""
        if self._source is None:
            return
        with contextlib.suppress(AgentError):
            self._look_mono = min(self._look_mono, time.monotonic() + self._load().update.look_s)
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        line = self._line
        if line is not None:
            line.close()
        if self._thread is not None:
            self._thread.join(_STOP_WITHIN_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            deed = Deed.NOTHING
            try:
                with self._lock:
                    deed = self.round()
            except AgentError as error:
                self._note_trouble(error.code)
            except OSError as error:
                self._note_trouble("disk", errno=error.errno)
            except Exception as error:  # noqa: BLE001 - updates must never end the agent
                self._note_trouble("internal", kind=type(error).__name__)
            due_s = self._look_mono - time.monotonic()
            is_idle = deed is Deed.NOTHING
            self._wake.wait(max(min(due_s, ROUND_S), 1.0) if is_idle else 1.0)
            self._wake.clear()

    def _note_trouble(self, code: str, **facts: object) -> None:
        self._trouble = code
        log.warning("update.round_failed", code=code, **facts)

    def round(self) -> Deed:
        """One step, if one is due; which it was. Raises what went wrong."""
        settings = self._load()
        known, now = self.known(settings), time.monotonic()
        if self._insisted and known.release is not None:
            self._insisted = False
            if not known.is_fetched:
                self._fetch(settings, known.release)
            self._install(known.release)
            return Deed.INSTALL
        deed = next_deed(known, self._moment(settings, now))
        if deed is Deed.LOOK:
            # Set first: a place that does not answer is not asked again at once.
            self._look_mono = now + settings.update.look_s
            self._look(settings)
        elif deed is not Deed.NOTHING and known.release is not None:
            if now < self._next_mono:
                return Deed.NOTHING
            # Set first: what fails, or brings no new version about, is not begun again at once.
            self._next_mono = now + _AGAIN_S
            if deed is Deed.INSTALL:
                self._install(known.release)
            else:
                self._fetch(settings, known.release)
                self._next_mono = 0.0
        return deed

    def _moment(self, settings: Settings, now_mono: float) -> Moment:
        practice = settings.practice
        zone = ZoneInfo(practice.zone) if practice.zone else None
        report = self._report()
        is_busy = report is not None and (
            report.snapshot.paused_until is not None
            or (report.snapshot.is_set_up and report.snapshot.load is not None)
        )
        return Moment(
            wall=datetime.now(UTC).astimezone(zone),
            week=parse_hours(practice.hours),
            is_busy=is_busy,
            is_look_due=now_mono >= self._look_mono,
        )

    # -- steps ------------------------------------------------------------------------------------

    def _look(self, settings: Settings) -> None:
        assert self._source is not None
        with self._open(settings, settings.update.url or self._source.url) as (line, path):
            answer = line.send("GET", path, route="update")
        if answer.status != 200:
            raise UpdateError("update.not_found", status=answer.status)
        release = open_seal(answer.body, self._source.keys)
        self._looked_at = datetime.now(UTC)
        self._trouble = ""
        held = self._release()
        if held is None or held != release:
            self._drop_files()
            self._next_mono = 0.0
            write_atomic(self._paths.updates_dir / OFFER, answer.body)
            log.info("update.offered", version=release.version)

    def _fetch(self, settings: Settings, release: Release) -> None:
        """Whole and by its hash, or not at all."""
        folder = self._paths.updates_dir
        make_private_dir(folder)
        draft = folder / "download.part"
        try:
            with self._open(settings, release.url) as (line, path), draft.open("wb") as sink:
                line.download(path, sink, route="update_file", most_bytes=release.size)
            if draft.stat().st_size != release.size or _sha256(draft) != release.sha256:
                raise UpdateError("update.not_believed", why="hash")
            draft.replace(self._file(release))
        finally:
            draft.unlink(missing_ok=True)
        log.info("update.fetched", version=release.version, bytes=release.size)

    def _install(self, release: Release) -> None:
        if self._helper is None or not self._helper.is_there():
            raise UpdateError("update.no_helper")
        log.info("update.installing", version=release.version, from_version=__version__)
        self._helper.start()

    @contextlib.contextmanager
    def _open(self, settings: Settings, url: str):  # type: ignore[no-untyped-def]
        parts = urlsplit(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        base = f"{parts.scheme}://{parts.netloc}"
        line = self._line = open_transport(settings, self._clock, __version__, url=base)
        try:
            if self._stopping.is_set():
                raise UpdateError("update.stopped")
            yield line, path
        finally:
            self._line = None
            line.close()

    # -- what is known ----------------------------------------------------------------------------

    def known(self, settings: Settings) -> Known:
        release = self._release()
        return Known(
            policy=UpdatePolicy(settings.update.policy),
            version=__version__,
            release=release,
            outcome=read_outcome(self._outcome),
            can_install=self._helper is not None and self._helper.is_there(),
            is_fetched=release is not None and self._file(release).is_file(),
        )

    def findings(self) -> list[Finding]:
        """For window, status and doctor."""
        return findings(self.known(self._load()), datetime.now(UTC))

    def told(self) -> list[Finding]:
        """The same for who asks every second."""
        now = time.monotonic()
        if now >= self._told_mono + _TELL_S:
            self._told_mono = now
            with contextlib.suppress(AgentError):
                self._told = self.findings()
        return self._told

    def _release(self) -> Release | None:
        """As it was believed before; verified again, for the file may be another now."""
        if self._source is None:
            return None
        try:
            raw = (self._paths.updates_dir / OFFER).read_bytes()
            return open_seal(raw, self._source.keys)
        except (OSError, UpdateError):
            return None

    def _file(self, release: Release) -> Path:
        return self._paths.updates_dir / f"{release.sha256}.msi"

    def _drop_files(self) -> None:
        for stale in self._paths.updates_dir.glob("*.msi"):
            stale.unlink(missing_ok=True)

    # -- what people ask --------------------------------------------------------------------------

    def offers(self) -> list[Offer]:
        """For the control server."""
        return [
            Offer(GetUpdate, lambda _, __: self.view()),
            Offer(LookForUpdate, self._look_now),
            Offer(InstallUpdate, self._install_now),
        ]

    def view(self) -> UpdateView:
        known = self.known(self._load())
        told = findings(known, datetime.now(UTC))
        worst = max(told, key=lambda f: list(Severity).index(f.severity), default=None)
        code = worst.code if worst is not None else ""
        if not code:
            code = "update.no_source" if self._source is None else self._trouble
        return UpdateView(
            known.policy, known.version, known.release, self._looked_at, known.outcome,
            code, dict(worst.facts) if worst is not None else {},
        )  # fmt: skip

    def _look_now(self, _: LookForUpdate, __: Caller) -> UpdateView:
        if self._source is None:
            raise UpdateError("update.no_source")
        with self._lock:
            self._look(self._load())
        return self.view()

    def _install_now(self, _: InstallUpdate, __: Caller) -> Done:
        release = self._release()
        if release is None or not is_newer(release.version, __version__):
            raise UpdateError("update.none")
        if self._helper is None or not self._helper.is_there():
            raise UpdateError("update.no_helper")
        self._insisted = True
        self._wake.set()
        return Done("update.begun")


def helper_here() -> Helper | None:
    """This system's helper; None where there is no such thing."""
    if sys.platform == "win32":
        from agent.runtime.windows.helper import UpdateHelper

        return UpdateHelper()
    else:
        return None


def read_outcome(file: Path) -> Outcome | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Outcome)
    except (OSError, msgspec.DecodeError):
        return None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
