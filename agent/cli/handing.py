"""Files and long work from the command line: send, fetch, wait with a line of progress."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from agent.cli.asking import Reception
from agent.errors import AgentError
from agent.model.longwork import (
    PART_BYTES,
    CancelJob,
    DropFile,
    FetchPart,
    Job,
    JobState,
    OpenUpload,
    SendPart,
    ShowJob,
)

_LOOK_S = 0.15
_QUIET_S = 0.8  # work shorter than this shows no progress


def send(desk: Reception, path: Path) -> str:
    """A person's file to the agent; its token."""
    size = path.stat().st_size
    token = desk.ask(OpenUpload(path.name, size)).token
    with path.open("rb") as file:
        at = 0
        while part := file.read(PART_BYTES):
            desk.ask(SendPart(token, at, part))
            at += len(part)
    return token


def fetch(desk: Reception, token: str, path: Path) -> int:
    """A file of the agent's to ``path``, readable by this person only; its size."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    at = 0
    with os.fdopen(descriptor, "wb") as file:
        while True:
            part = desk.ask(FetchPart(token, at))
            file.write(part.content)
            at += len(part.content)
            if at >= part.total or not part.content:
                break
    desk.ask(DropFile(token))
    return at


def wait(desk: Reception, job: Job, words: str) -> Job:
    """Until it is over; Ctrl+C ends it. AgentError when it failed."""
    started, is_shown = time.monotonic(), False
    shows = sys.stderr.isatty()
    try:
        while not job.is_over:
            time.sleep(_LOOK_S)
            job = desk.ask(ShowJob(job.number))
            if shows and time.monotonic() - started > _QUIET_S:
                is_shown = True
                click.echo(f"\r{words} {_share(job)}\x1b[K", nl=False, err=True)
    except KeyboardInterrupt:
        desk.ask(CancelJob(job.number))
        raise
    finally:
        if is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)
    if job.state is JobState.FAILED:
        raise AgentError(job.code, **job.facts)
    return job


def _share(job: Job) -> str:
    if job.unit == "bytes" and job.total:
        return f"{100 * job.done // job.total} %"
    of = f" of {job.total:,}" if job.total else ""
    return f"{job.done:,}{of} {job.unit}"
