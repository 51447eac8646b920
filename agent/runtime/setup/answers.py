"""The wizard's answers in one file, for silent installation: each section is a step.

    {"pair":   {"url": "https://crm.example", "code": "ABCD-1234", "practice": "Elm St Dental"},
     "pms":    {"kind": "opendental", "host": "SRV1", "user": "bridgework", "password": "..."},
     "proof":  {"accept": true, "patients_at_least": 500},
     "scope":  {"skip": ["claim"], "write_back": true,
                "statuses": [{"stream": "appointment", "field": "confirmation_category",
                              "value": "Texted ok", "word": "confirmed"}]},
     "conflicts": {"contact": {"owner": "shared", "policy": "crm"}},
     "hours":  {"hours": "mon-fri 08:00-17:00", "zone": "America/New_York"},
     "finish": true}

A step that is done already is left alone unless its section says something else; a section that is
missing takes the safe default, but a code, a place and a person's yes cannot be guessed: then the
run stops there and says so. Running it twice does nothing twice: a code is spent only while the
computer is not linked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import msgspec

from agent.errors import ConfigError, ExitCode
from agent.model import setup as ask
from agent.model.asking import Request
from agent.model.reading import Finding, Severity
from agent.model.setup import Step, Value
from agent.model.streams import Stream
from agent.runtime.setup.flow import SetupError

T = TypeVar("T")


class Asked(Protocol):
    """Who answers: the running agent, or the flow in this process."""

    def ask(self, request: Request[T], timeout_s: float = ...) -> T: ...


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``practice``: its name at the CRM; another name is refused and forgotten."""

    code: str = ""
    url: str = ""
    label: str = ""
    practice: str = ""
    again: bool = False

    def __repr__(self) -> str:
        return "Pair(...)"


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``accept``: the person who wrote this file knows the place; the floor guards against a test
    database."""

    accept: bool = False
    patients_at_least: int = 0


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    skip: tuple[Stream, ...] | None = None
    write_back: bool | None = None
    statuses: tuple[ask.StatusWord, ...] = ()


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: str = "shared"
    policy: str = "ask"


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hours: str = ""
    zone: str = ""


class Answers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pair: Pair = Pair()
    pms: dict[str, Value] = msgspec.field(default_factory=dict)
    proof: Proof = Proof()
    scope: Scope | None = None
    conflicts: dict[str, Choice] | None = None
    hours: Hours | None = None
    finish: bool = True

    def __repr__(self) -> str:
        return "Answers(...)"


class Told(msgspec.Struct, frozen=True):
    """One step of the run. ``code``: "" done now, ``setup.kept`` done before."""

    step: Step
    code: str = ""
    facts: dict[str, str | int | float | None] = {}
    findings: tuple[Finding, ...] = ()


class PlaceRefused(SetupError):
    """The practice system cannot be read so; ``steps`` say where it stops."""

    code = "setup.place_fails"
    exit_code = ExitCode.PMS

    def __init__(self, steps: tuple[Finding, ...]) -> None:
        failed = next((f for f in steps if f.severity is Severity.ERROR), None)
        step = "" if failed is None else str(failed.facts.get("step", ""))
        super().__init__(step=step, why="" if failed is None else failed.code)
        self.steps = steps


def read_answers(content: bytes, name: str) -> Answers:
    """ConfigError ``setup.bad_answers`` says where; never with a value of the file."""
    try:
        return msgspec.json.decode(content, type=Answers)
    except msgspec.ValidationError as error:
        where = str(error).rpartition(" - at `$.")[2].rstrip("`") if " - at " in str(error) else ""
        raise ConfigError("setup.bad_answers", file=name, where=where or "the file") from None
    except msgspec.DecodeError:
        raise ConfigError("setup.bad_answers", file=name, where="its JSON") from None


def run_answers(desk: Asked, answers: Answers) -> Iterator[Told]:
    """Step by step; AgentError where it stops. What was done before stays done."""
    acts: dict[Step, Callable[[Asked, Answers, bool], Told | None]] = {
        Step.PAIR: _pair,
        Step.FIND: _find,
        Step.PROOF: _proof,
        Step.SCOPE: _scope,
        Step.CONFLICTS: _conflicts,
        Step.HOURS: _hours,
        Step.PREVIEW: _finish,
    }
    for step, act in acts.items():
        done = {line.step: line.done for line in desk.ask(ask.GetSetup()).steps}[step]
        told = act(desk, answers, done)
        if told is not None:
            yield told


def _pair(desk: Asked, answers: Answers, done: bool) -> Told:
    given = answers.pair
    if done and not given.again:
        facts = dict(desk.ask(ask.GetSetup()).steps[0].facts)
        if given.practice and facts.get("practice") != given.practice:
            raise SetupError("setup.other_practice", found=facts.get("practice"))
        return Told(Step.PAIR, "setup.kept", facts)
    if not given.code:
        held = dict(desk.ask(ask.GetSetup()).steps[0].facts)
        if given.practice and held.get("practice") == given.practice:  # linked by ``pair``
            desk.ask(ask.ConfirmPractice(is_ours=True))
            return Told(Step.PAIR, "", held)
        raise SetupError("setup.answer_missing", section="pair", field="code")
    paired = desk.ask(ask.PairByCode(given.code, given.url, given.label))
    facts = {"practice": paired.practice_name, "url": paired.url}
    if given.practice and given.practice != paired.practice_name:
        desk.ask(ask.ConfirmPractice(is_ours=False))
        raise SetupError("setup.other_practice", found=paired.practice_name)
    desk.ask(ask.ConfirmPractice(is_ours=True))
    return Told(Step.PAIR, "", facts)


def _find(desk: Asked, answers: Answers, done: bool) -> Told:
    if not answers.pms:
        if done:
            return Told(Step.FIND, "setup.kept", dict(desk.ask(ask.GetSetup()).steps[1].facts))
        raise SetupError("setup.answer_missing", section="pms", field="kind")
    secret_names = {
        field.setting
        for kind in desk.ask(ask.FindPms()).kinds
        for field in kind.fields
        if field.secret
    }
    named = {n if n.startswith("pms.") else f"pms.{n}": v for n, v in answers.pms.items()}
    secrets = {name: str(value) for name, value in named.items() if name in secret_names}
    settings = {name: value for name, value in named.items() if name not in secret_names}
    told = desk.ask(ask.UsePms(settings, secrets), timeout_s=120.0)
    if not told.works:
        raise PlaceRefused(told.steps)
    return Told(Step.FIND, "", {"kind": str(settings.get("pms.kind", ""))}, told.steps)


def _proof(desk: Asked, answers: Answers, done: bool) -> Told:
    if done and not answers.proof.patients_at_least:
        return Told(Step.PROOF, "setup.kept", dict(desk.ask(ask.GetSetup()).steps[2].facts))
    proof = desk.ask(ask.GetProof(), timeout_s=120.0)
    patients = next((c.rows for c in proof.counts if c.stream is Stream.PATIENT), 0)
    facts: dict[str, str | int | float | None] = {
        "patients": patients,
        "newest_visit": proof.newest_visit,
        "version": proof.version,
    }
    if patients < answers.proof.patients_at_least:
        raise SetupError(
            "setup.too_few_patients", found=patients, wanted=answers.proof.patients_at_least
        )
    if done:
        return Told(Step.PROOF, "setup.kept", facts)
    if not answers.proof.accept:
        raise SetupError("setup.answer_missing", section="proof", field="accept")
    desk.ask(ask.ConfirmProof(proof.identity), timeout_s=120.0)
    return Told(Step.PROOF, "", facts)


def _scope(desk: Asked, answers: Answers, done: bool) -> Told:
    if answers.scope is None and done:
        return Told(Step.SCOPE, "setup.kept")
    given = answers.scope or Scope()
    desk.ask(ask.SetScope(given.skip, given.statuses, given.write_back), timeout_s=120.0)
    return Told(Step.SCOPE, "", {"skipped": len(given.skip or ())})


def _conflicts(desk: Asked, answers: Answers, done: bool) -> Told:
    if answers.conflicts is None and done:
        return Told(Step.CONFLICTS, "setup.kept")
    choices = tuple(
        ask.GroupChoice(group, choice.owner, choice.policy)
        for group, choice in (answers.conflicts or {}).items()
    )
    desk.ask(ask.SetPolicies(choices))
    return Told(Step.CONFLICTS, "", {"groups": len(choices)})


def _hours(desk: Asked, answers: Answers, done: bool) -> Told:
    if answers.hours is None and done:
        return Told(Step.HOURS, "setup.kept", dict(desk.ask(ask.GetSetup()).steps[5].facts))
    given = answers.hours or Hours()
    desk.ask(ask.SetHours(given.hours, given.zone))
    return Told(Step.HOURS, "", {"hours": given.hours})


def _finish(desk: Asked, answers: Answers, done: bool) -> Told | None:
    if done:
        return Told(Step.PREVIEW, "setup.kept")
    preview = desk.ask(ask.GetPreview(), timeout_s=120.0)
    facts: dict[str, str | int | float | None] = {"total": preview.total}
    facts |= {f"n_{counted.stream.value}": counted.rows for counted in preview.streams}
    if not answers.finish:
        return Told(Step.PREVIEW, "setup.not_started", facts)
    desk.ask(ask.FinishSetup())
    return Told(Step.PREVIEW, "", facts)
