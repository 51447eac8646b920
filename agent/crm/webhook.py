"""A signed message to an address of the practice's IT: Standard Webhooks 1.0 (HMAC-SHA256)."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

import msgspec
from standardwebhooks import Webhook

from agent import __version__
from agent.config import Settings
from agent.crm.connect import open_transport
from agent.errors import AgentError, ConfigError, CrmError
from agent.ports import Clock


class NotPosted(AgentError):
    """The address did not take it. Tried again under the same id."""

    code = "alert.not_sent"


def post(
    settings: Settings, clock: Clock, secret: str, ident: str, at: datetime, payload: object
) -> None:
    """One POST to ``alerts.webhook_url``; NotPosted. ``ident`` stays when it is sent again."""
    body = msgspec.json.encode(payload)
    try:
        signature = Webhook(secret).sign(ident, at, body.decode())
        transport = open_transport(settings, clock, __version__, url=settings.alerts.webhook_url)
    except (ConfigError, ValueError) as error:
        raise NotPosted(way="webhook", reason=type(error).__name__) from None
    headers = {
        "content-type": "application/json",
        "webhook-id": ident,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    with closing(transport):
        try:
            status = transport.send("POST", "", route="alert", body=body, headers=headers).status
        except CrmError as error:
            if error.facts.get("reason") == "media_type":
                return  # taken, with an answer that is not JSON
            raise NotPosted(way="webhook", reason=error.code) from None
    if not 200 <= status < 300:
        raise NotPosted(way="webhook", reason=f"status {status}")
