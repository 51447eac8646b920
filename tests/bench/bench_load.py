"""Initial load: rows/s from the practice to acknowledged by the CRM, as a share of the C client.

``python -m tests.bench.bench_load [--rows N] [--patients N] [--engine innodb] [--quick] [--json]``

Baselines of the same run: the C client reading the bound columns of the base table, and the C
client running the agent's very statement (attached tables, row hash) over the whole table. Then the
stages one after the other in this process (reader; + map; + journal), and the whole path: the real
agent, the reference CRM in its own process, loopback HTTP; its rate is taken from the times the CRM
stamped on the middle four fifths of the records. "flat out" is load_duty 1, "office" the default.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from typing import Any

from agent.config.secrets import PayloadSeal
from agent.crm.wire import Origin, Packer
from agent.errors import PmsBusy
from agent.journal.journal import Journal
from agent.journal.rows import Urgency
from agent.model.reading import Key, Page
from agent.model.streams import Stream
from agent.ports import PmsReader, PmsSource
from agent.runtime.clock import SystemClock
from agent.sandbox.practice.create import PracticePlan
from agent.sync.brakes import Brakes
from agent.sync.capture import Capture
from agent.sync.datamap import StreamMap, load_map
from agent.sync.guards import BrakeRule
from drivers.opendental.statements import BoundStream
from drivers.registry import SourceSettings, make_source
from tests.bench.rig import (
    DATABASE,
    LOGIN,
    PASSWORD,
    ZONE,
    Rig,
    cpu_s,
    emit,
    options,
    rows_of,
    show,
    tell,
)

PAGE_ROWS = 1000
STREAMS = (Stream.APPOINTMENT, Stream.PATIENT)
Take = Callable[[Page, Key | None], None]


class _PackOnly:
    """The packing half of a CRM: the journal stage must make the real bodies but send nothing."""

    def __init__(self, journal: Journal) -> None:
        self._packer = Packer()
        self._origin = Origin("bench", journal.uuid, journal.epoch, "bench", "opendental")

    def pack(self, batch_id: str, changes: Any) -> bytes:
        return self._packer.pack(batch_id, self._origin, changes)


class Stages:
    """The agent's own parts, run one after the other over one stream."""

    def __init__(self, rig: Rig) -> None:
        self._folder = rig.folder / "stages"
        self.source: PmsSource = make_source(
            SourceSettings("opendental", port=rig.server.port, database=DATABASE, user=LOGIN,
                           password=PASSWORD, zone=ZONE)
        )  # fmt: skip
        facts = self.source.probe()
        self.maps = load_map("opendental").compile(facts, zone=ZONE).streams
        for stream in STREAMS:
            self.source.bind(stream, self.maps[stream].columns)
        self.tables = {stream: facts.streams[stream].table for stream in STREAMS}

    def base_sql(self, stream: Stream) -> str:
        """The bound columns of the base table alone."""
        table = self.tables[stream]
        names = [c.name for c in self.maps[stream].columns if c.table == table]
        return f"SELECT {','.join(f'`{name}`' for name in names)} FROM `{table}`"

    def own_sql(self, stream: Stream) -> str:
        """The statement of the load, over the whole table."""
        bound: BoundStream = self.source._bound[stream]  # type: ignore[attr-defined]
        return bound.read("", 1 << 40)

    def reader(self, stream: Stream) -> float:
        return self._run(stream, lambda page, lo: None)

    def mapped(self, stream: Stream) -> float:
        mapped = self.maps[stream]
        return self._run(stream, lambda page, lo: _observe(mapped, page))

    def journalled(self, stream: Stream) -> float:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        clock, mapped = SystemClock(), self.maps[stream]
        path, seal = self._folder / "journal.db", PayloadSeal(bytes(32))
        journal = Journal.open(path, seal=seal, clock=clock)
        try:
            capture = Capture(
                journal, _PackOnly(journal), clock,  # type: ignore[arg-type]
                Brakes(journal, clock, delete_rule=BrakeRule(20, 0.01), change_share=0.2),
                settle_s=2.0, on_work=lambda: None,
            )  # fmt: skip

            def take(page: Page, lo: Key | None) -> None:
                capture.take(mapped, page, read_lsn=capture.last_lsn, urgency=Urgency.LOAD,
                             fresh=(lo, None))  # fmt: skip

            return self._run(stream, take)
        finally:
            journal.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, stream: Stream, take: Take) -> float:
        reader: PmsReader = self.source.open()
        try:
            reader.max_key(stream)
            began = time.perf_counter()
            lo: Key | None = None
            while True:
                page = _read(reader, stream, lo)
                take(page, lo)
                if page.exhausted:
                    return time.perf_counter() - began
                lo = page.rows[-1][0]  # type: ignore[assignment]
        finally:
            reader.close()


def _read(reader: PmsReader, stream: Stream, lo: Key | None) -> Page:
    """A page, as often as it takes: another load on the machine may make the server cut one."""
    while True:
        try:
            return reader.read_range(stream, lo, None, PAGE_ROWS)
        except PmsBusy:
            tell("the server cut a page; read again")


def _observe(mapped: StreamMap, page: Page) -> None:
    _, bad = mapped.observe(page)
    assert not bad


def whole_path(rig: Rig, duty: float) -> dict[Stream, float]:
    """Rows/s of every stream with the real agent at this duty."""
    rig.fresh({"sync.load_duty": f"{duty:g}"})
    crm = rig.crm_process()
    rig.start_agent()
    with rig.watching() as server, rig.agent_meter() as agent:
        crm_s = cpu_s(crm)
        took_s = rig.wait_loaded(3600)
        crm_s = cpu_s(crm) - crm_s
    found = {stream: rig.arrival_rate(stream.value)[1] for stream in STREAMS}
    with_all = sum(rig.crm_count(s.value) for s in Stream)
    each_us = 1e6 / with_all
    tell(
        f"duty {duty:g}: {with_all:,} records of all streams in {took_s:.1f} s; CPU us a record: "
        f"server {server[0].cpu_s * each_us:.1f}, agent "
        f"{agent[0].cpu * agent[0].wall_s * each_us:.1f}, CRM {crm_s * each_us:.1f}; "
        f"longest statement {server[0].longest_ms:.0f} ms, agent {agent[0].rss_mb:.0f} MB; it was "
        f"{server[0].longest_sql}"
    )
    rig.stop_agent()
    return found


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    rows = rows_of(asked)
    patients = asked.patients or (10_000 if asked.quick else 100_000)
    plan = PracticePlan(patients=500, years=1, zone=ZONE, bulk_appointments=rows)
    report: dict[str, Any] = {"engine": asked.engine or "myisam", "streams": {}}
    with Rig(engine=report["engine"], plan=plan, kept=asked.kept) as rig:
        rig.multiply_patients(patients)
        if asked.prepare:
            return {}
        stages = Stages(rig)
        flat_out, office = whole_path(rig, 1.0), whole_path(rig, 0.5)
        for stream in STREAMS:
            count = rig.row_count(stages.tables[stream])
            plain_s = rig.c_client_s(stages.base_sql(stream))
            steps = {
                "C client, same columns": plain_s,
                "C client, our statement": rig.c_client_s(stages.own_sql(stream), rounds=2),
                "reader": stages.reader(stream),
                "reader + map": stages.mapped(stream),
                "reader + map + journal": stages.journalled(stream),
                "whole path, flat out": count / flat_out[stream],
                "whole path, office duty": count / office[stream],
            }
            report["streams"][stream.value] = {
                "rows": count,
                "columns": len(stages.maps[stream].columns),
                "seconds": {name: round(took, 3) for name, took in steps.items()},
                "share_of_c": {name: round(plain_s / took, 4) for name, took in steps.items()},
            }
            show(
                f"{stream.value}: {count:,} rows, {len(stages.maps[stream].columns)} columns, "
                f"{report['engine']}",
                ("", "rows/s", "us/row", "share of C", "share of C, our statement"),
                [
                    (name, int(count / took), took / count * 1e6, f"{plain_s / took:.0%}",
                     f"{steps['C client, our statement'] / took:.0%}")
                    for name, took in steps.items()
                ],
            )  # fmt: skip
    return report


def main() -> None:
    parser = options(__doc__ or "", rows=1_000_000, quick_rows=60_000)
    parser.add_argument("--patients", type=int, help="patients (full 100,000)")
    asked = parser.parse_args()
    emit(measure(asked), asked)


if __name__ == "__main__":
    main()
