"""One MariaDB for these tests, an office of each engine in it, and the stand-in in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.odapi.calling import ZONE, Caller
from tests.support.mariadb import MariaDb
from tests.support.odapi import TABLES, Database, StandIn
from tests.support.odschema import load_schema

EXTRA_ROWS = (
    # Our own schema has fewer seeds than the vendor's dump: the same office either way.
    "DELETE FROM preference WHERE PrefName IN ('PracticeDefaultProv','PracticeDefaultBillType',"
    "'ApptAutoRefreshRange','BrokenApptProcedure','BrokenApptCommLog','ApptEConfirmStatusSent',"
    "'ApptEConfirmStatusAccepted','ApptEConfirmStatusDeclined','ApptEConfirmStatusSendFailed',"
    "'AppointmentTimeArrivedTrigger','PatientPhoneUsePhonenumberTable','RandomPrimaryKeys')",
    "INSERT INTO preference (PrefName,ValueString) VALUES ('PracticeDefaultProv','1'),"
    "('PracticeDefaultBillType','40'),('ApptAutoRefreshRange','4'),('BrokenApptProcedure','0'),"
    "('BrokenApptCommLog','0'),('ApptEConfirmStatusSent','289'),"
    "('ApptEConfirmStatusAccepted','21'),('ApptEConfirmStatusDeclined','290'),"
    "('ApptEConfirmStatusSendFailed','291'),('AppointmentTimeArrivedTrigger','22'),"
    "('PatientPhoneUsePhonenumberTable','0'),('RandomPrimaryKeys','0')",
    "DELETE FROM definition WHERE Category IN (2,4,13,18,27)",
    "INSERT INTO definition (DefNum,Category,ItemOrder,ItemName,ItemValue) VALUES"
    "(19,2,0,'Not Called','NotCalled'),(24,2,1,'Unconfirmed','Unconfirmed'),"
    "(21,2,2,'Appointment Confirmed','Confirmed'),(22,2,3,'Arrived','Arrived'),"
    "(289,2,4,'eConfirmSent',''),(40,4,0,'Standard Account',''),(41,4,1,'Bad Debt',''),"
    "(142,13,0,'Mailed Postcard',''),(135,18,0,'X-rays',''),(136,18,1,'Letters',''),"
    "(235,27,0,'ApptRelated','APPT'),(238,27,1,'Recall','RECALL'),(239,27,2,'Misc','MISC')",
    "DELETE FROM procedurecode WHERE ProcCode IN ('D0120','D1110','D9986','D9987')",
    "INSERT INTO procedurecode (CodeNum,ProcCode,AbbrDesc,Descript) VALUES"
    "(9001,'D0120','PerEx','periodic oral evaluation'),(9002,'D1110','Pro','prophylaxis - adult'),"
    "(9003,'D9986','Missed','missed appointment'),(9004,'D9987','Cancel','cancelled appointment')",
    "DELETE FROM recalltype", "DELETE FROM recalltrigger", "DELETE FROM schedule",
    "DELETE FROM scheduleop", "DELETE FROM appointmenttype",
    "INSERT INTO recalltype (RecallTypeNum,Description,DefaultInterval) VALUES"
    "(1,'Prophy',393216),(3,'Perio',262144)",
    "INSERT INTO recalltrigger (RecallTypeNum,CodeNum) VALUES (1,9002)",
    "INSERT INTO appointmenttype (AppointmentTypeNum,AppointmentTypeName,AppointmentTypeColor,"
    "Pattern,CodeStr) VALUES (5,'Recall visit',-16711936,'//XXXX//','D0120,D1110')",
    "UPDATE provider SET IsHidden=0, IsSecondary=(ProvNum=2) WHERE ProvNum IN (1,2)",
    "DELETE FROM operatory",
    "INSERT INTO operatory (OperatoryNum,OpName,Abbrev,ProvDentist) VALUES (1,'OP-1','O1',1),"
    "(2,'OP-2','O2',1)",
)  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[MariaDb]:
    with MariaDb() as running:
        yield running


@pytest.fixture(scope="session")
def offices(server: MariaDb) -> Callable[[str], str]:
    """A database of each engine with the later columns (24.3), the seeds and two chairs."""
    made: set[str] = set()

    def database(engine: str) -> str:
        name = f"od_{engine.lower()}"
        if name in made:
            return name
        wanted = {*TABLES, *LATER_TABLES}
        load_schema(server, name, engine=engine, later=True, tables=wanted)
        link = server.connect(name)
        with link.cursor() as cursor:
            for statement in (*(f"DELETE FROM {table}" for table in EMPTIED), *EXTRA_ROWS):
                cursor.execute(statement)
        link.close()
        made.add(name)
        return name

    return database


@pytest.fixture
def engine() -> str:
    """MyISAM, unless a test asks for both."""
    return "MyISAM"


# What the later columns of tests.support.odschema touch.
LATER_TABLES = (
    "adjustment", "claim", "claimproc", "patientnote", "payment", "paysplit", "referral",
)  # fmt: skip


@pytest.fixture(scope="session")
def callers(server: MariaDb, offices: Callable[[str], str]) -> Iterator[Callable[[str], Caller]]:
    """The running stand-in of each engine, with a caller in front; started once."""
    running: dict[str, Caller] = {}

    def caller(engine: str) -> Caller:
        if engine not in running:
            database = offices(engine)
            api = StandIn(Database(port=server.port, database=database, zone=ZONE))
            running[engine] = Caller(api.__enter__(), server.connect(database))
        return running[engine]

    yield caller
    for made in running.values():
        made.http.close()
        made.link.close()
        made.api.__exit__()


@pytest.fixture
def caller(callers: Callable[[str], Caller], engine: str) -> Iterator[Caller]:
    made = callers(engine)
    made.reset()
    yield made
    made.api.wait_quiet()
    for table in EMPTIED:
        made.run(f"DELETE FROM {table}")
    assert not made.api.crashes, made.api.crashes[0]


EMPTIED = (
    "appointment", "histappointment", "patient", "signalod", "securitylog", "securityloghash",
    "entrylog", "custreference", "commlog", "procedurelog", "procnote", "perioexam",
    "periomeasure", "recall", "patfield", "patfielddef", "apptfield", "apptfielddef", "document",
    "phonenumber", "schedule", "scheduleop",
)  # fmt: skip
