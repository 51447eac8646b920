"""Every code a person may meet has a text, and every text can be filled in."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import agent.errors
from agent.errors import AgentError, ConfigError
from agent.support.messages import Audience, Catalogue

ROOT = Path(__file__).resolve().parents[2]
_PARTS = {"title", "body", "next", "audience"}
_OPTIONAL = {"button", "go"}  # both or neither
_DEEDS = {"allow", "accept", "book", "resend", "start"}


def _classes() -> dict[str, type[AgentError]]:
    return {
        name: found
        for name, found in inspect.getmembers(agent.errors, inspect.isclass)
        if issubclass(found, AgentError)
    }


def _codes_in(source: str) -> set[str]:
    """Codes given to errors, findings and what makes them, and ``code = "..."`` of classes."""
    tree = ast.parse(source)
    makers = {*_classes(), "Finding"}
    makers |= {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.returns and _named(node.returns) in makers
    }
    makers |= {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any(_named(base) in makers for base in node.bases)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _named(node.func) in makers:
            given = [*node.args[:2], *(k.value for k in node.keywords if k.arg == "code")]
            found |= {str(g.value) for g in given if isinstance(g, ast.Constant)}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = {t.id for t in node.targets if isinstance(t, ast.Name)}
            found |= {str(node.value.value)} if "code" in names else set()
    return {c for c in found if re.fullmatch(r"[a-z_]+\.[a-z_]+", c) or c == "internal"}


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def test_codes_are_found_in_source() -> None:
    source = (
        'class E(AgentError):\n    code = "a.b"\nraise PmsBusy("c.d", n=1)\nFinding(code="e.f")\n'
    )
    assert _codes_in(source) == {"a.b", "c.d", "e.f"}


def test_every_error_class_has_a_text() -> None:
    codes = {found.code for found in _classes().values()}
    assert len(codes) >= 15
    assert codes - Catalogue.load().codes == set()


def test_every_code_in_the_source_has_a_text() -> None:
    used: dict[str, str] = {}
    for room in ("agent", "drivers"):
        for path in (ROOT / room).rglob("*.py"):
            for code in _codes_in(path.read_text(encoding="utf-8")):
                used[code] = str(path.relative_to(ROOT))
    known = Catalogue.load().codes
    assert {code: where for code, where in sorted(used.items()) if code not in known} == {}


def test_texts_are_whole() -> None:
    entries = tomllib.loads((ROOT / "assets/messages/en.toml").read_text(encoding="utf-8"))
    for code, entry in entries.items():
        assert entry.keys() - _OPTIONAL == _PARTS, code
        assert ("button" in entry) == ("go" in entry), code
        assert Audience(entry["audience"]), code
        assert entry["title"], code
        assert entry["body"], code
        rendered = Catalogue.load().render(code)  # without a single fact: dots, never a crash
        assert rendered.title, code


def test_buttons_lead_somewhere() -> None:
    """Names of tabs, places in them and pages of the wizard, as the window knows them."""
    from gui.review.queue import Queue
    from gui.windows import checks
    from gui.windows.review import QUEUES
    from gui.windows.support import PLACES
    from gui.windows.tabs import TABS
    from gui.wizard.window import PAGE_OF, PAGES

    assert all(issubclass(queue, Queue) for queue in QUEUES)
    places = {
        "do": _DEEDS,
        "setup": {"", *PAGE_OF, *(page.name for page in PAGES)},
        "review": {queue.name for queue in QUEUES},
        "support": set(PLACES),
        "checks": {"", *checks.PLACES},
        **{tab.name: {""} for tab in TABS if tab.name not in {"checks", "review", "support"}},
    }
    known = {code: Catalogue.load().render(code).go for code in Catalogue.load().codes}
    gone = {code: go.partition(":") for code, go in known.items() if go}
    assert len(gone) > 100
    wrong = {c: go for c, (tab, _, place) in gone.items() for go in [known[c]]
             if place not in places.get(tab, set())}  # fmt: skip
    assert wrong == {}


def test_a_wrong_value_reads_as_one_clear_line() -> None:
    error = ConfigError(
        "config.bad_value",
        setting="pms.port",
        value="x{y}",
        source="--set",
        allowed="a whole number from 1 to 65535",
    )
    assert Catalogue.load().of(error).line == (
        "pms.port cannot be 'x{y}' (from --set): allowed is a whole number from 1 to 65535. "
        "[config.bad_value]"
    )


def test_an_unknown_code_keeps_its_name() -> None:
    message = Catalogue.load().render("never.heard_of")
    assert message.code == "never.heard_of"
    assert "[never.heard_of]" in message.line


@pytest.mark.parametrize("value", [None, 5, 1.5, "text"])
def test_facts_of_every_type_fit(value: str | int | float | None) -> None:
    assert Catalogue.load().render("pms.unreachable", {"host": value}).title
