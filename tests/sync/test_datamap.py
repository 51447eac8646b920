"""The data map: complete, checked line by line, held against a site, and mapping pages."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ConfigError
from agent.model.entities import RECORD_OF
from agent.model.reading import Page, Severity, SourceFacts, TableFacts
from agent.model.streams import Stream
from agent.sync.datamap import MAPS, CompiledMap, DataMap, StreamMap, load_map
from agent.sync.maprows import COLUMNS, PSEUDO_TYPES, Way
from tests.sync.mapsite import (
    APPOINTMENT,
    PATIENT,
    ZONE,
    facts_of,
    many_appointments,
    many_patients,
    page_of,
)

DUMP = Path(__file__).resolve().parents[3] / "shared" / "data" / "opendental-21.1.9.sql.gz"
HEADER = ",".join(COLUMNS)


@pytest.fixture(scope="module")
def datamap() -> DataMap:
    return load_map("opendental")


@pytest.fixture(scope="module")
def compiled(datamap: DataMap) -> CompiledMap:
    return datamap.compile(facts_of(datamap), zone=ZONE)


def with_table(facts: SourceFacts, table: str, columns: dict[str, str]) -> SourceFacts:
    """The site with ``columns`` changed in a table; "" takes a column away."""
    kept = {**facts.tables[table].columns, **columns}
    tables = {**facts.tables, table: TableFacts({n: t for n, t in kept.items() if t})}
    return msgspec.structs.replace(facts, tables=tables)


def record(mapped: StreamMap, row: dict[str, str | None], *, key: int = 1) -> Any:
    observed, bad = mapped.observe(page_of(mapped, [row], first_key=key))
    assert not bad
    return msgspec.json.decode(observed[0].canon, type=RECORD_OF[mapped.stream])


def codes(compiled: CompiledMap) -> dict[str, Severity]:
    return {finding.code: finding.severity for finding in compiled.findings}


# --- the shipped map is complete --------------------------------------------------------------


def test_every_stream_has_rows(datamap: DataMap) -> None:
    assert set(datamap.streams) == set(Stream)


@pytest.mark.parametrize("stream", list(Stream))
def test_the_map_fills_every_field_and_no_other(datamap: DataMap, stream: Stream) -> None:
    mapped = {row.field for row in datamap.of(stream) if row.is_mapped}
    assert mapped == {*RECORD_OF[stream].__struct_fields__} - {"extra"}


def test_private_columns_are_known_and_never_carried(datamap: DataMap) -> None:
    private = {"SSN", "Password", "MedicaidID", "DEANum", "StateLicense", "Signature"}
    named = [row for row in datamap.rows if row.column in private]
    assert {row.column for row in named} > {"SSN", "MedicaidID"}
    assert all(row.direction is Way.NONE and row.note for row in named)


def test_row_stamps_are_no_content(datamap: DataMap) -> None:
    assert not [r for r in datamap.rows if r.source_type == "timestamp" and r.is_mapped]


def test_only_what_both_sides_may_change_keeps_a_base_to_merge_from(
    compiled: CompiledMap,
) -> None:
    """Notes and exams are written too, but only ever added."""
    assert {stream for stream, mapped in compiled.streams.items() if mapped.merges} == {
        Stream.PATIENT,
        Stream.APPOINTMENT,
        Stream.RECALL,
    }


@pytest.fixture(scope="module")
def real_tables() -> dict[str, dict[str, str]]:
    if not DUMP.exists():
        pytest.skip("no Open Dental dump beside the tree")
    with gzip.open(DUMP, "rt", encoding="utf-8", errors="replace") as lines:
        dump = lines.read()
    return {
        found[1]: dict(re.findall(r"^\s*`(\w+)` ([a-z]+(?:\(\d+\))?)", found[2], re.MULTILINE))
        for found in re.finditer(r"CREATE TABLE `(\w+)` \((.*?)\n\) ENGINE", dump, re.DOTALL)
    }


def real_site(datamap: DataMap, tables: dict[str, dict[str, str]]) -> SourceFacts:
    return msgspec.structs.replace(
        facts_of(datamap), tables={name: TableFacts(columns) for name, columns in tables.items()}
    )


def test_every_column_of_the_real_base_tables_is_known(
    datamap: DataMap, real_tables: dict[str, dict[str, str]]
) -> None:
    for stream in set(Stream) - {Stream.PRACTICE}:
        table = datamap.base_of(stream).real
        assert not set(real_tables[table]) - datamap.known_columns(table), table


def test_every_mapped_column_is_in_the_real_schema_or_says_since_when(
    datamap: DataMap, real_tables: dict[str, dict[str, str]]
) -> None:
    for row in datamap.rows:
        if row.column and row.source_type not in PSEUDO_TYPES:
            present = row.column in real_tables[row.real]
            assert present != bool(row.since), (row.real, row.column)


def test_the_real_21_1_9_schema_compiles_with_notes_only(
    datamap: DataMap, real_tables: dict[str, dict[str, str]]
) -> None:
    compiled = datamap.compile(real_site(datamap, real_tables), zone=ZONE)
    assert set(compiled.streams) == set(Stream)
    assert codes(compiled) == {"map.column_missing": Severity.NOTE}
    assert all(finding.facts["since"] for finding in compiled.findings)


def test_the_later_schema_compiles_without_findings(compiled: CompiledMap) -> None:
    assert compiled.findings == ()
    assert set(compiled.streams) == set(Stream)


# --- records ----------------------------------------------------------------------------------


def test_an_appointment(compiled: CompiledMap) -> None:
    visit = record(compiled.streams[Stream.APPOINTMENT], APPOINTMENT, key=77)
    assert visit.key == "77"
    assert (visit.status, visit.status_raw) == ("scheduled", None)
    assert visit.confirmation == "Appointment Confirmed"
    assert visit.confirmation_category == "confirmed"
    assert (visit.start, visit.end) == ("2026-03-02T15:30:00Z", "2026-03-02T16:20:00Z")
    assert (visit.start_local, visit.zone) == ("2026-03-02T09:30:00", ZONE)
    assert visit.minutes == 50
    assert (visit.provider_key, visit.hygienist_key, visit.operatory_key) == ("1", None, "3")
    assert [(p.key, p.code_key) for p in visit.procedures] == [("90", "4"), ("91", "5")]
    assert (visit.arrived, visit.seated, visit.dismissed) == (None, None, None)
    assert visit.is_new_patient is False
    assert visit.created == "2026-01-15T17:12:13Z"


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("Not Called", "unconfirmed"),
        ("Unconfirmed", "unconfirmed"),
        ("Appointment Confirmed", "confirmed"),
        ("Left Msg", "contacted"),
        ("Arrived", "arrived"),
        ("Ready to go back", "ready"),
        ("In Treatment Room", "seated"),
        ("Front Desk", "arrived"),
        ("E-mailed", "contacted"),
        ("Texted", "contacted"),
        ("eConfirmSent", "contacted"),
        ("eConfirmCallBack", "declined"),
        ("eConfirmFailure", "unconfirmed"),
        ("Created from Web Sched", "unconfirmed"),
        ("Our own word", "other"),
    ],
)
def test_stock_confirmations(compiled: CompiledMap, name: str, category: str) -> None:
    row = {**APPOINTMENT, "confirmed.ItemName": name}
    assert record(compiled.streams[Stream.APPOINTMENT], row).confirmation_category == category


def test_a_patient(compiled: CompiledMap) -> None:
    row = {
        **PATIENT,
        "SuperFamily": "5",
        "WkPhone": "ask Bo",
        "commoptout.OptOutSms": "4",
        "commoptout.OptOutEmail": "1",
        "merge.PatNumTo": "9",
        "refattach.from": "31\x1e30",
        "patfield.pairs": "Shoe\x1f9",
        "SSN": "000000000",
    }
    person = record(compiled.streams[Stream.PATIENT], row, key=1)
    assert (person.last_name, person.family_role, person.guarantor_key) == (
        "Osterhagen",
        "head",
        "1",
    )
    assert (person.phone_home, person.phone_mobile) == ("+15035550123", "+15035550188")
    assert (person.phone_work, person.phone_work_raw) == (None, "ask Bo")
    assert person.emails == ("p.osterhagen@example.com",)
    assert (person.sms_consent, person.sms_consent_source) == ("granted", "patient.TxtMsgOk")
    assert person.sms_consent_at is None
    assert (person.email_consent, person.email_consent_source) == (
        "denied",
        "commoptout.OptOutEmail",
    )
    assert (person.opt_out_sms, person.opt_out_email) == (("reminder",), ("all",))
    assert (person.merged_into, person.referral_source_key) == ("9", "31")
    assert person.referral_source_keys == ("31", "30")
    assert (person.custom, person.extra) == ({"Shoe": "9"}, {})
    assert (person.deceased, person.first_visit) == (None, "2019-04-01")


def test_the_social_security_number_is_never_bound(compiled: CompiledMap) -> None:
    bound = {column.name for mapped in compiled.streams.values() for column in mapped.columns}
    assert not bound & {"SSN", "MedicaidID", "SecurityHash", "DEANum"}


def test_family_amounts_stand_on_the_guarantor(compiled: CompiledMap) -> None:
    mapped = compiled.streams[Stream.BALANCE]
    row: dict[str, str | None] = {"Guarantor": "1", "EstBalance": "12.5", "BalTotal": "80"}
    head, member = record(mapped, row, key=1), record(mapped, row, key=2)
    assert (head.family_total, head.individual, head.is_guarantor) == ("80.00", "12.50", True)
    assert (member.family_total, member.individual, member.is_guarantor) == (None, "12.50", False)


def test_a_blockout(compiled: CompiledMap) -> None:
    row: dict[str, str | None] = {
        "SchedDate": "2026-03-02",
        "StartTime": "12:00:00",
        "StopTime": "13:00:00",
        "SchedType": "2",
        "Status": "0",
        "blockout.ItemName": "Lunch",
        "blockout.ItemValue": "NS,DC",
        "scheduleop.ops": "12\x1e3",
    }
    block = record(compiled.streams[Stream.SCHEDULE_BLOCK], row)
    assert (block.kind, block.blockout_type, block.forbids_booking) == ("blockout", "Lunch", True)
    assert (block.start, block.end) == ("2026-03-02T18:00:00Z", "2026-03-02T19:00:00Z")
    assert (block.start_local, block.operatory_keys) == ("12:00", ("3", "12"))


def test_an_unknown_status_keeps_its_number_and_is_reported(datamap: DataMap) -> None:
    compiled = datamap.compile(facts_of(datamap), zone=ZONE)
    mapped = compiled.streams[Stream.APPOINTMENT]
    assert mapped.strangers == {}
    visit = record(mapped, {**APPOINTMENT, "AptStatus": "99"})
    assert (visit.status, visit.status_raw) == ("unknown", "99")
    assert mapped.strangers == {"status": frozenset({"99"})}
    (finding,) = compiled.unmapped(Stream.APPOINTMENT, "AptStatus", ["1", "99", ""])
    assert finding.code == "map.value_unmapped"
    assert finding.facts["value"] == "99"
    assert (Stream.APPOINTMENT, "AptStatus") in compiled.enumerated
    assert compiled.unmapped(Stream.APPOINTMENT, "Note", ["x"]) == ()


# --- pages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 600])
@pytest.mark.parametrize("stream", [Stream.APPOINTMENT, Stream.PATIENT])
def test_the_bytes_are_those_of_the_record_type(
    compiled: CompiledMap, stream: Stream, count: int
) -> None:
    """The narrowed types of large pages must not show: canon is the full record's encoding."""
    mapped = compiled.streams[stream]
    rows = many_patients(count) if stream is Stream.PATIENT else many_appointments(count)
    observed, bad = mapped.observe(page_of(mapped, rows))
    assert not bad
    assert len(observed) == count
    for row in observed:
        whole = msgspec.json.decode(row.canon, type=RECORD_OF[stream])
        assert msgspec.json.encode(whole) == row.canon
        assert row.hash == hashlib.sha256(row.canon).digest()[:16]
        assert whole.key == str(row.key)


def test_a_record_is_the_same_alone_and_in_a_page(compiled: CompiledMap) -> None:
    mapped = compiled.streams[Stream.APPOINTMENT]
    page = page_of(mapped, many_appointments(520))
    together, _ = mapped.observe(page)
    alone = [mapped.observe(Page([row]))[0][0] for row in page.rows]
    assert together == alone


def test_one_odd_value_in_a_column_of_equals(compiled: CompiledMap) -> None:
    mapped = compiled.streams[Stream.APPOINTMENT]
    rows = [{**APPOINTMENT, "Note": "late" if at == 7 else ""} for at in range(20)]
    observed, _ = mapped.observe(page_of(mapped, rows))
    assert [b'"note"' in row.canon for row in observed] == [at == 7 for at in range(20)]


def test_an_arrival_of_no_text_is_none_whatever_stands_beside_it(compiled: CompiledMap) -> None:
    mapped = compiled.streams[Stream.APPOINTMENT]
    rows = [{**APPOINTMENT, "DateTimeArrived": ""}, {**APPOINTMENT, "DateTimeArrived": "0"}]
    observed, _ = mapped.observe(page_of(mapped, rows))
    assert [b'"arrived"' in row.canon for row in observed] == [False, False]


SHIPPED = load_map("opendental")
TWINS = [SHIPPED.compile(facts_of(SHIPPED), zone=ZONE) for _ in range(2)]
CELLS = st.one_of(st.none(), st.sampled_from(["", "0", "1", "2026-03-02", "7.5", "a\nb", "\x1f"]))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_page_maps_the_same_way_twice_and_loses_no_row(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(list(Stream)))
    fresh = [site.streams[stream] for site in TWINS]
    width = len(fresh[0].columns)
    rows = data.draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5))
    page = Page([(at, 0, 0, *row) for at, row in enumerate(rows, 1)])
    first, second = (mapped.observe(page) for mapped in fresh)
    again = fresh[0].observe(page)
    assert first == second == again
    observed, bad = first
    assert sorted([row.key for row in observed] + [row.key for row in bad]) == [
        r[0] for r in page.rows
    ]
    for row in observed:
        msgspec.json.decode(row.canon, type=RECORD_OF[stream])
    # A row maps as it would alone: nothing of its neighbours shows.
    alone = [fresh[1].observe(Page([row])) for row in page.rows]
    assert observed == [row for good, _ in alone for row in good]
    assert bad == [row for _, wrong in alone for row in wrong]


def test_bad_rows_stand_aside_and_say_no_value(compiled: CompiledMap) -> None:
    mapped = compiled.streams[Stream.APPOINTMENT]
    rows = many_appointments(50)
    rows[7] = {**rows[7], "AptDateTime": "2026-13-45 99:00:00"}
    rows[31] = {**rows[31], "Note": "half a \ud800 sign"}
    observed, bad = mapped.observe(page_of(mapped, rows))
    assert {(row.key, row.reason) for row in bad} == {
        (8, "map.unreadable:start"),
        (32, "map.unreadable:text"),
    }
    assert [row.key for row in observed] == [k for k in range(1, 51) if k not in {8, 32}]


def test_an_empty_page(compiled: CompiledMap) -> None:
    assert compiled.streams[Stream.PATIENT].observe(Page([])) == ([], [])


def test_a_page_of_other_columns_is_a_bug_not_a_bad_row(compiled: CompiledMap) -> None:
    with pytest.raises(ValueError, match="bound"):
        compiled.streams[Stream.PATIENT].observe(Page([(1, 0, 0, "x")]))


# --- a site that differs ----------------------------------------------------------------------


def test_a_missing_optional_column_is_a_note(datamap: DataMap) -> None:
    facts = with_table(facts_of(datamap), "appointment", {"Priority": ""})
    compiled = datamap.compile(facts, zone=ZONE)
    assert codes(compiled) == {"map.column_missing": Severity.NOTE}
    visit = record(compiled.streams[Stream.APPOINTMENT], APPOINTMENT)
    assert visit.priority is None
    assert visit.start


def test_a_missing_required_column_makes_the_stream_unreadable(datamap: DataMap) -> None:
    facts = with_table(facts_of(datamap), "appointment", {"AptDateTime": ""})
    compiled = datamap.compile(facts, zone=ZONE)
    assert codes(compiled)["map.required_missing"] is Severity.ERROR
    assert set(compiled.streams) == set(Stream) - {Stream.APPOINTMENT}


def test_a_missing_table_makes_the_stream_unreadable(datamap: DataMap) -> None:
    facts = facts_of(datamap)
    tables = {name: table for name, table in facts.tables.items() if name != "labcase"}
    compiled = datamap.compile(msgspec.structs.replace(facts, tables=tables), zone=ZONE)
    assert codes(compiled) == {"map.table_missing": Severity.ERROR}
    assert Stream.LAB_CASE not in compiled.streams


def test_a_missing_attached_table_costs_its_fields_only(datamap: DataMap) -> None:
    facts = facts_of(datamap)
    tables = {name: table for name, table in facts.tables.items() if name != "commoptout"}
    compiled = datamap.compile(msgspec.structs.replace(facts, tables=tables), zone=ZONE)
    person = record(compiled.streams[Stream.PATIENT], PATIENT)
    assert (person.sms_consent, person.opt_out_sms) == ("granted", ())
    assert not [c for c in compiled.streams[Stream.PATIENT].columns if c.table == "commoptout"]


def test_a_renamed_column_is_suspected(datamap: DataMap) -> None:
    facts = with_table(
        facts_of(datamap), "appointment", {"ProcDescript": "", "ProcDescription": "text"}
    )
    compiled = datamap.compile(facts, zone=ZONE)
    renamed = [f for f in compiled.findings if f.code == "map.column_renamed"]
    assert [(f.facts["column"], f.facts["maybe"]) for f in renamed] == [
        ("ProcDescript", "ProcDescription")
    ]


def test_a_retyped_column_is_a_warning_unless_of_the_same_kind(datamap: DataMap) -> None:
    facts = with_table(
        facts_of(datamap),
        "appointment",
        {"AptStatus": "smallint(5)", "Note": "mediumtext", "Op": "varchar(20)"},
    )
    compiled = datamap.compile(facts, zone=ZONE)
    retyped = [f for f in compiled.findings if f.code == "map.column_retyped"]
    assert [(f.facts["column"], f.facts["found"]) for f in retyped] == [("Op", "varchar(20)")]
    assert Stream.APPOINTMENT in compiled.streams


def test_unknown_columns_are_carried_but_not_private_ones(datamap: DataMap) -> None:
    strange = {
        "ShoeSize": "varchar(10)",
        "LastSeen": "timestamp",
        "Photo": "longblob",
        "PatientSSN4": "varchar(4)",
        "WebPassword": "varchar(255)",
    }
    facts = with_table(facts_of(datamap), "patient", strange)
    compiled = datamap.compile(facts, zone=ZONE)
    found = {f.facts["column"]: f.code for f in compiled.findings}
    assert found.pop("ShoeSize") == "map.column_carried"
    assert set(found) == {"LastSeen", "Photo", "PatientSSN4", "WebPassword"}
    assert set(found.values()) == {"map.column_withheld"}
    mapped = compiled.streams[Stream.PATIENT]
    assert record(mapped, {**PATIENT, "ShoeSize": " 9 "}).extra == {"ShoeSize": "9"}
    assert record(mapped, {**PATIENT, "ShoeSize": ""}).extra == {}
    # the balance stream reads the same table and must not carry it a second time
    assert "ShoeSize" not in {c.name for c in compiled.streams[Stream.BALANCE].columns}


def test_unknown_columns_are_left_alone_when_told_so(datamap: DataMap) -> None:
    facts = with_table(facts_of(datamap), "patient", {"ShoeSize": "varchar(10)"})
    compiled = datamap.compile(facts, zone=ZONE, carry_unknown=False)
    assert "ShoeSize" not in {c.name for c in compiled.streams[Stream.PATIENT].columns}


def test_an_unknown_zone_is_one_clear_error(datamap: DataMap) -> None:
    with pytest.raises(ConfigError) as caught:
        datamap.compile(facts_of(datamap), zone="Mars/Base")
    assert caught.value.code == "practice.zone"


# --- a site's own rows ------------------------------------------------------------------------


def site_rows(*rows: str) -> str:
    return "\n".join([HEADER, *rows])


BASE = (
    "patient,key,key,patient,PatNum,bigint,id,to_crm,pms,pms,,yes,,\n"
    "patient,first_name,text,patient,FName,varchar,name,to_crm,pms,pms,,,,\n"
    "patient,,,patient,Ward,varchar,,none,pms,pms,,,,"
)


def test_a_site_replaces_a_row_and_adds_its_own_fields() -> None:
    site = site_rows(
        "patient,first_name,text,patient,FName,varchar,text,to_crm,pms,pms,,,,as typed",
        "patient,custom.ward,text,patient,Ward,varchar,text,to_crm,pms,pms,,,,",
        "patient,extra.paid,money,patient,Paid,double,money,to_crm,pms,pms,,,,",
    )
    datamap = DataMap.load(site_rows(BASE), site)
    mapped = datamap.compile(facts_of(datamap), zone=ZONE).streams[Stream.PATIENT]
    person = record(mapped, {"FName": "Ann  Lee", "Ward": "B", "Paid": "7.5"})
    assert person.first_name == "Ann  Lee"
    assert person.custom == {"ward": "B"}
    assert person.extra == {"paid": "7.50"}


def test_a_sites_own_fields_join_the_pms_custom_fields() -> None:
    row = "patient,custom.ward,text,patient,Ward,varchar,text,to_crm,pms,pms,,,,"
    shipped = (MAPS / "opendental.csv").read_text(encoding="utf-8")
    datamap = DataMap.load(shipped, site_rows(row))
    mapped = datamap.compile(facts_of(datamap), zone=ZONE).streams[Stream.PATIENT]
    person = record(mapped, {**PATIENT, "Ward": "B", "patfield.pairs": "Zoo\x1fyes\x1eAnt\x1f1"})
    assert person.custom == {"Ant": "1", "Zoo": "yes", "ward": "B"}
    assert list(person.custom) == ["Ant", "Zoo", "ward"]


def test_a_site_can_switch_a_field_off() -> None:
    site = site_rows("patient,first_name,,patient,FName,varchar,,none,pms,pms,,,,not for the CRM")
    datamap = DataMap.load(site_rows(BASE), site)
    compiled = datamap.compile(facts_of(datamap), zone=ZONE)
    assert compiled.streams[Stream.PATIENT].columns == ()
    assert compiled.findings == ()


@pytest.mark.parametrize(
    ("rows", "code", "line"),
    [
        ("nothing,first_name,text,patient,FName,varchar,name,to_crm,pms,pms,,,,", "map.stream", 5),
        ("patient,shoe,text,patient,Shoe,varchar,text,to_crm,pms,pms,,,,", "map.field", 5),
        ("patient,extra,text,patient,Shoe,varchar,text,to_crm,pms,pms,,,,", "map.field", 5),
        ("provider,custom.x,text,provider,X,varchar,text,to_crm,pms,pms,,,,", "map.field", 5),
        ("patient,city,text,patient,City,varchar,text,sideways,pms,pms,,,,", "map.direction", 5),
        ("patient,city,text,patient,City,varchar,text,to_crm,me,pms,,,,", "map.owner", 5),
        ("patient,city,text,patient,City,varchar,text,to_crm,pms,best,,,,", "map.on_conflict", 5),
        ("patient,city,string,patient,City,varchar,text,to_crm,pms,pms,,,,", "map.crm_type", 5),
        ("patient,city,text,patient,City,varchar,shout,to_crm,pms,pms,,,,", "map.transform", 5),
        ("patient,city,text,,,,text,to_crm,pms,pms,,,,", "map.source_missing", 5),
        ("patient,status,enum,patient,S,int,enum:0=asleep,to_crm,pms,pms,,,,", "map.word", 5),
        ("patient,status,enum,patient,S,int,text,to_crm,pms,pms,,,,", "map.transform", 5),
        ("patient,custom.x,text,patient,X,int,bool,to_crm,pms,pms,,,,", "map.transform", 5),
        (
            "patient,status_raw,text,patient,S,int,unmapped:status,to_crm,pms,pms,,,,",
            "map.transform",
            5,
        ),
        ("patient,first_name,text,patient,N,varchar,name,to_crm,pms,pms,,,,", "map.twice", 5),
        ("patient,city,text,patient,Ward,varchar,name,to_crm,pms,pms,,,,", "map.twice", 4),
        ("patient,city,text", "map.cells", 5),
    ],
)
def test_a_wrong_row_is_named(rows: str, code: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        DataMap.load(site_rows(BASE, rows), origin="x.csv")
    assert (caught.value.code, caught.value.facts["row"], caught.value.facts["file"]) == (
        code,
        line,
        "x.csv",
    )


def test_a_wrong_header_a_map_without_key_and_an_unknown_kind() -> None:
    with pytest.raises(ConfigError, match=r"map\.header"):
        DataMap.load("stream,field\n")
    with pytest.raises(ConfigError, match=r"map\.no_key"):
        DataMap.load(site_rows(BASE.splitlines()[1]))
    with pytest.raises(ConfigError, match=r"map\.no_such_kind"):
        load_map("abacus")
    with pytest.raises(ConfigError, match=r"map\.unreadable_file"):
        load_map("opendental", "no-such-file.csv")
