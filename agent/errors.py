"""Errors by consequence: the class says what the engine must do next, a stable code the cause.

A leaf: imports nothing of ours. Texts for people live in ``assets/messages`` under the same code.
An error never carries patient data: only codes, stream names, counts, SQLSTATEs, hosts.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every ``bridgework`` command; documented in the README."""

    OK = 0
    FAILED = 1  # the work ran and something is wrong (records disagree, a check failed)
    USAGE = 2  # a wrong option, setting or file
    PMS = 3  # the practice system cannot be read
    CRM = 4  # the CRM cannot be reached or refuses us
    BUSY = 5  # another agent holds the journal
    ACTION = 6  # a person must act (brake, damaged journal, pairing revoked)


class AgentError(Exception):
    """Base of all errors we raise on purpose.

    ``code`` is stable and looked up in the message catalogue; ``facts`` are safe to log and show.
    """

    code = "internal"
    exit_code = ExitCode.FAILED

    def __init__(self, code: str | None = None, **facts: str | int | float | None) -> None:
        self.code = code or type(self).code
        self.facts = facts
        detail = ", ".join(f"{k}={v}" for k, v in facts.items())
        super().__init__(f"{self.code} ({detail})" if detail else self.code)


class ConfigError(AgentError):
    """A setting or a file the operator gave us is wrong; nothing runs until it is mended."""

    code = "config.invalid"
    exit_code = ExitCode.USAGE


class PmsError(AgentError):
    """The practice system could not do what was asked."""

    code = "pms.error"
    exit_code = ExitCode.PMS


class PmsUnavailable(PmsError):
    """Retried by the lane: server down, connection lost, statement timed out."""

    code = "pms.unreachable"


class PmsBusy(PmsUnavailable):
    """The server is loaded or a table is locked; come back later, more gently."""

    code = "pms.busy"


class PmsRefused(PmsError):
    """Login or rights refused. Never looped: a lock-out would hurt the office."""

    code = "pms.auth_refused"


class PmsSetup(PmsError):
    """What leads to the practice system is not there or set wrong: a driver, a data source, the
    name of a database. Tried again rarely, for a person must mend it."""

    code = "pms.setup"


class PmsDrift(PmsError):
    """The schema or the data set is not the one we mapped; reading pauses until re-probed."""

    code = "pms.schema_drift"


class CrmError(AgentError):
    """The CRM could not do what was asked."""

    code = "crm.error"
    exit_code = ExitCode.CRM


RESTING = "crm.resting"  # no call was made, for the last ones failed: why is theirs to say


class CrmUnavailable(CrmError):
    """Retried with back-off: no route, 5xx, 429, timeout, truncated answer.

    ``retry_after_s`` is what the CRM asked for, or None. The effect of the request is unknown;
    the same idempotency key makes sending it again safe.
    """

    code = "crm.unreachable"

    def __init__(
        self,
        code: str | None = None,
        *,
        retry_after_s: float | None = None,
        **facts: str | int | float | None,
    ) -> None:
        super().__init__(code, **facts)
        self.retry_after_s = retry_after_s


class CrmRefusedBatch(CrmError):
    """The whole batch was refused for its content (400, 413, 422): bisect to the poison."""

    code = "crm.batch_refused"


class CrmAuthError(CrmError):
    """The pairing is revoked or the key refused; a person must pair again."""

    code = "crm.auth_revoked"
    exit_code = ExitCode.ACTION


class JournalError(AgentError):
    """The journal cannot be used as it is."""

    code = "journal.error"
    exit_code = ExitCode.ACTION


class JournalDamaged(JournalError):
    """At a start: the file was set aside, never deleted. At work: the next start looks."""

    code = "journal.damaged"


class DiskFull(JournalError):
    """No room to commit; reading stops, nothing is lost, we try again."""

    code = "disk.full"


class UpdateError(AgentError):
    """A new version cannot be looked for, believed, or installed; the one that runs goes on."""

    code = "update.error"


class AgentBusy(AgentError):
    """Another agent process holds this journal."""

    code = "agent.already_running"
    exit_code = ExitCode.BUSY
