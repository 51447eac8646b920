"""Struct types are looked at before the first thread: two threads' first use crashes msgspec."""

from __future__ import annotations

import subprocess
import sys

WATCHED = """
import msgspec

seen = []
true = msgspec.json.Decoder
msgspec.json.Decoder = lambda kind=None, **more: (seen.append(kind), true(kind, **more))[1]
{start}
names = {{getattr(kind, "__name__", "") for kind in seen}}
print(sorted(set({wanted!r}) - names))
"""
AGENT = "import agent.runtime.host; from agent.model.prepare import prepare_structs as p; p(); "
AGENT += "assert p() == 0"
CRM = """
import pathlib, tempfile
from agent.sandbox.crm.server import CrmServer
with tempfile.TemporaryDirectory() as folder:
    with CrmServer(pathlib.Path(folder) / "crm.db"): pass
"""


def missed(start: str, *wanted: str) -> str:
    text = WATCHED.format(start=start, wanted=wanted)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_the_agents_lanes_decode_is_ready() -> None:
    assert missed(AGENT, "Patient", "Appointment", "Command", "SettleEffect", "PushReply") == "[]"


def test_what_the_reference_crm_decodes_is_ready_before_it_serves() -> None:
    assert missed(CRM, "Poll", "Book", "CommandResult", "Switches", "Beat") == "[]"
