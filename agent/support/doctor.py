"""Doctor: run the checks in order and say what each found. Knows no driver and no CRM.

A check is a callable giving findings; agent.runtime.checks builds the list and knows the rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from agent.errors import AgentError, ExitCode
from agent.model.reading import Finding, Severity


@dataclass(frozen=True, slots=True)
class Check:
    """``topic`` groups the output; ``exit_code`` applies when the check finds an error."""

    topic: str
    title: str
    run: Callable[[], Sequence[Finding]]
    exit_code: ExitCode
    needs: str = ""  # topic that must be free of errors first


class Checked(msgspec.Struct, frozen=True):
    """One check's result; ``skipped`` when what it needs had failed."""

    topic: str
    title: str
    findings: tuple[Finding, ...]
    skipped: bool = False
    needs: str = ""

    @property
    def worst(self) -> Severity:
        order = list(Severity)
        return max((f.severity for f in self.findings), key=order.index, default=Severity.OK)


def run_checks(checks: Sequence[Check]) -> tuple[list[Checked], ExitCode]:
    """Every check that can run, and the exit code of the first one that failed."""
    results: list[Checked] = []
    failed: set[str] = set()
    code = ExitCode.OK
    for check in checks:
        if check.needs in failed:
            results.append(Checked(check.topic, check.title, (), True, check.needs))
            failed.add(check.topic)
            continue
        result = Checked(check.topic, check.title, tuple(_findings(check)))
        results.append(result)
        if result.worst is Severity.ERROR:
            failed.add(check.topic)
            code = code or check.exit_code
    return results, code


def _findings(check: Check) -> Sequence[Finding]:
    try:
        return check.run()
    except AgentError as error:
        return [Finding(error.code, Severity.ERROR, dict(error.facts))]
