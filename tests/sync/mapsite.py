"""A made-up site for map tests: SourceFacts with every column the map names, and pages of text."""

from __future__ import annotations

import random
from collections.abc import Mapping

from agent.model.reading import Column, Page, SourceFacts, StreamFacts, TableFacts
from agent.model.streams import Stream
from agent.sync.datamap import DataMap, StreamMap

ZONE = "America/Chicago"


def facts_of(datamap: DataMap, *, later: bool = True) -> SourceFacts:
    """A site with all mapped columns; ``later=False`` leaves out what came after 21.1.9."""
    tables: dict[str, dict[str, str]] = {}
    for row in datamap.rows:
        if row.column and row.source_type not in {"list", "pseudo"} and (later or not row.since):
            tables.setdefault(row.real, {})[row.column] = row.source_type
        elif row.source_type == "list":
            tables.setdefault(row.real, {})
    streams = {
        stream: StreamFacts(
            table=datamap.base_of(stream).real,
            key=datamap.base_of(stream).column,
            rows=0,
            tables=(),
            lanes=(),
            windowed=False,
            tier="warm",
        )
        for stream in datamap.streams
    }
    return SourceFacts(
        kind="opendental",
        version="24.3.10.0" if later else "21.1.9.0",
        server="MariaDB 10.11",
        identity="test",
        zone=ZONE,
        tables={name: TableFacts(columns) for name, columns in tables.items()},
        streams=streams,
    )


def page_of(mapped: StreamMap, rows: list[Mapping[str, str | None]], *, first_key: int = 1) -> Page:
    """Rows given by column name ("Column" or "table.Column"); other columns are null."""

    def value(row: Mapping[str, str | None], column: Column) -> str | None:
        qualified = f"{column.table}.{column.name}"
        return row[qualified] if qualified in row else row.get(column.name)

    return Page(
        [
            (first_key + at, at, -at, *(value(row, column) for column in mapped.columns))
            for at, row in enumerate(rows)
        ]
    )


APPOINTMENT: dict[str, str | None] = {
    "PatNum": "12",
    "AptStatus": "1",
    "Pattern": "//XXXXXX//",
    "Confirmed": "21",
    "TimeLocked": "0",
    "Op": "3",
    "Note": "",
    "ProvNum": "1",
    "ProvHyg": "0",
    "AptDateTime": "2026-03-02 09:30:00",
    "NextAptNum": "0",
    "UnschedStatus": "0",
    "IsNewPatient": "0",
    "ProcDescript": "PerEx, Pro",
    "Assistant": "0",
    "ClinicNum": "0",
    "IsHygiene": "0",
    "DateTimeArrived": "2026-03-02 00:00:00",
    "DateTimeSeated": "2026-03-02 00:00:00",
    "DateTimeDismissed": "2026-03-02 00:00:00",
    "DateTimeAskedToArrive": "0001-01-01 00:00:00",
    "InsPlan1": "7",
    "InsPlan2": "0",
    "AppointmentTypeNum": "0",
    "SecDateTEntry": "2026-01-15 11:12:13",
    "Priority": "0",
    "confirmed.ItemName": "Appointment Confirmed",
    "procedurelog.procs": "91\x1f5\x1e90\x1f4",
}

PATIENT: dict[str, str | None] = {
    "LName": "Osterhagen",
    "FName": "Philippa",
    "MiddleI": "Q",
    "Preferred": "",
    "PatStatus": "0",
    "Gender": "1",
    "Position": "0",
    "Birthdate": "1984-05-06",
    "Guarantor": "1",
    "SuperFamily": "0",
    "HmPhone": "(503)555-0123",
    "WkPhone": "",
    "WirelessPhone": "(503)555-0188",
    "Email": "p.osterhagen@example.com",
    "Address": "12 Low Road",
    "Address2": "",
    "City": "Salem",
    "State": "OR",
    "Zip": "97301",
    "PreferContactMethod": "4",
    "PreferConfirmMethod": "8",
    "PreferRecallMethod": "5",
    "PreferContactConfidential": "0",
    "Language": "",
    "TxtMsgOk": "1",
    "PriProv": "1",
    "SecProv": "0",
    "ClinicNum": "0",
    "BillingType": "40",
    "FeeSched": "0",
    "ChartNumber": "",
    "DateFirstVisit": "2019-04-01",
    "SecDateEntry": "2019-03-20",
    "AdmitDate": "0001-01-01",
    "DateTimeDeceased": "0001-01-01 00:00:00",
    "Premed": "0",
    "HasIns": "I",
    "HasSignedTil": "0",
    "ShortCodeOptIn": "0",
    "AskToArriveEarly": "0",
    "StudentStatus": "N",
    "EmployerNum": "0",
    "SiteNum": "0",
    "ResponsParty": "0",
}


def many_appointments(count: int, seed: int = 7) -> list[Mapping[str, str | None]]:
    """Varied visits in the order a practice makes them: keys and days grow together."""
    rng = random.Random(seed)
    rows: list[Mapping[str, str | None]] = []
    for at in range(count):
        day = f"{2016 + at * 10 // max(count, 10):04d}-{at * 120 // max(count, 1) % 12 + 1:02d}"
        day = f"{day}-{rng.randrange(1, 29):02d}"
        hour = f"{rng.randrange(8, 18):02d}:{rng.choice(('00', '10', '20', '30', '40', '50'))}:00"
        rows.append(
            APPOINTMENT
            | {
                "PatNum": str(rng.randrange(1, count + 2)),
                "AptStatus": rng.choice("1222256"),
                "Pattern": "/" * rng.randrange(3) + "X" * rng.randrange(3, 12),
                "Confirmed": rng.choice(("19", "21", "22", "24")),
                "Op": str(rng.randrange(1, 7)),
                "Note": rng.choice(("", "", "", f"Prefers mornings, call first {at}")),
                "ProvNum": str(rng.randrange(1, 6)),
                "ProvHyg": rng.choice(("0", "7", "8")),
                "IsNewPatient": rng.choice("00001"),
                "AptDateTime": f"{day} {hour}",
                "DateTimeArrived": f"{day} 00:00:00",
                "DateTimeSeated": f"{day} 00:00:00",
                "DateTimeDismissed": f"{day} 00:00:00",
                "SecDateTEntry": f"{day} 10:{rng.randrange(60):02d}:{rng.randrange(60):02d}",
                "procedurelog.procs": f"{at * 2}\x1f{rng.randrange(1, 90)}"
                if at % 3
                else f"{at * 2}\x1f3\x1e{at * 2 + 1}\x1f{rng.randrange(1, 90)}",
            }
        )
    return rows


def many_patients(count: int, seed: int = 7) -> list[Mapping[str, str | None]]:
    rng = random.Random(seed)
    last = [
        f"{a}{b}" for a in ("Al", "Ber", "Cor", "Dun", "Els", "Far") for b in ("by", "ton", "ley")
    ]
    first = ["Ada", "Björn", "Chloé", "Dev", "Ewa", "Finn", "Gita", "Hal", "Ines", "Jo"]
    rows: list[Mapping[str, str | None]] = []
    for at in range(count):
        name, given = rng.choice(last), rng.choice(first)
        area = rng.choice(("503", "971", "541", "360"))
        rows.append(
            PATIENT
            | {
                "LName": name,
                "FName": given,
                "Guarantor": str(at + 1 - at % 3),
                "Gender": rng.choice("01"),
                "Birthdate": f"{rng.randrange(1930, 2024)}-0{rng.randrange(1, 10)}-11",
                "HmPhone": f"({area}){rng.randrange(220, 990)}-{rng.randrange(10000):04d}",
                "WirelessPhone": f"({area}){rng.randrange(220, 990)}-{rng.randrange(10000):04d}",
                "Email": f"{name.lower()}.{at}@example.com" if at % 4 else "",
                "Address": f"{rng.randrange(1, 9000)} Low Road",
                "DateFirstVisit": f"20{rng.randrange(10, 26)}-04-1{rng.randrange(10)}",
                "SecDateEntry": f"20{rng.randrange(10, 26)}-03-1{rng.randrange(10)}",
            }
        )
    return rows


STREAM_ROWS = {Stream.APPOINTMENT: many_appointments, Stream.PATIENT: many_patients}
