"""Open the CRM this agent is paired with. Wiring only."""

from __future__ import annotations

from pathlib import Path

from agent import __version__
from agent.config import Settings
from agent.config.secrets import Secrets
from agent.crm.auth import Auth
from agent.crm.native import NativeCrm
from agent.crm.pairing import PairingStore
from agent.crm.transport import Transport
from agent.crm.wire import Origin
from agent.errors import CrmAuthError
from agent.journal.journal import Journal
from agent.ports import Clock


def open_transport(settings: Settings, clock: Clock) -> Transport:
    """Raises CrmAuthError (crm.not_paired) while no CRM is named."""
    if not settings.crm.url:
        raise CrmAuthError("crm.not_paired")
    return Transport(
        settings.crm.url,
        clock=clock,
        agent_version=__version__,
        ca_file=Path(settings.crm.ca_file) if settings.crm.ca_file else None,
        proxy=settings.crm.proxy or None,
        deadline_s=settings.crm.timeout_s,
    )


def open_crm(
    settings: Settings, secrets: Secrets, clock: Clock, journal: Journal | None = None
) -> NativeCrm:
    """The paired CRM; without a journal (doctor) the envelope says so. Raises CrmAuthError."""
    pairings = PairingStore(secrets)
    pairing = pairings.load()
    transport = open_transport(settings, clock)
    origin = Origin(
        agent_version=__version__,
        journal_uuid=journal.uuid if journal else "",
        epoch=journal.epoch if journal else 0,
        practice_id=pairing.practice_id,
        pms_kind=settings.pms.kind,
    )
    return NativeCrm(transport, Auth(transport, pairings, clock), origin, clock)
