"""What is said of a state, when a person is told unasked, what the menu holds. No Qt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from agent.model.asking import Request
from agent.model.proof import CompareSides, FullProof
from agent.model.reading import Finding, Severity
from agent.model.status import LoadStatus, Report, Snapshot, State, overall
from gui.i18n import PSEUDO, Texts, pseudo
from gui.presenter.menu import LINE, menu_items
from gui.presenter.notices import BROKEN, GRACE_S, REVIEW, Notices
from gui.presenter.offer import START, Offer, offer
from gui.presenter.overview import findings_view, numbers_view, proof_view
from gui.presenter.status import StatusView, status_view

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
TEXTS = Texts()


def snapshot(**changes: Any) -> Snapshot:
    fine = Snapshot(
        taken_at=NOW.isoformat(), agent_version="1", is_set_up=True, is_running=True,
        paused_until=None, pms_kind="opendental", pms_version="24.1", pms_error=None,
        pms_error_s=0.0, crm_error=None, crm_error_s=0.0,
        last_read_at=(NOW - timedelta(seconds=2)).isoformat(),
        last_write_at=(NOW - timedelta(minutes=5)).isoformat(), oldest_unsent_s=None,
        oldest_unverified_s=300.0, overdue_chunks=0, open_conflicts=0, parked=0, pending=0,
        load=None,
    )  # fmt: skip
    return msgspec.structs.replace(fine, **changes)


def seen(*, read_age_s: float | None = 2.0, silent: bool = False, **changes: Any) -> StatusView:
    s = snapshot(**changes)
    report = Report(overall(s, read_age_s=read_age_s), 1, NOW.isoformat(), s)
    return status_view(report, is_silent=silent, trouble="", now=NOW, texts=TEXTS)


# state -> what makes it so, and how its head begins; each line also has all that lies below it
LADDER: list[tuple[State, dict[str, Any], str]] = [
    (State.NOT_SET_UP, {"is_set_up": False}, "Finish setting up"),
    (State.UNREACHABLE, {"is_running": False}, "The sync service is not running"),
    (State.ACTION_NEEDED, {"pms_error": "pms.auth_refused"}, "The practice's database refused"),
    (State.OFFLINE, {"crm_error": "crm.unreachable", "crm_error_s": 700.0}, "Waiting for the CRM"),
    (State.PAUSED, {"paused_until": (NOW + timedelta(hours=1)).isoformat()}, "Paused until"),
    (State.NEEDS_REVIEW, {"open_conflicts": 2, "parked": 1}, "3 items need review"),
    (State.SYNCING, {"load": LoadStatus("hot", 120, 480, None)}, "Syncing 120 of 480 records"),
    (State.BEHIND, {"oldest_unsent_s": 1080.0}, "Running behind (18 min)"),
    (State.UP_TO_DATE, {}, "Up to date"),
]


@pytest.mark.parametrize("place", range(len(LADDER)))
def test_the_most_pressing_state_wins_and_says_so(place: int) -> None:
    changes: dict[str, Any] = {}
    for _, each, _ in reversed(LADDER[place:]):
        changes.update(each)
    state, _, head = LADDER[place]
    view = seen(**changes)
    assert view.state is state
    assert view.head.startswith(head)
    assert view.icon == f"tray/{state.value}"
    assert len(view.tooltip) < 128  # Windows cuts there
    assert "Last read" in view.tooltip
    assert "Last write" in view.tooltip


def test_a_load_begun_again_says_where_it_goes_on() -> None:
    view = seen(load=LoadStatus("hot", 300, 480, 90.0, resumed_rows=240))
    assert view.body.startswith("Continuing where it stopped (50%). About 2 min left")
    first = LoadStatus("hot", 300, 480, 90.0, resumed_rows=1)  # what live changes brought
    assert "Continuing" not in seen(load=first).body


def test_unknown_is_never_green() -> None:
    assert seen(read_age_s=None).state is State.SYNCING
    assert seen(silent=True).state is State.UNREACHABLE
    calling = status_view(None, is_silent=False, trouble="", now=NOW, texts=TEXTS)
    assert (calling.state, calling.tone) == (State.SYNCING, "accent")


@pytest.mark.parametrize(
    ("awake_s", "state"), [(None, State.OFFLINE), (3600.0, State.OFFLINE), (300.0, State.BEHIND)]
)
def test_a_computer_that_just_woke_gets_longer_grace(awake_s: float | None, state: State) -> None:
    view = seen(pms_error="pms.unreachable", pms_error_s=240.0, awake_s=awake_s)
    assert view.state is state


def test_at_night_a_quiet_server_is_idle_not_green() -> None:
    view = seen(read_age_s=7200.0, is_office_open=False)
    assert (view.state, view.tone, view.icon) == (State.BEHIND, "idle", "tray/idle")
    assert view.head.startswith("Server idle since")


def test_the_four_numbers_are_always_there() -> None:
    names = ["unsent", "unverified", "conflicts", "parked"]
    assert [n.name for n in numbers_view(snapshot(), TEXTS)] == names
    unknown = numbers_view(None, TEXTS)
    assert [n.name for n in unknown] == names
    assert {n.tone for n in unknown} == {"idle"}
    bad = numbers_view(snapshot(oldest_unsent_s=61.0, overdue_chunks=1, parked=2), TEXTS)
    assert [n.tone for n in bad] == ["warn", "warn", "good", "warn"]


def test_the_last_full_proof_is_green_only_while_it_is_fresh() -> None:
    none = proof_view(snapshot(), NOW, TEXTS)
    assert (none.text, none.tone, none.tip) == ("No full proof of equality yet.", "idle", "")
    proof = FullProof(NOW - timedelta(hours=3), 14_463, 19, "ab" * 32, NOW - timedelta(hours=4))
    fresh = proof_view(snapshot(proof=proof), NOW, TEXTS)
    assert fresh.tone == "good"
    assert "14,463 records" in fresh.text
    assert "ab" * 32 in fresh.tip
    late = proof_view(snapshot(proof=proof), NOW + timedelta(hours=34), TEXTS)
    assert late.tone == "warn"
    aside = msgspec.structs.replace(proof, excepted=2)
    assert "2 records were left aside" in proof_view(snapshot(proof=aside), NOW, TEXTS).text


# --- findings ------------------------------------------------------------------------------------


def remedies(code: str, may: bool = True, **facts: str | int) -> Any:
    s = snapshot(findings=(Finding(code, Severity.ERROR, dict(facts)),))
    tabs = {"support", "setup", "map", "review"}
    (view,) = findings_view(s, TEXTS, may=lambda _: may, tabs=tabs)
    return view


def test_records_the_crm_lost_are_sent_again_by_a_button() -> None:
    view = remedies("proof.too_many", stream="recall", count=300)
    assert view.remedy.request == CompareSides(repair=True, many=True)
    assert view.remedy.confirm


def test_a_finding_has_a_button_that_fixes_or_guides() -> None:
    brake = remedies("guard.mass_change", stream="patient").remedy
    assert brake is not None
    assert brake.request is not None
    assert "Patients" in brake.confirm
    assert remedies("crm.auth_revoked").remedy.go == ("setup", "pair")
    assert remedies("journal.damaged").remedy.go == ("support", "bundle")
    assert remedies("disk.full").remedy.go == ("support", "doctor")  # no button of its own


def test_a_button_says_what_the_catalogue_says_in_the_persons_language() -> None:
    refused = Finding("pms.auth_refused", Severity.ERROR)
    for texts, word in ((TEXTS, "Enter the password"), (Texts("es"), "Escribir la contraseña"),
                        (Texts(PSEUDO), pseudo("Enter the password …"))):  # fmt: skip
        (view,) = findings_view(
            snapshot(findings=(refused,)), texts, may=lambda _: True, tabs={"setup"}
        )
        assert view.remedy is not None
        assert view.remedy.label.startswith(word)
        assert view.remedy.go == ("setup", "pms")
        assert view.next_step == ""  # a command is no step for a person at a window


def test_of_a_step_only_what_is_for_a_console_is_left_out() -> None:
    told = TEXTS.message("guard.mass_change", {"stream": "patient"})
    assert told.next_step == "Look at what changed."
    assert "bridgework config get crm.url" in TEXTS.message("crm.redirected").next_step


def test_a_deed_is_asked_for_where_it_is_explained() -> None:
    """A passing line or a notification leads to the finding, which asks back."""
    tabs = {"overview", "setup"}
    brake = offer(TEXTS.message("guard.mass_change"), tabs)
    assert brake == Offer("Allow this once …", ("overview", "guard.mass_change"))
    assert offer(TEXTS.message("pms.busy"), tabs) is None
    assert offer(TEXTS.message("pms.unreachable"), {"overview"}) is None  # no wizard here
    assert offer(TEXTS.message("control.no_agent"), tabs) is None
    assert offer(TEXTS.message("control.no_agent"), tabs, may_start=True) == Offer(
        "Start it", START
    )


def test_who_may_not_is_given_no_button_that_would_be_refused() -> None:
    assert remedies("guard.mass_change", may=False, stream="patient").remedy is None


def test_console_commands_are_no_advice_at_a_window() -> None:
    assert remedies("crm.auth_revoked").next_step == ""


# --- notices -------------------------------------------------------------------------------------


class Watch:
    """Steps through time, a second at a time where nobody looks closer."""

    def __init__(self) -> None:
        self.mono = 0.0
        self.now = NOW
        self.notices = Notices(0.0)
        self.told: list[str] = []
        self.gone: list[str] = []
        self.went: list[tuple[str, str]] = []
        self.off: set[str] = set()

    def pass_by(self, seconds: float, view: StatusView, step_s: float = 10.0) -> None:
        for _ in range(int(seconds / step_s)):
            self.mono += step_s
            self.now += timedelta(seconds=step_s)
            self.look(view)

    def look(self, view: StatusView) -> None:
        turn = self.notices.step(
            view, now=self.now, mono=self.mono, may=lambda kind: kind not in self.off, texts=TEXTS
        )
        self.told += [notice.kind for notice in turn.show]
        self.went += [notice.go for notice in turn.show]
        self.gone += turn.withdraw

    def sleep(self, seconds: float) -> None:
        self.mono += seconds
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def watch() -> Watch:
    made = Watch()
    made.pass_by(200, seen())
    return made


BAD = {"pms_error": "pms.auth_refused"}


def test_a_start_and_a_success_are_not_told(watch: Watch) -> None:
    watch.pass_by(3600, seen())
    assert watch.told == []


def test_nothing_in_the_first_two_minutes() -> None:
    fresh = Watch()
    fresh.pass_by(110, seen(**BAD))
    assert fresh.told == []
    fresh.pass_by(30, seen(**BAD))
    assert fresh.told == [BROKEN]


def test_what_stops_is_told_once_again_after_four_hours_and_each_morning(watch: Watch) -> None:
    watch.pass_by(GRACE_S[State.ACTION_NEEDED] - 10, seen(**BAD))
    assert watch.told == []
    watch.pass_by(3600, seen(**BAD))
    assert watch.told == [BROKEN]
    watch.pass_by(3 * 3600 + 300, seen(**BAD))
    assert watch.told == [BROKEN] * 2
    watch.pass_by(22 * 3600, seen(**BAD))
    assert watch.told == [BROKEN] * 3
    watch.pass_by(20, seen())
    assert watch.gone == [BROKEN]


def test_a_hiccup_is_not_told(watch: Watch) -> None:
    for _ in range(20):
        watch.pass_by(40, seen(**BAD))
        watch.pass_by(20, seen())
    assert watch.told == []


def test_reconnects_are_not_told_but_four_hours_without_a_line_are(watch: Watch) -> None:
    offline = seen(crm_error="crm.unreachable", crm_error_s=700.0)
    watch.pass_by(3 * 3600, offline)
    assert watch.told == []
    watch.pass_by(2 * 3600, offline)
    assert watch.told == [BROKEN]


def test_a_wake_up_is_quiet(watch: Watch) -> None:
    watch.sleep(8 * 3600)
    watch.pass_by(110, seen(**BAD))
    assert watch.told == []


def test_outside_office_hours_it_waits_for_the_opening(watch: Watch) -> None:
    watch.pass_by(3600, seen(**BAD, is_office_open=False))
    assert watch.told == []
    watch.pass_by(10, seen(**BAD))
    assert watch.told == [BROKEN]


def test_off_means_off(watch: Watch) -> None:
    watch.off = {BROKEN, REVIEW}
    watch.pass_by(9 * 3600, seen(**BAD, open_conflicts=1))
    assert watch.told == []


def test_review_is_told_once_a_day_and_withdrawn(watch: Watch) -> None:
    for count in range(1, 20):
        watch.pass_by(600, seen(open_conflicts=count))
    assert watch.told == [REVIEW]
    watch.pass_by(24 * 3600, seen(open_conflicts=3))
    assert watch.told == [REVIEW] * 2
    watch.pass_by(10, seen())
    assert watch.gone == [REVIEW]


def test_a_notice_opens_what_it_is_about(watch: Watch) -> None:
    watch.pass_by(600, seen(suspects=1, parked=2))
    assert watch.went == [("review", "people")]
    view = seen(**BAD)
    watch.pass_by(600, view)
    assert watch.went[1:] == [("overview", view.code)]
    assert view.code


# --- the menu ------------------------------------------------------------------------------------


class Anybody:
    def __init__(self, *, may: bool = True, snoozed: datetime | None = None) -> None:
        self._may, self._snoozed = may, snoozed

    def may(self, kind: type[Request[Any]]) -> bool:
        return self._may

    def moment(self, name: str) -> datetime | None:
        return self._snoozed


def menu(view: StatusView, who: Anybody | None = None) -> list[str]:
    someone = who or Anybody()
    items = menu_items(view, someone, someone, NOW, TEXTS)
    return ["-" if item == LINE else item.text for item in items if item.is_enabled or item == LINE]


def test_the_menu_stands_in_its_order() -> None:
    assert menu(seen(open_conflicts=3)) == [
        "Open status …", "Review 3 items …", "Check now", "Pause", "Mute notifications",
        "-", "Settings …", "Help", "Send support report …", "About Bridgework",
        "Close this icon (syncing goes on)",
    ]  # fmt: skip


def test_what_cannot_be_done_is_grey() -> None:
    gone = menu(seen(silent=True))
    assert "Check now" not in gone
    assert "Pause" not in gone
    assert "Pause" not in menu(seen(), Anybody(may=False))
    paused = seen(paused_until=(NOW + timedelta(hours=1)).isoformat())
    assert "Resume now" in menu(paused)
    assert "Resume now" not in menu(paused, Anybody(may=False))


def test_muting_can_be_taken_back() -> None:
    muted = menu(seen(), Anybody(snoozed=NOW + timedelta(hours=1)))
    assert any(text.startswith("Notifications are muted until") for text in muted)


# --- texts ---------------------------------------------------------------------------------------


def test_the_pseudo_language_is_longer_and_keeps_its_facts() -> None:
    said = Texts(PSEUDO)("status.review.head", n=7)
    assert "7" in said
    assert len(said) >= len(TEXTS("status.review.head", n=7)) * 1.35
    assert said.startswith("[")


def test_counts_have_their_form() -> None:
    assert TEXTS("status.review.head", n=1) == "1 item needs review"
    assert TEXTS("status.review.head", n=1200) == "1,200 items need review"


def test_a_missing_text_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        TEXTS("nowhere.nothing")
