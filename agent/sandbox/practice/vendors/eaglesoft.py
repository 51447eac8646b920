"""Eaglesoft's tables as far as public sources name them, filled from the sample office.

Owner ``ppm``. No row says when it changed; broken visits are gone or parked in a column of their
own; ledger rows are deleted softly; a patient row carries what nobody may read. The columns of
``chairs`` beside its key and the codes of statuses are this stand-in's own and prove nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent.sandbox.practice.vendors.db import Value
from agent.sandbox.practice.vendors.dentrix import none, wall
from agent.sandbox.practice.vendors.tables import VendorLayout, table

PARKING = 90  # chairs.location_id of the column visits are parked in
BLOCKS_FROM = 20_000_000  # appointment_id of rows that are no visits

_LEDGER = (
    "tran_num int, user_id c8, type c1, tran_date d, resp_party_id vc10, amount num,"
    " service_code vc10, paytype_id int, sequence int, surface vc10, fee num,"
    " description vc80, status c1, adjustment_type int, claim_id int, tooth vc5"
)

LAYOUT = VendorLayout(
    "eaglesoft",
    "ppm",
    (
        table("system_preferences", "preference_id int, version vc20", "preference_id"),
        table("positions", "position_id int, description vc40", "position_id"),
        table(
            "provider",
            """provider_id vc5, first_name vc30, last_name vc40, phone vc20, email vc60,
            status c1, position_id int, national_prov_id vc10, federal_tax_id vc12,
            license vc20, specialty vc30, practice_id int, last_logon ts,
            encrypted_social_security vc40, clinicianpassword vc40""",
            "provider_id",
        ),
        table("chairs", "location_id int, description vc40", "location_id"),
        table("appt_types", "type_id int, description vc40, appt_minutes int", "type_id"),
        table(
            "services",
            "service_code vc10, ada_code vc10, description vc80, service_type_id int, fee num",
            "service_code",
        ),
        table(
            "patient",
            """patient_id vc10, first_name vc30, last_name vc100, middle_initial c1,
            preferred_name vc30, salutation vc20, address_1 vc60, address_2 vc60, city vc30,
            state vc2, zipcode vc10, home_phone vc30, work_phone vc30, cell_phone vc30,
            email_address vc100, sex c1, birth_date d, marital_status c1, status c1,
            responsible_party vc10, preferred_dentist vc5, preferred_hygienist vc5,
            recall_frequency int, receive_recalls c1, receives_sms c1, receive_email c1,
            current_bal num, thirty_day num, sixty_day num, ninety_day num,
            contract_balance num, estimated_insurance num, first_visit_date d, date_entered d,
            next_recall_date d, last_recall_date d, prim_responsible_id vc10,
            prim_relationship c1, prim_employer_id int, prim_member_id vc20,
            sec_employer_id int, chart_id vc20, notes vc250, caesy_language vc20,
            social_security vc11, encrypted_social_security vc40, password vc40,
            password_salt vc40, security_question_1 vc60, security_answer_1 vc60,
            drivers_license vc20""",
            "patient_id",
        ),
        table(
            "appointment",
            """appointment_id int, description vc120, allday_event int, start_time ts,
            end_time ts, patient_id vc10, recall_id int, location_id int,
            location_free_form vc20, classification int, appointment_type_id int, prefix vc10,
            date_appointed ts, date_confirmed ts, appointment_notes vc250, deletion_note vc80,
            scheduled_by vc8, modified_by vc8, arrival_status int, arrival_time ts,
            inchair_time ts, walkout_time ts, confirmation_status int, confirmation_note vc80,
            auto_confirm_sent int, recurrence_id int, private int, priority int""",
            "appointment_id",
            "start_time patient_id",
        ),
        table(
            "appointment_provider",
            "appointment_id int, provider_id vc5",
            "appointment_id provider_id",
        ),
        table(
            "insurance_company",
            "insurance_company_id int, name vc60, phone1 vc20, neic_payer_id vc10",
            "insurance_company_id",
        ),
        table(
            "employer",
            "employer_id int, name vc60, group_number vc20, group_name vc60,"
            " insurance_company_id int",
            "employer_id",
        ),
        table(
            "insurance_claim",
            """claim_id int, patient_id vc10, date_created d, provider_id vc5,
            prim_employer_id int, prim_insurance_company_id int, prim_responsible_id vc10,
            claim_type c1, prim_submitted_total num, prim_total_paid num""",
            "claim_id",
        ),
        table("transactions_header", _LEDGER, "tran_num", "tran_date"),
        table(
            "transactions_detail",
            "detail_id int, tran_num int, provider_id vc5, patient_id vc10, amount num,"
            " date_entered d, status int",
            "detail_id",
            "tran_num",
        ),
        table(
            "operatory_notes",
            "note_id int, patient_id vc10, date_entered ts, user_id c8, note_type c1,"
            " description txt, status c1, freshness ts",
            "note_id",
            "freshness",
        ),
    ),
)

Rows = Iterator[Mapping[str, Value]]


class Pour:
    """Rows of every table, read from an office in the other layout (``office``: SQLite)."""

    def __init__(self, office: sqlite3.Connection, zone: str) -> None:
        office.row_factory = sqlite3.Row
        self._office = office
        self._zone = zone
        self._hygienists = {
            int(r["ProvNum"]) for r in self._all("SELECT * FROM provider WHERE IsSecondary=1")
        }
        self._codes = {
            int(r["CodeNum"]): str(r["ProcCode"]).lstrip("D")
            for r in self._all("SELECT CodeNum, ProcCode FROM procedurecode")
        }
        self._details = 0

    def tables(self) -> Mapping[str, Callable[[], Rows]]:
        return {
            "system_preferences": self.system, "positions": self.positions,
            "provider": self.provider, "chairs": self.chairs, "appt_types": self.types,
            "services": self.services, "patient": self.patient, "appointment": self.appointment,
            "appointment_provider": self.appointment_provider,
            "insurance_company": self.company, "employer": self.employer,
            "insurance_claim": self.claim, "transactions_header": self.header,
            "transactions_detail": self.detail, "operatory_notes": self.notes,
        }  # fmt: skip

    def _all(self, sql: str) -> list[sqlite3.Row]:
        return self._office.execute(sql).fetchall()

    def _provider(self, number: Any) -> str:
        return f"{'H' if int(number) in self._hygienists else 'D'}{int(number)}"

    def system(self) -> Rows:
        yield {"preference_id": 1, "version": "21.10"}

    def positions(self) -> Rows:
        for number, name in ((1, "Dentist"), (2, "Hygienist"), (3, "Office")):
            yield {"position_id": number, "description": name}

    def provider(self) -> Rows:
        for r in self._all("SELECT * FROM provider ORDER BY ProvNum"):
            yield {
                "provider_id": self._provider(r["ProvNum"]), "first_name": r["FName"][:30],
                "last_name": r["LName"][:40], "phone": "", "email": "", "status": "A",
                "position_id": 2 if r["IsSecondary"] else 1,
                "national_prov_id": r["NationalProvID"], "federal_tax_id": "12-3456789",
                "license": "NY-1", "specialty": "Hygiene" if r["IsSecondary"] else "General",
                "practice_id": 1, "last_logon": None,
                "encrypted_social_security": "x'00'", "clinicianpassword": "never read",
            }  # fmt: skip

    def chairs(self) -> Rows:
        for r in self._all("SELECT OperatoryNum, OpName FROM operatory ORDER BY OperatoryNum"):
            yield {"location_id": r[0], "description": r[1]}
        yield {"location_id": PARKING, "description": "Parking"}

    def types(self) -> Rows:
        for r in self._all("SELECT AppointmentTypeNum, AppointmentTypeName FROM appointmenttype"):
            yield {"type_id": r[0], "description": r[1], "appt_minutes": 60}

    def services(self) -> Rows:
        for r in self._all("SELECT * FROM procedurecode ORDER BY CodeNum"):
            yield {
                "service_code": self._codes[int(r["CodeNum"])], "ada_code": r["ProcCode"],
                "description": r["Descript"], "service_type_id": int(r["ProcCat"]), "fee": 0,
            }  # fmt: skip

    def patient(self) -> Rows:
        covered: dict[int, list[sqlite3.Row]] = {}
        for r in self._all(
            "SELECT p.PatNum, p.Relationship, s.Subscriber, s.SubscriberID, s.PlanNum"
            " FROM patplan p JOIN inssub s ON s.InsSubNum=p.InsSubNum ORDER BY p.PatNum, p.Ordinal"
        ):
            covered.setdefault(r[0], []).append(r)
        recalls = {
            r["PatNum"]: r for r in self._all("SELECT * FROM recall ORDER BY RecallNum DESC")
        }
        for r in self._all("SELECT * FROM patient WHERE PatStatus<>4 ORDER BY PatNum"):
            plans = covered.get(r["PatNum"], [])
            first = plans[0] if plans else None
            recall = recalls.get(r["PatNum"])
            yield {
                "patient_id": str(r["PatNum"]), "first_name": r["FName"][:30],
                "last_name": r["LName"], "middle_initial": r["MiddleI"][:1],
                "preferred_name": r["Preferred"][:30], "salutation": r["Title"],
                "address_1": r["Address"], "address_2": r["Address2"], "city": r["City"],
                "state": r["State"], "zipcode": r["Zip"], "home_phone": r["HmPhone"],
                "work_phone": r["WkPhone"], "cell_phone": r["WirelessPhone"],
                "email_address": r["Email"], "sex": "MFU"[r["Gender"]],
                "birth_date": none(r["Birthdate"]), "marital_status": "SMSWD"[r["Position"]],
                "status": "AIIIIXA"[r["PatStatus"]], "responsible_party": str(r["Guarantor"]),
                "preferred_dentist": self._provider(r["PriProv"]),
                "preferred_hygienist": self._provider(r["SecProv"]), "recall_frequency": 6,
                "receive_recalls": "Y", "receives_sms": " YN"[r["TxtMsgOk"]].strip(),
                "receive_email": "Y" if r["Email"] else "", "current_bal": r["Bal_0_30"],
                "thirty_day": r["Bal_31_60"], "sixty_day": r["Bal_61_90"],
                "ninety_day": r["BalOver90"], "contract_balance": 0,
                "estimated_insurance": r["InsEst"],
                "first_visit_date": none(r["DateFirstVisit"]),
                "date_entered": none(r["SecDateEntry"]),
                "next_recall_date": none(recall["DateDue"]) if recall else None,
                "last_recall_date": none(recall["DatePrevious"]) if recall else None,
                "prim_responsible_id": str(first["Subscriber"]) if first else "",
                "prim_relationship": "SPC"[first["Relationship"]] if first else "",
                "prim_employer_id": first["PlanNum"] if first else None,
                "prim_member_id": first["SubscriberID"] if first else "",
                "sec_employer_id": plans[1]["PlanNum"] if len(plans) > 1 else None,
                "chart_id": r["ChartNumber"], "notes": r["MedUrgNote"],
                "caesy_language": r["Language"], "social_security": "078-05-1120",
                "encrypted_social_security": "x'00'", "password": "never read",
                "password_salt": "never read", "security_question_1": "never read",
                "security_answer_1": "never read", "drivers_license": "never read",
            }  # fmt: skip

    def _visits(self) -> list[sqlite3.Row]:
        """Broken visits: two of three were deleted from the day, one is parked."""
        return [
            r
            for r in self._all(
                "SELECT * FROM appointment WHERE AptStatus IN (1,2,3,5) AND AptDateTime>'1880'"
                " AND PatNum IN (SELECT PatNum FROM patient WHERE PatStatus<>4) ORDER BY AptNum"
            )
            if r["AptStatus"] in {1, 2} or r["AptNum"] % 3 == 0
        ]

    def appointment(self) -> Rows:
        named = {
            int(r[0]): str(r[1])
            for r in self._all("SELECT DefNum, ItemValue FROM definition WHERE Category=2")
        }
        for r in self._visits():
            start = datetime.fromisoformat(str(r["AptDateTime"]))
            end = start + timedelta(minutes=5 * len(r["Pattern"]))
            done = r["AptStatus"] == 2
            parked = r["AptStatus"] in {3, 5}
            agreed = named.get(r["Confirmed"]) in {"Confirmed", "FrontDesk", "Arrived"}
            yield {
                "appointment_id": r["AptNum"], "description": r["ProcDescript"][:120],
                "allday_event": 0, "start_time": start.isoformat(" "),
                "end_time": end.isoformat(" "), "patient_id": str(r["PatNum"]), "recall_id": None,
                "location_id": PARKING if parked else r["Op"], "location_free_form": "",
                "classification": 0, "appointment_type_id": r["AppointmentTypeNum"] or None,
                "prefix": "", "date_appointed": str(r["SecDateTEntry"]),
                "date_confirmed": str(r["SecDateTEntry"]) if agreed else None,
                "appointment_notes": r["Note"], "deletion_note": "", "scheduled_by": "FD1",
                "modified_by": "FD1", "arrival_status": 0,
                "arrival_time": moment(r["DateTimeArrived"]) if done else None,
                "inchair_time": moment(r["DateTimeSeated"]) if done else None,
                "walkout_time": moment(r["DateTimeDismissed"]) if done else None,
                "confirmation_status": 2 if agreed else 0, "confirmation_note": "",
                "auto_confirm_sent": 0, "recurrence_id": None, "private": 0, "priority": 0,
            }  # fmt: skip
        for r in self._all(
            "SELECT s.*, MIN(o.OperatoryNum) AS op FROM schedule s JOIN scheduleop o"
            " ON o.ScheduleNum=s.ScheduleNum WHERE s.SchedType=2 GROUP BY s.ScheduleNum"
        ):
            yield {
                "appointment_id": BLOCKS_FROM + r["ScheduleNum"],
                "description": r["Note"] or "Blocked", "allday_event": 0,
                "start_time": f"{r['SchedDate']} {r['StartTime']}",
                "end_time": f"{r['SchedDate']} {r['StopTime']}", "patient_id": None,
                "recall_id": None, "location_id": r["op"], "location_free_form": "",
                "classification": 0, "appointment_type_id": None, "prefix": "",
                "date_appointed": None, "date_confirmed": None, "appointment_notes": "",
                "deletion_note": "", "scheduled_by": "FD1", "modified_by": "", "arrival_status": 0,
                "arrival_time": None, "inchair_time": None, "walkout_time": None,
                "confirmation_status": 0, "confirmation_note": "", "auto_confirm_sent": 0,
                "recurrence_id": None, "private": 0, "priority": 0,
            }  # fmt: skip

    def appointment_provider(self) -> Rows:
        for r in self._visits():
            own = [r["ProvHyg"], r["ProvNum"]] if r["ProvHyg"] else [r["ProvNum"]]
            for number in dict.fromkeys(own):
                yield {
                    "appointment_id": r["AptNum"], "provider_id": self._provider(number),
                }  # fmt: skip

    def company(self) -> Rows:
        for r in self._all("SELECT * FROM carrier ORDER BY CarrierNum"):
            yield {
                "insurance_company_id": r["CarrierNum"], "name": r["CarrierName"],
                "phone1": r["Phone"][:20], "neic_payer_id": r["ElectID"],
            }  # fmt: skip

    def employer(self) -> Rows:
        for r in self._all("SELECT * FROM insplan ORDER BY PlanNum"):
            yield {
                "employer_id": r["PlanNum"], "name": r["GroupName"],
                "group_number": r["GroupNum"], "group_name": r["GroupName"],
                "insurance_company_id": r["CarrierNum"],
            }  # fmt: skip

    def claim(self) -> Rows:
        for r in self._all("SELECT * FROM claim ORDER BY ClaimNum"):
            yield {
                "claim_id": r["ClaimNum"], "patient_id": str(r["PatNum"]),
                "date_created": none(r["DateService"]),
                "provider_id": self._provider(r["ProvTreat"]), "prim_employer_id": r["PlanNum"],
                "prim_insurance_company_id": None, "prim_responsible_id": "",
                "claim_type": r["ClaimType"][:1], "prim_submitted_total": r["ClaimFee"],
                "prim_total_paid": r["InsPayAmt"],
            }  # fmt: skip

    def _ledger(self) -> Iterator[tuple[int, sqlite3.Row, str, float, float]]:
        """(number, row, type, amount, fee): services, payments (negative), adjustments; in the
        order of their numbers. Every 29th was deleted, softly."""
        number = 0
        for r in self._all("SELECT * FROM procedurelog WHERE ProcStatus=2 ORDER BY ProcNum"):
            number += 1
            yield number, r, "S", r["ProcFee"], r["ProcFee"]
        for r in self._all("SELECT * FROM payment ORDER BY PayNum"):
            number += 1
            yield number, r, "P", -r["PayAmt"], 0
        for r in self._all("SELECT * FROM adjustment ORDER BY AdjNum"):
            number += 1
            yield number, r, "C" if r["AdjAmt"] < 0 else "D", r["AdjAmt"], 0

    def header(self) -> Rows:
        for number, r, kind, amount, fee in self._ledger():
            day = {"S": "ProcDate", "P": "PayDate"}.get(kind, "AdjDate")
            yield {
                "tran_num": number, "user_id": "FD1", "type": kind, "tran_date": none(r[day]),
                "resp_party_id": str(r["PatNum"]), "amount": amount,
                "service_code": self._codes[int(r["CodeNum"])] if kind == "S" else None,
                "paytype_id": r["PayType"] if kind == "P" else None, "sequence": 1,
                "surface": r["Surf"] if kind == "S" else "", "fee": fee,
                "description": {"P": "Payment", "S": "Service"}.get(kind, "Adjustment"),
                "status": "D" if number % 29 == 0 else "A",
                "adjustment_type": r["AdjType"] if kind in "CD" else None, "claim_id": None,
                "tooth": r["ToothNum"] if kind == "S" else "",
            }  # fmt: skip

    def detail(self) -> Rows:
        for number, r, kind, amount, _ in self._ledger():
            provider = r["ProvNum"] if kind != "P" else 0
            yield {
                "detail_id": number, "tran_num": number,
                "provider_id": self._provider(provider) if provider else None,
                "patient_id": str(r["PatNum"]), "amount": amount, "date_entered": None,
                "status": 1,
            }  # fmt: skip

    def notes(self) -> Rows:
        for r in self._all("SELECT * FROM procnote ORDER BY ProcNoteNum"):
            yield {
                "note_id": r["ProcNoteNum"], "patient_id": str(r["PatNum"]),
                "date_entered": str(r["EntryDateTime"]), "user_id": "FD1", "note_type": "C",
                "description": r["Note"], "status": "A", "freshness": str(r["EntryDateTime"]),
            }  # fmt: skip


def moment(text: Any) -> Value:
    """When something happened; the other layout's midnight and year 1 are "not yet"."""
    found = str(text or "")
    return found if found > "1880" and not found.endswith("00:00:00") else None


__all__ = ["BLOCKS_FROM", "LAYOUT", "PARKING", "Pour", "moment", "wall"]
