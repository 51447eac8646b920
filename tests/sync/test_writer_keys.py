"""The vendor's API takes our keys, a permission or a field away: what the CRM and the desk see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from agent.journal.pulled import EffectState
from agent.model.commands import CommandOutcome, CommandType, EndState, Reason
from agent.model.effects import Effect, EffectKind, WriteRefused
from agent.model.reading import Severity
from agent.support.messages import Catalogue
from agent.sync.switches import HARMLESS
from agent.sync.writerline import PROBE_EVERY_S, SETTINGS_EVERY_S
from drivers.opendental.api.writer import ApiWriter
from drivers.registry import SourceSettings, WriterSettings, make_writer
from drivers.writers import NoWriter
from tests.support.odapi import Database, Permission, StandIn
from tests.sync.pullrig import ZONE, Desk
from tests.sync.pullsite import open_desk, site_template

__all__ = ["open_desk", "site_template"]

BOOK = CommandType.APPOINTMENT_BOOK
KEY_REFUSED = "write.api_key_refused"


def open_writer(desk: Desk, api: StandIn, customer_key: str) -> ApiWriter:
    writer = make_writer(
        SourceSettings("sample", sqlite_path=str(desk.practice), zone=ZONE),
        WriterSettings("api", api.url, api.developer_key, customer_key),
    )
    assert isinstance(writer, ApiWriter)
    writer._mono = desk.clock.mono
    return writer


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    """Writes through the API; ``desk.writer`` is what the settings ask for."""
    return open_desk()


@pytest.fixture
def api(desk: Desk) -> Iterator[StandIn]:
    desk.run("UPDATE preference SET ValueString='24.4.5.0' WHERE PrefName='DataBaseVersion'")
    desk.look_at_source()
    with StandIn(Database(file=desk.practice, zone=ZONE)) as api:
        desk.writer = open_writer(desk, api, api.customer_key)  # type: ignore[assignment]
        desk.work()
        assert BOOK in desk.two.offer[0]
        yield api


def state_of(outcome: CommandOutcome | None) -> EndState | None:
    return None if outcome is None else outcome.state


def reasons(desk: Desk) -> list[str]:
    return [task.reason for task in desk.journal.tasks()]


def errors(desk: Desk) -> list[str]:
    facts = desk.two.apply.writer_line.facts
    assert facts is not None
    return [found.code for found in facts.findings if found.severity is Severity.ERROR]


def test_a_key_refused_in_use_closes_the_offer_at_once(desk: Desk, api: StandIn) -> None:
    interrupted: list[None] = []
    desk.two.pull.interrupt = lambda: interrupted.append(None)  # type: ignore[method-assign]
    kept, api.customer_key = api.customer_key, "another"
    first, second = desk.book(), desk.book(3, who=desk.patient(1))
    asked = len(api.seen)
    desk.work(1)
    assert desk.two.offer[0] == sorted(HARMLESS)
    assert interrupted
    assert errors(desk) == [KEY_REFUSED]
    desk.work()
    assert state_of(desk.outcome(first)) is EndState.TASK
    assert state_of(desk.outcome(second)) is EndState.TASK
    assert reasons(desk) == [KEY_REFUSED, KEY_REFUSED]
    assert len(api.seen) == asked + 2  # the booking, and whether it is the key
    desk.settle(PROBE_EVERY_S - 5)
    for _ in range(5):
        desk.clock.advance(SETTINGS_EVERY_S)
        desk.work()
    assert len(api.seen) == asked + 2
    api.customer_key = kept
    desk.clock.advance(PROBE_EVERY_S)
    desk.work()
    assert BOOK in desk.two.offer[0]
    assert errors(desk) == []
    desk.booked(6)


def test_a_key_that_stays_refused_is_asked_with_every_five_minutes(
    desk: Desk, api: StandIn
) -> None:
    api.customer_key = "another"
    desk.book()
    desk.work()
    asked = len(api.seen)
    for _ in range(60):
        desk.clock.advance(30.0)
        desk.work(1)
    assert 5 <= len(api.seen) - asked <= 6


def test_keys_set_anew_are_taken_up_without_waiting(desk: Desk, api: StandIn) -> None:
    api.customer_key = "another"
    desk.book()
    desk.work()
    assert desk.two.offer[0] == sorted(HARMLESS)
    desk.writer = open_writer(desk, api, "another")  # type: ignore[assignment]  # config set
    desk.clock.advance(SETTINGS_EVERY_S)
    desk.work()
    assert BOOK in desk.two.offer[0]
    desk.booked(6)


def test_a_permission_taken_away_takes_its_own_method_only(desk: Desk, api: StandIn) -> None:
    api.permissions = frozenset({Permission.READ_ALL, Permission.COMM})
    ident = desk.book()
    desk.work(1)
    assert BOOK not in desk.two.offer[0]
    desk.work()
    assert state_of(desk.outcome(ident)) is EndState.TASK
    assert reasons(desk) == ["write.permission_missing"]
    assert CommandType.COMMLOG_APPEND in desk.two.offer[0]
    assert CommandType.PATIENT_UPDATE in desk.two.offer[0]  # nobody has tried
    assert errors(desk) == []


def test_a_task_for_what_was_refused_holds_the_whole_wish(desk: Desk, api: StandIn) -> None:
    api.customer_key = "another"
    ident = desk.book(payload={"note": "first visit"})
    desk.work()
    (task,) = desk.journal.tasks()
    assert task.effect.kind is EffectKind.BOOK
    assert task.effect.fields["note"] == "first visit"
    assert [e.state for e in desk.effects(ident)] == [EffectState.FAILED]
    desk.two.close_task(task.number, done=False, actor="tester", note="")
    desk.two.tell.step()
    assert state_of(desk.outcome(ident)) is EndState.REJECTED
    assert desk.visits() == []


@pytest.mark.parametrize("consent", ["denied", "granted"])
def test_consent_to_email_becomes_a_desk_task(desk: Desk, api: StandIn, consent: str) -> None:
    key = desk.patient()
    asked = len(api.seen)
    outcome = desk.do(
        CommandType.CONSENT_SET,
        {"channel": "email", "consent": consent, "source": "staff", "at": "2026-11-20T10:00:00Z"},
        target=("patient", str(key)),
    )
    assert state_of(outcome) is EndState.TASK
    (task,) = desk.journal.tasks()
    assert task.effect.fields == {"email_consent": consent}
    assert task.reason == "write.email_consent_unsupported"
    assert len(api.seen) == asked
    assert CommandType.CONSENT_SET in desk.two.offer[0]  # for text messages it is written
    sms = desk.do(
        CommandType.CONSENT_SET,
        {"channel": "sms", "consent": "denied", "source": "staff", "at": "2026-11-20T10:00:00Z"},
        target=("patient", str(key)),
    )
    assert state_of(sms) is EndState.APPLIED


@pytest.mark.parametrize(
    ("kind", "payload", "field"),
    [
        (CommandType.PATIENT_UPDATE, {"fields": {"gender": "other"}}, "gender"),
        (CommandType.COMMLOG_APPEND,
         {"note": "x", "mode": "fax", "direction": "received"}, "mode"),
    ],
)  # fmt: skip
def test_a_value_the_api_has_no_word_for_is_a_desk_task(
    desk: Desk, api: StandIn, kind: CommandType, payload: dict[str, object], field: str
) -> None:
    key = str(desk.patient())
    target = ("patient", key)
    if kind is CommandType.COMMLOG_APPEND:
        payload, target = {**payload, "patient_key": key}, ("", None)  # type: ignore[assignment]
    ident = desk.ask(kind, payload, target=target)
    desk.work()
    assert state_of(desk.outcome(ident)) is EndState.TASK
    (task,) = desk.journal.tasks()
    assert field in task.effect.fields


def test_what_a_later_step_cannot_do_is_the_desks(open_desk: Callable[..., Desk]) -> None:
    """The patient is on file by then; the visit is not, and a person books it."""
    desk = open_desk()

    def refuse(effect: Effect) -> None:
        if effect.kind is EffectKind.BOOK:
            raise WriteRefused(Reason.NOT_SUPPORTED, "write.field_unsupported")

    desk.writer.before = refuse
    payload = {**desk.place(), "patient": {"new": {"last_name": "Quill", "first_name": "Robin",
               "birthdate": "1980-02-03", "phone_mobile": "+12125550147"}}}  # fmt: skip
    ident = desk.ask(BOOK, payload)
    desk.work()
    assert state_of(desk.outcome(ident)) is EndState.TASK
    (made,) = [e for e in desk.effects(ident) if e.effect.kind is EffectKind.CREATE_PATIENT]
    (task,) = desk.journal.tasks()
    assert task.effect.kind is EffectKind.BOOK
    assert task.effect.fields["patient_key"] == str(made.key)


def test_learning_nothing_says_nothing(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.work()
    told: list[None] = []
    desk.two.apply.writer_line._on_facts = lambda: told.append(None)
    desk.booked()
    assert told == []


def test_no_text_of_a_refusal_lacks_a_word() -> None:
    catalogue = Catalogue.load()
    for code in sorted(catalogue.codes):
        if code.startswith(("write.", "writer.")) or code == "map.unreadable":
            said = catalogue.render(code)
            if not _is_finding_only(code):
                assert "..." not in said.title, code
    assert "Appointments" in catalogue.render(
        "write.permission_missing", {"permission": "Appointments"}
    ).title  # fmt: skip


def _is_finding_only(code: str) -> bool:
    """Told with its facts always."""
    return code in {
        "write.api_found", "write.api_unencrypted", "write.method_refused", "write.not_verified",
        "write.sql_stepwise",
    }  # fmt: skip


def test_a_value_that_is_wrong_is_still_refused(desk: Desk, api: StandIn) -> None:
    outcome = desk.do(
        CommandType.CUSTOM_FIELD_SET, {"name": "No such field", "value": "x"},
        target=("patient", str(desk.patient())),
    )  # fmt: skip
    assert state_of(outcome) is EndState.REJECTED
    assert desk.journal.tasks() == []


def test_an_agent_started_anew_offers_what_it_could_do_before(desk: Desk, api: StandIn) -> None:
    assert desk.two.apply.writer_line.facts is not None
    with closing(desk.again()) as anew:
        line = anew.two.apply.writer_line
        assert line.facts is None
        assert anew.two.offer[0] == desk.two.offer[0]
        anew.writer.inner = NoWriter("write.switched_off")  # meanwhile
        anew.work()
        assert line.offered is line.facts
        assert line.facts is not None
        assert not line.facts.abilities
