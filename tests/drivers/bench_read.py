"""How fast a reader reads, against the raw client and plain asyncmy asking for the same columns.

``python -m tests.drivers.bench_read [rows] [engine]``: prints one line per way. Not a test.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable

import asyncmy

from agent.model.reading import Column, Key
from agent.model.streams import Stream
from agent.ports import PmsReader
from drivers.opendental.session import Login
from drivers.opendental.source import OpenDentalSource
from drivers.opendental.streams import known_tables
from tests.support.mariadb import MariaDb
from tests.support.odschema import load_schema

OWN = [
    "PatNum", "AptStatus", "Pattern", "Confirmed", "Op", "Note", "ProvNum", "ProvHyg",
    "AptDateTime", "UnschedStatus", "IsNewPatient", "ProcDescript", "ClinicNum", "DateTimeArrived",
    "DateTimeSeated", "DateTimeDismissed", "DateTimeAskedToArrive", "AppointmentTypeNum",
    "SecDateTEntry", "Priority",
]  # fmt: skip
PLAIN = [Column("appointment", name) for name in OWN]
ONES = [*PLAIN, Column("confirmed", "ItemName"), Column("appointmenttype", "AppointmentTypeName")]
FULL = [*ONES, Column("procedurelog", "procs"), Column("apptfield", "pairs")]


def fill(server: MariaDb, rows: int) -> None:
    link = server.connect("od")
    with link.cursor() as cursor:
        cursor.execute(
            "INSERT INTO appointment (AptNum,PatNum,AptStatus,Pattern,Confirmed,Op,Note,ProvNum,"
            "ProvHyg,AptDateTime,ProcDescript,DateTimeArrived,DateTimeSeated,DateTimeDismissed,"
            "DateTimeAskedToArrive,SecDateTEntry) SELECT seq,MOD(seq,35000)+1,1+MOD(seq,3),"
            "'//XXXXXX//',19+MOD(seq,5),1+MOD(seq,6),CONCAT('note number ',seq,' of a visit'),1,2,"
            "'2020-01-01'+INTERVAL seq*3 MINUTE,'PerEx, Pro, 4BW','2020-01-01','2020-01-01',"
            "'2020-01-01','0001-01-01','2020-01-01 10:00:00' FROM seq_1_to_" + str(rows)
        )
        cursor.execute(
            "INSERT INTO procedurelog (ProcNum,PatNum,AptNum,CodeNum,ProcDate,ProcFee,ProcStatus,"
            "DateTP) SELECT seq,MOD(seq,35000)+1,1+MOD(seq," + str(rows) + "),1+MOD(seq,500),"
            "'2020-01-01',100,2,'2020-01-01' FROM seq_1_to_" + str(2 * rows)
        )
        cursor.execute("ANALYZE TABLE appointment, procedurelog")
    link.close()


def timed(name: str, rows: int, run: Callable[[], int]) -> float:
    started = time.perf_counter()
    read = run()
    took = time.perf_counter() - started
    assert read >= rows, (name, read)
    print(f"{name:42} {rows / took / 1000:8.0f} k rows/s {took / rows * 1e6:7.2f} us/row")
    return rows / took


def walk(reader: PmsReader) -> int:
    read = 0
    at: Key | None = None
    while True:
        page = reader.read_range(Stream.APPOINTMENT, at, None, 1000)
        read += len(page.rows)
        if page.exhausted:
            return read
        at = page.rows[-1][0]  # type: ignore[assignment]


def sweep(reader: PmsReader, rows: int) -> int:
    return sum(
        reader.digest(Stream.APPOINTMENT, lo, lo + 8000).count for lo in range(0, rows, 8000)
    )


def small_calls(reader: PmsReader) -> None:
    """What a look costs when nothing changed, ms of wall time."""
    tables = ["appointment", "patient", "procedurelog", "recall", "schedule", "definition"]
    marks = reader.tail({}, 1).marks
    asked: dict[str, Callable[[], object]] = {
        "clock": reader.clock,
        "guard": reader.guard,
        "moved, 6 tables": lambda: reader.moved(tables),
        "tail": lambda: reader.tail(marks, 1000),
        "max_key": lambda: reader.max_key(Stream.APPOINTMENT),
        "read_keys, 1": lambda: reader.read_keys(Stream.APPOINTMENT, [77]),
    }
    for name, call in asked.items():
        call()
        started = time.perf_counter()
        for _ in range(200):
            call()
        print(f"{name:42} {(time.perf_counter() - started) * 5:8.2f} ms")


def raw_client(server: MariaDb, rows: int) -> int:
    """The C client, one statement, nothing kept."""
    subprocess.run(
        ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{server.port}", "-uroot", "--quick",
         "--skip-column-names", "-e", f"SELECT AptNum,{','.join(OWN)} FROM appointment", "od"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return rows


def plain_asyncmy(server: MariaDb, sql: Callable[[int], str], rows: int) -> int:
    async def run() -> int:
        link = await asyncmy.connect(
            host="127.0.0.1", port=server.port, user="root", database="od", conv={246: int}
        )
        cursor = link.cursor()
        await cursor.execute("SET SESSION character_set_results=NULL, time_zone='+00:00'")
        read = 0
        for lo in range(0, rows, 1000):
            await cursor.execute(sql(lo))
            read += len(await cursor.fetchall())
        await link.ensure_closed()
        return read

    return asyncio.run(run())


def main(rows: int, engine: str) -> None:
    with MariaDb(engine=engine) as server:
        load_schema(server, "od", engine=engine, tables=known_tables())
        fill(server, rows)
        login = Login(port=server.port, database="od", user="root")
        source = OpenDentalSource(login, statement_limit_ms=5000, zone="UTC")
        source.probe()
        print(engine, rows, "appointments,", len(OWN), "columns")
        timed("raw client, one statement", rows, lambda: raw_client(server, rows))
        listed = ",".join(OWN)
        timed(
            "asyncmy, pages of 1000, no hash", rows,
            lambda: plain_asyncmy(
                server,
                lambda lo: f"SELECT AptNum,{listed} FROM appointment WHERE AptNum>{lo}"
                " ORDER BY AptNum LIMIT 1000",
                rows,
            ),
        )  # fmt: skip
        for name, columns in (("own columns", PLAIN), ("+ 2 joins", ONES), ("+ lists", FULL)):
            source.bind(Stream.APPOINTMENT, columns)
            measure(server, source, name, rows)
        reader = source.open()
        small_calls(reader)
        reader.close()


def measure(server: MariaDb, source: OpenDentalSource, name: str, rows: int) -> None:
    bound = source._bound[Stream.APPOINTMENT]
    reader = source.open()
    timed(
        f"asyncmy, our statement, {name}", rows,
        lambda: plain_asyncmy(server, lambda lo: bound.read(bound.within(lo, None), 1000), rows),
    )  # fmt: skip
    timed(f"reader, {name}", rows, lambda: walk(reader))
    timed(f"digests of 8000, {name}", rows, lambda: sweep(reader, rows))
    reader.close()


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000,
        sys.argv[2] if len(sys.argv) > 2 else "MyISAM",
    )
