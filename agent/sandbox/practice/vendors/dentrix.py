"""Dentrix's tables as far as public sources name them, filled from the sample office.

Owner ``admin``. Text is blank padded, stamps may be NULL, a code may be stored signed, an address
row belongs to a family, a visit may be for nobody on file: what a reader must cope with. What the
numbers of this stand-in mean where no source tells (type numbers of ``rsc`` and ``fulldef``, times
as minutes since midnight, lengths in units of five minutes) is ours and proves nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from agent.sandbox.practice.vendors.db import Value
from agent.sandbox.practice.vendors.tables import VendorLayout, VendorView, table

PRACTICE, OPERATORY, PROVIDER = 0, 1, 2  # rsc.rsctype; only the 0 is known
STATUS_TYPE = 19  # fulldef.deftype of appointment statuses
UNIT_MINUTES = 5  # of apptlen
COMPLETE, COMPLETE_SIGNED = 150, -106

# The maker's default names, and a name an office would add.
STATUSES = (
    (1, "??????"), (2, "FIRM"), (3, "FIRM-E"), (4, "EMERGENCY"), (5, "HERE"), (6, "READY"),
    (7, "LMM"), (8, "LMP"), (9, "MULTI"), (10, "NOFLEX"), (11, "Texted, señor"),
    (COMPLETE, "COMPLETE"),
)  # fmt: skip
_STATUS_OF = {
    "NotCalled": 1, "Unconfirmed": 1, "Confirmed": 2, "LeftMsg": 7, "Texted": 11, "Arrived": 5,
    "Ready": 6,
}  # fmt: skip

_STAMP = "automodifiedtimestamp ts"

LAYOUT = VendorLayout(
    "dentrix",
    "admin",
    (
        table("rsc", f"{_STAMP}, rsctype int, id1 c5, practicename c42", "rsctype id1"),
        table(
            "patient",
            f"""{_STAMP}, patid int, priminsrel int, standin_guid c36, standin_first c30,
            standin_last c60, standin_salutation c20, standin_gender c1, standin_born d,
            standin_addrid int, standin_primary int, standin_secondary int""",
            "patid",
            "automodifiedtimestamp standin_addrid",
        ),
        table(
            "standin_provider",
            """providerid c5, lastname c30, firstname c20, suffix c10, npi c10, ssn c11, tin c11,
            inactive int, secondary int""",
            "providerid",
        ),
        table(
            "address",
            f"""{_STAMP}, addrid int, street1 c60, street2 c60, city c30, state c2, zipcode c10,
            country c20, phone c24, phoneext c6, ptrcount int""",
            "addrid",
            "automodifiedtimestamp",
        ),
        table(
            "appt",
            f"""{_STAMP}, apptid int, apptdate d, rsctype int, opid c5, rsctype2 int, provid c5,
            apptbrokenclass int, patname c42, patid int, apptlen int, amt num, brokendate d,
            apptflag int, phone c18, apptreason c62, timehr int, timemin int, status int,
            appttype int, timeblock int, newpataddrid int, labcaseappt int, addlprov c5,
            followup int, codeid1 int, apptclass int, staffid c5, modifieddate d, createdate d,
            createtimehr int, createtimemin int, createdbyuserid c5, pinboard int,
            workstationid c5, orgdate d, orgtimehr int, orgtimemin int""",
            "apptid",
            "automodifiedtimestamp apptdate",
        ),
        table(
            "appthist",
            f"""{_STAMP}, standin_row int, apptid int, modifieddate d, modifiedtime int, patid int,
            userid c5, provid c5, opid c5, apptreason c62, apptlen int, status c8, apptdate d,
            timehr int, timemin int, createflag int, lastflag int, deletedflag int,
            createddate d""",
            "standin_row",
            "apptid automodifiedtimestamp",
        ),
        table(
            "apptevent",
            f"""{_STAMP}, appteventrecid int, opid c5, eventdate d, starttime int, endtime int,
            closeopflag int, descript c60, color int, pinboardevent int, eventseriesid int""",
            "appteventrecid",
            "automodifiedtimestamp",
        ),
        table(
            "aging",
            f"""{_STAMP}, guarid int, aging0to30 num, aging31to60 num, aging61to90 num,
            aging91plus num, agingdate d, lastpaydate d, lastpayamt num, billingtype int""",
            "guarid",
            "automodifiedtimestamp",
        ),
        table(
            "fullproclog",
            f"""{_STAMP}, procid int, patid int, guarid int, chartstatus int, procdate d,
            proccodeid int, proclogclass int, provid c5, history int, amt num, createdate d,
            checknum c12""",
            "procid",
        ),
        table(
            "contact",
            f"""{_STAMP}, contactid int, contactdate d, contacttime int, patid int, provid c5,
            title vc250, contacttype int, refid int""",
            "contactid",
            "automodifiedtimestamp",
        ),
        table(
            "clinicalnote",
            f"""{_STAMP}, cnotesid int, patid int, provid c5, createdatetime ts, entrydatetime ts,
            signatureid int, lockeddate d, notetext txt""",
            "cnotesid",
            "automodifiedtimestamp",
        ),
        table("fulldef", f"{_STAMP}, deftype int, defid int, descript c40", "deftype defid"),
        table(
            "insured",
            f"{_STAMP}, insuredid int, insplanid int, inspartyid int, idnum c20",
            "insuredid",
        ),
        table(
            "inscarrier",
            f"{_STAMP}, insid int, insconame c40, groupname c40, groupnum c20, payerid c10",
            "insid",
        ),
    ),
    (
        VendorView(
            "v_appt",
            """SELECT apptid AS appointment_id, patid AS patient_id, patname AS patient_name,
            apptdate AS appointment_date, timehr AS start_hour, timemin AS start_minute,
            status AS status_id, opid AS operatory_id, provid AS provider_id,
            addlprov AS addtnl_provider_id, apptreason AS reason, amt AS amount,
            apptbrokenclass AS broken, modifieddate AS modified_date,
            automodifiedtimestamp AS modified_time_stamp FROM {o}appt""",
        ),
        VendorView(
            "v_patient",
            """SELECT p.patid AS patient_id, p.standin_guid AS patient_guid,
            p.standin_first AS first_name, p.standin_last AS last_name,
            p.standin_salutation AS salutation, p.standin_gender AS gender,
            p.standin_born AS birth_date, '078-05-1120' AS social_sec_num, a.phone AS home_phone,
            a.street1 AS address_line1, a.street2 AS address_line2, a.city AS city,
            a.state AS state, a.zipcode AS zipcode, 0 AS employer_id
            FROM {o}patient p LEFT JOIN {o}address a ON a.addrid = p.standin_addrid""",
        ),
        VendorView(
            "v_provider",
            """SELECT providerid AS provider_id, firstname AS first_name, lastname AS last_name,
            suffix AS suffix, npi AS npi, tin AS tin, ssn AS ssn, inactive AS inactive,
            secondary AS issecondaryprovider FROM {o}standin_provider""",
        ),
        VendorView(
            "v_insured",
            """SELECT insuredid AS insured_id, insplanid AS ins_plan_id,
            inspartyid AS ins_party_id, idnum AS id_num, 0 AS ins_type FROM {o}insured""",
        ),
        VendorView(
            "v_insurance_plans",
            """SELECT insid AS ins_id, insconame AS ins_co_name, groupname AS group_name,
            groupnum AS group_number, payerid AS payor_id FROM {o}inscarrier""",
        ),
        VendorView(
            "v_patient_insurance",
            """SELECT p.patid AS patient_id, p.standin_guid AS patient_guid,
            p.standin_first AS first_name, p.standin_last AS last_name,
            p.standin_primary AS primary_insured_id, c.insid AS primary_insurance_carrier_id,
            c.insconame AS primary_insurance_carrier_name,
            p.standin_secondary AS secondary_insured_id,
            d.insconame AS secondary_insurance_carrier_name
            FROM {o}patient p LEFT JOIN {o}insured i ON i.insuredid = p.standin_primary
            LEFT JOIN {o}inscarrier c ON c.insid = i.insplanid
            LEFT JOIN {o}insured j ON j.insuredid = p.standin_secondary
            LEFT JOIN {o}inscarrier d ON d.insid = j.insplanid""",
        ),
    ),
)

Rows = Iterator[Mapping[str, Value]]


def short(kind: str, number: int) -> str:
    """Providers and operatories are named by short codes, not by numbers."""
    return f"{kind}{number}"[:5]


class Pour:
    """Rows of every table, read from an office in the other layout (``office``: SQLite)."""

    def __init__(self, office: sqlite3.Connection, zone: str) -> None:
        office.row_factory = sqlite3.Row
        self._office = office
        self._zone = zone
        self._hygienists = {
            int(r["ProvNum"]) for r in self._all("SELECT * FROM provider WHERE IsSecondary=1")
        }
        self._statuses = {
            int(r["DefNum"]): _STATUS_OF.get(str(r["ItemValue"]), 9)
            for r in self._all("SELECT * FROM definition WHERE Category=2")
        }

    def tables(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "rsc": self.rsc, "standin_provider": self.provider, "address": self.address,
            "patient": self.patient, "appt": self.appt, "appthist": self.appthist,
            "apptevent": self.apptevent, "aging": self.aging, "fullproclog": self.fullproclog,
            "contact": self.contact, "clinicalnote": self.clinicalnote, "fulldef": self.fulldef,
            "insured": self.insured, "inscarrier": self.inscarrier,
        }  # fmt: skip

    def _all(self, sql: str) -> list[sqlite3.Row]:
        return self._office.execute(sql).fetchall()

    def _stamp(self, row: sqlite3.Row) -> str:
        return wall(str(row["DateTStamp"]), self._zone)

    def _provider(self, number: Any) -> str:
        return short("HYG" if int(number) in self._hygienists else "DDS", int(number))

    def rsc(self) -> Rows:
        title = self._all("SELECT ValueString FROM preference WHERE PrefName='PracticeTitle'")
        yield {"rsctype": PRACTICE, "id1": "MAIN", "practicename": str(title[0][0])}
        for row in self._all("SELECT OperatoryNum FROM operatory ORDER BY OperatoryNum"):
            yield {"rsctype": OPERATORY, "id1": short("OP", row[0]), "practicename": ""}
        for row in self._all("SELECT ProvNum FROM provider ORDER BY ProvNum"):
            yield {"rsctype": PROVIDER, "id1": self._provider(row[0]), "practicename": ""}

    def provider(self) -> Rows:
        for r in self._all("SELECT * FROM provider ORDER BY ProvNum"):
            yield {
                "providerid": self._provider(r["ProvNum"]), "lastname": r["LName"][:30],
                "firstname": r["FName"][:20], "suffix": r["Suffix"], "npi": r["NationalProvID"],
                "ssn": "078-05-1120", "tin": "12-3456789", "inactive": r["IsHidden"],
                "secondary": r["IsSecondary"],
            }  # fmt: skip

    def address(self) -> Rows:
        """One row for a family, one of their own for those who live elsewhere."""
        for r in self._all(
            "SELECT p.*, (SELECT COUNT(*) FROM patient f WHERE f.Guarantor=p.Guarantor"
            " AND f.Address=p.Address) AS sharing FROM patient p LEFT JOIN patient g"
            " ON g.PatNum=p.Guarantor WHERE p.PatStatus<>4"
            " AND (p.PatNum=p.Guarantor OR p.Address<>g.Address)"
        ):
            yield {
                "automodifiedtimestamp": None, "addrid": r["PatNum"], "street1": r["Address"],
                "street2": r["Address2"], "city": r["City"], "state": r["State"],
                "zipcode": r["Zip"], "country": "", "phone": r["HmPhone"][:24], "phoneext": "",
                "ptrcount": r["sharing"],
            }  # fmt: skip

    def patient(self) -> Rows:
        covered: dict[int, list[int]] = {}
        for r in self._all("SELECT PatNum, InsSubNum FROM patplan ORDER BY PatNum, Ordinal"):
            covered.setdefault(r[0], []).append(r[1])
        for r in self._all(
            "SELECT p.*, g.Address AS home FROM patient p LEFT JOIN patient g"
            " ON g.PatNum=p.Guarantor WHERE p.PatStatus<>4 ORDER BY p.PatNum"
        ):
            insured = [*covered.get(r["PatNum"], []), 0, 0]
            own = r["Address"] != r["home"] or r["PatNum"] == r["Guarantor"]
            yield {
                # Converted rows never touched since carry no stamp at all.
                "automodifiedtimestamp": self._stamp(r) if r["PatNum"] % 3 else None,
                "patid": r["PatNum"], "priminsrel": 0,
                "standin_guid": f"00000000-0000-0000-0000-{r['PatNum']:012d}",
                "standin_first": r["FName"][:30], "standin_last": r["LName"][:60],
                "standin_salutation": r["Title"], "standin_gender": "MF "[r["Gender"]],
                "standin_born": none(r["Birthdate"]),
                "standin_addrid": r["PatNum"] if own else r["Guarantor"],
                "standin_primary": insured[0], "standin_secondary": insured[1],
            }  # fmt: skip

    def _visits(self) -> list[sqlite3.Row]:
        return self._all(
            "SELECT * FROM appointment WHERE AptStatus IN (1,2,3,5) AND AptDateTime>'1880'"
            " AND PatNum IN (SELECT PatNum FROM patient WHERE PatStatus<>4) ORDER BY AptNum"
        )

    def appt(self) -> Rows:
        for r in self._visits():
            number, status = int(r["AptNum"]), self._statuses.get(r["Confirmed"], 9)
            if r["AptStatus"] == 2:
                status = COMPLETE_SIGNED if number % 3 == 0 else COMPLETE
            unfiled = r["AptStatus"] == 1 and number % 11 == 0
            start, made = str(r["AptDateTime"]), str(r["SecDateTEntry"])
            broken = {5: 1, 3: 2}.get(r["AptStatus"], 0)
            yield {
                "automodifiedtimestamp": self._stamp(r) if number % 4 else None,
                "apptid": number, "apptdate": start[:10], "rsctype": OPERATORY,
                "opid": short("OP", r["Op"]) if r["Op"] else "", "rsctype2": PROVIDER,
                "provid": self._provider(r["ProvHyg"] or r["ProvNum"]), "apptbrokenclass": broken,
                "patname": "Larsen, New Caller" if unfiled else "", "patid": 0 if unfiled
                else r["PatNum"], "apptlen": len(r["Pattern"]), "amt": 0,
                "brokendate": start[:10] if broken else None, "apptflag": 0,
                "phone": "(212)555-0199" if unfiled else "",
                "apptreason": r["ProcDescript"][:62], "timehr": int(start[11:13]),
                "timemin": int(start[14:16]), "status": status, "appttype": 0, "timeblock": 0,
                "newpataddrid": 0, "labcaseappt": 0, "addlprov": self._provider(r["ProvNum"])
                if r["ProvHyg"] else "", "followup": 0, "codeid1": 0, "apptclass": 0,
                "staffid": "", "modifieddate": str(r["DateTStamp"])[:10],
                "createdate": made[:10], "createtimehr": int(made[11:13]),
                "createtimemin": int(made[14:16]), "createdbyuserid": "FD1", "pinboard": 0,
                "workstationid": "", "orgdate": None, "orgtimehr": 0, "orgtimemin": 0,
            }  # fmt: skip

    def appthist(self) -> Rows:
        for number, r in enumerate(self._visits(), 1):
            start = str(r["AptDateTime"])
            yield {
                "automodifiedtimestamp": self._stamp(r), "standin_row": number,
                "apptid": r["AptNum"], "modifieddate": str(r["SecDateTEntry"])[:10],
                "modifiedtime": 600, "patid": r["PatNum"], "userid": "FD1",
                "provid": self._provider(r["ProvNum"]), "opid": short("OP", r["Op"]),
                "apptreason": "", "apptlen": len(r["Pattern"]), "status": "", "apptdate":
                start[:10], "timehr": int(start[11:13]), "timemin": int(start[14:16]),
                "createflag": 1, "lastflag": 1, "deletedflag": 0,
                "createddate": str(r["SecDateTEntry"])[:10],
            }  # fmt: skip

    def apptevent(self) -> Rows:
        for r in self._all(
            "SELECT s.*, o.OperatoryNum AS op FROM schedule s JOIN scheduleop o"
            " ON o.ScheduleNum=s.ScheduleNum WHERE s.SchedType=2 AND o.ScheduleOpNum="
            " (SELECT MIN(ScheduleOpNum) FROM scheduleop WHERE ScheduleNum=s.ScheduleNum)"
        ):
            yield {
                "automodifiedtimestamp": self._stamp(r), "appteventrecid": r["ScheduleNum"],
                "opid": short("OP", r["op"]), "eventdate": r["SchedDate"],
                "starttime": minutes(r["StartTime"]), "endtime": minutes(r["StopTime"]),
                "closeopflag": int(r["ScheduleNum"]) % 2, "descript": r["Note"] or "Blocked",
                "color": 0, "pinboardevent": 0, "eventseriesid": 0,
            }  # fmt: skip

    def aging(self) -> Rows:
        for r in self._all("SELECT * FROM patient WHERE PatNum=Guarantor AND PatStatus<>4"):
            yield {
                "automodifiedtimestamp": self._stamp(r), "guarid": r["PatNum"],
                "aging0to30": r["Bal_0_30"], "aging31to60": r["Bal_31_60"],
                "aging61to90": r["Bal_61_90"], "aging91plus": r["BalOver90"],
                "agingdate": str(r["DateTStamp"])[:10], "lastpaydate": None, "lastpayamt": 0,
                "billingtype": 1,
            }  # fmt: skip

    def fullproclog(self) -> Rows:
        for r in self._all("SELECT * FROM procedurelog WHERE ProcStatus IN (1,2)"):
            yield {
                "automodifiedtimestamp": self._stamp(r), "procid": r["ProcNum"],
                "patid": r["PatNum"], "guarid": 0, "chartstatus": r["ProcStatus"],
                "procdate": none(r["ProcDate"]), "proccodeid": r["CodeNum"], "proclogclass": 1,
                "provid": self._provider(r["ProvNum"]), "history": 0, "amt": r["ProcFee"],
                "createdate": none(r["DateEntryC"]), "checknum": "",
            }  # fmt: skip

    def contact(self) -> Rows:
        for r in self._all("SELECT * FROM commlog ORDER BY CommlogNum"):
            at = str(r["CommDateTime"])
            yield {
                "automodifiedtimestamp": self._stamp(r), "contactid": r["CommlogNum"],
                "contactdate": at[:10], "contacttime": minutes(at[11:]), "patid": r["PatNum"],
                "provid": "", "title": str(r["Note"])[:250], "contacttype": r["Mode_"],
                "refid": 0,
            }  # fmt: skip

    def clinicalnote(self) -> Rows:
        for r in self._all("SELECT * FROM procnote ORDER BY ProcNoteNum"):
            yield {
                "automodifiedtimestamp": None, "cnotesid": r["ProcNoteNum"],
                "patid": r["PatNum"], "provid": "", "createdatetime": r["EntryDateTime"],
                "entrydatetime": r["EntryDateTime"], "signatureid": 0, "lockeddate": None,
                "notetext": r["Note"],
            }  # fmt: skip

    def fulldef(self) -> Rows:
        for number, name in STATUSES:
            yield {"deftype": STATUS_TYPE, "defid": number, "descript": name}
        for number, name in enumerate(("Standard", "Collections", "READY to bill"), 1):
            yield {"deftype": 4, "defid": number, "descript": name}

    def insured(self) -> Rows:
        for r in self._all("SELECT * FROM inssub ORDER BY InsSubNum"):
            yield {
                "insuredid": r["InsSubNum"], "insplanid": r["PlanNum"],
                "inspartyid": r["Subscriber"], "idnum": r["SubscriberID"],
            }  # fmt: skip

    def inscarrier(self) -> Rows:
        for r in self._all(
            "SELECT p.*, c.CarrierName, c.ElectID FROM insplan p JOIN carrier c"
            " ON c.CarrierNum=p.CarrierNum ORDER BY p.PlanNum"
        ):
            yield {
                "insid": r["PlanNum"], "insconame": r["CarrierName"], "groupname": r["GroupName"],
                "groupnum": r["GroupNum"], "payerid": r["ElectID"],
            }  # fmt: skip


def none(day: Any) -> Value:
    """The other layout's "no date" is NULL here."""
    text = str(day or "")
    return text if text > "1880" else None


def wall(utc: str, zone: str) -> str:
    """A UTC stamp of the other layout as the wall time these systems keep."""
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S")


def minutes(clock: Any) -> int:
    """``HH:MM...`` as minutes since midnight."""
    text = str(clock)
    return int(text[:2]) * 60 + int(text[3:5])
