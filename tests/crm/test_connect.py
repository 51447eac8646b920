"""The client as the composition root gets it: one line, one pairing, pull beside push."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config import Settings
from agent.crm.connect import CrmLink
from agent.crm.envelope import Keys
from agent.model.commands import CommandType
from agent.sandbox.crm import CrmServer, CrmSettings
from tests.crm.clocks import RealClock
from tests.crm.conftest import PairedAgent
from tests.crm.sealing import make_secret

SECRET = make_secret(3)


@pytest.mark.parametrize("place", ["store", "flag"])
def test_commands_and_hints_over_one_line(
    tmp_path: Path, settings_with: Callable[..., Settings], place: str
) -> None:
    with CrmServer(tmp_path / "crm.db", settings=CrmSettings(endpoint_secret=SECRET)) as server:
        agent = PairedAgent(server)
        agent.enroll()
        flags: dict[str, object] = {"crm.url": server.url}
        if place == "flag":
            flags["crm.endpoint_secret"] = SECRET
        else:
            agent.secrets.set("crm.endpoint_secret", SECRET)
        link = CrmLink(settings_with(**flags), agent.secrets, RealClock(), "0.1.0")
        crm = link.client("j" * 32, 1)
        commands = link.commands(crm)
        heard: queue.Queue[str] = queue.Queue()
        hints = link.hints(heard.put)
        listening = threading.Thread(target=hints.run)
        listening.start()
        while heard.get(timeout=10) != "hello":
            pass
        sent = server.send_command("agent.diagnostics", {})
        while heard.get(timeout=10) != "commands":
            pass
        polled = commands.poll(
            capabilities=[CommandType.DIAGNOSTICS], ack=[], errs={}, most=1, wait_s=0
        )
        assert [command.command_id for command in polled.commands] == [sent]
        keys: Keys = commands._ring.keys()
        assert (len(keys.live), len(keys.secrets)) == (1, 1)
        hints.stop()
        listening.join(5)
        assert not listening.is_alive()
        link.close()
        agent.close()
