"""The pull direction from settings: writer, switches, texts, hints. Wiring only."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import cast

import msgspec

from agent.config import Settings
from agent.config.secrets import Secrets
from agent.crm.native import NativeCrm
from agent.errors import CrmError
from agent.journal.journal import Journal
from agent.ports import Clock, CommandPort
from agent.runtime.sources import open_writer, whole_map
from agent.support.messages import Catalogue, Fact
from agent.sync.apply import ApplyTuning
from agent.sync.engine import Engine
from agent.sync.switches import CRM, FILE, of_crm, of_settings
from agent.sync.twoway import TwoWay, TwoWayTuning


class Ear:
    """What the CRM lets us hear beside commands: hints, and its side of the safety switches."""

    def __init__(self, crm: NativeCrm) -> None:
        self._crm = crm
        self._config_moved = threading.Event()
        self.twoway: TwoWay | None = None

    def heard(self, kind: str) -> None:
        """A hint, on the listener's thread: returns at once."""
        if self.twoway is None:
            return
        if kind in ("config", "hello"):
            self._config_moved.set()
        if kind == "config":
            self.twoway.pull.interrupt()
        self.twoway.hint(kind)

    def heed(self) -> None:
        """Before each poll: what the CRM's switches say now. Raises the Crm* errors while that was
        never heard; later its last word holds."""
        config = self._crm.config
        if config is None or self._config_moved.is_set():
            self._config_moved.clear()
            try:
                config = self._crm.refresh_config()
            except CrmError:
                self._config_moved.set()
                if config is None:
                    raise
        if self.twoway is not None:
            told = msgspec.to_builtins(config.switches)
            self.twoway.safety.say(CRM, of_crm(told), "crm")


def build_twoway(
    settings: Settings,
    secrets: Secrets,
    engine: Engine,
    journal: Journal,
    clock: Clock,
    port: CommandPort,
    ear: Ear,
    on_offer: Callable[[], None],
) -> TwoWay:
    """Raises ConfigError."""
    catalogue = Catalogue.load(settings.practice.language or "en")

    def say(code: str, **facts: object) -> str:
        if code not in catalogue.codes:
            return ""
        return catalogue.render(code, cast("dict[str, Fact]", facts)).title

    twoway = TwoWay(
        engine,
        journal,
        whole_map(settings),
        clock,
        port,
        random.random,
        open_writer=lambda: open_writer(settings, secrets),
        say=say,
        on_diagnostics=on_offer,
        on_offer=on_offer,
        before_poll=ear.heed,
        tuning=TwoWayTuning(
            zone=settings.practice.zone,
            apply=ApplyTuning(task_timeout_s=settings.sync.task_timeout_h * 3600),
        ),
    )
    ear.twoway = twoway
    safety = settings.safety
    own = of_settings(
        safety.mode, safety.canary_operatories, safety.canary_providers, safety.canary_patients
    )
    twoway.safety.say(FILE, own, "settings")
    return twoway
