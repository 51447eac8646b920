"""Look at a site read over ODBC (``drivers.survey``). Wiring only; never imports ``agent.crm``."""

from __future__ import annotations

import dataclasses

from agent.config import Settings
from agent.config.secrets import Secrets
from agent.errors import ConfigError
from agent.runtime.signin import SignedSource
from agent.runtime.sources import open_source
from drivers.odbc.source import OdbcSource
from drivers.survey import Asks, Codes, Mistake, Survey, survey

__all__ = ["SURVEYED", "Codes", "Mistake", "Survey", "run_survey"]

SURVEYED = ("dentrix", "eaglesoft")


def run_survey(settings: Settings, secrets: Secrets, kind: str) -> Survey:
    """``kind``: one of ``SURVEYED``, whatever ``pms.kind`` says. Raises ConfigError."""
    pms = dataclasses.replace(settings.pms, kind=kind)
    source = open_source(dataclasses.replace(settings, pms=pms), secrets)
    if isinstance(source, SignedSource):
        source = source.current()
    if not isinstance(source, OdbcSource):
        raise ConfigError("config.kind_unknown", kind=kind)
    return survey(source, _asks(kind))


def _asks(kind: str) -> Asks:
    from drivers.dentrix.asks import dentrix_asks
    from drivers.eaglesoft.asks import eaglesoft_asks

    return dentrix_asks if kind == "dentrix" else eaglesoft_asks
