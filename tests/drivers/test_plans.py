"""No statement sorts, scans or buffers a big table: how the server means to run what we ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from agent.model.streams import Stream
from tests.drivers.conftest import CLEARED, ServerPractice

pytestmark = [pytest.mark.mariadb, pytest.mark.slow]

ROWS = 5000
CHILDREN = (
    "INSERT INTO procedurelog (ProcNum,AptNum,CodeNum) SELECT seq,seq,1+MOD(seq,500)",
    "INSERT INTO paysplit (SplitNum,PayNum) SELECT seq,seq",
    "INSERT INTO claimproc (ClaimProcNum,ClaimNum) SELECT seq,seq",
    "INSERT INTO patfield (PatFieldNum,PatNum,FieldName) SELECT seq,seq,'a'",
    "INSERT INTO refattach (RefAttachNum,PatNum,RefType) SELECT seq,seq,1",
    "INSERT INTO apptfield (ApptFieldNum,AptNum,FieldName) SELECT seq,seq,'a'",
    "INSERT INTO scheduleop (ScheduleOpNum,ScheduleNum) SELECT seq,seq",
    "INSERT INTO periomeasure (PerioMeasureNum,PerioExamNum) SELECT seq,seq",
    "INSERT INTO inssub (InsSubNum,PlanNum) SELECT seq,seq",
    "INSERT INTO insplan (PlanNum,CarrierNum) SELECT seq,seq",
    "INSERT INTO carrier (CarrierNum) SELECT seq",
    "INSERT INTO patplan (PatPlanNum,InsSubNum) SELECT seq,seq",
    "INSERT INTO appointment (AptNum,Confirmed,AptDateTime)"
    " SELECT seq,19+MOD(seq,5),'2020-01-01'+INTERVAL seq HOUR",
    "INSERT INTO schedule (ScheduleNum,SchedDate) SELECT seq,'2020-01-01'+INTERVAL seq DAY",
    "INSERT INTO recall (RecallNum,DateDue) SELECT seq,'2020-01-01'+INTERVAL seq DAY",
    "INSERT INTO patient (PatNum) SELECT seq",
    "INSERT INTO patientnote (PatNum) SELECT seq",
    "INSERT INTO claim (ClaimNum) SELECT seq",
    "INSERT INTO payment (PayNum) SELECT seq",
    "INSERT INTO adjustment (AdjNum) SELECT seq",
    "INSERT INTO commlog (CommlogNum) SELECT seq",
    "INSERT INTO procnote (ProcNoteNum) SELECT seq",
    "INSERT INTO perioexam (PerioExamNum) SELECT seq",
    "INSERT INTO labcase (LabCaseNum) SELECT seq",
)


@pytest.fixture(params=["myisam", "innodb"])
def grown(request: pytest.FixtureRequest) -> Iterator[ServerPractice]:
    practice: ServerPractice = request.getfixturevalue(request.param)
    clear = [f"DELETE FROM {table}" for table in CLEARED]
    practice.run(*clear, *(f"{fill} FROM seq_1_to_{ROWS}" for fill in CHILDREN))
    practice.run("ANALYZE TABLE " + ",".join(CLEARED))
    yield practice
    practice.run(*clear)


def test_every_statement_walks_an_index(grown: ServerPractice) -> None:
    reader = grown.reader()
    link = grown.server.connect(grown.database)
    wrong = []
    for stream, bound in reader._bound.items():
        if stream is Stream.PRACTICE:
            continue  # a handful of rows made of preferences
        asked = {
            "range": bound.read(bound.within(100, None), 500),
            "first": bound.read(bound.within(None, None), 500),
            "keys": bound.read(bound.among(range(200, 700)), 500),
            "digest": bound.digest(bound.within(100, 4100)),
            "key_digest": bound.key_digest(bound.within(100, 4100)),
            "nth": bound.keys(bound.within(100, None), 1, skip=2000),
            "max": bound.max_key(),
        }
        with link.cursor() as cursor:
            for name, sql in asked.items():
                cursor.execute("EXPLAIN " + sql)
                wrong += [(stream.value, name, row) for row in cursor.fetchall() if is_heavy(row)]
    link.close()
    reader.close()
    assert wrong == []


def is_heavy(plan: tuple[Any, ...]) -> bool:
    table, kind, rows, extra = str(plan[2]), plan[3], int(plan[8] or 0), str(plan[9])
    scans = kind == "ALL" and rows > 1000 and not table.startswith("<derived")
    buffered = "join buffer" in extra or ("filesort" in extra and rows > 1000)
    return scans or buffered


def test_windows_and_indexed_lanes_use_their_dates(grown: ServerPractice) -> None:
    reader = grown.reader()
    first, last = date(2020, 3, 1), date(2020, 3, 20)
    since = datetime(2037, 1, 1, tzinfo=UTC)
    link = grown.server.connect(grown.database)
    facts = grown.source().probe()
    with link.cursor() as cursor:
        for stream, bound in reader._bound.items():
            asked = [bound.window(first, last, None, 100)] if bound.spec.window else []
            indexed = {lane.name for lane in facts.streams[stream].lanes if lane.indexed}
            asked += [
                bound.lane(lane, since, None, 100)
                for lane in bound.spec.lanes
                if lane.name in indexed
            ]
            for sql in asked:
                cursor.execute("EXPLAIN " + sql)
                for row in cursor.fetchall():
                    if row[2] is not None and not str(row[2]).startswith("<derived"):
                        assert row[3] in {"range", "ref", "eq_ref"}, (sql, row)
    link.close()
    reader.close()
