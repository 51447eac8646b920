"""Shared by all tests: lanes, a private agent folder, a quiet log."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from _pytest.nodeid import coerce_node_id

from agent.config import Paths, Settings, load_settings

_SERVERS = {
    "mariadb": ("mariadbd", "mysqld"),
    "odbc": ("isql",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "panel": ("trayer",),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a server run on one worker, unless they say that they have a group of their
    own. Without the program they say why they skip.

    ``dev.py test`` names in BRIDGEWORK_REQUIRE what it made sure of: there nothing skips.
    """
    required = os.environ.get("BRIDGEWORK_REQUIRE", "").split()
    for item in items:
        for marker, programs in _SERVERS.items():
            if item.get_closest_marker(marker) is None:
                continue
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(marker))
            path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
            found = any(shutil.which(program, path=path) for program in programs)
            if not found and marker not in required:
                item.add_marker(pytest.mark.skip(reason=f"no {programs[0]} on this machine"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests of one group run on one worker. pytest-xdist 3.8 writes it into ``_nodeid``, which
    pytest 9.2 no longer reads: without this no group holds together."""
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid:
            item._id = coerce_node_id(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes the settings, the keyring or the zone of who runs it."""
    for name in list(os.environ):
        if name.startswith("BRIDGEWORK_") and name != "BRIDGEWORK_REQUIRE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("BRIDGEWORK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    """Events go to the standard library's log (``caplog`` sees them), not to the screen."""
    structlog.configure(
        processors=[structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def paths(home: Path) -> Paths:
    found = Paths.locate(home)
    found.prepare()
    return found


@pytest.fixture
def settings_with(home: Path) -> Callable[..., Settings]:
    """``settings_with(**{"pms.host": "srv1"})``: settings as flags would give them."""

    def build(**flags: object) -> Settings:
        return load_settings(flags, home=home, environ={})

    return build
