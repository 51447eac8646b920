"""Fixtures of the pull tests: one practice made and loaded once, a copy of it for every test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sync.pullrig import Desk, copy_site, make_practice

MEMORY = Path("/dev/shm")  # files here cost no disk's patience


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pull-", dir=MEMORY if MEMORY.is_dir() else None))


@pytest.fixture(scope="session")
def site_template() -> Iterator[Path]:
    root = _folder()
    folder = root / "template"
    (folder / "agent").mkdir(parents=True)
    make_practice(folder)
    desk = Desk(folder / "practice.db", folder / "agent")
    desk.close()
    yield folder
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def open_desk(site_template: Path) -> Iterator[Callable[..., Desk]]:
    """``open_desk(**options)``: an agent on its own copy of the loaded site."""
    opened: list[Desk] = []
    root = _folder()

    def build(**options: object) -> Desk:
        practice, agent = copy_site(site_template, root / f"site{len(opened)}")
        opened.append(Desk(practice, agent, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield build
    for desk in opened:
        if not desk.journal._closed:
            desk.close()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()
