"""What is known of Eaglesoft's tables; columns with their certainty. Pure data.

Sources: three independent replicators, integrators' queries and SAP's manuals, as collected for
this project. No row says when it changed, deletions are physical, so the schedule of the days
around today is compared every second and everything else is proven by the sweep. ``rw_*`` change
tables of another vendor may exist: reading them would be no use and emptying them a theft.

Never named here, so never selected: social security numbers, passwords and salts, security
questions and answers, licences. What only the real engine can show: the ``HASH`` function against
real text, how long a cursor holds a row at this isolation level, and the values of status codes.

Must not import a database library.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.model.streams import Stream
from drivers.layout import BASE, Attachment, Join, Lane
from drivers.odbc.contract import (
    Ask,
    Contract,
    Op,
    ServerHash,
    Setting,
    StreamDecl,
    TableDecl,
    Test,
    Window,
    columns,
    required,
    unverified,
)

OWNERS = ("PPM", "ppm", "DBA", "dba")
READ_COMMITTED = 2  # SQL_TXN_READ_COMMITTED
"""The engine's default is reading uncommitted rows: nobody waits, but a booking that is taken back
would already be in the CRM. Committed rows cost a lock on the row under the cursor, for
milliseconds; where the engine offers it, whoever waits for us longer ends our statement."""

WAIT_MS, OTHERS_WAIT_MS = 2000, 500

TABLES: tuple[TableDecl, ...] = (
    TableDecl(
        "appointment",
        ("appointment_id",),
        (
            *required("appointment_id:int start_time:stamp end_time:stamp patient_id:key"),
            *columns(
                "description location_id:key appointment_type_id:key date_appointed:stamp"
                " date_confirmed:stamp appointment_notes arrival_time:stamp inchair_time:stamp"
                " walkout_time:stamp confirmation_status:key"
            ),
        ),
    ),
    TableDecl(
        "appointment_provider",
        ("appointment_id", "provider_id"),
        required("appointment_id:key provider_id:key"),
    ),
    TableDecl("appt_types", ("type_id",), (*required("type_id:key"), *columns("description"))),
    TableDecl("chairs", ("location_id",), (*required("location_id:key"),
                                           *unverified("description"))),
    TableDecl(
        "provider",
        ("provider_id",),
        (
            *required("provider_id last_name first_name"),
            *columns("status position_id:key national_prov_id specialty"),
        ),
    ),
    TableDecl("positions", ("position_id",), (*required("position_id:key"),
                                              *columns("description"))),
    TableDecl(
        "services",
        ("service_code",),
        (
            *required("service_code:key"),
            *columns("ada_code description service_type_id:key fee:money"),
        ),
    ),
    TableDecl(
        "patient",
        ("patient_id",),
        (
            *required("patient_id:key last_name first_name"),
            *columns(
                "middle_initial preferred_name salutation address_1 address_2 city state zipcode"
                " home_phone work_phone cell_phone email_address sex birth_date:date"
                " marital_status status responsible_party:key preferred_dentist:key"
                " preferred_hygienist:key recall_frequency receive_recalls receives_sms"
                " receive_email current_bal:money thirty_day:money sixty_day:money"
                " ninety_day:money contract_balance:money estimated_insurance:money"
                " first_visit_date:date date_entered:date next_recall_date:date"
                " last_recall_date:date prim_responsible_id:key prim_relationship"
                " prim_employer_id:key prim_member_id sec_employer_id:key chart_id"
                " caesy_language notes"
            ),
        ),
    ),
    TableDecl(
        "employer",
        ("employer_id",),
        (
            *required("employer_id:key"),
            *columns("group_number group_name insurance_company_id:key"),
        ),
    ),
    TableDecl(
        "insurance_company",
        ("insurance_company_id",),
        (*required("insurance_company_id:key"), *columns("name phone1 neic_payer_id")),
    ),
    TableDecl(
        "insurance_claim",
        ("claim_id",),
        (
            *required("claim_id:int patient_id:key"),
            *columns(
                "date_created:date provider_id:key prim_employer_id:key claim_type"
                " prim_submitted_total:money prim_total_paid:money"
            ),
        ),
    ),
    TableDecl(
        "transactions_header",
        ("tran_num",),
        (
            *required("tran_num:int type status amount:money tran_date:date"),
            *columns(
                "service_code:key paytype_id:key surface fee:money description"
                " adjustment_type:key tooth"
            ),
        ),
    ),
    TableDecl(
        "transactions_detail",
        ("detail_id",),
        required("detail_id:int tran_num:key patient_id:key provider_id:key"),
    ),
    TableDecl(
        "operatory_notes",
        ("note_id",),
        (
            *required("note_id:int patient_id:key"),
            *columns("date_entered:stamp user_id:key description:note freshness:stamp"),
        ),
    ),
    TableDecl("system_preferences", (), columns("version")),
)  # fmt: skip


def _one(alias: str, own: str, column: str, to: str = BASE) -> Attachment:
    return Attachment(alias, alias, Join.ONE, own, to, column)


def _details(alias: str, pseudo: str, part: str) -> Attachment:
    """Whose the entry is and who did it: a patient or provider of a detail row, first row first."""
    return Attachment(
        alias, "transactions_detail", Join.MANY, "tran_num", BASE, "tran_num", pseudo, (part,),
        ("detail_id",),
    )  # fmt: skip


_OWNERS_OF_ENTRY = (
    _details("ledger_patients", "patients", "patient_id"),
    _details("ledger_providers", "providers", "provider_id"),
)
_LIVE = Test("status", Op.NE, ("D",), strict=True)  # ledger rows are deleted softly
_VISITS = Window("appointment", "start_time", "appointment_id")

STREAMS: dict[Stream, StreamDecl] = {
    Stream.PROVIDER: StreamDecl(
        "provider", "cold", attached=(_one("positions", "position_id", "position_id"),)
    ),
    Stream.OPERATORY: StreamDecl("chairs", "cold"),
    Stream.PROCEDURE_CODE: StreamDecl("services", "cold"),
    Stream.PATIENT: StreamDecl(
        "patient",
        "warm",
        window=Window(
            "appointment", "start_time", "patient_id", (Test("patient_id", Op.NOT_NULL),)
        ),
    ),
    Stream.APPOINTMENT: StreamDecl(
        "appointment",
        "hot",
        (Test("patient_id", Op.NOT_NULL, strict=True),),
        attached=(
            _one("appt_types", "type_id", "appointment_type_id"),
            Attachment(
                "appointment_provider", "appointment_provider", Join.MANY, "appointment_id", BASE,
                "appointment_id", "providers", ("provider_id",), ("provider_id",),
            ),
        ),
        window=_VISITS,
        polled=True,
    ),
    Stream.SCHEDULE_BLOCK: StreamDecl(
        "appointment",
        "hot",
        (Test("patient_id", Op.NULL, strict=True),),
        window=_VISITS,
        polled=True,
    ),
    Stream.RECALL: StreamDecl("patient", "warm"),
    Stream.BALANCE: StreamDecl("patient", "warm"),
    Stream.COVERAGE: StreamDecl(
        "patient",
        "warm",
        (Test("prim_employer_id", Op.NOT_NULL, strict=True),),
        attached=(
            _one("employer", "employer_id", "prim_employer_id"),
            _one("insurance_company", "insurance_company_id", "insurance_company_id", "employer"),
        ),
    ),
    Stream.PROCEDURE: StreamDecl(
        "transactions_header",
        "warm",
        (Test("type", Op.EQ, ("S",), strict=True), _LIVE),
        attached=(*_OWNERS_OF_ENTRY, _one("services", "service_code", "service_code")),
    ),
    Stream.CLAIM: StreamDecl("insurance_claim", "warm"),
    Stream.PAYMENT: StreamDecl(
        "transactions_header",
        "warm",
        (
            *(Test("type", Op.NE, (kind,), strict=True) for kind in "SCDF"),
            Test("amount", Op.NE, (0,)),
            _LIVE,
        ),
        attached=_OWNERS_OF_ENTRY,
    ),
    Stream.ADJUSTMENT: StreamDecl(
        "transactions_header",
        "warm",
        (Test("type", Op.IN, ("C", "D"), strict=True), _LIVE),
        attached=_OWNERS_OF_ENTRY,
    ),
    Stream.CLINICAL_NOTE: StreamDecl(
        "operatory_notes",
        "cold",
        lanes=(Lane("operatory_notes", "operatory_notes", "freshness", "note_id", "note_id"),),
    ),
}  # fmt: skip


def settings(signature: str) -> Sequence[Setting]:
    """What every new connection says first: who we are to an authenticated database, and that the
    office never waits for us. SQL Anywhere wants the signature before anything else."""
    said = []
    if signature:
        quoted = signature.replace("'", "''")
        said.append(
            Setting(
                f"SET TEMPORARY OPTION CONNECTION_AUTHENTICATION='{quoted}'",
                code="pms.signature_not_taken",
            )
        )
    return (
        *said,
        Setting(
            f"SET TEMPORARY OPTION blocking_others_timeout={OTHERS_WAIT_MS}",
            code="pms.no_blocking_others",
        ),
        Setting(f"SET TEMPORARY OPTION blocking_timeout={WAIT_MS}", code="pms.no_blocking_timeout"),
    )


def contract(signature: str = "") -> Contract:
    """``signature``: the maker's, for a database that wants one; reading works without."""
    return Contract(
        kind="eaglesoft",
        tables=TABLES,
        streams=STREAMS,
        owners=OWNERS,
        engines=("SQL Anywhere", "Adaptive Server Anywhere"),
        sentinels=("transactions_header",),
        version=Ask("system_preferences", "version"),
        clock=("SELECT CURRENT TIMESTAMP FROM SYS.DUMMY",),
        settings=tuple(settings(signature)),
        isolation=READ_COMMITTED,
        server_hash=ServerHash(),
    )
