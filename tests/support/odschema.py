"""Open Dental's own schema for tests: the vendor's dump where present, else ours.

The dump is the vendor's (GPL) and stays outside the project; ``OPENDENTAL_DUMP`` or the shared
folder beside the tree says where it is.
"""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Collection
from pathlib import Path

from tests.support.mariadb import MariaDb

LATER_COLUMNS = (
    "ALTER TABLE appointment ADD SecurityHash varchar(255) NOT NULL DEFAULT '',"
    " ADD ItemOrderPlanned int NOT NULL DEFAULT 0, ADD IsMirrored tinyint NOT NULL DEFAULT 0,"
    " ADD KEY DateTStamp (DateTStamp)",
    "ALTER TABLE patient ADD SecurityHash varchar(255) NOT NULL DEFAULT '',"
    " MODIFY ChartNumber varchar(100) NOT NULL DEFAULT ''",
    "ALTER TABLE patientnote ADD Pronoun tinyint NOT NULL DEFAULT 0,"
    " ADD UserNumOrthoLocked bigint NOT NULL DEFAULT 0",
    "ALTER TABLE procedurelog MODIFY SecDateEntry datetime NOT NULL DEFAULT '0001-01-01 00:00:00',"
    " ADD KEY DateTStampPN (DateTStamp, PatNum)",
    "ALTER TABLE paysplit ADD SecurityHash varchar(255) NOT NULL DEFAULT '',"
    " ADD KEY SecDateTEditPN (SecDateTEdit, PatNum)",
    "ALTER TABLE adjustment ADD KEY SecDateTEditPN (SecDateTEdit, PatNum)",
    "ALTER TABLE claim ADD SecurityHash varchar(255) NOT NULL DEFAULT '', ADD Narrative text",
    "ALTER TABLE claimproc ADD SecurityHash varchar(255) NOT NULL DEFAULT '',"
    " ADD KEY SecDateTEditPN (SecDateTEdit, PatNum)",
    "ALTER TABLE commlog ADD DateTEntry datetime NOT NULL DEFAULT '0001-01-01 00:00:00',"
    " ADD ReferralNum bigint NOT NULL DEFAULT 0,"
    " ADD CommReferralBehavior tinyint NOT NULL DEFAULT 0",
    "ALTER TABLE payment ADD MerchantFee double NOT NULL DEFAULT 0,"
    " ADD IsCcCompleted tinyint NOT NULL DEFAULT 0",
    "ALTER TABLE histappointment ADD ItemOrderPlanned int NOT NULL DEFAULT 0,"
    " ADD KEY HistDateTStamp (HistDateTStamp)",
    "ALTER TABLE securitylog MODIFY PermType smallint NOT NULL DEFAULT 0",
    "ALTER TABLE operatory ADD OperatoryType bigint NOT NULL DEFAULT 0",
    "ALTER TABLE clinic ADD EmailAliasOverride varchar(255) NOT NULL DEFAULT ''",
    "ALTER TABLE procedurecode ADD AreaAlsoToothRange tinyint NOT NULL DEFAULT 0,"
    " ADD DiagnosticCodes varchar(255) NOT NULL DEFAULT ''",
    "ALTER TABLE referral ADD BusinessName varchar(255) NOT NULL DEFAULT '',"
    " ADD DisplayNote varchar(4000) NOT NULL DEFAULT ''",
    "UPDATE preference SET ValueString='24.3.10.0' WHERE PrefName='DataBaseVersion'",
)
"""From 21.1.9 to about 24.3/25.4, as far as the agent reads."""


def dump_path() -> Path | None:
    """The vendor's dump, or None on a machine that has none."""
    named = os.environ.get("OPENDENTAL_DUMP")
    beside = Path(__file__).parents[3] / "shared" / "data" / "opendental-21.1.9.sql.gz"
    found = Path(named) if named else beside
    return found if found.exists() else None


def load_schema(
    server: MariaDb,
    database: str = "opendental",
    *,
    engine: str = "MyISAM",
    later: bool = False,
    tables: Collection[str] | None = None,
) -> None:
    """Create ``database`` with the tables and seed rows of 21.1.9, or of a later version.

    ``tables`` limits the load to some of the 379, which takes a second instead of fifteen.
    """
    link = server.connect()
    try:
        with link.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{database}` CHARACTER SET utf8mb3")
        dump = dump_path()
        if dump is None:
            _own_schema(server, database, engine=engine, later=later)
            return
        with gzip.open(dump) as packed:
            text = packed.read().replace(b"ENGINE=MyISAM", f"ENGINE={engine}".encode())
        if tables is not None:
            text = _only(text, tables)
        subprocess.run(
            ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{server.port}", "-uroot",
             "--init-command=SET SESSION sql_mode=''", database],
            input=text, check=True, capture_output=True,
        )  # fmt: skip
        with link.cursor() as cursor:
            cursor.execute(f"USE `{database}`")
            for statement in LATER_COLUMNS if later else ():
                cursor.execute(statement)
    finally:
        link.close()


def _only(dump: bytes, tables: Collection[str]) -> bytes:
    """The dump's preamble and the sections of some tables."""
    preamble, *sections = dump.split(b"/*Table structure for table `")
    wanted = {name.encode() for name in tables}
    return preamble + b"".join(
        b"/*Table structure for table `" + section
        for section in sections
        if section.split(b"`", 1)[0] in wanted
    )


SEEDS = (
    "INSERT INTO preference (PrefName,ValueString) VALUES ('DataBaseVersion','21.1.9.0'),"
    "('PracticeTitle','Relaxation Dental'),('EasyNoClinics','1'),('CorruptedDatabase','0'),"
    "('UpdateInProgressOnComputerName',''),('RandomPrimaryKeys','0'),('DateLastAging','')",
    "INSERT INTO definition (DefNum,Category,ItemName) VALUES (19,2,'Not Called'),"
    "(21,2,'Appointment Confirmed'),(69,10,'Check')",
    "INSERT INTO procedurecode (CodeNum,ProcCode,ProcCat) VALUES (1,'D0120',19)",
    "INSERT INTO provider (ProvNum,Abbr) VALUES (1,'DOC'),(2,'HYG')",
    "INSERT INTO operatory (OperatoryNum,OpName) VALUES (1,'OP-1')",
)
"""What the vendor's dump also holds, as far as tests lean on it; for SQLite and our own schema."""


def _own_schema(server: MariaDb, database: str, *, engine: str, later: bool) -> None:
    from agent.sandbox.practice.schema import Engine
    from agent.sandbox.practice.stores import MariaDbStore

    store = MariaDbStore(
        host="127.0.0.1", port=server.port, user="root", password="", database=database,
        engine=Engine(engine),
    )  # fmt: skip
    store.create_tables("24.3" if later else "21.1.9")
    store.end_bulk()
    for statement in SEEDS:
        store.run(statement)
    if later:
        store.run(LATER_COLUMNS[-1])
    store.close()
