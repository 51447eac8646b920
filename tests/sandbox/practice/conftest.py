"""One small practice in SQLite and one MariaDB server for the tests of this folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from agent.sandbox.practice.create import PracticePlan, SqliteStore, create_practice
from tests.support.mariadb import MariaDb

TODAY = date(2026, 3, 11)


def make(path: Path, **options: object) -> Path:
    """A practice of 200 patients in a new SQLite file."""
    plan = PracticePlan(**{"patients": 200, "years": 2, "seed": 7, "today": TODAY, **options})  # type: ignore[arg-type]
    with closing(SqliteStore(path)) as store:
        create_practice(store, plan)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read-only: tests that write make their own."""
    return make(tmp_path_factory.mktemp("practice") / "small.db")


@pytest.fixture
def link(small: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{small}?mode=ro", uri=True)) as opened:
        yield opened


@pytest.fixture(scope="session")
def server() -> Iterator[MariaDb]:
    with MariaDb() as db:
        yield db
