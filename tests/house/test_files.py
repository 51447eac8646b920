"""Rules of the house that no tool checks for us."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("agent", "drivers", "gui", "installer", "tests")
# About 500 lines: a file that wants more wants to be two. Tests are lists and may be longer.
MOST_LINES = {"tests": 800}
USUAL_MOST_LINES = 550


def _sources() -> list[Path]:
    return sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))


def test_no_file_wants_to_be_two() -> None:
    counted = {
        p.relative_to(ROOT): len(p.read_text(encoding="utf-8").splitlines()) for p in _sources()
    }
    assert counted
    too_long = {
        str(p): n for p, n in counted.items() if n > MOST_LINES.get(p.parts[0], USUAL_MOST_LINES)
    }
    assert too_long == {}


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(p.relative_to(ROOT))
        for p in _sources()
        if p.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_the_lock_file_pins_by_hash_and_names_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    pins = re.split(r"\n(?=[A-Za-z0-9])", text)
    unhashed = [p.split()[0] for p in pins if "==" in p and "--hash=sha256:" not in p]
    assert unhashed == []


def test_every_direct_requirement_is_locked() -> None:
    from tests.house.licences import runtime_requirements

    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    wanted = {re.split(r"[<>=\[; ]", r)[0].lower() for r in runtime_requirements()}
    assert wanted - locked == set()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_nothing_generated_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert listed
    assert [p for p in listed if re.search(r"(\.pyc|\.db|\.db-wal|\.log|\.egg-info/)", p)] == []
