"""The SQL gate refuses what some engine takes otherwise, and every driver's statements pass it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest

from agent.model.reading import Column
from agent.model.streams import Stream
from drivers.dentrix.contract import SiteNumbers
from drivers.dentrix.contract import contract as dentrix
from drivers.eaglesoft.contract import contract as eaglesoft
from drivers.layout import Join
from drivers.odbc.contract import Contract, Kind
from drivers.odbc.site import LiveColumn, LiveTable
from drivers.odbc.statements import BoundPlan, Where, moment
from drivers.odbc.wire import Fetch
from tests.drivers.odbc.layouts import CODED, PLAIN
from tests.support.sqlgate import Refused, as_written, check, columns_of, texts_of

COLUMNS = {"visit": frozenset({"vid", "pid", "note"}), "person": frozenset({"pid", "name"})}

TAKEN = [
    "SELECT TOP 5 b.vid,b.note FROM office.visit b WHERE b.vid>? AND b.vid<=? ORDER BY b.vid",
    "SELECT b.vid,p.name FROM office.visit b LEFT JOIN office.person p ON p.pid=b.pid",
    "SELECT COUNT(*) FROM office.visit",
    "SELECT MAX(b.vid) FROM office.visit b",
    "SELECT b.vid FROM office.visit b WHERE b.pid IN (SELECT w.pid FROM office.person w)",
    "SELECT b.vid,CAST(b.note AS VARCHAR(40)) FROM office.visit b WHERE b.pid IS NOT NULL",
    "SELECT TOP 1 {fn NOW()} FROM office.visit",
]
REFUSED = {
    "a limit as text": "SELECT b.vid FROM visit b ORDER BY b.vid OFFSET 5 ROWS",
    "quoted names": 'SELECT b."vid" FROM visit b',
    "backquotes": "SELECT b.`vid` FROM visit b",
    "brackets": "SELECT b.[vid] FROM visit b",
    "two statements": "SELECT b.vid FROM visit b; DELETE FROM visit",
    "a write": "DELETE FROM visit WHERE vid=?",
    "a value in the text": "SELECT b.vid FROM visit b WHERE b.note='x'",
    "concatenation": "SELECT b.vid||b.pid FROM visit b",
    "row values": "SELECT b.vid FROM visit b WHERE (b.vid,b.pid)>(?,?)",
    "a CTE": "WITH x AS (SELECT vid FROM visit) SELECT x.vid FROM x",
    "a window function": "SELECT ROW_NUMBER() OVER (ORDER BY b.vid) FROM visit b",
    "a renamed function": "SELECT IFNULL(b.note,?) FROM visit b",
    "an escape": "SELECT {fn UCASE(b.note)} FROM visit b",
    "a typed literal": "SELECT b.vid FROM visit b WHERE b.note>=DATE '2020-01-01'",
    "a comment": "SELECT b.vid FROM visit b -- all",
    "no table": "SELECT 1",
    "an unnamed derived table": "SELECT COUNT(*) FROM (SELECT vid FROM visit)",
    "a right join": "SELECT b.vid FROM visit b RIGHT JOIN person p ON p.pid=b.pid",
    "USING": "SELECT b.vid FROM visit b LEFT JOIN person p USING (pid)",
    "an inner limit": "SELECT b.vid FROM visit b WHERE b.vid IN (SELECT TOP 1 w.pid FROM person w)",
    "a cast to a date": "SELECT CAST(b.note AS DATE) FROM visit b",
    "an unknown column": "SELECT b.ssn FROM visit b",
    "another table's column": "SELECT b.name FROM visit b LEFT JOIN person p ON p.pid=b.pid",
    "an unknown table": "SELECT b.vid FROM secrets b",
}


@pytest.mark.parametrize("sql", TAKEN)
def test_the_subset_passes(sql: str) -> None:
    check(sql, COLUMNS)


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED.keys())
def test_what_some_engine_takes_otherwise_is_refused(sql: str) -> None:
    with pytest.raises(Refused):
        check(sql, COLUMNS)


def test_a_spelled_limit_is_judged_as_written() -> None:
    spelled = "SELECT b.vid FROM office.visit b ORDER BY b.vid LIMIT 7"
    assert as_written(spelled) == "SELECT TOP 7 b.vid FROM office.visit b ORDER BY b.vid"


def whole(contract: Contract) -> Mapping[str, LiveTable]:
    """A site that has everything the contract knows, under its first places."""
    words = {Kind.DATE: "date", Kind.STAMP: "datetime", Kind.MONEY: "decimal", Kind.INT: "bigint",
             Kind.NUMBER: "double", Kind.FLAG: "bigint", Kind.KEY: "bigint"}  # fmt: skip
    found = {}
    for table in contract.tables:
        place = table.places[0] if table.places else None
        columns = {
            c.name: LiveColumn(
                place.real(c.name) if place else c.name, words.get(c.kind, "varchar"), c.kind
            )
            for c in table.columns
            if place is None or c.name not in place.lacks
        }
        real = place.table if place else table.name
        found[table.name] = LiveTable(table.name, f"own.{real}", table.key, columns)
    return found


def bound(contract: Contract, stream: Stream, tables: Mapping[str, LiveTable]) -> BoundPlan:
    decl = contract.streams[stream]
    wanted = [Column(decl.table, name) for name in tables[decl.table].columns]
    for hung in decl.attached:
        if hung.join is Join.MANY:
            wanted.append(Column(hung.alias, hung.pseudo))
        else:
            wanted += [Column(hung.alias, name) for name in tables[hung.table].columns]
    return BoundPlan(contract, stream, tables, wanted, server_hash=True, money_as_text=True)


@pytest.mark.parametrize(
    "contract",
    [dentrix(SiteNumbers()), eaglesoft(""), PLAIN, CODED],
    ids=["dentrix", "eaglesoft", "plain", "coded"],
)
def test_every_statement_a_contract_can_give_passes(contract: Contract) -> None:
    tables = whole(contract)
    columns = columns_of(contract)
    hashes = contract.server_hash.template.partition("(")[0] if contract.server_hash else ""
    seen = 0
    for stream, decl in contract.streams.items():
        plan = bound(contract, stream, tables)
        wheres = [Where(), plan.records]
        if plan.keys:
            wheres.append(plan.among([("1",) * len(plan.keys)]))
        if not plan.coded:
            wheres.append(plan.within(1, 9))
        if decl.window is not None:
            wheres.append(plan.window(date(2026, 3, 2), date(2026, 3, 2)))
        requests = [
            plan.fetch(w, limit=9, what=what) for w in wheres for what in ("rows", "digest")
        ]
        texts = [text for request in requests for text in texts_of(request)]
        texts += [plan.list_keys(w, 9).sql for w in wheres]
        if not plan.coded:
            texts.append(plan.max_key()[0])
        for lane in decl.lanes:
            since = Where().also(f"l.{lane.stamp}>?", moment(datetime(2026, 3, 2, tzinfo=UTC)))
            texts.append(plan.lane(lane, since, (lane.stamp, lane.row), 9)[0])
        for text in texts:
            check(text, columns, hashes=hashes)
            seen += 1
        assert all(isinstance(request, Fetch) for request in requests)
    assert seen > 20
