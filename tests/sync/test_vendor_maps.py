"""The maps of Dentrix and Eaglesoft fit their drivers' contracts, and say how sure they are."""

from __future__ import annotations

import re

import pytest

from agent.errors import ConfigError
from agent.model.reading import SourceFacts, TableFacts
from agent.model.streams import Stream
from agent.sync.datamap import DataMap, load_map
from agent.sync.maprows import CERTAIN_COLUMNS, Certainty, MapRow
from drivers.dentrix.contract import SiteNumbers
from drivers.dentrix.contract import contract as dentrix
from drivers.eaglesoft.contract import contract as eaglesoft
from drivers.odbc.contract import Certainty as Sure
from drivers.odbc.contract import Contract
from drivers.odbc.site import table_facts

SITE = {"excluded_chairs": "7, 8", "length_unit_min": "5", "int_time": "minutes"}
CONTRACTS = {"dentrix": dentrix(SiteNumbers(1, 19)), "eaglesoft": eaglesoft()}
SECRET = re.compile(
    r"social|ssn|password|salt|security_(question|answer)|licen[cs]e|tax_id|\btin\b|logon",
    re.IGNORECASE,
)
KINDS = sorted(CONTRACTS)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def aliases(contract: Contract, stream: Stream) -> dict[str, str]:
    """Name a column may stand under -> its table, for one stream."""
    decl = contract.streams[stream]
    hung = {attachment.alias: attachment.table for attachment in decl.attached}
    return {decl.table: decl.table, **hung}


def known(contract: Contract, row: MapRow) -> bool:
    table = aliases(contract, row.stream).get(row.table)
    if table is None:
        return False
    if row.source_type == "list":
        hung = next(a for a in contract.streams[row.stream].attached if a.alias == row.table)
        return hung.pseudo == row.column
    return contract.table(table).column(row.column) is not None


def test_every_mapped_column_is_one_the_driver_may_read(kind: str) -> None:
    contract = CONTRACTS[kind]
    unknown = [
        f"{row.stream.value}.{row.field}: {row.table}.{row.column}"
        for row in load_map(kind, None, SITE).rows
        if row.is_mapped and row.column and not known(contract, row)
    ]
    assert unknown == []


def test_every_stream_of_the_contract_is_mapped(kind: str) -> None:
    assert set(load_map(kind, None, SITE).streams) == set(CONTRACTS[kind].streams)


def test_what_nobody_may_read_is_not_even_declared(kind: str) -> None:
    for table in CONTRACTS[kind].tables:
        for column in table.columns:
            assert not SECRET.search(column.name), f"{table.name}.{column.name}"
    for row in load_map(kind, None, SITE).rows:
        assert not (row.is_mapped and SECRET.search(row.column)), row


def test_every_row_says_how_sure_it_is(kind: str) -> None:
    rows = load_map(kind, None, SITE).rows
    assert [row for row in rows if row.certainty is Certainty.STATED] == []
    # What one source or less tells of is never demanded of a site.
    contract = CONTRACTS[kind]
    for row in rows:
        if row.is_mapped and row.certainty is Certainty.UNVERIFIED and row.column:
            table = aliases(contract, row.stream).get(row.table, "")
            column = contract.table(table).column(row.column)
            assert column is not None
            assert not row.required
            read_anyway = {"appointment_date", "start_hour", "eventdate", "amount"}
            if row.column not in read_anyway:
                assert column.certainty is not Sure.REQUIRED, row


def test_what_is_not_sure_is_told_when_it_is_there_and_never_missed(kind: str) -> None:
    whole = facts_of(CONTRACTS[kind])
    datamap = load_map(kind, None, SITE)
    found = datamap.compile(whole, zone="America/New_York")
    codes = {finding.code for finding in found.findings}
    assert codes == {"map.column_unsure"}, codes
    assert set(found.streams) == set(datamap.streams)
    bare = facts_of(CONTRACTS[kind], Sure.UNVERIFIED)
    less = datamap.compile(bare, zone="America/New_York")
    assert not [f for f in less.findings if f.severity == "error"]


def facts_of(contract: Contract, without: Sure | None = None) -> SourceFacts:
    """A site that has every declared column, but for those of one certainty."""
    from drivers.odbc.site import LiveColumn, LiveTable, Site, stream_facts
    from drivers.odbc.wire import Opened

    words = {"int": "bigint", "key": "bigint", "date": "date", "stamp": "datetime",
             "money": "decimal", "flag": "bigint"}  # fmt: skip
    tables = {
        table.name: LiveTable(
            table.name,
            table.name,
            table.key,
            {
                column.name: LiveColumn(
                    column.name,
                    "bigint"
                    if column.name == "recall_frequency"
                    else words.get(column.kind.value, "varchar"),
                    column.kind,
                )
                for column in table.columns
                if column.certainty is not without or column.name in table.key
            },
        )
        for table in contract.tables
    }
    site = Site(contract, Opened(), tables, tuple(contract.streams))
    told: dict[str, TableFacts] = table_facts(site)
    return SourceFacts(contract.kind, "1", "x", "y", "UTC", told, stream_facts(site))


def test_a_header_with_certainty_is_optional_and_checked() -> None:
    head = ",".join(CERTAIN_COLUMNS)
    row = "provider,key,key,provider,id,,id,to_crm,pms,pms,,yes,,,{}"
    assert DataMap.load(f"{head}\n{row.format('several')}\n").rows[0].certainty is Certainty.SEVERAL
    with pytest.raises(ConfigError) as wrong:
        DataMap.load(f"{head}\n{row.format('rumour')}\n")
    assert wrong.value.code == "map.certainty"


def test_what_a_site_says_stands_in_the_map() -> None:
    said = {row.transform for row in load_map("dentrix", None, SITE).rows}
    assert "day_end:start_hour,start_minute,appt.apptlen*5" in said
    written = {row.cells()[6] for row in load_map("dentrix", None, SITE).rows}
    assert "day_end:start_hour,start_minute,appt.apptlen*@length_unit_min" in written
    unsaid = {row.transform for row in load_map("dentrix").rows}
    assert "day_end:start_hour,start_minute,appt.apptlen*" in unsaid
