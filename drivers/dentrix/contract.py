"""What is known of Dentrix's tables and views; columns with their certainty. Pure data.

Sources: public integrations that read Dentrix over ODBC, one structure dump of a G6 database
(tables A to M), the maker's help and FairCom's manuals, as collected for this project. Columns
nobody published (patients' mobile numbers and e-mails, recalls, procedure codes) are not guessed:
they are not here.

What only the real engine can show: whether ``automodifiedtimestamp`` moves on every way of writing
and is indexed, whether the base tables and ``appthist`` are granted to a given licence (the probe
asks each), how the driver spells its limits and types.

Must not import a database library.
"""

from __future__ import annotations

import msgspec

from agent.model.streams import Stream
from drivers.layout import BASE, Attachment, Join, Lane
from drivers.odbc.contract import (
    Ask,
    Contract,
    LogDecl,
    Op,
    Place,
    StreamDecl,
    TableDecl,
    Test,
    Window,
    columns,
    required,
    unverified,
)

OWNER = "admin"
PRACTICE_TYPE = 0  # rsc.rsctype of the practice's own row
STAMP = "automodifiedtimestamp"
READ_COMMITTED = 2  # SQL_TXN_READ_COMMITTED; the engine's own ceiling unless IT raised it


class SiteNumbers(msgspec.Struct, frozen=True):
    """Numbers a site's own rows tell and no source does. None: not found there."""

    operatory_type: int | None = None  # rsc.rsctype of operatories, as appointments name them
    status_type: int | None = None  # fulldef.deftype of appointment statuses


_APPT = {
    "appointment_id": "apptid", "patient_id": "patid", "patient_name": "patname",
    "appointment_date": "apptdate", "start_hour": "timehr", "start_minute": "timemin",
    "status_id": "status", "operatory_id": "opid", "provider_id": "provid",
    "addtnl_provider_id": "addlprov", "reason": "apptreason", "broken": "apptbrokenclass",
    "modified_time_stamp": STAMP,
}  # fmt: skip

TABLES: tuple[TableDecl, ...] = (
    TableDecl(
        "v_appt",
        ("appointment_id",),
        (
            *required("appointment_id:int appointment_date:date start_hour:int start_minute:int"),
            *columns(
                "patient_id:key patient_name status_id:int operatory_id:key provider_id:key"
                " addtnl_provider_id reason broken:int modified_time_stamp:stamp"
            ),
        ),
        # The view where the licence has it, else the base table it shows.
        (Place("v_appt"), Place("appt", _APPT)),
    ),
    TableDecl(
        "v_patient",
        ("patient_id",),
        (
            *required("patient_id:int last_name first_name"),
            *columns(
                "salutation gender birth_date:date home_phone address_line1 address_line2 city"
                " state zipcode employer_id:key"
            ),
        ),
    ),
    TableDecl(
        "v_provider",
        ("provider_id",),
        (
            *required("provider_id last_name first_name"),
            *columns("suffix npi inactive:flag issecondaryprovider:flag"),
        ),
    ),
    TableDecl("rsc", ("id1",), (*required("rsctype:int id1"), *unverified("practicename"))),
    TableDecl(
        "appt",
        ("apptid",),
        (
            *required("apptid:int"),
            *unverified(
                f"{STAMP}:stamp apptlen:int pinboard:int createdate:date createtimehr:int"
                " createtimemin:int rsctype:int"
            ),
        ),
    ),
    TableDecl("patient", ("patid",), (*required("patid:int"), *unverified(f"{STAMP}:stamp"))),
    TableDecl(
        "appthist",
        ("apptid",),
        (*required("apptid:int"), *unverified(f"{STAMP}:stamp deletedflag:int")),
    ),
    TableDecl(
        "apptevent",
        ("appteventrecid",),
        (
            *required("appteventrecid:int opid:key eventdate:date"),
            *unverified(f"{STAMP}:stamp starttime:int endtime:int closeopflag:flag descript"),
        ),
    ),
    TableDecl(
        "aging",
        ("guarid",),
        (
            *required("guarid:key"),
            *unverified(
                f"{STAMP}:stamp aging0to30:money aging31to60:money aging61to90:money"
                " aging91plus:money agingdate:date lastpaydate:date"
            ),
        ),
    ),
    TableDecl(
        "v_patient_insurance",
        ("patient_id",),
        (
            *required("patient_id:key primary_insured_id:key"),
            *columns(
                "primary_insurance_carrier_id:key primary_insurance_carrier_name"
                " secondary_insured_id:key secondary_insurance_carrier_name"
            ),
        ),
    ),
    TableDecl(
        "v_insured",
        ("insured_id",),
        (*required("insured_id:key"), *columns("ins_plan_id:key ins_party_id:key id_num")),
    ),
    TableDecl(
        "v_insurance_plans",
        ("ins_id",),
        (*required("ins_id:key"), *unverified("group_name group_number payor_id")),
    ),
    TableDecl(
        "contact",
        ("contactid",),
        (
            *required("contactid:int"),
            *unverified(
                f"{STAMP}:stamp contactdate:date contacttime:int patid:key provid title"
                " contacttype:key"
            ),
        ),
    ),
    TableDecl(
        "clinicalnote",
        ("cnotesid",),
        (
            *required("cnotesid:int"),
            *unverified(f"{STAMP}:stamp patid:key provid createdatetime:stamp notetext:note"),
        ),
    ),
    TableDecl(
        "fulldef",
        ("defid",),
        (*required("deftype:int defid:int"), *unverified("descript")),
    ),
)  # fmt: skip


def _own(table: str, key: str) -> Lane:
    return Lane(table, table, STAMP, key, key)


def _one(alias: str, own: str, column: str, to: str = BASE) -> Attachment:
    return Attachment(alias, alias, Join.ONE, own, to, column)


def contract(numbers: SiteNumbers) -> Contract:
    """The contract of a site whose rows told these numbers."""
    statuses: tuple[Attachment, ...] = ()
    if numbers.status_type is not None:
        statuses = (
            Attachment(
                "statusdef", "fulldef", Join.ONE, "defid", BASE, "status_id",
                where=("deftype", numbers.status_type),
            ),
        )  # fmt: skip
    streams = {
        Stream.PRACTICE: StreamDecl(
            "rsc", "cold", (Test("rsctype", Op.EQ, (PRACTICE_TYPE,), strict=True),)
        ),
        Stream.PROVIDER: StreamDecl("v_provider", "cold"),
        Stream.PATIENT: StreamDecl(
            "v_patient",
            "warm",
            attached=(_one("patient", "patid", "patient_id"),),
            lanes=(_own("patient", "patid"),),
        ),
        Stream.APPOINTMENT: StreamDecl(
            "v_appt",
            "hot",
            attached=(_one("appt", "apptid", "appointment_id"), *statuses),
            lanes=(
                Lane("v_appt", "v_appt", "modified_time_stamp", "appointment_id", "appointment_id"),
                _own("appt", "apptid"),  # the same stamp; an index shows on the base table only
            ),
            window=Window("v_appt", "appointment_date", "appointment_id"),
            polled=True,  # where neither view nor table shows its stamp
        ),
        Stream.SCHEDULE_BLOCK: StreamDecl(
            "apptevent",
            "hot",
            lanes=(_own("apptevent", "appteventrecid"),),
            window=Window("apptevent", "eventdate", "appteventrecid"),
        ),
        Stream.BALANCE: StreamDecl("aging", "warm", lanes=(_own("aging", "guarid"),)),
        Stream.COVERAGE: StreamDecl(
            "v_patient_insurance",
            "warm",
            (Test("primary_insured_id", Op.ABOVE, (0,)),),
            attached=(
                _one("v_insured", "insured_id", "primary_insured_id"),
                _one("v_insurance_plans", "ins_id", "ins_plan_id", to="v_insured"),
            ),
        ),
        Stream.COMMUNICATION: StreamDecl("contact", "cold", lanes=(_own("contact", "contactid"),)),
        Stream.CLINICAL_NOTE: StreamDecl(
            "clinicalnote", "cold", lanes=(_own("clinicalnote", "cnotesid"),)
        ),
    }
    if numbers.operatory_type is not None:
        streams[Stream.OPERATORY] = StreamDecl(
            "rsc", "cold", (Test("rsctype", Op.EQ, (numbers.operatory_type,), strict=True),)
        )
    return Contract(
        kind="dentrix",
        tables=TABLES,
        streams=streams,
        owners=(OWNER,),
        engines=("c-tree", "ctree", "faircom"),
        logs=(
            LogDecl(
                "appthist", STAMP, "apptid", Stream.APPOINTMENT,
                deleted=Test("deletedflag", Op.NE, (0, "")),
            ),
        ),
        identity=(
            Ask("rsc", "id1", (Test("rsctype", Op.EQ, (PRACTICE_TYPE,)),)),
            Ask("rsc", "practicename", (Test("rsctype", Op.EQ, (PRACTICE_TYPE,)),)),
        ),
        # No table is known to keep its highest key for ever: rows are deleted, numbers perhaps too.
        witnesses=("v_appt", "v_patient", "contact", "clinicalnote", "apptevent"),
        clock=("SELECT CURRENT_TIMESTAMP FROM admin.syscalctable",),
        isolation=READ_COMMITTED,
    )  # fmt: skip
