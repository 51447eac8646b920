"""Who may use the page and its API. Imports Starlette and this package.

The page has no sign-in, so it is served to this computer only, under the names this computer calls
itself (a rebound DNS name is refused), and what changes something must come from the page itself. A
script with the pilot token may come from anywhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from agent.sandbox.crm.core import Core
from agent.sandbox.crm.problems import Refusal

Endpoint = Callable[[Request], Awaitable[Response]]

_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def guarded(core: Core, endpoint: Endpoint) -> Endpoint:
    """The endpoint, for those who may; its answers are kept by nobody."""

    async def opened(request: Request) -> Response:
        if not is_pilot(core, request):
            if not core.settings.open_page and not _is_own(request):
                raise Refusal(403, "page-closed")
            if request.method == "POST" and request.headers.get("x-bridgework-page") != "1":
                # A header no other site's form can send without asking first.
                raise Refusal(403, "page-closed")
        response = await endpoint(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    return opened


def is_pilot(core: Core, request: Request) -> bool:
    """Bears the pilot token."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    wanted = core.settings.pilot_token
    return bool(wanted) and kind.lower() == "bearer" and compare_digest(
        token.strip().encode(), wanted.encode()
    )  # fmt: skip


def _is_own(request: Request) -> bool:
    """From this computer, asked for by one of its own names."""
    client = request.client
    try:
        is_near = client is not None and ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        is_near = False
    return is_near and (request.url.hostname or "") in _OWN_NAMES
