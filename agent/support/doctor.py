"""Doctor: run the checks in order and say what each found. Knows no driver and no CRM.

A check is a callable giving findings; agent.runtime.checks builds the list and knows the rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.errors import AgentError, ExitCode
from agent.model.helping import Checked
from agent.model.reading import Finding, Severity


@dataclass(frozen=True, slots=True)
class Check:
    """``topic`` groups the output; ``exit_code`` applies when the check finds an error."""

    topic: str
    title: str
    run: Callable[[], Sequence[Finding]]
    exit_code: ExitCode
    needs: str = ""  # topic that must be free of errors first


def worst(checked: Checked) -> Severity:
    order = list(Severity)
    return max((f.severity for f in checked.findings), key=order.index, default=Severity.OK)


def run_checks(
    checks: Sequence[Check], on_step: Callable[[list[Checked], str], None] | None = None
) -> tuple[list[Checked], ExitCode]:
    """Every check that can run, and the exit code of the first one that failed.

    ``on_step`` hears before each check what is finished and the title of the next ("" at the end).
    """
    results: list[Checked] = []
    failed: set[str] = set()
    code = ExitCode.OK
    for check in checks:
        if on_step is not None:
            on_step(results, check.title)
        if check.needs in failed:
            results.append(Checked(check.topic, check.title, (), True, check.needs))
            failed.add(check.topic)
            continue
        result = Checked(check.topic, check.title, tuple(_findings(check)))
        results.append(result)
        if worst(result) is Severity.ERROR:
            failed.add(check.topic)
            code = code or check.exit_code
    if on_step is not None:
        on_step(results, "")
    return results, code


def _findings(check: Check) -> Sequence[Finding]:
    try:
        return check.run()
    except AgentError as error:
        return [Finding(error.code, Severity.ERROR, dict(error.facts))]
