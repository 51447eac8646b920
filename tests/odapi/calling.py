"""A developer's program in front of the stand-in, and the office's tables behind it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from tests.support.odapi import Mode, StandIn, Tier

ZONE = "America/Chicago"


class Caller:
    """What a developer's program sends, and what the office's tables then hold."""

    def __init__(self, api: StandIn, link: Any) -> None:
        self.api = api
        self.http = httpx.Client(
            base_url=api.url + "/",
            headers={"Authorization": api.authorization, "Content-Type": "application/json"},
            timeout=20,
        )
        self.link = link

    def reset(self) -> None:
        """As bought: full tier, service mode, nothing armed."""
        api = self.api
        api.version, api.tier, api.mode = "24.4.5", Tier.FULL, Mode.SERVICE
        api.throttle, api.limit_s = None, 60.0
        api.faults.reset()
        api.seen.clear()
        api.crashes.clear()

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.http.get(path, params=query)

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def put(self, path: str, **body: Any) -> httpx.Response:
        return self.http.put(path, json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(path)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.link.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def row(self, sql: str) -> tuple[Any, ...]:
        (found,) = self.rows(sql)
        return found

    def run(self, sql: str) -> None:
        with self.link.cursor() as cursor:
            cursor.execute(sql)

    def patient(self, **fields: Any) -> int:
        """A new patient's PatNum."""
        made = self.post("patients", **{"LName": "Ash", "FName": "Rowan", **fields})
        assert made.status_code == 201, made.text
        return int(made.json()["PatNum"])

    def visit(self, patient: int, start: str, **fields: Any) -> int:
        made = self.post(
            "appointments", **{"PatNum": patient, "Op": 1, "AptDateTime": start, **fields}
        )
        assert made.status_code == 201, made.text
        return int(made.json()["AptNum"])

    def pref(self, name: str, value: str) -> None:
        self.run(f"UPDATE preference SET ValueString='{value}' WHERE PrefName='{name}'")


def local_now() -> datetime:
    return datetime.now(ZoneInfo(ZONE)).replace(tzinfo=None)


def tomorrow(clock: str = "09:00:00", days: int = 1) -> str:
    return f"{local_now().date() + timedelta(days=days)} {clock}"
