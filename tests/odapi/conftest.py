"""One MariaDB for these tests, an office of each engine in it, and the stand-in in front."""

from __future__ import annotations

from collections.abc import Iterator

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


@pytest.fixture(scope="session", params=["MyISAM", "InnoDB"])
def office(request: pytest.FixtureRequest, server: MariaDb) -> str:
    """A database of one engine with the later columns (24.3), the seeds and two chairs."""
    name = f"od_{request.param.lower()}"
    load_schema(server, name, engine=request.param, later=True, tables={*TABLES, *LATER_TABLES})
    link = server.connect(name)
    with link.cursor() as cursor:
        for statement in EXTRA_ROWS:
            cursor.execute(statement)
    link.close()
    return name


# What the later columns of tests.support.odschema touch.
LATER_TABLES = (
    "adjustment", "claim", "claimproc", "patientnote", "payment", "paysplit", "referral",
)  # fmt: skip


@pytest.fixture
def caller(server: MariaDb, office: str) -> Iterator[Caller]:
    link = server.connect(office)
    with StandIn(Database(port=server.port, database=office, zone=ZONE)) as api:
        made = Caller(api, link)
        yield made
        made.http.close()
    with link.cursor() as cursor:
        for table in EMPTIED:
            cursor.execute(f"DELETE FROM {table}")
    link.close()


EMPTIED = (
    "appointment", "histappointment", "patient", "signalod", "securitylog", "securityloghash",
    "entrylog", "custreference", "commlog", "procedurelog", "procnote", "perioexam",
    "periomeasure", "recall", "patfield", "patfielddef", "apptfield", "apptfielddef", "document",
    "phonenumber", "schedule", "scheduleop",
)  # fmt: skip
