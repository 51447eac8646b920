"""A running reference CRM and a small agent paired with it; all their traffic fits the contract."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sandbox.crm import CrmServer, CrmSettings
from tests.sandbox.crm.contract import Contract
from tests.sandbox.crm.desk import Desk


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CrmServer]:
    with CrmServer(tmp_path / "crm.db", settings=CrmSettings(longest_wait_s=5)) as running:
        yield running


@pytest.fixture
def desk(server: CrmServer, contract: Contract) -> Iterator[Desk]:
    paired = Desk(server)
    paired.http.event_hooks = {"response": [contract.check]}
    yield paired
    paired.close()
