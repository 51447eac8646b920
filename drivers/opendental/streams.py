"""Where each stream lives in Open Dental: base table, attachments, lanes, window. A table of facts.

Shared by the MariaDB driver and the sample practice, which has the same layout. The names of
attachments and pseudo columns are a contract with ``assets/maps/opendental.csv``.
Source of the facts: Open Dental's published schema (21.1 to 25.4); log meanings from its manual and
source as collected for this project. Must not import a database library.
"""

from __future__ import annotations

import msgspec

from agent.model.streams import Stream
from drivers.layout import BASE, Attachment, Join, Lane

__all__ = ["BASE", "STREAMS", "Attachment", "Join", "Lane", "StreamSpec"]

PRACTICE = "practice"  # the pseudo table built from preferences and clinics


class StreamSpec(msgspec.Struct, frozen=True):
    table: str
    key: str
    tier: str
    attached: tuple[Attachment, ...] = ()
    lanes: tuple[Lane, ...] = ()
    window: str = ""  # date column of the hot window, "" for none
    polled: bool = False  # the window is compared: rows go, or their attachments move, unannounced


def _one(alias: str, table: str, own: str, column: str, to: str = BASE) -> Attachment:
    return Attachment(alias, table, Join.ONE, own, to, column)


def _many(
    table: str,
    pseudo: str,
    own: str,
    column: str,
    parts: str,
    order: str,
    where: tuple[str, int] | None = None,
) -> Attachment:
    return Attachment(
        table, table, Join.MANY, own, BASE, column, pseudo, tuple(parts.split()),
        tuple(order.split()), where,
    )  # fmt: skip


def _definition(alias: str, column: str) -> Attachment:
    return _one(alias, "definition", "DefNum", column)


def _own(table: str, key: str, stamp: str = "DateTStamp") -> Lane:
    return Lane(table, table, stamp, key, key)


_TO_PATPLAN = ("patplan", "InsSubNum", "PatPlanNum")
_TO_INSSUB = ("inssub", "PlanNum", "InsSubNum")
_TO_INSPLAN = ("insplan", "CarrierNum", "PlanNum")

STREAMS: dict[Stream, StreamSpec] = {
    Stream.PRACTICE: StreamSpec(PRACTICE, "ClinicNum", "hot"),
    Stream.PROVIDER: StreamSpec(
        "provider",
        "ProvNum",
        "hot",
        attached=(_definition("specialty", "Specialty"),),
        lanes=(_own("provider", "ProvNum"),),
    ),
    Stream.OPERATORY: StreamSpec(
        "operatory", "OperatoryNum", "hot", lanes=(_own("operatory", "OperatoryNum"),)
    ),
    Stream.PROCEDURE_CODE: StreamSpec(
        "procedurecode",
        "CodeNum",
        "cold",
        attached=(_definition("category", "ProcCat"),),
        lanes=(_own("procedurecode", "CodeNum"),),
    ),
    Stream.REFERRAL_SOURCE: StreamSpec(
        "referral", "ReferralNum", "cold", lanes=(_own("referral", "ReferralNum"),)
    ),
    Stream.PATIENT: StreamSpec(
        "patient",
        "PatNum",
        "warm",
        attached=(
            _one("patientnote", "patientnote", "PatNum", "PatNum"),
            # Bit flags: should a site hold two rows, the wider refusal counts.
            Attachment(
                "commoptout", "commoptout", Join.FOLDED, "PatNum", BASE, "PatNum", fold="BIT_OR"
            ),
            _many("patfield", "pairs", "PatNum", "PatNum", "FieldName FieldValue", "PatFieldNum"),
            Attachment("restriction", "patrestriction", Join.FOLDED, "PatNum", BASE, "PatNum"),
            Attachment(
                "merge",
                "patientlink",
                Join.FOLDED,
                "PatNumFrom",
                BASE,
                "PatNum",
                where=("LinkType", 1),
            ),
            _many(
                "refattach",
                "from",
                "PatNum",
                "PatNum",
                "ReferralNum",
                "ItemOrder RefAttachNum",
                where=("RefType", 1),
            ),
        ),
        lanes=(
            _own("patient", "PatNum"),
            Lane("patientnote", "patientnote", "SecDateTEdit", "PatNum", "PatNum"),
            Lane("patfield", "patfield", "SecDateTEdit", "PatFieldNum", "PatNum"),
            Lane("refattach", "refattach", "DateTStamp", "RefAttachNum", "PatNum"),
        ),
    ),
    Stream.APPOINTMENT: StreamSpec(
        "appointment",
        "AptNum",
        "hot",
        attached=(
            _definition("confirmed", "Confirmed"),
            _one("appointmenttype", "appointmenttype", "AppointmentTypeNum", "AppointmentTypeNum"),
            _many("procedurelog", "procs", "AptNum", "AptNum", "ProcNum CodeNum", "ProcNum"),
            _many("apptfield", "pairs", "AptNum", "AptNum", "FieldName FieldValue", "ApptFieldNum"),
            _definition("unsched", "UnschedStatus"),
        ),
        lanes=(
            _own("appointment", "AptNum"),
            Lane("procedurelog", "procedurelog", "DateTStamp", "ProcNum", "AptNum"),
        ),
        window="AptDateTime",
    ),
    Stream.SCHEDULE_BLOCK: StreamSpec(
        "schedule",
        "ScheduleNum",
        "hot",
        attached=(
            _many(
                "scheduleop", "ops", "ScheduleNum", "ScheduleNum", "OperatoryNum", "ScheduleOpNum"
            ),
            _definition("blockout", "BlockoutType"),
        ),
        lanes=(_own("schedule", "ScheduleNum"),),
        window="SchedDate",
        polled=True,  # the program replaces whole days, and scheduleop has no stamp
    ),
    Stream.RECALL: StreamSpec(
        "recall",
        "RecallNum",
        "hot",
        attached=(
            _one("recalltype", "recalltype", "RecallTypeNum", "RecallTypeNum"),
            _definition("status", "RecallStatus"),
        ),
        lanes=(_own("recall", "RecallNum"),),
        window="DateDue",
    ),
    Stream.BALANCE: StreamSpec("patient", "PatNum", "warm", lanes=(_own("patient", "PatNum"),)),
    Stream.COVERAGE: StreamSpec(
        "patplan",
        "PatPlanNum",
        "warm",
        attached=(
            _one("inssub", "inssub", "InsSubNum", "InsSubNum"),
            _one("insplan", "insplan", "PlanNum", "PlanNum", to="inssub"),
            _one("carrier", "carrier", "CarrierNum", "CarrierNum", to="insplan"),
        ),
        lanes=(
            _own("patplan", "PatPlanNum", "SecDateTEdit"),
            Lane("inssub", "inssub", "SecDateTEdit", "InsSubNum", "InsSubNum", (_TO_PATPLAN,)),
            Lane(
                "insplan",
                "insplan",
                "SecDateTEdit",
                "PlanNum",
                "PlanNum",
                (_TO_INSSUB, _TO_PATPLAN),
            ),
            Lane(
                "carrier",
                "carrier",
                "SecDateTEdit",
                "CarrierNum",
                "CarrierNum",
                (_TO_INSPLAN, _TO_INSSUB, _TO_PATPLAN),
            ),
        ),
    ),
    Stream.PROCEDURE: StreamSpec(
        "procedurelog",
        "ProcNum",
        "warm",
        attached=(_one("procedurecode", "procedurecode", "CodeNum", "CodeNum"),),
        lanes=(_own("procedurelog", "ProcNum"),),
    ),
    Stream.CLAIM: StreamSpec(
        "claim",
        "ClaimNum",
        "warm",
        attached=(
            _many(
                "claimproc",
                "lines",
                "ClaimNum",
                "ClaimNum",
                "ClaimProcNum ProcNum Status FeeBilled InsPayEst InsPayAmt WriteOff DedApplied"
                " DateCP",
                "ClaimProcNum",
            ),
            _one("insplan", "insplan", "PlanNum", "PlanNum"),
            _one("carrier", "carrier", "CarrierNum", "CarrierNum", to="insplan"),
        ),
        lanes=(
            _own("claim", "ClaimNum", "SecDateTEdit"),
            Lane("claimproc", "claimproc", "SecDateTEdit", "ClaimProcNum", "ClaimNum"),
        ),
    ),
    Stream.PAYMENT: StreamSpec(
        "payment",
        "PayNum",
        "warm",
        attached=(
            _many(
                "paysplit",
                "splits",
                "PayNum",
                "PayNum",
                "SplitNum PatNum ProcNum ProvNum SplitAmt DatePay UnearnedType ClinicNum",
                "SplitNum",
            ),
            _definition("paytype", "PayType"),
        ),
        lanes=(
            _own("payment", "PayNum", "SecDateTEdit"),
            Lane("paysplit", "paysplit", "SecDateTEdit", "SplitNum", "PayNum"),
        ),
    ),
    Stream.ADJUSTMENT: StreamSpec(
        "adjustment",
        "AdjNum",
        "warm",
        attached=(_definition("adjtype", "AdjType"),),
        lanes=(_own("adjustment", "AdjNum", "SecDateTEdit"),),
    ),
    Stream.COMMUNICATION: StreamSpec(
        "commlog",
        "CommlogNum",
        "cold",
        attached=(_definition("commtype", "CommType"),),
        lanes=(_own("commlog", "CommlogNum"),),
    ),
    # procnote is append-only and has no stamp: the key tail finds new rows.
    Stream.CLINICAL_NOTE: StreamSpec("procnote", "ProcNoteNum", "cold"),
    # perioexam.DateTMeasureEdit is local wall time, not a stamp: its measures stand for it.
    Stream.PERIO_EXAM: StreamSpec(
        "perioexam",
        "PerioExamNum",
        "cold",
        attached=(
            _many(
                "periomeasure",
                "measures",
                "PerioExamNum",
                "PerioExamNum",
                "SequenceType IntTooth ToothValue MBvalue Bvalue DBvalue MLvalue Lvalue DLvalue",
                "PerioMeasureNum",
            ),
        ),
        lanes=(
            Lane("periomeasure", "periomeasure", "SecDateTEdit", "PerioMeasureNum", "PerioExamNum"),
        ),
    ),
    Stream.LAB_CASE: StreamSpec(
        "labcase",
        "LabCaseNum",
        "warm",
        attached=(_one("laboratory", "laboratory", "LaboratoryNum", "LaboratoryNum"),),
        lanes=(_own("labcase", "LabCaseNum"),),
    ),
}

PRACTICE_TABLES = ("clinic", "preference")
EXTRA_TABLES = (
    "preference", "clinic", "updatehistory", "histappointment", "securitylog", "signalod",
)  # fmt: skip
SENTINELS: dict[str, str] = {
    "securitylog": "SecurityLogNum",
    "histappointment": "HistApptNum",
    "patient": "PatNum",
    "procedurelog": "ProcNum",
}
"""Tables whose highest key never falls in an honest database, and their keys.

Patients and procedures are marked deleted, logs only grow; visits are really deleted, and the one
booked by mistake a minute ago is the newest of all.
"""


def tables_behind(spec: StreamSpec) -> tuple[str, ...]:
    """Every live table whose change can change a record of the stream, base first."""
    if spec.table == PRACTICE:
        return PRACTICE_TABLES
    return tuple(dict.fromkeys((spec.table, *(a.table for a in spec.attached))))


def known_tables() -> tuple[str, ...]:
    """Every live table a probe asks about."""
    found = {t for spec in STREAMS.values() for t in tables_behind(spec)}
    return tuple(sorted(found.union(EXTRA_TABLES)))
