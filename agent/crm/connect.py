"""Builds the CRM client from the settings. The composition root and ``bridgework pair`` use it."""

from __future__ import annotations

from pathlib import Path

from agent.config import Settings
from agent.crm.auth import Auth
from agent.crm.enroll import Rotation
from agent.crm.native import NativeCrm
from agent.crm.pairing import Pairing, PairingStore
from agent.crm.transport import Transport
from agent.crm.wire import Origin
from agent.errors import ConfigError
from agent.ports import Clock, SecretStore


def open_transport(
    settings: Settings, clock: Clock, agent_version: str, *, url: str | None = None
) -> Transport:
    """The line to the CRM of the settings, or to ``url``. Raises ConfigError."""
    crm = settings.crm
    address = url or crm.url
    if not address:
        raise ConfigError("crm.url_missing")
    return Transport(
        address,
        clock=clock,
        agent_version=agent_version,
        ca_file=Path(crm.ca_file) if crm.ca_file else None,
        proxy=crm.proxy or None,
        deadline_s=crm.timeout_s,
    )


class CrmLink:
    """Everything about one pairing: the client, its keys, who it is.

    Raises ConfigError (no address) and CrmAuthError (crm.not_paired) when made.
    """

    def __init__(
        self, settings: Settings, secrets: SecretStore, clock: Clock, agent_version: str
    ) -> None:
        self._clock = clock
        self._agent_version = agent_version
        self.pairings = PairingStore(secrets)
        self.pairing: Pairing = self.pairings.load()
        self.transport = open_transport(settings, clock, agent_version)
        self.auth = Auth(self.transport, self.pairings, clock)
        self.rotation = Rotation(self.transport, self.auth, self.pairings, clock)

    def client(
        self, journal_uuid: str, epoch: int, pms_kind: str = "", pms_version: str = ""
    ) -> NativeCrm:
        """The port the engine speaks to; closing it closes the line."""
        origin = Origin(
            agent_version=self._agent_version,
            journal_uuid=journal_uuid,
            epoch=epoch,
            practice_id=self.pairing.practice_id,
            pms_kind=pms_kind,
            pms_version=pms_version,
        )
        return NativeCrm(self.transport, self.auth, origin, self._clock)

    def close(self) -> None:
        self.transport.close()
