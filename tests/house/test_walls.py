"""The import walls stand: each of these breaches, put into a copy of the tree, is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# file to add -> (its import, the wall that must fall)
BREACHES = {
    "agent/model/breach.py": ("agent.ports", "model is a leaf"),
    "agent/sync/breach.py": ("agent.config", "sync knows the leaves and the journal only"),
    "agent/journal/breach.py": ("agent.sync", "journal knows the leaves only"),
    "agent/crm/breach.py": ("agent.journal", "crm knows the leaves and config only"),
    "agent/config/breach.py": ("agent.support", "config knows the leaves only"),
    "agent/cli/breach.py": ("drivers", "only runtime meets the drivers"),
    "agent/sandbox/breach.py": ("agent.sync", "the sandbox stands apart from the engine"),
    "agent/support/breach.py": ("agent.cli", "no engine module imports the command line"),
    "drivers/breach.py": ("agent.journal", "drivers know the leaves only"),
    "agent/control/breach_room.py": ("agent.journal", "control knows the leaves only"),
    "agent/control/breach.py": ("PySide6", "the agent is headless"),
    "agent/csvio/breach_room.py": ("agent.journal", "csvio knows the leaves only"),
    "agent/crm/breach_http.py": (
        "httpx",
        "only crm.transport and the API writer's link speak HTTP",
    ),
    "agent/runtime/breach.py": ("apscheduler.events", "only runtime.scheduler knows the scheduler"),
    "agent/csvio/breach.py": ("sqlite3", "only the journal writes our SQLite"),
    "agent/runtime/breach_sql.py": (
        "pymysql",
        "only drivers and the sample practice speak to MySQL",
    ),
    "agent/runtime/breach_keys.py": ("keyring", "only config knows the keyring"),
    "agent/runtime/breach_page.py": (
        "prometheus_client",
        "only support.exposition knows Prometheus",
    ),
    "gui/breach.py": (
        "agent.journal",
        "the window knows the control channel, the model and the texts only",
    ),
    "gui/presenter/breach.py": ("PySide6", "presenters know no Qt"),
    "gui/widgets/breach.py": ("gui.windows", "what windows are made of knows no windows"),
}
# What the walls allow, so that a wall that forbids everything is found too.
DOORS = {
    "agent/crm/transport.py": "httpx",
    "agent/runtime/scheduler.py": "apscheduler.events",
    "agent/journal/door.py": "apsw",
    "agent/sandbox/crm/door.py": "apsw",
    "agent/sandbox/practice/door.py": "pymysql",
    "agent/sandbox/practice/vendors/door.py": "pyodbc",
    "agent/runtime/host.py": "drivers",
    "agent/config/door.py": "keyring",
    "drivers/sample/door.py": "sqlite3",
    "gui/i18n.py": "agent.support.messages",
    "gui/windows/door.py": "agent.config.paths",
    "gui/theme.py": "PySide6",
}


@pytest.fixture
def bare_tree(tmp_path: Path) -> Path:
    """Empty rooms and the contracts: the test does not depend on today's code."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    rooms = ("cli", "config", "control", "crm", "csvio", "journal", "model", "runtime", "sandbox",
             "sandbox/crm", "sandbox/practice", "sandbox/practice/vendors", "support",
             "sync")  # fmt: skip
    for room in ("agent", "drivers", "drivers/sample", *(f"agent/{r}" for r in rooms)):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    for room in ("gui", *(f"gui/{r}" for r in ("models", "presenter", "widgets", "windows"))):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    modules = ("agent/errors", "agent/ports", "agent/support/messages", "agent/config/paths",
               "gui/app", "gui/i18n", "gui/link", "gui/theme", "gui/tray")  # fmt: skip
    for module in modules:
        (tmp_path / f"{module}.py").touch()
    return tmp_path


def _lint(tree: Path) -> tuple[int, str]:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=tree,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(tree), "NO_COLOR": "1", "COLUMNS": "200"},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_doors_are_open(bare_tree: Path) -> None:
    for file, module in DOORS.items():
        (bare_tree / file).write_text(f"import {module}\n")
    code, told = _lint(bare_tree)
    assert code == 0, told


def test_every_breach_is_found(bare_tree: Path) -> None:
    for file, (module, _) in BREACHES.items():
        (bare_tree / file).write_text(f"import {module}\n")
    code, told = _lint(bare_tree)
    assert code == 1, told
    standing = {wall for _, wall in BREACHES.values() if f"{wall} BROKEN" not in told}
    assert standing == set(), told


def test_every_wall_has_a_breach() -> None:
    import tomllib

    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    walls = {c["name"] for c in tool["importlinter"]["contracts"]}
    # Leaves without any import of ours are the trivial two.
    assert walls - {w for _, w in BREACHES.values()} == {
        "errors is a leaf",
        "ports is a leaf (beside model and errors)",
    }
