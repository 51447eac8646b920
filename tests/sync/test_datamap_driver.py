"""The map and the Open Dental driver name the same tables, attachments and gathered columns."""

from __future__ import annotations

import pytest

from agent.model.streams import Stream
from agent.sync.datamap import DataMap, load_map
from drivers.opendental.streams import PRACTICE, STREAMS, Join
from tests.sync.mapsite import ZONE, facts_of


@pytest.fixture(scope="module")
def datamap() -> DataMap:
    return load_map("opendental")


@pytest.mark.parametrize("stream", list(Stream))
def test_base_table_and_key(datamap: DataMap, stream: Stream) -> None:
    base = datamap.base_of(stream)
    assert (base.table, base.column) == (STREAMS[stream].table, STREAMS[stream].key)


@pytest.mark.parametrize("stream", list(Stream))
def test_every_bound_column_is_one_the_driver_attaches(datamap: DataMap, stream: Stream) -> None:
    spec = STREAMS[stream]
    attached = {found.alias: found for found in spec.attached}
    real = {row.table: row.real for row in datamap.of(stream)}
    mapped = datamap.compile(facts_of(datamap), zone=ZONE).streams[stream]
    for column in mapped.columns:
        if column.table in {spec.table, PRACTICE}:
            continue
        attachment = attached[column.table]
        assert attachment.table == real[column.table], column
        if attachment.join is Join.MANY:
            assert column.name == attachment.pseudo


@pytest.mark.parametrize("stream", list(Stream))
def test_gathered_items_have_the_width_the_map_expects(datamap: DataMap, stream: Stream) -> None:
    widths = {
        "keys": 1,
        "ordered_keys": 1,
        "first_key": 1,
        "pairs": 2,
        "procedures": 2,
        "claim_lines": 9,
        "payment_splits": 8,
        "perio_measures": 9,
    }
    gathered = {a.alias: a for a in STREAMS[stream].attached if a.join is Join.MANY}
    used = {row.table: row for row in datamap.of(stream) if row.source_type == "list"}
    assert set(used) == set(gathered)
    for table, row in used.items():
        assert len(gathered[table].parts) == widths[row.transform.partition(":")[0]], table
