"""What every bench needs: a real server with a practice, the reference CRM, the real agent, meters.

The agent runs as ``bridgework run`` in its own home; it is watched from outside only (its process,
its status file, the server's statistics of its login, what arrived at the CRM and when). Nothing of
the engine is imported here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
import psutil

from agent.config import Paths
from agent.config.store import save_setting
from agent.sandbox.practice.create import MariaDbStore, PracticePlan, create_practice
from agent.sandbox.practice.desk import MariaDesk
from agent.sandbox.practice.schema import Engine
from tests.artefact import Figure, keep
from tests.bench.crm_process import TEST_TOKEN
from tests.bench.kept import Kept
from tests.support.mariadb import MariaDb
from tests.support.until import until

DATABASE = "opendental"
LOGIN = "bridgework"
PASSWORD = "bench-only"
ZONE = "America/New_York"
UNITS = {"ms": "ms", "s": "s", "mb": "MB", "pct": "%"}  # by how a figure's name ends
SLOW_S = 0.002  # the server logs every statement longer than this
_ENGINES = {"myisam": Engine.MYISAM, "innodb": Engine.INNODB}
_CONFIG = {
    "practice.zone": ZONE,
    "pms.kind": "opendental",
    "pms.host": "127.0.0.1",
    "pms.database": DATABASE,
    "pms.user": LOGIN,
}


def tell(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class ServerCost:
    """What one login cost the server in a while. Seconds, counts, milliseconds."""

    wall_s: float
    busy_s: float
    cpu_s: float
    statements: int
    longest_ms: float
    """0.0: none was longer than ``SLOW_S``."""
    longest_sql: str = ""

    def ms_per_look(self, every_s: float) -> float:
        return self.busy_s * 1000 / max(self.wall_s / every_s, 1)


@dataclass(frozen=True)
class AgentCost:
    """What the agent's process cost in a while. ``cpu`` is a share of one core."""

    wall_s: float
    cpu: float
    rss_mb: float


class Rig:
    """``with Rig(engine="myisam", plan=PracticePlan(...)) as rig`` stops all it started."""

    def __init__(
        self, *, engine: str, plan: PracticePlan, kept: Path | None = None,
        server_options: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._server_options = server_options
        self.engine = _ENGINES[engine]
        self.plan = plan
        self.kept = None if kept is None else Kept.take(kept / _name_of(engine, plan))
        self.folder = (
            Path(tempfile.mkdtemp(prefix="bw-bench-")) if self.kept is None else self.kept.folder
        )
        self.home = self.folder / "agent"
        self.crm_db = self.folder / "crm.db"
        self.slow_log = Path()
        self.secrets: dict[str, str] = {}  # further secret settings, by environment variable
        self.crm_nice = 0  # 19: it shall take nothing from what is measured here
        self.crm_seen_as = ""  # how the agent reaches the CRM, where something stands in between
        self._server: MariaDb | None = None
        self._crm: subprocess.Popen[str] | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    # --- life ------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self._start_server()
            self._start_crm()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(keep=kind is not None and issubclass(kind, Exception))  # Ctrl-C shows nothing

    def close(self, *, keep: bool = False) -> None:
        self.stop_agent()
        self._stop_crm()
        if self._server is not None:
            log = self._server.home / "error.log"
            if keep and log.exists():
                shutil.copy(log, self.folder / "server.log")
            self._server.__exit__()
            self._server = None
        if self.kept is not None and self.kept.made:
            self.kept.keep()  # also when a measurement failed: all has stopped in order
        elif keep:
            tell(f"left for a look: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start_server(self) -> None:
        options = ("--userstat=1", f"--long-query-time={SLOW_S}", "--slow-query-log=1",
                   "--slow-query-log-file=slow.log", "--log-output=FILE",
                   *self._server_options)  # fmt: skip
        server = MariaDb(
            engine=self.engine, options=options,
            home=self.kept and self.kept.folder / "server", port=self.kept and self.kept.port,
        )  # fmt: skip
        self._server = server.__enter__()
        self.slow_log = server.home / "data" / "slow.log"
        if self.kept is not None and self.kept.made:
            self.counts = self.kept.counts
            return
        store = MariaDbStore(
            host="127.0.0.1", port=server.port, user="root", password="", database=DATABASE,
            engine=self.engine,
        )  # fmt: skip
        made = create_practice(store, self.plan)
        store.close()
        self.counts = made.counts
        tell(f"practice: {made.rows:,} rows in {made.took_s:.0f} s ({self.engine})")
        with closing(server.connect()) as root, root.cursor() as cursor:
            cursor.execute(f"CREATE USER '{LOGIN}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
            cursor.execute(f"GRANT SELECT ON {DATABASE}.* TO '{LOGIN}'@'127.0.0.1'")
        if self.kept is not None:
            self.kept.made, self.kept.counts = True, dict(made.counts)

    def _start_crm(self, port: int = 0) -> None:
        with (self.folder / "crm.log").open("wb") as log:
            self._crm = subprocess.Popen(
                ["nice", "-n", str(self.crm_nice),
                 sys.executable, "-m", "tests.bench.crm_process", str(self.crm_db),
                 str(self.kept.crm_port if self.kept else port), self.crm_seen_as],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self._crm.stdout is not None
        line = self._crm.stdout.readline()
        if not line:
            raise RuntimeError((self.folder / "crm.log").read_text(errors="replace")[-2000:])
        self._hello = json.loads(line)

    def crm_down(self) -> None:
        self._stop_crm()

    def crm_up(self) -> None:
        """Where it was before."""
        self._start_crm(int(self.crm_url.rpartition(":")[2]))

    def _stop_crm(self) -> None:
        if self._crm is None:
            return
        self._crm.terminate()
        try:
            self._crm.wait(10)
        except subprocess.TimeoutExpired:
            self._crm.kill()
            self._crm.wait()
        if self._crm.stdout is not None:
            self._crm.stdout.close()
        self._crm = None

    @property
    def crm_url(self) -> str:
        return str(self._hello["url"])

    @property
    def server(self) -> MariaDb:
        assert self._server is not None
        return self._server

    def crm_faults(self, *faults: dict[str, Any]) -> None:
        """Arm these at the CRM (and no others)."""
        httpx.post(
            f"{self.crm_url}/testing/faults", json=list(faults), trust_env=False,
            headers={"X-Test-Token": TEST_TOKEN},
        ).raise_for_status()  # fmt: skip

    def crm_process(self) -> psutil.Process:
        assert self._crm is not None
        return psutil.Process(self._crm.pid)

    def server_process(self) -> psutil.Process:
        """The process of the database server itself."""
        return psutil.Process(int((self.server.home / "pid").read_text()))

    # --- the agent -------------------------------------------------------------------------------

    def bridgework(self, *words: str, timeout_s: float = 600.0) -> str:
        """Run a command of the agent in its home; its standard output. Raises on failure."""
        done = subprocess.run(
            self._command(*words), capture_output=True, text=True, timeout=timeout_s,
            env=self._environment(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "agent", "--home", str(self.home), *words]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.secrets,
            "BRIDGEWORK_PMS_PASSWORD": PASSWORD,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "NO_PROXY": "127.0.0.1",
        }

    def set_up(self, settings: Mapping[str, str] | None = None) -> None:
        """Configure and pair a fresh agent."""
        wanted = {**_CONFIG, "pms.port": str(self.server.port), **(settings or {})}
        self.configure(wanted)
        self.pair()

    def pair(self) -> None:
        self.bridgework("pair", self._hello["code"], "--url", self.crm_seen_as or self.crm_url)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Change settings; they hold from the agent's next start."""
        paths = Paths.locate(self.home)
        paths.prepare()
        for name, value in settings.items():
            save_setting(paths.config_file, name, value)

    def start_agent(self, settings: Mapping[str, str] | None = None) -> psutil.Process:
        """``settings`` hold for this run only."""
        flags = [word for n, v in (settings or {}).items() for word in ("--set", f"{n}={v}")]
        self._log = (self.folder / "agent.log").open("ab")
        self._agent = subprocess.Popen(
            self._command(*flags, "run", "--quiet"), stdout=self._log, stderr=self._log,
            env=self._environment(),
        )  # fmt: skip
        return self.agent

    @property
    def agent(self) -> psutil.Process:
        assert self._agent is not None
        return psutil.Process(self._agent.pid)

    def stop_agent(self) -> float:
        """Seconds it took."""
        if self._agent is None:
            return 0.0
        began = time.monotonic()
        if self._agent.poll() is None:
            self._agent.send_signal(signal.SIGTERM)
            try:
                self._agent.wait(15)
            except subprocess.TimeoutExpired:
                tell("the agent did not stop by itself")
                self._agent.kill()
                self._agent.wait()
        self._agent = None
        if self._log is not None:
            self._log.close()
            self._log = None
        return time.monotonic() - began

    def status(self) -> dict[str, Any] | None:
        """The report ``bridgework status --json`` shows; None before the first."""
        try:
            report: dict[str, Any] = json.loads((self.home / "status.json").read_bytes())
        except (OSError, ValueError):
            return None
        return report

    def wait_for(self, *states: str, timeout_s: float, quiet: bool = False) -> float:
        """Until the agent says one of these states; seconds waited."""
        began = told = time.monotonic()

        def is_so() -> bool:
            nonlocal told
            if self._agent is None or self._agent.poll() is not None:
                text = (self.folder / "agent.log").read_text(errors="replace")
                raise RuntimeError(f"the agent ended: {text[-3000:]}")
            report = self.status()
            if not quiet and time.monotonic() - told > 15:
                told = time.monotonic()
                tell(self._in_short(report))
            return report is not None and report["state"] in states

        until(is_so, timeout_s, every_s=0.1, said=lambda: self._in_short(self.status()))
        return time.monotonic() - began

    def load(self) -> None:
        """An agent, not running, that has loaded everything; a kept one has done so before."""
        if self.kept is not None and self.kept.loaded:
            return
        self.fresh({"sync.load_duty": "1"})
        self.start_agent()
        tell(f"loaded after {self.wait_loaded(3600):.0f} s, agent {self.rss_mb():.0f} MB")
        self.wait_for("up_to_date", timeout_s=600)
        self.stop_agent()
        if self.kept is not None:
            self.kept.loaded = True

    def wait_loaded(self, timeout_s: float) -> float:
        return self.wait_for("up_to_date", "behind", "needs_review", timeout_s=timeout_s)

    @staticmethod
    def _in_short(report: dict[str, Any] | None) -> str:
        if report is None:
            return "no status yet"
        s = report["snapshot"]
        return f"{report['state']} load={s['load']} pms={s['pms_error']} crm={s['crm_error']}"

    def fresh(self, settings: Mapping[str, str] | None = None) -> None:
        """An agent that knows nothing and a CRM that holds nothing, paired, not running."""
        self.stop_agent()
        self._stop_crm()
        if self.kept is not None:
            self.kept.loaded = False
        shutil.rmtree(self.home, ignore_errors=True)
        for path in self.folder.glob("crm.db*"):
            path.unlink()
        self._start_crm()
        self.set_up(settings)

    # --- meters ----------------------------------------------------------------------------------

    def desk(self) -> MariaDesk:
        return MariaDesk.connect(
            host="127.0.0.1", port=self.server.port, user="root", password="", database=DATABASE,
            zone=ZONE,
        )  # fmt: skip

    def row_count(self, table: str) -> int:
        with closing(self.server.connect(DATABASE)) as root, root.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM `{table}`")
            return int((cursor.fetchone() or (0,))[0])

    def multiply_patients(self, wanted: int) -> None:
        """Copies of the patients under new keys, until there are so many; families stay as is."""
        with closing(self.server.connect(DATABASE)) as root, root.cursor() as cursor:
            cursor.execute(
                "SELECT COLUMN_NAME FROM information_schema.columns WHERE TABLE_SCHEMA=DATABASE() "
                "AND TABLE_NAME='patient' AND COLUMN_NAME<>'PatNum' ORDER BY ORDINAL_POSITION"
            )
            names = ",".join(f"`{name}`" for (name,) in cursor.fetchall())
            cursor.execute("SELECT COUNT(*) FROM patient")
            (count,) = cursor.fetchone() or (0,)
            while count < wanted:
                cursor.execute(
                    f"INSERT INTO patient ({names}) SELECT {names} FROM patient "
                    f"LIMIT {wanted - count}"
                )
                cursor.execute("SELECT COUNT(*) FROM patient")
                (count,) = cursor.fetchone() or (0,)

    @contextmanager
    def watching(self, login: str = LOGIN) -> Iterator[list[ServerCost]]:
        """Measures what ``login`` costs the server; the list holds one cost afterwards."""
        found: list[ServerCost] = []
        before, offset = self._user_statistics(login), self._slow_size()
        began = time.monotonic()
        yield found
        wall_s = time.monotonic() - began
        after = self._user_statistics(login)
        busy_s, cpu_s, statements = (b - a for a, b in zip(before, after, strict=True))
        longest_ms, sql = self.longest(login, offset)
        found.append(ServerCost(wall_s, busy_s, cpu_s, int(statements), longest_ms, sql))

    def _user_statistics(self, login: str) -> tuple[float, float, float]:
        with closing(self.server.connect()) as root, root.cursor() as cursor:
            cursor.execute(
                "SELECT BUSY_TIME, CPU_TIME, SELECT_COMMANDS+UPDATE_COMMANDS+OTHER_COMMANDS "
                "FROM information_schema.USER_STATISTICS WHERE USER=%s",
                (login,),
            )
            row = cursor.fetchone() or (0, 0, 0)
        return float(row[0]), float(row[1]), float(row[2])

    def _slow_size(self) -> int:
        return self.slow_log.stat().st_size if self.slow_log.exists() else 0

    def longest_ms(self, login: str = LOGIN, offset: int = 0) -> float:
        return self.longest(login, offset)[0]

    def longest(self, login: str = LOGIN, offset: int = 0) -> tuple[float, str]:
        """Longest statement of a login since ``offset`` of the server's slow log: ms and text."""
        longest, text, took_ms, ours = 0.0, "", 0.0, False
        if not self.slow_log.exists():
            return 0.0, ""
        with self.slow_log.open(encoding="utf-8", errors="replace") as log:
            log.seek(offset)
            for line in log:
                if line.startswith("# User@Host: "):
                    ours = line.startswith(f"# User@Host: {login}[")
                elif took := re.match(r"# Query_time: ([0-9.]+)", line):
                    took_ms = float(took[1]) * 1000
                elif ours and took_ms > longest and not line.startswith(("#", "SET time", "use ")):
                    longest, text = took_ms, _in_brief(line)
        return longest, text

    def agent_cost(self, for_s: float) -> AgentCost:
        """Watches the agent's process, children included, for a while."""
        with self.agent_meter() as found:
            time.sleep(for_s)
        return found[0]

    @contextmanager
    def agent_meter(self) -> Iterator[list[AgentCost]]:
        found: list[AgentCost] = []
        began, before = time.monotonic(), self._agent_cpu_s()
        yield found
        wall_s = time.monotonic() - began
        found.append(AgentCost(wall_s, (self._agent_cpu_s() - before) / wall_s, self.rss_mb()))

    def _family(self) -> list[psutil.Process]:
        return [self.agent, *self.agent.children(recursive=True)]

    def _agent_cpu_s(self) -> float:
        return sum(map(cpu_s, self._family()))

    def rss_mb(self) -> float:
        return sum(p.memory_info().rss for p in self._family()) / 1e6

    def c_client_s(self, sql: str, rounds: int = 3) -> float:
        """Best time of the C client reading the rows of ``sql`` and throwing them away."""
        best = math.inf
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(
                ["mariadb", "--no-defaults", "--quick", "--batch", "--skip-column-names",
                 "--default-character-set=utf8mb4", "-h127.0.0.1", f"-P{self.server.port}",
                 "-uroot", DATABASE, "-e", sql],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            best = min(best, time.perf_counter() - began)
        return best

    # --- the CRM's side --------------------------------------------------------------------------

    @contextmanager
    def crm(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self.crm_db.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            yield connection

    def crm_count(self, stream: str) -> int:
        with self.crm() as crm:
            sql = "SELECT count(*) FROM records WHERE type=? AND state='live'"
            return int(crm.execute(sql, (stream,)).fetchone()[0])

    def arrival_rate(self, stream: str) -> tuple[int, float]:
        """Records of a stream at the CRM, and rows/s while the middle four fifths arrived."""
        with self.crm() as crm:
            (count,) = crm.execute(
                "SELECT count(*) FROM records WHERE type=? AND state='live'", (stream,)
            ).fetchone()
            tenth = count // 10
            moments = [
                crm.execute(
                    "SELECT arrived_us FROM records WHERE type=? AND state='live' "
                    "ORDER BY arrived_us LIMIT 1 OFFSET ?",
                    (stream, at),
                ).fetchone()[0]
                for at in (tenth, count - 1 - tenth)
            ]
        took_s = (moments[1] - moments[0]) / 1e6
        return int(count), (count - 2 * tenth) / took_s if took_s else math.inf


# --- showing -------------------------------------------------------------------------------------


def cpu_s(process: psutil.Process) -> float:
    """Seconds a process has worked so far."""
    return float(sum(process.cpu_times()[:2]))


def _name_of(engine: str, plan: PracticePlan) -> str:
    return f"{engine}-{plan.patients}-{plan.bulk_appointments}-{plan.bulk_procedures}"


def _in_brief(sql: str) -> str:
    """Where a statement reads and how it chooses, without its list of columns."""
    found = re.search(r"FROM `.*", sql.replace("\n", " "))
    return f"{sql[:40].strip()} ... {(found[0] if found else '')[:200]}"


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; nan of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(math.ceil(share * len(ordered)), len(ordered)) - 1]


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A small table on standard output."""
    cells = [[_cell(value) for value in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        first, *rest = (text for text in row)
        tail = "  ".join(f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
        print(f"  {first:<{widths[0]}}  {tail}".rstrip())
        if number == 0:
            print("  " + "-" * (sum(widths) + 2 * (len(widths) - 1)))
    sys.stdout.flush()


def _cell(value: object) -> str:
    match value:
        case float():
            if math.isnan(value):
                return "-"
            return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def options(doc: str, *, rows: int, quick_rows: int) -> argparse.ArgumentParser:
    """The arguments every bench takes; ``read_rows`` turns them into a number of rows."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, help=f"appointments (full {rows:,})")
    parser.add_argument("--engine", choices=sorted(_ENGINES), help="default: myisam")
    parser.add_argument("--quick", action="store_true", help=f"{quick_rows:,} rows, short windows")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    kept = os.environ.get("BRIDGEWORK_BENCH_KEPT")
    parser.add_argument("--kept", type=Path, metavar="FOLDER", default=kept and Path(kept),
                        help="keep the practice here, and use what is kept")  # fmt: skip
    parser.add_argument("--prepare", action="store_true", help="make and load it, measure nothing")
    can_keep(parser)
    parser.set_defaults(full_rows=rows, quick_rows=quick_rows)
    return parser


def rows_of(asked: argparse.Namespace) -> int:
    return int(asked.rows or (asked.quick_rows if asked.quick else asked.full_rows))


def can_keep(parser: argparse.ArgumentParser) -> None:
    what = f"write tests/artefacts/{_lane()}.json, for RELIABILITY.md"
    parser.add_argument("--keep", action="store_true", help=what)


def _lane() -> str:
    return Path(sys.argv[0]).stem.replace("_", "-")


def emit(report: Mapping[str, Any], asked: argparse.Namespace) -> None:
    """Show the report as JSON, keep its numbers, or neither, as asked."""
    if asked.json:
        print(json.dumps(report, indent=1))
    if asked.keep:
        command = f"python -m tests.bench.{Path(sys.argv[0]).stem} {_said(sys.argv[1:])}".strip()
        seconds = time.time() - psutil.Process().create_time()
        keep(_lane(), command=command, seconds=seconds, figures=dict(figures_of(report)))


def _said(words: Sequence[str]) -> str:
    """The arguments that matter to who runs it again; no folder of this computer."""
    told = re.sub(r"--(kept|venvs)[= ]\S+", "", " ".join(words))
    shown = ("--keep", "--json", "--markdown")
    return " ".join(word for word in told.split() if word not in shown)


def figures_of(
    report: Mapping[str, Any], within: tuple[str, ...] = ()
) -> Iterator[tuple[str, Figure]]:
    """Every number, named by the way to it; lists and words are left out."""
    for name, value in report.items():
        way = (*within, str(name))
        if isinstance(value, Mapping):
            yield from figures_of(value, way)
        elif isinstance(value, int | float) and not math.isnan(value):
            units = (unit for part in way for end, unit in UNITS.items()
                     if name != "n" and (part == end or part.endswith(f"_{end}")))  # fmt: skip
            yield " ".join(way), Figure(round(value, 3), next(units, ""))
