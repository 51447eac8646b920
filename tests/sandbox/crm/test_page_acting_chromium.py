"""Acting on the page in a real browser: what is asked leaves as a command, waits, and is seen done.

With BRIDGEWORK_KEEP_PICTURES=1 the pictures of the help (``assets/help/crm-*.png``) are taken anew.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.sandbox.crm import CrmServer, CrmSettings
from agent.sandbox.crm.people import Said
from tests.sandbox.crm.browser import Browser
from tests.sandbox.crm.desk import Desk
from tests.sandbox.crm.practice import ZONE, practice
from tests.sandbox.crm.pretend import Pretend
from tests.sandbox.crm.test_page_chromium import CLIPPED, FAINT, HELP

pytestmark = pytest.mark.chromium

_KEEP = "BRIDGEWORK_KEEP_PICTURES" in os.environ
DIALOG = "document.querySelector('dialog[open]')"
MAIN = "document.querySelector('dialog button.main')"
SHUT = "!document.querySelector('dialog')"
UNNAMED = """
[...document.querySelectorAll('button, input, select, textarea, a[href], summary')].filter((e) =>
  e.offsetParent && !(e.ariaLabel || e.textContent.trim() || e.labels?.length))
  .map((e) => e.outerHTML)
"""
# Controls of the dialog that nobody can reach: outside it and not inside a part that scrolls.
LOST = """
(() => {
  const box = document.querySelector('dialog[open]').getBoundingClientRect();
  const out = (r) => r.right > box.right + 1 || r.left < box.left - 1 || r.bottom > box.bottom + 1;
  return [...document.querySelectorAll(':is(footer button, header *, .body)')]
    .filter((e) => e.closest('dialog[open]'))
    .filter((e) => out(e.getBoundingClientRect())).map((e) => e.className || e.tagName)
    .concat(box.right > innerWidth || box.bottom > innerHeight ? ['dialog'] : []);
})()
"""


@dataclass
class Front:
    """A browser before a CRM whose practice answers. ``day``: a workday ahead, sparsely booked."""

    browser: Browser
    server: CrmServer
    desk: Desk
    practice: Pretend
    day: str

    def show(self, path: str, ready: str, width: int = 1440, height: int = 900) -> Browser:
        self.browser.shape(width, height)
        self.browser.open("about:blank")
        self.browser.problems.clear()
        self.browser.open(f"{self.server.url}/app/{path}")
        self.browser.wait(ready)
        return self.browser

    def show_day(self, width: int = 1440, height: int = 900) -> Browser:
        ready = "document.querySelectorAll('.visit').length > 5"
        return self.show(f"#/today/{self.day}", ready, width, height)

    def free(self, minutes: int = 30, **asked: Any) -> list[dict[str, Any]]:
        query = {"date": self.day, "minutes": minutes, "limit": 2000} | asked
        answer = httpx.get(f"{self.server.url}/app/api/slots", params=query)
        slots: list[dict[str, Any]] = answer.json()["slots"]
        return slots

    def visits(self) -> list[dict[str, Any]]:
        """Scheduled ones of the day that nobody asked anything about."""
        answer = httpx.get(f"{self.server.url}/app/api/day", params={"date": self.day})
        return [
            visit
            for visit in answer.json()["visits"]
            if visit["look"] == "booked" and visit["pending"] is None
        ]

    def last(self, kind: str) -> dict[str, Any]:
        """The newest command of this type the practice was given."""
        return [command for command in self.practice.seen if command["type"] == kind][-1]

    def click(self, selector: str) -> None:
        found = f"document.querySelector({json.dumps(selector)})"
        self.browser.wait(f"!!{found} && !{found}.disabled")
        self.browser.run(f"{found}.click()")

    def press(self, text: str) -> None:
        """The dialog's button of this text."""
        found = f"[...{DIALOG}.querySelectorAll('button')].find((b) => b.textContent === '{text}')"
        self.browser.wait(f"!!{found} && !{found}.disabled")
        self.browser.run(f"{found}.click()")

    def fill(self, label: str, value: str) -> None:
        """The dialog's field of this label."""
        field = (
            f"[...{DIALOG}.querySelectorAll('.field')]"
            f".find((f) => f.firstChild.textContent === '{label}').querySelector('input, textarea')"
        )
        self.browser.run(f"{field}.value = {json.dumps(value)}")
        self.browser.run(f"{field}.dispatchEvent(new Event('input', {{ bubbles: true }}))")

    def mouse(self, kind: str, x: float, y: float, buttons: int = 1) -> None:
        extra = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
        self.browser._call(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, buttons=buttons, **extra
        )

    def keep(self, name: str, tmp_path: Path) -> None:
        still = "(a) => a.animationName !== 'rise' || a.playState === 'finished'"
        self.browser.wait(f"document.getAnimations().every({still})")
        taken = self.browser.picture(tmp_path / name)
        assert 20_000 < taken.stat().st_size < 300_000
        if _KEEP:
            shutil.copy(taken, HELP / name)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    today = datetime.now(ZONE).date()
    day = today + timedelta(days=1)
    while day.weekday() > 4:
        day += timedelta(days=1)
    store = tmp_path_factory.mktemp("crm") / "crm.db"
    with CrmServer(store, settings=CrmSettings(longest_wait_s=5)) as server:
        desk = Desk(server)
        records = list(practice(today))
        for start in range(0, len(records), 1000):
            desk.push(*[desk.change(*one) for one in records[start : start + 1000]])
        with Pretend(desk, records) as pretend, Browser() as browser:
            pretend.beat()
            yield Front(browser, server, desk, pretend, day.isoformat())
        desk.close()


@pytest.fixture
def front(opened: Front) -> Iterator[Front]:
    opened.practice.answers.clear()
    opened.practice.let_go.set()
    yield opened
    opened.practice.let_go.set()


def test_booking_a_known_patient_with_the_keyboard(front: Front, tmp_path: Path) -> None:
    browser = front.show_day()
    front.practice.let_go.clear()
    browser.key("b", "b")
    browser.wait("document.activeElement.getAttribute('role') === 'combobox'")
    browser.type("castellanos, mar")
    browser.wait("document.querySelectorAll('.hits li').length === 1")
    browser.key("ArrowDown")
    browser.key("Enter", "\r")
    browser.wait("document.querySelector('.chosen b')?.textContent === 'Marisol Castellanos'")
    assert browser.run(f"{MAIN}.disabled"), "no time yet"
    browser.wait("document.querySelectorAll('.chip').length > 10")
    browser.run("document.querySelectorAll('.chip input')[4].click()")
    browser.wait(f"!{MAIN}.disabled")
    front.fill("Note for the schedule", "Chipped front tooth")
    assert browser.run(UNNAMED) == []
    assert browser.run(CLIPPED) == []
    assert browser.run(FAINT) == []
    front.keep("crm-booking.png", tmp_path)
    browser.run(f"{MAIN}.click()")
    browser.wait("!!document.querySelector('.visit.look-pending')")
    assert "The practice is at it" in browser.wait(
        "document.querySelector('.request.open')?.textContent.includes('practice is at it') &&"
        " document.querySelector('.request.open').textContent"
    )
    front.keep("crm-booking-waits.png", tmp_path)
    front.practice.let_go.set()
    browser.wait("document.querySelector('.request.good')?.textContent.includes('Done in')")
    browser.wait("!document.querySelector('.visit.look-pending')")
    sent = front.last("appointment.book")
    assert sent["payload"]["patient"] == {"key": "1"}
    assert sent["payload"]["note"] == "Chipped front tooth"
    assert sent["payload"]["minutes"] == 30
    assert "Marisol Castellanos" in browser.text(".board")
    assert browser.problems == []


def test_a_refusal_says_why_and_offers_other_times(front: Front) -> None:
    browser = front.show_day()
    free = front.free()
    names = ("start", "minutes", "operatory_key", "provider_key")
    others = [{name: slot[name] for name in names} for slot in (free[20], free[40])]
    front.practice.answers["appointment.book"] = {
        "state": "rejected",
        "reason_code": "slot_taken",
        "staff_text": "Another visit was put there a moment ago.",
        "alternatives": others,
    }
    front.click("#book")
    browser.wait(f"!!{DIALOG}")
    browser.type("Wanda Tester")
    browser.wait("document.querySelector('.whom .quiet').textContent.startsWith('Nobody')")
    front.press("Enter a new person")
    front.fill("Mobile", "503 555 0188")
    browser.run("document.querySelectorAll('.chip input')[2].click()")
    front.press("Book")
    browser.wait("document.querySelector('.request.bad')?.getAttribute('role') === 'alert'")
    assert "Another visit was put there a moment ago." in browser.text(".request.bad")
    browser.wait("!!document.querySelector('.visit.look-refused')")
    front.practice.answers.clear()
    browser.run("document.querySelector('.request .offers button').click()")
    browser.wait("!!document.querySelector('.chip input:checked')")
    assert browser.text(".chosen b") == "Wanda Tester", "the CRM keeps the new person"
    front.press("Book")
    browser.wait("!!document.querySelector('.request.good')")
    sent = front.last("appointment.book")["payload"]
    assert (sent["start"], sent["operatory_key"]) == (
        others[0]["start"],
        others[0]["operatory_key"],
    )
    assert browser.problems == []


def test_a_click_on_free_time_books_there(front: Front) -> None:
    browser = front.show_day()
    slot = next(s for s in front.free() if s["minute"] < 620)
    where = browser.run(
        "(() => { const c = [...document.querySelectorAll('.column')].find((c) =>"
        f" c.ariaLabel === {json.dumps(slot['operatory'])}).getBoundingClientRect();"
        " return [c.left + 40, c.top, c.height]; })()"
    )
    first_hour = browser.run("parseFloat(document.querySelector('.gutter').style.height)")
    assert first_hour > 500
    y = where[1] + (slot["minute"] - 480) * 1.9 + 4
    front.mouse("mouseMoved", where[0], y, 0)
    hint = "document.querySelector('.invite:not([hidden])')"
    browser.wait(f"!!{hint}")
    front.mouse("mousePressed", where[0], y)
    front.mouse("mouseReleased", where[0], y, 0)
    browser.wait("!!document.querySelector('.chip input:checked')")
    chosen = browser.text(".picked")
    assert slot["operatory"] in chosen
    browser.key("Escape")
    browser.wait(SHUT)


def drag_to(front: Front, visit: dict[str, Any], operatory: str, minute: int) -> None:
    found = f"document.querySelector('[data-visit=\"{visit['key']}\"]')"
    front.browser.run(f"{found}.scrollIntoView({{ block: 'center' }})")
    source = front.browser.run(
        f"(() => {{ const r = {found}.getBoundingClientRect();"
        " return [r.left + 30, r.top + 8]; })()"
    )
    target = front.browser.run(
        "(() => { const c = [...document.querySelectorAll('.column')].find((c) =>"
        f" c.ariaLabel === {json.dumps(operatory)}).getBoundingClientRect();"
        f" return [c.left + 40, c.top + ({minute} - 480) * 1.9 + 8]; }})()"
    )
    front.mouse("mousePressed", *source)
    front.mouse("mouseMoved", source[0] + 8, source[1] + 8)
    front.browser.wait("!!document.querySelector('.ghost')")
    time.sleep(0.2)  # the free places are being asked for
    front.mouse("mouseMoved", *target)
    front.browser.wait("document.querySelector('.drop-word').textContent !== ''")


def test_dragging_moves_where_it_is_free(front: Front) -> None:
    browser = front.show_day()
    visit = next(v for v in front.visits() if v["start"] < 720)
    free = front.free(visit["minutes"], moving=visit["key"])
    place = next(s for s in free if s["minute"] < 840 and s["operatory_key"] != visit["operatory"])
    drag_to(front, visit, place["operatory"], place["minute"])
    assert browser.run("document.querySelector('.ghost').classList.contains('free')")
    end = browser.run(
        "(() => { const r = document.querySelector('.ghost').getBoundingClientRect();"
        " return [r.left + 30, r.top + 8]; })()"
    )
    front.mouse("mouseReleased", *end, 0)
    browser.wait("!!document.querySelector('.chip input:checked')")
    assert place["operatory"] in browser.text(".picked")
    front.press("Move")
    browser.wait("!!document.querySelector('.request.good')")
    sent = front.last("appointment.reschedule")
    assert sent["target"]["key"] == visit["key"]
    assert (sent["payload"]["start"], sent["payload"]["operatory_key"]) == (
        place["start"],
        place["operatory_key"],
    )
    assert browser.problems == []


def test_dragging_onto_another_visit_or_escape_does_nothing(front: Front) -> None:
    browser = front.show_day()
    asked = len(front.practice.seen)
    visits = front.visits()
    visit = visits[0]
    other = next(v for v in visits if v["operatory"] != visit["operatory"] and v["start"] < 900)
    column = browser.run(
        f"document.querySelector('[data-visit=\"{other['key']}\"]').closest('.column').ariaLabel"
    )
    drag_to(front, visit, column, other["start"])
    assert browser.run("document.querySelector('.ghost').classList.contains('taken')")
    assert "is not free" in browser.text(".ghost")
    front.mouse("mouseReleased", 700, 400, 0)
    assert browser.run(SHUT)
    drag_to(front, visit, column, other["start"] + 200)
    browser.key("Escape")
    browser.wait("!document.querySelector('.ghost')")
    front.mouse("mouseReleased", 700, 400, 0)
    assert browser.run(SHUT)
    # Let go over free time of its own column: the browser sends that column a click.
    place = next(
        s
        for s in front.free(visit["minutes"], moving=visit["key"])
        if s["operatory_key"] == visit["operatory"] and s["minute"] != visit["start"]
    )
    drag_to(front, visit, place["operatory"], place["minute"])
    end = browser.run(
        "(() => { const r = document.querySelector('.ghost').getBoundingClientRect();"
        " return [r.left + 30, r.top + 8]; })()"
    )
    browser.key("Escape")
    browser.wait("!document.querySelector('.ghost')")
    front.mouse("mouseReleased", *end, 0)
    time.sleep(0.1)  # what it opened would be there by then
    assert browser.run(SHUT)
    assert len(front.practice.seen) == asked


def test_confirming_and_moving_by_keyboard_alone(front: Front) -> None:
    browser = front.show_day()
    visit = front.visits()[0]
    block = f"document.querySelector('[data-visit=\"{visit['key']}\"]')"
    browser.run(f"{block}.focus()")
    browser.key("Enter", "\r")
    browser.wait(f"!!{DIALOG}")
    browser.run(f"window.drawnBefore = {block}")
    visit_now = front.practice.held["appointment", visit["key"]] | {"note": "Called"}
    front.desk.push(front.desk.change("appointment", visit["key"], visit_now))
    browser.wait(f"{block} !== window.drawnBefore")
    browser.key("Escape")
    browser.wait(SHUT)
    assert browser.run(f"document.activeElement === {block}"), "the focus comes back"
    browser.key("Enter", "\r")
    browser.wait(f"!!{DIALOG}")
    front.press("Move…")
    browser.wait("document.querySelectorAll('.chip').length > 1")
    assert browser.run(UNNAMED) == []
    browser.run("document.querySelectorAll('.chip input')[1].focus()")
    browser.run("document.activeElement.click()")
    front.press("Move")
    browser.wait("!!document.querySelector('.request.good')")
    assert front.last("appointment.reschedule")["target"]["key"] == visit["key"]
    browser.wait(f"{block}?.classList.contains('busy') === false")
    browser.run(f"{block}.focus()")
    browser.key("Enter", "\r")
    front.press("Confirm")
    browser.wait(f"{block}.classList.contains('look-confirmed')")
    assert front.last("appointment.confirm")["payload"] == {"confirmation_category": "confirmed"}


def test_cancelling_needs_no_guessing(front: Front) -> None:
    browser = front.show_day()
    visit = front.visits()[1]
    front.click(f'[data-visit="{visit["key"]}"]')
    front.press("Cancel visit…")
    browser.wait("!!document.querySelector('.options')")
    browser.run("document.querySelector('input[value=missed]').click()")
    front.fill("Reason", "Did not answer the phone")
    front.press("Cancel the visit")
    browser.wait("!!document.querySelector('.request.good')")
    sent = front.last("appointment.cancel")
    assert sent["target"]["key"] == visit["key"]
    assert sent["payload"] == {
        "break_type": "missed",
        "to_unscheduled": False,
        "note": "Did not answer the phone",
    }
    block = f"document.querySelector('[data-visit=\"{visit['key']}\"]')"
    browser.wait(f"{block}.classList.contains('look-broken')")


def test_an_edit_waits_until_the_practice_has_it(front: Front) -> None:
    browser = front.show("#/patients/7", "document.querySelectorAll('.panel').length > 8")
    front.practice.let_go.clear()
    front.click("#card-edit")
    browser.wait("document.querySelectorAll('fieldset').length > 1")
    assert browser.run(f"{MAIN}.disabled"), "nothing was changed yet"
    front.fill("Mobile phone", "503.555.0164")
    front.fill("City", "Keizer")
    front.practice.held["patient", "7"] |= {"city": "Portland"}
    record = front.practice.held["patient", "7"]
    front.desk.push(front.desk.change("patient", "7", record))
    browser.wait("document.querySelector('.card').textContent.includes('Portland')")
    front.press("Send to the practice")
    browser.wait("document.querySelector('.ask')?.textContent.includes('(503) 555-0164')")
    assert "Keizer" in browser.text(".ask")
    assert "Portland, OR" in browser.text(".card"), "the card shows what the practice holds"
    front.practice.let_go.set()
    browser.wait("document.querySelector('.card').textContent.includes('Keizer, OR')")
    browser.wait("!document.querySelector('.ask')")
    sent = front.last("patient.update_contact")
    assert sent["payload"] == {"fields": {"phone_mobile": "+15035550164", "city": "Keizer"}}
    # What the form showed, though the practice has moved on: the base of the merge.
    assert sent["precondition"]["expected"] == {"phone_mobile": "+15035550007", "city": "Salem"}
    assert browser.problems == []


def test_a_wrong_phone_is_told_at_its_field(front: Front) -> None:
    browser = front.show("#/patients/8", "document.querySelectorAll('.panel').length > 8")
    front.click("#card-edit")
    browser.wait("document.querySelectorAll('fieldset').length > 1")
    front.fill("Home phone", "call my sister")
    front.press("Send to the practice")
    browser.wait("document.querySelector('.trouble').textContent !== ''")
    assert "Home phone" in browser.text(".trouble")
    assert browser.run("document.activeElement.getAttribute('aria-invalid')") == "true"
    browser.key("Escape")
    browser.wait(SHUT)


def test_an_edit_the_practice_refuses_says_why(front: Front) -> None:
    browser = front.show("#/patients/9", "document.querySelectorAll('.panel').length > 8")
    front.practice.answers["patient.update_contact"] = {
        "state": "conflict",
        "reason_code": "version_conflict",
        "staff_text": "Somebody in the practice changed the city too; a person decides.",
        "kept_fields": ["city"],
    }
    front.click("#card-edit")
    browser.wait("document.querySelectorAll('fieldset').length > 1")
    front.fill("City", "Keizer")
    front.press("Send to the practice")
    browser.wait(
        "document.querySelector('.request.warn')?.textContent.includes('a person decides')"
    )
    browser.wait("document.querySelector('.ask')?.textContent.includes('Keizer')")
    assert "(a person decides)" in browser.text(".ask")


def test_consent_is_asked_for_by_channel(front: Front) -> None:
    browser = front.show("#/patients/1", "document.querySelectorAll('.panel').length > 8")
    front.click("#consent-email")
    front.press("They said no")
    browser.wait("document.querySelectorAll('.consent .pill.denied').length === 1")
    assert front.last("consent.set")["payload"]["channel"] == "email"


def test_reviews_come_live_and_are_decided(front: Front, tmp_path: Path) -> None:
    browser = front.show("#/review", "document.querySelectorAll('.cases .empty').length === 2")
    line = front.practice._line
    reports = [
        {"id": "17", "type": "patient", "key": "1", "field": "phone_mobile", "state": "open",
         "base": "+15035550001", "pms": "+15035550142", "crm": "+15035550177"},
        {"id": "18", "type": "patient", "key": "2", "field": "emails", "state": "open",
         "base": ["a@example.org"], "pms": ["b@example.org"]},
        {"id": "19", "type": "patient", "key": "3", "field": "city", "state": "resolved",
         "base": "Salem", "pms": "Keizer", "crm": "Salem, OR", "winner": "pms"},
    ]  # fmt: skip
    line.post("/v1/sync/conflicts", json={"conflicts": reports})
    said = Said("Castellanos", "Marisol", "1984-03-14", ("+15035550177",), ("mari@example.net",))
    front.server.add_contact(said, "c-1")
    suspect = {"cloud_id": "c-1", "state": "suspect", "candidates": ["1", "4"]}
    line.post("/v1/sync/links", json={"links": [suspect]})
    browser.wait("document.querySelectorAll('.case').length === 3")
    assert browser.text("#review-count").strip() == "3"
    sides = browser.run(
        "[...document.querySelectorAll('.side')].slice(3, 6).map((s) => s.innerText)"
    )
    heads = [side.splitlines()[0].lower() for side in sides]
    values = [side.splitlines()[-1] for side in sides]
    assert heads == ["last agreed", "practice", "crm"]
    assert values == ["(503) 555-0001", "(503) 555-0142", "(503) 555-0177"]
    assert "nothing" in browser.text(".case"), "an empty side is told as such"
    for width, height in ((1440, 900), (1024, 640), (390, 800)):
        browser.shape(width, height)
        assert browser.run(CLIPPED) == []
        assert browser.run(FAINT) == []
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), width
    browser.shape(1440, 900)
    front.keep("crm-conflict.png", tmp_path)
    browser.run("document.querySelector('.view-review input[type=checkbox]').click()")
    browser.wait("document.querySelector('.case.settled')?.textContent.includes('practice')")
    browser.run("document.querySelectorAll('.acts td')[3].querySelectorAll('button')[1].click()")
    front.press("Not the same")
    browser.wait("document.querySelectorAll('.compared thead th').length === 2")
    browser.run("document.querySelector('.acts button').click()")
    front.press("Yes, the same")
    browser.wait("!document.querySelector('.compared')")
    row = front.server.core.store.execute("SELECT state, client_ref FROM contact WHERE id = 'c-1'")
    assert row.fetchone() == ("linked", "1")
    assert browser.problems == []


def test_what_the_practice_cannot_do_is_not_offered(front: Front) -> None:
    browser = front.show_day()
    try:
        front.practice.beat(booking_suspended="sync.critical")
        browser.wait("document.querySelector('.note.stop')?.textContent.includes('paused')")
        front.click("#book")
        browser.wait(f"!!{DIALOG}")
        assert browser.run(f"{MAIN}.disabled")
        assert "paused" in browser.text(".trouble")
        browser.key("Escape")
        front.server.set_switches(read_only=True)
        browser.wait("document.querySelector('.note.stop')?.textContent.startsWith('Read only')")
    finally:
        front.server.set_switches(read_only=False)
        front.practice.beat(booking_suspended=None)
    browser.wait("!document.querySelector('.note.stop')")


@pytest.mark.parametrize(("width", "height"), [(1024, 640), (390, 800)])
def test_every_dialog_fits(front: Front, width: int, height: int) -> None:
    browser = front.show_day(width, height)

    def fits(name: str) -> None:
        assert browser.run(LOST) == [], name
        assert browser.run(FAINT) == [], name
        assert browser.run(UNNAMED) == [], name
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), name

    visit = front.visits()[0]["key"]
    fits_day = browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert fits_day
    front.click("#book")
    browser.wait("document.querySelectorAll('.chip').length > 5")
    fits("book")
    browser.type("x")
    browser.wait("!!document.querySelector('.whom .quiet button')")
    browser.run("document.querySelector('.whom .quiet button').click()")
    fits("new person")
    browser.key("Escape")
    browser.wait(SHUT)
    front.click(f'[data-visit="{visit}"]')
    fits("visit")
    front.press("Move…")
    browser.wait("!!document.querySelector('.times:not([aria-busy])')")
    fits("move")
    browser.key("Escape")
    browser.wait(SHUT)
    front.click(f'[data-visit="{visit}"]')
    front.press("Cancel visit…")
    fits("cancel")
    browser.key("Escape")
    browser.wait(SHUT)
    browser.run("location.hash = '#/patients/12'")
    browser.wait("document.querySelectorAll('.panel').length > 8")
    front.click("#card-edit")
    browser.wait("document.querySelectorAll('fieldset').length > 1")
    fits("edit")
    browser.key("Escape")


def test_names_stay_text_in_dialogs(front: Front) -> None:
    nasty = "<img src=x onerror=document.title='owned'>"
    front.desk.push(
        front.desk.change("patient", "901", {"first_name": nasty, "last_name": "Zz", "key": "901"})
    )
    browser = front.show_day()
    front.click("#book")
    browser.wait(f"!!{DIALOG}")
    browser.type("zz")
    browser.wait("document.querySelectorAll('.hits li').length > 0")
    browser.key("Enter", "\r")
    browser.wait("document.querySelector('.chosen b')?.textContent.startsWith('<img')")
    assert browser.run("document.querySelectorAll('dialog img').length") == 0
    assert "owned" not in browser.run("document.title")
