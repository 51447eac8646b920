"""What people may ask of support's tools: doctor and bundle. Requests and answers. A leaf."""

from __future__ import annotations

import msgspec

from agent.model.asking import Request, Role
from agent.model.longwork import Job
from agent.model.reading import Finding


class Checked(msgspec.Struct, frozen=True):
    """One step of the doctor. ``skipped``: what it ``needs`` had failed."""

    topic: str
    title: str
    findings: tuple[Finding, ...] = ()
    skipped: bool = False
    needs: str = ""


class Diagnosis(msgspec.Struct, frozen=True):
    """``checks``: finished so far; ``next_title``: of the step under way, "" at the end."""

    checks: tuple[Checked, ...]
    next_title: str = ""
    exit_code: int = 0


class RunDoctor(Request[Job], frozen=True):
    """Changes nothing. The job's result is a ``Diagnosis`` that grows."""

    method = "doctor.run"
    role = Role.MANAGER


class BundlePart(msgspec.Struct, frozen=True):
    """``rules``: what was done to it before it went in."""

    name: str
    why: str
    size: int
    rules: tuple[str, ...] = ()


class BundleMade(msgspec.Struct, frozen=True):
    """``token`` "" for a preview: nothing was made then."""

    token: str
    name: str
    size: int
    parts: tuple[BundlePart, ...]


class MakeBundle(Request[Job], frozen=True):
    """A ZIP for support. ``preview``: only what would go in. ``screenshot``: token of a PNG.
    The job's result is a ``BundleMade``."""

    method = "bundle.make"
    role = Role.MANAGER
    days: int = 3
    note: str = ""
    screenshot: str = ""
    preview: bool = False
