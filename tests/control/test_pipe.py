"""The named pipe. Its words and rights anywhere; the pipe itself on Windows, or under Wine."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PureWindowsPath

import pytest

from agent.control.client import Client
from agent.control.pipe import CALLER_RIGHTS, descriptor, pipe_name
from agent.control.server import ControlServer
from agent.control.sids import SERVICE, folder_sddl, service_sid
from agent.model.asking import Role
from tests.control.conftest import Echo, Serve

windows_only = pytest.mark.skipif(sys.platform != "win32", reason="a named pipe is Windows'")


def test_one_name_for_one_folder_whatever_its_case() -> None:
    here = Path(PureWindowsPath(r"C:\ProgramData\Bridgework\control.sock"))
    upper, other = Path(str(here).upper()), Path(f"{here}2")
    assert pipe_name(here) == pipe_name(upper)
    assert pipe_name(here) != pipe_name(other)
    assert re.fullmatch(r"\\\\\.\\pipe\\bridgework-[0-9a-f]{16}", pipe_name(here))


def test_a_caller_may_talk_and_not_play_the_agent() -> None:
    create_instance, write_dac, write_owner, delete = 0x4, 0x40000, 0x80000, 0x10000
    assert CALLER_RIGHTS & (create_instance | write_dac | write_owner | delete) == 0
    read_data, write_data, read_control = 0x1, 0x2, 0x20000
    assert CALLER_RIGHTS & read_data
    assert CALLER_RIGHTS & write_data
    assert CALLER_RIGHTS & read_control  # a client asks whose pipe it is


def test_the_descriptor_shuts_the_network_out_before_it_lets_anybody_in() -> None:
    entries = re.findall(r"\(([^)]+)\)", descriptor("S-1-5-18"))
    assert entries[0] == "D;;GA;;;NU"
    assert [e.split(";")[-1] for e in entries if e.startswith("A;;GA")] == ["SY", "BA", "S-1-5-18"]
    assert "D:P(" in descriptor("S-1-5-18")  # nothing inherited


@windows_only
def test_a_call_is_answered(server: ControlServer) -> None:
    with Client.call(server.path, name="test") as client:
        assert client.welcome.role is Role.ADMIN
        assert len(client.ask(Echo(("a", "b"), times=100)).lines) == 200


@windows_only
def test_only_one_agent_has_the_name(serve: Serve, tmp_path: Path) -> None:
    from agent.control.protocol import ControlError

    serve(path=tmp_path / "one")
    with pytest.raises(ControlError, match=r"control\.in_use"):
        serve(path=tmp_path / "one")


def test_the_service_s_account_is_known_by_its_name() -> None:
    """The one such account every Windows has, as Microsoft's pages print it."""
    assert service_sid("TrustedInstaller") == (
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    )
    entries = re.findall(r"\(([^)]+)\)", folder_sddl(SERVICE))
    assert [e.split(";")[-1] for e in entries] == ["SY", "BA", service_sid(SERVICE)]
    assert folder_sddl(SERVICE).startswith("D:PAI"), "what the parent allows does not apply"
