"""The Windows checklist tells the truth: each command names a test that exists, of the right lane;
what only Windows can show is looked for by the workflow."""

from __future__ import annotations

import ast
import html
import re

import pytest

from agent.config.paths import assets_dir

ROOT = assets_dir().parent
PAGE = ROOT / "assets" / "help" / "windows-checklist.html"
WORKFLOW = ROOT / ".github" / "workflows" / "windows.yml"
Row = tuple[str, str, str]


def rows(text: str) -> list[Row]:
    """Behaviour, state, command."""
    found = re.findall(
        r"<tr><td>(.*?)</td><td>(.*?)</td><td><code>(.*?)</code></td></tr>", text, re.DOTALL
    )
    return [tuple(map(html.unescape, row)) for row in found]


def wrong_with(row: Row) -> str:
    """ "" for a row that is true."""
    behaviour, state, command = row
    if state == "only on Windows":
        step = command.removeprefix("windows.yml: ")
        is_there = step != command and step in WORKFLOW.read_text(encoding="utf-8")
        return "" if is_there else f"{behaviour}: the workflow does not look for it"
    named = re.fullmatch(r"python3 dev\.py test( --wine)? (tests/\S+\.py)::(\w+)", command)
    if named is None:
        return f"{behaviour}: {command} is no command of a test"
    wine, file, name = named.groups()
    expected = {"proven": False, "proven under Wine": True}.get(state)
    if expected is None or expected != bool(wine) or expected != file.startswith("tests/wine/"):
        return f"{behaviour}: {state} is not what {command} shows"
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return "" if name in tests else f"{behaviour}: there is no {name}"


def test_every_row_is_shown_by_what_it_names() -> None:
    found = rows(PAGE.read_text(encoding="utf-8"))
    assert len(found) > 25
    assert [wrong for row in found if (wrong := wrong_with(row))] == []


TABLES = "python3 dev.py test tests/installer/test_tables.py"
SERVICE = "tests/wine/test_service.py::test_what_it_weighs"


@pytest.mark.parametrize(
    "row",
    [
        ("x", "proven", f"{TABLES}::test_no_such"),
        ("x", "proven", f"python3 dev.py test --wine {SERVICE}"),
        ("x", "proven under Wine", f"python3 dev.py test {SERVICE}"),
        ("x", "surely", f"{TABLES}::test_the_order_of_what_is_done"),
        ("x", "only on Windows", "windows.yml: makes coffee"),
        ("x", "proven", "look at it"),
    ],
)
def test_a_row_that_is_not_true_is_found(row: Row) -> None:
    assert wrong_with(row)
