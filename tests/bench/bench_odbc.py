"""Reading over ODBC: what the child process costs, and how late a change is without any stamp.

``python -m tests.bench.bench_odbc [--rows N] [--rate R] [--seconds S] [--quick] [--json]``

PostgreSQL through psqlodbc. First rows/s of pages through the child (text, row hash, pipe, decoded
here) against bare pyodbc fetching the very statement in this process, in turns. Then an Eaglesoft
practice: cost of looks at the hot window, and from commit to complete at the CRM of what a front
desk does to the schedule (the real agent, the reference CRM). Deletions are believed only when
missed twice, so they are told apart. Server cost: CPU of the backends of the agent's login.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psutil
import pyodbc

from agent.model.reading import Column
from agent.model.streams import Stream
from agent.sandbox.practice.create import PracticePlan
from agent.sandbox.practice.life import Deed
from agent.sync.datamap import load_map
from agent.sync.polling import NEAR_DAYS
from drivers.eaglesoft.source import EaglesoftSource
from drivers.odbc.contract import Contract, StreamDecl, TableDecl, required
from drivers.odbc.link import Link
from drivers.odbc.login import OdbcLogin
from drivers.odbc.reader import OdbcReader
from drivers.odbc.source import OdbcSource
from drivers.odbc.spelling import RowLimit, spelled
from drivers.odbc.wire import Open, Records
from tests.bench.bench_latency import effects_of, judge
from tests.bench.rig import LOGIN, PASSWORD, ZONE, emit, options, percentile, rows_of, show, tell
from tests.e2e.vendor_rig import VendorRig
from tests.support.servers import Postgres

TURNS = 9
PAGE_ROWS = 1000
TARGET_MS = 1500.0
SCHEDULE = {"book", "move", "confirm", "break", "complete"}

WIDE = Contract(
    kind="bench",
    tables=(
        TableDecl(
            "wide",
            ("id",),
            required(
                "id:key patient:key first_name last_name email phone street city state zip"
                " born:date start_at:stamp end_at:stamp fee:money balance:money status:int"
                " confirmed:flag code chair remark"
            ),
        ),
    ),
    streams={Stream.APPOINTMENT: StreamDecl("wide", "hot")},
    owners=("public",),
)
_FILL = """
INSERT INTO wide SELECT n, n % 5000, 'Zoë' || n, 'Lindqvist' || (n % 977), 'a' || n || '@x.example',
 '(212)555-01' || (n % 90 + 10), n || ' Maple Street', 'Springfield', 'NY', '10001',
 date '1950-01-01' + n % 20000, timestamp '2026-01-05 08:00' + n * interval '10 minutes',
 timestamp '2026-01-05 08:30' + n * interval '10 minutes', n % 400 + 0.25, n % 900 - 0.5, n % 7,
 n % 2, 'D' || (n % 9999), 'OP-' || (n % 9), repeat('note ', 12) FROM generate_series(1, {rows}) n
"""
_WIDE = """
CREATE TABLE wide (id integer PRIMARY KEY, patient integer, first_name varchar(40),
 last_name varchar(40), email varchar(60), phone varchar(20), street varchar(60), city varchar(40),
 state char(2), zip varchar(10), born date, start_at timestamp, end_at timestamp,
 fee decimal(10,2), balance decimal(10,2), status integer, confirmed smallint, code varchar(8),
 chair char(6), remark varchar(200))
"""


def through_the_child(reader: OdbcReader) -> int:
    seen, at = 0, None
    while True:
        page = reader.read_range(Stream.APPOINTMENT, at, None, PAGE_ROWS)
        seen += len(page.rows)
        if page.exhausted:
            return seen
        at = page.last


def bare(link: Any, sql: str) -> int:
    seen, at = 0, 0
    while True:
        cursor = link.execute(sql, at)
        rows = cursor.fetchall()
        cursor.close()
        seen += len(rows)
        if len(rows) < PAGE_ROWS:
            return seen
        at = rows[-1][0]


def here(link: Link, source: OdbcSource) -> int:
    """The child's own work (text, row hash) done in this process: what only the child costs is
    the difference."""
    plan, seen, at = source._bound[Stream.APPOINTMENT], 0, None
    while True:
        asked = plan.fetch(plan.within(at, None), limit=PAGE_ROWS)
        asked = msgspec.structs.replace(
            asked, sql=spelled(asked.sql, RowLimit.LIMIT), limit=PAGE_ROWS
        )
        page = link.answer(asked)
        assert isinstance(page, Records)
        seen += len(page.rows)
        if page.seen < PAGE_ROWS:
            return seen
        at = int(page.rows[-1][0] or 0)


def rate(read: Callable[[], int]) -> float:
    started = time.perf_counter()
    rows = read()
    return rows / (time.perf_counter() - started)


def child_share(rows: int) -> dict[str, Any]:
    with Postgres(zone=ZONE) as server:
        server.run(
            f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}'",
            _WIDE,
            _FILL.format(rows=rows),
            f"GRANT SELECT ON wide TO {LOGIN}",
            "ANALYZE wide",
        )
        text = server.connection(LOGIN, PASSWORD)
        source = OdbcSource(WIDE, OdbcLogin(connection=text), zone=ZONE)
        source.probe()
        names = [c.name for c in WIDE.table("wide").columns if c.name != "id"]
        source.bind(Stream.APPOINTMENT, [Column("wide", name) for name in names])
        reader = source.open()
        assert isinstance(reader, OdbcReader)
        columns = ",".join(f"b.{name}" for name in ("id", *names))
        sql = f"SELECT {columns} FROM public.wide b WHERE b.id>? ORDER BY b.id LIMIT {PAGE_ROWS}"
        pyodbc.pooling = False
        with closing(reader), closing(pyodbc.connect(text, autocommit=True)) as link:
            link.decimal_mode = "text"  # type: ignore[attr-defined]
            own = Link()
            own.answer(Open(connection=text))
            assert through_the_child(reader) == bare(link, sql) == here(own, source) == rows
            turns = [
                (
                    rate(lambda: bare(link, sql)),
                    rate(lambda: here(own, source)),
                    rate(lambda: through_the_child(reader)),
                )
                for _ in range(TURNS)
            ]
    found = {
        "bare_rows_s": statistics.median(bare_ for bare_, _, _ in turns),
        "here_rows_s": statistics.median(here_ for _, here_, _ in turns),
        "child_rows_s": statistics.median(child for _, _, child in turns),
        "share_of_bare": statistics.median(child / bare_ for bare_, _, child in turns),
        "share_of_same_work": statistics.median(child / here_ for _, here_, child in turns),
    }
    show(
        f"{rows:,} rows of {len(names) + 1} columns in pages of {PAGE_ROWS} (wanted: 70 %)",
        ("", "rows/s", "child's share"),
        [
            ("bare pyodbc, same statement", found["bare_rows_s"], found["share_of_bare"]),
            ("the child's work (text, row hash) in this process", found["here_rows_s"],
             found["share_of_same_work"]),
            ("through the child", found["child_rows_s"], 1.0),
        ],
    )  # fmt: skip
    return found


class Backends:
    """CPU seconds of the server's processes that serve the agent's login."""

    def __init__(self, rig: VendorRig) -> None:
        self._rig = rig
        self._last: dict[int, float] = {}

    def total(self) -> float:
        sql = f"SELECT pid FROM pg_stat_activity WHERE usename='{LOGIN}'"
        for pid in map(int, self._rig.postgres.run(sql).split()):
            try:
                times = psutil.Process(pid).cpu_times()
            except psutil.Error:
                continue
            self._last[pid] = times.user + times.system
        return sum(self._last.values())

    @contextmanager
    def watching(self) -> Iterator[list[float]]:
        """Afterwards: [wall seconds, CPU seconds]."""
        told: list[float] = []
        before, began = self.total(), time.monotonic()
        yield told
        told += [time.monotonic() - began, self.total() - before]


def look_cost(rig: VendorRig) -> list[tuple[object, ...]]:
    """Rows and milliseconds of one look at each polled stream's near and whole window."""
    login = OdbcLogin(connection=rig.connection())
    source = EaglesoftSource(login, zone=ZONE)
    facts = source.probe()
    compiled = load_map("eaglesoft").compile(facts, zone=ZONE)
    for stream, mapped in compiled.streams.items():
        source.bind(stream, mapped.columns)
    reader = source.open()
    assert isinstance(reader, OdbcReader)
    lines: list[tuple[object, ...]] = []
    today = datetime.now(ZoneInfo(ZONE)).date()
    with closing(reader):
        for stream in compiled.streams:
            if not facts.streams[stream].polled:
                continue
            for name, (before, after) in (("near", NEAR_DAYS), ("whole", (90, 90))):
                first, last = today - timedelta(days=before), today + timedelta(days=after)
                took = []
                for _ in range(10):
                    began = time.perf_counter()
                    marks = reader.hashes_in_window(stream, first, last)
                    took.append((time.perf_counter() - began) * 1000)
                lines.append((f"{stream.value}, {name}", len(marks), statistics.median(took)))
    return lines


def live(rig: VendorRig, per_s: float, for_s: float) -> list[Deed]:
    with closing(rig.db()) as db:
        return list(rig.life(db, 7).run(rate=per_s, duration_s=for_s))


def hot_visits(rig: VendorRig) -> set[int]:
    """Visits from yesterday to the end of the window, as the practice has them now."""
    today = datetime.now(ZoneInfo(ZONE)).date()
    first, last = today - timedelta(days=1), today + timedelta(days=89)
    with closing(rig.db()) as db:
        rows = db.rows(
            "SELECT appointment_id FROM {o}appointment WHERE start_time>=? AND start_time<?",
            first.isoformat(),
            last.isoformat(),
        )
    return {int(row[0]) for row in rows}


def hot_schedule(patients: int, per_s: float, for_s: float) -> dict[str, Any]:
    plan = PracticePlan(patients=patients, years=1, zone=ZONE, seed=5)
    with VendorRig("eaglesoft", plan=plan) as rig:
        looks = look_cost(rig)
        rig.set_up({"sync.load_duty": "1"})
        rig.start_agent()
        tell(f"loaded after {rig.wait_loaded(600):.0f} s")
        time.sleep(5)
        backends = Backends(rig)
        with backends.watching() as idle, rig.agent_meter() as agent:
            time.sleep(20)
        found: list[list[Deed]] = []
        desk = threading.Thread(target=lambda: found.append(live(rig, per_s, for_s)))
        with backends.watching() as busy:
            desk.start()
            desk.join()
        time.sleep(10)
        effects = effects_of(rig)
        judged = judge(found[0], effects)
        hot = hot_visits(rig)
        rig.stop_agent()
    kinds = judged["by_kind"]
    near = judge([deed for deed in found[0] if deed.key in hot], effects)["by_kind"]
    schedule = [ms for kind, values in near.items() if str(kind) in SCHEDULE for ms in values]
    lines = [("hot schedule", schedule), *sorted(kinds.items(), key=lambda item: -len(item[1]))]
    show(
        f"commit -> complete at the CRM, eaglesoft, {len(found[0])} deeds at {per_s:g}/s, ms "
        f"(wanted: p99 {TARGET_MS:g} for the schedule)",
        ("deed", "n", "p50", "p95", "p99", "max"),
        [
            (str(name), len(ms), *(percentile(ms, p) for p in (0.5, 0.95, 0.99)),
             max(ms, default=0.0))
            for name, ms in lines
        ],
    )  # fmt: skip
    for name in ("left_out", "never_arrived", "traceless"):
        told = ", ".join(f"{what} ({n})" for what, n in judged[name].items())
        print(f"  {name.replace('_', ' ')}: {told or 'none'}")
    show("one look at a polled window", ("stream", "rows", "ms"), looks)
    print(
        f"  server CPU for the agent: idle {idle[1] / idle[0]:.1%} of a core, under {per_s:g}"
        f" deeds/s {busy[1] / busy[0]:.1%}; agent CPU idle {agent[0].cpu:.1%}"
    )
    return {
        "ms": {
            str(name): {"n": len(ms), **{f"p{p * 100:g}": percentile(ms, p)
                                         for p in (0.5, 0.95, 0.99)}}
            for name, ms in lines
        },
        "looks": [list(line) for line in looks],
        "server_cpu_idle": idle[1] / idle[0],
        "server_cpu_busy": busy[1] / busy[0],
        "agent_cpu_idle": agent[0].cpu,
    }  # fmt: skip


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    for_s = asked.seconds or (30.0 if asked.quick else 120.0)
    return {
        "child": child_share(rows_of(asked)),
        "hot_schedule": hot_schedule(400 if asked.quick else 1500, asked.rate, for_s),
    }


def main() -> None:
    parser = options(__doc__ or "", rows=100_000, quick_rows=20_000)
    parser.add_argument("--rate", type=float, default=5.0, help="changes per second")
    parser.add_argument("--seconds", type=float)
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
