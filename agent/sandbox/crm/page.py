"""Endpoints of the page people look at (``/app``): private to the page, no part of the contract.

Imports Starlette and this package. Who may look is decided in ``gate``; acting is in ``desk``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import apsw
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from agent.model.writing import Outcome
from agent.sandbox.crm import deskviews, people, views
from agent.sandbox.crm.core import Core
from agent.sandbox.crm.gate import guarded
from agent.sandbox.crm.http import answer
from agent.sandbox.crm.problems import Refusal

Endpoint = Callable[[Request], Awaitable[Response]]

_EVENTS: Final = {
    "records": "records",
    "beat": "beat",
    "rejects": "rejects",
    "orders": "commands",
    "contacts": "contacts",
    "links": "contacts",
    "conflicts": "conflicts",
    "switches": "switches",
}
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
        return guarded(self._core, endpoint)

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

        def look(db: apsw.Connection) -> views.Json:
            seen = views.day(db, asked, zone, self._core.now())
            seen["pending"], by_visit = deskviews.of_day(db, asked, zone)
            for visit in seen["visits"]:
                visit["pending"] = by_visit.get(visit["key"])
            return seen

        return await self._read(look)

    async def patients(self, request: Request) -> Response:
        words = request.query_params.get("q", "")[:100]
        return await self._read(lambda db: views.find_patients(db, words))

    async def patient(self, request: Request) -> Response:
        key = request.path_params["key"]
        zone = self._core.settings.zone

        def look(db: apsw.Connection) -> views.Json | None:
            seen = views.card(db, key, zone, self._core.now())
            if seen is not None:
                seen["pending"] = deskviews.about_person(db, zone, key=key)
                seen["cloud_ids"] = [one.id for one in people.people_of(db, key)]
                seen["conflicts"] = deskviews.conflicts(db, "open", patient=key)
            return seen

        return await self._read(look)

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
        return self._core.wakeups.stream(_EVENTS, 3600.0, gather_s=0.05)
