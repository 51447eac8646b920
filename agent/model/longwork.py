"""Files that go through the control channel in parts, and work that takes a while. A leaf.

The agent runs under an account of its own and cannot open a person's files, so the window and the
command line send them over and fetch them back. Long work is a *job*: started by a request of its
own, looked at with ``ShowJob`` (each change is also told as event "job"), ended by ``CancelJob``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from agent.model.asking import Done, Request, Role

PART_BYTES = 512 * 1024  # in base64 two thirds of a line of the channel
MOST_BYTES = 300_000_000


class Upload(msgspec.Struct, frozen=True):
    token: str


class OpenUpload(Request[Upload], frozen=True):
    """A file is to be sent. ``name`` is shown, never opened; ``size`` in bytes."""

    method = "files.open"
    role = Role.MANAGER
    name: str
    size: int


class SendPart(Request[Done], frozen=True):
    """In order: ``at`` is the number of bytes sent before. An empty part ends it."""

    method = "files.send"
    role = Role.MANAGER
    token: str
    at: int
    content: bytes


class Part(msgspec.Struct, frozen=True):
    content: bytes
    total: int


class FetchPart(Request[Part], frozen=True):
    """Up to PART_BYTES of a file the agent made."""

    method = "files.fetch"
    role = Role.MANAGER
    token: str
    at: int


class DropFile(Request[Done], frozen=True):
    """It is not needed any more. What nobody drops goes after an hour."""

    method = "files.drop"
    role = Role.MANAGER
    token: str


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(msgspec.Struct, frozen=True):
    """``done`` of ``total`` (0 = not known) in ``unit`` ("rows", "bytes", "checks"). ``code``: why
    it failed, or what it waits for now. ``result``: by kind, so far."""

    number: int
    kind: str
    state: JobState
    done: int = 0
    total: int = 0
    unit: str = ""
    code: str = ""
    facts: dict[str, str | int | float | None] = {}
    result: Any = None

    @property
    def is_over(self) -> bool:
        return self.state is not JobState.RUNNING


class ShowJob(Request[Job], frozen=True):
    method = "jobs.show"
    role = Role.MANAGER
    number: int


class CancelJob(Request[Job], frozen=True):
    method = "jobs.cancel"
    role = Role.MANAGER
    number: int
