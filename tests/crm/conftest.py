"""A running reference CRM and an agent paired with it, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.crm.auth import Auth
from agent.crm.enroll import Rotation, enroll
from agent.crm.native import NativeCrm
from agent.crm.pairing import Pairing, PairingStore
from agent.crm.transport import Transport
from agent.crm.wire import Origin
from agent.sandbox.crm import CrmServer
from tests.crm.clocks import RealClock
from tests.crm.stub import MemorySecrets


@dataclass
class PairedAgent:
    """One agent's side of the line: real parts, secrets in memory."""

    server: CrmServer
    clock: RealClock = field(default_factory=RealClock)
    deadline_s: float = 5.0

    def __post_init__(self) -> None:
        self.secrets = MemorySecrets()
        self.pairings = PairingStore(self.secrets)
        self.transport = Transport(
            self.server.url,
            clock=self.clock,
            agent_version="0.1.0",
            proxy="none",
            deadline_s=self.deadline_s,
        )
        self.auth = Auth(self.transport, self.pairings, self.clock)
        self.rotation = Rotation(self.transport, self.auth, self.pairings, self.clock)

    def enroll(self, code: str | None = None) -> Pairing:
        return enroll(
            self.server.new_code() if code is None else code,
            transport=self.transport,
            pairings=self.pairings,
            clock=self.clock,
            agent_version="0.1.0",
            label="front-desk",
        )

    def crm(self, epoch: int = 1, **options: Any) -> NativeCrm:
        origin = Origin("0.1.0", "j" * 32, epoch, "demo", "opendental", "21.1.9.0")
        return NativeCrm(self.transport, self.auth, origin, self.clock, **options)

    def close(self) -> None:
        self.transport.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CrmServer]:
    with CrmServer(tmp_path / "crm.db") as running:
        yield running


@pytest.fixture
def paired(server: CrmServer) -> Iterator[PairedAgent]:
    agent = PairedAgent(server)
    agent.enroll()
    yield agent
    agent.close()
