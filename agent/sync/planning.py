"""From a command to its plan: which planner knows it. Pure dispatch; see ``plans``."""

from __future__ import annotations

from collections.abc import Callable

from agent.model.commands import Command, CommandType, Reason
from agent.sync.looks import Looks
from agent.sync.payloads import Invalid
from agent.sync.planning_charts import Charts
from agent.sync.planning_visits import Visits
from agent.sync.plans import Ground, Plan, Refuse


class Planner:
    def __init__(self, ground: Ground) -> None:
        visits = Visits(ground)
        charts = Charts(ground, visits)
        self._by_type: dict[CommandType, Callable[[Command, Looks], Plan]] = {
            CommandType.APPOINTMENT_BOOK: visits.book,
            CommandType.APPOINTMENT_RESCHEDULE: visits.reschedule,
            CommandType.APPOINTMENT_CONFIRM: visits.confirm,
            CommandType.APPOINTMENT_STATUS_SET: visits.set_status,
            CommandType.APPOINTMENT_CANCEL: visits.cancel,
            CommandType.PATIENT_CREATE: charts.create,
            CommandType.PATIENT_UPDATE: charts.update,
            CommandType.CONSENT_SET: charts.set_consent,
            CommandType.COMMLOG_APPEND: charts.commlog,
            CommandType.NOTE_APPEND: charts.note,
            CommandType.PERIO_RECORD: charts.perio,
            CommandType.RECALL_UPDATE: charts.recall,
            CommandType.CUSTOM_FIELD_SET: charts.set_custom,
            CommandType.DOCUMENT_ATTACH: charts.document,
        }

    def plan(self, command: Command, looks: Looks) -> Plan:
        """Raises Refuse, Postpone, Unreadable, Unbelieved and the Pms errors."""
        planner = self._by_type.get(command.type)
        if planner is None:
            raise Refuse(Reason.NOT_SUPPORTED, "command.not_supported")
        try:
            plan = planner(command, looks)
        except Refuse:
            looks.insist()  # there may be no such patient only because the table is being rebuilt
            raise
        except Invalid as invalid:
            raise Refuse(
                Reason.VALIDATION_FAILED, "command.invalid", field=invalid.field
            ) from invalid
        looks.insist()
        return plan
