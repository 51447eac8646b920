"""Things that wait for a person, made on a living stage by both sides' own ways in."""

from __future__ import annotations

from collections.abc import Callable

from agent.cli.stage import Stage
from agent.config.store import save_setting
from agent.model.status import Snapshot
from agent.sandbox.crm.faults import Fault, FaultKind
from tests.e2e.crm_side import CrmDesk
from tests.support.until import until

WAIT_S = 30.0


def patients(stage: Stage, count: int) -> list[int]:
    rows = stage.desk.rows("SELECT PatNum FROM patient WHERE PatStatus=0 ORDER BY PatNum")
    return [int(number) for (number,) in rows][:count]


def conflicts(stage: Stage, count: int, *, first: int = 0) -> list[int]:
    """Both sides change the same fields of some patients, each without knowing of the other."""
    chosen = patients(stage, first + count)[first:]
    with CrmDesk(stage.crm.url) as desk:
        for number in chosen:
            person = desk.get(f"patients/{number}")["person"]
            stage.desk.update(
                "patient", number, {"City": "Alder Falls", "Address": f"{number} Mill Lane"}
            )
            asked = desk.ask(
                f"patients/{number}/edit",
                {
                    "fields": {"city": "Birch Hollow", "address": f"{number} Mill Lane, rear"},
                    "expected": {"city": person.get("city"), "address": person.get("address")},
                },
            )
            assert asked is not None, desk.refusals
    return chosen


def suspect(stage: Stage, number: int) -> str:
    """A person of the CRM with a patient's name and birth date, and another telephone."""
    ((last, first, born),) = list(
        stage.desk.rows(f"SELECT LName, FName, Birthdate FROM patient WHERE PatNum={number}")
    )
    with CrmDesk(stage.crm.url) as desk:
        made = desk.ask(
            "contacts",
            {
                "last_name": str(last),
                "first_name": str(first),
                "birthdate": str(born)[:10],
                "phones": ["+12125550147"],
                "is_sure": True,
            },
        )
    assert made is not None, desk.refusals
    return str(made["cloud_id"])


def task(stage: Stage, number: int) -> None:
    """Something only a person can do here: the agent has no writer."""
    with CrmDesk(stage.crm.url) as desk:
        payload = {"patient_key": str(number), "note": "Asked for a night guard.", "mode": "phone"}
        made = desk.ask("commands", {"type": "commlog.append", "payload": payload})
    assert made is not None, desk.refusals


def task_meanwhile(stage: Stage, number: int) -> None:
    """``task`` on an agent that has a writer: it is without one for a moment."""
    file = stage.paths.config_file
    for writer in ("none", "auto"):
        stage.stop_agent()
        save_setting(file, "pms.writer", writer)
        stage.start_agent()
        wait(stage, lambda s: s.load is None and s.last_read_at is not None)
        if writer == "none":
            task(stage, number)
            wait(stage, lambda s: s.tasks_open > 0)


def parked(stage: Stage, numbers: list[int]) -> None:
    """The CRM refuses these patients once; then it would take them."""
    for number in numbers:
        stage.crm.faults.arm(Fault(FaultKind.ITEM, type="patient", key=str(number)))
        stage.desk.update("patient", number, {"Address2": f"Suite {number}"})


def wait(stage: Stage, holds: Callable[[Snapshot], bool]) -> Snapshot:
    def look() -> Snapshot | None:
        report = stage.status()
        return report.snapshot if report is not None and holds(report.snapshot) else None

    found = until(look, WAIT_S, said=stage.status)
    assert found is not None
    return found
