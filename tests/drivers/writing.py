"""Offices to write to: a small practice with people, visits and set-up, and a writer for it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache, cached_property
from typing import Any

import pymysql

from agent.model.effects import Effect, EffectKind, Written
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.ports import PmsWriter
from drivers.base import Session
from drivers.opendental.office import Office
from drivers.opendental.session import MySqlSession
from drivers.opendental.streams import known_tables
from drivers.sample.session import SqliteSession
from tests.drivers.conftest import PASSWORD, USER, FilePractice, ServerPractice
from tests.drivers.readback import ZONE, ReadBack
from tests.support.mariadb import MariaDb
from tests.support.odapi import TABLES, Database, StandIn
from tests.support.odschema import load_schema

WRITER = "scribe"
ROBIN, ALEX, GONE = 11, 12, 13
VISIT, BROKEN_VISIT = 31, 32
PROCEDURE, RECALL = 51, 61

_SET_UP = (
    "DELETE FROM definition WHERE Category IN (2,4,13,18,27)",
    "INSERT INTO definition (DefNum,Category,ItemOrder,ItemName,ItemValue,ItemColor,IsHidden)"
    " VALUES (19,2,0,'Not Called','NotCalled',0,0),(24,2,1,'Unconfirmed','',0,0),"
    "(21,2,2,'Appointment Confirmed','Confirmed',0,0),(20,2,3,'Left Msg','',0,0),"
    "(22,2,4,'Arrived','',0,0),(26,2,5,'Confirmed by text','',0,0),(27,2,6,'Declined','',0,1),"
    "(40,4,0,'Standard Account','',0,0),(92,13,0,'Appointment Scheduled','',0,0),"
    "(97,13,1,'Left Msg','',0,0),(190,18,0,'Patient Pictures','',0,0),"
    "(235,27,0,'ApptRelated','APPT',0,0),(239,27,1,'Misc','MISC',0,0)",
    "DELETE FROM preference WHERE PrefName IN ('PracticeDefaultProv','PracticeDefaultBillType',"
    "'ApptAutoRefreshRange','BrokenApptProcedure','AppointmentTimeArrivedTrigger',"
    "'ApptsAllowOverlap','PatientPhoneUsePhonenumberTable','AtoZfolderUsed','BrokenApptCommLog',"
    "'ApptEConfirmStatusAccepted')",
    "INSERT INTO preference (PrefName,ValueString) VALUES ('PracticeDefaultProv','1'),"
    "('PracticeDefaultBillType','40'),('ApptAutoRefreshRange','4'),('BrokenApptProcedure','0'),"
    "('AppointmentTimeArrivedTrigger','22'),('ApptsAllowOverlap','0'),"
    "('PatientPhoneUsePhonenumberTable','1'),('AtoZfolderUsed','0'),('BrokenApptCommLog','1'),"
    "('ApptEConfirmStatusAccepted','26')",
    "DELETE FROM patfielddef",
    "INSERT INTO patfielddef (FieldName,FieldType,PickList,ItemOrder,IsHidden) VALUES"
    " ('Pharmacy',0,'',0,0),('Shirt size',1,'S\r\nM\r\nL',1,0),('VIP',3,'',2,0),"
    "('Secret',0,'',3,1)",
    "DELETE FROM apptfielddef",
    "INSERT INTO apptfielddef (FieldName,FieldType,PickList) VALUES ('Escort',0,'')",
    "DELETE FROM appointmenttype",
    "INSERT INTO appointmenttype (AppointmentTypeNum,AppointmentTypeName,Pattern,CodeStr,"
    "AppointmentTypeColor) VALUES (3,'Cleaning','///XXXXX//','',-16711936)",
    "DELETE FROM operatory",
    "INSERT INTO operatory (OperatoryNum,OpName,Abbrev,ProvDentist,ProvHygienist,IsHidden,"
    "ClinicNum) VALUES (1,'OP-1','1',1,0,0,0),(2,'OP-2','2',1,2,0,0),(9,'Old','9',1,0,1,0)",
    "DELETE FROM recalltype",
    "INSERT INTO recalltype (RecallTypeNum,Description,DefaultInterval,TimePattern,Procedures,"
    "AppendToSpecial) VALUES (1,'Prophy',393216,'','',0)",
)
_CLEARED = (
    "patient", "patientnote", "commoptout", "patfield", "phonenumber", "custreference",
    "appointment", "apptfield", "histappointment", "recall", "procedurelog", "commlog",
    "procnote", "perioexam", "periomeasure", "document", "securitylog", "securityloghash",
    "signalod", "entrylog",
)  # fmt: skip
_PEOPLE = (
    "INSERT INTO patient (PatNum,LName,FName,PatStatus,Gender,Birthdate,Guarantor,PriProv,SecProv,"
    "BillingType,HmPhone,WirelessPhone,Email,Address,City,State,Zip,SchoolName,ChartNumber)"
    " VALUES (11,'Quill','Robin',0,2,'1980-02-03',11,1,2,40,'(312)555-0100','','r@example.com',"
    "'1 Larch Walk','Millbrook','IL','60601','',''),"
    "(12,'Quill','Alex',0,1,'2010-05-06',11,1,0,40,'','','','','','','','',''),"
    "(13,'Gone','Away',4,2,'1970-01-01',13,1,0,40,'','','','','','','','','')",
    "INSERT INTO appointment (AptNum,PatNum,AptStatus,Pattern,Confirmed,Op,Note,ProvNum,ProvHyg,"
    "AptDateTime,IsHygiene,ProcsColored,ProvBarText,PatternSecondary,DateTimeArrived,"
    "DateTimeSeated,DateTimeDismissed)"
    " VALUES (31,11,1,'//XXXX//',19,1,'Window seat',1,0,'2027-03-02 09:00:00',0,'','','',"
    "'2027-03-02 00:00:00','2027-03-02 00:00:00','2027-03-02 00:00:00'),"
    "(32,12,5,'/XX/',19,2,'',1,2,'2027-03-02 09:00:00',1,'','','','2027-03-02 00:00:00',"
    "'2027-03-02 00:00:00','2027-03-02 00:00:00')",
    "INSERT INTO procedurelog (ProcNum,PatNum,AptNum,ProcStatus,CodeNum,ProvNum,ProcDate)"
    " VALUES (51,11,0,2,1,1,'2026-01-05')",
    "INSERT INTO recall (RecallNum,PatNum,RecallTypeNum,DateDue,DateDueCalc,RecallInterval,Note)"
    " VALUES (61,11,1,'2026-12-01','2026-12-01',393216,'')",
)


def refill(run: Any) -> None:
    """The practice as every test finds it."""
    run(*(f"DELETE FROM {table}" for table in _CLEARED), *_SET_UP, *_PEOPLE)


class Site:
    """A practice, how it is read back, and its writer (already probed unless ``probed=False``)."""

    def __init__(self, name: str, practice: ServerPractice | FilePractice) -> None:
        self.name = name
        self.practice = practice
        self.writer: PmsWriter

    def office(self) -> Office:
        """What a writer looks at before it writes."""
        session: Session
        if isinstance(self.practice, FilePractice):
            session = SqliteSession(self.practice.path, 1000)
        else:
            session = MySqlSession(self.practice.login(), 1000)
        source = self.practice.source()
        source._zone = ZONE  # type: ignore[attr-defined]
        return Office(session, source.probe())

    @cached_property
    def reader(self) -> ReadBack:
        return ReadBack(self.practice.source())

    def close(self) -> None:
        self.writer.close()
        self.reader.close()
        if isinstance(self.practice, FilePractice):
            self.practice.link.close()
        else:
            self.link.close()

    def rows(self, sql: str) -> list[tuple[str, ...]]:
        """Past reader and writer: what really stands there, as text."""
        if isinstance(self.practice, FilePractice):
            found: Iterable[Any] = self.practice.link.execute(sql).fetchall()
        else:
            with self.link.cursor() as cursor:
                cursor.execute(sql)
                found = cursor.fetchall()
        return [tuple("" if v is None else str(v) for v in row) for row in found]

    @cached_property
    def link(self) -> pymysql.Connection[Any]:
        assert isinstance(self.practice, ServerPractice)
        return self.practice.server.connect(self.practice.database)

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def state(self) -> dict[str, list[tuple[str, ...]]]:
        """Every row of every table a writer may touch; stamps left out."""
        state = {}
        for table in _CLEARED:
            names = self._columns_of(table)
            state[table] = sorted(self.rows(f"SELECT {','.join(names)} FROM {table}"))
        return state

    @cache  # noqa: B019 - a site lives as long as its module's tests
    def _columns_of(self, table: str) -> list[str]:
        if isinstance(self.practice, FilePractice):
            listed = [row[1] for row in self.rows(f"PRAGMA table_info({table})")]
        else:
            listed = [row[0] for row in self.rows(f"SHOW COLUMNS FROM {table}")]
        return [name for name in listed if name not in ("DateTStamp", "SecDateTEdit")]

    def write(
        self,
        kind: EffectKind,
        stream: Stream,
        key: Key | None,
        fields: dict[str, Any],
        **options: str,
    ) -> Written:
        return self.writer.write(Effect(kind, stream, key, fields, options))


def load(server: MariaDb, database: str, engine: str, *, later: bool) -> ServerPractice:
    tables = {*known_tables(), *TABLES, "clinicpref"}
    load_schema(server, database, engine=engine, later=later, tables=tables)
    link = server.connect()
    with link.cursor() as cursor:
        for host in ("%", "localhost"):
            cursor.execute(f"GRANT SELECT ON `{database}`.* TO '{USER}'@'{host}'")
            cursor.execute(
                f"CREATE USER IF NOT EXISTS '{WRITER}'@'{host}' IDENTIFIED BY '{PASSWORD}'"
            )
            cursor.execute(
                f"GRANT SELECT,INSERT,UPDATE,DELETE ON `{database}`.* TO '{WRITER}'@'{host}'"
            )
    link.close()
    return ServerPractice(server, database, engine)


def stand_in(practice: ServerPractice, **options: Any) -> AbstractContextManager[StandIn]:
    database = Database(port=practice.server.port, database=practice.database, zone=ZONE)
    return StandIn(database, **options)
