"""Two practices to be killed in: Open Dental on MariaDB, Eaglesoft's layout on PostgreSQL.

Both are the rigs of the end-to-end tests with every line of the agent through a proxy, a clock and
a disk of its own (``machine``), and a witness: a trigger of the practice's own database writes down
who put what into a patient's second address line, in which order. Neither the agent nor its journal
is asked.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from agent.config import Paths
from agent.sandbox.compare import Report, compare
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.front import DeedKind
from agent.sandbox.practice.life import Life
from agent.sandbox.practice.vendors.life import MIX
from tests.bench.rig import DATABASE, LOGIN, ZONE, Rig
from tests.e2e.crm_side import KINDS, Asked
from tests.e2e.person import Person
from tests.e2e.two_sided import IMPATIENT, TwoSided, small_practice
from tests.e2e.vendor_rig import VendorRig
from tests.kill.machine import Clock, Disk
from tests.support.proxy import Proxy

API_USER = "odapi"
SWEPT_S = {f"sync.sweep_{tier}_s": "8" for tier in ("hot", "warm", "cold")}
DISK_MB = 400


class Write(NamedTuple):
    """One change of a patient's second address line, as the practice's database saw it."""

    key: str
    old: str
    new: str
    is_ours: bool
    at: float = 0.0  # seconds, by the server's clock


class Troubled(Rig):
    """What both have in common. The server's own doings are each rig's."""

    engine_name: str
    kinds: tuple[str, ...] = KINDS  # what the CRM's people may ask for here
    moment_s = 0.0  # see ``witness.judge``
    yesterday: Path
    clock: Clock
    disk: Disk
    lines: dict[str, Proxy]

    def __enter__(self) -> Self:
        self.yesterday = self.folder / "yesterday"
        self.yesterday.mkdir()
        self.clock = Clock(self.folder)
        self.disk = Disk(self.home, DISK_MB)
        self.lines = {name: Proxy().__enter__() for name in ("crm", "pms")}
        self.crm_seen_as = f"http://127.0.0.1:{self.lines['crm'].port}"
        super().__enter__()
        self.lines["crm"].target = int(self.crm_url.rpartition(":")[2])
        return self

    def close(self, *, keep: bool = False) -> None:
        self.stop_agent()
        if keep:
            shutil.copytree(self.home, self.folder / "agent-as-it-was", dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("*.sock", "filler"))  # fmt: skip
        self.disk.close()
        super().close(keep=keep)
        for line in self.lines.values():
            line.__exit__()

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self.clock.environment}

    # --- what each practice does its own way -----------------------------------------------------

    def begin(self) -> None:
        """Configured, paired, not running."""
        raise NotImplementedError

    def person(self) -> Person:
        raise NotImplementedError

    if TYPE_CHECKING:  # the rigs beside this one in the order of bases bring these

        def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]: ...
        def staff(self, seed: int) -> AbstractContextManager[Life]: ...

    def witnessed(self) -> list[Write]:
        """In the order they happened."""
        raise NotImplementedError

    def address(self, key: str) -> str | None:
        """The second line as it stands; None without such a patient."""
        raise NotImplementedError

    def readdress(self, key: str, value: str) -> None:
        """Somebody in the practice types another second line."""
        raise NotImplementedError

    def verdict(self) -> Report:
        raise NotImplementedError

    def kill_server(self) -> None:
        raise NotImplementedError

    def stop_server(self) -> None:
        raise NotImplementedError

    def start_server(self) -> None:
        raise NotImplementedError

    @property
    def server_data(self) -> Path:
        raise NotImplementedError

    # --- dying and coming back -------------------------------------------------------------------

    def is_running(self) -> bool:
        return self._agent is not None and self._agent.poll() is None

    def is_at_work(self) -> bool:
        """It has said something since it was started: its lanes run."""
        report = self.status()
        return self._agent is not None and report is not None and report["pid"] == self._agent.pid

    def wait_at_work(self, most_s: float) -> float:
        """Until it is, or has ended, or ``most_s`` are over; seconds since its start."""
        began = self.agent.create_time()
        deadline = time.monotonic() + most_s
        while not self.is_at_work() and self.is_running() and time.monotonic() < deadline:
            time.sleep(0.02)
        return time.time() - began

    def wait_says(self, states: Collection[str], most_s: float) -> None:
        """Until its status is one of these, or ``most_s`` are over: it may be wrong."""
        deadline = time.monotonic() + most_s
        while time.monotonic() < deadline:
            report = self.status()
            if report is not None and report["state"] in states:
                return
            time.sleep(0.1)

    def kill_agent(self) -> int | None:
        """SIGKILL; the exit code it had before by itself, else None."""
        assert self._agent is not None
        ended = self._agent.poll()
        if ended is None:
            self._agent.send_signal(signal.SIGKILL)
            self._agent.wait()
        self.stop_agent()
        return ended

    def kill_crm(self) -> None:
        assert self._crm is not None
        self._crm.kill()
        self._crm.wait()
        self._stop_crm()

    # --- yesterday's copies ----------------------------------------------------------------------

    def copy_journal(self) -> None:
        """As it lies there; the agent is not running."""
        for path in self._journal():
            shutil.copy(path, self.yesterday / path.name)

    def restore_journal(self) -> None:
        """The file of yesterday; what lies beside it (the anchor) stays today's."""
        for path in self._journal():
            path.unlink()
        for path in self.yesterday.glob("journal.db*"):
            shutil.copy(path, Paths.locate(self.home).journal_dir / path.name)

    def _journal(self) -> list[Path]:
        file = Paths.locate(self.home).journal_file()
        names = (file.name, f"{file.name}-wal", f"{file.name}-shm")
        return [path for name in names if (path := file.with_name(name)).exists()]

    def copy_crm(self) -> None:
        self.crm_down()
        for path in self.folder.glob("crm.db*"):
            shutil.copy(path, self.yesterday / path.name)
        self.crm_up()

    def restore_crm(self) -> None:
        self.crm_down()
        for path in self.folder.glob("crm.db*"):
            path.unlink()
        for path in self.yesterday.glob("crm.db*"):
            shutil.copy(path, self.folder / path.name)
        self.crm_up()

    def copy_practice(self) -> None:
        """As offices do it: the server stopped, its folder copied."""
        self.stop_server()
        _copy(self.server_data, self.yesterday / "data")
        self.start_server()

    def restore_practice(self) -> None:
        self.stop_server()
        _copy(self.yesterday / "data", self.server_data)
        self.start_server()


def _copy(source: Path, target: Path) -> None:
    """With owners and rights: the server runs as somebody else."""
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


class WitnessPerson(Person):
    """Knows of an edit by the value it wished: another edit of the same patient says nothing."""

    def __init__(self, rig: Troubled) -> None:
        super().__init__(rig.rows, rig.bridgework, ZONE)
        self._rig = rig

    def _made(self, one: Asked, effect: dict[str, Any]) -> int | None:
        if effect["stream"] != "patient":
            return super()._made(one, effect)
        key = str(effect["key"])
        stood = {w.new for w in self._rig.witnessed() if w.is_ours and w.key == key}
        return int(key) if one.value in {*stood, self._rig.address(key)} else None


class OpenDental(Troubled, TwoSided):
    """``engine``: myisam or innodb."""

    api_user = API_USER
    moment_s = 1.0  # its line may be slow

    def __init__(self, engine: str, patients: int, seed: int) -> None:
        super().__init__(engine=engine, plan=small_practice(patients, seed))
        self.engine_name = engine

    def __enter__(self) -> Self:
        super().__enter__()
        self.lines["pms"].target = self.server.port
        self.lines["api"] = Proxy(self.api.port).__enter__()
        return self

    def _start_server(self) -> None:
        super()._start_server()
        with closing(self.server.connect()) as root, root.cursor() as cursor:
            for statement in (
                "CREATE DATABASE witness",
                f"CREATE TABLE witness.address (n INT AUTO_INCREMENT PRIMARY KEY, k BIGINT,"
                f" old VARCHAR(255), new VARCHAR(255), who VARCHAR(80), at DOUBLE)"
                f" ENGINE={self.engine}",
                f"CREATE USER '{API_USER}'@'127.0.0.1' IDENTIFIED BY ''",
                f"GRANT ALL ON *.* TO '{API_USER}'@'127.0.0.1'",
                f"CREATE TRIGGER {DATABASE}.saw AFTER UPDATE ON {DATABASE}.patient FOR EACH ROW"
                " IF NOT (OLD.Address2 <=> NEW.Address2) THEN INSERT INTO witness.address"
                " (k, old, new, who, at) VALUES (NEW.PatNum, OLD.Address2, NEW.Address2, USER(),"
                " UNIX_TIMESTAMP(SYSDATE(6))); END IF",
            ):
                cursor.execute(statement)

    def _command(self, *words: str) -> list[str]:
        """Waits for a lost answer as long as this API may take, not longer."""
        command = super()._command(*words)
        place = command.index("agent")
        ours = ["tests.kill.agent_process", str(self.api.limit_s)]
        return [*command[:place], *ours, *command[place + 1 :]]

    def begin(self) -> None:
        api = self.api.url.replace(str(self.api.port), str(self.lines["api"].port))
        port = str(self.lines["pms"].port)
        self.set_up({**IMPATIENT, **SWEPT_S, "pms.port": port, "pms.api_url": api})

    def person(self) -> Person:
        return WitnessPerson(self)

    def witnessed(self) -> list[Write]:
        found = self.rows("SELECT k, old, new, who, at FROM witness.address ORDER BY n")
        return [
            Write(str(k), o or "", n or "", who.startswith(API_USER), at)
            for k, o, n, who, at in found
        ]

    def address(self, key: str) -> str | None:
        found = self.rows("SELECT Address2 FROM patient WHERE PatNum=%s", key)
        return (found[0][0] or "") if found else None

    def readdress(self, key: str, value: str) -> None:
        self.rows("UPDATE patient SET Address2=%s WHERE PatNum=%s", value, key)

    def verdict(self) -> Report:
        with closing(self.server.connect(DATABASE)) as practice:
            return compare(practice, self.crm_db, zone=ZONE)

    def kill_server(self) -> None:
        self.server.kill()

    def stop_server(self) -> None:
        self.server.stop()

    def start_server(self) -> None:
        self.server.start()

    @property
    def server_data(self) -> Path:
        return self.server.home / "data"


# Kinds without a trace would only make the sweep the slowest of all, as in two_sided.
TRACED = {kind: weight for kind, weight in MIX.items()
          if kind not in (DeedKind.SILENT_EDIT, DeedKind.HARD_DELETE)}  # fmt: skip


class EaglesoftPerson(WitnessPerson):
    """Looks at the visit itself: no trail says who confirmed it."""

    def _made(self, one: Asked, effect: dict[str, Any]) -> int | None:
        if effect["stream"] == "patient":
            return super()._made(one, effect)
        key = int(effect["key"])
        sql = "SELECT date_confirmed FROM {o}appointment WHERE appointment_id=?"
        found = self._rig.rows(sql, key)
        return key if found and found[0][0] else None


class Eaglesoft(Troubled, VendorRig):
    """On PostgreSQL through psqlodbc; the CRM may confirm visits and edit addresses."""

    engine_name = "postgres"
    kinds = ("confirm", "edit")

    def __init__(self, patients: int, seed: int) -> None:
        super().__init__(
            "eaglesoft", plan=PracticePlan(patients=patients, years=1, seed=seed, zone=ZONE)
        )
        self.secrets["BRIDGEWORK_PMS_SIGNATURE"] = "Company=Test;Application=Test;Signature=none"
        self.grants = (
            f"GRANT UPDATE ON {{o}}appointment TO {LOGIN}",
            f"GRANT UPDATE ON {{o}}patient TO {LOGIN}",
            "CREATE TABLE public.witness (n SERIAL PRIMARY KEY, k TEXT, old TEXT, new TEXT,"
            " who TEXT)",
            # It writes with the rights of who made it; session_user is still who came.
            "CREATE FUNCTION public.saw() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO public.witness (k, old, new, who) VALUES"
            " (NEW.patient_id, OLD.address_2, NEW.address_2, session_user);"
            " RETURN NULL; END $$",
            "CREATE TRIGGER saw AFTER UPDATE ON {o}patient FOR EACH ROW"
            " WHEN (OLD.address_2 IS DISTINCT FROM NEW.address_2)"
            " EXECUTE FUNCTION public.saw()",
        )

    def begin(self) -> None:
        self.lines["pms"].target = self.postgres.port
        vendor = {name: value for name, value in IMPATIENT.items() if name != "pms.writer"}
        self.set_up({**vendor, **SWEPT_S})

    def connection(self, user: str = LOGIN, password: str | None = None) -> str:
        own = super().connection(user) if password is None else super().connection(user, password)
        if user != LOGIN:
            return own
        return own.replace(f"PORT={self.postgres.port}", f"PORT={self.lines['pms'].port}")

    def person(self) -> Person:
        return EaglesoftPerson(self)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(self.db()) as db:
            return db.rows(sql, *values)

    @contextmanager
    def staff(self, seed: int) -> Iterator[Life]:
        with closing(self.db()) as db:
            yield self.life(db, seed, mix=TRACED)

    def witnessed(self) -> list[Write]:
        found = self.rows("SELECT k, old, new, who FROM public.witness ORDER BY n")
        return [Write(k, o or "", n or "", who == LOGIN) for k, o, n, who in found]

    def address(self, key: str) -> str | None:
        found = self.rows("SELECT address_2 FROM {o}patient WHERE patient_id=?", key)
        return (found[0][0] or "") if found else None

    def readdress(self, key: str, value: str) -> None:
        with closing(self.db()) as db:
            db.run("UPDATE {o}patient SET address_2=? WHERE patient_id=?", value, key)

    def verdict(self) -> Report:
        return self.compare()

    def kill_server(self) -> None:
        self.postgres.kill()

    def stop_server(self) -> None:
        self.postgres.stop()

    def start_server(self) -> None:
        self.postgres.start()

    @property
    def server_data(self) -> Path:
        return self.postgres.home / "data"


def make(engine: str, *, patients: int, seed: int) -> Troubled:
    return Eaglesoft(patients, seed) if engine == "postgres" else OpenDental(engine, patients, seed)


ENGINES = ("myisam", "innodb", "postgres")
