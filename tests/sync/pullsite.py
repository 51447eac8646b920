"""Fixtures of the pull tests: one practice made and loaded once, a copy of it for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sync.pullrig import Desk, copy_site, make_practice


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pull") / "template"
    (folder / "agent").mkdir(parents=True)
    make_practice(folder)
    desk = Desk(folder / "practice.db", folder / "agent")
    desk.close()
    return folder


@pytest.fixture
def open_desk(site_template: Path, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """``open_desk(**options)``: an agent on its own copy of the loaded site."""
    opened: list[Desk] = []

    def build(**options: object) -> Desk:
        practice, agent = copy_site(site_template, tmp_path / f"site{len(opened)}")
        opened.append(Desk(practice, agent, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield build
    for desk in opened:
        if not desk.journal._closed:
            desk.close()


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk()
