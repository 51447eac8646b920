"""The five tests themselves, against two sides. Knows no PMS, no HTTP and no journal.

Each deed is done on one side and looked for on the other; every wait has a bound and says what it
waited for. What was made is tidied away afterwards, whatever happened.
"""

from __future__ import annotations

import random
import statistics
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as dt_time
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

import structlog

from agent.errors import AgentError
from agent.model.commands import CommandOutcome, CommandType, EndState
from agent.model.effects import EffectKind, WriteRefused, WriteUnknown
from agent.model.golive import Proof, Step, Test
from agent.model.reading import Key
from agent.model.streams import Stream
from agent.runtime.golive.practice import Deeds, GoLiveError, Records

log = structlog.get_logger(__name__)

T = TypeVar("T")
LOOK_S = 0.02
CROWD = 50
VISIT_MINUTES = 10
DAYS_AHEAD = 180  # far from anything the office plans
DAYS_TRIED = 120
FROM = dt_time(6)
_LAST = "Bridgework-Test"
_NOTE = "Bridgework go-live test"


Place = tuple[Stream, Key]


class CrmSide(Protocol):
    """What the CRM holds, and asking it to ask us something."""

    def record(self, stream: Stream, key: Key) -> dict[str, Any] | None:
        """The live record; None while there is none."""

    def differing(self, held: Mapping[Place, bytes]) -> set[Place]:
        """Of these records (content hashes of 16 bytes) those the CRM lacks or holds otherwise."""

    def rehearse(
        self, kind: CommandType, key: Key, payload: dict[str, Any], expected: dict[str, Any]
    ) -> str:
        """Have the CRM queue this command for us, about a test record; its id."""

    def outcome(self, command_id: str) -> CommandOutcome | None:
        """How it ended; None until it did."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the tests may play. ``phone_is_shared``: the map lets the CRM change a mobile phone."""

    operatory_key: str
    provider_key: str | None
    zone: str
    phone_is_shared: bool
    within_s: float = 30.0
    crowd: int = CROWD
    country_code: str = "1"


@dataclass(slots=True)
class _Made:
    patients: list[Key] = field(default_factory=list)
    visits: list[Key] = field(default_factory=list)


class FiveTests:
    """``run`` yields nothing and keeps going: a failed test does not stop the next one that can
    run without it. ``tell(step)`` hears every step as it ends."""

    def __init__(
        self,
        records: Records,
        deeds: Deeds,
        crm: CrmSide,
        setting: Setting,
        tell: Callable[[Test, Step], None],
        rng: random.Random,
    ) -> None:
        self._records = records
        self._deeds = deeds
        self._crm = crm
        self._setting = setting
        self._tell = tell
        self._rng = rng
        self._made = _Made()
        self._steps: list[Step] = []
        self._test = Test.NEW_PATIENT
        self._patient: Key | None = None
        self._visit: Key | None = None
        self._day: date | None = None
        self.arrivals_ms: list[float] = []
        self.left_behind = 0

    def run(self) -> tuple[Proof, ...]:
        tests: dict[Test, tuple[Callable[[], None], Callable[[], bool]]] = {
            Test.NEW_PATIENT: (self._new_patient, lambda: True),
            Test.BOOKING: (self._booking, lambda: self._patient is not None),
            Test.CANCELLATION: (self._cancellation, lambda: self._visit is not None),
            Test.OWNERSHIP: (self._ownership, lambda: self._patient is not None),
            Test.CROWD: (self._crowd, lambda: True),
        }
        try:
            return tuple(self._prove(test, *run) for test, run in tests.items())
        finally:
            self._tidy()

    def _prove(self, test: Test, run: Callable[[], None], can_run: Callable[[], bool]) -> Proof:
        self._test, self._steps = test, []
        began = time.monotonic()
        if not can_run():
            return Proof(test, False, 0.0, (), skipped="golive.needs_earlier")
        try:
            run()
        except (AgentError, WriteRefused, WriteUnknown) as error:
            self._note("golive.deed_failed", False, None, cause=error.code)
        steps = tuple(self._steps)
        passed = bool(steps) and all(step.passed for step in steps)
        return Proof(test, passed, round(time.monotonic() - began, 3), steps)

    # --- the tests -------------------------------------------------------------------------------

    def _new_patient(self) -> None:
        fields = self._person()
        floor = self._records.max_key(Stream.PATIENT)
        key = self._patient = self._create_patient(fields)
        record = self._arrives("golive.patient_arrived", Stream.PATIENT, key)
        wrong = [name for name, value in fields.items() if record.get(name) != value]
        self._note("golive.fields_right", not wrong, None, fields=", ".join(wrong))
        same = [
            other
            for other in self._records.above(Stream.PATIENT, floor)
            if other.get("first_name") == fields["first_name"]
        ]
        there = [other for other in same if self._crm.record(Stream.PATIENT, int(other["key"]))]
        self._note("golive.no_duplicate", len(same) == len(there) == 1, None, count=len(there))

    def _booking(self) -> None:
        assert self._patient is not None
        key = self._visit = self._book(self._patient, 0)
        record = self._arrives("golive.visit_arrived", Stream.APPOINTMENT, key)
        linked = record.get("patient_key") == str(self._patient)
        self._note("golive.visit_linked", linked, None)

    def _cancellation(self) -> None:
        assert self._visit is not None
        options = {"to_unscheduled": "no", "break_type": ""}
        began = time.monotonic()
        self._deeds.change(EffectKind.BREAK, Stream.APPOINTMENT, self._visit, {}, options)
        self._becomes(
            "golive.cancellation_arrived", Stream.APPOINTMENT, self._visit,
            {"status": "broken"}, began,
        )  # fmt: skip

    def _ownership(self) -> None:
        assert self._patient is not None
        key, first, second = self._patient, self._phone(), self._phone()
        began = time.monotonic()
        self._deeds.change(EffectKind.UPDATE_PATIENT, Stream.PATIENT, key, {"phone_mobile": first})
        self._becomes(
            "golive.phone_from_practice", Stream.PATIENT, key, {"phone_mobile": first}, began
        )
        began = time.monotonic()
        command = self._crm.rehearse(
            CommandType.PATIENT_UPDATE, key, {"fields": {"phone_mobile": second}},
            {"phone_mobile": first},
        )  # fmt: skip
        ended = self._until(lambda: self._crm.outcome(command))
        wanted = second if self._setting.phone_is_shared else first
        applied = ended is not None and ended.state is EndState.APPLIED
        self._note(
            "golive.crm_edit_answered", applied is self._setting.phone_is_shared,
            (time.monotonic() - began) * 1000, state="" if ended is None else ended.state.value,
        )  # fmt: skip
        held = self._until(
            lambda: (self._records.record(Stream.PATIENT, key) or {}).get("phone_mobile") == wanted
        )
        self._note("golive.practice_holds", bool(held), (time.monotonic() - began) * 1000)
        self._becomes("golive.phone_agrees", Stream.PATIENT, key, {"phone_mobile": wanted}, began)

    def _crowd(self) -> None:
        began: dict[Place, float] = {}
        waiting: set[Place] = set()

        def look() -> None:
            """Who has arrived since; looked at between the deeds too, so that times mean something.

            Compared with what the practice holds now: the PMS may still be finishing its own rows.
            """
            left = self._crm.differing(self._records.hashes(waiting))
            now = time.monotonic()
            self.arrivals_ms.extend((now - began[place]) * 1000 for place in waiting - left)
            waiting.intersection_update(left)

        for number, fields in enumerate([self._person() for _ in range(self._setting.crowd)]):
            patient = self._create_patient(fields)
            began[Stream.PATIENT, patient] = time.monotonic()
            visit = self._book(patient, number + 1)
            began[Stream.APPOINTMENT, visit] = time.monotonic()
            waiting |= {(Stream.PATIENT, patient), (Stream.APPOINTMENT, visit)}
            look()
        deadline = time.monotonic() + self._setting.within_s
        while waiting and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            look()
        self._note(
            "golive.crowd_arrived", not waiting, max(self.arrivals_ms, default=None),
            count=len(began) - len(waiting), wanted=len(began),
        )  # fmt: skip

    # --- pieces ----------------------------------------------------------------------------------

    def _person(self) -> dict[str, Any]:
        token = "".join(self._rng.choices(string.ascii_lowercase, k=8))
        return {
            "last_name": _LAST,
            "first_name": f"Golive{token}",
            "birthdate": "1985-04-12",
            "phone_mobile": self._phone(),
            "emails": [f"golive-{token}@example.com"],
        }

    def _phone(self) -> str:
        return f"+{self._setting.country_code}202555{self._rng.randint(100, 199):04d}"

    def _create_patient(self, fields: dict[str, Any]) -> Key:
        key = self._deeds.create(EffectKind.CREATE_PATIENT, Stream.PATIENT, fields)
        self._made.patients.append(key)
        return key

    def _book(self, patient: Key, number: int) -> Key:
        """The ``number``-th place of the test operatory, from six in the morning on."""
        setting = self._setting
        if self._day is None:
            self._day = self._free_day()
        local = datetime.combine(self._day, FROM, tzinfo=ZoneInfo(setting.zone))
        start = local.astimezone(UTC) + timedelta(minutes=VISIT_MINUTES * number)
        fields: dict[str, Any] = {
            "patient_key": str(patient),
            "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "minutes": VISIT_MINUTES,
            "operatory_key": setting.operatory_key,
            "note": _NOTE,
        }
        if setting.provider_key:
            fields["provider_key"] = setting.provider_key
        key = self._deeds.create(EffectKind.BOOK, Stream.APPOINTMENT, fields)
        self._made.visits.append(key)
        return key

    def _free_day(self) -> date:
        first = datetime.now(ZoneInfo(self._setting.zone)).date() + timedelta(days=DAYS_AHEAD)
        for ahead in range(DAYS_TRIED):
            day = first + timedelta(days=ahead)
            if self._records.is_free(self._setting.operatory_key, day):
                return day
        raise GoLiveError("golive.no_free_day", days=DAYS_TRIED)

    def _arrives(self, code: str, stream: Stream, key: Key) -> dict[str, Any]:
        began = time.monotonic()
        record = self._until(lambda: self._crm.record(stream, key))
        self._note(code, record is not None, (time.monotonic() - began) * 1000)
        if record is None:
            raise GoLiveError("golive.never_arrived", stream=stream.value)
        return record

    def _becomes(
        self, code: str, stream: Stream, key: Key, fields: dict[str, Any], began: float
    ) -> None:
        """The CRM's record comes to hold these values; timed from ``began`` (monotonic)."""

        def holds() -> bool:
            record = self._crm.record(stream, key) or {}
            return all(record.get(name) == value for name, value in fields.items())

        held = self._until(holds)
        self._note(code, bool(held), (time.monotonic() - began) * 1000)

    def _until(self, look: Callable[[], T | None]) -> T | None:
        """The first true answer, or the last one when time is up."""
        deadline = time.monotonic() + self._setting.within_s
        while True:
            found = look()
            if found or time.monotonic() > deadline:
                return found
            time.sleep(LOOK_S)

    def _note(
        self, code: str, passed: bool, took_ms: float | None, **facts: str | int | float
    ) -> None:
        rounded = None if took_ms is None else round(took_ms, 1)
        step = Step(code, passed, rounded, facts)
        self._steps.append(step)
        self._tell(self._test, step)

    def _tidy(self) -> None:
        """Off the schedule, and archived: a PMS deletes neither. What fails is counted."""
        for visit in self._made.visits:
            self._put_away(EffectKind.SET_STATUS, Stream.APPOINTMENT, visit, "unscheduled")
        for patient in self._made.patients:
            self._put_away(EffectKind.UPDATE_PATIENT, Stream.PATIENT, patient, "archived")

    def _put_away(self, kind: EffectKind, stream: Stream, key: Key, status: str) -> None:
        try:
            self._deeds.change(kind, stream, key, {"status": status})
        except (AgentError, WriteRefused, WriteUnknown) as error:
            self.left_behind += 1
            log.warning("golive.left_behind", stream=stream.value, code=error.code)


def typical_ms(arrivals_ms: list[float]) -> float | None:
    return round(statistics.median(arrivals_ms), 1) if arrivals_ms else None
