"""What people do in the reference CRM during the demo, and where the practice shows it.

Orders go in as the page's do and are checked like them. Imports the sandbox's two sides: nothing of
the agent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from agent.model.commands import CommandType, Reason
from agent.sandbox.crm import CrmServer
from agent.sandbox.crm.orders import CannotOrder
from agent.sandbox.crm.roster import days_after, plan_of
from agent.sandbox.crm.schema import connect
from agent.sandbox.crm.slots import Place, free
from agent.sandbox.practice.desk import Desk

LOOK_S = 0.002
MINUTES = 30
_DAYS = 21
_SOMEBODY = (
    "SELECT MAX(PatNum) FROM patient p WHERE PatStatus=0"
    " AND NOT EXISTS (SELECT 1 FROM patrestriction r WHERE r.PatNum=p.PatNum)"
)


class Errand(msgspec.Struct, frozen=True):
    """One thing asked for in the CRM. ``practice_ms``: until the practice showed it; ``answer_ms``:
    until the CRM had the answer; None = not in time. ``state``: how the command ended;
    ``is_right``: as it should have."""

    what: str
    state: str
    reason: str
    practice_ms: float | None
    answer_ms: float | None
    is_right: bool


class CrmLife:
    """Somebody at work in the CRM of a demo. ``run`` does each thing once, in order."""

    def __init__(self, crm: CrmServer, desk: Desk, zone: str) -> None:
        self._crm = crm
        self._desk = desk
        self._tz = ZoneInfo(zone)
        self._visit = 0

    def run(self, timeout_s: float) -> Iterator[Errand]:
        patient = self._one(_SOMEBODY)
        places = self._places()
        if patient is None or len(places) < 2:
            return
        first, other = places[0], places[-1]
        yield self._book(patient, first, timeout_s)
        if not self._visit:
            return
        visit = {"type": "appointment", "key": str(self._visit)}
        confirmed = self._one(f"SELECT Confirmed FROM appointment WHERE AptNum={self._visit}")
        yield self._errand(
            "confirmed that visit", CommandType.APPOINTMENT_CONFIRM,
            {"confirmation_category": "confirmed"}, visit,
            f"SELECT 1 FROM appointment WHERE AptNum={self._visit} AND Confirmed<>{confirmed}",
            timeout_s,
        )  # fmt: skip
        yield self._errand(
            "moved it", CommandType.APPOINTMENT_RESCHEDULE, _slot(other), visit,
            f"SELECT 1 FROM appointment WHERE AptNum={self._visit}"
            f" AND AptDateTime='{self._local(other)}'",
            timeout_s,
        )  # fmt: skip
        person = {"type": "patient", "key": str(patient)}
        yield self._errand(
            "corrected an address", CommandType.PATIENT_UPDATE,
            {"fields": {"address2": "Unit 7"}}, person,
            f"SELECT 1 FROM patient WHERE PatNum={patient} AND Address2='Unit 7'", timeout_s,
        )  # fmt: skip
        yield self._errand(
            "logged a call", CommandType.COMMLOG_APPEND,
            {"patient_key": str(patient), "note": "Asked about parking.", "mode": "phone",
             "direction": "received"}, None,
            f"SELECT 1 FROM commlog WHERE PatNum={patient} AND Note='Asked about parking.'",
            timeout_s,
        )  # fmt: skip
        yield self._errand(
            "asked for a taken place", CommandType.APPOINTMENT_BOOK,
            {"patient": {"key": str(patient)}, **_slot(other)}, None, None, timeout_s,
        )  # fmt: skip
        yield self._errand(
            "cancelled the visit", CommandType.APPOINTMENT_CANCEL, {"break_type": "cancelled"},
            visit, f"SELECT 1 FROM appointment WHERE AptNum={self._visit} AND AptStatus=5",
            timeout_s,
        )  # fmt: skip

    def _book(self, patient: int, place: Place, timeout_s: float) -> Errand:
        before = self._one("SELECT MAX(AptNum) FROM appointment") or 0
        made = f"SELECT AptNum FROM appointment WHERE AptNum>{before} AND PatNum={patient}"
        errand = self._errand(
            "booked a visit", CommandType.APPOINTMENT_BOOK,
            {"patient": {"key": str(patient)}, **_slot(place)}, None, made, timeout_s,
        )  # fmt: skip
        self._visit = self._one(made) or 0
        return errand

    def _errand(
        self,
        what: str,
        kind: CommandType,
        payload: dict[str, Any],
        target: dict[str, Any] | None,
        shows: str | None,
        timeout_s: float,
    ) -> Errand:
        """``shows``: a row once the practice has it; None: the place must be answered as taken."""
        began = time.monotonic()
        try:
            command = self._crm.send_command(
                kind.value, payload, target=target, is_checked=True, made_by="demo"
            )
        except CannotOrder as cannot:
            return Errand(what, "refused", cannot.reason.value, None, 0.0, False)
        deadline = began + timeout_s
        shown_ms = answer_ms = None
        state = reason = ""
        while time.monotonic() < deadline and (answer_ms is None or (shows and shown_ms is None)):
            now_ms = (time.monotonic() - began) * 1000
            if shows and shown_ms is None and self._one(shows) is not None:
                shown_ms = now_ms
            if answer_ms is None:
                state, reason = self._state(command)
                answer_ms = now_ms if state in ("applied", "rejected", "expired") else None
            if state in ("rejected", "expired"):
                break
            time.sleep(LOOK_S)
        done = state == "applied" and shown_ms is not None
        refused = state == "rejected" and reason == Reason.SLOT_TAKEN
        return Errand(what, state, reason, shown_ms, answer_ms, done if shows else refused)

    def _state(self, command: str) -> tuple[str, str]:
        with closing(connect(self._crm.db, read_only=True)) as store:
            row = store.execute(
                "SELECT state, coalesce(json_extract(result, '$.reason_code'), '') FROM command"
                " WHERE id = ?",
                (command,),
            ).fetchone()
        return ("", "") if row is None else (str(row[0]), str(row[1]))

    def _places(self) -> list[Place]:
        """Free places of the coming weeks, one a day, as the CRM sees them."""
        now_us = int(time.time() * 1e6)
        today = datetime.now(UTC).astimezone(self._tz).date()
        found = []
        with closing(connect(self._crm.db, read_only=True)) as store:
            for ahead in range(1, _DAYS):
                plan = plan_of(store, days_after(today, ahead), 1, self._tz)
                found += list(free(plan, MINUTES, now_us))[:1]
        return found

    def _local(self, place: Place) -> str:
        at = datetime.fromtimestamp(place.start_us / 1e6, tz=self._tz)
        return f"{at:%Y-%m-%d %H:%M:%S}"

    def _one(self, sql: str) -> int | None:
        for (value,) in self._desk.rows(sql):
            return None if value is None else int(value)
        return None


def _slot(place: Place) -> dict[str, Any]:
    start = datetime.fromtimestamp(place.start_us / 1e6, tz=UTC)
    return {
        "start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "minutes": (place.end_us - place.start_us) // 60_000_000,
        "operatory_key": place.room,
        "provider_key": place.provider or None,
    }
