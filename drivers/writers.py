"""The writer of a site where nothing may be written, and the one that takes the API if it answers.

Must not import a database or HTTP library.
"""

from __future__ import annotations

from agent.errors import PmsUnavailable
from agent.model.commands import Reason
from agent.model.effects import Effect, EffectKind, WriteRefused, WriterFacts, Written
from agent.model.reading import Finding, Severity
from agent.ports import LearningWriter, PmsWriter


class NoWriter:
    """``agent.ports.PmsWriter`` that writes nothing: every change is a person's. ``code``: why."""

    def __init__(self, code: str, severity: Severity = Severity.NOTE) -> None:
        self._code = code
        self._severity = severity

    def probe(self) -> WriterFacts:
        return none_facts(self._code, self._severity)

    def write(self, effect: Effect) -> Written:
        raise WriteRefused(Reason.NOT_SUPPORTED, self._code)

    def close(self) -> None:
        """Nothing is held."""


def none_facts(code: str, severity: Severity) -> WriterFacts:
    return WriterFacts(
        kind="none",
        missing=dict.fromkeys(EffectKind, code),
        findings=(Finding(code, severity, {"host": ""}),),
    )


class IfAnyAnswers:
    """The API where one answers, else nothing. Once it has answered it is expected to come back,
    and its absence is an outage; before that it may simply not be there."""

    def __init__(self, api: PmsWriter) -> None:
        self._api = api
        self._has_answered = False

    def probe(self) -> WriterFacts:
        try:
            facts = self._api.probe()
        except PmsUnavailable as error:
            if self._has_answered or not error.code.startswith("write.api_"):
                raise
            return none_facts("write.api_unreachable", Severity.WARNING)
        self._has_answered = True
        return facts

    def write(self, effect: Effect) -> Written:
        if not self._has_answered:
            raise WriteRefused(Reason.NOT_SUPPORTED, "write.api_unreachable")
        return self._api.write(effect)

    @property
    def facts(self) -> WriterFacts | None:
        """What use has taught the API's writer since it was asked; None before it answered."""
        api = self._api
        return api.facts if self._has_answered and isinstance(api, LearningWriter) else None

    @property
    def settings(self) -> object:
        api = self._api
        return ("auto", api.settings if isinstance(api, LearningWriter) else api)

    def close(self) -> None:
        self._api.close()
