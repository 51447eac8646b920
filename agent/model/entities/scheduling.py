"""Appointment, schedule block, recall. A leaf of ``agent.model``."""

from __future__ import annotations

import msgspec

from agent.model.entities.base import Part, Record
from agent.model.entities.words import (
    AppointmentStatus,
    BlockKind,
    BlockStatus,
    ConfirmationCategory,
    Priority,
)


class ProcedureRef(Part, frozen=True):
    """A procedure attached to an appointment and its procedure code's key."""

    key: str
    code_key: str | None = None


class Appointment(Record, frozen=True):
    """A visit, or a note on the schedule. Unscheduled and planned ones have no start or operatory.

    ``arrived``, ``seated``, ``dismissed``: Open Dental stores the visit's date at 00:00:00 until
    they happen, so midnight means "not yet". ``pattern``: one sign per 5 minutes, X = provider's
    time, / = assistant's time. ``planned_key``: the planned appointment this one was made from.
    """

    patient_key: str | None = None
    status: AppointmentStatus | None = None
    status_raw: str | None = None
    confirmation_key: str | None = None
    confirmation: str | None = None  # the practice's own name of it
    confirmation_category: ConfirmationCategory | None = None
    type_key: str | None = None
    type: str | None = None
    start: str | None = None
    end: str | None = None
    start_local: str | None = None  # YYYY-MM-DDTHH:MM:SS
    zone: str | None = None
    minutes: int | None = None
    provider_key: str | None = None
    hygienist_key: str | None = None
    assistant_key: str | None = None
    operatory_key: str | None = None
    clinic_key: str | None = None
    procedures: tuple[ProcedureRef, ...] = ()
    procedures_text: str | None = None
    is_new_patient: bool | None = None
    is_hygiene: bool | None = None
    arrived: str | None = None
    seated: str | None = None
    dismissed: str | None = None
    asked_to_arrive: str | None = None
    priority: Priority | None = None
    priority_raw: str | None = None
    note: str | None = None
    planned_key: str | None = None
    unscheduled_status_key: str | None = None
    unscheduled_status: str | None = None
    is_time_locked: bool | None = None
    pattern: str | None = None
    created: str | None = None
    plan_key: str | None = None
    plan2_key: str | None = None
    custom: dict[str, str] = msgspec.field(default_factory=dict)
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class ScheduleBlock(Record, frozen=True):
    """Opening hours of a provider, a blockout, an employee's hours, a practice note or holiday.

    Without operatories, provider hours hold for every operatory assigned to the provider.
    A block whose start equals its end has no hours of its own (a note or a whole day).
    """

    kind: BlockKind | None = None
    kind_raw: str | None = None
    provider_key: str | None = None
    employee_key: str | None = None
    operatory_keys: tuple[str, ...] = ()
    clinic_key: str | None = None
    date: str | None = None
    start: str | None = None
    end: str | None = None
    start_local: str | None = None  # HH:MM
    end_local: str | None = None
    zone: str | None = None
    status: BlockStatus | None = None
    status_raw: str | None = None
    blockout_type_key: str | None = None
    blockout_type: str | None = None
    forbids_booking: bool | None = None
    note: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)


class Recall(Record, frozen=True):
    """A patient is due for something. ``due`` is what the office works with; ``due_calculated``
    is the PMS's own sum; ``scheduled`` the date of a future visit that satisfies it."""

    patient_key: str | None = None
    type_key: str | None = None
    type: str | None = None
    due: str | None = None
    due_calculated: str | None = None
    previous: str | None = None
    scheduled: str | None = None
    interval: str | None = None  # ISO 8601 period, e.g. P6M or P1Y2M3W1D
    status_key: str | None = None
    status: str | None = None  # the practice's own name of it
    is_disabled: bool | None = None
    disabled_until: str | None = None
    disabled_until_balance: str | None = None
    priority: Priority | None = None
    priority_raw: str | None = None
    note: str | None = None
    time_pattern: str | None = None
    extra: dict[str, str] = msgspec.field(default_factory=dict)
