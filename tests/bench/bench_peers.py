"""Ours beside what others would use: the same table of the same server, in one run.

``python -m tests.bench.bench_peers [--rows N] [--peers a,b] [--venvs DIR] [--markdown]``

Each peer gets an environment of its own (made here, thrown away unless ``--venvs`` names a folder)
and a login of its own, so that the server's statistics tell them apart. Measured: the first load of
``appointment`` (whole process, start to end), the next run after 100 edits, CPU and peak memory of
its processes, CPU of the server, its longest statement. For what runs on (ours, the binlog tail):
statement to destination of single edits instead of the next run. The peers write files or SQLite on
the same disk; ours normalises, journals and is acknowledged over HTTP by the reference CRM. Ours
reads the columns of its map (and every other stream as well), the peers all columns of the table.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from agent.sandbox.practice.create import PracticePlan
from tests.bench.edits import Editor
from tests.bench.rig import (
    DATABASE,
    LOGIN,
    ZONE,
    Rig,
    cpu_s,
    emit,
    options,
    percentile,
    rows_of,
    show,
    tell,
)

HERE = Path(__file__).resolve().parent / "peers"
TABLE = "appointment"
PEER, SECRET = "peer", "peer-only"
EDITS, SINGLE_EDITS = 100, 40
SAMPLE_S = 0.05
PATIENCE_S = 420.0
BINLOG = ("--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-image=FULL", "--server-id=7")


@dataclass
class Found:
    """nan: not measured, or not a thing this peer does. Seconds, rows a second, MB, ms."""

    name: str
    versions: str = ""
    rows_s: float = math.nan
    load_s: float = math.nan
    cpu_s: float = math.nan
    peak_mb: float = math.nan
    server_cpu_s: float = math.nan
    longest_ms: float = math.nan
    next_run_s: float = math.nan
    latency_ms: list[float] = field(default_factory=list)
    trouble: str = ""


@dataclass
class Meter:
    """CPU and peak memory of a process and all below it, sampled."""

    cpu_s: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def metering(root: psutil.Process) -> Iterator[Meter]:
    meter, done, seen = Meter(), threading.Event(), {}

    def sample() -> None:
        while not done.wait(SAMPLE_S):
            rss = 0
            for process in _family(root):
                try:
                    seen[process.pid] = cpu_s(process)
                    rss += process.memory_info().rss
                except psutil.Error:
                    continue
            meter.peak_mb = max(meter.peak_mb, rss / 1e6)

    before = {process.pid: cpu_s(process) for process in _family(root)}
    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        done.set()
        thread.join()
        meter.cpu_s = sum(value - before.get(pid, 0.0) for pid, value in seen.items())


def _family(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


# -- peers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """``command``: what one run is, given (bench, folder of its own)."""

    name: str
    packages: dict[str, tuple[str, ...]]
    """Environment -> what pip installs into it."""
    command: Callable[[Bench, Path], list[str]]


class Bench:
    def __init__(self, rig: Rig, venvs: Path) -> None:
        self.rig, self.venvs = rig, venvs
        self.url = f"mysql+pymysql://{PEER}:{SECRET}@127.0.0.1:{rig.server.port}/{DATABASE}"

    def python(self, env: str) -> Path:
        return self.venvs / env / "bin" / "python"

    def made(self, env: str, packages: Sequence[str]) -> str:
        """The environment, made if it is not there; what is in it of what was asked for."""
        if not self.python(env).exists():
            tell(f"making the environment {env}")
            subprocess.run([sys.executable, "-m", "venv", self.venvs / env], check=True)
            subprocess.run(
                [self.python(env), "-m", "pip", "install", "-q", "--disable-pip-version-check",
                 *packages],
                check=True,
            )  # fmt: skip
        return " ".join(packages[:1])

    def edit(self, count: int) -> None:
        """As many visits edited, the newest ones."""
        with Editor(self.rig, seed=7) as editor:
            for key in editor.newest(count):
                editor.edit(key, f"edit {time.time():.3f}")


def _dlt(backend: str) -> Peer:
    def command(bench: Bench, folder: Path) -> list[str]:
        script = str(HERE / "dlt_load.py")
        return [str(bench.python("dlt")), script, bench.url, TABLE, backend, str(folder)]

    packages = ("dlt==1.31.0", "sqlalchemy", "pymysql", "pyarrow", "pandas", "connectorx")
    return Peer(f"dlt, {backend} -> files", {"dlt": packages}, command)


def _ingestr(bench: Bench, folder: Path) -> list[str]:
    return [
        str(bench.venvs / "ingestr" / "bin" / "ingestr"), "ingest", "--yes",
        "--source-uri", bench.url, "--source-table", f"{DATABASE}.{TABLE}",
        "--dest-uri", f"sqlite:///{folder}/peer.db", "--dest-table", f"main.{TABLE}",
        "--incremental-strategy", "merge", "--incremental-key", "DateTStamp",
        "--primary-key", "AptNum", "--schema-naming", "direct", "--progress", "log",
    ]  # fmt: skip


def _sling(bench: Bench, folder: Path) -> list[str]:
    (binary,) = (bench.venvs / "sling").glob("lib/*/site-packages/sling_linux_amd64/bin/sling-*")
    binary.chmod(0o755)
    return [
        str(binary), "run",
        "--src-conn", bench.url.replace("mysql+pymysql", "mysql"),
        "--src-stream", f"{DATABASE}.{TABLE}", "--tgt-conn", f"sqlite://{folder}/peer.db",
        "--tgt-object", f"main.{TABLE}", "--mode", "incremental",
        "--primary-key", "AptNum", "--update-key", "DateTStamp",
    ]  # fmt: skip


def _singer(bench: Bench, folder: Path) -> list[str]:
    config = {"host": "127.0.0.1", "port": str(bench.rig.server.port), "user": PEER,
              "password": SECRET, "filter_dbs": DATABASE}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "target.json").write_text(json.dumps({"destination_path": "out"}))
    tap = bench.venvs / "singer-tap" / "bin" / "tap-mysql"
    target = bench.venvs / "singer-target" / "bin" / "target-jsonl"
    return ["sh", str(HERE / "singer.sh"), str(tap), str(target), str(folder)]


BINLOG_PACKAGES = ("mysql-replication==1.0.17",)
#: of ingestr and sling the last versions whose package carries the program; newer ones fetch it
#: from elsewhere at their first run
PEERS = (
    _dlt("pyarrow"),
    _dlt("connectorx"),
    _dlt("sqlalchemy"),
    Peer("ingestr -> SQLite", {"ingestr": ("ingestr==0.15.9",)}, _ingestr),
    Peer("sling -> SQLite", {"sling": ("sling-linux-amd64==1.4.11",)}, _sling),
    Peer(
        "tap-mysql | target-jsonl",
        {"singer-tap": ("pipelinewise-tap-mysql==1.6.0", "setuptools<81"),
         "singer-target": ("target-jsonl==0.1.4", "setuptools<81")},
        _singer,
    ),
)  # fmt: skip


# -- measuring ------------------------------------------------------------------------------------


def run_peer(bench: Bench, peer: Peer, rows: int) -> Found:
    found = Found(peer.name)
    folder = bench.rig.folder / "peers" / peer.name.replace(" ", "-").replace(">", "")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        found.versions = ", ".join(bench.made(env, words) for env, words in peer.packages.items())
        with bench.rig.watching(PEER) as server:
            found.load_s, meter = _timed(peer.command(bench, folder), folder)
        there = _there(folder)
        if there < rows:
            found.trouble = f"{there:,} of {rows:,} rows arrived"
        found.rows_s, found.cpu_s, found.peak_mb = there / found.load_s, meter.cpu_s, meter.peak_mb
        found.server_cpu_s, found.longest_ms = server[0].cpu_s, server[0].longest_ms
        time.sleep(1.1)  # the stamps are whole seconds
        bench.edit(EDITS)
        found.next_run_s, _ = _timed(peer.command(bench, folder), folder)
    except (subprocess.SubprocessError, OSError, sqlite3.Error) as error:
        log = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
        found.trouble = f"{type(error).__name__}: {log.strip()[-300:]}"
        tell(f"{peer.name}: {type(error).__name__}\n{log[-3000:]}")
    return found


def _there(folder: Path) -> int:
    """Rows at a peer's destination: in its SQLite file, or lines of its JSON files."""
    path = folder / "peer.db"
    if path.exists():
        with closing(sqlite3.connect(path)) as db:
            return int(db.execute(f"SELECT count(*) FROM {TABLE}").fetchone()[0])
    return sum(
        file.read_bytes().count(b"\n") for file in (folder / "out").rglob(f"*{TABLE}*/*.jsonl")
    ) or sum(file.read_bytes().count(b"\n") for file in (folder / "out").glob(f"*{TABLE}*.jsonl"))


def _timed(command: list[str], folder: Path) -> tuple[float, Meter]:
    """Seconds of one run, and what it cost. Raises when it fails."""
    home = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "DISABLE_TELEMETRY": "true",
            "SLING_HOME_DIR": str(folder), "INGESTR_DISABLE_TELEMETRY": "true"}  # fmt: skip
    with (folder / "log").open("ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **home}, stdout=log, stderr=log
        )
        try:
            with metering(psutil.Process(process.pid)) as meter:
                code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            for one in reversed(_family(psutil.Process(process.pid))):
                one.kill()
            process.wait()
            raise
        took = time.monotonic() - began
    if code:
        raise subprocess.CalledProcessError(code, command[0])
    return took, meter


def ours(bench: Bench) -> Found:
    """The real agent and the reference CRM; all streams are loaded, visits are timed."""
    rig, found = bench.rig, Found("bridgework -> CRM over HTTP", "this commit")
    rig.fresh({"sync.load_duty": "1"})
    wall_us = time.time() * 1e6
    rig.start_agent()
    with rig.watching(LOGIN) as server, metering(rig.agent) as meter:
        rig.wait_loaded(PATIENCE_S)
    with rig.crm() as crm:
        sql = f"SELECT count(*), max(arrived_us) FROM records WHERE type='{TABLE}'"
        count, last_us = crm.execute(sql).fetchone()
    found.load_s = (last_us - wall_us) / 1e6
    found.rows_s, found.cpu_s, found.peak_mb = count / found.load_s, meter.cpu_s, meter.peak_mb
    found.server_cpu_s, found.longest_ms = server[0].cpu_s, server[0].longest_ms
    rig.wait_for("up_to_date", timeout_s=PATIENCE_S)
    time.sleep(3)
    edits = single_edits(bench)
    time.sleep(3)
    with rig.crm() as crm:
        sql = f"SELECT key, max(at_us) FROM effects WHERE type='{TABLE}' GROUP BY key"
        arrived = {str(key): at_us / 1e6 for key, at_us in crm.execute(sql)}
    found.latency_ms = _latencies(edits, arrived)
    rig.stop_agent()
    return found


def binlog(bench: Bench) -> Found:
    """Only the tail: it has no first load of its own, and needs rights no practice's login has."""
    found = Found("mysql binlog tail -> stdout")
    found.versions = bench.made("binlog", BINLOG_PACKAGES)
    tail = subprocess.Popen(
        [bench.python("binlog"), HERE / "binlog_tail.py", str(bench.rig.server.port), PEER, SECRET,
         DATABASE, TABLE],
        stdout=subprocess.PIPE, stderr=(bench.rig.folder / "binlog.log").open("wb"), text=True,
    )  # fmt: skip
    assert tail.stdout is not None
    if not tail.stdout.readline():
        found.trouble = (bench.rig.folder / "binlog.log").read_text()[-300:]
        return found
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(tail.stdout or ()), daemon=True)
    reader.start()
    time.sleep(1)
    with metering(psutil.Process(tail.pid)) as meter:
        edits = single_edits(bench)
        time.sleep(2)
    found.peak_mb = meter.peak_mb
    tail.terminate()
    tail.wait()
    reader.join(5)
    if not lines:
        found.trouble = (bench.rig.folder / "binlog.log").read_text()[-300:] or "no event came"
    found.latency_ms = _latencies(edits, {k: float(at) for k, at in map(str.split, lines)})
    return found


def single_edits(bench: Bench) -> dict[str, float]:
    """Visits edited one after the other at irregular times: key -> when it began."""
    chance, done = random.Random(7), {}
    with Editor(bench.rig, seed=7) as editor:
        for key in editor.newest(SINGLE_EDITS):
            time.sleep(chance.uniform(0.1, 0.6))
            done[str(key)] = editor.edit(key, f"single {time.time():.3f}")
    return done


def _latencies(edits: dict[str, float], arrived: dict[str, float]) -> list[float]:
    """Milliseconds; an edit that never came counts as infinitely late."""
    return [max(arrived.get(key, math.inf) - at, 0.0) * 1000 for key, at in edits.items()]


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows = rows_of(asked)
    plan = PracticePlan(patients=500, years=1, zone=ZONE, bulk_appointments=rows)
    wanted = [name for name in asked.peers.split(",") if name]
    venvs = asked.venvs or Path(tempfile.mkdtemp(prefix="bw-peers-"))
    try:
        with Rig(
            engine=asked.engine or "myisam", plan=plan, kept=asked.kept, server_options=BINLOG
        ) as rig:
            bench = Bench(rig, venvs.resolve())
            _grant(rig)
            peers = [p for p in PEERS if not wanted or any(w in p.name for w in wanted)]
            for peer in peers if asked.prepare else ():
                for env, words in peer.packages.items():
                    bench.made(env, words)
            if asked.prepare:
                bench.made("binlog", BINLOG_PACKAGES)
                return {}
            count = rig.row_count(TABLE)
            c_s = rig.c_client_s(f"SELECT * FROM {TABLE}", rounds=2)
            plain = Found("C client -> /dev/null", "mariadb", count / c_s, c_s)
            results = [plain, ours(bench), binlog(bench)]
            results += [run_peer(bench, peer, count) for peer in peers]
    finally:
        if asked.venvs is None:
            shutil.rmtree(venvs, ignore_errors=True)
    _show(results, count, asked)
    return {"rows": count, **{found.name: _report(found) for found in results}}


def _grant(rig: Rig) -> None:
    with closing(rig.server.connect()) as root, root.cursor() as cursor:
        cursor.execute(f"CREATE USER IF NOT EXISTS '{PEER}'@'127.0.0.1' IDENTIFIED BY '{SECRET}'")
        cursor.execute(f"GRANT SELECT ON {DATABASE}.* TO '{PEER}'@'127.0.0.1'")
        cursor.execute(f"GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO '{PEER}'@'127.0.0.1'")


HEAD = ("", "version", "rows/s", "first load s", "CPU s", "peak MB", "server CPU s",
        "longest statement ms", "next run s, 100 edits", "edit to there ms, p50",
        "p99")  # fmt: skip


def _line(found: Found) -> tuple[object, ...]:
    ms = found.latency_ms
    rows_s = math.nan if math.isnan(found.rows_s) else float(round(found.rows_s))
    return (
        found.name, found.versions, rows_s, found.load_s, found.cpu_s, found.peak_mb,
        found.server_cpu_s, found.longest_ms, found.next_run_s,
        percentile(ms, 0.5), percentile(ms, 0.99),
    )  # fmt: skip


def _show(results: list[Found], count: int, asked: argparse.Namespace) -> None:
    show(f"{TABLE}, {count:,} rows, {asked.engine or 'myisam'}", HEAD, list(map(_line, results)))
    for found in results:
        if found.trouble:
            print(f"  {found.name}: did not run: {found.trouble}")
    if asked.markdown:
        print(f"\n|{'|'.join(HEAD)}|\n|{'---|' * len(HEAD)}")
        for found in results:
            cells = (c if isinstance(c, str) else _number(float(str(c))) for c in _line(found))
            print(f"| {' | '.join(cells)} |")


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _report(found: Found) -> dict[str, float]:
    """What was measured of it."""
    held = {
        "rows_per_s": found.rows_s, "load_s": found.load_s, "cpu_s": found.cpu_s,
        "peak_mb": found.peak_mb, "server_cpu_s": found.server_cpu_s,
        "longest_statement_ms": found.longest_ms, "next_run_s": found.next_run_s,
        "edit_p50_ms": percentile(found.latency_ms, 0.5),
        "edit_p99_ms": percentile(found.latency_ms, 0.99),
    }  # fmt: skip
    return {name: round(value, 2) for name, value in held.items() if math.isfinite(value)}


def main() -> None:
    parser = options(__doc__ or "", rows=200_000, quick_rows=10_000)
    parser.add_argument("--peers", default="", help="only those whose name has one of these in it")
    parser.add_argument("--venvs", type=Path, help="keep the peers' environments here")
    parser.add_argument("--markdown", action="store_true", help="the table for a page, as well")
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
