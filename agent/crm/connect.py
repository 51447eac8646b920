"""Builds the CRM client from the settings. The composition root and ``bridgework pair`` use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.config import Settings
from agent.crm.auth import Auth
from agent.crm.commands import NativeCommands
from agent.crm.enroll import Rotation
from agent.crm.envelope import KeyRing
from agent.crm.hints import Hints
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
        self._settings = settings
        self._secrets = secrets
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

    def commands(self, crm: NativeCrm) -> NativeCommands:
        """The pull's port, over the same line as ``crm``, which knows the CRM's keys."""
        ring = KeyRing(crm, self._clock, self._endpoint_secret)
        return NativeCommands(
            self.transport, self.auth, ring, self.pairing.practice_id, self._clock
        )

    def hints(self, heard: Callable[[str], None]) -> Hints:
        """A listener for the CRM's hints; ``run`` it in a thread, ``stop`` it before closing."""
        return Hints(self.transport, self.auth, self._clock, heard)

    def _endpoint_secret(self) -> str:
        given = self._settings.crm.endpoint_secret
        return given or self._secrets.get("crm.endpoint_secret") or ""

    def close(self) -> None:
        self.transport.close()
