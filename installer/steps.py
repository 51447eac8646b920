"""A build in steps that can be resumed: a step whose inputs are the same is not done again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_STAMP = ".made-of"
_SHOWN_LINES = 40


class BuildError(Exception):
    """A step failed; the text is for the person at the console and names the next step."""


@dataclass(frozen=True, slots=True)
class Step:
    """``made_of``: everything the result depends on, as text or digests. ``make`` fills the empty
    folder it is given; it is kept only if it returns."""

    name: str
    made_of: Mapping[str, str]
    make: Callable[[Path], None]

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(dict(self.made_of), sort_keys=True).encode()).hexdigest()


def run_step(step: Step, cache: Path) -> Path:
    """The step's folder, made now or found as an earlier build left it."""
    folder = cache / step.name
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text() == step.key:
        print(f"  {step.name:<12} as before")
        return folder
    print(f"  {step.name:<12} ...", end="", flush=True)
    started = time.monotonic()
    draft = cache / f"{step.name}.draft"
    for stale in (draft, folder):
        if stale.exists():
            shutil.rmtree(stale)
    draft.mkdir(parents=True)
    try:
        step.make(draft)
    except BaseException:
        print(" failed")
        raise
    draft.rename(folder)
    stamp.write_text(step.key)
    print(f"\r  {step.name:<12} {time.monotonic() - started:6.1f} s")
    return folder


def call(
    command: Sequence[str | Path],
    purpose: str,
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    quiet_is_success: bool = False,
) -> str:
    """Run a tool; its output. ``quiet_is_success``: any word on standard error is a failure.
    BuildError with its last lines otherwise."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=None if environ is None else dict(environ),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or (quiet_is_success and done.stderr.strip()):
        said = (done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:]
        lines = "\n".join(f"    {line}" for line in said)
        raise BuildError(f"Could not {purpose} (exit code {done.returncode}):\n{lines}")
    return done.stdout


def need(program: str, package: str) -> str:
    """The program's path. BuildError naming the Debian package that brings it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BuildError(
            f"{program} is needed and not here. On Debian: apt-get install -y {package}"
        )
    return found


def digest_of(paths: Iterable[Path]) -> str:
    """One digest over the files' names and contents; folders are walked."""
    seen = hashlib.sha256()
    for path in sorted(paths):
        files = (
            sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            if path.is_dir()
            else [path]
        )
        for file in files:
            seen.update(str(file.relative_to(path.parent)).encode() + b"\0")
            seen.update(hashlib.sha256(file.read_bytes()).digest())
    return seen.hexdigest()


def python_here() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
