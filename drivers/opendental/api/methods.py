"""The API's methods a writer needs: verb, path, first version, permission. A table of facts. Pure.

Source: the vendor's API pages (about 24.4/25.1). ``Appointments PUT`` states no version; it is one
of the first methods, so 21.1. Must not import an HTTP library.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from agent.model.effects import EffectKind


class Mode(StrEnum):
    """Who answers. Service: OpenDentalAPIService on the office's server; local: the program on one
    workstation, while somebody is logged in; remote: the vendor's cloud through the eConnector."""

    SERVICE = "service"
    LOCAL = "local"
    REMOTE = "remote"


SERVICE_PORT = 30223
LOCAL_PORT = 30222
REMOTE_HOST = "api.opendental.com"

PAGE_ROWS = {Mode.SERVICE: 1000, Mode.LOCAL: 1000, Mode.REMOTE: 100}
THROTTLE_S = {Mode.SERVICE: 0.0, Mode.LOCAL: 0.0, Mode.REMOTE: 1.0}
"""Seconds from one request to the next, with any permission that is paid for; a writer has one."""


class Group(StrEnum):
    """The permissions of a developer key, as far as we use them."""

    READ = "ReadAll"
    COMM = "Comm"
    APPOINTMENTS = "Appointments"
    PATIENTS = "Patients"
    DOCUMENTS = "Documents"
    OTHERS = "AllOthers"


class Method(msgspec.Struct, frozen=True):
    """``path``: under the base address, ``{key}`` for a primary key."""

    verb: str
    path: str
    since: str
    group: Group

    @property
    def name(self) -> str:
        """For logs and findings: no key in it."""
        return f"{self.verb} {self.path}"

    def is_in(self, version: tuple[int, ...]) -> bool:
        return version >= tuple(map(int, self.since.split(".")))


PREFERENCES = Method("GET", "preferences", "21.1", Group.READ)
PERIO_MEASURES = Method("GET", "periomeasures", "22.4.32", Group.READ)

APPOINTMENT_POST = Method("POST", "appointments", "21.1", Group.APPOINTMENTS)
APPOINTMENT_PUT = Method("PUT", "appointments/{key}", "21.1", Group.APPOINTMENTS)
CONFIRM = Method("PUT", "appointments/{key}/Confirm", "21.2", Group.COMM)  # by defNum
BREAK = Method("PUT", "appointments/{key}/Break", "21.3", Group.COMM)
APPOINTMENT_NOTE = Method("PUT", "appointments/{key}/Note", "21.1", Group.COMM)
PATIENT_POST = Method("POST", "patients", "21.1", Group.PATIENTS)
PATIENT_PUT = Method("PUT", "patients/{key}", "21.2", Group.PATIENTS)
COMMLOG_POST = Method("POST", "commlogs", "21.1", Group.COMM)
PROCNOTE_POST = Method("POST", "procnotes", "22.2", Group.OTHERS)
PERIO_EXAM_POST = Method("POST", "perioexams", "23.1.20", Group.OTHERS)
PERIO_EXAM_DELETE = Method("DELETE", "perioexams/{key}", "23.3.27", Group.OTHERS)
PERIO_MEASURE_POST = Method("POST", "periomeasures", "22.4.37", Group.OTHERS)
PERIO_MEASURE_PUT = Method("PUT", "periomeasures/{key}", "22.4.37", Group.OTHERS)
RECALL_PUT = Method("PUT", "recalls/{key}", "24.2.31", Group.OTHERS)
RECALL_STATUS = Method("PUT", "recalls/Status", "21.2", Group.COMM)
PATFIELD_POST = Method("POST", "patfields", "22.4", Group.OTHERS)
PATFIELD_PUT = Method("PUT", "patfields", "21.1", Group.OTHERS)
PATFIELD_DELETE = Method("DELETE", "patfields/{key}", "22.4", Group.OTHERS)
APPTFIELD_PUT = Method("PUT", "apptfields", "21.1", Group.COMM)
DOCUMENT_UPLOAD = Method("POST", "documents/Upload", "21.1", Group.DOCUMENTS)

WAYS: dict[EffectKind, tuple[tuple[Method, ...], ...]] = {
    EffectKind.BOOK: ((APPOINTMENT_POST,),),
    EffectKind.MOVE: ((APPOINTMENT_PUT,),),
    EffectKind.CONFIRM: ((CONFIRM,),),
    EffectKind.SET_STATUS: ((APPOINTMENT_PUT,),),
    EffectKind.BREAK: ((BREAK,),),
    EffectKind.NOTE_APPOINTMENT: ((APPOINTMENT_NOTE,),),
    EffectKind.CREATE_PATIENT: ((PATIENT_POST,),),
    EffectKind.UPDATE_PATIENT: ((PATIENT_PUT,),),
    EffectKind.SET_CONSENT: ((PATIENT_PUT,),),
    EffectKind.APPEND_COMMLOG: ((COMMLOG_POST,),),
    EffectKind.APPEND_NOTE: ((PROCNOTE_POST,),),
    EffectKind.RECORD_PERIO: ((PERIO_EXAM_POST, PERIO_MEASURE_POST),),
    EffectKind.UPDATE_RECALL: ((RECALL_PUT,), (RECALL_STATUS,)),
    EffectKind.SET_CUSTOM: ((PATFIELD_PUT,), (APPTFIELD_PUT,)),
    EffectKind.ATTACH_DOCUMENT: ((DOCUMENT_UPLOAD,),),
}
"""What an effect may be done with: any way whose methods the site all offers."""

BLANKS: dict[Group, Method] = {
    Group.COMM: COMMLOG_POST,
    Group.APPOINTMENTS: APPOINTMENT_POST,
    Group.PATIENTS: PATIENT_POST,
    Group.OTHERS: PROCNOTE_POST,
    Group.DOCUMENTS: DOCUMENT_UPLOAD,
}
"""Methods whose page names required fields: sent with an empty body they can do nothing, and a
missing permission shows."""

FIELDS_SINCE: dict[tuple[Method, str], str] = {
    (APPOINTMENT_POST, "IsNewPatient"): "21.3",
    (APPOINTMENT_POST, "Priority"): "22.1",
    (APPOINTMENT_POST, "AppointmentTypeNum"): "22.1",
    (APPOINTMENT_PUT, "PatternSecondary"): "23.3.17",
    (PATIENT_POST, "PreferRecallMethod"): "22.2",
    (PATIENT_PUT, "PreferRecallMethod"): "22.2",
    (PERIO_EXAM_POST, "ExamDate"): "23.3.27",
    (PERIO_EXAM_POST, "ProvNum"): "23.3.27",
    (PERIO_EXAM_POST, "Note"): "23.3.27",
}
"""Fields younger than their method; an older office ignores them without a word."""
