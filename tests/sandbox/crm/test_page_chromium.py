"""The page in a real browser: every view in both themes and two widths, live, by keyboard.

With BRIDGEWORK_KEEP_PICTURES=1 the pictures of the help (``assets/help/crm-*.png``) are taken anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.sandbox.crm import CrmServer
from tests.sandbox.crm.browser import Browser
from tests.sandbox.crm.desk import Desk
from tests.sandbox.crm.practice import ZONE, practice
from tests.sandbox.crm.pretend import CAPABLE

pytestmark = pytest.mark.chromium

NOON = datetime(2026, 11, 20, 10, 42, tzinfo=ZONE)
_KEEP = "BRIDGEWORK_KEEP_PICTURES" in os.environ  # read now: no test sees this environment
HELP = Path(__file__).resolve().parents[3] / "assets" / "help"
VIEWS = {
    "today": ("#/today", "document.querySelectorAll('.visit').length > 20"),
    "patients": ("#/patients/1", "document.querySelectorAll('.panel').length > 8"),
    "activity": ("#/activity", "document.querySelectorAll('.activity li').length > 8"),
    "rejects": ("#/rejects", "document.querySelectorAll('.rejects > li').length == 3"),
}
# Text that is cut off without a way to read it: wider than its box, and no ellipsis or tooltip.
CLIPPED = """
[...document.querySelectorAll('body *')].filter((e) => {
  const scrolls = '.sr, .skip, .board, .people, .card, .panel.tall, pre';
  if (!e.offsetParent || e.closest(scrolls)) return false;
  const style = getComputedStyle(e);
  return e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && style.overflowX === 'hidden'
    && style.textOverflow !== 'ellipsis';
}).map((e) => e.className || e.tagName)
"""
# Text whose contrast against the nearest painted ground is below 4.5, by WCAG's formula.
FAINT = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (v) => (v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  const light = (c) => {
    const [r, g, b] = c.map((v) => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 250) return c;
    }
    return [255, 255, 255, 255];
  };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !e.offsetParent) continue;
    if (e.closest('.sr, .skip, noscript')) continue;
    const pair = [light(rgba(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(...pair) + .05) / (Math.min(...pair) + .05);
    if (ratio < 4.5) faint.add(`${e.className || e.tagName} ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def filled(desk: Desk, server: CrmServer) -> Desk:
    """A day in the middle of the morning, a few live changes, three rejects, a fresh heartbeat."""
    server.core.now = lambda: NOON
    records = list(practice(NOON.date()))
    for start in range(0, len(records), 1000):
        desk.push(*[desk.change(*one) for one in records[start : start + 1000]])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    beat = {
        "agent_version": "0.1.0", "pms_kind": "opendental", "pms_version": "21.1.9.0",
        "journal_uuid": desk.journal, "epoch": 1, "last_read_at": now, "last_write_at": now,
        "oldest_unsent_s": None, "oldest_unverified_s": 412, "open_conflicts": 0, "parked": 0,
        "pending_batches": 0, "capabilities": list(CAPABLE),
    }  # fmt: skip
    desk.http.post("/v1/agents/self/heartbeat", json=beat)
    visits = [
        (key, visit)
        for kind, key, visit in records
        if kind == "appointment"
        and visit["start"].startswith("2026-11-20T2")
        and visit["status"] == "scheduled"
    ]
    for key, visit in visits[:3]:
        word = {"confirmation": "Confirmed", "confirmation_category": "confirmed"}
        desk.push(desk.change("appointment", key, visit | word | {"note": "Called"}))
    desk.push(
        desk.change("appointment", visits[3][0], visits[3][1] | {"start": "2026-11-23T17:00:00Z"})
    )
    desk.push(desk.change("appointment", visits[4][0], op="delete"))
    desk.push(
        desk.change(
            "patient", "900", {"first_name": "Ada", "last_name": "Winslow", "guarantor_key": "900"}
        )
    )
    desk.push(desk.change("payment", "9", {"patient_key": "1", "amount": "120.00"}))
    desk.push(desk.change("widget", "1", {"a": 1}))
    desk.push(desk.change("recall", "77", {"patient_key": "3"}, content_hash="0" * 32))
    desk.push(17)
    return desk


def show(browser: Browser, server: CrmServer, path: str, ready: str) -> None:
    browser.open("about:blank")
    browser.problems.clear()
    browser.open(f"{server.url}/app/{path}")
    browser.wait(ready)


def test_every_view_in_every_shape(
    browser: Browser, server: CrmServer, filled: Desk, tmp_path: Path
) -> None:
    for name, (path, ready) in VIEWS.items():
        for width, height, dark in ((1440, 900, False), (1440, 900, True), (1024, 768, False)):
            browser.shape(width, height, dark=dark)
            show(browser, server, path, ready)
            where = f"{name} {width} {'dark' if dark else 'light'}"
            assert browser.problems == [], where
            assert browser.run(CLIPPED) == [], where
            assert browser.run(FAINT) == [], where
            wide = "document.documentElement.scrollWidth <= innerWidth"
            assert browser.run(wide), f"{where}: scrolls sideways"
            picture = f"crm-{name}{'-dark' if dark else ''}{'-narrow' if width < 1100 else ''}.png"
            taken = browser.picture(tmp_path / picture)
            assert 20_000 < taken.stat().st_size < 300_000, where
            if _KEEP:
                HELP.mkdir(exist_ok=True)
                shutil.copy(taken, HELP / picture)


def test_a_change_shows_at_once_and_gently(
    browser: Browser, server: CrmServer, filled: Desk
) -> None:
    browser.shape(1440, 900)
    show(browser, server, *VIEWS["today"])
    visit: dict[str, Any] = {
        "key": "new1", "patient_key": "1", "status": "scheduled", "minutes": 30,
        "start": "2026-11-20T18:30:00Z", "operatory_key": "1", "procedures_text": "Emergency exam",
    }  # fmt: skip
    filled.push(filled.change("appointment", "new1", visit))
    block = "document.querySelector('[data-visit=new1]')"
    spoken = browser.wait(f"{block}?.classList.contains('arrived') && {block}.ariaLabel")
    assert spoken == "10:30 AM to 11:00 AM, Marisol Castellanos, Not confirmed, Emergency exam"
    assert "Emergency exam" in browser.text("#say")
    lit = browser.run("document.querySelectorAll('.visit.arrived').length")
    assert lit == 1, "only what changed"
    filled.push(filled.change("appointment", "new1", op="delete"))
    browser.wait(f"!{block}")
    assert browser.problems == []


def test_the_keyboard_is_enough(browser: Browser, server: CrmServer, filled: Desk) -> None:
    browser.shape(1440, 900)
    show(browser, server, *VIEWS["today"])
    heading = "document.querySelector('h2').textContent"
    assert browser.run(heading) == "Friday, November 20, 2026"
    browser.key("ArrowRight")
    browser.wait(f"{heading} === 'Saturday, November 21, 2026'")
    assert "Nothing is scheduled" in browser.text(".board")
    browser.key("t")
    browser.wait(f"{heading} === 'Friday, November 20, 2026'")
    browser.key("/")
    browser.wait("document.activeElement.type === 'search'")
    browser.type("castellanos, mar")
    browser.wait("document.querySelectorAll('.people a').length === 1")
    browser.key("Enter", "\r")
    browser.wait(
        "document.querySelector('.card h2')?.textContent.startsWith('Marisol Castellanos')"
    )
    assert browser.run("location.hash") == "#/patients/1"
    assert "Latex allergy" in browser.text(".alerts")
    browser.key("ArrowDown")
    browser.wait("document.activeElement.closest('.people') !== null")
    unnamed = browser.run(
        "[...document.querySelectorAll('button, input, a[href], summary')].filter((e) =>"
        " e.offsetParent && !(e.ariaLabel || e.textContent.trim() || e.labels?.length)).length"
    )
    assert unnamed == 0
    assert browser.problems == []


def test_a_card_follows_its_patient(browser: Browser, server: CrmServer, filled: Desk) -> None:
    browser.shape(1440, 900)
    show(browser, server, *VIEWS["patients"])
    filled.push(
        filled.change("patient", "1", {"first_name": "Maria", "last_name": "Castellanos-Webb"})
    )
    browser.wait("document.querySelector('.card h2').textContent === 'Maria Castellanos-Webb'")
    filled.push(filled.change("patient", "1", op="delete"))
    browser.wait("document.querySelector('.card').textContent.includes('This patient is not here')")


def test_activity_comes_in_on_top(browser: Browser, server: CrmServer, filled: Desk) -> None:
    browser.shape(1440, 900)
    show(browser, server, *VIEWS["activity"])
    filled.push(filled.change("payment", "10", {"patient_key": "2", "amount": "55.00"}))
    browser.wait("document.querySelector('.activity li').textContent.includes('payment of $55.00')")
    assert browser.run("document.querySelectorAll('.activity li.arrived').length") == 1


def test_a_reject_is_retried_from_the_page(
    browser: Browser, server: CrmServer, filled: Desk
) -> None:
    browser.shape(1440, 900)
    show(browser, server, *VIEWS["rejects"])
    browser.run("document.querySelector('.rejects button').click()")
    result = "document.querySelector('.reject-foot [role=status]').textContent"
    browser.wait(f"{result}.startsWith('Refused again')")
    filled.push(filled.change("recall", "77", {"patient_key": "3"}))
    browser.wait("document.querySelectorAll('.rejects > li').length === 2")
    assert "2" in browser.text("#reject-count")


def test_freshness_is_honest(browser: Browser, server: CrmServer, filled: Desk) -> None:
    browser.shape(1440, 900)
    show(browser, server, *VIEWS["today"])
    text = "document.getElementById('fresh-text').textContent"
    assert browser.run(text) == "Live"
    server.core.store.execute("UPDATE agent SET beat_us = beat_us - 600 * 1000000")
    show(browser, server, *VIEWS["today"])
    browser.wait(f"{text} === 'No word from the agent for 10 min'")
    assert browser.run("document.getElementById('fresh').classList.contains('warn')")
    server.stop()
    browser.wait(f"{text} === 'This page lost the CRM'")
    assert browser.run("document.querySelectorAll('.visit').length") > 20, "it keeps what it had"


def test_an_empty_crm_is_friendly(browser: Browser, server: CrmServer, desk: Desk) -> None:
    browser.shape(1024, 768)
    for path, words in (
        ("#/today", "No operatories have arrived yet"),
        ("#/patients", "No patients have arrived yet"),
        ("#/activity", "Nothing has arrived yet"),
        ("#/rejects", "Nothing was refused"),
        ("#/patients/404", "This patient is not here"),
    ):
        show(browser, server, path, f"document.body?.textContent.includes('{words}')")
        not_found = [p for p in browser.problems if "404" not in p]
        assert not_found == []
    assert browser.text("#fresh-text") == "No agent has reported yet"


def test_names_are_text_never_markup(browser: Browser, server: CrmServer, desk: Desk) -> None:
    nasty = "<img src=x onerror=document.title='owned'>"
    desk.push(desk.change("patient", "1", {"first_name": nasty, "last_name": "<b>Lee</b>"}))
    show(browser, server, "#/patients/1", "document.querySelector('.card h2') !== null")
    assert browser.text(".card h2").startswith(nasty)
    assert browser.run("document.querySelectorAll('.card img, .card h2 b').length") == 0
    assert "owned" not in browser.run("document.title")
