"""Endpoints of the page people look at (``/app``): private to the page, no part of the contract.

Imports Starlette and this package. The page has no sign-in, so it is served to this computer only,
under the names this computer calls itself (a rebound DNS name is refused), and what changes
something must come from the page itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import apsw
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from agent.model.writing import Outcome
from agent.sandbox.crm import views
from agent.sandbox.crm.core import Core
from agent.sandbox.crm.http import answer
from agent.sandbox.crm.problems import Refusal

Endpoint = Callable[[Request], Awaitable[Response]]

_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_KINDS: Final = frozenset({"records", "beat", "rejects"})
_MEDIA: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript",
                 ".svg": "image/svg+xml"}  # fmt: skip
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Static files of the page and the JSON behind it."""

    def __init__(self, core: Core, folder: Path) -> None:
        self._core = core
        self._files = {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if path.suffix in _MEDIA
        }

    def routes(self) -> list[Route]:
        pages: list[tuple[str, Endpoint]] = [
            ("/app/api/overview", self.overview),
            ("/app/api/day", self.day),
            ("/app/api/patients", self.patients),
            ("/app/api/patients/{key:path}", self.patient),
            ("/app/api/activity", self.activity),
            ("/app/api/rejects", self.rejects),
            ("/app/events", self.events),
            ("/app/{name:path}", self.file),
        ]
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/app/api/rejects/{id:int}/retry", self._guarded(self.retry), methods=["POST"]),
            *(Route(path, self._guarded(endpoint), methods=["GET"]) for path, endpoint in pages),
        ]

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if not self._core.settings.open_page and not _is_own(request):
                raise Refusal(403, "page-closed")
            if request.method == "POST" and request.headers.get("x-bridgework-page") != "1":
                # A header no other site's form can send without asking first.
                raise Refusal(403, "page-closed")
            response = await endpoint(request)
            response.headers["Cache-Control"] = "no-store"
            response.headers["Referrer-Policy"] = "no-referrer"
            return response

        return guarded

    async def _read(self, view: Callable[[apsw.Connection], Any]) -> Response:
        content = await asyncio.to_thread(self._core.read, view)
        if content is None:
            raise Refusal(404, "not-found")
        return answer(content)

    async def home(self, _: Request) -> Response:
        return RedirectResponse("/app/")

    async def file(self, request: Request) -> Response:
        path = self._files.get(request.path_params["name"] or "index.html")
        if path is None:
            raise Refusal(404, "not-found")
        return FileResponse(
            path,
            media_type=_MEDIA[path.suffix],
            headers={
                "Content-Security-Policy": _POLICY,
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def overview(self, _: Request) -> Response:
        status = self._core.status()
        settings = self._core.settings
        practice = await asyncio.to_thread(
            self._core.read,
            lambda db: views.practice(db, settings.practice_name, settings.zone, self._core.now()),
        )
        return answer({**status, **practice, "is_open": settings.open_page})

    async def day(self, request: Request) -> Response:
        try:
            asked = date.fromisoformat(request.query_params.get("date", ""))
        except ValueError:
            raise Refusal(400, "invalid-request", "date") from None
        zone = self._core.settings.zone
        return await self._read(lambda db: views.day(db, asked, zone, self._core.now()))

    async def patients(self, request: Request) -> Response:
        words = request.query_params.get("q", "")[:100]
        return await self._read(lambda db: views.find_patients(db, words))

    async def patient(self, request: Request) -> Response:
        key = request.path_params["key"]
        zone = self._core.settings.zone
        return await self._read(lambda db: views.card(db, key, zone, self._core.now()))

    async def activity(self, request: Request) -> Response:
        before = request.query_params.get("before", "")
        below = int(before) if before.isascii() and before.isdigit() and len(before) < 17 else None
        zone = self._core.settings.zone
        return await self._read(lambda db: views.activity(db, below, zone))

    async def rejects(self, _: Request) -> Response:
        return await self._read(views.rejects)

    async def retry(self, request: Request) -> Response:
        number = request.path_params["id"]
        result = self._core.intake.retry(number) if number < 2**53 else None
        if result is None:
            raise Refusal(404, "not-found")
        self._core.wakeups.ring("rejects")
        if result.outcome in {Outcome.APPLIED, Outcome.DEFERRED}:
            self._core.wakeups.ring("records")
        return answer(result)

    async def events(self, _: Request) -> Response:
        return self._core.wakeups.stream(_KINDS, 3600.0, gather_s=0.15)


def _is_own(request: Request) -> bool:
    """From this computer, asked for by one of its own names."""
    client = request.client
    try:
        is_near = client is not None and ipaddress.ip_address(client.host).is_loopback
    except ValueError:
        is_near = False
    return is_near and (request.url.hostname or "") in _OWN_NAMES
